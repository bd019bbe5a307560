/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Log lines on standard error: "tokentrail[role]: level: sentence key=value". One sentence, never
 * a token, a header or a body. Only main(), subcommands and loop callbacks log; libraries return
 * negative errno values.
 */
#ifndef TT_BASE_LOG_H
#define TT_BASE_LOG_H

#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_init(const char *role, enum log_level max);
void log_set_level(enum log_level max);
int log_level_parse(const char *name, enum log_level *ret_level);	/* -EINVAL: no such level */
void log_write(enum log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* At most `burst` lines each 10 s per call site; how many were left out is said with the next. */
struct log_rate {
	uint64_t since_ns;
	uint32_t lines, left_out;
};
bool log_rate_ok(struct log_rate *rate, uint32_t burst);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_limited(level, ...)                                                                    \
	do {                                                                                       \
		static struct log_rate rate_;                                                      \
		if (log_rate_ok(&rate_, 5))                                                        \
			log_write(level, __VA_ARGS__);                                             \
	} while (0)

#endif
