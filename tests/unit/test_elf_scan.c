/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Probe offsets in real libraries and programs, checked against the dynamic loader; and in made-up
 * and broken files, which must give a plain answer, quickly.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/elf_scan.h"
#include "agent/elf_symbols.h"

#if defined(__x86_64__)
#define MACHINE EM_X86_64
#else
#define MACHINE EM_AARCH64
#endif

static struct elf_scan scan;

static enum tt_scan scan_path(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	enum tt_scan r;

	assert_true(fd >= 0);
	r = elf_scan(fd, &scan);
	close(fd);
	return r;
}

static enum tt_scan scan_bytes(const void *bytes, size_t len)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	enum tt_scan r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, bytes, len), len);
	r = elf_scan(fd, &scan);
	close(fd);
	return r;
}

static size_t hooks_of(enum tt_hook hook, uint64_t *ret_offset)
{
	size_t n = 0;

	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == hook) {
			*ret_offset = scan.hooks[i].offset;
			n++;
		}
	return n;
}

static bool is_hooked(enum tt_hook hook, uint64_t offset)
{
	for (size_t i = 0; i < scan.count; i++)
		if (scan.hooks[i].hook == hook && scan.hooks[i].offset == offset)
			return true;
	return false;
}

/* Where in its file a function of this process lies, by the kernel's own map. */
static uint64_t mapped_offset(const void *function, char path[static 256])
{
	FILE *f = fopen("/proc/self/maps", "r");
	char line[512];

	assert_non_null(f);
	while (fgets(line, sizeof(line), f)) {
		unsigned long from, to, offset;

		if (sscanf(line, "%lx-%lx %*s %lx %*s %*s %255s", &from, &to, &offset, path) != 4)
			continue;
		if ((unsigned long)function < from || (unsigned long)function >= to)
			continue;
		fclose(f);
		return (unsigned long)function - from + offset;
	}
	fclose(f);
	return 0;
}

static void system_libssl(void **state)
{
	static const struct {
		const char *name;
		enum tt_hook hook;
	} functions[] = {
		{ "SSL_write", TT_HOOK_openssl_write }, { "SSL_write_ex", TT_HOOK_openssl_write_ex },
		{ "SSL_read", TT_HOOK_openssl_read },   { "SSL_read_ex", TT_HOOK_openssl_read_ex },
		{ "SSL_free", TT_HOOK_openssl_end },
	};
	void *lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
	char path[256] = "";
	size_t want = 0;

	if (!lib) {
		print_message("no libssl.so.3 on this machine: %s\n", dlerror());
		skip();
	}
	assert_true(mapped_offset(dlsym(lib, "SSL_write"), path) > 0);
	assert_int_equal(scan_path(path), TT_SCAN_HOOKS);
	for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
		uint64_t offset = mapped_offset(dlsym(lib, functions[i].name), path);

		assert_true(is_hooked(functions[i].hook, offset));
		want++;
	}
	/* And those of the SSL BIO: test_elf_bio.c. */
	assert_int_equal(scan.count, want + (dlsym(lib, "SSL_write_ex2") != NULL) + 3);
	assert_int_equal(scan.refused, 0);
	dlclose(lib);
}

static void libraries_without_both_functions(void **state)
{
	char path[256] = "";

	assert_true(mapped_offset((void *)(uintptr_t)dlsym(RTLD_DEFAULT, "malloc"), path) > 0);
	assert_int_equal(scan_path("/proc/self/exe"), TT_SCAN_NONE);
	if (path[0] == '/' && strstr(path, "libc"))
		assert_int_equal(scan_path(path), TT_SCAN_NONE);
	assert_int_equal(scan.count, 0);
}

static void node_has_openssl_inside(void **state)
{
	uint64_t offset;

	if (access("/usr/bin/node", R_OK) < 0) {
		print_message("no node on this machine\n");
		skip();
	}
	/* Distributions link node with the shared library, nodejs.org's builds have it inside. */
	if (scan_path("/usr/bin/node") == TT_SCAN_NONE) {
		print_message("this node uses the shared libssl\n");
		skip();
	}
	assert_int_equal(hooks_of(TT_HOOK_openssl_write, &offset), 1);
	assert_int_equal(hooks_of(TT_HOOK_openssl_read, &offset), 1);
	assert_true(scan.count >= 5);
}

static void statically_linked(const char *write, const char *read, const char *libraries,
			      enum tt_hook write_hook, enum tt_hook read_hook)
{
	char dir[] = "/tmp/tt-elf-XXXXXX", command[1024], path[64];
	uint64_t write_at, read_at, offset;
	int r;

	assert_non_null(mkdtemp(dir));
	snprintf(command, sizeof(command),
		 "echo 'int %s(void*,const void*,long);int %s(void*,void*,long);"
		 "int main(int c,char**v){return c>5?%s(v,v,c)+%s(v,v,c):0;}' >%s/a.c && "
		 "cc -w -o %s/a %s/a.c -Wl,-Bstatic %s -Wl,-Bdynamic -ldl -lpthread -lm "
		 "2>/dev/null", write, read, write, read, dir, dir, dir, libraries);
	r = system(command);
	snprintf(path, sizeof(path), "%s/a", dir);
	if (r == 0) {
		assert_int_equal(scan_path(path), TT_SCAN_HOOKS);
		assert_true(hooks_of(write_hook, &write_at) > 0);
		assert_true(hooks_of(read_hook, &read_at) > 0);
		/* Without symbols nothing is left to find, but for OpenSSL (test_elf_openssl.c). */
		snprintf(command, sizeof(command), "strip %s", path);
		assert_int_equal(system(command), 0);
		assert_int_equal(scan_path(path), write_hook == TT_HOOK_openssl_write ? TT_SCAN_HOOKS :
											TT_SCAN_NONE);
		if (scan.count) {
			assert_int_equal(hooks_of(write_hook, &offset), 1);
			assert_int_equal(offset, write_at);
			assert_int_equal(hooks_of(read_hook, &offset), 1);
			assert_int_equal(offset, read_at);
		}
	}
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
	if (r != 0) {
		print_message("nothing static to link with: %s\n", libraries);
		skip();
	}
}

static void statically_linked_openssl(void **state)
{
	statically_linked("SSL_write", "SSL_read", "-lssl -lcrypto", TT_HOOK_openssl_write,
			  TT_HOOK_openssl_read);
}

static void statically_linked_wolfssl(void **state)
{
	statically_linked("wolfSSL_write", "wolfSSL_read", "-lwolfssl", TT_HOOK_wolfssl_write,
			  TT_HOOK_wolfssl_read);
}

static void statically_linked_mbedtls(void **state)
{
	statically_linked("mbedtls_ssl_write", "mbedtls_ssl_read", "-lmbedtls -lmbedx509 -lmbedcrypto",
			  TT_HOOK_mbedtls_write, TT_HOOK_mbedtls_read);
}

/* ---- made-up files: one RX segment at vaddr 0x400000, file offset 0x200 ---- */

#define TEXT_AT 0x200
#define TEXT_LEN 0x100
#define TEXT_VADDR 0x400000
#define SYMS_MAX 16
#define STRINGS_LEN 512

struct file {
	Elf64_Ehdr eh;
	Elf64_Phdr ph;
	char pad[TEXT_AT - sizeof(Elf64_Ehdr) - sizeof(Elf64_Phdr)];
	unsigned char text[TEXT_LEN];
	Elf64_Sym syms[SYMS_MAX];
	char strings[STRINGS_LEN];
	Elf64_Shdr sh[3];	/* null, symtab, strtab */
};

static struct file make(void)
{
	struct file f = {
		.eh = {
			.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
			.e_type = ET_DYN, .e_machine = MACHINE, .e_version = 1,
			.e_phoff = offsetof(struct file, ph), .e_shoff = offsetof(struct file, sh),
			.e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 1, .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3,
		},
		.ph = { .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_offset = TEXT_AT,
			.p_vaddr = TEXT_VADDR, .p_filesz = TEXT_LEN, .p_memsz = TEXT_LEN },
		.sh = {
			{ 0 },
			{ .sh_type = SHT_SYMTAB, .sh_offset = offsetof(struct file, syms),
			  .sh_size = 0, .sh_link = 2, .sh_entsize = sizeof(Elf64_Sym) },
			{ .sh_type = SHT_STRTAB, .sh_offset = offsetof(struct file, strings),
			  .sh_size = 1 },
		},
	};

	memset(f.text, 0x55, sizeof(f.text));
	return f;
}

static Elf64_Sym *add(struct file *f, const char *name, uint64_t at)
{
	Elf64_Sym *s = &f->syms[f->sh[1].sh_size / sizeof(Elf64_Sym)];
	size_t len = strlen(name) + 1;

	assert_true(f->sh[2].sh_size + len <= STRINGS_LEN);
	*s = (Elf64_Sym){ .st_name = (uint32_t)f->sh[2].sh_size,
			  .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC), .st_shndx = 1,
			  .st_value = TEXT_VADDR + at, .st_size = 16 };
	memcpy(f->strings + f->sh[2].sh_size, name, len);
	f->sh[2].sh_size += len;
	f->sh[1].sh_size += sizeof(Elf64_Sym);
	return s;
}

static struct file make_both(void)
{
	struct file f = make();

	add(&f, "SSL_write", 0x10);
	add(&f, "SSL_read", 0x20);
	return f;
}

static void all_names_with_versions(void **state)
{
	struct file f = make();
	uint64_t offset;

	add(&f, "SSL_write@@OPENSSL_3.0.0", 0x10);
	add(&f, "SSL_read@OPENSSL_1_1_0", 0x20);
	add(&f, "SSL_write_ex", 0x30);
	add(&f, "SSL_write_ex2", 0x40);
	add(&f, "SSL_read_ex", 0x50);
	add(&f, "SSL_free", 0x60);
	add(&f, "SSL_free_buffers", 0x70);
	add(&f, "SSL_writer", 0x80);
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 6);
	assert_int_equal(hooks_of(TT_HOOK_openssl_write, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x10);
	assert_int_equal(hooks_of(TT_HOOK_openssl_read, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x20);
	assert_int_equal(hooks_of(TT_HOOK_openssl_write_ex, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x30);
	assert_int_equal(hooks_of(TT_HOOK_openssl_write_ex2, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x40);
	assert_int_equal(hooks_of(TT_HOOK_openssl_read_ex, &offset), 1);
	assert_int_equal(hooks_of(TT_HOOK_openssl_end, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x60);
}

static void name_inside_a_longer_one(void **state)
{
	struct file f = make();
	Elf64_Sym *s;

	s = add(&f, "py_SSL_write", 0x10);
	s->st_name += 3;
	add(&f, "SSL_read", 0x20);
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	s->st_name -= 3;
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_NONE);
}

static void only_one_of_the_two(void **state)
{
	struct file f = make();

	add(&f, "SSL_write", 0x10);
	add(&f, "SSL_free", 0x20);
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_NONE);
	assert_int_equal(scan.count, 0);
}

/* Of two libraries in a file, one has no function for reading: the other is found all the same. */
static void each_library_by_itself(void **state)
{
	struct file f = make();

	add(&f, "SSL_write", 0x10);
	add(&f, "SSL_free", 0x20);
	add(&f, "gnutls_record_send", 0x30);
	add(&f, "gnutls_record_send2", 0x40);
	add(&f, "gnutls_record_recv", 0x50);
	add(&f, "wolfSSL_read", 0x60);
	f.text[0x10] = f.text[0x60] = 0x2e;	/* not counted as refused */
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 3);
	assert_int_equal(scan.refused, 0);
	for (size_t i = 0; i < scan.count; i++)
		assert_int_equal(scan.hooks[i].tls, TT_TLS_GNUTLS);
}

/* Each name beside those that make its library complete. */
static void every_name_is_found(void **state)
{
	static const struct {
		const char *name;
		enum tt_hook hook;
	} symbols[] = {
#define TT_SYMBOL(hook, name) { name, TT_HOOK_##hook },
#include <tokentrail/hooks.def>
	};
	static const char *const pairs[][2] = {
		{ "SSL_write", "SSL_read" },
		{ "gnutls_record_send", "gnutls_record_recv" },
		{ "wolfSSL_write", "wolfSSL_read" },
		{ "mbedtls_ssl_write", "mbedtls_ssl_read" },
		{ "s2n_send", "s2n_recv" },
		{ "PR_Write", "PR_Read" },
	};

	for (size_t i = 0; i < sizeof(symbols) / sizeof(symbols[0]); i++) {
		struct file f = make();
		uint64_t offset = 0;

		for (size_t p = 0; p < sizeof(pairs) / sizeof(pairs[0]); p++)
			for (size_t k = 0; k < 2; k++)
				if (strcmp(pairs[p][k], symbols[i].name) != 0)
					add(&f, pairs[p][k], 0x10 * (2 * p + k));
		add(&f, symbols[i].name, 0xf0);
		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
		assert_true(hooks_of(symbols[i].hook, &offset) > 0);
		assert_int_equal(offset, TEXT_AT + 0xf0);
	}
}

static void libressl_has_a_mark(void **state)
{
	struct file f = make_both();
	uint64_t offset;

	add(&f, "SSL_read_ex", 0x30);
	add(&f, "SSL_free", 0x40);
	add(&f, "SSL_CTX_use_certificate_chain_mem", 0x50);
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 4);
	for (size_t i = 0; i < scan.count; i++)
		assert_int_equal(scan.hooks[i].tls, TT_TLS_LIBRESSL);
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_LIBRESSL);
	assert_int_equal(scan.finding[0].how, TT_HOW_symbols);
	assert_int_equal(hooks_of(TT_HOOK_libressl_write, &offset), 1);
	assert_int_equal(hooks_of(TT_HOOK_libressl_read, &offset), 1);
	assert_int_equal(hooks_of(TT_HOOK_libressl_read_ex, &offset), 1);
	assert_int_equal(hooks_of(TT_HOOK_libressl_end, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x40);
}

static void same_place_counts_once(void **state)
{
	struct file f = make_both();

	add(&f, "SSL_write", 0x10);
	add(&f, "SSL_read_ex", 0x20);
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 2);
}

/* Each change takes SSL_write away. */
static void symbols_that_are_no_functions_here(void **state)
{
	for (int i = 0; i < 7; i++) {
		struct file f = make_both();
		Elf64_Sym *s = &f.syms[0];

		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
		switch (i) {
		case 0:
			s->st_shndx = SHN_UNDEF;
			break;
		case 1:
			s->st_shndx = SHN_ABS;
			break;
		case 2:
			s->st_value = 0;
			break;
		case 3:
			s->st_info = ELF64_ST_INFO(STB_GLOBAL, STT_OBJECT);
			break;
		case 4:
			s->st_value = TEXT_VADDR + TEXT_LEN;
			break;
		case 5:
			s->st_value = TEXT_VADDR - 1;
			break;
		case 6:
			f.ph.p_flags = PF_R | PF_W;
			break;
		}
		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_NONE);
	}
}

static void instructions_that_carry_no_probe(void **state)
{
#if defined(__x86_64__)
	const unsigned char prefixes[] = { 0x26, 0x36, 0x3e, 0xf0 };

	for (size_t i = 0; i < sizeof(prefixes); i++) {
		struct file f = make_both();

		f.text[0x10] = prefixes[i];
		add(&f, "SSL_write", 0x10);
		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
		assert_int_equal(scan.count, 1);
		assert_int_equal(scan.refused, 1);
		assert_int_equal(scan.finding[0].blind, TT_BLIND_NONE);
		assert_int_equal(scan.finding[0].partly[0], TT_BLIND_unfit_instruction);
		assert_int_equal(scan.finding[0].partly[1], TT_BLIND_NONE);
		f.text[0x20] = prefixes[i];
		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_REFUSED);
		assert_int_equal(scan.count, 0);
		assert_int_equal(scan.refused, 2);
		assert_int_equal(scan.findings, 1);
		assert_int_equal(scan.finding[0].blind, TT_BLIND_unfit_instruction);
		f.text[0x10] = f.text[0x20] = 0xcc;
		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_REFUSED);
		assert_int_equal(scan.finding[0].blind, TT_BLIND_unexpected_bytes);
	}
#else
	print_message("x86 only\n");
	skip();
#endif
}

/* One that ends connections hides no bytes. */
static void what_is_not_seen_without_it(void **state)
{
#if defined(__x86_64__)
	struct file f = make_both();

	add(&f, "SSL_free", 0x40);
	f.text[0x40] = 0xf0;
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.refused, 1);
	assert_int_equal(scan.finding[0].partly[0], TT_BLIND_NONE);
	assert_int_equal(scan.finding[0].partly[1], TT_BLIND_NONE);
	f.text[0x20] = 0xcc;
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.finding[0].partly[0], TT_BLIND_NONE);
	assert_int_equal(scan.finding[0].partly[1], TT_BLIND_unexpected_bytes);
#else
	print_message("x86 only\n");
	skip();
#endif
}

static void probes_go_behind_padding(void **state)
{
#if defined(__x86_64__)
	struct file f = make_both();
	uint64_t offset;

	memcpy(f.text + 0x20, "\x2e\x2e\x2e\x2e\x41\x54", 6);
	add(&f, "SSL_read", 0x20);	/* in both tables */
	add(&f, "SSL_read_ex", 0x20);
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 2);
	assert_int_equal(scan.refused, 0);
	assert_int_equal(hooks_of(TT_HOOK_openssl_read, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x24);
	assert_int_equal(hooks_of(TT_HOOK_openssl_write, &offset), 1);
	assert_int_equal(offset, TEXT_AT + 0x10);
#else
	print_message("x86 only\n");
	skip();
#endif
}

static void names_anywhere_in_a_large_table(void **state)
{
	const size_t strings_len = 300000;
	char *bytes = malloc(sizeof(struct file) + strings_len);

	assert_non_null(bytes);
	for (size_t at = 65536 - 40; at < 65536 + 10; at++) {
		struct file f = make_both();
		char *strings = bytes + sizeof(f);

		f.sh[2].sh_offset = sizeof(f);
		f.sh[2].sh_size = strings_len;
		f.syms[0].st_name = (uint32_t)at;
		f.syms[1].st_name = (uint32_t)(strings_len - 9);
		memset(strings, 'x', strings_len);
		memcpy(strings + at, "SSL_write", 10);
		memcpy(strings + strings_len - 9, "SSL_read", 9);
		memcpy(bytes, &f, sizeof(f));
		assert_int_equal(scan_bytes(bytes, sizeof(f) + strings_len), TT_SCAN_HOOKS);
		assert_int_equal(scan.count, 2);
	}
	free(bytes);
}

static void other_machines_and_sizes(void **state)
{
	struct file f = make_both();

	f.eh.e_machine = EM_S390;
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_NONE);
	f = make_both();
	f.eh.e_ident[EI_CLASS] = ELFCLASS32;
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_NONE);
}

static void numbers_that_lie(void **state)
{
#define LIE(field, value)                                                                          \
	do {                                                                                       \
		struct file f = make_both();                                                       \
		field = value;                                                                     \
		assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_BAD);                          \
		assert_int_equal(scan.count, 0);                                                   \
	} while (0)
	LIE(f.eh.e_phoff, UINT64_MAX);
	LIE(f.eh.e_phoff, sizeof(f) - 8);
	LIE(f.eh.e_phnum, UINT16_MAX);
	LIE(f.eh.e_phentsize, 1);
	LIE(f.eh.e_shoff, UINT64_MAX);
	LIE(f.eh.e_shoff, UINT64_MAX - 10);
	LIE(f.eh.e_shoff, sizeof(f) - 1);
	LIE(f.eh.e_shentsize, 0);
	LIE(f.eh.e_shnum, 60000);
	LIE(f.eh.e_shnum = 0; f.sh[0].sh_size, UINT64_MAX);
	LIE(f.eh.e_shnum = 0; f.sh[0].sh_size, 3);
	LIE(f.ph.p_filesz, UINT64_MAX);
	LIE(f.ph.p_offset, UINT64_MAX);
	LIE(f.sh[1].sh_link, UINT32_MAX);
	LIE(f.sh[1].sh_link, 1);
	LIE(f.sh[1].sh_size, UINT64_MAX);
	LIE(f.sh[1].sh_size, 1 << 20);
	LIE(f.sh[1].sh_offset, UINT64_MAX);
	LIE(f.sh[2].sh_size, UINT64_MAX);
	LIE(f.sh[2].sh_size, 1 << 20);
	LIE(f.sh[2].sh_offset, UINT64_MAX - 4);
	/* An entry size that lies is not looked at. */
	struct file f = make_both();
	f.sh[1].sh_entsize = 0;
	assert_int_equal(scan_bytes(&f, sizeof(f)), TT_SCAN_HOOKS);
}

static void things_that_are_no_files(void **state)
{
	int fds[2];

	assert_int_equal(scan_path("/"), TT_SCAN_BAD);
	assert_int_equal(scan_path("/dev/null"), TT_SCAN_BAD);
	assert_int_equal(scan_path("/etc/passwd"), TT_SCAN_NONE);
	assert_int_equal(elf_scan(-1, &scan), TT_SCAN_BAD);
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(elf_scan(fds[0], &scan), TT_SCAN_BAD);
	close(fds[0]);
	close(fds[1]);
	assert_int_equal(scan_bytes("", 0), TT_SCAN_NONE);
	assert_int_equal(scan_bytes("\177ELF", 4), TT_SCAN_BAD);
}

static void more_than_two_gigabytes(void **state)
{
	struct file f = make_both();
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_int_equal(write(fd, &f, sizeof(f)), sizeof(f));
	assert_int_equal(ftruncate(fd, 2LL << 30), 0);
	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	assert_int_equal(ftruncate(fd, (2LL << 30) + 1), 0);
	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_BAD);
	close(fd);
}

static enum tt_scan scan_sparse(const struct file *f, uint64_t size)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);
	enum tt_scan r;

	assert_int_equal(write(fd, f, sizeof(*f)), sizeof(*f));
	assert_int_equal(ftruncate(fd, (off_t)size), 0);
	r = elf_scan(fd, &scan);
	close(fd);
	return r;
}

/* All of it is in the file, as a hole, and the names are at its beginning. */
static void tables_too_large_to_hold(void **state)
{
	const uint64_t symbols = 4 << 20, bytes = 192 << 20;
	struct file f = make_both();

	f.sh[1].sh_size = symbols * sizeof(Elf64_Sym);
	assert_int_equal(scan_sparse(&f, 256 << 20), TT_SCAN_HOOKS);
	f.sh[1].sh_size += sizeof(Elf64_Sym);
	assert_int_equal(scan_sparse(&f, 256 << 20), TT_SCAN_BAD);

	f = make_both();
	f.sh[2].sh_size = bytes - f.sh[1].sh_size;
	assert_int_equal(scan_sparse(&f, 256 << 20), TT_SCAN_HOOKS);
	f.sh[2].sh_size++;
	assert_int_equal(scan_sparse(&f, 256 << 20), TT_SCAN_BAD);
	f.sh[2].sh_size = UINT64_MAX - f.sh[2].sh_offset;
	assert_int_equal(scan_sparse(&f, 256 << 20), TT_SCAN_BAD);
}

/* libelf has some 200 bytes for a section, before anybody can ask it how many there are. */
static void sections_too_many_to_hold(void **state)
{
	const uint64_t sections = 2 << 20;
	struct file f = make_both();
	struct rusage before, after;

	f.eh.e_shnum = 0;
	f.sh[0].sh_size = sections;
	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	assert_int_equal(scan_sparse(&f, sizeof(f) + sections * sizeof(Elf64_Shdr)), TT_SCAN_BAD);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10);
}

static void segments_too_many_to_hold(void **state)
{
	struct {
		struct file f;
		Elf64_Phdr ph[257];
	} big = { .f = make_both() };

	for (size_t i = 0; i < 257; i++)
		big.ph[i] = big.f.ph;
	big.f.eh.e_phoff = sizeof(big.f);
	big.f.eh.e_phnum = 256;
	assert_int_equal(scan_bytes(&big, sizeof(big)), TT_SCAN_HOOKS);
	big.f.eh.e_phnum = 257;
	assert_int_equal(scan_bytes(&big, sizeof(big)), TT_SCAN_BAD);
}

static void functions_too_many_to_hold(void **state)
{
	enum { N = 4 * ELF_SCAN_HOOKS_MAX };
	struct {
		struct file f;
		Elf64_Sym syms[N];
	} big = { .f = make_both() };

	for (size_t i = 0; i < N; i++) {
		big.syms[i] = big.f.syms[i % 2];
		big.syms[i].st_value = TEXT_VADDR + i;
	}
	big.f.sh[1].sh_offset = sizeof(big.f);
	big.f.sh[1].sh_size = sizeof(big.syms);
	assert_int_equal(scan_bytes(&big, sizeof(big)), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, ELF_SCAN_HOOKS_MAX);
	assert_int_equal(scan.refused, 0);
}

/* A function that another search found has its probe already; what is too much is counted. */
static void searches_add_up(void **state)
{
	struct file f = make_both();
	int fd = memfd_create("elf", MFD_CLOEXEC);
	struct elf_file file;

	add(&f, "SSL_free", 0x30);
	assert_int_equal(write(fd, &f, sizeof(f)), sizeof(f));
	assert_int_equal(elf_file_open(&file, fd), 0);
	memset(&scan, 0, sizeof(scan));
	elf_scan_take(&scan, &file, TEXT_AT + 0x20, TT_HOOK_gnutls_read);
	for (uint64_t i = 1; i < ELF_SCAN_HOOKS_MAX - 1; i++)
		elf_scan_take(&scan, &file, TEXT_AT + 0x40 + i, TT_HOOK_gnutls_end);
	assert_int_equal(elf_symbols(&file, &scan), 0);
	assert_int_equal(scan.count, ELF_SCAN_HOOKS_MAX);
	assert_int_equal(scan.hooks[0].hook, TT_HOOK_gnutls_read);
	assert_int_equal(scan.hooks[0].tls, TT_TLS_GNUTLS);
	assert_int_equal(scan.hooks[ELF_SCAN_HOOKS_MAX - 1].hook, TT_HOOK_openssl_write);
	assert_int_equal(scan.refused, 1);	/* SSL_free */
	elf_file_close(&file);
	close(fd);
}

static void file_position_stays(void **state)
{
	struct file f = make_both();
	int fd = memfd_create("elf", MFD_CLOEXEC);

	assert_int_equal(write(fd, &f, sizeof(f)), sizeof(f));
	assert_int_equal(lseek(fd, 7, SEEK_SET), 7);
	assert_int_equal(elf_scan(fd, &scan), TT_SCAN_HOOKS);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 7);
	close(fd);
}

static void check_sane(enum tt_scan r, size_t size)
{
	assert_true(r <= TT_SCAN_REFUSED);
	assert_true(scan.count <= ELF_SCAN_HOOKS_MAX);
	assert_int_equal(scan.count > 0, r == TT_SCAN_HOOKS);
	for (size_t i = 0; i < scan.count; i++) {
		assert_true(scan.hooks[i].offset < size);
		assert_true(scan.hooks[i].hook > 0 && scan.hooks[i].hook < TT_HOOK_MAX);
	}
}

/* Every bit of the header, the segments and the sections, one after the other. */
static void flipped_bits(void **state)
{
	const struct file good = make_both();
	unsigned int changed = 0;

	for (size_t bit = 0; bit < sizeof(good) * 8; bit++) {
		struct file f = good;

		if (bit / 8 >= sizeof(f.eh) + sizeof(f.ph) && bit / 8 < offsetof(struct file, syms))
			continue;
		((unsigned char *)&f)[bit / 8] ^= (unsigned char)(1u << bit % 8);
		enum tt_scan r = scan_bytes(&f, sizeof(f));
		check_sane(r, sizeof(f));
		changed += r != TT_SCAN_HOOKS;
	}
	assert_true(changed > 200);
}

static void cut_anywhere(void **state)
{
	const struct file f = make_both();

	for (size_t len = 0; len < sizeof(f); len++)
		assert_int_equal(scan_bytes(&f, len), len < SELFMAG ? TT_SCAN_NONE : TT_SCAN_BAD);
}

/* 200 variants of a real library with random damage in its first page and its section table. */
static void damaged_library(void **state)
{
	void *lib = dlopen("libssl.so.3", RTLD_NOW | RTLD_LOCAL);
	char path[256] = "";
	struct stat st;
	char *bytes;
	int fd;

	if (!lib) {
		print_message("no libssl.so.3 on this machine\n");
		skip();
	}
	mapped_offset(dlsym(lib, "SSL_write"), path);
	fd = open(path, O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_non_null(bytes);
	assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
	srandom(11);
	for (int i = 0; i < 200; i++) {
		Elf64_Ehdr eh;
		size_t at;
		char was;

		memcpy(&eh, bytes, sizeof(eh));
		at = i % 2 ? (size_t)random() % 1024 :
			     eh.e_shoff + (size_t)random() % (eh.e_shnum * sizeof(Elf64_Shdr));
		was = bytes[at];
		bytes[at] = (char)(was ^ 1 << random() % 8);
		check_sane(scan_bytes(bytes, (size_t)st.st_size), (size_t)st.st_size);
		bytes[at] = was;
	}
	free(bytes);
	close(fd);
	dlclose(lib);
}

/* What was found stays found; why it was not, only as long as it was not. */
static void findings(void **state)
{
	struct elf_scan s = { 0 };

	elf_scan_blind(&s, TT_TLS_BORINGSSL, TT_BLIND_not_found, "");
	elf_scan_found(&s, TT_TLS_GO, TT_HOW_pclntab, "go1.26\n8");
	elf_scan_blind(&s, TT_TLS_GO, TT_BLIND_not_found, NULL);
	assert_int_equal(s.findings, 2);
	assert_int_equal(s.finding[0].blind, TT_BLIND_not_found);
	assert_false(elf_scan_has(&s, TT_TLS_BORINGSSL));
	assert_int_equal(s.finding[1].how, TT_HOW_pclntab);
	assert_int_equal(s.finding[1].blind, TT_BLIND_NONE);
	assert_string_equal(s.finding[1].version, "go1.26?8");
	assert_true(elf_scan_has(&s, TT_TLS_GO));
	elf_scan_found(&s, TT_TLS_BORINGSSL, TT_HOW_xref, NULL);
	assert_int_equal(s.finding[0].blind, TT_BLIND_NONE);
	assert_true(elf_scan_has(&s, TT_TLS_BORINGSSL));
	for (int tls = 1; tls < TT_TLS_MAX; tls++)
		elf_scan_found(&s, tls, TT_HOW_symbols, "x");
	assert_int_equal(s.findings, TT_FINDINGS_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(system_libssl),
		cmocka_unit_test(libraries_without_both_functions),
		cmocka_unit_test(node_has_openssl_inside),
		cmocka_unit_test(statically_linked_openssl),
		cmocka_unit_test(statically_linked_wolfssl),
		cmocka_unit_test(statically_linked_mbedtls),
		cmocka_unit_test(each_library_by_itself),
		cmocka_unit_test(every_name_is_found),
		cmocka_unit_test(libressl_has_a_mark),
		cmocka_unit_test(findings),
		cmocka_unit_test(all_names_with_versions),
		cmocka_unit_test(name_inside_a_longer_one),
		cmocka_unit_test(only_one_of_the_two),
		cmocka_unit_test(same_place_counts_once),
		cmocka_unit_test(symbols_that_are_no_functions_here),
		cmocka_unit_test(instructions_that_carry_no_probe),
		cmocka_unit_test(what_is_not_seen_without_it),
		cmocka_unit_test(probes_go_behind_padding),
		cmocka_unit_test(names_anywhere_in_a_large_table),
		cmocka_unit_test(other_machines_and_sizes),
		cmocka_unit_test(numbers_that_lie),
		cmocka_unit_test(things_that_are_no_files),
		cmocka_unit_test(more_than_two_gigabytes),
		cmocka_unit_test(sections_too_many_to_hold),
		cmocka_unit_test(tables_too_large_to_hold),
		cmocka_unit_test(segments_too_many_to_hold),
		cmocka_unit_test(functions_too_many_to_hold),
		cmocka_unit_test(searches_add_up),
		cmocka_unit_test(file_position_stays),
		cmocka_unit_test(flipped_bits),
		cmocka_unit_test(cut_anywhere),
		cmocka_unit_test(damaged_library),
	};

	return cmocka_run_group_tests_name("elf_scan", tests, NULL, NULL);
}
