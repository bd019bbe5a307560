/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libbpf maps the ring (consumer page writable, data read-only) and walks it; nothing here makes a
 * bpf(2) call after ring_open().
 */
#include "agent/ring.h"

#include <bpf/libbpf.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "agent/said.h"
#include "base/cleanup.h"
#include "sinks/sink.h"

#define GRPC_STATUS_LAST 16	/* UNAUTHENTICATED */

struct ring {
	struct ring_buffer *rb;
	struct ring_ops ops;
	void *ctx;
	int left;		/* records until this drain ends */
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

/* A negative answer ends libbpf's walk after this record. */
static int on_sample(void *ctx, void *data, size_t len)
{
	struct ring *r = ctx;

	ring_record(&r->ops, r->ctx, data, len);
	return --r->left > 0 ? 0 : -EINTR;
}

int ring_open(int map_fd, const struct ring_ops *ops, void *ctx, struct ring **ret_ring)
{
	_cleanup_(ring_freep) struct ring *r = NULL;

	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->ops = *ops;
	r->ctx = ctx;
	r->rb = ring_buffer__new(map_fd, on_sample, r, NULL);
	if (!r->rb)
		return -errno;
	*ret_ring = TAKE_PTR(r);
	return 0;
}

void ring_free(struct ring *r)
{
	if (!r)
		return;
	ring_buffer__free(r->rb);
	free(r);
}

int ring_poll_fd(const struct ring *r)
{
	return ring_buffer__epoll_fd(r->rb);
}

int ring_drain(struct ring *r, int limit)
{
	int n;

	r->left = limit;
	n = ring_buffer__consume(r->rb);
	if (n < 0 && n != -EINTR)
		return n;
	return limit - r->left;
}
