/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bpf/readers/siphash.h against the published vectors of SipHash-2-4-128 (key 00..0f, message i is
 * the bytes 00..i-1; the numbers here were computed by OpenSSL 3.0's own implementation), and against
 * OpenSSL at run time for long messages fed in mixed portions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include <readers/siphash.h>

#define KEY0 0x0706050403020100ULL
#define KEY1 0x0f0e0d0c0b0a0908ULL

/* The sixteen bytes of output, each half written in byte order. */
static const uint64_t vectors[64][2] = {
	{ 0xa3817f04ba25a8e6, 0x6df67214c7550293 },
	{ 0xda87c1d86b99af44, 0x347659119b22fc45 },
	{ 0x8177228da4a45dc7, 0xfca38bdef60affe4 },
	{ 0x9c70b60c5267a94e, 0x5f33b6b02985ed51 },
	{ 0xf88164c12d9c8faf, 0x7d0f6e7c7bcd5579 },
	{ 0x1368875980776f88, 0x54527a07690e9627 },
	{ 0x14eeca338b208613, 0x485ea0308fd7a15e },
	{ 0xa1f1ebbed8dbc153, 0xc0b84aa61ff08239 },
	{ 0x3b62a9ba6258f561, 0x0f83e264f31497b4 },
	{ 0x264499060ad9baab, 0xc47f8b02bb6d71ed },
	{ 0x00110dc378146956, 0xc95447d3f3d0fbba },
	{ 0x0151c568386b6677, 0xa2b4dc6f81e5dc18 },
	{ 0xd626b266905ef358, 0x82634df68532c125 },
	{ 0x9869e247e9c08b10, 0xd029934fc4b952f7 },
	{ 0x31fcefac66d7de9c, 0x7ec7485fe4494902 },
	{ 0x5493e99933b0a811, 0x7e08ec0f97cfc3d9 },
	{ 0x6ee2a4ca67b054bb, 0xfd3315bf85230577 },
	{ 0x473d06e8738db898, 0x54c066c47ae47740 },
	{ 0xa426e5e423bf4885, 0x294da481feaef723 },
	{ 0x78017731cf65fab0, 0x74d5208952512eb1 },
	{ 0x9e25fc833f229073, 0x3e9344a5e83839eb },
	{ 0x568e495abe525a21, 0x8a2214cd3e071d12 },
	{ 0x4a29b54552d16b9a, 0x469c10528eff0aae },
	{ 0xc9d184ddd5a9f5e0, 0xcf8ce29a9abf691c },
	{ 0x2db479ae78bd50d8, 0x882a8a178a6132ad },
	{ 0x8ece5f042d5e447b, 0x5051b9eacb8d8f6f },
	{ 0x9c0b53b4b3c307e8, 0x7eaee08678141f66 },
	{ 0xabf248af69a6eae4, 0xbfd3eb2f129eeb94 },
	{ 0x0664da1668574b88, 0xb935f3027358aef4 },
	{ 0xaa4b9dc4bf337de9, 0x0cd4fd3c467c6ab7 },
	{ 0xea5c7f471faf6bde, 0x2b1ad7d4686d2287 },
	{ 0x2939b0183223fafc, 0x1723de4f52c43d35 },
	{ 0x7c3956ca5eeafc3e, 0x363e9d556546eb68 },
	{ 0x77c6077146f01c32, 0xb6b69d5f4ea9ffcf },
	{ 0x37a6986cb8847edf, 0x0925f0f1309b54de },
	{ 0xa705f0e69da9a8f9, 0x07241a2e923c8cc8 },
	{ 0x3dc47d1f29c44846, 0x1e9e76ed904f6711 },
	{ 0x0d62bf01e6fc0e1a, 0x0d3c4751c5d3692b },
	{ 0x8c03468bca7c669e, 0xe4fd5e084bbee7b5 },
	{ 0x528a5bb93baf2c9c, 0x4473cce5d0d22bd9 },
	{ 0xdf6a301e95c95dad, 0x97ae0cc8c6913bd8 },
	{ 0x801189902c857f39, 0xe73591285e70b6db },
	{ 0xe617346ac9c231bb, 0x3650ae34ccca0c5b },
	{ 0x27d93437efb721aa, 0x401821dcec5adf89 },
	{ 0x89237d9ded9c5e78, 0xd8b1c9b166cc7342 },
	{ 0x4a6d8091bf5e7d65, 0x1189fa94a250b14c },
	{ 0x0e33f96055e7ae89, 0x3ffc0e3dcf492902 },
	{ 0xe61c432b720b19d1, 0x8ec8d84bdc63151b },
	{ 0xf7e5aef549f782cf, 0x379055a608269b16 },
	{ 0x438d030fd0b7a54f, 0xa837f2ad201a6403 },
	{ 0xa590d3ee4fbf04e3, 0x247e0d27f286423f },
	{ 0x5fe2c1a172fe93c4, 0xb15cd37caef9f538 },
	{ 0x2c97325cbd06b36e, 0xb2133dd08b3a017c },
	{ 0x92c814227a6bca94, 0x9ff0659f002ad39e },
	{ 0xdce850110bd8328c, 0xfbd50841d6911d87 },
	{ 0x67f14984c7da7912, 0x48e32bb5922583da },
	{ 0x1938f2cf72d54ee9, 0x7e94166fa91d2a36 },
	{ 0x74481e9646ed49fe, 0x0f6224301604698e },
	{ 0x57fca5de98a9d6d8, 0x006438d0583d8a1d },
	{ 0x9fecde1cefdc1cbe, 0xd4763674d9575359 },
	{ 0xe3040c00eb28f153, 0x66ca73cbd872e740 },
	{ 0x7697009a6a831dfe, 0xcca91c5993670f7a },
	{ 0x5853542321f567a0, 0x05d547a4f04759bd },
	{ 0x5150d1772f50834a, 0x503e069a973fbd7c },
};

static void expect_bytes(const __u64 got[2], const uint8_t want[16])
{
	/* out[0] is the first half, its lowest byte first */
	for (int i = 0; i < 16; i++)
		assert_int_equal((got[i / 8] >> (8 * (i % 8))) & 0xff, want[i]);
}

static void expect_vector(const __u64 got[2], size_t i)
{
	uint8_t want[16];

	for (int at = 0; at < 16; at++)
		want[at] = vectors[i][at / 8] >> (56 - 8 * (at % 8));
	expect_bytes(got, want);
}

static uint64_t load8(const uint8_t *p)
{
	uint64_t w = 0;

	for (int i = 7; i >= 0; i--)
		w = w << 8 | p[i];
	return w;
}

static void byte_by_byte(void **state)
{
	for (size_t len = 0; len < 64; len++) {
		struct siphash s;
		__u64 out[2];

		siphash_init(&s, KEY0, KEY1);
		for (size_t i = 0; i < len; i++)
			siphash_put(&s, i);
		siphash_final(&s, out);
		expect_vector(out, len);
	}
}

/* Words at every alignment: `lead` single bytes, then words as long as they fit, then bytes. */
static void words_at_all_alignments(void **state)
{
	uint8_t m[64];

	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = i;
	for (size_t len = 0; len < 64; len++)
		for (size_t lead = 0; lead <= len && lead < 17; lead++) {
			struct siphash s;
			__u64 out[2];
			size_t i;

			siphash_init(&s, KEY0, KEY1);
			for (i = 0; i < lead; i++)
				siphash_put(&s, m[i]);
			for (; i + 8 <= len; i += 8)
				siphash_put8(&s, load8(m + i));
			for (; i < len; i++)
				siphash_put(&s, m[i]);
			assert_int_equal(s.len, len);
			siphash_final(&s, out);
			expect_vector(out, len);
		}
}

/* Portions of one to seven bytes at every alignment, and words between them. */
static void portions_at_all_alignments(void **state)
{
	uint8_t m[64];

	for (size_t i = 0; i < sizeof(m); i++)
		m[i] = i;
	for (size_t len = 0; len < 64; len++)
		for (size_t lead = 0; lead <= len && lead < 9; lead++)
			for (uint32_t n = 1; n < 8; n++) {
				struct siphash s;
				__u64 out[2];
				size_t i;

				siphash_init(&s, KEY0, KEY1);
				for (i = 0; i < lead; i++)
					siphash_put(&s, m[i]);
				for (size_t k = 0; i + n <= len; k++, i += n) {
					uint8_t word[8] = { 0 };

					memcpy(word, m + i, n);
					siphash_put_some(&s, load8(word), n);
					if (k % 3 == 2 && i + n + 8 <= len) {
						siphash_put8(&s, load8(m + i + n));
						i += 8;
					}
				}
				for (; i < len; i++)
					siphash_put(&s, m[i]);
				assert_int_equal(s.len, len);
				siphash_final(&s, out);
				expect_vector(out, len);
			}
}

static void openssl_siphash(const uint8_t key[16], const uint8_t *m, size_t len, uint8_t ret[16])
{
	size_t size = 16, got = 0;
	OSSL_PARAM params[] = { OSSL_PARAM_construct_size_t("size", &size),
				OSSL_PARAM_construct_end() };
	EVP_MAC *mac = EVP_MAC_fetch(NULL, "SIPHASH", NULL);
	EVP_MAC_CTX *ctx = EVP_MAC_CTX_new(mac);

	assert_non_null(ctx);
	assert_int_equal(EVP_MAC_init(ctx, key, 16, params), 1);
	assert_int_equal(EVP_MAC_update(ctx, m, len), 1);
	assert_int_equal(EVP_MAC_final(ctx, ret, &got, 16), 1);
	assert_int_equal(got, 16);
	EVP_MAC_CTX_free(ctx);
	EVP_MAC_free(mac);
}

static void mixed_portions_equal_openssl(void **state)
{
	static uint8_t m[5000];
	uint8_t key[16], want[16];

	srandom(20261123);
	for (int round = 0; round < 300; round++) {
		size_t len = random() % sizeof(m), i = 0;
		struct siphash s;
		__u64 out[2];

		for (size_t k = 0; k < sizeof(key); k++)
			key[k] = random();
		for (size_t k = 0; k < len; k++)
			m[k] = random();
		siphash_init(&s, load8(key), load8(key + 8));
		while (i < len) {
			if (len - i >= 8 && random() % 3) {
				siphash_put8(&s, load8(m + i));
				i += 8;
			} else {
				siphash_put(&s, m[i++]);
			}
		}
		siphash_final(&s, out);
		openssl_siphash(key, m, len, want);
		expect_bytes(out, want);
	}
}

/* The state may lie in a table between calls: seven bytes of the message at most, never eight. */
static void state_keeps_no_whole_word(void **state)
{
	static const uint8_t m[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

	for (size_t len = 8; len <= sizeof(m) - 1; len++) {
		struct siphash s;

		siphash_init(&s, KEY0, KEY1);
		for (size_t i = 0; i < len; i++)
			siphash_put(&s, m[i]);
		for (size_t i = 0; i + 8 <= len; i++)
			for (size_t at = 0; at + 8 <= sizeof(s); at++)
				assert_memory_not_equal((uint8_t *)&s + at, m + i, 8);
		assert_int_equal(s.tail >> (8 * (len & 7)), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(byte_by_byte),
		cmocka_unit_test(words_at_all_alignments),
		cmocka_unit_test(portions_at_all_alignments),
		cmocka_unit_test(mixed_portions_equal_openssl),
		cmocka_unit_test(state_keeps_no_whole_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
