/* SPDX-License-Identifier: Apache-2.0 */
/* Whose a token is: each source of evidence, which is believed before which, and what contradiction costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "tokens/owner.h"

static struct facts f;
static struct workload work;
static struct owner_sources sources;

static int setup(void **state)
{
	facts_done(&f);
	work = (struct workload){ .user = -1 };
	sources = (struct owner_sources){ NULL, false };
	return 0;
}

static void set(enum fact which, const char *text)
{
	assert_int_equal(facts_set_text(&f, which, text, strlen(text)), 0);
}

static void is(const char *kind, const char *name, const char *confidence)
{
	assert_int_equal(owner_judge(&sources, &f), 0);
	assert_string_equal(facts_text(&f, FACT_owner_kind), kind);
	assert_string_equal(facts_text(&f, FACT_owner_name), name);
	assert_string_equal(facts_text(&f, FACT_owner_confidence), confidence);
	assert_int_equal(*kind != 0, *facts_text(&f, FACT_owner_evidence) != 0);
}

static void used_by(const char *kind, const char *namespace, const char *name, enum confidence c)
{
	snprintf(work.kind, sizeof(work.kind), "%s", kind);
	snprintf(work.namespace, sizeof(work.namespace), "%s", namespace);
	snprintf(work.name, sizeof(work.name), "%s", name);
	work.confidence = c;
	sources.user = &work;
}

static void nothing_known_is_no_owner(void **state)
{
	is("", "", "");
	set(FACT_token_subject, "somebody");	/* of whom nobody knows what it is */
	is("", "", "");
}

static void service_account(void **state)
{
	set(FACT_token_subject, "system:serviceaccount:shop:cart");
	is("ServiceAccount", "shop/cart", "high");
	set(FACT_k8s_namespace, "shop");
	set(FACT_k8s_service_account, "cart");
	is("ServiceAccount", "shop/cart", "high");
	used_by("Deployment", "shop", "cart", CONFIDENCE_HIGH);
	is("ServiceAccount", "shop/cart", "high");
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "Deployment shop/cart"));
	set(FACT_token_subject, "system:serviceaccount::");
	set(FACT_k8s_namespace, "");
	is("Deployment", "shop/cart", "medium");
}

static void another_namespace_contradicts(void **state)
{
	set(FACT_token_subject, "system:serviceaccount:shop:cart");
	used_by("Deployment", "mallory", "miner", CONFIDENCE_HIGH);
	is("ServiceAccount", "shop/cart", "medium");
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "but: the only one that sends it"));
	sources.several = true;
	is("ServiceAccount", "shop/cart", "medium");
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "but: several"));
}

static void a_person_and_a_machine_contradict(void **state)
{
	set(FACT_token_subject_kind, "machine");
	set(FACT_token_subject, "backend");
	is("client", "backend", "high");
	used_by("human", "", "user 1000", CONFIDENCE_MEDIUM);
	is("client", "backend", "medium");
	set(FACT_token_subject_kind, "human");
	set(FACT_token_subject, "tth1_x");
	is("human", "tth1_x", "high");
}

static void a_client_acts_for_people_too(void **state)
{
	set(FACT_token_client_id, "app");
	is("", "", "");
	set(FACT_token_subject_kind, "machine");
	is("client", "app", "medium");
}

static void users(void **state)
{
	used_by("unit", "", "nginx.service", CONFIDENCE_HIGH);
	is("unit", "nginx.service", "medium");
	used_by("executable", "", "/usr/bin/curl", CONFIDENCE_LOW);
	is("executable", "/usr/bin/curl", "low");
	sources.several = true;
	is("", "", "");
}

static void a_list_is_believed_before_all(void **state)
{
	set(FACT_token_subject, "system:serviceaccount:shop:cart");
	set(FACT_listed_owner, "payments");
	set(FACT_listed_source, "vault.csv");
	is("listed", "payments", "high");
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "vault.csv"));
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "shop/cart"));
}

static void a_team_says_so_itself(void **state)
{
	used_by("Deployment", "shop", "cart", CONFIDENCE_LOW);
	snprintf(work.team, sizeof(work.team), "checkout");
	snprintf(work.team_key, sizeof(work.team_key), "example.com/team");
	is("team", "checkout", "medium");
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "example.com/team"));
}

static void minted_by_another_contradicts(void **state)
{
	set(FACT_minted_executable, "/usr/bin/vault-agent");
	is("executable", "/usr/bin/vault-agent", "low");
	used_by("container", "", "app", CONFIDENCE_HIGH);
	snprintf(work.container_id, sizeof(work.container_id), "c1");
	is("container", "app", "low");
	assert_non_null(strstr(facts_text(&f, FACT_owner_evidence), "but: had it minted"));
	set(FACT_minted_container, "c1");
	is("container", "app", "medium");
}

static void what_was_judged_before_is_known_again(void **state)
{
	struct workload other = { .user = -1, .kind = "unit", .name = "apache2.service",
				  .confidence = CONFIDENCE_HIGH };

	assert_false(owner_was_other(&f, &other));
	used_by("unit", "", "nginx.service", CONFIDENCE_HIGH);
	is("unit", "nginx.service", "medium");
	assert_false(owner_was_other(&f, &work));
	assert_true(owner_was_other(&f, &other));
	snprintf(other.name, sizeof(other.name), "nginx.servic");
	assert_true(owner_was_other(&f, &other));
	assert_false(owner_had_several(&f));
	set(FACT_token_subject, "system:serviceaccount:shop:cart");
	sources.several = true;
	is("ServiceAccount", "shop/cart", "medium");
	assert_true(owner_had_several(&f));
}

static int done(void **state)
{
	facts_done(&f);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(nothing_known_is_no_owner, setup),
		cmocka_unit_test_setup(service_account, setup),
		cmocka_unit_test_setup(another_namespace_contradicts, setup),
		cmocka_unit_test_setup(a_person_and_a_machine_contradict, setup),
		cmocka_unit_test_setup(a_client_acts_for_people_too, setup),
		cmocka_unit_test_setup(users, setup),
		cmocka_unit_test_setup(a_list_is_believed_before_all, setup),
		cmocka_unit_test_setup(a_team_says_so_itself, setup),
		cmocka_unit_test_setup(minted_by_another_contradicts, setup),
		cmocka_unit_test_setup(what_was_judged_before_is_known_again, setup),
	};

	return cmocka_run_group_tests(tests, NULL, done);
}
