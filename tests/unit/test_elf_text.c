/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exported names and texts of files, and what is made of them: Java virtual machines, and versions. Made-up
 * files, the system's libraries, and files that are not what they say.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/elf_java.h"
#include "agent/elf_text.h"
#include "agent/elf_versions.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

#define RODATA_LEN (700u << 10)	/* several chunks */

/* ELF header, one segment, sections: none, .dynsym, .dynstr, .rodata, .shstrtab. */
static struct image {
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	Elf64_Shdr sh[5];
	Elf64_Sym syms[16];
	char strings[1024], names[64];
	char rodata[RODATA_LEN];
} image;

static struct elf_scan scan;
static struct elf_file file;
static int fd;

static int setup(void **state)
{
	static const char names[] = "\0.rodata\0.x";

	memset(&image, 0, sizeof(image));
	memset(&scan, 0, sizeof(scan));
	image.eh = (Elf64_Ehdr){
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = ET_DYN, .e_machine = MACHINE, .e_version = 1,
		.e_phoff = offsetof(struct image, ph), .e_shoff = offsetof(struct image, sh),
		.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
		.e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 5, .e_shstrndx = 4,
	};
	image.ph = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = sizeof(image),
				 .p_memsz = sizeof(image) };
	image.sh[1] = (Elf64_Shdr){ .sh_name = 9, .sh_type = SHT_DYNSYM, .sh_link = 2,
				    .sh_offset = offsetof(struct image, syms),
				    .sh_size = sizeof(Elf64_Sym), .sh_entsize = sizeof(Elf64_Sym) };
	image.sh[2] = (Elf64_Shdr){ .sh_name = 9, .sh_type = SHT_STRTAB, .sh_size = 1,
				    .sh_offset = offsetof(struct image, strings) };
	image.sh[3] = (Elf64_Shdr){ .sh_name = 1, .sh_type = SHT_PROGBITS, .sh_size = RODATA_LEN,
				    .sh_offset = offsetof(struct image, rodata) };
	image.sh[4] = (Elf64_Shdr){ .sh_name = 9, .sh_type = SHT_STRTAB, .sh_size = sizeof(image.names),
				    .sh_offset = offsetof(struct image, names) };
	memcpy(image.names, names, sizeof(names));
	return 0;
}

static void open_image(void)
{
	fd = memfd_create("elf", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, &image, sizeof(image)), sizeof(image));
	assert_int_equal(elf_file_open(&file, fd), 0);
}

static void close_file(void)
{
	elf_file_close(&file);
	close(fd);
}

static Elf64_Sym *export(const char *name)
{
	Elf64_Sym *s = &image.syms[image.sh[1].sh_size / sizeof(Elf64_Sym)];

	*s = (Elf64_Sym){ .st_name = (uint32_t)image.sh[2].sh_size, .st_shndx = 1,
			  .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_value = 16 };
	memcpy(image.strings + image.sh[2].sh_size, name, strlen(name) + 1);
	image.sh[2].sh_size += strlen(name) + 1;
	image.sh[1].sh_size += sizeof(Elf64_Sym);
	return s;
}

static void text(size_t at, const char *t)
{
	memcpy(image.rodata + at, t, strlen(t) + 1);
}

/* ---- texts ---- */

static char taken[1024];
static int takes, stop_after;

static bool take(void *arg, const char *t)
{
	takes++;
	strncat(taken, t, sizeof(taken) - strlen(taken) - 2);
	strncat(taken, "|", 2);
	return takes != stop_after;
}

static void find(const char *part)
{
	taken[0] = 0;
	takes = 0;
	open_image();
	elf_texts(&file, part, take, NULL);
	close_file();
}

static void texts_whole(void **state)
{
	char longest[ELF_TEXT_LEN + 1];

	text(0, "ab+1");
	text(10, "+");
	text(20, "c+d+");	/* once for each place */
	text(30, "nothing");
	memset(longest, '+', sizeof(longest));
	longest[ELF_TEXT_LEN - 1] = 0;
	text(100, longest + ELF_TEXT_LEN - 4);
	image.rodata[RODATA_LEN - 2] = '+';
	find("+");
	assert_string_equal(taken, "ab+1|+|c+d+|c+d+|+++|+++|+++|+|");
	/* One that goes on to the section's end has none. */
	image.rodata[RODATA_LEN - 1] = 'x';
	find("+");
	assert_int_equal(takes, 7);
	stop_after = 2;
	find("+");
	assert_int_equal(takes, 2);
	stop_after = 0;
	memset(image.rodata + 100, '+', ELF_TEXT_LEN);
	image.rodata[RODATA_LEN - 2] = 0;
	find("+");	/* too long to be of interest */
	assert_string_equal(taken, "ab+1|+|c+d+|c+d+|");
}

/* Wherever a text stands, it is found whole; where chunks overlap, perhaps twice. */
static void texts_at_every_place(void **state)
{
	for (size_t at = (256 << 10) - 300; at < (256 << 10) + 40; at++) {
		memset(image.rodata, 0, sizeof(image.rodata));
		text(at, "abcd+efgh");
		find("d+e");
		if (takes < 1 || takes > 2 || strncmp(taken, "abcd+efgh|", 10))
			fail_msg("at %zu: %s", at, taken);
	}
}

static void no_texts(void **state)
{
	text(0, "ab+1");
	image.sh[3].sh_type = SHT_NOBITS;
	find("+");
	assert_int_equal(takes, 0);
	image.sh[3].sh_type = SHT_PROGBITS;
	image.sh[3].sh_size = UINT64_MAX - 5;
	find("+");
	assert_int_equal(takes, 0);
	image.sh[3].sh_size = RODATA_LEN;
	image.sh[3].sh_name = 9;
	find("+");
	assert_int_equal(takes, 0);
}

/* ---- exports ---- */

static void exports(void **state)
{
	static const char *const names[] = { "one", "two", "three" };
	uint32_t bits;

	export("two");
	export("threee");
	export("thre");
	export("one")->st_shndx = SHN_UNDEF;
	open_image();
	assert_int_equal(elf_exports(&file, names, 3, &bits), 0);
	assert_int_equal(bits, 2);
	close_file();
	/* A name beyond the table of names, and a table that is none. */
	export("three")->st_name = 100000;
	open_image();
	assert_int_equal(elf_exports(&file, names, 3, &bits), 0);
	assert_int_equal(bits, 2);
	close_file();
	image.sh[1].sh_link = 3;
	open_image();
	assert_int_equal(elf_exports(&file, names, 3, &bits), -EBADMSG);
	close_file();
	image.sh[1].sh_link = 2;
	image.sh[1].sh_size = 1ULL << 40;
	open_image();
	assert_int_equal(elf_exports(&file, names, 3, &bits), -EBADMSG);
	close_file();
}

/* ---- Java ---- */

static void look_for_java(void)
{
	memset(&scan, 0, sizeof(scan));
	open_image();
	assert_int_equal(elf_java(&file, &scan), 0);
	close_file();
}

static void java(void **state)
{
	export("JNI_CreateJavaVM");
	export("JNI_GetCreatedJavaVMs");
	text(50, "17.0.15+6-Debian-1deb12u1");
	look_for_java();	/* a native image has these two as well */
	assert_int_equal(scan.findings, 0);
	export("JVM_FindClassFromBootLoader");
	look_for_java();
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_JSSE);
	assert_int_equal(scan.finding[0].blind, TT_BLIND_jsse);
	assert_int_equal(scan.finding[0].how, TT_HOW_NONE);
	assert_string_equal(scan.finding[0].version, "17.0.15+6");
	assert_int_equal(scan.count, 0);
	/* The same once more is the same; another one is a doubt. */
	text(200, "17.0.15+6");
	look_for_java();
	assert_string_equal(scan.finding[0].version, "17.0.15+6");
	text(300, "21+35-LTS");
	look_for_java();
	assert_int_equal(scan.findings, 1);
	assert_string_equal(scan.finding[0].version, "");
}

static void java_versions(void **state)
{
	static const char *const none[] = {
		"x17.0.1+6", "17.0.1", "17.0.1+", "17.0.1+b6", "17..1+6", "1234+1", "+6", "17.0.1+6.1",
		"17.0.1 +6", "12345678901234567890.1+2",
	};

	export("JNI_CreateJavaVM");
	export("JNI_GetCreatedJavaVMs");
	export("JVM_DefineClassWithSource");
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		memset(image.rodata, 0, 64);
		text(10, none[i]);
		look_for_java();
		if (scan.finding[0].version[0])
			fail_msg("'%s' is taken for version '%s'", none[i], scan.finding[0].version);
	}
	memset(image.rodata, 0, 64);
	text(10, "25.0.3+9-LTS");
	look_for_java();
	assert_string_equal(scan.finding[0].version, "25.0.3+9");
}

/* ---- versions ---- */

static const char *version_of(enum tt_tls tls, const char *t)
{
	static char version[TT_VERSION_LEN];

	memset(image.rodata, 0, 128);
	text(10, t);
	memset(&scan, 0, sizeof(scan));
	if (tls)
		elf_scan_found(&scan, tls, TT_HOW_symbols, NULL);
	open_image();
	assert_int_equal(elf_versions(&file, &scan), 0);
	close_file();
	assert_int_equal(scan.findings, 1);
	memcpy(version, scan.finding[0].version, sizeof(version));
	return version;
}

static void versions(void **state)
{
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL 3.0.19 27 Jan 2026"), "3.0.19");
	assert_int_equal(scan.finding[0].how, TT_HOW_symbols);
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL 1.1.1k  FIPS 25 Mar 2021"), "1.1.1k");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL 3.2.0-dev "), "3.2.0-dev");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL 1.1.1 (compatible; BoringSSL)"), "");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL 3.0.19"), "");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "from OpenSSL 3.0.19 27 Jan 2026"), "");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL is free"), "");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "LibreSSL 3.8.2"), "");
	assert_string_equal(version_of(TT_TLS_LIBRESSL, "LibreSSL 3.8.2"), "3.8.2");
	assert_string_equal(version_of(TT_TLS_LIBRESSL, "LibreSSL 3.8.2 and more"), "");
	assert_string_equal(version_of(TT_TLS_MBEDTLS, "mbed TLS 2.28.3"), "2.28.3");
	assert_string_equal(version_of(TT_TLS_MBEDTLS, "Mbed TLS 3.6.0"), "3.6.0");
	assert_string_equal(version_of(TT_TLS_GNUTLS, "OpenSSL 3.0.19 27 Jan 2026"), "");
}

static void versions_by_themselves(void **state)
{
	/* A file that only speaks of a library. */
	text(10, "OpenSSL 3.0.19 27 Jan 2026");
	open_image();
	assert_int_equal(elf_versions(&file, &scan), 0);
	close_file();
	assert_int_equal(scan.findings, 0);
	/* libcrypto: neither found nor blind. */
	export("OpenSSL_version");
	assert_string_equal(version_of(TT_TLS_NONE, "OpenSSL 3.0.19 27 Jan 2026"), "3.0.19");
	assert_int_equal(scan.finding[0].tls, TT_TLS_OPENSSL);
	assert_int_equal(scan.finding[0].how, TT_HOW_NONE);
	assert_int_equal(scan.finding[0].blind, TT_BLIND_NONE);
	assert_string_equal(version_of(TT_TLS_NONE, "LibreSSL 3.8.2"), "3.8.2");
	assert_int_equal(scan.finding[0].tls, TT_TLS_LIBRESSL);
	/* Two of them in one file. */
	text(1000, "OpenSSL 1.1.1w  11 Sep 2023");
	assert_string_equal(version_of(TT_TLS_OPENSSL, "OpenSSL 3.0.19 27 Jan 2026"), "");
}

/* ---- the real ones ---- */

static enum tt_scan scan_path(const char *path)
{
	int at = open(path, O_RDONLY | O_CLOEXEC);
	enum tt_scan r;

	assert_true(at >= 0);
	r = elf_scan(at, &scan);
	close(at);
	return r;
}

static void system_libcrypto(void **state)
{
	void *lib = dlopen("libcrypto.so.3", RTLD_NOW | RTLD_LOCAL);
	const char *(*version)(int);
	char want[64];
	Dl_info info;

	if (!lib) {
		print_message("no libcrypto.so.3 on this machine\n");
		skip();
	}
	*(void **)&version = dlsym(lib, "OpenSSL_version");
	assert_non_null(version);
	assert_true(dladdr(*(void **)&version, &info) != 0);
	assert_int_equal(scan_path(info.dli_fname), TT_SCAN_NONE);
	assert_int_equal(scan.findings, 1);
	assert_int_equal(sscanf(version(0), "OpenSSL %63s", want), 1);
	assert_string_equal(scan.finding[0].version, want);
	dlclose(lib);
}

static void system_jvm(void **state)
{
	glob_t g;

	if (glob("/usr/lib/jvm/*/lib/server/libjvm.so", 0, NULL, &g) != 0) {
		print_message("no JVM on this machine\n");
		skip();
	}
	for (size_t i = 0; i < g.gl_pathc; i++) {
		assert_int_equal(scan_path(g.gl_pathv[i]), TT_SCAN_NONE);
		assert_int_equal(scan.findings, 1);
		assert_int_equal(scan.finding[0].blind, TT_BLIND_jsse);
		assert_non_null(strchr(scan.finding[0].version, '+'));
	}
	globfree(&g);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(texts_whole), TEST(texts_at_every_place), TEST(no_texts), TEST(exports),
		TEST(java), TEST(java_versions), TEST(versions), TEST(versions_by_themselves),
		TEST(system_libcrypto), TEST(system_jvm),
	};

	return cmocka_run_group_tests_name("elf_text", tests, NULL, NULL);
}
