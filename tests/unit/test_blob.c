/* SPDX-License-Identifier: Apache-2.0 */
/* What the monitor packs the agent unpacks, and nothing that is not a whole sealed blob. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/blob.h"
#include "tokens/class.h"

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

static size_t carriers_in_force(void)
{
	size_t n = 0;

	for (uint16_t id = carrier_next(0); id; id = carrier_next(id))
		n++;
	return n;
}

static void carriers_are_numbered_headers_first(void **state)
{
	char *headers[] = { (char *)"x-tt-first", (char *)"x-tt-second" };
	char *parameters[] = { (char *)"tt_third" };
	uint16_t id = (uint16_t)carrier_count();	/* of the last that is built in */
	size_t before = carriers_in_force();
	struct config c;

	assert_int_equal(config_init(&c), 0);
	struct config with = c;
	with.headers = (struct text_list){ headers, 2 };
	with.parameters = (struct text_list){ parameters, 1 };
	assert_int_equal(blob_add_carriers(&with), 0);
	assert_int_equal(carriers_in_force(), before + 3);
	id = carrier_next(id);
	assert_string_equal(carrier_get(id)->name, "x-tt-first");
	id = carrier_next(carrier_next(id));
	assert_string_equal(carrier_get(id)->name, "tt_third");
	assert_int_equal(carrier_next(id), 0);
	assert_int_equal(blob_add_carriers(&with), 0);
	assert_int_equal(carriers_in_force(), before + 3);
	config_done(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_and_back),
		cmocka_unit_test(sealed),
		cmocka_unit_test(params_that_no_agent_takes),
		cmocka_unit_test(cut_or_changed),
		cmocka_unit_test(not_sealed),
		cmocka_unit_test(carriers_are_numbered_headers_first),
	};

	return cmocka_run_group_tests_name("blob", tests, NULL, NULL);
}
