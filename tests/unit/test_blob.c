/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor packs the agent unpacks, and nothing that is not a whole sealed blob. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/blob.h"
#include "tokens/class.h"
#include "tokens/mint_rules.h"

static struct agent_params params(void)
{
	struct agent_params p = { .publish = { 9, 8, 7 }, .key_id = "0011223344556677",
				  .node = "node-1", .uid = 990, .gid = 991,
				  .reported = { [TT_DROP_ring_full] = 12 } };

	return p;
}

static int write_blob(const struct agent_params *p)
{
	struct config_error error;
	struct config c;
	int fd;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(config_set(&c, "state.directory", "/somewhere", &error), 0);
	assert_int_equal(blob_write(p, &c, &fd), 0);
	config_done(&c);
	return fd;
}

static void there_and_back(void **state)
{
	struct agent_params in = params(), out;
	int fd = write_blob(&in);
	struct config c;

	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(blob_read(fd, &out, &c), 0);
	assert_memory_equal(&in, &out, sizeof(in));
	assert_string_equal(c.state_dir, "/somewhere");
	config_done(&c);
	close(fd);
}

static void sealed(void **state)
{
	struct agent_params p = params();
	int fd = write_blob(&p);

	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	close(fd);
}

static void params_that_no_agent_takes(void **state)
{
	struct agent_params p;
	struct config c;
	int fd = -1;

	assert_int_equal(config_init(&c), 0);
	p = params();
	p.uid = 0;
	assert_int_equal(blob_write(&p, &c, &fd), -EINVAL);
	p = params();
	p.gid = 0;
	assert_int_equal(blob_write(&p, &c, &fd), -EINVAL);
	p = params();
	p.node[0] = 0;
	assert_int_equal(blob_write(&p, &c, &fd), -EINVAL);
	p = params();
	memset(p.node, 'n', sizeof(p.node));
	assert_int_equal(blob_write(&p, &c, &fd), -EINVAL);
	assert_int_equal(fd, -1);
	config_done(&c);
}

/* A copy of the blob with one byte changed or its end cut off, sealed again. */
static int copy(int from, size_t len, ssize_t change)
{
	static char bytes[1 << 20];
	int fd = memfd_create("copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_int_equal(pread(from, bytes, len, 0), len);
	if (change >= 0)
		bytes[change] ^= 1;
	assert_int_equal(write(fd, bytes, len), len);
	assert_int_equal(fcntl(fd, F_ADD_SEALS,
			       F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE), 0);
	return fd;
}

static int read_copy(int from, size_t len, ssize_t change)
{
	struct agent_params p;
	struct config c;
	int fd = copy(from, len, change), r;

	r = blob_read(fd, &p, &c);
	if (r == 0)
		config_done(&c);
	close(fd);
	return r;
}

static void cut_or_changed(void **state)
{
	struct agent_params p = params();
	int fd = write_blob(&p);
	size_t len = (size_t)lseek(fd, 0, SEEK_END);

	assert_int_equal(read_copy(fd, len, -1), 0);
	for (size_t cut = 0; cut < len; cut += 1 + len / 97)
		assert_int_equal(read_copy(fd, cut, -1), -EBADMSG);
	for (ssize_t at = 0; at < 16; at++)
		assert_int_equal(read_copy(fd, len, at), -EBADMSG);
	close(fd);
}

static void not_sealed(void **state)
{
	struct agent_params p = params();
	static char bytes[1 << 20];
	int from = write_blob(&p), fd = memfd_create("open", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	ssize_t len = pread(from, bytes, sizeof(bytes), 0);
	struct config c;

	assert_int_equal(write(fd, bytes, (size_t)len), len);
	assert_int_equal(blob_read(fd, &p, &c), -EBADMSG);
	close(fd);
	close(from);
}

/* ---- what configurations have added, in another process ---- */

static uint16_t class_id(void)
{
	return class_of("acme_aaaaaaaaaaaaaaaaaaa", 24, NULL);
}

/* In a process that has seen no configuration: the numbers have to come with the blob. */
static int other_process(int from, uint16_t carrier, uint16_t class, uint8_t rule)
{
	struct agent_params p;
	char path[64];
	struct config c;
	int fd, in[2];

	if (read(from, in, sizeof(in)) != sizeof(in))
		return 1;
	snprintf(path, sizeof(path), "/proc/%d/fd/%d", in[0], in[1]);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || carrier_get(carrier) || class_get(class) || mint_rule_get(rule))
		return 2;
	if (blob_read(fd, &p, &c) < 0 || !carrier_get(carrier) || !class_get(class) || !mint_rule_get(rule))
		return 3;
	if (strcmp(carrier_get(carrier)->name, "x-tt-second") != 0 || carrier_get(carrier + 1) ||
	    strcmp(class_get(class)->name, "acme") != 0 || class_get(class)->max_len != 24 || class_get(class + 1) ||
	    strcmp(mint_rule_get(rule)->path, "/tt/second") != 0)
		return 4;
	config_done(&c);
	return 0;
}

static void tables_of(const char *header, const char *class, const char *endpoint)
{
	struct config_error error;
	struct config c;

	assert_int_equal(config_init(&c), 0);
	assert_int_equal(config_set(&c, "credentials.headers", header, &error), 0);
	assert_int_equal(config_set(&c, "credentials.classes.acme", class, &error), 0);
	assert_int_equal(config_set(&c, "mints.endpoints", endpoint, &error), 0);
	assert_int_equal(config_tables(&c, &error), 0);
	config_done(&c);
}

static void numbers_come_along(void **state)
{
	uint16_t carrier = (uint16_t)(carrier_count() + 2), class = (uint16_t)(class_count() + 2);
	uint8_t rule = (uint8_t)(mint_rules_count + 2);
	struct agent_params p = params();
	int to[2], message[2] = { getpid() }, status;
	pid_t child;

	assert_int_equal(pipe(to), 0);
	child = fork();
	if (child == 0)
		_exit(other_process(to[0], carrier, class, rule));
	tables_of("x-tt-first", "prefix=acme_ length=20", "/tt/first");
	tables_of("x-tt-second", "prefix=acme_ length=24 chars=b62", "/tt/second");
	assert_int_equal(class_id(), class);
	message[1] = write_blob(&p);
	assert_int_equal(write(to[1], message, sizeof(message)), sizeof(message));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	close(message[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(sealed),
		cmocka_unit_test(params_that_no_agent_takes),
		cmocka_unit_test(cut_or_changed),
		cmocka_unit_test(not_sealed),
		cmocka_unit_test(numbers_come_along),
	};

	return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
