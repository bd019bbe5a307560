/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's directory: made, handed on, never taken from others. Ownership needs root. */
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

#include "monitor/state.h"

#define BEFORE 61995
#define AGENT 61996

static char dir[] = "/tmp/tt_test_state_XXXXXX";
static char path[64];

static void make(const char *name, uid_t uid)
{
	char file[128];
	FILE *f;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	f = fopen(file, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chown(file, uid, uid), 0);
}

static uid_t owner(const char *name)
{
	char file[128];
	struct stat st;

	snprintf(file, sizeof(file), "%s/%s", path, name);
	assert_int_equal(lstat(file, &st), 0);
	return st.st_uid;
}

static void need_root(void)
{
	if (geteuid() != 0) {
		print_message("needs root: files are given to other users\n");
		skip();
	}
}

static int make_dir(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/a/state", dir);
	return 0;
}

static int clear(void **state)
{
	char command[160];

	snprintf(command, sizeof(command), "rm -rf %s/a %s/other", dir, dir);
	return system(command);
}

static int remove_dir(void **state)
{
	return rmdir(dir);
}

static void directory_is_made_private(void **state)
{
	uid_t uid = geteuid() ? geteuid() : AGENT;
	gid_t gid = geteuid() ? getegid() : AGENT;
	struct stat st;

	assert_int_equal(state_prepare(path, uid, gid), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(st.st_uid, uid);
	assert_int_equal(chmod(path, 0755), 0);
	assert_int_equal(state_prepare(path, uid, gid), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
}

static void other_peoples_directory_is_not_taken(void **state)
{
	need_root();
	assert_int_equal(state_prepare(path, BEFORE, BEFORE), 0);
	make("passwd", BEFORE);
	assert_int_equal(state_prepare(path, AGENT, AGENT), -EEXIST);
	assert_int_equal(owner("."), BEFORE);
	assert_int_equal(owner("passwd"), BEFORE);
}

static void earlier_agents_files_are_handed_on(void **state)
{
	need_root();
	assert_int_equal(state_prepare(path, BEFORE, BEFORE), 0);
	make("store.db", BEFORE);
	make("store.db-wal", BEFORE);
	make("root_file", 0);
	assert_int_equal(state_prepare(path, AGENT, AGENT), 0);
	assert_int_equal(owner("store.db"), AGENT);
	assert_int_equal(owner("store.db-wal"), AGENT);
	assert_int_equal(owner("root_file"), 0); /* not the earlier agent's to begin with */
	assert_int_equal(owner("."), AGENT);
}

/* An earlier agent that was taken over may have left these as bait. */
static void links_are_not_followed(void **state)
{
	char other[80], name[128];
	struct stat st;
	FILE *f;

	need_root();
	snprintf(other, sizeof(other), "%s/other", dir);
	f = fopen(other, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(chown(other, BEFORE, BEFORE), 0);
	assert_int_equal(state_prepare(path, BEFORE, BEFORE), 0);
	make("store.db", BEFORE);
	snprintf(name, sizeof(name), "%s/symbolic", path);
	assert_int_equal(symlink(other, name), 0);
	snprintf(name, sizeof(name), "%s/hard", path);
	assert_int_equal(link(other, name), 0);
	snprintf(name, sizeof(name), "%s/fifo", path);
	assert_int_equal(mkfifo(name, 0600), 0);
	assert_int_equal(state_prepare(path, AGENT, AGENT), 0);
	assert_int_equal(stat(other, &st), 0);
	assert_int_equal(st.st_uid, BEFORE);
	assert_int_equal(owner("store.db"), AGENT);
}

static void users(void **state)
{
	uid_t uid;
	gid_t gid;

	assert_int_equal(state_user("root", &uid, &gid), -EPERM);
	assert_int_equal(state_user("no such user here", &uid, &gid), 0);
	assert_in_range(uid, 61990, 62089);
	assert_int_equal(gid, uid);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(directory_is_made_private, clear),
		cmocka_unit_test_teardown(other_peoples_directory_is_not_taken, clear),
		cmocka_unit_test_teardown(earlier_agents_files_are_handed_on, clear),
		cmocka_unit_test_teardown(links_are_not_followed, clear),
		cmocka_unit_test(users),
	};

	return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
