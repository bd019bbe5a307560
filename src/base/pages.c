/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pages.h"

#include <link.h>
#include <malloc.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <unistd.h>

#define APART_BYTES (128 << 10)	/* malloc's own first limit */

/* A segment that may not be written holds what is in the file; what the dynamic linker has relocated is in those
 * that may, or could until it was done. */
static int give_back_object(struct dl_phdr_info *info, size_t size, void *arg)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	if (info->dlpi_addr == getauxval(AT_SYSINFO_EHDR))
		return 0;	/* the vDSO is the kernel's */
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *h = &info->dlpi_phdr[i];
		uintptr_t from = (info->dlpi_addr + h->p_vaddr) & ~(page - 1);
		uintptr_t to = (info->dlpi_addr + h->p_vaddr + h->p_memsz + page - 1) & ~(page - 1);

		/* Where it fails the pages stay, and nothing else. */
		if (h->p_type == PT_LOAD && !(h->p_flags & PF_W))
			(void)madvise((void *)from, to - from, MADV_DONTNEED);
	}
	return 0;
}

void pages_give_back(void)
{
	dl_iterate_phdr(give_back_object, NULL);
	malloc_trim(0);
}

void pages_keep_blocks_apart(void)
{
	mallopt(M_MMAP_THRESHOLD, APART_BYTES);
}
