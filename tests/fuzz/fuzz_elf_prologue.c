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
	enum tt_blind site = elf_prologue(data, size);

	if (len > size || len > ELF_PROLOGUE_BYTES)
		abort();
#if defined(__x86_64__)
	if ((len == 0) != (site == TT_BLIND_unexpected_bytes))
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
