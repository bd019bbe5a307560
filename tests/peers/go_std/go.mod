module tokentrail.test/std

go 1.16
