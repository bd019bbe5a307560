/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a fuzz target over files without a fuzzer: onefile FILE... One that fails ends it by a
 * signal, its name being the last line. For compilers without libFuzzer, debuggers, and the corpus
 * in tests.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILE_MAX (1024 * 1024)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int run_file(const char *path)
{
	uint8_t *data = malloc(FILE_MAX);
	FILE *f = fopen(path, "re");
	size_t size = 0;
	int r = 0;

	if (!data || !f) {
		r = -errno;
	} else {
		size = fread(data, 1, FILE_MAX, f);
		if (ferror(f))
			r = -EIO;
	}
	if (f)
		fclose(f);
	if (r == 0) {
		/* of the exact size, so that a sanitizer sees the end */
		uint8_t *exact = realloc(data, size ? size : 1);

		data = exact ? exact : data;
		fprintf(stderr, "%s\n", path);
		LLVMFuzzerTestOneInput(data, size);
	} else {
		fprintf(stderr, "%s: %s\n", path, strerror(-r));
	}
	free(data);
	return r;
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE...\n", argv[0]);
		return 2;
	}
	for (int i = 1; i < argc; i++)
		if (run_file(argv[i]) < 0)
			return 1;
	printf("%d files\n", argc - 1);
	return 0;
}
