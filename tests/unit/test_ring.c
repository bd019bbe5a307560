/* SPDX-License-Identifier: Apache-2.0 */
/* Records: good ones reach their handler, every kind of bad one is counted and reaches nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/ring.h"
#include "sinks/sink.h"

static unsigned int uses, statuses, closes;

static void on_use(void *ctx, const struct tt_ev_use *ev)
{
	assert_int_equal(ev->h.conn, 9);
	uses++;
}

static void on_status(void *ctx, const struct tt_ev_status *ev)
{
	assert_int_equal(ev->status, 404);
	statuses++;
}

static void on_close(void *ctx, const struct tt_ev_status *ev)
{
	closes++;
}

static const struct ring_ops ops = { on_use, on_status, on_close };

static int setup(void **state)
{
	uses = statuses = closes = 0;
	agent_drops[TT_DROP_bad_record] = 0;
	return 0;
}

/* Feeds a copy that ends at an unreadable page: no reader may look behind the record. */
static void feed(const void *bytes, size_t len)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	char *m = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *at = m + page - (len + 7) / 8 * 8;

	assert_ptr_not_equal(m, MAP_FAILED);
	assert_int_equal(mprotect(m + page, page, PROT_NONE), 0);
	memcpy(at, bytes, len);
	ring_record(&ops, NULL, at, len);
	munmap(m, 2 * page);
}

static struct tt_ev_use good_use(void)
{
	struct tt_ev_use ev = {
		.h = { .type = TT_EV_USE, .abi = TT_ABI, .len = sizeof(ev), .conn = 9,
		       .tuple.family = TT_AF_INET },
		.dir = TT_DIR_EGRESS, .tls = TT_TLS_OPENSSL, .version = 11, .creds = 1,
		.method_len = 3, .path_len = 1, .host_len = 4,
		.cred = { { .carrier = 1, .length = 40 } },
	};

	return ev;
}

static struct tt_ev_status good_status(uint16_t type, uint16_t code)
{
	struct tt_ev_status ev = { .h = { .type = type, .abi = TT_ABI, .len = sizeof(ev) },
				   .status = code };

	return ev;
}

static void good_records_arrive(void **state)
{
	struct tt_ev_use use = good_use();
	struct tt_ev_status status = good_status(TT_EV_STATUS, 404);
	struct tt_ev_status end = good_status(TT_EV_CLOSE, 0);

	feed(&use, sizeof(use));
	use.creds = TT_CREDS_MAX;
	for (size_t i = 0; i < TT_CREDS_MAX; i++)
		use.cred[i].carrier = 2;
	use.method_len = TT_METHOD_LEN;
	use.path_len = TT_PATH_LEN;
	use.host_len = TT_HOST_LEN;
	feed(&use, sizeof(use));
	feed(&status, sizeof(status));
	feed(&end, sizeof(end));
	assert_int_equal(uses, 2);
	assert_int_equal(statuses, 1);
	assert_int_equal(closes, 1);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 0);
}

static void bad(const void *bytes, size_t len)
{
	uint64_t before = agent_drops[TT_DROP_bad_record];

	feed(bytes, len);
	assert_int_equal(agent_drops[TT_DROP_bad_record], before + 1);
	assert_int_equal(uses + statuses + closes, 0);
}

#define BAD_USE(change)                                                                            \
	do {                                                                                       \
		struct tt_ev_use ev = good_use();                                                  \
		change;                                                                            \
		bad(&ev, sizeof(ev));                                                              \
	} while (0)

static void wrong_headers(void **state)
{
	BAD_USE(ev.h.abi = TT_ABI + 1);
	BAD_USE(ev.h.type = 0);
	BAD_USE(ev.h.type = 4);
	BAD_USE(ev.h.type = TT_EV_STATUS);
	BAD_USE(ev.h.type = TT_EV_CLOSE);
	BAD_USE(ev.h.len--);
	BAD_USE(ev.h.len++);
	BAD_USE(ev.h.tuple.family = 3);
}

static void wrong_insides(void **state)
{
	BAD_USE(ev.dir = 0);
	BAD_USE(ev.dir = 3);
	BAD_USE(ev.tls = TT_TLS_OPENSSL + 1);
	BAD_USE(ev.version = 20);
	BAD_USE(ev.creds = 0);
	BAD_USE(ev.creds = TT_CREDS_MAX + 1);
	BAD_USE(ev.method_len = TT_METHOD_LEN + 1);
	BAD_USE(ev.path_len = TT_PATH_LEN + 1);
	BAD_USE(ev.host_len = TT_HOST_LEN + 1);
	BAD_USE(ev.cred[0].carrier = 0);
	BAD_USE(ev.creds = 2);
}

static void every_shorter_length(void **state)
{
	struct tt_ev_use use = good_use();
	struct tt_ev_status status = good_status(TT_EV_STATUS, 404);

	for (size_t len = 0; len < sizeof(use); len++) {
		use.h.len = (uint32_t)len;
		bad(&use, len);
	}
	for (size_t len = 0; len < sizeof(status); len++) {
		status.h.len = (uint32_t)len;
		bad(&status, len);
	}
}

static void wrong_statuses(void **state)
{
	const uint16_t codes[] = { 0, 99, 1000, 65535 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct tt_ev_status ev = good_status(TT_EV_STATUS, codes[i]);

		bad(&ev, sizeof(ev));
	}
	struct tt_ev_status end = good_status(TT_EV_CLOSE, 200);
	bad(&end, sizeof(end));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, NULL)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_records_arrive), TEST(wrong_headers),	 TEST(wrong_insides),
		TEST(every_shorter_length), TEST(wrong_statuses),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
