/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tokens/id.c: known answers (made with `openssl kdf` and with Python's hmac, whose HKDF was
 * checked against RFC 5869, test case 3), and the key file's rules.
 */
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

#include "tokens/id.h"

static char dir[64], path[128];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/tt-test-id.XXXXXX");
	if (!mkdtemp(dir))
		return -1;
	snprintf(path, sizeof(path), "%s/fleet.key", dir);
	return 0;
}

static int teardown(void **state)
{
	unlink(path);
	return rmdir(dir); /* fails if a temporary file stayed behind */
}

static void put_file(const char *text, mode_t mode)
{
	FILE *f;

	unlink(path);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void counting_key(uint8_t *key)
{
	for (int i = 0; i < FLEET_KEY_LEN; i++)
		key[i] = i;
}

static void test_derive(void **state)
{
	static const uint8_t kernel[] = {0xde, 0xa1, 0x5e, 0x8a, 0x67, 0x92, 0xb9, 0xa1,
					 0x0c, 0xb4, 0xec, 0x14, 0x75, 0x34, 0x45, 0xd1};
	static const uint8_t publish[] = {0xa9, 0xac, 0x8a, 0xc0, 0x91, 0x0f, 0x3a, 0x89,
					  0x48, 0x9f, 0xfc, 0x2d, 0xea, 0xd5, 0xd8, 0xe3,
					  0x01, 0x3c, 0xae, 0xca, 0x3b, 0x25, 0x43, 0x60,
					  0x8c, 0xd7, 0x16, 0x3e, 0x05, 0xd0, 0xbb, 0xa3};
	uint8_t fleet[FLEET_KEY_LEN];
	struct keys keys;

	counting_key(fleet);
	assert_int_equal(keys_derive(fleet, &keys), 0);
	assert_memory_equal(keys.kernel, kernel, sizeof(kernel));
	assert_memory_equal(keys.publish, publish, sizeof(publish));
	assert_string_equal(keys.key_id, "6f8780aa607a9cde");
}

static void test_id(void **state)
{
	static const uint64_t fingerprint[2] = {0x0706050403020100, 0x0f0e0d0c0b0a0908};
	static const uint64_t zero[2] = {0, 0};
	uint8_t fleet[FLEET_KEY_LEN], none[PUBLISH_KEY_LEN] = {0};
	char id[TOKEN_ID_LEN], other[TOKEN_ID_LEN];
	struct keys keys;

	counting_key(fleet);
	assert_int_equal(keys_derive(fleet, &keys), 0);
	assert_int_equal(token_id(keys.publish, fingerprint, 40, id), 0);
	assert_string_equal(id, "tt1_whmb7lf5n5hcta33zhmcrruqm2wbjzv3");
	assert_int_equal(token_id(none, zero, 0, id), 0);
	assert_string_equal(id, "tt1_maethuhuku5t4am2eqh456idwg6jprai");
	assert_int_equal(token_id(keys.publish, fingerprint, 41, other), 0);
	assert_string_not_equal(other, "tt1_whmb7lf5n5hcta33zhmcrruqm2wbjzv3");
}

#define HEX "000102030405060708090a0b0c0d0e0f101112131415161718191A1B1C1D1E1F"

static void test_load(void **state)
{
	uint8_t fleet[FLEET_KEY_LEN], want[FLEET_KEY_LEN];

	counting_key(want);
	put_file("# a comment\n\n" HEX "\n# more\n", 0600);
	assert_int_equal(fleet_key_load(path, fleet), 0);
	assert_memory_equal(fleet, want, sizeof(want));
	put_file(HEX, 0400);
	assert_int_equal(fleet_key_load(path, fleet), 0);
	put_file(HEX " \r\n", 0600);
	assert_int_equal(fleet_key_load(path, fleet), 0);
}

static void test_load_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"\n",
		"# only\n",
		HEX HEX "\n",
		HEX "\n" HEX "\n",
		"00" HEX "\n",
		"x" HEX,
		" " HEX,
		HEX "0\n",
		HEX "\nrest\n",
		"0g0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"};
	uint8_t fleet[FLEET_KEY_LEN];
	char big[5000];

	memset(fleet, 7, sizeof(fleet));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		put_file(bad[i], 0600);
		assert_int_equal(fleet_key_load(path, fleet), -EINVAL);
	}
	memset(big, '\n', sizeof(big) - 1);
	big[sizeof(big) - 1] = '\0';
	memcpy(big, HEX, strlen(HEX));
	put_file(big, 0600);
	assert_int_equal(fleet_key_load(path, fleet), -EINVAL);
	for (size_t i = 0; i < sizeof(fleet); i++)
		assert_int_equal(fleet[i], 7);
}

static void test_load_rights(void **state)
{
	uint8_t fleet[FLEET_KEY_LEN];
	int fd;

	assert_int_equal(fleet_key_load(path, fleet), -ENOENT);
	assert_int_equal(fleet_key_load(dir, fleet), -EINVAL);
	put_file(HEX, 0640);
	assert_int_equal(fleet_key_load(path, fleet), -EPERM);
	put_file(HEX, 0604);
	assert_int_equal(fleet_key_load(path, fleet), -EPERM);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(fleet_key_load(path, fleet), -EINVAL); /* and does not wait for a writer */
	if (geteuid() == 0) {
		put_file(HEX, 0600);
		fd = open(path, O_RDONLY);
		assert_true(fd >= 0);
		assert_int_equal(fchown(fd, 12345, 12345), 0);
		close(fd);
		assert_int_equal(fleet_key_load(path, fleet), -EPERM);
	}
}

static void test_new(void **state)
{
	uint8_t first[FLEET_KEY_LEN], second[FLEET_KEY_LEN];
	char deep[160], inner[160], parent[160];
	struct stat st;

	assert_int_equal(fleet_key_new(path), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(fleet_key_load(path, first), 0);
	assert_int_equal(fleet_key_new(path), -EEXIST);
	assert_int_equal(fleet_key_load(path, second), 0);
	assert_memory_equal(first, second, sizeof(first));

	snprintf(parent, sizeof(parent), "%s/a", dir);
	snprintf(inner, sizeof(inner), "%s/a/b", dir);
	snprintf(deep, sizeof(deep), "%s/a/b/key", dir);
	assert_int_equal(fleet_key_new(deep), 0);
	assert_int_equal(fleet_key_load(deep, second), 0);
	assert_memory_not_equal(first, second, sizeof(first));
	assert_int_equal(unlink(deep), 0);
	assert_int_equal(rmdir(inner), 0);
	assert_int_equal(rmdir(parent), 0);
	assert_int_equal(fleet_key_new("/dev/null/key"), -ENOTDIR);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_derive),
		cmocka_unit_test(test_id),
		cmocka_unit_test_setup_teardown(test_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_bad, setup, teardown),
		cmocka_unit_test_setup_teardown(test_load_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_new, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
