/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A JVM (HotSpot's or OpenJ9's libjvm.so, under any name) exports the JNI's invocation interface and the
 * functions that the class library is built on. A GraalVM native image exports the first only: what TLS
 * it has, nobody can tell from that.
 */
#include "agent/elf_java.h"

#include <string.h>

#include "agent/elf_text.h"

static const char *const names[] = { "JNI_CreateJavaVM", "JNI_GetCreatedJavaVMs",
				     "JVM_FindClassFromBootLoader", "JVM_DefineClassWithSource" };
#define JNI 3u		/* the first two */

struct version {
	char text[TT_VERSION_LEN];
	bool several;
};

static size_t digits(const char *text)
{
	return strspn(text, "0123456789");
}

/* "17.0.15+6-Debian-1deb12u1" -> "17.0.15+6": numbers with dots, a plus sign and a build (JEP 322). */
static size_t version_length(const char *text)
{
	size_t len = digits(text), build;

	if (len == 0 || len > 3)
		return 0;
	while (text[len] == '.' && digits(text + len + 1))
		len += 1 + digits(text + len + 1);
	if (text[len] != '+')
		return 0;
	build = digits(text + len + 1);
	if (!build || !strchr("-", text[len + 1 + build]))	/* "-..." or the end */
		return 0;
	return len + 1 + build;
}

static bool take_version(void *arg, const char *text)
{
	struct version *v = arg;
	size_t len = version_length(text);

	if (len == 0 || len >= sizeof(v->text))
		return true;
	if (v->text[0] && (strlen(v->text) != len || memcmp(v->text, text, len)))
		v->several = true;
	memcpy(v->text, text, len);
	v->text[len] = 0;
	return !v->several;
}

int elf_java(struct elf_file *file, struct elf_scan *scan)
{
	struct version v = { .several = false };
	uint32_t found;
	int r;

	r = elf_exports(file, names, sizeof(names) / sizeof(names[0]), &found);
	if (r < 0)
		return r;
	if ((found & JNI) != JNI || !(found & ~JNI))
		return 0;
	elf_texts(file, "+", take_version, &v);
	elf_scan_blind(scan, TT_TLS_JSSE, TT_BLIND_jsse, v.several ? "" : v.text);
	return 0;
}
