/* SPDX-License-Identifier: Apache-2.0 */
/* What the node has of a container: a made-up root directory, looked into as the monitor does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "monitor/places.h"

#define POD "2f3a7c1e-8f7e-4a39-9d55-5be0f3f7a111"

static char dir[] = "/tmp/test-places-XXXXXX";
static int root = -1;
static struct tt_ipc_look question;
static struct tt_ipc_place place;
static int bundle;

static void make(const char *path, const char *text)
{
	char command[512];
	FILE *f;

	snprintf(command, sizeof(command), "mkdir -p '%s/%.*s'", dir, (int)(strrchr(path, '/') - path), path);
	assert_int_equal(system(command), 0);
	if (!path[strlen(path) - 1] || path[strlen(path) - 1] == '/')
		return;
	snprintf(command, sizeof(command), "%s/%s", dir, path);
	f = fopen(command, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void tell(const char *target, const char *path)
{
	char link[512];

	snprintf(link, sizeof(link), "%s/%s", dir, path);
	assert_int_equal(symlink(target, link), 0);
}

static int setup(void **state)
{
	question = (struct tt_ipc_look){ .container = "c0ffee", .pod = POD };
	place = (struct tt_ipc_place){ 0 };
	bundle = -1;
	strcpy(dir, "/tmp/test-places-XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	root = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return root < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	char command[64];

	if (bundle >= 0)
		close(bundle);
	close(root);
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

static void is_bundle(const char *text)
{
	char got[64] = "";

	assert_true(bundle >= 0);
	assert_int_equal(pread(bundle, got, sizeof(got) - 1, 0), strlen(text));
	assert_string_equal(got, text);
}

static void an_empty_node_has_nothing(void **state)
{
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_int_equal(bundle, -EBADF);
	assert_string_equal(place.pod_dir, "");
	assert_string_equal(place.log_link, "");
	assert_string_equal(place.namespace, "");
}

static void the_kubelets_names(void **state)
{
	make("var/log/pods/shop_other_3f3a7c1e-8f7e-4a39-9d55-5be0f3f7a111/", "");
	make("var/log/pods/shop_cart-0_" POD "/", "");
	make("var/log/containers/cart-0_shop_app-c0ffee.log", "");
	make("var/lib/kubelet/pods/" POD "/volumes/kubernetes.io~projected/kube-api-access-x/..2026/namespace",
	     "shop\n");
	tell("..2026", "var/lib/kubelet/pods/" POD "/volumes/kubernetes.io~projected/kube-api-access-x/..data");
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_string_equal(place.pod_dir, "shop_cart-0_" POD);
	assert_string_equal(place.log_link, "cart-0_shop_app-c0ffee.log");
	assert_string_equal(place.namespace, "shop");
	question.pod[0] = 0;
	place = (struct tt_ipc_place){ 0 };
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_string_equal(place.pod_dir, "");
}

static void namespaces_of_pods(void **state)
{
	char name[64] = "";

	assert_false(places_has_pods(root));
	assert_int_equal(places_namespace(root, POD, name, sizeof(name)), -ENOENT);
	assert_int_equal(places_namespace(root, "", name, sizeof(name)), -EINVAL);
	assert_int_equal(places_namespace(root, "../../etc", name, sizeof(name)), -EINVAL);
	make("var/log/pods/other_cart-0_3f3a7c1e-8f7e-4a39-9d55-5be0f3f7a111/", "");
	assert_true(places_has_pods(root));
	assert_int_equal(places_namespace(root, POD, name, sizeof(name)), -ENOENT);
	make("var/lib/kubelet/pods/" POD "/volumes/kubernetes.io~projected/kube-api-access-x/..2026/namespace",
	     "shop-2\n");
	tell("..2026", "var/lib/kubelet/pods/" POD "/volumes/kubernetes.io~projected/kube-api-access-x/..data");
	assert_int_equal(places_namespace(root, POD, name, sizeof(name)), 0);
	assert_string_equal(name, "shop-2");
	make("var/log/pods/shop_cart-0_" POD "/", "");
	assert_int_equal(places_namespace(root, POD, name, sizeof(name)), 0);
	assert_string_equal(name, "shop");
}

static void bundles_in_their_order(void **state)
{
	make("run/runc/c0ffee/state.json", "runc");
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	is_bundle("runc");
	close(bundle);
	make("run/containerd/io.containerd.runtime.v2.task/k8s.io/c0ffee/config.json", "containerd");
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	is_bundle("containerd");
}

/* Nothing outside of the root, and nothing that would make a reader wait. */
static void links_lead_nowhere_else(void **state)
{
	char fifo[128];

	make("run/runc/c0ffee/x", "");
	make("etc/passwd", "of the node");
	tell("/etc/passwd", "run/runc/c0ffee/state.json");
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_int_equal(bundle, -EBADF);
	make("run/crun/c0ffee/x", "");
	snprintf(fifo, sizeof(fifo), "%s/run/crun/c0ffee/config.json", dir);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_int_equal(bundle, -EBADF);
	tell("/run", "var");	/* counts from the root */
	make("run/log/pods/shop_cart-0_" POD "/", "");
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_string_equal(place.pod_dir, "shop_cart-0_" POD);
}

static void a_large_file_is_not_handed_out(void **state)
{
	char path[128];

	make("run/runc/c0ffee/state.json", "");
	snprintf(path, sizeof(path), "%s/run/runc/c0ffee/state.json", dir);
	assert_int_equal(truncate(path, PLACES_BUNDLE_MAX + 1), 0);
	assert_int_equal(places_find(root, &question, &place, &bundle), 0);
	assert_int_equal(bundle, -EBADF);
}

static void questions_that_are_none(void **state)
{
	static const char *const bad[] = { "", "../x", ".", "a/b", "a b", "a%s" };

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		snprintf(question.container, sizeof(question.container), "%s", bad[i]);
		assert_int_equal(places_find(root, &question, &place, &bundle), -EINVAL);
	}
	memset(question.container, 'a', sizeof(question.container));
	assert_int_equal(places_find(root, &question, &place, &bundle), -EINVAL);
	snprintf(question.container, sizeof(question.container), "a");
	snprintf(question.pod, sizeof(question.pod), "../..");
	assert_int_equal(places_find(root, &question, &place, &bundle), -EINVAL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_node_has_nothing), TEST(the_kubelets_names), TEST(namespaces_of_pods),
		TEST(bundles_in_their_order),
		TEST(links_lead_nowhere_else), TEST(a_large_file_is_not_handed_out),
		TEST(questions_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
