/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: order, numbers and marks over restarts; torn, flipped and missing bytes; a disk that
 * takes no writes; its bound. pwrite() is replaced here, so that the nth write can fail.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <zlib.h>

#include "sinks/spool.h"

#define MIB (1ULL << 20)

static long fail_from, fail_to; /* writes of these numbers fail, counted from 1 */
static size_t fail_after;	/* bytes of them that are written all the same */
static int fail_errno;
static long writes;

ssize_t pwrite(int fd, const void *bytes, size_t len, off_t offset)
{
	writes++;
	if (writes < fail_from || writes > fail_to)
		return syscall(SYS_pwrite64, fd, bytes, len, offset);
	if (fail_after && fail_after < len)
		return syscall(SYS_pwrite64, fd, bytes, fail_after, offset);
	errno = fail_errno;
	return -1;
}

static void fail_writes(long from, long to, int err, size_t after)
{
	writes = 0;
	fail_from = from;
	fail_to = to;
	fail_errno = err;
	fail_after = after;
}

static char dir[64], path[512];

static const char *in_dir(const char *name)
{
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void empty_dir(void)
{
	struct dirent *e;
	DIR *d = opendir(dir);

	if (!d)
		return;
	while ((e = readdir(d)))
		if (*e->d_name != '.')
			unlink(in_dir(e->d_name));
	closedir(d);
	rmdir(dir);
}

static int setup(void **state)
{
	strcpy(dir, "/tmp/tt-spool-XXXXXX");
	fail_writes(0, 0, 0, 0);
	return mkdtemp(dir) ? rmdir(dir) : -1;
}

static int teardown(void **state)
{
	empty_dir();
	return 0;
}

static struct spool *open_spool(uint64_t max)
{
	struct spool *s = NULL;

	assert_int_equal(spool_open(dir, max, &s), 0);
	return s;
}

/* Record i has a payload from which i and the length can be told again. */
static size_t payload_of(unsigned int i, char *ret)
{
	return (size_t)snprintf(ret, 400, "record %u %.*s", i, (int)(i * 37 % 300),
				"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
				"xxxxxxxxxxxxxxxxxx");
}

static int put(struct spool *s, unsigned int i)
{
	char payload[400], key[32];
	size_t len = payload_of(i, payload);
	int key_len = snprintf(key, sizeof(key), "key%u", i);

	return spool_append(s, "t.uses", key, (size_t)key_len, payload, len, 1000 + i);
}

/* Which record this is; fails the test when its bytes are not exactly what was put in. */
static unsigned int check(const struct spool_record *rec)
{
	char payload[400], key[32];
	unsigned int i = 0;
	size_t len;

	assert_int_equal(sscanf(rec->payload, "record %u ", &i), 1);
	len = payload_of(i, payload);
	snprintf(key, sizeof(key), "key%u", i);
	assert_int_equal(rec->payload_len, len);
	assert_memory_equal(rec->payload, payload, len);
	assert_int_equal(rec->key_len, strlen(key));
	assert_memory_equal(rec->key, key, rec->key_len);
	assert_string_equal(rec->topic, "t.uses");
	assert_int_equal(rec->time_ns, 1000 + i);
	return i;
}

static unsigned int count_all(struct spool *s)
{
	struct spool_record rec;
	uint64_t from = 0;
	unsigned int n = 0;

	while (spool_next(s, from, &rec) == 0) {
		check(&rec);
		assert_true(rec.seq >= from);
		from = rec.seq + 1;
		n++;
	}
	return n;
}

static struct spool_stat stat_of(struct spool *s)
{
	struct spool_stat st;

	spool_stat(s, &st);
	return st;
}

static unsigned int files(void)
{
	struct dirent *e;
	unsigned int n = 0;
	DIR *d = opendir(dir);

	while ((e = readdir(d)))
		n += strstr(e->d_name, ".seg") != NULL;
	closedir(d);
	return n;
}

static void keeps_order_and_numbers_over_restarts(void **state)
{
	struct spool *s = open_spool(MIB);
	struct spool_record rec;
	uint64_t id = stat_of(s).id;
	unsigned int i;

	for (i = 1; i <= 10; i++)
		assert_int_equal(put(s, i), 0);
	spool_close(s);
	s = open_spool(MIB);
	assert_true(stat_of(s).id == id && id);
	for (; i <= 20; i++)
		assert_int_equal(put(s, i), 0);
	assert_int_equal(files(), 1);
	for (i = 1; i <= 20; i++) {
		assert_int_equal(spool_next(s, i, &rec), 0);
		assert_int_equal(rec.seq, i);
		assert_int_equal(check(&rec), i);
	}
	assert_int_equal(spool_next(s, 21, &rec), -ENOENT);
	assert_int_equal(stat_of(s).waiting, 20);
	spool_close(s);
}

static void acks_survive_and_free_the_disk(void **state)
{
	struct spool *s = open_spool(MIB);
	struct spool_record rec;
	unsigned int i;

	for (i = 1; i <= 2000; i++)
		assert_int_equal(put(s, i), 0);
	assert_true(files() > 2);
	spool_ack(s, 7); /* above the mark: not remembered over a restart */
	for (i = 1; i <= 5; i++)
		spool_ack(s, i);
	spool_ack(s, 5);
	assert_int_equal(stat_of(s).low, 6);
	spool_close(s);

	s = open_spool(MIB);
	assert_int_equal(spool_next(s, 0, &rec), 0);
	assert_int_equal(rec.seq, 6);
	assert_int_equal(stat_of(s).waiting, 1995);
	for (i = 6; i <= 2000; i++)
		spool_ack(s, i);
	assert_int_equal(files(), 1);
	assert_int_equal(stat_of(s).waiting, 0);
	assert_int_equal(stat_of(s).low, 2001);
	spool_close(s);
	s = open_spool(MIB);
	assert_int_equal(put(s, 1), 0);
	assert_int_equal(spool_next(s, 0, &rec), 0);
	assert_int_equal(rec.seq, 2001);
	spool_close(s);
}

static void survives_kill(void **state)
{
	struct spool *s;
	unsigned int i;
	int status;
	pid_t pid = fork();

	if (!pid) {
		s = open_spool(MIB);
		for (i = 1; i <= 500; i++)
			if (put(s, i) < 0)
				_exit(1);
		if (spool_hand(s, 100, 77) < 0)
			_exit(2);
		for (i = 1; i <= 50; i++)
			spool_ack(s, i);
		if (spool_save(s) < 0)
			_exit(3);
		for (; i <= 60; i++)
			spool_ack(s, i);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	s = open_spool(MIB);
	assert_int_equal(count_all(s), 450);
	assert_int_equal(stat_of(s).low, 51);
	assert_int_equal(stat_of(s).handed, 100);
	assert_int_equal(stat_of(s).since_ms, 77);
	assert_int_equal(stat_of(s).next, 501);
	assert_int_equal(stat_of(s).corrupt, 0);
	spool_close(s);
}

static void is_private_and_alone(void **state)
{
	struct spool *s = open_spool(MIB), *other = NULL;
	struct stat st;

	assert_int_equal(put(s, 1), 0);
	assert_int_equal(stat(dir, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(stat(in_dir("state"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(in_dir("0000000000000001.seg"), &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(spool_open(dir, MIB, &other), -EBUSY);
	assert_null(other);
	spool_close(s);
}

static void cuts_a_torn_end_at_any_byte(void **state)
{
	struct spool *s = open_spool(MIB);
	unsigned int i, whole = 0;
	off_t len;

	for (i = 1; i <= 6; i++)
		assert_int_equal(put(s, i), 0);
	spool_close(s);
	for (len = 1 << 20; len >= 0; len--) {
		struct stat st;

		assert_int_equal(stat(in_dir("0000000000000001.seg"), &st), 0);
		if (len > st.st_size)
			len = st.st_size;
		assert_int_equal(truncate(in_dir("0000000000000001.seg"), len), 0);
		s = open_spool(MIB);
		whole = count_all(s);
		assert_int_equal(stat_of(s).waiting, whole);
		assert_true(stat_of(s).corrupt <= 1);
		/* What was written once is not numbered again, and goes on behind the cut. */
		assert_true(stat_of(s).next >= 7);
		spool_close(s);
		if (len == 0)
			break;
	}
	assert_int_equal(whole, 0);
	s = open_spool(MIB);
	assert_int_equal(put(s, 9), 0);
	assert_int_equal(count_all(s), 1);
	spool_close(s);
}

static void steps_over_flipped_bits(void **state)
{
	struct spool *s = open_spool(MIB);
	unsigned int i, n;
	struct stat st;
	uint8_t byte;
	off_t at;
	int fd;

	for (i = 1; i <= 5; i++)
		assert_int_equal(put(s, i), 0);
	spool_close(s);
	assert_int_equal(stat(in_dir("0000000000000001.seg"), &st), 0);
	for (at = 0; at < st.st_size; at++) {
		fd = open(in_dir("0000000000000001.seg"), O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		byte ^= (uint8_t)(1 << at % 8);
		assert_int_equal(syscall(SYS_pwrite64, fd, &byte, 1, at), 1);
		s = open_spool(MIB);
		n = count_all(s);
		assert_int_equal(n,
				 at < 16 ? 5 : 4); /* 16: the head, which only a lost state needs */
		assert_int_equal(stat_of(s).corrupt, 5 - n);
		spool_close(s);
		/* The last frame was cut off: write the file again. */
		assert_int_equal(close(fd), 0);
		empty_dir();
		s = open_spool(MIB);
		for (i = 1; i <= 5; i++)
			assert_int_equal(put(s, i), 0);
		spool_close(s);
	}
}

static void damage_while_open_is_skipped(void **state)
{
	struct spool *s = open_spool(MIB);
	struct spool_record rec;
	unsigned int i;
	int fd;

	for (i = 1; i <= 5; i++)
		assert_int_equal(put(s, i), 0);
	assert_int_equal(spool_next(s, 2, &rec), 0);
	fd = open(in_dir("0000000000000001.seg"), O_RDWR);
	assert_int_equal(syscall(SYS_pwrite64, fd, "\xff\xff\xff", 3, 16 + 4), 3);
	close(fd);
	assert_int_equal(count_all(s), 4);
	assert_int_equal(stat_of(s).corrupt, 1);
	assert_int_equal(stat_of(s).low, 2);
	spool_close(s);
}

static void any_garbage_opens(void **state)
{
	struct spool *s;
	uint8_t bytes[5000];
	unsigned int round, i;
	int fd;

	srand(1);
	for (round = 0; round < 200; round++) {
		s = open_spool(MIB);
		for (i = 0; i < 5; i++)
			(void)put(s, i);
		spool_close(s);
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = (uint8_t)rand();
		fd = open(in_dir(round % 3 ? "0000000000000005.seg" : "state"), O_RDWR | O_CREAT,
			  0600);
		assert_int_equal(write(fd, bytes, (size_t)rand() % sizeof(bytes)) >= 0, 1);
		close(fd);
		fd = open(in_dir("not a segment"), O_RDWR | O_CREAT, 0600);
		close(fd);
		s = open_spool(MIB);
		assert_true(count_all(s) >= 1);
		assert_int_equal(put(s, 3), 0);
		spool_close(s);
		empty_dir();
	}
}

/* Whichever write fails, with an error or half done: nothing is lost, and order is kept. */
static void nth_write_fails(void **state)
{
	static const int errs[] = {ENOSPC, EIO, EDQUOT};
	struct spool_record rec;
	struct spool *s;
	unsigned int i;
	uint64_t from;
	long n;

	for (n = 2; n < 60; n++) { /* the first write is that of the state, at open */
		fail_writes(n, n + n % 3, errs[n % 3], n % 2 ? 13 : 0);
		s = open_spool(MIB);
		for (i = 1; i <= 40; i++) {
			assert_int_equal(put(s, i), 0);
			if (i % 7 == 0)
				(void)spool_retry(s);
		}
		fail_writes(0, 0, 0, 0);
		assert_int_equal(spool_retry(s), 0);
		assert_int_equal(stat_of(s).held, 0);
		assert_int_equal(stat_of(s).write_error, 0);
		spool_close(s);
		s = open_spool(MIB);
		for (i = 1, from = 0; i <= 40; i++, from = rec.seq + 1) {
			assert_int_equal(spool_next(s, from, &rec), 0);
			assert_int_equal(check(&rec), i);
		}
		assert_int_equal(spool_next(s, from, &rec), -ENOENT);
		assert_int_equal(stat_of(s).corrupt + stat_of(s).dropped, 0);
		spool_close(s);
		empty_dir();
	}
}

static void full_disk_from_the_start(void **state)
{
	struct spool_record rec;
	struct spool *s;
	unsigned int i;

	fail_writes(1, 1000000000, ENOSPC, 0);
	s = open_spool(MIB);
	for (i = 1; i <= 10; i++)
		assert_int_equal(put(s, i), 0);
	assert_int_equal(stat_of(s).write_error, ENOSPC);
	assert_int_equal(stat_of(s).held, 10);
	/* Nothing may be handed over that would not be remembered. */
	assert_int_equal(spool_hand(s, 5, 0), -ENOSPC);
	assert_int_equal(stat_of(s).handed, 0);
	/* What waits in memory can be read and acknowledged like the rest. */
	assert_int_equal(spool_next(s, 0, &rec), 0);
	assert_int_equal(check(&rec), 1);
	spool_ack(s, 1);
	spool_ack(s, 4);
	assert_int_equal(count_all(s), 8);
	fail_writes(0, 0, 0, 0);
	assert_int_equal(put(s, 11), 0);
	assert_int_equal(spool_retry(s), 0);
	assert_int_equal(count_all(s), 9);
	spool_close(s);
	s = open_spool(MIB);
	assert_int_equal(count_all(s), 9);
	spool_close(s);
}

static void memory_is_bounded_on_a_full_disk(void **state)
{
	struct spool *s = open_spool(64 * MIB);
	static char big[100000];
	unsigned int i, taken = 0;

	fail_writes(1, 1000000000, ENOSPC, 0);
	for (i = 0; i < 20; i++)
		taken += spool_append(s, "t", "k", 1, big, sizeof(big), 1) == 0;
	assert_in_range(taken, 9, 11);
	assert_int_equal(stat_of(s).dropped, 20 - taken);
	fail_writes(0, 0, 0, 0);
	assert_int_equal(spool_retry(s), 0);
	assert_int_equal(stat_of(s).waiting, taken);
	assert_int_equal(spool_append(s, "t", "k", 1, big, 2 * MIB, 1), -EMSGSIZE);
	spool_close(s);
}

static void size_is_bounded_and_the_loss_counted(void **state)
{
	struct spool *s = open_spool(MIB);
	struct spool_record rec;
	struct spool_stat st;
	unsigned int i;

	for (i = 1; i <= 20000; i++) {
		assert_int_equal(put(s, i), 0);
		if (i == 100)
			assert_int_equal(spool_hand(s, 10, 1), 0);
	}
	st = stat_of(s);
	assert_true(st.bytes <= MIB);
	assert_true(st.bytes > MIB / 2);
	assert_int_equal(st.waiting + st.dropped, 20000);
	assert_int_equal(count_all(s), st.waiting);
	/* The ten that were handed over may be on their way: their segment was spared. */
	assert_int_equal(st.low, 1);
	assert_int_equal(spool_next(s, 19999, &rec), 0);
	assert_int_equal(check(&rec), 19999);
	/* With all of them handed over, the oldest go all the same. */
	assert_int_equal(spool_hand(s, 20000, 1), 0);
	for (; i <= 30000; i++)
		assert_int_equal(put(s, i), 0);
	assert_true(stat_of(s).bytes <= MIB);
	assert_int_equal(stat_of(s).waiting + stat_of(s).dropped, 30000);
	spool_close(s);
}

/* After a reboot: all that waits may have been sent, and lost numbers are not used again. */
static void another_boot(void **state)
{
	struct spool *s = open_spool(MIB);
	uint8_t slots[2][96];
	uint64_t since;
	uint32_t crc;
	unsigned int i;
	int fd;

	for (i = 1; i <= 5; i++)
		assert_int_equal(put(s, i), 0);
	spool_ack(s, 1);
	spool_close(s);
	fd = open(in_dir("state"), O_RDWR);
	assert_true(read(fd, slots, sizeof(slots)) >= 96);
	for (i = 0; i < 2; i++) {
		slots[i][56]++; /* of the boot id */
		crc = (uint32_t)crc32(0, &slots[i][8], 88);
		memcpy(&slots[i][4], &crc, 4);
	}
	assert_int_equal(syscall(SYS_pwrite64, fd, slots, sizeof(slots), 0), sizeof(slots));
	close(fd);

	s = open_spool(MIB);
	assert_int_equal(stat_of(s).waiting, 4);
	assert_int_equal(stat_of(s).handed, 5);
	assert_int_equal(stat_of(s).next, 6 + (1ULL << 32));
	since = stat_of(s).since_ms;
	assert_int_equal(since, 1002 / 1000000);
	assert_int_equal(put(s, 6), 0);
	assert_int_equal(count_all(s), 5);
	spool_close(s);
	s = open_spool(MIB);
	assert_int_equal(count_all(s), 5);
	assert_int_equal(stat_of(s).next, 7 + (1ULL << 32));
	spool_close(s);
}

static void lost_state_is_rebuilt(void **state)
{
	struct spool *s = open_spool(MIB);
	uint64_t id = stat_of(s).id;
	unsigned int i;

	for (i = 1; i <= 5; i++)
		assert_int_equal(put(s, i), 0);
	spool_close(s);
	assert_int_equal(unlink(in_dir("state")), 0);
	s = open_spool(MIB);
	assert_true(stat_of(s).id == id);
	assert_int_equal(stat_of(s).handed, 5);
	assert_true(stat_of(s).next > 1ULL << 32);
	assert_int_equal(count_all(s), 5);
	spool_close(s);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(keeps_order_and_numbers_over_restarts),
		T(acks_survive_and_free_the_disk),
		T(survives_kill),
		T(is_private_and_alone),
		T(cuts_a_torn_end_at_any_byte),
		T(steps_over_flipped_bits),
		T(damage_while_open_is_skipped),
		T(any_garbage_opens),
		T(nth_write_fails),
		T(full_disk_from_the_start),
		T(memory_is_bounded_on_a_full_disk),
		T(size_is_bounded_and_the_loss_counted),
		T(another_boot),
		T(lost_state_is_rebuilt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
