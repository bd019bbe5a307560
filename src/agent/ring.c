/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Layout and protocol are the kernel's (kernel/bpf/ringbuf.c, Documentation/bpf/ringbuf.rst). The data can be mapped
 * twice, one behind the other, for records that go on at the beginning. libbpf's reader maps all of both,
 * and each page counts as resident in this process, twice; here a window is mapped where records are read, and
 * goes with them. Nothing here makes a bpf(2) call after ring_open().
 *
 *   consumer's place | producer's place | data | the same data
 *   a page, writable | a page             read-only
 */
#include "agent/ring.h"

#include <bpf/bpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/said.h"
#include "base/cleanup.h"
#include "sinks/sink.h"

#define GRPC_STATUS_LAST 16	/* UNAUTHENTICATED */

#define RECORD_MAX sizeof(struct tt_ev_claims)	/* no other is longer */
#define WINDOW_BYTES (256U << 10)	/* no more than the smallest ring has: limits.ring */

struct ring {
	struct ring_ops ops;
	void *ctx;
	struct ring_memory memory;
	bool mapped;			/* the places, here */
	const unsigned char *window;	/* NULL: none yet */
	size_t window_at;		/* in the data, the first of both */
};

DEFINE_CLEANUP(struct ring *, ring_free)

static bool tuple_ok(const struct tt_tuple *t)
{
	return t->family == TT_AF_NONE || t->family == TT_AF_UNIX || t->family == TT_AF_INET ||
	       t->family == TT_AF_INET6;
}

/* What was read has a carrier; what was not read has nothing but its fingerprint and its entry. */
static bool cred_ok(const struct tt_cred *c)
{
	if (c->flags & ~(TT_CRED_DUP_SCHEME | TT_CRED_UNREADABLE | TT_CRED_CHECKSUM_OK |
			 TT_CRED_CHECKSUM_BAD))
		return false;
	if (!(c->flags & TT_CRED_UNREADABLE))
		return c->carrier != 0 && c->entry == 0;
	return c->flags == TT_CRED_UNREADABLE && c->carrier == 0 && c->class_id == 0 &&
	       c->scheme == 0 && c->length == 0;
}

bool ring_use_ok(const struct tt_ev_use *ev)
{
	if (ev->dir != TT_DIR_EGRESS && ev->dir != TT_DIR_INGRESS)
		return false;
	if (ev->tls >= TT_TLS_MAX || (ev->version != 10 && ev->version != 11 && ev->version != 20))
		return false;
	if (ev->flags & ~(TT_USE_PATH_CUT | TT_USE_HOST_CUT | TT_USE_MORE_CREDS))
		return false;
	if ((ev->creds < 1 && !ev->mint) || ev->creds > TT_CREDS_MAX)
		return false;
	for (size_t i = 0; i < ev->creds; i++)
		if (!cred_ok(&ev->cred[i]))
			return false;
	return ev->method_len <= TT_METHOD_LEN && ev->path_len <= TT_PATH_LEN &&
	       ev->host_len <= TT_HOST_LEN && ev->mcp_method_len <= TT_MCP_METHOD_LEN &&
	       ev->mcp_name_len <= TT_MCP_NAME_LEN && ev->public_len <= TT_PUBLIC_LEN &&
	       (!ev->public_len || ev->public_cred < ev->creds);
}

/* Status 0 stands for a request that ended without a response, or one whose status nobody could
 * read while its grpc-status was there. */
static bool status_ok(const struct tt_ev_status *ev)
{
	if (ev->status != 0 && (ev->status < 100 || ev->status > 999))
		return false;
	if (ev->flags == TT_STATUS_UNSENT)
		return ev->status == 0 && ev->grpc == 0;
	if (ev->flags & ~(TT_STATUS_GRPC | TT_STATUS_SAID_CUT | TT_STATUS_ROW | TT_STATUS_ALONE))
		return false;
	if ((ev->flags & TT_STATUS_ALONE) && !(ev->flags & TT_STATUS_ROW))
		return false;
	if (ev->flags & TT_STATUS_GRPC)
		return ev->grpc <= GRPC_STATUS_LAST || ev->grpc == UINT8_MAX;
	return ev->grpc == 0;
}

/* What is told of a token that may be unsigned has no text; one that is not whole ends with its header. */
static bool claims_ok(const struct tt_ev_claims *ev, size_t len)
{
	const uint8_t withheld = TT_CLAIMS_UNSIGNED | TT_CLAIMS_UNSURE | TT_CLAIMS_BAD;
	const size_t head = offsetof(struct tt_ev_claims, text);
	size_t text = (size_t)ev->header_len + (ev->payload_len ? ev->payload_len + 1U : 0);

	if (ev->flags & ~(withheld | TT_CLAIMS_LONG | TT_CLAIMS_JWE | TT_CLAIMS_SD |
			  TT_CLAIMS_ALG_NONE))
		return false;
	if (text > TT_CLAIMS_TEXT_MAX || len != head + text)
		return false;
	if ((ev->flags & withheld) ? ev->header_len || ev->payload_len : !ev->header_len)
		return false;
	if (!ev->payload_len)
		return true;
	return !(ev->flags & (TT_CLAIMS_LONG | TT_CLAIMS_JWE)) && ev->text[ev->header_len] == '.';
}

/* Texts fill their place exactly. */
static bool mint_ok(const struct tt_ev_mint *ev)
{
	size_t at = 0;

	if ((ev->part != TT_MINT_REQUEST && ev->part != TT_MINT_ANSWER) || !ev->rule ||
	    ev->creds > TT_MINT_CREDS_MAX || ev->text_len > TT_MINT_TEXT_LEN || ev->status > 999)
		return false;
	if (ev->part == TT_MINT_REQUEST ? ev->status != 0 : ev->status < 100)
		return false;
	while (at + 2 <= ev->text_len)
		at += 2 + ev->text[at + 1];
	return at == ev->text_len;
}

/* A row that has ended: it counted something, and was a row. */
static bool row_ok(const struct tt_ev_row *ev)
{
	return (ev->was.gen & 1) && ev->was.gen > 1 && ev->was.uses && tuple_ok(&ev->was.use.h.tuple) &&
	       ring_use_ok(&ev->was.use);
}

static bool record(const struct ring_ops *ops, void *ctx, const void *bytes, size_t len)
{
	const struct tt_ev_hdr *h = bytes;
	const struct tt_ev_status *status = bytes;

	if (len < sizeof(*h) || h->abi != TT_ABI || h->len != len || !tuple_ok(&h->tuple))
		return false;
	switch (h->type) {
	case TT_EV_USE:
		if (len != sizeof(struct tt_ev_use) || !ring_use_ok(bytes))
			return false;
		ops->use(ctx, bytes);
		return true;
	case TT_EV_STATUS:
		if (len < sizeof(*status) || len != sizeof(*status) + status->text_len ||
		    status->text_len > TT_SAID_LEN || !status_ok(status) || !said_ok(status))
			return false;
		ops->status(ctx, status);
		return true;
	case TT_EV_CLOSE:
		if (len != sizeof(*status) || status->status != 0 || status->flags != 0 ||
		    status->grpc != 0 || status->text_len != 0)
			return false;
		ops->close(ctx, status);
		return true;
	case TT_EV_CLAIMS:
		if (len < offsetof(struct tt_ev_claims, text) || !claims_ok(bytes, len))
			return false;
		ops->claims(ctx, bytes);
		return true;
	case TT_EV_MINT:
		if (len != sizeof(struct tt_ev_mint) || !mint_ok(bytes))
			return false;
		ops->mint(ctx, bytes);
		return true;
	case TT_EV_ROW:
		if (len != sizeof(struct tt_ev_row) || !row_ok(bytes))
			return false;
		ops->row(ctx, bytes);
		return true;
	default:
		return false;
	}
}

void ring_record(const struct ring_ops *ops, void *ctx, const void *bytes, size_t len)
{
	if (!record(ops, ctx, bytes, len))
		agent_drops[TT_DROP_bad_record]++;
}

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int ring_new(const struct ring_memory *memory, const struct ring_ops *ops, void *ctx, struct ring **ret_ring)
{
	struct ring *r;

	if (memory->size < WINDOW_BYTES)
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	*r = (struct ring){ .ops = *ops, .ctx = ctx, .memory = *memory };
	*ret_ring = r;
	return 0;
}

static int map_places(struct ring *r)
{
	void *at;

	r->mapped = true;
	at = mmap(NULL, page_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED, r->memory.fd, 0);
	if (at == MAP_FAILED)
		return -errno;
	r->memory.taken = at;
	at = mmap(NULL, page_bytes(), PROT_READ, MAP_SHARED, r->memory.fd, (off_t)page_bytes());
	if (at == MAP_FAILED)
		return -errno;
	r->memory.given = at;
	return 0;
}

int ring_open(int map_fd, const struct ring_ops *ops, void *ctx, struct ring **ret_ring)
{
	_cleanup_(ring_freep) struct ring *r = NULL;
	struct ring_memory memory = { .fd = map_fd, .data_at = 2 * page_bytes() };
	struct bpf_map_info info = { 0 };
	uint32_t len = sizeof(info);
	int ret;

	if (bpf_obj_get_info_by_fd(map_fd, &info, &len) < 0)
		return -errno;
	if (info.type != BPF_MAP_TYPE_RINGBUF)
		return -EINVAL;
	memory.size = info.max_entries;
	ret = ring_new(&memory, ops, ctx, &r);
	if (ret == 0)
		ret = map_places(r);
	if (ret < 0)
		return ret;
	*ret_ring = TAKE_PTR(r);
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	if (r->window)
		munmap((void *)r->window, WINDOW_BYTES);
	if (r->mapped && r->memory.taken)
		munmap(r->memory.taken, page_bytes());
	if (r->mapped && r->memory.given)
		munmap((void *)r->memory.given, page_bytes());
	free(r);
}

int ring_poll_fd(const struct ring *r)
{
	return r->memory.fd;
}

/* The bytes at a place of the data; the window moves there unless it has them all. NULL: it can't. */
static const unsigned char *look(struct ring *r, size_t at, size_t len)
{
	size_t from = at & ~(page_bytes() - 1);
	void *window;

	if (r->window && at >= r->window_at && at + len <= r->window_at + WINDOW_BYTES)
		return r->window + (at - r->window_at);
	window = mmap((void *)r->window, WINDOW_BYTES, PROT_READ, MAP_SHARED | (r->window ? MAP_FIXED : 0),
		      r->memory.fd, (off_t)(r->memory.data_at + from));
	if (window == MAP_FAILED)
		return NULL;
	r->window = window;
	r->window_at = from;
	return r->window + (at - from);
}
_Static_assert(RECORD_MAX + BPF_RINGBUF_HDR_SZ + (64 << 10) <= WINDOW_BYTES, "a record fits, at any place of a page");

/* Returns 1 if there was a record, 0 if the one at this place is still being written. */
static int take(struct ring *r, unsigned long *at)
{
	size_t place = *at & (r->memory.size - 1);
	const unsigned char *bytes = look(r, place, BPF_RINGBUF_HDR_SZ);
	uint32_t head, len;

	if (!bytes)
		return -errno;
	head = __atomic_load_n((const uint32_t *)bytes, __ATOMIC_ACQUIRE);
	if (head & BPF_RINGBUF_BUSY_BIT)
		return 0;
	len = head & ~(uint32_t)BPF_RINGBUF_DISCARD_BIT;
	*at += (BPF_RINGBUF_HDR_SZ + (unsigned long)len + 7) & ~7UL;
	if (head & BPF_RINGBUF_DISCARD_BIT)
		return 1;
	if (len > RECORD_MAX) {
		agent_drops[TT_DROP_bad_record]++;
		return 1;
	}
	bytes = look(r, place + BPF_RINGBUF_HDR_SZ, len);
	if (!bytes)
		return -errno;
	ring_record(&r->ops, r->ctx, bytes, len);
	return 1;
}

int ring_drain(struct ring *r, int limit)
{
	unsigned long at = __atomic_load_n(r->memory.taken, __ATOMIC_RELAXED);	/* nobody else writes it */
	int n = 0;

	while (n < limit && at < __atomic_load_n(r->memory.given, __ATOMIC_ACQUIRE)) {
		int ret = take(r, &at);

		if (ret < 0)
			return ret;
		if (ret == 0)
			break;
		n++;
		/* The kernel has this room again, and not before: it was being read. */
		__atomic_store_n(r->memory.taken, at, __ATOMIC_RELEASE);
	}
	return n;
}
