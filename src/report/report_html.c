/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page: its parts with the data in between. The data is JSON inside of a script element of another
 * type than JavaScript, so that nothing of it runs; '<', '>' and '&' in it are escaped, so that nothing of
 * it ends that element. The policy allows the two parts by their hash, and no network at all.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "report/report.h"

static void write_data(const char *json, FILE *to)
{
	for (; *json; json++) {
		if (*json == '<' || *json == '>' || *json == '&')
			fprintf(to, "\\u%04x", *json);
		else
			fputc(*json, to);
	}
}

static int write_mark(const struct report *r, const char *mark, size_t len, FILE *to)
{
	char *json = NULL;
	int error;

	if (len == 3 && !memcmp(mark, "css", len))
		fputs(report_page_css, to);
	else if (len == 2 && !memcmp(mark, "js", len))
		fputs(report_page_js, to);
	else if (len == 8 && !memcmp(mark, "css_hash", len))
		fputs(report_page_css_hash, to);
	else if (len == 7 && !memcmp(mark, "js_hash", len))
		fputs(report_page_js_hash, to);
	else if (len == 4 && !memcmp(mark, "data", len)) {
		error = report_data(r, true, &json);
		if (error < 0)
			return error;
		write_data(json, to);
		free(json);
	} else {
		return -EINVAL;
	}
	return 0;
}

int report_html(const struct report *r, FILE *to)
{
	const char *p = report_page_html, *mark, *end;
	int error = 0;

	while (error == 0 && (mark = strstr(p, "{{")) && (end = strstr(mark, "}}"))) {
		fwrite(p, 1, (size_t)(mark - p), to);
		error = write_mark(r, mark + 2, (size_t)(end - mark) - 2, to);
		p = end + 2;
	}
	fputs(p, to);
	return error ? error : ferror(to) ? -EIO : 0;
}
