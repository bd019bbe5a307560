/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Sec-WebSocket-Protocol (RFC 6455, 11.3.4): browsers let a page set no other field of a handshake, so servers
 * take credentials as one of the subprotocols. Those that are known for it are looked up: by a beginning that
 * ends in a dot ("base64url.bearer.authorization.k8s.io.V", Kubernetes), or by the one in front ("access_token, V").
 */
#ifndef TT_READERS_HTTP1_SUBPROTOCOL_H
#define TT_READERS_HTTP1_SUBPROTOCOL_H

#include "unwrap.h"

#define H1_SUBPROTOCOL_MAX 48	/* bytes of a name that is looked up */

static __always_inline void h1_subprotocol_start(struct h1_work *w, __u16 carrier)
{
	h1_value_start(w, H1_S_SNAME);
	h1_cred_start(w, 0);
	w->h.carrier = carrier;
}

/* What follows is the credential. */
static __always_inline int h1_svalue_start(struct h1_work *w, __u8 unwrap)
{
	/* As in Basic, behind the colon: the same faults. */
	w->h.value = unwrap == TT_UNWRAP_BASE64URL ? H1_V_BASIC | H1_V_COLON : 0;
	w->h.value_state = H1_S_SVALUE;
	w->d.state = H1_S_SVALUE;
	return H1_NEXT;
}

static __always_inline int h1_sname(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;

	if (h->words && c > ' ' && c != ',')
		return h1_svalue_start(w, TT_UNWRAP_WHOLE);
	if ((c == '.' || c == ',') && h->name_len && h->name_len < H1_SUBPROTOCOL_MAX) {
		if (c == '.')
			h1_name_put(h, c);
		h->scheme_hash = h->name_hash;	/* the name may go on */
		h1_name_end(h);
		return h1_ask(w, H1_ASK_SUBPROTOCOL, H1_S_SNAME_ASKED);	/* the byte is left, as in h1_name() */
	}
	w->pos++;
	if (c == '\n')
		w->d.state = H1_S_LINE;
	else if (c == ',')
		h1_name_start(h);
	else if (c > ' ' && h->name_len < 255)
		h1_name_put(h, c);
	return H1_NEXT;
}

static __always_inline int h1_sname_asked(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	__u8 unwrap = w->answer.unwrap;

	w->pos++;
	w->d.state = H1_S_SNAME;
	h->name_hash = h->scheme_hash;
	if (c == ',') {
		h->words = unwrap == TT_UNWRAP_NEXT;
		h1_name_start(h);
	} else if (unwrap == TT_UNWRAP_WHOLE || unwrap == TT_UNWRAP_BASE64URL) {
		return h1_svalue_start(w, unwrap);
	}
	return H1_NEXT;
}

static __always_inline int h1_svalue(struct h1_work *w, __u8 c)
{
	struct h1_head *h = &w->h;
	int bits;

	if (c == ',' || (c <= ' ' && c != '\n'))
		return h1_cred_end(w, H1_S_SVALUE_ASKED);
	w->pos++;
	if (c == '\n') {
		w->d.state = H1_S_LINE;
		return H1_NEXT;
	}
	if (!h->value) {
		h1_cred_put(w, c);
		return H1_NEXT;
	}
	bits = base64_value(c);
	if (bits < 0 || (h->value & H1_V_PADDED)) {
		h->value |= c == '=' ? H1_V_PADDED : H1_V_BAD;
		return H1_NEXT;
	}
	if (h1_base64_put(h, bits, &c))
		h1_cred_put(w, c);
	return H1_NEXT;
}

static __always_inline int h1_svalue_asked(struct h1_work *w)
{
	h1_value_start(w, H1_S_SKIP);
	return h1_cred_done(w);
}

#endif
