/* SPDX-License-Identifier: Apache-2.0 */
/*
 * "OpenSSL 3.0.19 27 Jan 2026", "OpenSSL 1.1.1k  FIPS 25 Mar 2021", "LibreSSL 3.8.2", "mbed TLS 2.28.3":
 * the texts that the libraries themselves tell. GnuTLS and wolfSSL have bare numbers, s2n has none:
 * what can't be told apart from other numbers is not known. Two different ones: not known either.
 */
#include "agent/elf_versions.h"

#include <string.h>

#include "agent/elf_text.h"

static const struct text {
	enum tt_tls tls;
	const char *part, *before[2];
	bool dated;		/* more may follow */
	const char *exported;	/* by the file that has it, when that has no TLS functions; or NULL */
} texts[] = {
	{ TT_TLS_OPENSSL, "OpenSSL ", { "OpenSSL " }, true, "OpenSSL_version" },
	{ TT_TLS_LIBRESSL, "LibreSSL ", { "LibreSSL " }, false, "OpenSSL_version" },
	{ TT_TLS_MBEDTLS, "bed TLS ", { "mbed TLS ", "Mbed TLS " }, false, NULL },
};
#define TEXTS (sizeof(texts) / sizeof(texts[0]))

struct version {
	const struct text *of;
	char text[TT_VERSION_LEN];
	bool several;
};

/* Not BoringSSL's "OpenSSL 1.1.1 (compatible; BoringSSL)". */
static bool is_date(const char *text)
{
	return text[0] == ' ' &&
	       text[strspn(text, " 0123456789"
			   "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")] == 0;
}

static size_t version_length(const struct text *of, const char *text)
{
	size_t len = strspn(text, "0123456789abcdefghijklmnopqrstuvwxyz.+-");

	if (len < 3 || text[0] < '0' || text[0] > '9' || !memchr(text, '.', len))
		return 0;
	return of->dated ? (is_date(text + len) ? len : 0) : text[len] ? 0 : len;
}

static const char *after(const struct text *of, const char *text)
{
	for (int i = 0; i < 2 && of->before[i]; i++)
		if (strncmp(text, of->before[i], strlen(of->before[i])) == 0)
			return text + strlen(of->before[i]);
	return NULL;
}

static bool take_version(void *arg, const char *text)
{
	struct version *v = arg;
	const char *number = after(v->of, text);
	size_t len = number ? version_length(v->of, number) : 0;

	if (len == 0 || len >= sizeof(v->text))
		return true;
	if (v->text[0] && (strlen(v->text) != len || memcmp(v->text, number, len)))
		v->several = true;
	memcpy(v->text, number, len);
	v->text[len] = 0;
	return !v->several;
}

static bool is_known(const struct elf_scan *scan, enum tt_tls tls)
{
	for (size_t i = 0; i < scan->findings; i++)
		if (scan->finding[i].tls == tls)
			return true;
	return false;
}

int elf_versions(struct elf_file *file, struct elf_scan *scan)
{
	static const char *const exported[] = { "OpenSSL_version" };
	uint32_t exports;
	int r;

	r = elf_exports(file, exported, 1, &exports);
	for (size_t i = 0; r == 0 && i < TEXTS; i++) {
		struct version v = { .of = &texts[i] };
		bool known = is_known(scan, texts[i].tls);

		if (!known && !(texts[i].exported && exports))
			continue;
		elf_texts(file, texts[i].part, take_version, &v);
		if (v.text[0] && !v.several)
			elf_scan_version(scan, texts[i].tls, v.text);
	}
	return r;
}
