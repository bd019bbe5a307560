/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict on a process, from every mix of libraries and bytes; shares, names and sums. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tokens/coverage.h"

#define LATE UINT64_MAX

static struct coverage_library probed(enum tt_tls tls)
{
	return (struct coverage_library){ .tls = tls, .how = TT_HOW_symbols, .probes = 4 };
}

static struct coverage_library unseen(enum tt_tls tls, enum tt_blind blind)
{
	return (struct coverage_library){ .tls = tls, .blind = blind };
}

static struct coverage with(size_t libraries, const struct coverage_library *library)
{
	struct coverage c = { .sockets = 1, .blind_sockets = 1, .wire = { 1000, 1000 } };

	if (libraries)
		memcpy(c.library, library, libraries * sizeof(*library));
	c.libraries = libraries;
	return c;
}

static void assert_verdict(struct coverage c, uint64_t age_ns, enum coverage_status status,
			   enum tt_blind reason)
{
	coverage_judge(&c, age_ns);
	if (c.status != status || c.reason != reason)
		fail_msg("%s %s, not %s %s", coverage_status_name(c.status), coverage_reason(c.reason),
			 coverage_status_name(status), coverage_reason(reason));
}

static void no_tls_is_idle(void **state)
{
	struct coverage_library l = probed(TT_TLS_OPENSSL);
	struct coverage c = with(1, &l);

	c.sockets = c.blind_sockets = 0;
	c.wire[0] = c.wire[1] = 0;
	assert_verdict(c, 0, COVERAGE_IDLE, 0);
	c.first_call_ns = 7;	/* a call, and no socket that it belongs to */
	assert_verdict(c, LATE, COVERAGE_UNKNOWN, 0);
	c.first_call_ns = 0;
	c.sockets = 1;
	assert_verdict(c, LATE, COVERAGE_UNKNOWN, 0);
}

/* Whatever was seen of it before. */
static void excluded(void **state)
{
	struct coverage_library l = probed(TT_TLS_OPENSSL);
	struct coverage c = with(1, &l);

	c.excluded = true;
	assert_verdict(c, LATE, COVERAGE_EXCLUDED, 0);
	c.covered[0] = c.wire[0] / 2;
	assert_verdict(c, LATE, COVERAGE_EXCLUDED, 0);
	c.sockets = c.blind_sockets = 0;
	c.wire[0] = c.wire[1] = 0;
	assert_verdict(c, 0, COVERAGE_EXCLUDED, 0);
}

static void shares(void **state)
{
	struct coverage_library l = probed(TT_TLS_OPENSSL);
	struct coverage c = with(1, &l);

	c.blind_sockets = 0;
	c.covered[0] = c.covered[1] = 1000;
	assert_verdict(c, 0, COVERAGE_COVERED, 0);
	c.covered[1] = 990;
	assert_verdict(c, 0, COVERAGE_COVERED, 0);
	c.covered[1] = 979;
	assert_verdict(c, 0, COVERAGE_PARTIAL, 0);
	c.blind_sockets = 1;
	assert_verdict(c, 0, COVERAGE_PARTIAL, TT_BLIND_not_used);
	/* One direction blind, however few its bytes. */
	c = with(1, &l);
	c.wire[1] = 1;
	c.covered[0] = 1000;
	c.blind_sockets = 0;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, 0);
	c.wire[1] = 0;
	assert_verdict(c, LATE, COVERAGE_COVERED, 0);
}

static void blind_has_its_reason(void **state)
{
	const struct {
		size_t n;
		struct coverage_library l[3];
		enum coverage_status status;
		enum tt_blind reason;
	} cases[] = {
		{ 0, { { 0 } }, COVERAGE_BLIND, TT_BLIND_no_library },
		{ 1, { unseen(TT_TLS_JSSE, TT_BLIND_jsse) }, COVERAGE_BLIND, TT_BLIND_jsse },
		{ 1, { unseen(TT_TLS_BORINGSSL, TT_BLIND_not_found) }, COVERAGE_BLIND,
		  TT_BLIND_not_found },
		{ 1, { unseen(TT_TLS_GO, TT_BLIND_old_go) }, COVERAGE_BLIND, TT_BLIND_old_go },
		{ 1, { { .tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols, .blind = TT_BLIND_turned_off } },
		  COVERAGE_BLIND, TT_BLIND_turned_off },
		{ 1, { { .tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols, .refused = 4 } }, COVERAGE_BLIND,
		  TT_BLIND_attach_refused },
		{ 1, { probed(TT_TLS_OPENSSL) }, COVERAGE_BLIND, TT_BLIND_not_used },
		/* Found, not probed, not refused: nobody knows yet. */
		{ 1, { { .tls = TT_TLS_OPENSSL, .how = TT_HOW_symbols } }, COVERAGE_UNKNOWN, 0 },
		{ 1, { { .tls = TT_TLS_NONE } }, COVERAGE_UNKNOWN, 0 },
		/* What can't be seen into is why, not what was not used. */
		{ 2, { probed(TT_TLS_OPENSSL), unseen(TT_TLS_RUSTLS, TT_BLIND_not_unique) },
		  COVERAGE_BLIND, TT_BLIND_not_unique },
		{ 3, { probed(TT_TLS_OPENSSL), unseen(TT_TLS_BORINGSSL, TT_BLIND_not_found),
		       unseen(TT_TLS_JSSE, TT_BLIND_jsse) }, COVERAGE_BLIND, TT_BLIND_jsse },
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_verdict(with(cases[i].n, cases[i].l), LATE, cases[i].status, cases[i].reason);
}

/* A library of which not all functions are probed, and bytes that would have gone through those. */
static void partly_probed(void **state)
{
	struct coverage_library l = probed(TT_TLS_S2N);
	struct coverage c;

	l.partly[1] = TT_BLIND_unfit_instruction;
	assert_int_equal(coverage_library_reason(&l), TT_BLIND_unfit_instruction);
	c = with(1, &l);
	c.blind_sockets = 0;
	c.covered[0] = 1000;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, TT_BLIND_unfit_instruction);
	c.covered[1] = 979;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, TT_BLIND_unfit_instruction);
	c.covered[1] = 1000;
	assert_verdict(c, LATE, COVERAGE_COVERED, 0);
	/* What is sent went by for another reason. */
	c.covered[0] = 10;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, 0);
	c.covered[1] = 10;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, 0);
	c.library[0].partly[0] = TT_BLIND_attach_refused;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, TT_BLIND_unfit_instruction);
	/* What is not probed at all is why. */
	c.library[0].blind = TT_BLIND_turned_off;
	assert_int_equal(coverage_library_reason(&c.library[0]), TT_BLIND_turned_off);
	assert_verdict(c, LATE, COVERAGE_PARTIAL, TT_BLIND_turned_off);
}

/* netty-tcnative in a JVM: what it covers is covered. */
static void a_jvm_with_a_native_library(void **state)
{
	struct coverage_library l[] = { unseen(TT_TLS_JSSE, TT_BLIND_jsse), probed(TT_TLS_BORINGSSL) };
	struct coverage c = with(2, l);

	c.covered[0] = c.covered[1] = 1000;
	assert_verdict(c, LATE, COVERAGE_COVERED, 0);
	c.covered[1] = 10;
	assert_verdict(c, LATE, COVERAGE_PARTIAL, TT_BLIND_jsse);
}

static void too_early_is_unknown(void **state)
{
	struct coverage_library l = probed(TT_TLS_OPENSSL), j = unseen(TT_TLS_JSSE, TT_BLIND_jsse);
	struct coverage_library both[] = { j, probed(TT_TLS_BORINGSSL) };

	assert_verdict(with(0, NULL), COVERAGE_FOUND_NS - 1, COVERAGE_UNKNOWN, 0);
	assert_verdict(with(0, NULL), COVERAGE_FOUND_NS, COVERAGE_BLIND, TT_BLIND_no_library);
	assert_verdict(with(1, &j), COVERAGE_FOUND_NS - 1, COVERAGE_UNKNOWN, 0);
	assert_verdict(with(1, &j), COVERAGE_FOUND_NS, COVERAGE_BLIND, TT_BLIND_jsse);
	assert_verdict(with(1, &l), COVERAGE_CALLED_NS - 1, COVERAGE_UNKNOWN, 0);
	assert_verdict(with(1, &l), COVERAGE_CALLED_NS, COVERAGE_BLIND, TT_BLIND_not_used);
	/* Conscrypt in a JVM, which is busy with its first handshake. */
	assert_verdict(with(2, both), COVERAGE_CALLED_NS - 1, COVERAGE_UNKNOWN, 0);
	assert_verdict(with(2, both), COVERAGE_CALLED_NS, COVERAGE_BLIND, TT_BLIND_jsse);
}

/* Calls were seen, on none of the sockets: not blind, and nothing else for sure. */
static void calls_without_a_socket(void **state)
{
	struct coverage_library l = probed(TT_TLS_OPENSSL);
	struct coverage c = with(1, &l);

	c.plain[0] = 5;
	assert_verdict(c, LATE, COVERAGE_UNKNOWN, 0);
}

static void the_main_library(void **state)
{
	struct coverage_library l[] = { probed(TT_TLS_GNUTLS), probed(TT_TLS_OPENSSL) };
	struct coverage c = with(2, l);

	assert_null(coverage_main_library(&c));
	c.library[1].used = true;
	assert_int_equal(coverage_main_library(&c)->tls, TT_TLS_OPENSSL);
	c.library[0].used = true;
	assert_null(coverage_main_library(&c));
	c.library[0].used = c.library[1].used = false;
	c.libraries = 1;
	assert_int_equal(coverage_main_library(&c)->tls, TT_TLS_GNUTLS);
	c.libraries = 0;
	assert_null(coverage_main_library(&c));
}

static void share_of_numbers(void **state)
{
	const uint64_t none[2] = { 0 }, one[2] = { 50, 50 }, most[2] = { UINT64_MAX, UINT64_MAX };

	assert_true(coverage_share(none, none) < 0);
	assert_true(coverage_share(one, none) == 0);
	assert_true(coverage_share(one, one) == 1);
	assert_true(coverage_share(one, most) == 1);
	assert_true(coverage_share(most, most) == 1);
}

static void names(void **state)
{
	for (unsigned int i = 1; i < TT_BLIND_MAX; i++) {
		assert_true(coverage_reason(i)[0] && coverage_reason_text(i)[0] &&
			    coverage_remedy(i)[0]);
		assert_int_equal(coverage_reason_number(coverage_reason(i)), i);
	}
	assert_string_equal(coverage_reason(TT_BLIND_jsse), "jsse");
	assert_string_equal(coverage_reason(0), "");
	assert_string_equal(coverage_reason(999), "");
	assert_string_equal(coverage_how(999), "");
	assert_string_equal(coverage_status_name(999), "");
	assert_int_equal(coverage_reason_number("no such"), 0);
	assert_string_equal(coverage_how(TT_HOW_pclntab), "pclntab");
	assert_string_equal(coverage_status_name(COVERAGE_PARTIAL), "partial");
	assert_string_equal(coverage_kind_name(COVERAGE_UNIT), "unit");
}

static uint64_t all_wire(const struct coverage_totals *t)
{
	uint64_t n = t->other.wire[0];

	for (size_t i = 0; i < t->workloads; i++)
		n += t->workload[i].sum.wire[0];
	return n;
}

static void the_line(void **state)
{
	struct coverage_sum sum = { .processes = { [COVERAGE_BLIND] = 3 } };
	char line[COVERAGE_LINE_LEN] = "x";

	coverage_line(&sum, line);
	assert_string_equal(line, "");
	sum.wire[0] = 1000;
	sum.covered[0] = 979;
	coverage_line(&sum, line);
	assert_string_equal(line, "TLS bytes covered 97 %, 3 processes blind");
	sum.covered[0] = 999;
	sum.processes[COVERAGE_BLIND] = 1;
	coverage_line(&sum, line);
	assert_string_equal(line, "TLS bytes covered 99 %, 1 process blind");
	sum.wire[0] = sum.covered[0] = UINT64_MAX;
	sum.processes[COVERAGE_BLIND] = UINT64_MAX;
	coverage_line(&sum, line);
	assert_string_equal(line, "TLS bytes covered 100 %, 18446744073709551615 processes blind");
}

static void sums_keep_every_byte(void **state)
{
	struct coverage_workload rows[3];
	struct coverage_totals t = { .workload = rows, .limit = 3 };
	struct coverage c = { .wire = { 10, 20 }, .covered = { 1, 2 }, .plain = { 3, 4 }, .sockets = 2,
			      .blind_sockets = 1, .status = COVERAGE_PARTIAL };
	char name[16];

	for (int i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "w%d", i % 5);
		coverage_add(coverage_totals_get(&t, COVERAGE_UNIT, name), &c);
		coverage_add(coverage_totals_get(&t, COVERAGE_UNIT, "busy"), &c);
	}
	assert_int_equal(all_wire(&t), 200);
	/* The one with the latest news keeps its row. */
	assert_int_equal(coverage_totals_get(&t, COVERAGE_UNIT, "busy")->wire[0], 100);
	assert_int_equal(coverage_totals_get(&t, COVERAGE_UNIT, "busy")->wire[1], 200);
	assert_int_equal(coverage_totals_get(&t, COVERAGE_UNIT, "busy")->processes[COVERAGE_PARTIAL], 10);
	/* A name is one of its kind. */
	assert_int_equal(coverage_totals_get(&t, COVERAGE_CGROUP, "busy")->wire[0], 0);
	assert_ptr_equal(coverage_totals_get(&t, COVERAGE_UNIT, ""), &t.other);
	t.limit = 0;
	assert_ptr_equal(coverage_totals_get(&t, COVERAGE_UNIT, "busy"), &t.other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_tls_is_idle),
		cmocka_unit_test(excluded),
		cmocka_unit_test(shares),
		cmocka_unit_test(blind_has_its_reason),
		cmocka_unit_test(partly_probed),
		cmocka_unit_test(a_jvm_with_a_native_library),
		cmocka_unit_test(too_early_is_unknown),
		cmocka_unit_test(calls_without_a_socket),
		cmocka_unit_test(the_main_library),
		cmocka_unit_test(share_of_numbers),
		cmocka_unit_test(names),
		cmocka_unit_test(the_line),
		cmocka_unit_test(sums_keep_every_byte),
	};

	return cmocka_run_group_tests_name("coverage", tests, NULL, NULL);
}
