/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for agent/elf_prologue.c. Its oracle is itself: an instruction has the length it was
 * said to have, whatever follows it and wherever the bytes end.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/agent/elf_prologue.c"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t len = elf_prologue_length(data, size);
	size_t at = 0;
	enum tt_blind site = elf_prologue(data, size, &at);

	if (len > size || len > ELF_PROLOGUE_BYTES)
		abort();
#if defined(__x86_64__)
	if ((len == 0) != (site == TT_BLIND_unexpected_bytes))
		abort();
	/* Behind the prefixes the instruction goes on as the same one. */
	for (size_t i = 0; i < at; i++)
		if (data[i] != 0x2e)
			abort();
	if (site == TT_BLIND_NONE && elf_prologue_length(data + at, size - at) != len - at)
		abort();
#else
	(void)site;
#endif
	for (size_t cut = 0; cut <= size && cut <= ELF_PROLOGUE_BYTES + 1; cut++) {
		uint8_t *copy = malloc(cut ? cut : 1);

		if (!copy)
			abort();
		memcpy(copy, data, cut);
		if (elf_prologue_length(copy, cut) != (len && cut >= len ? len : 0))
			abort();
		free(copy);
	}
	return 0;
}
