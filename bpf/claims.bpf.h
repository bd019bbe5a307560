/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Tells the agent of a JWT that it does not know yet: readers/claims.h has the work. `told` remembers
 * whom that was done for, once the ring has taken the record: so a repeat costs one lookup.
 */
#ifndef TT_CLAIMS_BPF_H
#define TT_CLAIMS_BPF_H

#include "head.bpf.h"

/* May be one. Is there anything to do? */
__weak __noinline int claims_ask(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	struct told_key key = {};

	if (!s)
		return RUN_STOP;
	key.token[0] = s->w.c.ev.token[0];
	key.token[1] = s->w.c.ev.token[1];
	if (bpf_map_lookup_elem(&told, &key))
		return RUN_ON;
	s->after = s->reader;
	s->reader = READ_CLAIMS;
	return RUN_ON;
}

static __always_inline int claims_emit(struct scratch *s)
{
	struct tt_ev_claims *e = &s->w.c.ev;
	__u64 len = claims_size(&s->w.c);

	__builtin_memset(&e->h, 0, sizeof(e->h));
	emit_header(&e->h, TT_EV_CLAIMS, len);
	H1_MASK(len, 2 * TT_CLAIMS_TEXT_MAX - 1);
	if (len > sizeof(*e))
		return -1;
	return emit(e, len);
}

__weak __noinline int claims_end(__u32 slot, __u32 tell)
{
	struct scratch *s = scratch_get(slot);
	struct told_key key = {};
	__u8 one = 1;

	if (!s)
		return RUN_STOP;
	s->reader = s->after;
	if (tell && claims_emit(s)) {
		s->w.c.untold = 1;
		s->repeat.from = 0;
		s->block.from = 0;
		return RUN_ON;
	}
	if (tell && (s->w.c.ev.flags & TT_CLAIMS_LONG))
		drop(TT_DROP_claims_long);
	key.token[0] = s->w.c.ev.token[0];
	key.token[1] = s->w.c.ev.token[1];
	/* Without it the claims are told again: no loss. */
	bpf_map_update_elem(&told, &key, &one, BPF_ANY);
	return RUN_ON;
}

__weak __noinline int claims_one(__u32 slot)
{
	struct scratch *s = scratch_get(slot);
	int r;

	if (!s)
		return RUN_STOP;
	r = claims_step(&s->w.c);
	return r == CLAIMS_NEXT ? RUN_ON : claims_end(slot, r == CLAIMS_TELL);
}

#endif
