module tokentrail.test/ask

go 1.21
