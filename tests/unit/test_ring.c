/* SPDX-License-Identifier: Apache-2.0 */
/* Records: good ones reach their handler, every kind of bad one is counted and reaches nobody. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/ring.h"
#include "sinks/sink.h"

static unsigned int uses, statuses, closes, claims, mints, rows;
static uint8_t last_byte;	/* of the claims that came last */

static void on_use(void *ctx, const struct tt_ev_use *ev)
{
	assert_int_equal(ev->h.conn, 9);
	uses++;
}

static void on_status(void *ctx, const struct tt_ev_status *ev)
{
	assert_true(ev->status == 404 || ev->status == 0);
	statuses++;
}

static void on_close(void *ctx, const struct tt_ev_status *ev)
{
	closes++;
}

static void on_claims(void *ctx, const struct tt_ev_claims *ev)
{
	last_byte = ((const uint8_t *)ev)[ev->h.len - 1];
	claims++;
}

static void on_mint(void *ctx, const struct tt_ev_mint *ev)
{
	assert_int_equal(ev->rule, 3);
	mints++;
}

static void on_row(void *ctx, const struct tt_ev_row *ev)
{
	assert_int_equal(ev->row, 7);
	rows++;
}

static const struct ring_ops ops = { on_use, on_status, on_close, on_claims, on_mint, on_row };

static int setup(void **state)
{
	uses = statuses = closes = claims = mints = rows = 0;
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

static struct tt_cred unreadable(uint32_t entry)
{
	return (struct tt_cred){ .token = { 1, 2 }, .flags = TT_CRED_UNREADABLE, .entry = entry };
}

static void http2_records_arrive(void **state)
{
	struct tt_ev_use use = good_use();
	struct tt_ev_status status = good_status(TT_EV_STATUS, 404);

	use.version = 20;
	use.h.seq = TT_SEQ_STREAM | 0x7fffffff;
	use.mcp_method_len = TT_MCP_METHOD_LEN;
	use.mcp_name_len = TT_MCP_NAME_LEN;
	use.flags = TT_USE_PATH_CUT | TT_USE_HOST_CUT | TT_USE_MORE_CREDS;
	use.creds = 4;
	use.cred[0].flags = TT_CRED_DUP_SCHEME;
	use.cred[1] = unreadable(1);
	use.cred[2] = unreadable(UINT32_MAX);
	use.cred[3] = unreadable(0);
	feed(&use, sizeof(use));
	assert_int_equal(uses, 1);
	for (unsigned int grpc = 0; grpc <= 16; grpc++) {
		status.flags = TT_STATUS_GRPC;
		status.grpc = (uint8_t)grpc;
		feed(&status, sizeof(status));
	}
	status.grpc = 255;
	feed(&status, sizeof(status));
	/* A status that could not be read, then a request that ended without a response. */
	status.status = 0;
	feed(&status, sizeof(status));
	status.flags = status.grpc = 0;
	feed(&status, sizeof(status));
	assert_int_equal(statuses, 20);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 0);
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
	BAD_USE(ev.h.type = 5);
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
	BAD_USE(ev.tls = TT_TLS_MAX);
	BAD_USE(ev.version = 0);
	BAD_USE(ev.version = 12);
	BAD_USE(ev.version = 21);
	BAD_USE(ev.flags = TT_USE_MORE_CREDS << 1);
	BAD_USE(ev.mcp_method_len = TT_MCP_METHOD_LEN + 1);
	BAD_USE(ev.mcp_name_len = TT_MCP_NAME_LEN + 1);
	BAD_USE(ev.mcp_method_len = ev.mcp_name_len = 255);
	BAD_USE(ev.creds = 0);
	BAD_USE(ev.creds = TT_CREDS_MAX + 1);
	BAD_USE(ev.method_len = TT_METHOD_LEN + 1);
	BAD_USE(ev.path_len = TT_PATH_LEN + 1);
	BAD_USE(ev.host_len = TT_HOST_LEN + 1);
	BAD_USE(ev.cred[0].carrier = 0);
	BAD_USE(ev.creds = 2);
}

static void wrong_credentials(void **state)
{
	BAD_USE(ev.cred[0].entry = 1);
	BAD_USE(ev.cred[0].flags = TT_CRED_UNREADABLE);
	BAD_USE(ev.cred[0].flags = 16);
	BAD_USE(ev.cred[0].flags = 0x80);
	BAD_USE(ev.cred[0] = unreadable(1); ev.cred[0].carrier = 1);
	BAD_USE(ev.cred[0] = unreadable(1); ev.cred[0].class_id = 1);
	BAD_USE(ev.cred[0] = unreadable(1); ev.cred[0].scheme = 1);
	BAD_USE(ev.cred[0] = unreadable(1); ev.cred[0].length = 1);
	BAD_USE(ev.cred[0] = unreadable(1); ev.cred[0].flags |= TT_CRED_DUP_SCHEME);
	BAD_USE(ev.cred[0] = unreadable(1); ev.cred[0].flags = 0);
	/* The first one is good, the last one of four is not. */
	BAD_USE(ev.creds = 4; ev.cred[1] = ev.cred[2] = unreadable(1));
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
	const uint16_t codes[] = { 1, 99, 1000, 65535 };

	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		struct tt_ev_status ev = good_status(TT_EV_STATUS, codes[i]);

		bad(&ev, sizeof(ev));
	}
	struct tt_ev_status unsent = good_status(TT_EV_STATUS, 200);
	unsent.flags = TT_STATUS_UNSENT;
	bad(&unsent, sizeof(unsent));
	unsent.status = 0;
	unsent.grpc = 1;
	bad(&unsent, sizeof(unsent));
	struct tt_ev_status end = good_status(TT_EV_CLOSE, 200);
	bad(&end, sizeof(end));
	end = good_status(TT_EV_CLOSE, 0);
	end.flags = TT_STATUS_GRPC;
	bad(&end, sizeof(end));
	end.flags = 0;
	end.grpc = 1;
	bad(&end, sizeof(end));
}

static void wrong_grpc_statuses(void **state)
{
	for (unsigned int grpc = 0; grpc <= 255; grpc++) {
		struct tt_ev_status ev = good_status(TT_EV_STATUS, 404);

		ev.grpc = (uint8_t)grpc;
		if (grpc)	/* without the flag it must be 0 */
			bad(&ev, sizeof(ev));
		ev.flags = TT_STATUS_GRPC;
		if (grpc > 16 && grpc < 255)
			bad(&ev, sizeof(ev));
		ev.flags = (uint8_t)(TT_STATUS_GRPC | (grpc + 1) << 1);
		if (ev.flags & ~(TT_STATUS_GRPC | TT_STATUS_SAID_CUT | TT_STATUS_ROW | TT_STATUS_ALONE) ||
		    ((ev.flags & TT_STATUS_ALONE) && !(ev.flags & TT_STATUS_ROW)))
			bad(&ev, sizeof(ev));
	}
}

/* What the response's head says follows: as long as it says, whole items of known rows. */
static void said(void **state)
{
	struct tt_ev_said ev = { .s = good_status(TT_EV_STATUS, 404), .text = { TT_SAID_SCOPES, 4, 'r', 'e', 'p', 'o' } };

	ev.s.h.len = sizeof(ev.s) + 6;
	ev.s.text_len = 6;
	bad(&ev, ev.s.h.len - 1);
	bad(&ev, ev.s.h.len + 1);
	ev.s.text_len = 5;
	bad(&ev, ev.s.h.len);
	ev.s.h.len = sizeof(ev.s) + 5;
	bad(&ev, ev.s.h.len);	/* an item that is not whole */
	ev.s.text_len = 6;
	ev.s.h.len = sizeof(ev.s) + 6;
	ev.text[0] = 0;
	bad(&ev, ev.s.h.len);
	ev.text[0] = TT_SAID_SCOPES;
	ev.s.h.type = TT_EV_CLOSE;
	ev.s.status = 0;
	ev.s.flags = 0;
	bad(&ev, ev.s.h.len);
	ev.s.h.len = sizeof(ev.s);
	bad(&ev, ev.s.h.len);	/* the end of a connection says nothing */
	ev.s.h.type = TT_EV_STATUS;
	ev.s.h.len = sizeof(ev.s) + 6;
	ev.s.status = 404;
	feed(&ev, ev.s.h.len);
	ev.s.flags = TT_STATUS_SAID_CUT;
	feed(&ev, ev.s.h.len);
	assert_int_equal(statuses, 2);
}

/* ---- claims ---- */

#define CLAIMS_HEAD offsetof(struct tt_ev_claims, text)

static struct tt_ev_claims good_claims(uint16_t header_len, uint16_t payload_len)
{
	static struct tt_ev_claims ev;

	ev = (struct tt_ev_claims){
		.h = { .type = TT_EV_CLAIMS, .abi = TT_ABI },
		.header_len = header_len,
		.payload_len = payload_len,
	};
	memset(ev.text, 'e', sizeof(ev.text));
	if (payload_len)
		ev.text[header_len] = '.';
	ev.h.len = CLAIMS_HEAD + header_len + (payload_len ? payload_len + 1 : 0);
	return ev;
}

static void good_claims_arrive(void **state)
{
	struct tt_ev_claims ev = good_claims(20, 100);

	feed(&ev, ev.h.len);
	ev = good_claims(1, 1000);
	feed(&ev, ev.h.len);
	ev = good_claims(20, 0);
	feed(&ev, ev.h.len);
	ev.flags = TT_CLAIMS_JWE;
	feed(&ev, ev.h.len);
	ev.flags = TT_CLAIMS_LONG | TT_CLAIMS_SD;
	feed(&ev, ev.h.len);
	for (uint8_t flags = 1; flags < 8; flags++) {
		ev = good_claims(0, 0);
		ev.flags = flags;
		feed(&ev, ev.h.len);
	}
	assert_int_equal(claims, 12);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 0);
}

#define BAD_CLAIMS(change)                                                                         \
	do {                                                                                       \
		struct tt_ev_claims ev = good_claims(20, 100);                                     \
		size_t len = ev.h.len;                                                             \
		change;                                                                            \
		bad(&ev, len);                                                                     \
		assert_int_equal(claims, 0);                                                       \
	} while (0)

static void wrong_claims(void **state)
{
	BAD_CLAIMS(ev.header_len++);
	BAD_CLAIMS(ev.payload_len++);
	BAD_CLAIMS(ev.payload_len = 0);
	BAD_CLAIMS(ev.header_len = ev.payload_len = 65535);
	BAD_CLAIMS(ev.header_len = 0; ev.payload_len = 120);
	BAD_CLAIMS(ev.text[20] = 'e');
	BAD_CLAIMS(ev.flags = 128);
	/* The text of a token that may be unsigned, a payload behind what is a header only. */
	BAD_CLAIMS(ev.flags = TT_CLAIMS_UNSIGNED);
	BAD_CLAIMS(ev.flags = TT_CLAIMS_UNSURE);
	BAD_CLAIMS(ev.flags = TT_CLAIMS_BAD);
	BAD_CLAIMS(ev.flags = TT_CLAIMS_LONG);
	BAD_CLAIMS(ev.flags = TT_CLAIMS_JWE);
	for (size_t n = 0; n < CLAIMS_HEAD + 121; n++)
		BAD_CLAIMS(ev.h.len = len = n);
	BAD_CLAIMS(ev = good_claims(0, 0); len = ev.h.len);
}

/* ---- walking ---- */

#define RING_BYTES (512U << 10)	/* two windows */

/* As the kernel has it: the data are there twice. Here each copy is written for itself. */
static struct {
	unsigned long taken, given;
	unsigned char *data;
	struct ring *ring;
} made;

static int ring_made(void **state)
{
	struct ring_memory memory = { .fd = memfd_create("ring", MFD_CLOEXEC), .data_at = 8192, .size = RING_BYTES,
				      .taken = &made.taken, .given = &made.given };

	setup(state);
	assert_int_equal(ftruncate(memory.fd, 8192 + 2 * RING_BYTES), 0);
	made.data = mmap(NULL, 2 * RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory.fd, 8192);
	assert_ptr_not_equal(made.data, MAP_FAILED);
	made.taken = made.given = 0;
	assert_int_equal(ring_new(&memory, &ops, NULL, &made.ring), 0);
	return 0;
}

static int ring_gone(void **state)
{
	close(ring_poll_fd(made.ring));
	ring_free(made.ring);
	munmap(made.data, 2 * RING_BYTES);
	return 0;
}

static void put_byte(unsigned long at, unsigned char byte)
{
	made.data[at % RING_BYTES] = made.data[at % RING_BYTES + RING_BYTES] = byte;
}

/* The flags are the kernel's (linux/bpf.h): bit 31 while it is written, bit 30 if nobody shall read it. */
static void write_head(unsigned long at, uint32_t word)
{
	unsigned char bytes[8] = { 0 };

	memcpy(bytes, &word, sizeof(word));
	for (unsigned int i = 0; i < sizeof(bytes); i++)
		put_byte(at + i, bytes[i]);
}

static void write_record(const void *bytes, uint32_t len, uint32_t flags)
{
	write_head(made.given, len | flags);
	for (uint32_t i = 0; i < len; i++)
		put_byte(made.given + 8 + i, ((const unsigned char *)bytes)[i]);
	made.given += (8 + len + 7) / 8 * 8;
}

static void records_over_the_end(void **state)
{
	struct tt_ev_claims ev = good_claims(20, 8000);
	struct tt_ev_use use = good_use();

	for (unsigned int i = 0; i < 200; i++) {
		((uint8_t *)&ev)[ev.h.len - 1] = (uint8_t)i;
		write_record(&ev, ev.h.len, 0);
		write_record(&use, sizeof(use), 0);
		assert_int_equal(ring_drain(made.ring, 100), 2);
		assert_int_equal(last_byte, (uint8_t)i);
		assert_int_equal(made.taken, made.given);
	}
	assert_int_equal(claims, 200);
	assert_int_equal(uses, 200);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 0);
}

static void one_that_is_still_written(void **state)
{
	struct tt_ev_use use = good_use();
	unsigned long second;

	write_record(&use, sizeof(use), 0);
	second = made.given;
	write_record(&use, sizeof(use), 1U << 31);
	write_record(&use, sizeof(use), 0);
	assert_int_equal(ring_drain(made.ring, 100), 1);
	assert_int_equal(made.taken, second);
	assert_int_equal(ring_drain(made.ring, 100), 0);
	write_head(second, sizeof(use));
	assert_int_equal(ring_drain(made.ring, 100), 2);
	assert_int_equal(uses, 3);
	assert_int_equal(made.taken, made.given);
}

static void discarded_ones(void **state)
{
	struct tt_ev_use use = good_use();

	write_record(&use, sizeof(use), 1U << 30);
	write_record(&use, sizeof(use), 0);
	write_record(&use, sizeof(use), 1U << 30);
	assert_int_equal(ring_drain(made.ring, 100), 3);
	assert_int_equal(uses, 1);
	assert_int_equal(made.taken, made.given);
}

static void no_more_than_asked_for(void **state)
{
	struct tt_ev_use use = good_use();

	for (unsigned int i = 0; i < 10; i++)
		write_record(&use, sizeof(use), 0);
	assert_int_equal(ring_drain(made.ring, 4), 4);
	assert_int_equal(ring_drain(made.ring, 4), 4);
	assert_int_equal(ring_drain(made.ring, 4), 2);
	assert_int_equal(uses, 10);
}

/* Longer than anything of ours. */
static void one_that_is_too_long(void **state)
{
	struct tt_ev_use use = good_use();
	uint32_t len = sizeof(struct tt_ev_claims) + 1;

	write_head(made.given, len);
	made.given += (8 + len + 7) / 8 * 8;
	write_record(&use, sizeof(use), 0);
	write_head(made.given, RING_BYTES / 2);
	made.given += 8 + RING_BYTES / 2;
	write_record(&use, sizeof(use), 0);
	assert_int_equal(ring_drain(made.ring, 100), 4);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 2);
	assert_int_equal(uses, 2);
}

/* What was not mapped can't be read: nothing is skipped, and it is read when it can be. */
static void a_window_that_fails(void **state)
{
	struct ring_memory memory = { .fd = -1, .size = RING_BYTES, .taken = &made.taken, .given = &made.given };
	struct tt_ev_use use = good_use();
	struct ring *other;

	write_record(&use, sizeof(use), 0);
	assert_int_equal(ring_new(&memory, &ops, NULL, &other), 0);
	assert_int_equal(ring_drain(other, 100), -EBADF);
	ring_free(other);
	assert_int_equal(made.taken, 0);
	assert_int_equal(ring_drain(made.ring, 100), 1);
	memory.size = RING_BYTES / 4;
	assert_int_equal(ring_new(&memory, &ops, NULL, &other), -EINVAL);
}

#define WALK(f) cmocka_unit_test_setup_teardown(f, ring_made, ring_gone)
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, NULL)

/* A row's end: of a row that was one, with a use that could have been a record. */
static void ends_of_rows(void **state)
{
	struct tt_ev_row good = {
		.h = { .type = TT_EV_ROW, .abi = TT_ABI, .len = sizeof(good) },
		.row = 7, .was = { .gen = 3, .uses = 2, .use = good_use() },
	}, bad = good;

	feed(&good, sizeof(good));
	assert_int_equal(rows, 1);
	bad.was.gen = 2;
	feed(&bad, sizeof(bad));
	bad.was.gen = 1;
	feed(&bad, sizeof(bad));
	bad = good;
	bad.was.uses = 0;
	feed(&bad, sizeof(bad));
	bad = good;
	bad.was.use.creds = TT_CREDS_MAX + 1;
	feed(&bad, sizeof(bad));
	bad = good;
	bad.was.use.h.tuple.family = 77;
	feed(&bad, sizeof(bad));
	feed(&good, sizeof(good) - 8);
	assert_int_equal(rows, 1);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 6);
}

/* A status of a row; one that counts alone has a row. */
static void statuses_of_rows(void **state)
{
	struct tt_ev_status ev = { .h = { .type = TT_EV_STATUS, .abi = TT_ABI, .len = sizeof(ev) }, .status = 404 };

	ev.flags = TT_STATUS_ROW;
	feed(&ev, sizeof(ev));
	ev.flags = TT_STATUS_ROW | TT_STATUS_ALONE;
	feed(&ev, sizeof(ev));
	assert_int_equal(statuses, 2);
	ev.flags = TT_STATUS_ALONE;
	feed(&ev, sizeof(ev));
	assert_int_equal(statuses, 2);
	assert_int_equal(agent_drops[TT_DROP_bad_record], 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(good_records_arrive),  TEST(http2_records_arrive), TEST(wrong_headers),
		TEST(wrong_insides),	    TEST(wrong_credentials),	TEST(every_shorter_length),
		TEST(wrong_statuses),	    TEST(wrong_grpc_statuses),	TEST(said),
		TEST(good_claims_arrive),   TEST(wrong_claims),		TEST(ends_of_rows),
		TEST(statuses_of_rows),	    WALK(records_over_the_end),	WALK(one_that_is_still_written),
		WALK(discarded_ones),	    WALK(no_more_than_asked_for), WALK(one_that_is_too_long),
		WALK(a_window_that_fails),
	};

	return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
