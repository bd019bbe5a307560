/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The token classes (classes.tsv) and the places where credentials are carried (carriers.tsv),
 * compiled in as tables by the build (build/gen/tokens_tables.c), plus those of the configuration.
 * Row ids are what the kernel reports (struct tt_cred); 0 means none.
 */
#ifndef TT_TOKENS_CLASS_H
#define TT_TOKENS_CLASS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <tokentrail/abi.h>

#define CLASS_PATH 1	/* token_class.prefix[0]: what follows is the name of a carrier of the space `path` */

struct token_class {
	const char *name;	/* github_pat_classic */
	const char *provider;
	const char *kind;	/* api_key, oauth_access, ...; "" = its carrier says */
	const char *prefix;	/* at most TT_PREFIX_LEN bytes; "" = none; CLASS_PATH and a place in paths */
	/* Not NULL: no pattern of the kernel's, but a class that `where` tells: names of the classes that
	 * the kernel may have said, "*" = none or one without prefix. */
	const char *told_of;
	uint32_t min_len, max_len;	/* of the whole credential, bytes */
	const char *chars;	/* behind the prefix, ranges as in "0-9A-F" */
	uint8_t at[TT_CLASS_MARKS];
	char is[TT_CLASS_MARKS];
	uint8_t dots;		/* plus 1; 0 = any */
	uint8_t checksum;	/* enum tt_checksum */
	const char *expiry, *where, *source;	/* "" = none */
};

/* Row of a class id; NULL for 0 and for ids that no row has. */
const struct token_class *class_get(uint16_t id);
size_t class_count(void);	/* the built-in ones have ids 1..class_count() */
/* Is it one that stands at this place in paths? */
bool class_is_at(uint16_t id, const char *place);
/* The i-th of those with told_of; NULL: there are no more. */
const struct token_class *class_told(size_t i);

/*
 * What is added from here on, classes and carriers, takes the place of what was added before, until
 * class_undo(). Rows that were in force once keep their ids and their meaning for as long as the process
 * lives, and what is added again gets its old id.
 */
void class_begin(void);
void class_undo(void);

/* The row that the kernel gets; false: it gets none, user space tells this class. */
bool class_row(uint16_t id, struct tt_class_row *ret_row);

/* Every prefix with the rows to try for it; stops at and returns the first negative result of put(). */
int classes_each(int (*put)(const struct tt_class_key *key, const struct tt_class_val *val, void *data),
		 void *data);

/* The class of a credential as the kernel finds it; 0 = none. *ret_flags: TT_CRED_CHECKSUM_*; may be
 * NULL. Only `tokentrail fingerprint`, which reads tokens that its user types in, has bytes to give. */
uint16_t class_of(const void *bytes, size_t len, uint8_t *ret_flags);

#define CLASSES_ADDED_MAX 64	/* in force at a time; twice as many different ones in a process's life */
/*
 * Adds a class of the configuration: `spec` is "prefix=acme_ length=40 chars=hex kind=api_key
 * host=api.acme.example"; length may be 20-40, chars, kind and host may be left out (b64u, api_key,
 * anywhere). -EINVAL, -EEXIST: a class has this name or pattern, -ENOSPC; *ret_why says what is wrong
 * in words that follow "class 'x': ".
 */
int class_add(const char *name, const char *spec, const char **ret_why);
/* Makes the row of another process: to be called for each row of class_own(), in their order. */
int class_learn(const char *name, const char *spec);
/* The i'th that was ever added, counted from 0. */
bool class_own(size_t i, const char **ret_name, const char **ret_spec);
/* Is it one? Nothing is added. */
int class_check(const char *name, const char *spec, const char **ret_why);

struct carrier {
	enum tt_name_space space;	/* TT_NAME_HEADER, _SUFFIX, _PARAM, _COOKIE or _PATH */
	const char *name;	/* lower case; as written for parameters and cookies; of paths see carriers.tsv */
	enum tt_unwrap unwrap;
	const char *kind;	/* of a credential whose class does not say; "" = not known */
	/* Hosts where it is one for sure; elsewhere it may be anything, or with ! in front it is none (decide.c);
	 * "" = any. */
	const char *where;
};

/* What stands before the name in records: "query:", "cookie:", "*" of a suffix; "path" stands for itself. */
const char *carrier_prefix(enum tt_name_space space);

const struct carrier *carrier_get(uint16_t id);
size_t carrier_count(void);	/* the built-in ones have ids 1..carrier_count() */
/* The id after this one of those in force, the added ones too; 0 = that was the last. From 0 on. */
uint16_t carrier_next(uint16_t id);
/* The i'th that was ever added, counted from 0; NULL: there are not so many. */
const struct carrier *carrier_own(size_t i);
#define CARRIERS_ADDED_MAX 64	/* as of classes */

/* Are headers watched that only end like those of credentials? As a carrier that is added; yes without a word. */
void carrier_suffixes(bool on);

/* Adds a header or parameter of the user's configuration. -EEXIST: there is one of this name;
 * -EINVAL: not a field name (RFC 9110, 5.1) or longer than 48 bytes; -ENOSPC: more than 64 in force, or more
 * than 128 different ones since the start. */
int carrier_add(enum tt_name_space space, const char *name);

struct scheme {
	const char *name;	/* lower case */
	enum tt_unwrap unwrap;
	const char *param;	/* that it names, lower case; "" = none */
};
/* Does it sign one request, so that what is reported is the id of a key? */
bool scheme_is_signed(const struct scheme *s);
const struct scheme *scheme_get(uint8_t id);
size_t scheme_count(void);

#endif
