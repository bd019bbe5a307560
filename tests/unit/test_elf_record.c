/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_record.c on this machine's libssl, and on copies that are not as they are expected. */
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

#include <tokentrail/cookie.h>

#include "agent/elf_place.h"
#include "agent/elf_scan.h"

static struct elf_scan scan;
static char path[32];
static int fd = -1;

static int copy(void **state)
{
	struct stat st;
	glob_t g;
	int from;

	if (glob("/usr/lib/*-linux-gnu/libssl.so.3", 0, NULL, &g) != 0)
		return 0;
	from = open(g.gl_pathv[0], O_RDONLY | O_CLOEXEC);
	globfree(&g);
	snprintf(path, sizeof(path), "/tmp/tt_test_record_XXXXXX");
	fd = mkstemp(path);
	if (from < 0 || fd < 0 || fstat(from, &st) < 0 || sendfile(fd, from, NULL, (size_t)st.st_size) != st.st_size)
		return -1;
	close(from);
	return 0;
}

static int discard(void **state)
{
	if (fd >= 0)
		unlink(path);
	close(fd);
	fd = -1;
	return 0;
}

static const struct elf_hook *hook_of(enum tt_hook hook)
{
	if (fd < 0)
		skip();
	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == hook)
			return &scan.hooks[i];
	fail();
	return NULL;
}

/* The hook of SSL_read(), as the file is now, */
static const struct elf_hook *reads(void)
{
	return hook_of(TT_HOOK_openssl_read);
}

/* and of SSL_write(). */
static const struct elf_hook *writes(void)
{
	return hook_of(TT_HOOK_openssl_write);
}

static void overwrite(uint64_t at, const void *bytes, size_t len)
{
	assert_int_equal(pwrite(fd, bytes, len, (off_t)at), len);
}

/* Where these bytes are for the first time. */
static uint64_t find(const void *bytes, size_t len)
{
	static char all[4 << 20];
	ssize_t n = pread(fd, all, sizeof(all), 0);
	const char *p = n > 0 ? memmem(all, (size_t)n, bytes, len) : NULL;

	assert_non_null(p);
	return (uint64_t)(p - all);
}

/* At a call, with all that its program needs to be told; SSL_read_ex() has it too, the SSL BIO's own function does not. */
static void reads_are_seen_where_they_are_copied(void **state)
{
	const struct elf_hook *read = reads();
	unsigned int shared = 0, others = 0;
	unsigned char code;

	if (read->placed_as != TT_HOOK_openssl_record)
		skip();	/* another build */
	assert_int_equal(pread(fd, &code, 1, (off_t)read->placed), 1);
	assert_int_equal(code, 0xe8);
	assert_int_equal(read->spare_as, TT_HOOK_openssl_read_ex);
	assert_int_equal(pread(fd, &code, 1, (off_t)read->spare), 1);
	assert_true(elf_place_is_cheap(&code, 1) || code == 0x41);	/* a push, whole or its prefix */
	assert_true(COOKIE_OBJECT(read->cookie) + 1 < COOKIE_PLACE_WORDS);
	assert_true(COOKIE_TYPE(read->cookie) < COOKIE_PLACE_WORDS && COOKIE_PEEK(read->cookie) < COOKIE_PLACE_WORDS);
	assert_true(COOKIE_TYPE(read->cookie) != COOKIE_PEEK(read->cookie));
	for (size_t i = 0; i < scan.count; i++) {
		const struct elf_hook *h = &scan.hooks[i];

		if (h->hook != TT_HOOK_openssl_read_ex)
			continue;
		shared += h->placed == read->placed && h->placed_as == read->placed_as && h->cookie == read->cookie;
		others += h->placed != read->placed && h->placed_as != read->placed_as && !h->cookie;
	}
	assert_int_equal(shared, 1);
	assert_int_equal(others, 1);
}

/* Where a function begins or soon after, at an instruction of the cheap kind; nothing has to be told. SSL_write_ex() has it too. */
static void writes_are_seen_where_they_are_encrypted(void **state)
{
	const struct elf_hook *write = writes();
	unsigned char code[16];
	unsigned int shared = 0, others = 0;

	if (write->placed_as != TT_HOOK_openssl_seal)
		skip();	/* another build */
	assert_int_equal(pread(fd, code, sizeof(code), (off_t)write->placed), sizeof(code));
	assert_true(elf_place_is_cheap(code, sizeof(code)));
	assert_int_equal(write->cookie, 0);
	assert_int_equal(write->spare_as, TT_HOOK_openssl_write_ex);
	assert_true(write->spare != write->placed && write->spare != write->offset);
	for (size_t i = 0; i < scan.count; i++) {
		const struct elf_hook *h = &scan.hooks[i];

		shared += h->hook == TT_HOOK_openssl_write_ex && h->placed == write->placed && h->placed_as == write->placed_as;
		others += h->hook == TT_HOOK_openssl_write_ex && h->placed_as == TT_HOOK_openssl_write_ex;
	}
	assert_int_equal(shared, 1);
	assert_int_equal(others, 1);
}

static void assert_writes_not_there(void)
{
	assert_int_equal(writes()->placed_as, TT_HOOK_openssl_write_ex);
	assert_int_equal(writes()->spare, 0);
	assert_int_equal(reads()->placed_as, TT_HOOK_openssl_record);
}

/* Not without those that read, either. */
static void assert_not_there(const struct elf_hook *read)
{
	assert_int_equal(read->placed_as, TT_HOOK_openssl_read_ex);
	assert_int_equal(read->cookie, 0);
	assert_int_equal(writes()->placed_as, TT_HOOK_openssl_write_ex);
}

static void writes_without_their_names(void **state)
{
	static const char *const names[] = { "do_ssl3_write", "ssl3_write_bytes" };

	if (writes()->placed_as != TT_HOOK_openssl_seal)
		skip();
	for (size_t i = 0; i < 2; i++) {
		uint64_t at = find(names[i], strlen(names[i]) + 1);

		overwrite(at, "SSL4", 4);
		assert_writes_not_there();
		overwrite(at, names[i], 4);
		assert_int_equal(writes()->placed_as, TT_HOOK_openssl_seal);
	}
}

/* Of the calls of the function that has the name one counts: its caller's. It has to be there, and to be given the data. */
static void another_function_encrypts(void **state)
{
	static unsigned char all[4 << 20];
	uint64_t target = writes()->placed;
	ssize_t n = pread(fd, all, sizeof(all), 0);
	unsigned int counts = 0;

	if (writes()->placed_as != TT_HOOK_openssl_seal)
		skip();
	for (ssize_t i = 4; i + 5 <= n; i++) {
		int32_t distance;

		memcpy(&distance, all + i + 1, sizeof(distance));
		if (all[i] != 0xe8 || (uint64_t)(i + 5 + distance) != target)
			continue;
		distance += 16;
		overwrite((uint64_t)i + 1, &distance, sizeof(distance));
		if (writes()->placed_as != TT_HOOK_openssl_seal) {
			counts++;
			assert_writes_not_there();
			overwrite((uint64_t)i + 1, all + i + 1, sizeof(distance));
			if (memcmp(all + i - 4, "\x48\x8d\x14\x18", 4) != 0)	/* lea (%rax, %rbx), %rdx */
				skip();	/* another build */
			overwrite((uint64_t)i - 4, "\x31\xd2\x66\x90", 4);	/* xor %edx, %edx; nop */
			assert_writes_not_there();
			overwrite((uint64_t)i - 4, all + i - 4, 4);
		}
		overwrite((uint64_t)i + 1, all + i + 1, sizeof(distance));
	}
	assert_int_equal(counts, 1);
}

static void without_its_name(void **state)
{
	reads();
	overwrite(find("ssl3_read_bytes", 16), "ssl4", 4);
	assert_not_there(reads());
}

/* An instruction that nobody knows, somewhere in it. */
static void not_understood(void **state)
{
	uint64_t site = reads()->placed;

	if (reads()->placed_as != TT_HOOK_openssl_record)
		skip();
	overwrite(site + 5, "\x0f\xa2", 2);	/* cpuid */
	assert_not_there(reads());
}

/* What is called is given something else. */
static void not_the_buffer(void **state)
{
	uint64_t site = reads()->placed;

	if (reads()->placed_as != TT_HOOK_openssl_record)
		skip();
	overwrite(site, "\x31\xff\x90\x90\x90", 5);	/* xor %edi, %edi; the call is gone */
	assert_not_there(reads());
}

/* A program that has a shadow stack must not have its calls done by a kernel that does not know of it. */
static void with_a_shadow_stack(void **state)
{
	struct { Elf64_Nhdr h; char name[4]; uint32_t property[4]; } note = {
		{ 4, 16, NT_GNU_PROPERTY_TYPE_0 }, "GNU",
		{ GNU_PROPERTY_X86_FEATURE_1_AND, 4, GNU_PROPERTY_X86_FEATURE_1_SHSTK, 0 },
	};
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	struct stat st;

	reads();
	assert_int_equal(fstat(fd, &st), 0);
	overwrite((uint64_t)st.st_size, &note, sizeof(note));
	assert_int_equal(pread(fd, &eh, sizeof(eh), 0), sizeof(eh));
	for (unsigned int i = 0; i < eh.e_phnum; i++) {
		uint64_t at = eh.e_phoff + i * sizeof(ph);

		assert_int_equal(pread(fd, &ph, sizeof(ph), (off_t)at), sizeof(ph));
		if (ph.p_type != PT_NOTE)
			continue;
		ph.p_offset = (uint64_t)st.st_size;
		ph.p_filesz = sizeof(note);
		overwrite(at, &ph, sizeof(ph));
		assert_not_there(reads());
		ph.p_filesz = 1U << 20;	/* nobody can tell */
		overwrite(at, &ph, sizeof(ph));
		assert_not_there(reads());
		ph.p_filesz = sizeof(note);
		overwrite(at, &ph, sizeof(ph));
		note.property[2] = GNU_PROPERTY_X86_FEATURE_1_IBT;
		overwrite((uint64_t)st.st_size, &note, sizeof(note));
		assert_int_equal(reads()->placed_as, TT_HOOK_openssl_record);
		return;
	}
	fail_msg("no notes");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, copy, discard)
		T(reads_are_seen_where_they_are_copied), T(writes_are_seen_where_they_are_encrypted),
		T(writes_without_their_names), T(another_function_encrypts), T(without_its_name), T(not_understood), T(not_the_buffer),
		T(with_a_shadow_stack),
	};

#if !defined(__x86_64__)
	print_message("skipped: only x86-64's instructions are known\n");
	return 0;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
