/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The functions behind OpenSSL's SSL BIO: in the system's libssl, against the method table of the
 * running library; and in libraries made here whose tables are not as expected.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/elf_scan.h"

#define TYPE "0x207,"
#define OTHER_TYPE "0x407,"
#define TABLE "write,0,read,0,0,0,0,0,end};"	/* 1.1.1 and later */
#define OLD_TABLE "write,read,0,0,0,0,end};"
#define CALLS "int SSL_write(void){return 1;}int SSL_read(void){return 2;}void SSL_free(void){}"

static struct elf_scan scan;
static char dir[] = "/tmp/tt-bio-XXXXXX";

static void scan_path(const char *path, enum tt_scan want)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(elf_scan(fd, &scan), want);
	close(fd);
}

static bool is_hooked(enum tt_hook hook, uint64_t offset)
{
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == hook && scan.hooks[i].offset == offset)
			return true;
	return false;
}

/* Code is mapped where it stands in the file, as far as these libraries go: address less base. */
static uint64_t offset_of(const void *lib, const void *function)
{
	const struct link_map *map = lib;

	return (uint64_t)function - map->l_addr;
}

static void need_hooks(void *lib, void *const table[])
{
	assert_true(is_hooked(TT_HOOK_openssl_write_ex, offset_of(lib, table[2])));
	assert_true(is_hooked(TT_HOOK_openssl_read_ex, offset_of(lib, table[4])));
	assert_true(is_hooked(TT_HOOK_openssl_end, offset_of(lib, table[10])));
}

static void system_libssl(void **state)
{
	void *lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL), **(*method)(void);

	if (!lib) {
		print_message("no libssl.so.3 on this machine: %s\n", dlerror());
		skip();
	}
	method = (void **(*)(void))(uintptr_t)dlsym(lib, "BIO_f_ssl");
	assert_non_null(method);
	scan_path(((struct link_map *)lib)->l_name, TT_SCAN_HOOKS);
	need_hooks(lib, method());
	dlclose(lib);
}

/* A library made of `source`, scanned; its handle, or NULL where it was built to lie at no address of
 * its own choice. */
static void *made(const char *source, const char *options)
{
	char c[64], so[64], command[512];
	FILE *f;

	snprintf(c, sizeof(c), "%s/a.c", dir);
	snprintf(so, sizeof(so), "%s/a.so", dir);
	f = fopen(c, "we");
	assert_non_null(f);
	fputs(source, f);
	fclose(f);
	snprintf(command, sizeof(command), "cc -w -O2 %s -o %s %s", options, so, c);
	assert_int_equal(system(command), 0);
	scan_path(so, TT_SCAN_HOOKS);
	return strstr(options, "-shared") ? dlopen(so, RTLD_NOW | RTLD_LOCAL) : NULL;
}

#define SOURCE(type, table, body)                                                                  \
	CALLS "static int write(void){return 3;}static int read(void){return 4;}"                      \
	      "static int end(void){return 5;}"                                                        \
	      "static struct{int type;char *name;void *f[9];}t={" type "\"ssl\"," table              \
	      "void *BIO_f_ssl(void){" body "}"

static void made_here(void **state)
{
	void *lib = made(SOURCE(TYPE, TABLE, "return &t;"), "-shared -fPIC"), **(*method)(void);

	assert_non_null(lib);
	assert_int_equal(scan.count, 6);
	method = (void **(*)(void))(uintptr_t)dlsym(lib, "BIO_f_ssl");
	assert_int_equal(offset_of(lib, method) < 0x10000, true);
	need_hooks(lib, method());
	dlclose(lib);
}

static void with_frame_pointers(void **state)
{
	void *lib = made(SOURCE(TYPE, TABLE, "return &t;"),
			 "-shared -fPIC -fno-omit-frame-pointer -fcf-protection");

	assert_non_null(lib);
	assert_int_equal(scan.count, 6);
	dlclose(lib);
}

static void at_a_fixed_address(void **state)
{
	made(SOURCE(TYPE, TABLE, "return &t;") "int main(void){return 0;}", "-no-pie -fno-pie");
	assert_int_equal(scan.count, 6);
	assert_true(scan.hooks[3].offset && scan.hooks[4].offset && scan.hooks[5].offset);
}

static void unexpected(const char *source)
{
	void *lib = made(source, "-shared -fPIC");

	assert_non_null(lib);
	assert_int_equal(scan.count, 3);
	assert_int_equal(scan.refused, 0);
	dlclose(lib);
}

static void unexpected_tables(void **state)
{
	unexpected(SOURCE(TYPE, OLD_TABLE, "return &t;"));
	unexpected(SOURCE(OTHER_TYPE, TABLE, "return &t;"));
	unexpected(SOURCE(TYPE, TABLE, "extern int x;return x?&t:0;") "int x;");
	unexpected(SOURCE(TYPE, TABLE, "return (void*)0x7fff0000;"));
	unexpected(SOURCE(TYPE, TABLE, "return (char*)&t+4;"));
}

static int set_up(void **state)
{
	return mkdtemp(dir) ? 0 : -1;
}

static int tear_down(void **state)
{
	char command[64];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_libssl),
#if defined(__x86_64__)
		cmocka_unit_test(made_here),
		cmocka_unit_test(with_frame_pointers),
		cmocka_unit_test(at_a_fixed_address),
#endif
		cmocka_unit_test(unexpected_tables),
	};

	return cmocka_run_group_tests(tests, set_up, tear_down);
}
