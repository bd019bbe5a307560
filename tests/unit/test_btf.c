/* SPDX-License-Identifier: Apache-2.0 */
/* monitor/btf.c: libbpf makes both descriptions of types and reads what was taken out of the one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <bpf/btf.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "monitor/btf.h"

#define PAD 40000	/* types that nobody asks for: more than a window of them, and of names */

/* struct task { ...; int flags; struct inner in; union { long a; int b; }; struct other *p; char comm[16]; } */
static struct btf *make_kernel(void)
{
	struct btf *b = btf__new_empty();
	int integer, letter, array, other, pointer, inner, anonymous, fixed, padding;
	char name[32];

	for (int i = 0; i < PAD; i++) {
		snprintf(name, sizeof(name), "pad_%d", i);
		assert_int_equal(btf__add_struct(b, name, 4), i + 1);
	}
	padding = PAD;
	integer = btf__add_int(b, "int", 4, BTF_INT_SIGNED);
	letter = btf__add_int(b, "char", 1, 0);
	array = btf__add_array(b, integer, letter, 16);
	other = btf__add_struct(b, "other", 8);
	btf__add_field(b, "flags", integer, 0, 0);
	pointer = btf__add_ptr(b, other);
	inner = btf__add_struct(b, "inner", 8);
	btf__add_field(b, "unknown", integer, 0, 0);
	btf__add_field(b, "deep", integer, 32, 0);
	anonymous = btf__add_union(b, NULL, 4);
	btf__add_field(b, "a", integer, 0, 0);
	btf__add_field(b, "b", integer, 0, 0);
	fixed = btf__add_const(b, btf__add_typedef(b, "inner_t", inner));
	btf__add_struct(b, "task", 64);
	btf__add_field(b, "unknown", padding, 0, 0);
	btf__add_field(b, "flags", integer, 32, 0);
	btf__add_field(b, "in", fixed, 64, 0);
	btf__add_field(b, NULL, anonymous, 128, 0);
	btf__add_field(b, "p", pointer, 192, 0);
	btf__add_field(b, "comm", array, 256, 0);
	btf__add_enum(b, "state", 4);
	btf__add_enum_value(b, "RUNS", 3);
	btf__add_enum_value(b, "SLEEPS", 5);
	btf__add_struct(b, "renewed", 8);
	btf__add_field(b, "flags", integer, 32, 0);
	return b;
}

static struct btf *make_ours(void)
{
	struct btf *b = btf__new_empty();
	int integer = btf__add_int(b, "int", 4, BTF_INT_SIGNED);

	btf__add_struct(b, "task___old", 4);	/* a flavor: task */
	btf__add_field(b, "flags", integer, 0, 0);
	btf__add_struct(b, "task", 16);
	btf__add_field(b, "in", integer, 0, 0);
	btf__add_field(b, "deep", integer, 32, 0);
	btf__add_field(b, "b", integer, 64, 0);
	btf__add_field(b, "p", integer, 96, 0);
	btf__add_field(b, "comm", integer, 96, 0);
	btf__add_struct(b, "not_in_this_kernel", 4);
	btf__add_enum(b, "state", 4);
	btf__add_enum_value(b, "SLEEPS", 1);
	btf__add_struct(b, "renewed___old", 4);	/* asked for by its flavor only */
	return b;
}

static int put(const void *bytes, size_t len)
{
	int fd = memfd_create("btf", MFD_CLOEXEC);

	assert_int_equal(write(fd, bytes, len), (ssize_t)len);
	return fd;
}

static int extract(const void *kernel, size_t kernel_len, const void *ours, size_t len, struct btf **ret_btf)
{
	int from = put(kernel, kernel_len), to = put("", 0), r;
	char path[32];

	r = btf_extract(from, ours, len, to);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", to);
	if (r == 0) {
		*ret_btf = btf__parse_raw(path);
		assert_non_null(*ret_btf);
	}
	close(from);
	close(to);
	return r;
}

static struct btf *extract_made(void)
{
	struct btf *kernel = make_kernel(), *ours = make_ours(), *got = NULL;
	uint32_t len, kernel_len;
	const void *raw = btf__raw_data(ours, &len);
	const void *kernel_raw = btf__raw_data(kernel, &kernel_len);

	assert_int_equal(extract(kernel_raw, kernel_len, raw, len, &got), 0);
	btf__free(kernel);
	btf__free(ours);
	return got;
}

static const struct btf_type *type_of(const struct btf *b, const char *name, uint32_t kind)
{
	int id = btf__find_by_name_kind(b, name, kind);

	assert_true(id > 0);
	return btf__type_by_id(b, (uint32_t)id);
}

static const struct btf_member *member_of(const struct btf *b, const struct btf_type *t, const char *name)
{
	for (int i = 0; i < btf_vlen(t); i++)
		if (strcmp(btf__name_by_offset(b, btf_members(t)[i].name_off), name) == 0)
			return &btf_members(t)[i];
	return NULL;
}

static void members_that_are_asked_for(void **state)
{
	struct btf *b = extract_made();
	const struct btf_type *t = type_of(b, "task", BTF_KIND_STRUCT), *m;

	assert_int_equal(t->size, 64);
	assert_int_equal(btf_vlen(t), 5);
	assert_null(member_of(b, t, "unknown"));
	assert_int_equal(member_of(b, t, "flags")->offset, 32);
	m = btf__type_by_id(b, member_of(b, t, "flags")->type);
	assert_int_equal(btf_kind(m), BTF_KIND_INT);
	assert_int_equal(btf_int_encoding(m), BTF_INT_SIGNED);
	m = btf__type_by_id(b, member_of(b, t, "comm")->type);
	assert_int_equal(btf_kind(m), BTF_KIND_ARRAY);
	assert_int_equal(btf_array(m)->nelems, 16);
	assert_string_equal(btf__name_by_offset(b, btf__type_by_id(b, btf_array(m)->type)->name_off), "char");
	assert_int_equal(member_of(b, type_of(b, "renewed", BTF_KIND_STRUCT), "flags")->offset, 32);
	btf__free(b);
}

/* Through const and typedef to the struct, into the union without a name, but not through the pointer. */
static void what_they_consist_of(void **state)
{
	struct btf *b = extract_made();
	const struct btf_type *t = type_of(b, "task", BTF_KIND_STRUCT), *m;

	m = btf__type_by_id(b, member_of(b, t, "in")->type);
	assert_int_equal(btf_kind(m), BTF_KIND_CONST);
	m = btf__type_by_id(b, m->type);
	assert_int_equal(btf_kind(m), BTF_KIND_TYPEDEF);
	assert_string_equal(btf__name_by_offset(b, m->name_off), "inner_t");
	m = btf__type_by_id(b, m->type);
	assert_int_equal(btf_vlen(m), 1);
	assert_int_equal(member_of(b, m, "deep")->offset, 32);
	m = btf__type_by_id(b, member_of(b, t, "")->type);
	assert_int_equal(btf_kind(m), BTF_KIND_UNION);
	assert_int_equal(btf_vlen(m), 1);
	assert_non_null(member_of(b, m, "b"));
	m = btf__type_by_id(b, member_of(b, t, "p")->type);
	assert_int_equal(btf_kind(m), BTF_KIND_PTR);
	assert_int_equal(m->type, 0);
	assert_true(btf__find_by_name_kind(b, "other", BTF_KIND_STRUCT) < 0);
	btf__free(b);
}

static void enumerators(void **state)
{
	struct btf *b = extract_made();
	const struct btf_type *t = type_of(b, "state", BTF_KIND_ENUM);

	assert_int_equal(btf_vlen(t), 2);
	assert_int_equal(btf_enum(t)[1].val, 5);
	assert_string_equal(btf__name_by_offset(b, btf_enum(t)[1].name_off), "SLEEPS");
	btf__free(b);
}

static void nothing_else(void **state)
{
	struct btf *b = extract_made();
	uint32_t len;

	btf__raw_data(b, &len);
	assert_true(len < 1000);
	assert_true(btf__type_cnt(b) < 16);
	btf__free(b);
}

/* The beginnings of both; whatever they are cut to, an answer comes, and none that libbpf could not read. */
static void damaged(void **state)
{
	struct btf *kernel = make_ours(), *ours = make_ours(), *got = NULL;
	uint32_t len, kernel_len;
	const unsigned char *raw = btf__raw_data(ours, &len);
	const unsigned char *kernel_raw = btf__raw_data(kernel, &kernel_len);
	unsigned char *copy = malloc(len);

	assert_int_equal(extract(kernel_raw, kernel_len, raw, len, &got), 0);
	btf__free(got);
	for (uint32_t cut = 0; cut < len; cut++) {
		assert_int_equal(extract(kernel_raw, cut, raw, len, &got), -EBADMSG);
		memcpy(copy, raw, cut);
		assert_int_equal(extract(kernel_raw, kernel_len, copy, cut, &got), -EBADMSG);
	}
	for (uint32_t at = 0; at < len; at++) {
		for (unsigned int bit = 0; bit < 8; bit++) {
			int from, to, r;

			memcpy(copy, raw, len);
			copy[at] ^= (unsigned char)(1U << bit);
			from = put(copy, len);
			to = put("", 0);
			r = btf_extract(from, raw, len, to);
			assert_true(r == 0 || r == -EBADMSG || r == -E2BIG);
			close(from);
			from = put(raw, len);
			r = btf_extract(from, copy, len, to);
			assert_true(r == 0 || r == -EBADMSG || r == -E2BIG);
			close(from);
			close(to);
		}
	}
	free(copy);
	btf__free(kernel);
	btf__free(ours);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(members_that_are_asked_for),
		cmocka_unit_test(what_they_consist_of),
		cmocka_unit_test(enumerators),
		cmocka_unit_test(nothing_else),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests_name("btf", tests, NULL, NULL);
}
