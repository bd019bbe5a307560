/* SPDX-License-Identifier: Apache-2.0 */
/* Container ids in the cgroup paths that real runtimes make. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/container.h"

#define UID "2f3a7c1e-8f7e-4a39-9d55-5be0f3f7a111"

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define ID2 "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210"
#define UID_DASH "2c48913c-b29f-11e7-9350-020968147796"
#define UID_LINE "2c48913c_b29f_11e7_9350_020968147796"
#define POD_SLICE "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod" UID_LINE ".slice"
#define KIND "/docker/" ID2 "/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-besteffort.slice" \
	     "/kubelet-kubepods-besteffort-pod" UID_LINE ".slice"

static const struct {
	const char *path, *id;
} cases[] = {
	{ "/docker/" ID, ID },
	{ "/system.slice/docker-" ID ".scope", ID },
	{ "/system.slice/docker-" ID ".scope/init.scope", ID },
	{ "/docker/" ID "/system.slice/ssh.service", ID },
	{ "/docker/" ID2 "/docker/" ID, ID },
	{ POD_SLICE "/cri-containerd-" ID ".scope", ID },
	{ POD_SLICE "/crio-" ID ".scope", ID },
	{ POD_SLICE "/crio-" ID ".scope/container", ID },
	{ POD_SLICE "/docker-" ID ".scope", ID },
	{ "/kubepods.slice/kubepods-pod" UID_LINE ".slice/cri-containerd-" ID ".scope", ID },
	{ "/kubepods/burstable/pod" UID_DASH "/" ID, ID },
	{ "/kubepods/pod" UID_DASH "/" ID, ID },
	{ "/kubepods/besteffort/pod" UID_DASH "/my-task.1", "my-task.1" },
	{ "/kubepods/besteffort/pod" UID_DASH "/my-task.1/inner", "my-task.1" },
	{ POD_SLICE "/cri-containerd-short_id.scope", "short_id" },
	{ KIND "/cri-containerd-" ID ".scope", ID },
	{ "/machine.slice/libpod-" ID ".scope/container", ID },
	{ "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-" ID ".scope", ID },
	{ "/ecs/1cdc4af1ef8a4f2a8c8e4d1f8d0b2c3e/" ID, ID },
	{ "/ecs/1cdc4af1ef8a4f2a8c8e4d1f8d0b2c3e/1cdc4af1ef8a4f2a8c8e4d1f8d0b2c3e-265927825",
	  "1cdc4af1ef8a4f2a8c8e4d1f8d0b2c3e-265927825" },
	{ "/system.slice/nerdctl-" ID ".scope", ID },
	/* no containers */
	{ "", "" },
	{ "/", "" },
	{ "/init.scope", "" },
	{ "/system.slice/docker.service", "" },
	{ "/system.slice/docker-compose.service", "" },
	{ "/system.slice/docker-abc.scope", "" },
	{ "/user.slice/user-1000.slice/session-3.scope", "" },
	{ "/machine.slice/libpod-conmon-" ID ".scope", "" },
	{ POD_SLICE, "" },
	{ POD_SLICE "/crio-conmon-" ID ".scope", "" },
	{ "/kubepods/burstable/pod" UID_DASH, "" },
	{ "/kubepods/burstable", "" },
	{ "/podman/podx/thing", "" },
	/* cut: half an id is none; what is left of the path may still name the outer container */
	{ POD_SLICE "/cri-containerd-0123456789abcdef", "" },
	{ KIND "/cri-containerd-0123456789abcdef", ID2 },
	{ "/docker/0123456789abcdef0123456789abcdef", "" },
	/* hostile */
	{ "////", "" },
	{ "/kubepods/pod1/", "" },
	{ "/kubepods/pod1/a\"b", "" },
	{ "/kubepods/pod1/" ID "x", "" },
	{ "/docker/0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef", "" },
	{ "docker/" ID, ID },
};

static void table(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char id[CONTAINER_ID_LEN] = "stale";
		bool found = container_of_cgroup(cases[i].path, id);

		if (found != (cases[i].id[0] != 0))
			print_error("path %s\n", cases[i].path);
		assert_string_equal(id, cases[i].id);
		assert_int_equal(found, cases[i].id[0] != 0);
	}
}

static void units(void **state)
{
	static const struct {
		const char *path, *unit;
	} rows[] = {
		{ "/system.slice/nginx.service", "nginx.service" },
		{ "/system.slice/nginx.service/worker", "nginx.service" },
		{ "/user.slice/user-0.slice/session-1.scope", "session-1.scope" },
		{ "/user.slice/user-1.slice/user@1.service/app.slice/app-x.scope", "app-x.scope" },
		{ "/init.scope", "init.scope" },
		{ "/", "" }, { "", "" }, { "/a/b", "" }, { "/system.slice", "" }, { "////", "" },
		{ "/a.service.d", "" },
	};
	char unit[64], cut[6];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(unit_of_cgroup(rows[i].path, unit, sizeof(unit)), rows[i].unit[0] != 0);
		assert_string_equal(unit, rows[i].unit);
	}
	assert_true(unit_of_cgroup("/nginx.service", cut, sizeof(cut)));
	assert_string_equal(cut, "nginx");
}

static void pods(void **state)
{
	static const struct { const char *path, *uid; } rows[] = {
		{ "/kubepods/burstable/pod" UID "/abc", UID },
		{ "/kubepods.slice/kubepods-pod2f3a7c1e_8f7e_4a39_9d55_5be0f3f7a111.slice/x.scope", UID },
		{ "/kubelet-kubepods-besteffort-pod0123456789abcdef0123456789abcdef.slice/c",
		  "0123456789abcdef0123456789abcdef" },
		{ "/kubepods/podshort/abc", "" }, { "/pod" UID "/abc", "" },
		{ "/kubepods/pod" UID "0/abc", "" }, { "/kubepods/pod2F3A7C1E-8f7e-4a39-9d55-5be0f3f7a111/a", "" },
		{ "/", "" }, { "", "" },
	};
	char uid[POD_UID_LEN];

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(pod_of_cgroup(rows[i].path, uid), rows[i].uid[0] != 0);
		assert_string_equal(uid, rows[i].uid);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(table), cmocka_unit_test(units),
					    cmocka_unit_test(pods) };

	return cmocka_run_group_tests_name("container", tests, NULL, NULL);
}
