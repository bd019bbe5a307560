/* SPDX-License-Identifier: Apache-2.0 */
/* The registry of executable files: what counts as one file, what is forgotten, who is blamed. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "monitor/files.h"

static struct file_key key_of(uint64_t ino)
{
	return (struct file_key){
		.ino = ino,
		.size = 4096,
		.mtime = {100, 7},
		.ctime = {200, 9},
		.dev = 5,
	};
}

static struct file *meet(struct files *files, const struct file_key *key, enum file_is *ret_is)
{
	struct file *file = NULL;

	assert_int_equal(files_meet(files, key, "/usr/lib/libx.so", &file, ret_is), 0);
	return file;
}

static void same_file_is_met_once(void **state)
{
	struct file_key key = key_of(1);
	struct files *files;
	struct file *a, *b;
	enum file_is is;

	assert_int_equal(files_new(8, &files), 0);
	a = meet(files, &key, &is);
	assert_int_equal(is, FILE_IS_NEW);
	b = meet(files, &key, &is);
	assert_int_equal(is, FILE_IS_KNOWN);
	assert_ptr_equal(a, b);
	assert_ptr_equal(files_get(files, a->number), a);
	assert_null(files_get(files, a->number + 1));
	files_free(files);
}

static void other_device_is_another_file(void **state)
{
	struct file_key a = key_of(1), b = key_of(1);

	b.dev = 6;
	assert_false(file_key_same(&a, &b));
}

/* The same inode through two containers, and through the layer below. */
static void overlay_devices_do_not_count(void **state)
{
	struct file_key lower = key_of(1), one = key_of(1), two = key_of(1);

	one.dev = 40;
	two.dev = 42;
	one.overlay = two.overlay = true;
	assert_true(file_key_same(&one, &two));
	assert_true(file_key_same(&lower, &one));
	two.mtime.tv_nsec++;
	assert_false(file_key_same(&one, &two));
	two = one;
	two.size++;
	assert_false(file_key_same(&one, &two));
}

/* chmod in a container copies the file up: number, size and mtime stay, the inode below does not.
 */
static void copied_up_file_is_another_one(void **state)
{
	struct file_key before = key_of(1), after = key_of(1);

	before.overlay = after.overlay = true;
	after.ctime.tv_sec++;
	assert_false(file_key_same(&before, &after));
}

static void rewritten_file_is_changed(void **state)
{
	struct file_key key = key_of(1);
	struct files *files;
	struct file *a, *b;
	enum file_is is;

	assert_int_equal(files_new(8, &files), 0);
	a = meet(files, &key, &is);
	key.mtime.tv_nsec++;
	b = meet(files, &key, &is);
	assert_int_equal(is, FILE_IS_CHANGED);
	assert_ptr_equal(a, b);
	meet(files, &key, &is);
	assert_int_equal(is, FILE_IS_KNOWN);
	/* A hard link changes the inode's time and nothing else. */
	key.ctime.tv_sec++;
	meet(files, &key, &is);
	assert_int_equal(is, FILE_IS_KNOWN);
	files_free(files);
}

static void full_table_forgets_the_longest_unmet(void **state)
{
	struct files *files;
	struct file *file;
	enum file_is is;

	assert_int_equal(files_new(4, &files), 0);
	for (uint64_t ino = 1; ino <= 4; ino++) {
		struct file_key key = key_of(ino);

		file = meet(files, &key, &is);
		file->state = ino == 1 ? FILE_HOOKED : FILE_NONE;
	}
	struct file_key two = key_of(2), three = key_of(3), five = key_of(5);

	meet(files, &two, &is);
	meet(files, &five, &is); /* 1 is oldest and has probes; 2 was met; 3 goes */
	assert_int_equal(is, FILE_IS_NEW);
	assert_int_equal(files_count(files, FILE_HOOKED), 1);
	meet(files, &two, &is);
	assert_int_equal(is, FILE_IS_KNOWN);
	meet(files, &three, &is);
	assert_int_equal(is, FILE_IS_NEW);
	files_free(files);
}

static void full_of_probed_files_is_refused(void **state)
{
	struct file_key a = key_of(1), b = key_of(2);
	struct files *files;
	struct file *file;
	enum file_is is;

	assert_int_equal(files_new(1, &files), 0);
	meet(files, &a, &is)->state = FILE_HOOKED;
	assert_int_equal(files_meet(files, &b, "/x", &file, &is), -ENOSPC);
	files_free(files);
}

static void numbers_are_not_reused(void **state)
{
	struct file_key key = key_of(1);
	struct files *files;
	enum file_is is;
	uint64_t first;

	assert_int_equal(files_new(8, &files), 0);
	first = meet(files, &key, &is)->number;
	files_forget(files, files_get(files, first));
	assert_int_not_equal(meet(files, &key, &is)->number, first);
	assert_null(files_get(files, first));
	files_free(files);
}

static void second_death_ends_it(void **state)
{
	struct file file = {.state = FILE_SCANNING, .fd = open("/dev/null", O_RDONLY | O_CLOEXEC)};
	int fd = file.fd;

	assert_false(file_blame(&file));
	assert_int_equal(file.state, FILE_SCANNING);
	assert_true(file_blame(&file));
	assert_int_equal(file.state, FILE_SKIPPED);
	assert_int_equal(fcntl(fd, F_GETFD), -1);
	assert_int_equal(file.fd, -EBADF);
}

static void many_files_stay_apart(void **state)
{
	struct files *files;
	enum file_is is;

	assert_int_equal(files_new(1000, &files), 0);
	for (int round = 0; round < 2; round++)
		for (uint64_t ino = 1; ino <= 1000; ino++) {
			struct file_key key = key_of(ino << 20);
			struct file *file = meet(files, &key, &is);

			assert_int_equal(is, round ? FILE_IS_KNOWN : FILE_IS_NEW);
			assert_int_equal(file->key.ino, ino << 20);
			assert_ptr_equal(files_get(files, file->number), file);
		}
	files_free(files);
}

static void key_is_read_from_a_file(void **state)
{
	char path[] = "/tmp/tt_test_files_XXXXXX";
	_cleanup_close_ int fd = mkstemp(path);
	struct file_key a, b;
	struct stat st;

	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(file_key_of(fd, &a), 0);
	assert_int_equal(a.ino, st.st_ino);
	assert_int_equal(a.dev, st.st_dev);
	assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(file_key_of(fd, &b), 0);
	assert_int_equal(b.size, 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(file_key_of(-1, &a), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(same_file_is_met_once),
		cmocka_unit_test(other_device_is_another_file),
		cmocka_unit_test(overlay_devices_do_not_count),
		cmocka_unit_test(copied_up_file_is_another_one),
		cmocka_unit_test(rewritten_file_is_changed),
		cmocka_unit_test(full_table_forgets_the_longest_unmet),
		cmocka_unit_test(full_of_probed_files_is_refused),
		cmocka_unit_test(numbers_are_not_reused),
		cmocka_unit_test(second_death_ends_it),
		cmocka_unit_test(many_files_stay_apart),
		cmocka_unit_test(key_is_read_from_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
