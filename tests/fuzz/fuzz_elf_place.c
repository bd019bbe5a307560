/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libFuzzer target for agent/elf_place.c. Its oracle: a place is a whole instruction's first byte, one of
 * those that are cheap, and who asks for less is given the same one.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "agent/elf_place.h"
#include "agent/elf_prologue.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_place(const uint8_t *data, size_t size, uint32_t place)
{
	uint8_t byte = data[place];
	size_t at = 0;

	while (at < place) {
		size_t n = elf_prologue_length(data + at, size - at);

		if (!n)
			abort();
		at += n;
	}
	if (at != place || !elf_place_is_cheap(data + place, size - place))
		abort();
	if (byte != 0x41 && (byte & 0xf8) != 0x50 && byte != 0x90 && (byte & 0xf0) != 0x70 && byte != 0x0f &&
	    byte != 0xe9 && byte != 0xeb)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	unsigned int args = size ? data[0] % (ELF_PLACE_ARGS_MAX + 1) : 0;
	bool returns = size && data[0] & 0x80;
	uint32_t place, again;
	int64_t target, again_target;

	if (!size)
		return 0;
	data++;
	size--;
	if (elf_place_find(data, size, args, returns, &place)) {
		if (place >= size)
			abort();
		check_place(data, size, place);
		if (!elf_place_find(data, size, 0, false, &again) || again != place)
			abort();	/* who asks for less gets it, too */
	}
	if (elf_place_wraps(data, size, args, &target) &&
	    (!elf_place_calls(data, size, &again_target) || again_target != target))
		abort();
	return 0;
}
