/* SPDX-License-Identifier: Apache-2.0 */
/* agent/elf_xref.c: strings, references, functions and values; windows, and files that lie. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "agent/elf_xref.h"
#include "elf_make.h"

#define MIB (1u << 20)

static struct elf_made made;
static struct elf_file file;
static struct elf_xref *x;
static int fd = -1;

static void open_bytes(const void *bytes, size_t len)
{
	fd = elf_made_fd(bytes, len);
	assert_true(fd >= 0);
	assert_int_equal(elf_file_open(&file, fd), 0);
	assert_int_equal(elf_xref_new(&file, &x), 0);
}

static void open_made(void)
{
	open_bytes(made.bytes, sizeof(made.bytes));
}

static int shut(void **state)
{
	elf_xref_free(x);
	x = NULL;
	elf_file_close(&file);
	if (fd >= 0)
		close(fd);
	fd = -1;
	return 0;
}

static const struct elf_xref_string whole = { "word", ELF_XREF_WHOLE }, tail = { "word", ELF_XREF_TAIL },
				    part = { "word", ELF_XREF_PART };

static void kinds_of_strings(void **state)
{
	uint64_t first, second, third;

	elf_made_begin(&made, ET_DYN);
	first = elf_made_string(&made, "word");
	second = elf_made_string(&made, "/a/word");
	third = elf_made_string(&made, "words");
	open_made();
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
	assert_int_equal(x->place_count, 2);
	assert_int_equal(x->place[0].from, first);
	assert_int_equal(x->place[0].to, first);
	assert_int_equal(x->place[0].offset, first - ELF_BASE);
	assert_int_equal(x->place[1].from, second + 3);
	assert_int_equal(elf_xref_find(x, &tail, 1), 0);
	assert_int_equal(x->place_count, 2);
	assert_int_equal(x->place[1].from, second);
	assert_int_equal(x->place[1].to, second + 3);
	assert_int_equal(elf_xref_find(x, &part, 1), 0);
	assert_int_equal(x->place_count, 3);
	assert_int_equal(x->place[2].from, third);
}

static void more_strings_than_are_kept(void **state)
{
	elf_made_begin(&made, ET_DYN);
	for (unsigned int i = 0; i <= ELF_XREF_PLACES_MAX; i++)
		elf_made_string(&made, "word");
	open_made();
	assert_int_equal(elf_xref_find(x, &whole, 1), -E2BIG);
	assert_int_equal(elf_xref_find(x, &part, 1), 0);
	assert_int_equal(x->place_count, ELF_XREF_PARTS_MAX);
	made.bytes[ELF_STRINGS + 1] = 'x';
	shut(NULL);
	open_made();
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
}

/* In a segment that can be written nothing is looked for: it is another one in the process. */
static void segments_that_can_be_written(void **state)
{
	elf_made_begin(&made, ET_DYN);
	elf_made_string(&made, "word");
	elf_made_phdr(&made, 0)->p_flags |= PF_W;
	open_made();
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
	assert_int_equal(x->place_count, 0);
}

/* A string and a reference at each place around the edge of a window. */
static void edges_of_windows(void **state)
{
	const size_t size = 4 * MIB;
	unsigned char *bytes = calloc(1, size);
	Elf64_Phdr *ph;

	assert_non_null(bytes);
	for (uint32_t at = MIB - 12; at < MIB + 12; at++) {
		int32_t away;

		elf_made_begin(&made, ET_DYN);
		memset(bytes, 0, size);
		memcpy(bytes, made.bytes, ELF_STRINGS);
		ph = (void *)(bytes + sizeof(Elf64_Ehdr));
		ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = 2 * MIB };
		ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = 2 * MIB,
				      .p_vaddr = 2 * MIB, .p_filesz = 2 * MIB };
		ph[2].p_type = ph[3].p_type = PT_NULL;
		memcpy(bytes + at - 3, "/a/word", 8);
		memcpy(bytes + 2 * MIB + at, "\x48\x8d\x0d", 3);
		away = (int32_t)(at - (2 * MIB + at + 7));
		memcpy(bytes + 2 * MIB + at + 3, &away, sizeof(away));
		open_bytes(bytes, size);
		assert_int_equal(elf_xref_find(x, &tail, 1), 0);
		assert_int_equal(x->place_count, 1);
		assert_int_equal(x->place[0].from, at - 3);
		assert_int_equal(x->place[0].to, at);
		assert_int_equal(elf_xref_refer(x), 0);
		assert_int_equal(x->ref_count, 1);
		assert_int_equal(x->refs[0].at, 2 * MIB + at);
		shut(NULL);
	}
	free(bytes);
}

static void registers(void **state)
{
	uint64_t word, at[16];

	for (unsigned int type = ET_EXEC; type <= ET_DYN; type++) {
		elf_made_begin(&made, type);
		word = elf_made_string(&made, "word");
		for (unsigned int reg = 0; reg < 16; reg++) {
			at[reg] = elf_made_lea(&made, reg, word);
			elf_made_mov(&made, reg, (uint32_t)word);
		}
		open_made();
		assert_int_equal(elf_xref_find(x, &whole, 1), 0);
		assert_int_equal(elf_xref_refer(x), 0);
		/* Only in a program at a fixed address is the constant an address. */
		assert_int_equal(x->ref_count, type == ET_EXEC ? 32 : 16);
		for (unsigned int i = 0; i < x->ref_count; i++)
			assert_int_equal(x->refs[i].reg, type == ET_EXEC ? i / 2 : i);
		for (unsigned int reg = 0; reg < 16; reg++)
			assert_int_equal(x->refs[type == ET_EXEC ? 2 * reg : reg].at, at[reg]);
		shut(NULL);
	}
}

static void more_references_than_are_kept(void **state)
{
	struct {
		struct elf_made made;
		unsigned char code[(ELF_XREF_REFS_MAX + 1) * 7];
	} *big = calloc(1, sizeof(*big));
	uint64_t word;

	assert_non_null(big);
	elf_made_begin(&big->made, ET_DYN);
	word = elf_made_string(&big->made, "word");
	*elf_made_phdr(&big->made, 1) = (Elf64_Phdr){
		.p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = sizeof(big->made),
		.p_vaddr = ELF_BASE + sizeof(big->made), .p_filesz = sizeof(big->code),
	};
	for (uint32_t i = 0; i <= ELF_XREF_REFS_MAX; i++) {
		uint32_t away = (uint32_t)(word - (ELF_BASE + sizeof(big->made) + (i + 1) * 7));

		memcpy(big->code + i * 7, "\x48\x8d\x0d", 3);
		memcpy(big->code + i * 7 + 3, &away, sizeof(away));
	}
	for (uint32_t i = 0; i < 2; i++) {
		open_bytes(big, sizeof(*big));
		assert_int_equal(elf_xref_find(x, &whole, 1), 0);
		assert_int_equal(elf_xref_refer(x), i ? 0 : -E2BIG);
		big->code[0] = 0x90;
		shut(NULL);
	}
	free(big);
}

/* Three functions with a reference each; the second one's is what is looked at. */
static uint64_t three_functions(int rows, uint64_t *ret_at)
{
	uint64_t word, function[3];

	elf_made_begin(&made, ET_DYN);
	word = elf_made_string(&made, "word");
	for (int i = 0; i < 3; i++) {
		function[i] = elf_made_function(&made);
		elf_made_call(&made, function[i > 1 ? i : 0]);
		elf_made_call(&made, function[i > 0 ? 1 : 0]);
		*ret_at = i == 1 ? elf_made_lea(&made, 1, word) : *ret_at;
		elf_made_end(&made, function[i], rows);
	}
	return function[1];
}

static void look(void)
{
	open_made();
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
	assert_int_equal(elf_xref_refer(x), 0);
	assert_int_equal(x->ref_count, 1);
	assert_int_equal(elf_xref_functions(x), 0);
}

static void functions_by_table_and_calls(void **state)
{
	for (int rows = 0; rows < 2; rows++) {
		uint64_t at = 0, function = three_functions(rows, &at);

		look();
		assert_int_equal(x->refs[0].at, at);
		assert_int_equal(x->refs[0].function, function);
		assert_int_equal(x->refs[0].by_calls, !rows);
		/* The table knows the length, calls only where the next one begins. */
		assert_int_equal(x->refs[0].end, rows ? at + 7 + 2 : (at + 7 + 2 + 15) / 16 * 16);
		assert_true(elf_xref_is_entry(x, function));
		assert_false(elf_xref_is_entry(x, function + 16));
		assert_false(elf_xref_is_entry(x, function + 1));
		shut(NULL);
	}
}

/* Rows that lie are not believed: what calls say is taken. */
static void tables_that_lie(void **state)
{
	for (int lie = 0; lie < 9; lie++) {
		uint64_t at = 0, function = three_functions(1, &at);
		unsigned char *header = made.bytes + ELF_TABLE, *fde = made.bytes + ELF_FDES + 16;
		uint32_t value = lie == 6 ? 5 : UINT32_MAX;

		switch (lie) {
		case 0: case 1: case 2: case 3:	/* version, encodings */
			header[lie]++;
			break;
		case 4:	/* the number of rows */
			memcpy(header + 8, &value, sizeof(value));
			break;
		case 5: case 6:	/* how long a description, a function is */
			memcpy(fde + (lie == 5 ? 0 : 12), &value, sizeof(value));
			break;
		case 7:	/* a description of another function */
			fde[8]++;
			break;
		case 8:	/* where the description is */
			memcpy(header + 12 + 8 + 4, &value, sizeof(value));
			break;
		}
		look();
		assert_int_equal(x->refs[0].function, function);
		assert_true(x->refs[0].by_calls);
		shut(NULL);
	}
}

/* One segment, executable or not, over all of the file, as often as there may be segments. */
static void segments_that_overlap(void **state)
{
	static const struct elf_xref_string nowhere = { "nowhere", ELF_XREF_WHOLE };
	struct {
		struct elf_made made;
		Elf64_Phdr ph[ELF_SEGMENTS_MAX];
	} big;
	Elf64_Ehdr *eh = (void *)big.made.bytes;

	for (int exec = 0; exec < 2; exec++) {
		elf_made_begin(&big.made, ET_DYN);
		elf_made_string(&big.made, "word");
		eh->e_phoff = offsetof(typeof(big), ph);
		eh->e_phnum = ELF_SEGMENTS_MAX;
		for (size_t i = 0; i < ELF_SEGMENTS_MAX; i++)
			big.ph[i] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | (exec ? PF_X : 0),
						  .p_filesz = sizeof(big) };
		open_bytes(&big, sizeof(big));
		assert_int_equal(elf_xref_find(x, &nowhere, 1), -E2BIG);
		shut(NULL);
	}
	/* Executable ones too many for a table of calls, none of them overlapping. */
	elf_made_begin(&big.made, ET_DYN);
	elf_made_string(&big.made, "word");
	eh->e_phoff = offsetof(typeof(big), ph);
	eh->e_phnum = 12;
	for (uint32_t i = 0; i < 12; i++)
		big.ph[i] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X,
					  .p_offset = ELF_STRINGS + i * 1024, .p_filesz = 1024,
					  .p_vaddr = ELF_BASE + ELF_STRINGS + i * 1024 };
	big.made.code_at = ELF_STRINGS + 1024;
	elf_made_lea(&big.made, 1, ELF_BASE + ELF_STRINGS + 1);
	open_bytes(&big, sizeof(big));
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
	assert_int_equal(elf_xref_refer(x), 0);
	assert_int_equal(x->ref_count, 1);
	assert_int_equal(elf_xref_functions(x), -E2BIG);
}

/* The file became shorter after its headers were read. */
static void file_that_shrinks(void **state)
{
	uint64_t at = 0;

	three_functions(1, &at);
	open_made();
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
	assert_int_equal(elf_xref_refer(x), 0);
	assert_int_equal(ftruncate(fd, ELF_CODE), 0);
	assert_int_equal(elf_xref_functions(x), -ERANGE);
	assert_int_equal(elf_xref_refer(x), -ERANGE);
	assert_int_equal(ftruncate(fd, 64), 0);
	assert_int_equal(elf_xref_find(x, &whole, 1), -ERANGE);
}

/* A function without end, all of whose places may be beginnings: work stops, with an answer. */
static void calls_to_everywhere(void **state)
{
	const size_t size = 32 * MIB, from = 64 * 1024;
	unsigned char *bytes = calloc(1, size);
	struct timespec begin, end;
	Elf64_Phdr *ph;

	assert_non_null(bytes);
	elf_made_begin(&made, ET_DYN);
	memcpy(bytes, made.bytes, ELF_STRINGS);
	memcpy(bytes + ELF_STRINGS, "\0word", 6);
	ph = (void *)(bytes + sizeof(Elf64_Ehdr));
	ph[0] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R, .p_filesz = from };
	ph[1] = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = from, .p_vaddr = from,
			      .p_filesz = size - from };
	ph[2].p_type = ph[3].p_type = PT_NULL;
	memset(bytes + from, 0xe8, size - from);
	for (uint32_t i = 1; i <= ELF_XREF_REFS_MAX; i++) {
		uint32_t at = i * 7168, away = ELF_STRINGS + 1 - (uint32_t)(from + at + 7);

		memcpy(bytes + from + at, "\x48\x8d\x0d", 3);
		memcpy(bytes + from + at + 3, &away, sizeof(away));
	}
	open_bytes(bytes, size);
	assert_int_equal(elf_xref_find(x, &whole, 1), 0);
	assert_int_equal(elf_xref_refer(x), 0);
	assert_int_equal(x->ref_count, ELF_XREF_REFS_MAX);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &begin);
	assert_int_equal(elf_xref_functions(x), -E2BIG);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &end);
	assert_true(end.tv_sec - begin.tv_sec < 10);
	free(bytes);
}

/* A sparse gigabyte is the most that is read, and none of it stays in memory. */
static void large_files(void **state)
{
	struct rusage before, after;

	elf_made_begin(&made, ET_DYN);
	elf_made_string(&made, "word");
	for (int more = 0; more < 2; more++) {
		elf_made_phdr(&made, 0)->p_offset = 0;
		elf_made_phdr(&made, 0)->p_vaddr = 0;
		elf_made_phdr(&made, 0)->p_filesz = 1024 * MIB - (ELF_BYTES - ELF_CODE) + (unsigned int)more;
		fd = elf_made_fd(made.bytes, sizeof(made.bytes));
		assert_int_equal(ftruncate(fd, 1100LL * MIB), 0);
		assert_int_equal(elf_file_open(&file, fd), 0);
		assert_int_equal(elf_xref_new(&file, &x), 0);
		assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
		assert_int_equal(elf_xref_find(x, &whole, 1), more ? -E2BIG : 0);
		assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
		assert_true(after.ru_maxrss - before.ru_maxrss < 4096);
		shut(NULL);
	}
}

static void values_near_a_reference(void **state)
{
	uint64_t word, function;
	uint32_t v[4];

	elf_made_begin(&made, ET_DYN);
	word = elf_made_string(&made, "word");
	elf_made_mov(&made, ELF_XREF_EDX, 1);	/* before the function */
	function = elf_made_function(&made);
	elf_made_mov(&made, ELF_XREF_EDX, 2);	/* 20 before */
	elf_made_mov(&made, ELF_XREF_R8D, 3);	/* 15: another register */
	elf_made_mov(&made, ELF_XREF_R9D, 4);
	elf_made_code(&made, "\x48\xba\1\2\3\4\5\6\7\x8", 10);	/* movabs: another instruction */
	elf_made_lea(&made, ELF_XREF_ECX, word);
	elf_made_mov(&made, ELF_XREF_EDX, 5);	/* 7 after */
	elf_made_code(&made, "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 16);
	elf_made_mov(&made, ELF_XREF_EDX, 6);	/* 28 after */
	elf_made_end(&made, function, 1);
	elf_made_mov(&made, ELF_XREF_EDX, 7);	/* after the function */
	look();
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EDX, 40, 40, v, 4), 3);
	assert_int_equal(v[0], 5);
	assert_true((v[1] == 2 && v[2] == 6) || (v[1] == 6 && v[2] == 2));
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EDX, 40, 40, v, 1), 1);
	assert_int_equal(v[0], 5);
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EDX, 256, 11, v, 4), 1);
	assert_int_equal(v[0], 2);
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EDX, 0, 33, v, 4), 2);
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_R8D, 40, 40, v, 4), 1);
	assert_int_equal(v[0], 3);
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EAX, 40, 40, v, 4), 0);
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EDX, 257, 40, v, 4), 0);
	x->refs[0].function = 0;
	assert_int_equal(elf_xref_values(x, &x->refs[0], ELF_XREF_EDX, 40, 40, v, 4), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, shut)
		T(kinds_of_strings),
		T(more_strings_than_are_kept),
		T(segments_that_can_be_written),
		T(edges_of_windows),
		T(registers),
		T(more_references_than_are_kept),
		T(functions_by_table_and_calls),
		T(tables_that_lie),
		T(segments_that_overlap),
		T(file_that_shrinks),
		T(calls_to_everywhere),
		T(large_files),
		T(values_near_a_reference),
	};

#if !defined(__x86_64__)
	print_message("x86-64 only\n");
	return 0;
#endif
	return cmocka_run_group_tests(tests, NULL, NULL);
}
