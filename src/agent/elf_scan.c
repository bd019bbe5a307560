/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/elf_scan.h"

#include <errno.h>
#include <string.h>

#include "agent/elf_boringssl.h"
#include "agent/elf_cheap.h"
#include "agent/elf_go.h"
#include "agent/elf_java.h"
#include "agent/elf_openssl.h"
#include "agent/elf_rustls.h"
#include "agent/elf_symbols.h"
#include "agent/elf_versions.h"
#include "tokens/use.h"

enum { OUT = 1, IN = 2 };

static const struct {
	enum tt_tls tls;
	unsigned int hides;	/* which bytes are not seen without it */
} hooks[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result)                                     \
	[number] = { TT_TLS_##library, direction },
#define TT_HOOK_END(number, hook, library) [number] = { TT_TLS_##library, 0 },
#define TT_HOOK_PLAIN(number, hook, library) [number] = { TT_TLS_##library, OUT | IN },
#include <tokentrail/hooks.def>
};

static void refuse(struct elf_scan *scan, enum tt_hook hook, enum tt_blind why)
{
	enum tt_tls tls = hooks[hook].tls;

	scan->refused++;
	scan->why[tls] = why;
	for (int i = 0; i < 2; i++)
		if (hooks[hook].hides & (i ? IN : OUT))
			scan->partly[tls][i] = why;
}

void elf_scan_take(struct elf_scan *scan, const struct elf_file *file, uint64_t offset,
		   enum tt_hook hook)
{
	uint64_t site;
	enum tt_blind blind = elf_file_site(file, offset, &site);

	for (size_t i = 0; !blind && i < scan->count; i++)
		if (scan->hooks[i].offset == site)
			return;
	if (blind || scan->count == ELF_SCAN_HOOKS_MAX)
		refuse(scan, hook, blind ? blind : TT_BLIND_not_unique);
	else
		scan->hooks[scan->count++] =
			(struct elf_hook){ .offset = site, .hook = hook, .tls = hooks[hook].tls };
}

static struct tt_finding *finding(struct elf_scan *scan, enum tt_tls tls, const char *version)
{
	size_t i = 0;

	while (i < scan->findings && scan->finding[i].tls != tls)
		i++;
	if (i == TT_FINDINGS_MAX)
		return NULL;
	scan->finding[i].tls = tls;
	if (version && *version)
		use_set_text(scan->finding[i].version, TT_VERSION_LEN, version, strlen(version));
	if (i == scan->findings)
		scan->findings++;
	return &scan->finding[i];
}

void elf_scan_found(struct elf_scan *scan, enum tt_tls tls, enum tt_how how, const char *version)
{
	struct tt_finding *f = finding(scan, tls, version);

	if (!f)
		return;
	if (!f->how)
		f->how = how;
	f->blind = TT_BLIND_NONE;
}

void elf_scan_blind(struct elf_scan *scan, enum tt_tls tls, enum tt_blind blind, const char *version)
{
	struct tt_finding *f = finding(scan, tls, version);

	if (f && !f->how)
		f->blind = blind;
}

void elf_scan_no_reads(struct elf_scan *scan, enum tt_tls tls, enum tt_blind blind)
{
	scan->partly[tls][1] = blind;
}

void elf_scan_version(struct elf_scan *scan, enum tt_tls tls, const char *version)
{
	finding(scan, tls, version);
}

bool elf_scan_has(const struct elf_scan *scan, enum tt_tls tls)
{
	for (size_t i = 0; i < scan->findings; i++)
		if (scan->finding[i].tls == tls)
			return scan->finding[i].how != TT_HOW_NONE;
	return false;
}

static bool is_hooked(const struct elf_scan *scan, enum tt_tls tls)
{
	for (size_t i = 0; i < scan->count; i++)
		if (scan->hooks[i].tls == tls)
			return true;
	return false;
}

/* A library is blind too when its functions were found and none of them can be probed; where some can't
 * be, it says so. */
static void tell_refused(struct elf_scan *scan)
{
	for (size_t i = 0; i < scan->findings; i++) {
		struct tt_finding *f = &scan->finding[i];

		if (!f->blind && !is_hooked(scan, f->tls))
			f->blind = scan->why[f->tls];
		if (!f->blind)
			memcpy(f->partly, scan->partly[f->tls], sizeof(f->partly));
	}
}

enum tt_scan elf_scan(int fd, struct elf_scan *ret_scan)
{
	static int (*const searches[])(struct elf_file *, struct elf_scan *) = {
		elf_symbols,
		elf_boringssl,
		elf_openssl,
		elf_go,
		elf_rustls,
		elf_java,
		elf_versions,	/* of what was found: the last one */
	};
	struct elf_file file;
	int r;

	memset(ret_scan, 0, sizeof(*ret_scan));
	r = elf_file_open(&file, fd);
	for (size_t i = 0; r == 0 && i < sizeof(searches) / sizeof(searches[0]); i++)
		r = searches[i](&file, ret_scan);
	if (r == 0)
		r = elf_cheap(&file, ret_scan);
	elf_file_close(&file);
	if (r < 0) {
		memset(ret_scan, 0, sizeof(*ret_scan));
		return r == -ENOEXEC ? TT_SCAN_NONE : TT_SCAN_BAD;
	}
	tell_refused(ret_scan);
	if (ret_scan->count)
		return TT_SCAN_HOOKS;
	return ret_scan->refused ? TT_SCAN_REFUSED : TT_SCAN_NONE;
}
