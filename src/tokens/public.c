/* SPDX-License-Identifier: Apache-2.0 */
#include "tokens/public.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

static int base32_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	return c >= '2' && c <= '7' ? c - '2' + 26 : -1;
}

void public_aws_account(const char *key_id, char ret_account[static 13])
{
	uint64_t bits = 0;

	ret_account[0] = '\0';
	if (strlen(key_id) != 20 || (strncmp(key_id, "AKIA", 4) != 0 && strncmp(key_id, "ASIA", 4) != 0))
		return;
	for (int i = 4; i < 20; i++) {
		int value = base32_value(key_id[i]);

		if (value < 0)
			return;
		if (i < 14)	/* the first six bytes: 48 of 50 bits */
			bits = bits << 5 | (uint64_t)value;
	}
	bits = (bits >> 2 & 0x7fffffffff80) >> 7;
	if (bits > 999999999999)
		return;
	snprintf(ret_account, 13, "%06u%06u", (unsigned int)(bits / 1000000) % 1000000,
		 (unsigned int)(bits % 1000000));
}
