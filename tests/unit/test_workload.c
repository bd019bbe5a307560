/* SPDX-License-Identifier: Apache-2.0 */
/* Which workload: from bundles of each runtime, from the kubelet's names, from units, sessions, executables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enrich/workload.h"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define UID "2f3a7c1e-8f7e-4a39-9d55-5be0f3f7a111"

static struct workload *w;
static struct tt_ipc_place place;

static int setup(void **state)
{
	w = workload_new();
	place = (struct tt_ipc_place){ 0 };
	return w ? 0 : -1;
}

static int teardown(void **state)
{
	workload_drop(w);
	return 0;
}

static void bundle(const char *json)
{
	int fd = memfd_create("bundle", 0);

	assert_int_equal(write(fd, json, strlen(json)), strlen(json));
	workload_read_bundle(w, fd);
	close(fd);
}

static void is(const char *kind, const char *name, const char *namespace, const char *pod,
	       enum confidence confidence)
{
	assert_string_equal(w->kind, kind);
	assert_string_equal(w->name, name);
	assert_string_equal(w->namespace, namespace);
	assert_string_equal(w->pod, pod);
	assert_int_equal(w->confidence, confidence);
	assert_true(w->evidence[0]);
}

static void in_pod(void)
{
	workload_set_container(w, ID, UID, &place);
}

static void containerd(void **state)
{
	bundle("{\"process\":{\"env\":[\"A=io.kubernetes.pod.name\"]},\"annotations\":{"
	       "\"io.kubernetes.cri.container-name\":\"app\",\"io.kubernetes.cri.sandbox-name\":"
	       "\"cart-6d8f7c9b5d-x2x4z\",\"io.kubernetes.cri.sandbox-namespace\":\"shop\"}}");
	in_pod();
	is("Deployment", "cart", "shop", "cart-6d8f7c9b5d-x2x4z", CONFIDENCE_LOW);
	assert_string_equal(w->container_name, "app");
	assert_string_equal(w->container_id, ID);
}

static void crio_with_labels(void **state)
{
	bundle("{\"annotations\":{\"io.kubernetes.cri-o.Labels\":\"{\\\"pod-template-hash\\\":\\\"6d8f7c9b5d\\\","
	       "\\\"app.kubernetes.io/part-of\\\":\\\"shop-front\\\"}\",\"io.kubernetes.cri-o.Annotations\":"
	       "\"{\\\"example.com/owner\\\":\\\"team-cart\\\"}\",\"io.kubernetes.pod.name\":"
	       "\"cart-6d8f7c9b5d-x2x4z\",\"io.kubernetes.pod.namespace\":\"shop\"}}");
	in_pod();
	is("Deployment", "cart", "shop", "cart-6d8f7c9b5d-x2x4z", CONFIDENCE_HIGH);
	assert_string_equal(w->team, "team-cart");
	assert_string_equal(w->team_key, "example.com/owner");
}

static void docker(void **state)
{
	bundle("{\"Name\":\"/web\",\"Config\":{\"Env\":[\"X=y\"],\"Labels\":{\"io.kubernetes.pod.name\":\"fake\","
	       "\"com.example.team\":\"no\",\"team\":\"ops\"}}}");
	workload_set_container(w, ID, "", NULL);
	is("container", "web", "", "", CONFIDENCE_HIGH);
	assert_string_equal(w->team, "ops");
}

static void runc(void **state)
{
	bundle("{\"id\":\"x\",\"config\":{\"labels\":[\"io.kubernetes.pod.name=db-0\",\"bundle=/b\","
	       "\"io.kubernetes.pod.namespace=shop\",\"statefulset.kubernetes.io/pod-name=db-0\",\"noequals\"]}}");
	in_pod();
	is("StatefulSet", "db", "shop", "db-0", CONFIDENCE_HIGH);
}

static void jobs(void **state)
{
	bundle("{\"annotations\":{\"io.kubernetes.pod.name\":\"backup-28000-abcde\",\"job-name\":\"backup-28000\","
	       "\"io.kubernetes.pod.namespace\":\"shop\"}}");
	in_pod();
	is("Job", "backup-28000", "shop", "backup-28000-abcde", CONFIDENCE_HIGH);
}

static void the_kubelets_directories(void **state)
{
	snprintf(place.pod_dir, sizeof(place.pod_dir), "shop_cart-6d8f7c9b5d-x2x4z_" UID);
	snprintf(place.log_link, sizeof(place.log_link), "cart-6d8f7c9b5d-x2x4z_shop_app-" ID ".log");
	in_pod();
	is("Deployment", "cart", "shop", "cart-6d8f7c9b5d-x2x4z", CONFIDENCE_LOW);
	assert_string_equal(w->container_name, "app");
}

static void only_a_namespace(void **state)
{
	snprintf(place.namespace, sizeof(place.namespace), "shop");
	in_pod();
	is("container", ID, "shop", "", CONFIDENCE_HIGH);
}

static void sources_that_differ_are_not_believed(void **state)
{
	bundle("{\"annotations\":{\"io.kubernetes.pod.name\":\"a-0\",\"io.kubernetes.pod.namespace\":\"shop\"}}");
	snprintf(place.pod_dir, sizeof(place.pod_dir), "other_a-0_" UID);
	in_pod();
	is("container", ID, "", "", CONFIDENCE_HIGH);
	assert_non_null(strstr(w->evidence, "but: "));
}

static void shapes_of_names(void **state)
{
	static const struct { const char *pod, *kind, *name; } rows[] = {
		{ "web-0", "StatefulSet", "web" }, { "web-12", "StatefulSet", "web" },
		{ "a-b-6d8f7c9b5d-x2x4z", "Deployment", "a-b" },
		{ "proxy-x2x4z", "Pod", "proxy-x2x4z" },	/* DaemonSet, Job, ReplicaSet */
		{ "etcd-node1", "Pod", "etcd-node1" }, { "plain", "Pod", "plain" },
		{ "6d8f7c9b5d-x2x4z", "Pod", "6d8f7c9b5d-x2x4z" }, { "web-2024", "Pod", "web-2024" },
		{ "-", "Pod", "-" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		workload_drop(w);
		assert_int_equal(setup(NULL), 0);
		snprintf(place.pod_dir, sizeof(place.pod_dir), "shop_%s_" UID, rows[i].pod);
		in_pod();
		assert_string_equal(w->kind, rows[i].kind);
		assert_string_equal(w->name, rows[i].name);
	}
}

static void what_may_be_a_secret_or_no_name_is_not_told(void **state)
{
	char json[512], token[41] = "ghp" "_";

	memset(token + 4, 'a', 36);
	token[40] = 0;
	snprintf(json, sizeof(json), "{\"annotations\":{\"owner\":\"%s\",\"io.kubernetes.pod.name\":\"a b\","
		 "\"io.kubernetes.pod.namespace\":\"\\u001b[2J\",\"team\":\"a;b\"}}", token);
	bundle(json);
	in_pod();
	assert_string_equal(w->team, "");
	assert_string_equal(w->pod, "");
	assert_string_equal(w->namespace, "");
}

static void units_people_executables(void **state)
{
	static const struct { const char *cgroup; int64_t user; bool terminal; const char *kind, *name; } rows[] = {
		{ "/system.slice/nginx.service", 33, false, "unit", "nginx.service" },
		{ "/system.slice/nginx.service", 1000, false, "unit", "nginx.service" },
		{ "/user.slice/user-1000.slice/session-3.scope", 1000, true, "human", "user 1000" },
		{ "/user.slice/user-1000.slice/session-3.scope", 1000, false, "human", "user 1000" },
		{ "/", 1000, true, "human", "user 1000" },
		{ "/user.slice/user-1000.slice/session-3.scope", 0, true, "executable", "/bin/x" },
		{ "/user.slice/user-1000.slice/user@1000.service/init.scope", 1000, false, "unit", "init.scope" },
		{ "/", 0, true, "executable", "/bin/x" },
		{ "/", 65534, true, "executable", "/bin/x" },
		{ "", -1, false, "executable", "/bin/x" },
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		workload_drop(w);
		assert_int_equal(setup(NULL), 0);
		workload_set_process(w, rows[i].cgroup, "/bin/x", rows[i].user, rows[i].terminal);
		assert_string_equal(w->kind, rows[i].kind);
		assert_string_equal(w->name, rows[i].name);
		assert_true(w->evidence[0]);
	}
	workload_drop(w);
	assert_int_equal(setup(NULL), 0);
	workload_set_process(w, "", "", 0, false);
	assert_string_equal(w->kind, "");
}

static void sameness(void **state)
{
	struct workload a = { .kind = "Deployment", .name = "cart", .namespace = "shop", .pod = "p1", .user = -1 };
	struct workload b = a;

	snprintf(b.pod, sizeof(b.pod), "p2");
	assert_true(workload_same(&a, &b));
	snprintf(b.namespace, sizeof(b.namespace), "other");
	assert_false(workload_same(&a, &b));
	assert_true(workload_has_controller(&a));
	snprintf(a.kind, sizeof(a.kind), "Pod");
	assert_false(workload_has_controller(&a));
}

static void evidence_that_does_not_fit_is_left_out_whole(void **state)
{
	for (int i = 0; i < 200; i++)
		workload_prove(w, "line %d of the evidence", i);
	assert_true(strlen(w->evidence) < sizeof(w->evidence));
	assert_string_equal(strrchr(w->evidence, '\n') + strlen(strrchr(w->evidence, '\n')) - 8, "evidence");
	workload_hold(w);
	workload_drop(w);
	assert_int_equal(w->holders, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(containerd), TEST(crio_with_labels), TEST(docker), TEST(runc), TEST(jobs),
		TEST(the_kubelets_directories), TEST(only_a_namespace),
		TEST(sources_that_differ_are_not_believed), TEST(shapes_of_names),
		TEST(what_may_be_a_secret_or_no_name_is_not_told), TEST(units_people_executables),
		TEST(sameness), TEST(evidence_that_does_not_fit_is_left_out_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
