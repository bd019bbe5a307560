/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/state.h"

#include "tokens/facts.h"

static uint64_t number(const struct token *t, enum fact which)
{
	return t->facts ? facts_number(t->facts, which) : 0;
}

enum token_state token_state(const struct token *t, uint64_t now_ns, uint64_t idle_ns)
{
	uint64_t revoked = number(t, FACT_revoked_time), ends = number(t, FACT_token_expires);

	/* A table entry that stood for something, perhaps not even for a token. */
	if (t->unreadable)
		return TOKEN_STATE_UNKNOWN;
	if (revoked && revoked <= now_ns)
		return TOKEN_REVOKED;
	if (ends && ends <= now_ns)
		return TOKEN_EXPIRED;
	if (t->last_ns)
		return idle_ns && now_ns > t->last_ns && now_ns - t->last_ns > idle_ns ? TOKEN_IDLE :
											 TOKEN_USED;
	return number(t, FACT_minted_time) ? TOKEN_MINTED : TOKEN_STATE_UNKNOWN;
}

const char *token_state_name(enum token_state state)
{
	static const char *const names[] = {
		[TOKEN_MINTED] = "minted", [TOKEN_USED] = "used", [TOKEN_IDLE] = "idle",
		[TOKEN_EXPIRED] = "expired", [TOKEN_REVOKED] = "revoked",
	};

	return (unsigned int)state < sizeof(names) / sizeof(names[0]) && names[state] ? names[state] : "";
}
