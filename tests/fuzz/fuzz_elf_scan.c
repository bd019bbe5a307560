/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for agent/elf_scan.h and all its searches. An input is a kind (1 byte) and, for kind 0,
 * the bytes of a file; for the others changes (3 bytes each: place, little-endian, and value) to one of
 * the files of elf_make.h, in which there is something to find. What is found has to lie in the file, and
 * a second look has to find the same.
 */
#include <stdlib.h>
#include <unistd.h>

#include "agent/elf_scan.h"
#include "../lib/elf_make.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct elf_made made;

static void make(unsigned int kind)
{
	struct elf_made_openssl openssl;
	struct elf_made_library boringssl;
	struct elf_made_rustls rustls;

	if (kind & 16) {
		elf_made_rustls_begin(&made, kind & 2 ? ET_EXEC : ET_DYN);
		elf_made_rustls(&made, 0, "/rustls-0.23.46/src/crypto/ring/tls13.rs", 17, &rustls);
		elf_made_rustls(&made, 1, "/rustls-0.23.4/src/crypto/aws_lc_rs/tls12.rs", 24, &rustls);
	} else if (kind % 2)
		elf_made_openssl(&made, kind & 2 ? "OpenSSL 3.5.4 30 Sep 2025" : "OpenSSL 3.0.1 14 Dec 2021",
				 &openssl);
	else
		elf_made_boringssl(&made, kind & 2 ? ET_EXEC : ET_DYN, kind & 4 ? 1 : 0, &boringssl);
}

static void check(const struct elf_scan *scan, enum tt_scan result, size_t size)
{
	if (scan->count > ELF_SCAN_HOOKS_MAX || scan->findings > TT_FINDINGS_MAX ||
	    (scan->count > 0) != (result == TT_SCAN_HOOKS))
		abort();
	for (size_t i = 0; i < scan->count; i++)
		if (scan->hooks[i].offset >= size || scan->hooks[i].tls == 0 ||
		    scan->hooks[i].hook == 0 || scan->hooks[i].hook >= TT_HOOK_MAX)
			abort();
	for (size_t i = 0; i < scan->findings; i++)
		if (!scan->finding[i].how == !scan->finding[i].blind)
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const void *bytes = data + 1;
	struct elf_scan first, second;
	enum tt_scan result;
	int fd;

	if (!size)
		return 0;
	if (data[0]) {
		make(data[0]);
		for (size_t i = 1; i + 2 < size; i += 3)
			made.bytes[(data[i] | data[i + 1] << 8) % ELF_BYTES] = data[i + 2];
		bytes = made.bytes;
		size = ELF_BYTES + 1;
	}
	fd = elf_made_fd(bytes, size - 1);
	if (fd < 0 || (data[0] & 16 && ftruncate(fd, ELF_RUSTLS_LEAST) < 0))
		abort();
	if (data[0] & 16)
		size = ELF_RUSTLS_LEAST + 1;
	result = elf_scan(fd, &first);
	check(&first, result, size - 1);
	if (elf_scan(fd, &second) != result || memcmp(&first, &second, sizeof(first)) != 0)
		abort();
	close(fd);
	return 0;
}
