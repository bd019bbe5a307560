/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `tokentrail report` says, in four shapes: text for a terminal, one JSON object, one HTML page that
 * needs nothing else, CSV lists for access reviews. All of them say the same: tokens/questions.h.
 */
#ifndef TT_REPORT_REPORT_H
#define TT_REPORT_REPORT_H

#include <stdbool.h>
#include <stdio.h>

#include "tokens/questions.h"

#define REPORT_TOKENS_MAX 50000	/* of the page's table, those used last; it says so when there are more */
#define REPORT_FLOWS_MAX 2000	/* of the page's picture, the largest; the rest is added up */

struct report {
	struct history *h;
	struct answers a;
};

/* Each 0 or a negative errno (-ENOMEM; of files what the system said). */
int report_json(const struct report *r, FILE *to);
int report_terminal(const struct report *r, FILE *to, size_t rows);
int report_html(const struct report *r, FILE *to);
/* Makes unused.csv, excessive.csv and places.csv in a directory, which is made if need be. On failure
 * ret_path has the file. */
int report_csv(const struct report *r, const char *directory, char *ret_path, size_t size);
int report_csv_list(const struct report *r, enum question q, FILE *to);

/* "2026-11-23T23:14:54Z" or "" */
#define REPORT_TIME_LEN 24
const char *report_time(uint64_t ns, char to[static REPORT_TIME_LEN]);

/* The page's parts, made from page.html, page.css and page.js by the build. */
extern const char report_page_html[], report_page_css[], report_page_js[];
extern const char report_page_css_hash[], report_page_js_hash[];	/* sha256-..., as the policy has them */

/* The data of the page: report_json()'s object and what table, picture and timeline need. malloc'd. */
int report_data(const struct report *r, bool page, char **ret_text);

#endif
