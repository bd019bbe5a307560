/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One write(2) per line, so that lines of the monitor and the agent, which share standard error,
 * never mix. Text from outside may be in a line: control characters become '?', or a process name
 * could forge a line of its own.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define LINE_MAX_BYTES 2048
#define RATE_WINDOW_NS (10ull * 1000 * 1000 * 1000)

static const char *const level_names[] = {
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVEL_WARNING] = "warning",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_DEBUG] = "debug",
};
static char log_role[32];
static enum log_level log_max = LOG_LEVEL_INFO;

void log_init(const char *role, enum log_level max)
{
	snprintf(log_role, sizeof(log_role), "%s", role ? role : "");
	log_max = max;
}

void log_set_level(enum log_level max)
{
	log_max = max;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*ret_level = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* There is nowhere left to complain when standard error fails; the line is lost. */
static void write_line(const char *line, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDERR_FILENO, line, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		line += n;
		len -= n;
	}
}

void log_write(enum log_level level, const char *fmt, ...)
{
	char line[LINE_MAX_BYTES];
	int saved = errno, head, body;
	size_t len;
	va_list ap;

	if (level > log_max)
		return;
	head = snprintf(line, sizeof(line), "tokentrail%s%s%s: %s: ", log_role[0] ? "[" : "",
			log_role, log_role[0] ? "]" : "", level_names[level]);
	errno = saved; /* for %m */
	va_start(ap, fmt);
	body = vsnprintf(line + head, sizeof(line) - head - 1, fmt, ap);
	va_end(ap);
	if (body < 0)
		body = 0;
	len = head + body;
	if (len > sizeof(line) - 2) /* cut by vsnprintf */
		len = sizeof(line) - 2;
	for (size_t i = 0; i < len; i++) {
		if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f)
			line[i] = '?';
	}
	line[len++] = '\n';
	write_line(line, len);
	errno = saved;
}

bool log_rate_ok(struct log_rate *rate, uint32_t burst)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
	if (rate->since_ns == 0 || now - rate->since_ns >= RATE_WINDOW_NS) {
		uint32_t left_out = rate->left_out;

		*rate = (struct log_rate){.since_ns = now};
		if (left_out > 0)
			log_warning("%u lines like the next one were left out", left_out);
	}
	if (rate->lines >= burst) {
		rate->left_out++;
		return false;
	}
	rate->lines++;
	return true;
}
