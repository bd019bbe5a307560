/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_cheap.c on the libraries of this machine, and on a copy whose functions no longer agree. */
#include <fcntl.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/elf_place.h"
#include "agent/elf_scan.h"

static struct elf_scan scan;

/* The first file that fits, open; or -1. */
static int open_library(const char *pattern)
{
	glob_t g;
	int fd;

	if (glob(pattern, 0, NULL, &g) != 0)
		return -1;
	fd = open(g.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	globfree(&g);
	assert_true(fd >= 0);
	return fd;
}

static const struct elf_hook *hook_of(enum tt_hook hook, size_t nth)
{
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == hook && nth-- == 0)
			return &scan.hooks[i];
	fail_msg("hook %u is not there", hook);
	return NULL;
}

/* What has a place is at an instruction of the cheap kind, or at the call of elf_record.c; what has none is not. */
static void check_places(int fd)
{
	for (size_t i = 0; i < scan.count; i++) {
		const struct elf_hook *h = &scan.hooks[i];
		unsigned char code[16];
		bool at_first;

		assert_int_equal(pread(fd, code, sizeof(code), (off_t)h->offset), sizeof(code));
		at_first = elf_place_is_cheap(code, sizeof(code));
		if (!h->placed) {
			assert_false(at_first);
			continue;
		}
		assert_int_equal(pread(fd, code, sizeof(code), (off_t)h->placed), sizeof(code));
		assert_true(h->placed_as == TT_HOOK_openssl_record ? code[0] == 0xe8 : elf_place_is_cheap(code, sizeof(code)));
		assert_true(h->placed_as != 0);
		if (at_first && h->placed_as == h->hook)
			assert_int_equal(h->placed, h->offset);
	}
}

static void libraries_of_this_machine(void **state)
{
	static const struct {
		const char *pattern;
		size_t placed;	/* functions at least, where the build is one that was looked at */
	} libraries[] = {
		{ "/usr/lib/*-linux-gnu/libssl.so.3", 8 },  { "/usr/lib/*-linux-gnu/libgnutls.so.30", 5 },
		{ "/usr/lib/*-linux-gnu/libwolfssl.so.35", 6 }, { "/usr/lib/*-linux-gnu/libmbedtls.so.14", 4 },
		{ "/usr/lib/*-linux-gnu/libnspr4.so", 1 },  { "/usr/lib/*-linux-gnu/libssl.so.1.1", 8 },
	};
	size_t found = 0;

	for (size_t i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++) {
		int fd = open_library(libraries[i].pattern);
		size_t placed = 0;

		if (fd < 0)
			continue;
		found++;
		assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
		check_places(fd);
		for (size_t k = 0; k < scan.count; k++)
			placed += scan.hooks[k].placed != 0;
		if (placed < libraries[i].placed)
			fail_msg("%s: only %zu functions have a place", libraries[i].pattern, placed);
		close(fd);
	}
	if (!found)
		skip();
}

/* NSPR's begin with a load and a jump to where a table says. */
static void what_does_not_fit_stays(void **state)
{
	int fd = open_library("/usr/lib/*-linux-gnu/libnspr4.so");

	if (fd < 0)
		skip();
	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	assert_int_equal(hook_of(TT_HOOK_nss_read, 0)->placed, 0);
	assert_int_equal(hook_of(TT_HOOK_nss_read, 0)->placed_as, 0);
	close(fd);
}

static int copy_libssl(char path[static 32])
{
	int from = open_library("/usr/lib/*-linux-gnu/libssl.so.3"), to;
	struct stat st;

	if (from < 0)
		skip();
	snprintf(path, 32, "/tmp/tt_test_cheap_XXXXXX");
	to = mkstemp(path);
	assert_true(to >= 0);
	assert_int_equal(fstat(from, &st), 0);
	assert_int_equal(sendfile(to, from, NULL, (size_t)st.st_size), st.st_size);
	close(from);
	return to;
}

static void both_lead_to_one_place(void **state)
{
	char path[32];
	int fd = copy_libssl(path);

	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	assert_int_equal(hook_of(TT_HOOK_openssl_read, 0)->placed, hook_of(TT_HOOK_openssl_read_ex, 0)->placed);
	assert_int_equal(hook_of(TT_HOOK_openssl_read, 0)->placed_as, hook_of(TT_HOOK_openssl_read_ex, 0)->placed_as);
	/* Where elf_record.c has found another place, this is the spare one. */
	assert_int_equal(hook_of(TT_HOOK_openssl_write, 0)->spare_as ?: hook_of(TT_HOOK_openssl_write, 0)->placed_as,
			 TT_HOOK_openssl_write_ex);
	assert_int_equal(hook_of(TT_HOOK_openssl_write, 0)->placed, hook_of(TT_HOOK_openssl_write_ex, 0)->placed);
	assert_int_equal(hook_of(TT_HOOK_openssl_write, 0)->placed_as, hook_of(TT_HOOK_openssl_write_ex, 0)->placed_as);
	assert_int_not_equal(hook_of(TT_HOOK_openssl_read, 0)->placed, hook_of(TT_HOOK_openssl_write, 0)->placed);
	/* The SSL BIO's have another object: a place of their own. */
	assert_int_not_equal(hook_of(TT_HOOK_openssl_read_ex, 1)->placed,
			     hook_of(TT_HOOK_openssl_read_ex, 0)->placed);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

/* SSL_read() calls something else: then nobody knows that what SSL_read_ex() calls reads. */
static void who_disagrees_is_left_alone(void **state)
{
	unsigned char code[64];
	uint64_t read_at, ex_at;
	size_t call = 0;
	char path[32];
	int fd = copy_libssl(path);

	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	read_at = hook_of(TT_HOOK_openssl_read, 0)->offset;
	ex_at = hook_of(TT_HOOK_openssl_read_ex, 0)->offset;
	assert_int_equal(pread(fd, code, sizeof(code), (off_t)read_at), sizeof(code));
	while (call < sizeof(code) - 4 && code[call] != 0xe8)
		call++;
	assert_true(call < sizeof(code) - 4);
	code[call + 1] ^= 0x10;
	assert_int_equal(pwrite(fd, code + call + 1, 1, (off_t)(read_at + call + 1)), 1);
	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	check_places(fd);
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].offset == read_at || scan.hooks[i].offset == ex_at)
			assert_true(scan.hooks[i].placed == 0 || scan.hooks[i].placed == scan.hooks[i].offset);
	assert_int_equal(hook_of(TT_HOOK_openssl_write, 0)->placed_as, TT_HOOK_openssl_write_ex);
	close(fd);
	assert_int_equal(unlink(path), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(libraries_of_this_machine),
		cmocka_unit_test(what_does_not_fit_stays),
		cmocka_unit_test(both_lead_to_one_place),
		cmocka_unit_test(who_disagrees_is_left_alone),
	};

#if !defined(__x86_64__)
	print_message("skipped: only x86-64's instructions are known\n");
	return 0;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
