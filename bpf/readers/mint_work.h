/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the readers of bodies share: their memory, tokens and public texts. A body is read only where the
 * head says that it may hold a new token (mint_route.h). A member of interest is either a credential,
 * which becomes a fingerprint by the very machine that reads header fields, or a public text (scope,
 * expiry, ...), of which a word that could be a secret is replaced.
 */
#ifndef TT_READERS_MINT_WORK_H
#define TT_READERS_MINT_WORK_H

#include "http1.h"
#include "words.h"

#define MINT_BODY_MAX (256 * 1024)	/* bytes of one body; the largest answers have some tens of KiB */
#define MINT_DEPTH_MAX 60	/* of nested values: a bit each */
#define MINT_PATH_MAX 4		/* members deeper than this have no name here */
#define MINT_TEXT_MAX 255	/* bytes of one text */

enum mint_result {
	M_NEXT,		/* call again */
	M_FILL,		/* the window is used up: load the next bytes at w->pos, or come back with the next piece */
	M_MEMBER,	/* m->member_hash has to be looked up: w->answer.id and .unwrap (enum tt_mint_what) */
	M_CLASS,	/* as H1_ASK with H1_ASK_CLASS */
	M_PACKED,	/* it is compressed: give it the bytes that are made of m->bits, its first one, and those
			 * from w->pos on (inflate.h). Then m->packed = M_UNPACKED, or mint_failed() */
	M_STOP,		/* nothing more of this body is read */
};

enum mint_state {
	M_START,	/* the first byte tells the format */
	M_START_X,	/* it was an 'x': of a form, or of zlib's head */
	M_J_VALUE,
	M_J_NAME_WAIT,
	M_J_NAME,
	M_J_NAMED,
	M_J_COLON,
	M_J_SKIP,	/* a string of no interest */
	M_J_TOKEN,
	M_J_TEXT,
	M_J_WORD,	/* a number, true, false, null */
	M_J_AFTER,
	M_F_NAME,
	M_F_NAMED,
	M_F_VALUE,
	M_X_TEXT,
	M_X_TAG,	/* behind '<' */
	M_X_NAME,
	M_X_NAMED,
	M_X_ATTRIBUTES,
	M_X_CLOSING,
	M_X_PROLOG,	/* <? ... > */
	M_X_ENTITY,
	M_P_TAG,	/* number and wire type of a field */
	M_P_ASKED,
	M_P_LEN,
	M_P_NUMBER,
	M_P_DIGITS,	/* of a number that is a text */
	M_P_KIND,	/* the name of what the envelope holds */
	M_P_VALUE,
	M_P_SKIP,
	M_PLAIN,
	M_CRED_ASKED,	/* the class is known */
	M_OVER,
};

enum mint_format { M_FORM = 1, M_JSON, M_XML, M_TOKEN, M_PROTO };

/* mint_body.packed */
enum { M_AS_IS, M_DEFLATED, M_UNPACKED };

/* What is known of a body while it is read; with the struct h1_head beside it, parked between calls. */
struct mint_body {
	__u64 kinds;		/* JSON: a bit for each open value: an object; protobuf: the number being read */
	__u64 member_hash;	/* of the member being read and all around it; 0 = has no name here */
	__u64 path[8];		/* of the open objects, by depth; protobuf: 0 = its fields have no names */
	__u32 left[8];		/* protobuf: bytes of the open messages but those of one inside, by depth */
	__u32 bytes;
	__u32 bits;		/* of an escape; protobuf: bytes of this value still to come */
	__u16 status;		/* of an answer; 0 = a request, or not known */
	__u16 text_len, text_at, word_at;
	__u8 state;		/* enum mint_state */
	__u8 then;		/* behind M_CRED_ASKED */
	__u8 format;		/* enum mint_format, 0 = not known yet */
	__u8 plain;		/* a body of no other format is a token */
	__u8 rule;
	__u8 part;		/* TT_MINT_REQUEST, TT_MINT_ANSWER */
	__u8 what;		/* enum tt_mint_what, of the value being read */
	__u8 member;		/* row of its table */
	__u8 depth;
	__u8 list;		/* depth of the list whose texts are joined; protobuf: its member; 0 = none */
	__u8 escape;		/* bytes of an escape still to come; protobuf: bytes so far of a number, digits to come */
	__u8 quote;		/* XML: in an attribute's value; protobuf: the field's number */
	__u8 hold;		/* blanks behind a token; protobuf: how the value is coded, a digit was written */
	__u8 bad;		/* this value is not one */
	__u8 gap;		/* a blank stands before the next word */
	__u8 hidden;		/* the word was replaced */
	__u8 cut;		/* the text does not fit */
	struct word word;	/* of the text being read */
	__u8 creds;
	__u8 flags;		/* TT_MINT_* */
	__u8 ended;		/* no more bytes will come than those of this piece */
	__u8 packed;		/* M_DEFLATED: what is known is to be believed once its end was reached */
	__u8 pad_[5];
	struct tt_mint_cred cred[TT_MINT_CREDS_MAX];
	__u8 text[TT_MINT_TEXT_LEN];	/* unfinished ones too: masked while parked */
};

static __always_inline int mint_over(struct mint_body *m, __u8 flags)
{
	m->flags |= flags;
	m->state = M_OVER;
	return M_STOP;
}

/* What it was compressed to is damaged, cut off, or more than is read: nothing of it is believed. */
static __always_inline int mint_failed(struct mint_body *m, __u8 flags)
{
	m->packed = M_UNPACKED;
	m->flags = 0;
	m->creds = 0;
	m->text_len = 0;
	m->text_at = 0;
	return mint_over(m, flags);
}

static __always_inline int mint_blank(__u8 c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* ---- texts: member, length, bytes ---- */

static __always_inline void mint_text_byte(struct mint_body *m, __u8 c)
{
	__u64 i = m->text_len;

	if (i >= TT_MINT_TEXT_LEN || i - m->text_at >= MINT_TEXT_MAX + 2) {
		m->cut = 1;
		return;
	}
	H1_MASK(i, TT_MINT_TEXT_LEN - 1);
	m->text[i] = c;
	m->text_len++;
}

static __always_inline void mint_word_start(struct mint_body *m)
{
	m->word_at = m->text_len;
	m->hidden = 0;
	word_start(&m->word);
}

static __always_inline void mint_text_start(struct mint_body *m)
{
	m->text_at = m->text_len;
	m->cut = 0;
	m->gap = 0;
	mint_text_byte(m, m->member);
	mint_text_byte(m, 0);
	mint_word_start(m);
}

static __always_inline void mint_text_hide(struct mint_body *m)
{
	m->text_len = m->word_at;
	mint_text_byte(m, '{');
	mint_text_byte(m, '.');
	mint_text_byte(m, '.');
	mint_text_byte(m, '.');
	mint_text_byte(m, '}');
	m->hidden = 1;
}

/* Could the word, with this byte in it, be a secret? */
static __always_inline int mint_suspect(struct mint_body *m, __u8 c)
{
	if (m->what == TT_MINT_KEY_ID)
		return !word_is_key(c, m->text_len - m->word_at);
	return word_suspect(&m->word, c);
}

static __always_inline void mint_text_put(struct mint_body *m, __u8 c)
{
	if (c <= ' ') {
		m->gap = m->text_len > m->text_at + 2;
		m->hidden = 0;
		return;
	}
	if (m->hidden)
		return;
	if (m->gap) {
		mint_text_byte(m, ' ');
		mint_word_start(m);
		m->gap = 0;
	}
	if (c >= 127 || c == '"' || c == '\\')
		c = '?';
	if (mint_suspect(m, c))
		mint_text_hide(m);
	else
		mint_text_byte(m, c);
}

static __always_inline void mint_text_end(struct mint_body *m)
{
	__u64 i = m->text_at + 1, len = m->text_len - m->text_at;

	if (m->cut)
		m->flags |= TT_MINT_TEXT_CUT;
	if (m->cut || m->bad || len <= 2) {
		m->text_len = m->text_at;
		return;
	}
	H1_MASK(i, TT_MINT_TEXT_LEN - 1);
	m->text[i] = len - 2;
}

/* Bytes of the texts that are whole: of one that the body's end cut off nobody knows whether it is a secret. */
static __always_inline __u32 mint_texts_len(const struct mint_body *m)
{
	__u64 i = m->text_at + 1;

	H1_MASK(i, TT_MINT_TEXT_LEN - 1);
	if (m->text_len <= m->text_at)
		return m->text_len;
	return m->text_len - m->text_at < 2 || !m->text[i] ? m->text_at : m->text_len;
}

/* ---- values ---- */

static __always_inline void mint_value_start(struct h1_work *w, struct mint_body *m)
{
	m->hold = 0;
	m->bad = 0;
	m->escape = 0;
	if (m->what == TT_MINT_TOKEN) {
		h1_cred_start(w, 0);
		w->h.carrier = 0;
	} else if (m->what) {
		mint_text_start(m);
	}
}

static __always_inline void mint_value_put(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (m->what == TT_MINT_TOKEN)
		h1_cred_put(w, c);
	else if (m->what)
		mint_text_put(m, c);
}

/* Where blanks around a value are none of it. */
static __always_inline void mint_value_trimmed(struct h1_work *w, struct mint_body *m, __u8 c)
{
	if (m->what == TT_MINT_TOKEN) {
		if (mint_blank(c)) {
			m->hold = w->h.sip.len != 0;
			return;
		}
		m->bad |= m->hold || c < ' ' || c >= 127;
	}
	mint_value_put(w, m, c);
}

/* The value is whole. Whether its class has to be asked for. */
static __always_inline int mint_value_end(struct h1_work *w, struct mint_body *m, __u8 then)
{
	__u8 what = m->what;

	m->what = 0;
	m->state = then;
	if (what && what != TT_MINT_TOKEN)
		mint_text_end(m);
	if (what != TT_MINT_TOKEN)
		return M_NEXT;
	if (m->bad) {
		m->flags |= TT_MINT_BAD_VALUE;
		return M_NEXT;
	}
	if (!w->h.sip.len)
		return M_NEXT;
	w->ask = H1_ASK_CLASS;
	w->ask_len = w->h.sip.len;
	m->then = then;
	m->state = M_CRED_ASKED;
	return M_CLASS;
}

static __always_inline int mint_cred_asked(struct h1_work *w, struct mint_body *m)
{
	__u64 id[2], i = m->creds;
	__u32 len = w->h.sip.len;
	struct tt_mint_cred *c;

	m->state = m->then;
	if (i >= TT_MINT_CREDS_MAX) {
		m->flags |= TT_MINT_MORE;
		return M_NEXT;
	}
	siphash_final(&w->h.sip, id);
	h1_cred_make(w, id, len);
	H1_MASK(i, TT_MINT_CREDS_MAX - 1);
	c = &m->cred[i];
	c->token[0] = w->h.made.token[0];
	c->token[1] = w->h.made.token[1];
	c->length = len;
	c->class_id = w->h.made.class_id;
	c->member = m->member;
	c->flags = 0;
	m->creds++;
	return M_NEXT;
}

static __always_inline int mint_ask_member(struct mint_body *m, __u64 path, __u64 name, __u8 then)
{
	m->member_hash = tt_name_mix(path, name);
	m->state = then;
	return M_MEMBER;
}

/* The member that was asked for. */
static __always_inline void mint_take_member(struct h1_work *w, struct mint_body *m)
{
	m->member = w->answer.id;
	m->what = w->answer.id ? w->answer.unwrap : 0;
	if (m->what == TT_MINT_MESSAGE && m->format != M_PROTO)
		m->what = 0;
}

#endif
