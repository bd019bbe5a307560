/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Settings: defaults, then the YAML file, then TOKENTRAIL_* in the environment (yaml.path upper
 * case with _ for . , e.g. TOKENTRAIL_KAFKA_BROKERS), then command line flags. Declared once in
 * include/tokentrail/config.def.
 *
 * A wrong file is refused whole, with one message that names file, line, column, key and the
 * remedy: "FILE:LINE:COLUMN: unknown setting 'kafka.brokrs'; did you mean 'kafka.brokers'?".
 */
#ifndef TT_CONFIG_CONFIG_H
#define TT_CONFIG_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text_list {
	char **items;
	size_t count;
};

struct text_map {
	char **names, **values;
	size_t count;
};

enum placement { PLACEMENT_AUTO, PLACEMENT_SYMBOL };
enum output_format { OUTPUT_AUTO, OUTPUT_TABLE, OUTPUT_JSON, OUTPUT_NONE };

struct config {
#define TT_CONFIG_STR(m, ...) char *m;
#define TT_CONFIG_BOOL(m, ...) bool m;
#define TT_CONFIG_U64(m, ...) uint64_t m;
#define TT_CONFIG_ENUM(m, ...) unsigned int m;
#define TT_CONFIG_LIST(m, ...) struct text_list m;
#define TT_CONFIG_MAP(m, ...) struct text_map m;
#include <tokentrail/config.def>
#undef TT_CONFIG_STR
#undef TT_CONFIG_BOOL
#undef TT_CONFIG_U64
#undef TT_CONFIG_ENUM
#undef TT_CONFIG_LIST
#undef TT_CONFIG_MAP
};

struct config_error {
	char text[512];
};

int config_init(struct config *c);	/* defaults; -ENOMEM */
void config_done(struct config *c);	/* frees what it owns; zeroes; init again to reuse */

/* Each returns 0 or a negative errno with *ret_error filled: -ENOENT no file, -EINVAL its content. */
int config_load_file(struct config *c, const char *path, struct config_error *ret_error);
int config_load_env(struct config *c, char *const env[], struct config_error *ret_error);
/* One setting by its yaml.path, as a flag or the environment gives it. */
int config_set(struct config *c, const char *path, const char *value, struct config_error *ret_error);
/* What hangs together: kafka needs brokers, the ring size is a power of two, ... */
int config_check(const struct config *c, struct config_error *ret_error);

/* Enters the configuration's classes, credential fields and token endpoints in the tables (tokens/class.h,
 * tokens/mint_rules.h), in the place of those of the configuration before. -EINVAL: nothing has changed. */
int config_tables(const struct config *c, struct config_error *ret_error);
void config_tables_undo(void);	/* takes the last one back */

/* The TLS libraries to watch: bit 1 << enum tt_tls each. */
uint32_t config_libraries(const struct config *c);

/* The settings as the text of a YAML file with every setting explained (deploy/tokentrail.yaml is
 * this text for the defaults). Malloc'd. */
int config_print(const struct config *c, bool with_help, char **ret_text);

/* Settings to and from bytes, for the agent's memfd. The values of kafka.settings that begin with
 * "file:" have been replaced by the files' contents (the agent can't read them). */
int config_pack(const struct config *c, void **ret_bytes, size_t *ret_len);
int config_unpack(struct config *c, const void *bytes, size_t len);

#endif
