/* SPDX-License-Identifier: Apache-2.0 */
/* The table of what was found in files: the same file is known again, and nothing else passes for it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "agent/findings.h"

#define SIZE (3 << 20)	/* more than the blocks that are looked at */
#define HOOK_AT 0x2000
#define PLACED_AT 0x2800

struct elf {
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;
	Elf64_Nhdr note;
	char name[4];
	unsigned char id[ELF_BUILD_ID_MAX];
};

static char dir[64], table[128];

static int begin(void **state)
{
	static const char *const places[] = { "/tmp", "/var/tmp", "build", "." };
	struct stat st;

	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		if (stat(places[i], &st) < 0 || major(st.st_dev) == 0)
			continue;
		snprintf(dir, sizeof(dir), "%s/tt_test_findings_XXXXXX", places[i]);
		if (!mkdtemp(dir))
			return -1;
		snprintf(table, sizeof(table), "%s/findings", dir);
		return 0;
	}
	print_error("no place on a device to test with\n");
	return -1;
}

static int end(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -r %s", dir);
	return system(command);
}

static int no_table(void **state)
{
	unlink(table);
	return 0;
}

/* A program of SIZE bytes with this build id. */
static int make_in(const char *where, const char *name, unsigned char id)
{
	struct elf e = {
		.ehdr = { .e_ident = ELFMAG, .e_type = ET_DYN, .e_version = EV_CURRENT,
			  .e_phoff = offsetof(struct elf, phdr), .e_ehsize = sizeof(Elf64_Ehdr),
			  .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1 },
		.phdr = { .p_type = PT_NOTE, .p_offset = offsetof(struct elf, note),
			  .p_filesz = sizeof(struct elf) - offsetof(struct elf, note) },
		.note = { .n_namesz = 4, .n_descsz = ELF_BUILD_ID_MAX, .n_type = NT_GNU_BUILD_ID },
		.name = "GNU",
	};
	char path[160];
	int fd;

	e.ehdr.e_ident[EI_CLASS] = ELFCLASS64;
	e.ehdr.e_ident[EI_DATA] = ELFDATA2LSB;
	e.ehdr.e_ident[EI_VERSION] = EV_CURRENT;
#if defined(__x86_64__)
	e.ehdr.e_machine = EM_X86_64;
#else
	e.ehdr.e_machine = EM_AARCH64;
#endif
	memset(e.id, id, sizeof(e.id));
	snprintf(path, sizeof(path), "%s/%s", where, name);
	fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	assert_int_equal(write(fd, &e, sizeof(e)), sizeof(e));
	assert_int_equal(pwrite(fd, "\x55\x48\x89\xe5", 4, HOOK_AT), 4);
	return fd;
}

static int make(const char *name, unsigned char id)
{
	return make_in(dir, name, id);
}

static struct elf_scan two_hooks(void)
{
	struct elf_scan scan = {
		.hooks = { { HOOK_AT, TT_HOOK_openssl_write, TT_TLS_OPENSSL },
			   { HOOK_AT + 64, TT_HOOK_openssl_read, TT_TLS_OPENSSL, PLACED_AT,
			     TT_HOOK_openssl_read_ex } },
		.count = 2,
		.refused = 1,
		.finding = { { .tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols, .version = "3.0" } },
		.findings = 1,
	};

	return scan;
}

static struct findings *open_table(int want)
{
	struct findings *f;

	assert_int_equal(findings_open(table, &f), want);
	assert_non_null(f);
	return f;
}

static void keep(struct findings *f, int fd)
{
	const struct elf_scan scan = two_hooks();
	struct findings_key key;

	assert_int_equal(findings_key(f, fd, &key), 0);
	findings_keep(f, &key, fd, &scan, TT_SCAN_HOOKS);
}

static bool knows(struct findings *f, int fd)
{
	const struct elf_scan want = two_hooks();
	struct findings_key key;
	struct elf_scan scan;
	enum tt_scan result;

	assert_int_equal(findings_key(f, fd, &key), 0);
	if (!findings_take(f, &key, fd, &scan, &result))
		return false;
	assert_int_equal(result, TT_SCAN_HOOKS);
	assert_memory_equal(&scan, &want, sizeof(want));
	return true;
}

static void the_same_file_is_known(void **state)
{
	int fd = make("same", 1);
	struct findings *f = open_table(-ENOENT);
	struct stat st;

	assert_false(knows(f, fd));
	keep(f, fd);
	keep(f, fd);
	assert_int_equal(findings_count(f), 1);
	assert_true(knows(f, fd));
	assert_int_equal(findings_save(f), 0);
	findings_free(f);
	assert_int_equal(stat(table, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	f = open_table(0);
	assert_int_equal(findings_count(f), 1);
	assert_true(knows(f, fd));
	findings_free(f);
	close(fd);
}

/* Each change of content, or of nothing but the inode, makes another file of it. */
static void a_changed_file_is_not(void **state)
{
	struct findings *f = open_table(-ENOENT);

	for (int i = 0; i < 4; i++) {
		int fd = make("changed", 1);

		keep(f, fd);
		assert_true(knows(f, fd));
		usleep(20000);	/* the file system's clock */
		if (i == 0)
			assert_int_equal(pwrite(fd, "x", 1, SIZE / 2 + 12345), 1);
		else if (i == 1)
			assert_int_equal(ftruncate(fd, SIZE + 1), 0);
		else if (i == 2)
			assert_int_equal(fchmod(fd, 0700), 0);
		else
			assert_int_equal(pwrite(fd, "\2", 1, offsetof(struct elf, id)), 1);
		assert_false(knows(f, fd));
		close(fd);
	}
	findings_free(f);
}

/* Byte for byte the same but for one place that no block covers, with the same build id and times. */
static void a_twin_of_a_hostile_file_is_not(void **state)
{
	struct findings *f = open_table(-ENOENT);
	int good = make("good", 7), bad = make("bad", 7);
	struct timespec times[2];
	struct stat st;

	assert_int_equal(fstat(good, &st), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(pwrite(bad, "x", 1, SIZE / 3 + 1), 1);
	assert_int_equal(futimens(bad, times), 0);
	keep(f, bad);
	assert_true(knows(f, bad));
	assert_false(knows(f, good));
	findings_free(f);
	close(good);
	close(bad);
}

/* Another instruction at one of the places, however the key came to be the same. */
static void instructions_are_compared(void **state)
{
	struct findings *f = open_table(-ENOENT);
	int good = make("good", 7), other = make("other", 7);
	struct findings_key key;
	struct elf_scan scan;
	enum tt_scan result;

	keep(f, good);
	assert_int_equal(findings_key(f, good, &key), 0);
	assert_true(findings_take(f, &key, other, &scan, &result));
	assert_int_equal(pwrite(other, "\x90", 1, HOOK_AT + 64 + 15), 1);
	assert_false(findings_take(f, &key, other, &scan, &result));
	assert_int_equal(pwrite(other, "\0", 1, HOOK_AT + 64 + 15), 1);
	assert_true(findings_take(f, &key, other, &scan, &result));
	assert_int_equal(pwrite(other, "\x90", 1, PLACED_AT), 1);
	assert_false(findings_take(f, &key, other, &scan, &result));
	findings_free(f);
	close(good);
	close(other);
}

/* Each byte of the file is worth throwing it away; the next one is sound again. */
static void a_damaged_table_begins_anew(void **state)
{
	int fd = make("damaged", 1), out;
	struct findings *f = open_table(-ENOENT);
	struct stat st;

	keep(f, fd);
	assert_int_equal(findings_save(f), 0);
	findings_free(f);
	assert_int_equal(stat(table, &st), 0);
	for (off_t at = 0; at < st.st_size; at += at < 200 ? 1 : 37) {
		char byte, flipped;
		int r;

		out = open(table, O_RDWR | O_CLOEXEC);
		assert_int_equal(pread(out, &byte, 1, at), 1);
		flipped = (char)(byte ^ 0x10);
		assert_int_equal(pwrite(out, &flipped, 1, at), 1);
		r = findings_open(table, &f);
		assert_true(r == -EBADMSG || r == -ESTALE);
		assert_int_equal(findings_count(f), 0);
		assert_false(knows(f, fd));
		findings_free(f);
		assert_int_equal(pwrite(out, &byte, 1, at), 1);
		close(out);
	}
	f = open_table(0);
	assert_true(knows(f, fd));
	findings_free(f);
	assert_int_equal(truncate(table, st.st_size - 1), 0);
	f = open_table(-EBADMSG);
	keep(f, fd);
	assert_int_equal(findings_save(f), 0);
	findings_free(f);
	f = open_table(0);
	assert_true(knows(f, fd));
	findings_free(f);
	close(fd);
}

/* A row is as long as its hooks are many, in memory and in the file, also where it takes another's place. */
static void rows_of_all_lengths(void **state)
{
	static const size_t counts[] = { 0, ELF_SCAN_HOOKS_MAX, 1, 2 };
	struct findings *f = open_table(-ENOENT);
	int fd = make("lengths", 1);
	struct elf_scan scan, got;
	struct findings_key key;
	enum tt_scan result;
	struct stat st;

	assert_int_equal(findings_key(f, fd, &key), 0);
	for (size_t i = 0; i < 2 * (sizeof(counts) / sizeof(counts[0])); i++) {
		memset(&scan, 0, sizeof(scan));
		scan.count = counts[i / 2];
		for (size_t k = 0; k < scan.count; k++)
			scan.hooks[k] = (struct elf_hook){ .offset = HOOK_AT + 16 * k, .hook = TT_HOOK_openssl_write,
							   .tls = TT_TLS_OPENSSL, .placed = HOOK_AT,
							   .placed_as = TT_HOOK_openssl_record,
							   .cookie = (uint32_t)(i / 2 << 24 | k),
							   .spare = HOOK_AT + 16, .spare_as = TT_HOOK_openssl_read_ex };
		key.content[0] = i % 2 ? i : 0;
		findings_keep(f, &key, fd, &scan, scan.count ? TT_SCAN_HOOKS : TT_SCAN_NONE);
	}
	assert_int_equal(findings_count(f), 5);
	assert_int_equal(findings_save(f), 0);
	findings_free(f);
	f = open_table(0);
	for (size_t i = 1; i < 8; i += 2) {
		key.content[0] = i;
		assert_true(findings_take(f, &key, fd, &got, &result));
		assert_int_equal(got.count, counts[i / 2]);
		for (size_t k = 0; k < got.count; k++)
			assert_int_equal(got.hooks[k].offset, HOOK_AT + 16 * k);
	}
	key.content[0] = 0;	/* the last one kept */
	assert_true(findings_take(f, &key, fd, &got, &result));
	assert_memory_equal(&got, &scan, sizeof(scan));
	assert_int_equal(stat(table, &st), 0);
	assert_in_range(st.st_size, 1, 5000);	/* of 37 hooks in all, not of 5 times the most */
	findings_free(f);
	close(fd);
}

/* Under another key nothing is where it was: a table of one sensor says nothing about another's. */
static void keys_differ(void **state)
{
	struct findings *a = open_table(-ENOENT), *b = open_table(-ENOENT);
	struct findings_key of_a, of_b;
	int fd = make("keys", 1);

	assert_int_equal(findings_key(a, fd, &of_a), 0);
	assert_int_equal(findings_key(b, fd, &of_b), 0);
	assert_memory_equal(of_a.build_id, of_b.build_id, sizeof(of_a.build_id));
	assert_int_equal(of_a.build_id[0], 1);
	assert_memory_not_equal(of_a.content, of_b.content, sizeof(of_a.content));
	findings_free(a);
	findings_free(b);
	close(fd);
}

static void a_full_table_lets_the_oldest_go(void **state)
{
	struct findings *f = open_table(-ENOENT);
	const struct elf_scan scan = two_hooks();
	int fd = make("full", 1);
	struct elf_scan got;
	enum tt_scan result;
	struct findings_key key;

	assert_int_equal(findings_key(f, fd, &key), 0);
	for (uint64_t i = 0; i < FINDINGS_MAX; i++) {
		key.content[0] = i;
		findings_keep(f, &key, fd, &scan, TT_SCAN_HOOKS);
	}
	key.content[0] = 0;	/* of use just now */
	assert_true(findings_take(f, &key, fd, &got, &result));
	key.content[0] = FINDINGS_MAX;
	findings_keep(f, &key, fd, &scan, TT_SCAN_HOOKS);
	assert_int_equal(findings_count(f), FINDINGS_MAX);
	for (uint64_t i = 0; i <= FINDINGS_MAX; i++) {
		key.content[0] = i;
		assert_int_equal(findings_take(f, &key, fd, &got, &result), i != 1);
	}
	assert_int_equal(findings_save(f), 0);
	findings_free(f);
	f = open_table(0);
	assert_int_equal(findings_count(f), FINDINGS_MAX);
	findings_free(f);
	close(fd);
}

static void what_is_not_kept(void **state)
{
	struct findings *f = open_table(-ENOENT);
	const struct elf_scan none = { .count = 0 };
	int fd = make("none", 1);
	struct findings_key key;

	assert_int_equal(findings_key(f, fd, &key), 0);
	findings_keep(f, &key, fd, &none, TT_SCAN_BAD);
	assert_int_equal(findings_count(f), 0);
	findings_keep(f, &key, fd, &none, TT_SCAN_NONE);	/* large: took a while */
	assert_int_equal(findings_count(f), 1);
	key.size = 1000;
	findings_keep(f, &key, fd, &none, TT_SCAN_NONE);
	assert_int_equal(findings_count(f), 1);
	close(fd);
	fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
	assert_true(findings_key(f, fd, &key) < 0);
	close(fd);
	fd = make_in("/dev/shm", "tt_test_findings", 1);
	assert_int_equal(findings_key(f, fd, &key), -EXDEV);
	close(fd);
	unlink("/dev/shm/tt_test_findings");
	findings_free(f);
}

/* The old one stays until the new one is whole. */
static void where_nothing_can_be_written(void **state)
{
	char path[160];
	int fd = make("written", 1);
	struct findings *f = open_table(-ENOENT);

	keep(f, fd);
	assert_int_equal(findings_save(f), 0);
	snprintf(path, sizeof(path), "%s.new", table);
	assert_int_equal(mkdir(path, 0700), 0);	/* even root can't unlink or open that */
	keep(f, fd);
	assert_true(findings_save(f) < 0);
	findings_free(f);
	assert_int_equal(rmdir(path), 0);
	f = open_table(0);
	assert_true(knows(f, fd));
	findings_free(f);
	close(fd);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, no_table)
	const struct CMUnitTest tests[] = {
		T(the_same_file_is_known),
		T(a_changed_file_is_not),
		T(a_twin_of_a_hostile_file_is_not),
		T(instructions_are_compared),
		T(a_damaged_table_begins_anew),
		T(rows_of_all_lengths),
		T(keys_differ),
		T(a_full_table_lets_the_oldest_go),
		T(what_is_not_kept),
		T(where_nothing_can_be_written),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
