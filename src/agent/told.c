/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/told.h"

#include <string.h>

#include "base/lru.h"

static uint64_t add(uint64_t hash, const char *text)
{
	return lru_hash(hash, text, strlen(text) + 1);
}

bool told_already(struct told *t, const struct use *u)
{
	uint64_t id = add(0, u->token_id);
	uint64_t *row = &t->row[id & (TOLD_ROWS - 1)];
	/* Of static texts the address tells enough: it is another one only after a reload. */
	const uintptr_t texts[] = { (uintptr_t)u->confidence, (uintptr_t)u->checksum, (uintptr_t)u->scheme };
	uint64_t hash = lru_hash(*u->public_id ? add(id, u->public_id) : id, texts, sizeof(texts));

	if (*row == hash)
		return true;
	*row = hash;
	return false;
}

static int set(struct facts *f, enum fact which, const char *text)
{
	return *text ? facts_set_text(f, which, text, strlen(text)) : 0;
}

int told_facts(const struct use *u, struct facts *ret_facts)
{
	int r = set(ret_facts, FACT_token_confidence, u->confidence);

	r = r < 0 ? r : set(ret_facts, FACT_token_checksum, u->checksum);
	r = r < 0 ? r : set(ret_facts, FACT_token_public_id, u->public_id);
	r = r < 0 ? r : set(ret_facts, FACT_token_account, u->account);
	return r < 0 ? r : set(ret_facts, FACT_token_bound, strcmp(u->scheme, "dpop") == 0 ? "dpop" : "");
}
