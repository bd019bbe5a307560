/* SPDX-License-Identifier: Apache-2.0 */
/* What the searches for libraries by other marks than functions need: exported names, and texts. */
#ifndef TT_AGENT_ELF_TEXT_H
#define TT_AGENT_ELF_TEXT_H

#include "agent/elf_file.h"

#define ELF_TEXT_LEN 64		/* longer texts are not looked at */
#define ELF_EXPORTS_MAX 8	/* names asked for at a time */

/* Which of these functions the file exports (its dynamic symbols define them): bit 1 << i. -EBADMSG: the
 * file is not what it says. */
int elf_exports(struct elf_file *file, const char *const *names, size_t count, uint32_t *ret_bits);

/*
 * Calls take() for each text in .rodata, from one NUL to the next, that has `part` in it and is shorter
 * than ELF_TEXT_LEN, until it returns false. A file without such a section has none.
 */
void elf_texts(const struct elf_file *file, const char *part,
	       bool (*take)(void *arg, const char *text), void *arg);

#endif
