/* SPDX-License-Identifier: Apache-2.0 */
/* bpf/readers/nh.h against NH computed word by word, however the text is cut, and whether all of a text counts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <readers/nh.h>

#define WINDOW 1024
#define TEXT_WORDS 700		/* some blocks */

static uint64_t key[NH_KEYS + NH_STRIDE], text[TEXT_WORDS];

static int fill(void **state)
{
	uint64_t x = 88172645463325252ULL;

	for (size_t i = 0; i < NH_KEYS + NH_STRIDE + TEXT_WORDS; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		*(i < TEXT_WORDS ? &text[i] : &key[i - TEXT_WORDS]) = x;
	}
	return 0;
}

/* The definition, one sum after the other. */
static void plainly(const uint64_t *words, size_t n, uint64_t out[2])
{
	struct siphash sip;
	uint64_t hash[2];

	siphash_init(&sip, 1, 2);
	for (size_t block = 0; block < n; block += NH_WORDS) {
		for (size_t pass = 0; pass < 2; pass++) {
			uint64_t sum = 0;

			for (size_t i = 0; i < NH_WORDS && block + i < n; i++) {
				uint64_t s = words[block + i] + key[pass * NH_WORDS + i];

				sum += (uint64_t)(uint32_t)s * (uint32_t)(s >> 32);
			}
			siphash_word(&sip, sum);
		}
	}
	siphash_final(&sip, (__u64 *)hash);
	memcpy(out, hash, sizeof(hash));
}

/* Through a window that holds the words at `at`, not more than `most` at once. */
static void hashed(size_t n, size_t at, size_t most, uint64_t out[2])
{
	static uint8_t window[WINDOW + 8 * NH_STRIDE];
	struct nh h;
	__u64 hash[2];

	nh_init(&h, 1, 2);
	for (size_t done = 0; done < n;) {
		size_t have = n - done < most ? n - done : most;
		uint32_t took;

		memcpy(window + at, text + done, 8 * have);
		took = nh_words(&h, (const __u64 *)key, window, WINDOW, at, (uint32_t)have);
		assert_in_range(took, 1, have);
		done += took;
	}
	nh_final(&h, hash);
	memcpy(out, hash, sizeof(hash));
}

static void test_values(void **state)
{
	uint64_t want[2], is[2];

	for (size_t n = 1; n <= TEXT_WORDS; n += n < 140 ? 1 : 61) {
		plainly(text, n, want);
		hashed(n, 0, WINDOW / 8, is);
		assert_memory_equal(is, want, sizeof(want));
		hashed(n, 5, 100, is);
		assert_memory_equal(is, want, sizeof(want));
		hashed(n, 17, 1 + n % 13, is);
		assert_memory_equal(is, want, sizeof(want));
	}
}

static void test_single_words(void **state)
{
	uint64_t want[2], is[2];
	struct nh h;

	plainly(text, 300, want);
	nh_init(&h, 1, 2);
	for (size_t i = 0; i < 300; i++)
		nh_word(&h, (const __u64 *)key, text[i]);
	nh_final(&h, (__u64 *)is);
	assert_memory_equal(is, want, sizeof(want));
}

/* Each bit of the text, and each word's place, changes both halves. */
static void test_differences(void **state)
{
	const size_t n = 200;
	uint64_t was[2], is[2], other;

	hashed(n, 0, 128, was);
	for (size_t bit = 0; bit < 64 * n; bit++) {
		text[bit / 64] ^= 1ULL << bit % 64;
		hashed(n, 0, 128, is);
		text[bit / 64] ^= 1ULL << bit % 64;
		assert_int_not_equal(is[0], was[0]);
		assert_int_not_equal(is[1], was[1]);
	}
	for (size_t i = 1; i < n; i++) {
		other = text[i];
		text[i] = text[i - 1];
		text[i - 1] = other;
		hashed(n, 0, 128, is);
		assert_int_not_equal(is[0], was[0]);
		text[i - 1] = text[i];
		text[i] = other;
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_single_words),
		cmocka_unit_test(test_differences),
	};

	return cmocka_run_group_tests(tests, fill, NULL);
}
