/* SPDX-License-Identifier: Apache-2.0 */
/* The table of names for the head reader: carriers.tsv, the user's own, and the control fields. */
#include <string.h>

#include <readers/fields.h>

#include "tokens/class.h"
#include "tokens/names.h"

static const struct {
	const char *name;
	enum tt_control control;
} control_fields[] = {
	{ "host", TT_CONTROL_HOST },
	{ "content-length", TT_CONTROL_LENGTH },
	{ "transfer-encoding", TT_CONTROL_CODING },
};

struct names_put {
	int (*put)(const struct tt_name_key *key, const struct tt_name_val *val, void *data);
	void *data;
};

static int names_one(const struct names_put *p, enum tt_name_space space, const char *name,
		     uint16_t id, uint8_t unwrap)
{
	struct tt_name_key key = { .space = space, .length = strlen(name) };
	struct tt_name_val val = { .id = id, .unwrap = unwrap };

	key.hash = tt_name_hash(name, key.length);
	return p->put(&key, &val, p->data);
}

int names_each(int (*put)(const struct tt_name_key *key, const struct tt_name_val *val, void *data),
	       void *data)
{
	const struct names_put p = { put, data };
	int r = 0;

	for (size_t i = 0; r >= 0 && i < sizeof(control_fields) / sizeof(control_fields[0]); i++)
		r = names_one(&p, TT_NAME_HEADER, control_fields[i].name, 0xffff,
			      control_fields[i].control);
	for (size_t id = 1; r >= 0 && id <= carrier_count(); id++) {
		const struct carrier *c = carrier_get(id);

		r = names_one(&p, c->space, c->name, id, c->unwrap);
	}
	for (size_t id = 1; r >= 0 && id <= scheme_count(); id++) {
		const struct scheme *s = scheme_get(id);

		r = names_one(&p, TT_NAME_SCHEME, s->name, id, s->unwrap);
	}
	return r < 0 ? r : 0;
}
