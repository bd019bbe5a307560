/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What agent/elf_scan.h says of files: elf_hooks FILE... A line with the file's name, one for each library
 * that is in it ("finding openssl how blind version", the middle two by their numbers) and one for each
 * function ("hook openssl_write offset placed openssl_write_ex offset": where its probe costs less).
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "agent/elf_scan.h"
#include "tokens/use.h"

static const char *const names[TT_HOOK_MAX] = {
#define TT_HOOK_CALL(number, hook, library, direction, result) [number] = #hook,
#define TT_HOOK_END(number, hook, library) [number] = #hook,
#define TT_HOOK_PLAIN(number, hook, library) [number] = #hook,
#include <tokentrail/hooks.def>
};

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		int fd = open(argv[i], O_RDONLY | O_CLOEXEC);
		struct elf_scan scan;

		if (fd < 0) {
			perror(argv[i]);
			return 1;
		}
		printf("file %s\n", argv[i]);
		elf_scan(fd, &scan);
		close(fd);
		for (size_t k = 0; k < scan.findings; k++)
			printf("finding %s %u %u %s\n", use_tls_library(scan.finding[k].tls),
			       scan.finding[k].how, scan.finding[k].blind, scan.finding[k].version);
		for (size_t k = 0; k < scan.count; k++)
			printf("hook %s %" PRIu64 " placed %s %" PRIu64 "\n", names[scan.hooks[k].hook],
			       scan.hooks[k].offset,
			       scan.hooks[k].placed ? names[scan.hooks[k].placed_as] : "-", scan.hooks[k].placed);
	}
	return 0;
}
