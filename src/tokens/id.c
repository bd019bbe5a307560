/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fleet key's file, the keys derived from it, and token ids. The only user of libcrypto. Every
 * buffer that held a key is wiped before its memory goes away.
 */
#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>

#include "base/cleanup.h"
#include "base/write.h"
#include "tokens/id.h"

#define KEY_FILE_MAX 4096
#define SHA256_LEN 32
#define ID_BYTES 20
#define LABEL_MAX 32

DEFINE_CLEANUP(EVP_KDF *, EVP_KDF_free)
DEFINE_CLEANUP(EVP_KDF_CTX *, EVP_KDF_CTX_free)
DEFINE_CLEANUP(EVP_MAC *, EVP_MAC_free)
DEFINE_CLEANUP(EVP_MAC_CTX *, EVP_MAC_CTX_free)

static int hkdf(const uint8_t *secret, size_t secret_len, const char *info, uint8_t *out,
		size_t out_len)
{
	_cleanup_(EVP_KDF_freep) EVP_KDF *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	_cleanup_(EVP_KDF_CTX_freep) EVP_KDF_CTX *ctx = kdf ? EVP_KDF_CTX_new(kdf) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)secret, secret_len),
		OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, (void *)info, strlen(info)),
		OSSL_PARAM_construct_end(),
	};

	if (!ctx || EVP_KDF_derive(ctx, out, out_len, params) != 1)
		return -EIO;
	return 0;
}

static void hex(char *to, const uint8_t *from, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		to[2 * i] = "0123456789abcdef"[from[i] >> 4];
		to[2 * i + 1] = "0123456789abcdef"[from[i] & 15];
	}
	to[2 * len] = '\0';
}

int keys_derive(const uint8_t fleet[static FLEET_KEY_LEN], struct keys *ret_keys)
{
	uint8_t id[(KEY_ID_LEN - 1) / 2];
	struct keys k = {0};
	int r;

	r = hkdf(fleet, FLEET_KEY_LEN, "tokentrail kernel 1", k.kernel, sizeof(k.kernel));
	if (r == 0)
		r = hkdf(fleet, FLEET_KEY_LEN, "tokentrail publish 1", k.publish,
			 sizeof(k.publish));
	if (r == 0)
		r = hkdf(fleet, FLEET_KEY_LEN, "tokentrail key id 1", id, sizeof(id));
	if (r == 0) {
		hex(k.key_id, id, sizeof(id));
		*ret_keys = k;
	}
	explicit_bzero(&k, sizeof(k));
	return r;
}

static int nibble(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static int parse_hex_line(const char *line, size_t len, uint8_t *out)
{
	if (len != 2 * FLEET_KEY_LEN)
		return -EINVAL;
	for (size_t i = 0; i < FLEET_KEY_LEN; i++) {
		int high = nibble(line[2 * i]), low = nibble(line[2 * i + 1]);

		if (high < 0 || low < 0)
			return -EINVAL;
		out[i] = high << 4 | low;
	}
	return 0;
}

/* Comment lines, blank lines, and exactly one key line. */
static int parse_key_text(const char *text, size_t len, uint8_t *out)
{
	const char *end = text + len;
	int keys = 0;

	while (text < end) {
		const char *stop = memchr(text, '\n', end - text);
		const char *next = stop ? stop + 1 : end;
		size_t n = (stop ? stop : end) - text;

		while (n > 0 && strchr(" \t\r", text[n - 1]) && text[n - 1])
			n--;
		if (n > 0 && text[0] != '#') {
			if (parse_hex_line(text, n, out) < 0)
				return -EINVAL;
			keys++;
		}
		text = next;
	}
	return keys == 1 ? 0 : -EINVAL;
}

/* O_NONBLOCK: somebody may have put a FIFO there. A symbolic link is fine (Kubernetes mounts
 * secrets as links): what counts is the file that was opened. */
static int open_key_file(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	if ((st.st_mode & 077) || (st.st_uid != 0 && st.st_uid != geteuid()))
		return -EPERM;
	return TAKE_FD(fd);
}

int fleet_key_load(const char *path, uint8_t ret_fleet[static FLEET_KEY_LEN])
{
	_cleanup_close_ int fd = open_key_file(path);
	uint8_t key[FLEET_KEY_LEN];
	char text[KEY_FILE_MAX];
	size_t len = 0;
	ssize_t n;
	int r = 0;

	if (fd < 0)
		return fd;
	do {
		n = read(fd, text + len, sizeof(text) - len);
		if (n > 0)
			len += n;
	} while ((n > 0 && len < sizeof(text)) || (n < 0 && errno == EINTR));
	if (n < 0)
		r = -errno;
	else if (len == sizeof(text))
		r = -EINVAL;
	else
		r = parse_key_text(text, len, key);
	if (r == 0)
		memcpy(ret_fleet, key, sizeof(key));
	explicit_bzero(text, sizeof(text));
	explicit_bzero(key, sizeof(key));
	return r;
}

static int make_parents(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	for (char *p = copy + 1; (p = strchr(p, '/')); p++) {
		*p = '\0';
		if (mkdir(copy, 0755) < 0 && errno != EEXIST)
			return -errno;
		*p = '/';
	}
	return 0;
}

static int write_new_key(int fd)
{
	static const char comment[] =
		"# tokentrail fleet key. Nodes with the same key give one token one id.\n"
		"# Whoever has it can test guesses of a token against ids: keep it secret.\n";
	uint8_t key[FLEET_KEY_LEN];
	char line[2 * FLEET_KEY_LEN + 2];
	int r;

	if (getrandom(key, sizeof(key), 0) != sizeof(key))
		return -EIO;
	hex(line, key, sizeof(key));
	line[2 * FLEET_KEY_LEN] = '\n';
	r = write_all(fd, comment, sizeof(comment) - 1);
	if (r == 0)
		r = write_all(fd, line, 2 * FLEET_KEY_LEN + 1);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	explicit_bzero(key, sizeof(key));
	explicit_bzero(line, sizeof(line));
	return r;
}

/* The name lasts through a power cut only once its directory is written too. */
static int sync_directory(const char *path)
{
	_cleanup_free_ char *copy = strdup(path);
	_cleanup_close_ int fd = -EBADF;

	if (!copy)
		return -ENOMEM;
	fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

int fleet_key_new(const char *path)
{
	_cleanup_free_ char *temp = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = make_parents(path);
	if (r < 0)
		return r;
	if (asprintf(&temp, "%s.XXXXXX", path) < 0) {
		temp = NULL;
		return -ENOMEM;
	}
	fd = mkostemp(temp, O_CLOEXEC); /* mode 0600 */
	if (fd < 0)
		return -errno;
	r = write_new_key(fd);
	/* link(), not rename(): it refuses to replace a key that is already there. */
	if (r == 0 && link(temp, path) < 0)
		r = -errno;
	if (unlink(temp) < 0 && r == 0)
		r = -errno;
	return r < 0 ? r : sync_directory(path);
}

static int hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *data, size_t len,
		       uint8_t out[static SHA256_LEN])
{
	_cleanup_(EVP_MAC_freep) EVP_MAC *mac = EVP_MAC_fetch(NULL, "HMAC", NULL);
	_cleanup_(EVP_MAC_CTX_freep) EVP_MAC_CTX *ctx = mac ? EVP_MAC_CTX_new(mac) : NULL;
	OSSL_PARAM params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0),
		OSSL_PARAM_construct_end(),
	};
	size_t out_len = 0;

	if (!ctx || EVP_MAC_init(ctx, key, key_len, params) != 1 ||
	    EVP_MAC_update(ctx, data, len) != 1 ||
	    EVP_MAC_final(ctx, out, &out_len, SHA256_LEN) != 1 || out_len != SHA256_LEN)
		return -EIO;
	return 0;
}

/* 20 bytes are 32 characters exactly: no padding (RFC 4648, section 6, in lower case). */
static void base32(char *to, const uint8_t from[static ID_BYTES])
{
	for (size_t i = 0; i < ID_BYTES; i += 5, to += 8) {
		uint64_t bits = 0;

		for (size_t j = 0; j < 5; j++)
			bits = bits << 8 | from[i + j];
		for (size_t j = 0; j < 8; j++)
			to[j] = "abcdefghijklmnopqrstuvwxyz234567"[bits >> (35 - 5 * j) & 31];
	}
	*to = '\0';
}

int token_id(const uint8_t publish[static PUBLISH_KEY_LEN], const uint64_t fingerprint[static 2],
	     uint32_t length, char ret_id[static TOKEN_ID_LEN])
{
	uint8_t message[20], mac[SHA256_LEN];
	int r;

	for (size_t i = 0; i < 16; i++)
		message[i] = fingerprint[i / 8] >> (8 * (i % 8));
	for (size_t i = 0; i < 4; i++)
		message[16 + i] = length >> (8 * i);
	r = hmac_sha256(publish, PUBLISH_KEY_LEN, message, sizeof(message), mac);
	if (r < 0)
		return r;
	memcpy(ret_id, "tt1_", 4);
	base32(ret_id + 4, mac);
	return 0;
}

/* What it is for stands ahead, so that no message of one kind is one of another. */
static int labelled(const uint8_t publish[static PUBLISH_KEY_LEN], const char *label, const void *bytes,
		    size_t len, uint8_t mac[static SHA256_LEN])
{
	uint8_t message[LABEL_MAX + TEXT_HASH_MAX];
	size_t label_len = strlen(label) + 1;

	if (len > TEXT_HASH_MAX)
		return -EINVAL;
	memcpy(message, label, label_len);
	memcpy(message + label_len, bytes, len);
	return hmac_sha256(publish, PUBLISH_KEY_LEN, message, label_len + len, mac);
}

int signed_id(const uint8_t publish[static PUBLISH_KEY_LEN], const uint64_t fingerprint[static 2],
	      char ret_id[static TOKEN_ID_LEN])
{
	uint8_t bytes[16], mac[SHA256_LEN];
	int r;

	for (size_t i = 0; i < 16; i++)
		bytes[i] = fingerprint[i / 8] >> (8 * (i % 8));
	r = labelled(publish, "tokentrail signed 1", bytes, sizeof(bytes), mac);
	if (r < 0)
		return r;
	memcpy(ret_id, "tt1_", 4);
	base32(ret_id + 4, mac);
	return 0;
}

int text_hash(const uint8_t publish[static PUBLISH_KEY_LEN], const void *text, size_t len,
	      char ret_hash[static TEXT_HASH_LEN])
{
	uint8_t mac[SHA256_LEN];
	int r = labelled(publish, "tokentrail text 1", text, len, mac);

	if (r < 0)
		return r;
	memcpy(ret_hash, "tth1_", 5);
	base32(ret_hash + 5, mac);
	return 0;
}
