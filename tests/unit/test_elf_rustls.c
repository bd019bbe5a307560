/* SPDX-License-Identifier: Apache-2.0 */
/* rustls' names, in both manglings; and made-up programs whose version or instructions are not known.
 * Real programs are in tests/e2e/rustls.py. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "agent/elf_rustls.h"

#define HASH "17h0123456789abcdefE"
#define COMMON "_ZN6rustls12common_state11CommonState"
#define ENCRYPT "$u20$as$u20$rustls..crypto..cipher..MessageEncrypter$GT$7encrypt"

static enum tt_hook hook(const char *name)
{
	return elf_rustls_hook(name, strlen(name) + 1);
}

static void older_mangling(void **state)
{
	assert_int_equal(hook(COMMON "16buffer_plaintext" HASH), TT_HOOK_rustls_write);
	assert_int_equal(hook(COMMON "19send_some_plaintext" HASH), TT_HOOK_rustls_slice);
	assert_int_equal(hook(COMMON "23take_received_plaintext" HASH), TT_HOOK_rustls_read);
	assert_int_equal(hook(COMMON "8send_msg" HASH), TT_HOOK_rustls_message);
	assert_int_equal(hook(COMMON "8send_msg" HASH ".llvm.123"), TT_HOOK_rustls_message);
	assert_int_equal(hook("_ZN111_$LT$rustls..crypto..ring..tls13..Tls13MessageEncrypter" ENCRYPT HASH),
			 TT_HOOK_rustls_record);
	assert_int_equal(hook("_ZN89_$LT$rustls..tls13..Tls13MessageEncrypter$u20$as$u20$rustls..cipher.."
			      "MessageEncrypter$GT$7encrypt" HASH), TT_HOOK_rustls_record);
	assert_int_equal(hook("_ZN4core3ptr54drop_in_place$LT$rustls..common_state..CommonState$GT$" HASH),
			 TT_HOOK_rustls_end);
}

static void newer_mangling(void **state)
{
	assert_int_equal(hook("_RNvMs_NtCsiWcKhtF0zut_6rustls12common_stateNtB4_11CommonState16buffer_plaintext"),
			 TT_HOOK_rustls_write);
	assert_int_equal(hook("_RNvMNtCsiWcKhtF0zut_6rustls12common_stateNtB2_11CommonState"
			      "23take_received_plaintext"), TT_HOOK_rustls_read);
	assert_int_equal(hook("_RNvXs2_NtNtNtCsiWcKhtF0zut_6rustls6crypto4ring5tls13NtB5_21Tls13MessageEncrypter"
			      "NtNtB9_6cipher16MessageEncrypter7encrypt"), TT_HOOK_rustls_record);
	assert_int_equal(hook("_RINvNtCsgEmfK2I1SDS_4core3ptr13drop_in_placeNtNtCsiWcKhtF0zut_6rustls"
			      "12common_state11CommonStateEBK_.llvm.1628"), TT_HOOK_rustls_end);
}

static void other_names(void **state)
{
	static const char *const names[] = {
		"", "_", "_ZN", "_R", "SSL_write",
		COMMON "16buffer_plaintext",
		COMMON "16buffer_plaintext17h0123456789abcdeE",
		COMMON "16buffer_plaintext" HASH ".cold",
		COMMON "16buffer_plaintext28_$u7b$$u7b$closure$u7d$$u7d$" HASH,
		"_ZN5other12common_state11CommonState16buffer_plaintext" HASH,
		"_ZN6rustls6server11server_conn14EarlyDataState23take_received_plaintext" HASH,
		"_ZN108_$LT$rustls..crypto..cipher..InvalidMessageEncrypter" ENCRYPT HASH,
		"_ZN111_$LT$rustls..crypto..ring..tls13..Tls13MessageEncrypter" ENCRYPT "28_$u7b$" HASH,
		"_RNvMs7_NtNtCsiWcKhtF0zut_6rustls6server11server_connNtB5_14EarlyDataState"
		"23take_received_plaintext",
		"_RNvXsb_NtNtCsiWcKhtF0zut_6rustls6crypto6cipherNtB5_23InvalidMessageEncrypterNtB5_"
		"16MessageEncrypter7encrypt",
		"_RNvMs_NtCsiWcKhtF0zut_5other12common_stateNtB4_11CommonState16buffer_plaintext",
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (hook(names[i]))
			fail_msg("taken for a hook: %s", names[i]);
	/* The table ends inside the name. */
	assert_int_equal(elf_rustls_hook(COMMON "8send_msg" HASH, strlen(COMMON "8send_msg" HASH)), 0);
}

/* ---- made-up programs: code at 0x1000, names behind it ---- */

#define BYTES (300U << 10)
#define TEXT_AT 0x1000
#define SYMS_AT 0x3000
#define STRINGS_AT 0x4000
#define VADDR 0x400000

static unsigned char *program;
static size_t syms, strings;
static struct elf_scan scan;

static void add(const char *name, uint64_t at)
{
	Elf64_Sym *s = (Elf64_Sym *)(program + SYMS_AT) + syms++;

	*s = (Elf64_Sym){ .st_name = (uint32_t)strings, .st_info = ELF64_ST_INFO(STB_LOCAL, STT_FUNC),
			  .st_shndx = 1, .st_value = VADDR + TEXT_AT + at };
	memcpy(program + STRINGS_AT + strings, name, strlen(name) + 1);
	strings += strlen(name) + 1;
}

static int make(void **state)
{
	Elf64_Ehdr *e;
	Elf64_Phdr *ph;

	program = calloc(1, BYTES);
	assert_non_null(program);
	e = (Elf64_Ehdr *)program;
	ph = (Elf64_Phdr *)(e + 1);
	*e = (Elf64_Ehdr){ .e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
			   .e_type = ET_DYN, .e_machine = EM_X86_64, .e_version = 1, .e_phoff = sizeof(*e),
			   .e_shoff = 0x200, .e_ehsize = sizeof(*e), .e_phentsize = sizeof(*ph), .e_phnum = 1,
			   .e_shentsize = sizeof(Elf64_Shdr), .e_shnum = 3 };
	*ph = (Elf64_Phdr){ .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = VADDR, .p_filesz = BYTES,
			    .p_memsz = BYTES };
	memset(program + TEXT_AT, 0x90, 0x1000);
	syms = strings = 0;
	add(COMMON "16buffer_plaintext" HASH, 0x100);
	add("_ZN1_$LT$rustls..crypto..ring..tls13..Tls13MessageEncrypter" ENCRYPT HASH, 0x200);
	add(COMMON "23take_received_plaintext" HASH, 0x300);
	return 0;
}

static int unmake(void **state)
{
	free(program);
	return 0;
}

static enum tt_scan scan_program(void)
{
	Elf64_Shdr *sh = (Elf64_Shdr *)(program + 0x200);
	int fd = memfd_create("elf", MFD_CLOEXEC);
	enum tt_scan r;

	sh[1] = (Elf64_Shdr){ .sh_type = SHT_SYMTAB, .sh_offset = SYMS_AT, .sh_size = syms * sizeof(Elf64_Sym),
			      .sh_link = 2, .sh_entsize = sizeof(Elf64_Sym) };
	sh[2] = (Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = STRINGS_AT, .sh_size = strings };
	assert_true(fd >= 0);
	assert_int_equal(write(fd, program, BYTES), BYTES);
	r = elf_scan(fd, &scan);
	close(fd);
	return r;
}

static void version(const char *text)
{
	strcpy((char *)program + 0x8000, text);
}

static void loads(void)
{
	/* mov (%rsi),%r12; mov 8(%rsi),%rbx; mov 0x10(%rsi),%r14 */
	memcpy(program + TEXT_AT + 0x300, "\x4c\x8b\x26\x48\x8b\x5e\x08\x4c\x8b\x76\x10", 11);
}

static void assert_blind(enum tt_blind blind)
{
	assert_int_equal(scan.count, 0);
	assert_int_equal(scan.findings, 1);
	assert_int_equal(scan.finding[0].tls, TT_TLS_RUSTLS);
	assert_int_equal(scan.finding[0].blind, blind);
}

static void known_version(void **state)
{
	version("/cargo/registry/src/x/rustls-0.23.46/src/conn.rs");
	assert_int_equal(scan_program(), TT_SCAN_HOOKS);
	assert_int_equal(scan.count, 3);
	assert_int_equal(scan.finding[0].how, TT_HOW_symbols);
	assert_string_equal(scan.finding[0].version, "0.23.46");
	version("/cargo/registry/src/x/rustls-0.21.0/src/conn.rs");
	assert_int_equal(scan_program(), TT_SCAN_HOOKS);
}

/* Only what is seen to load the words is believed. */
static void unknown_versions(void **state)
{
	static const char *const texts[] = { "/rustls-0.23.47/src/x", "/rustls-0.24.0/src/x",
					     "/rustls-0.20.9/src/x", "/rustls-0.23.x/src/x", "" };

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		memset(program + TEXT_AT + 0x300, 0x90, 16);
		version(texts[i]);
		assert_int_equal(scan_program(), TT_SCAN_NONE);
		assert_blind(TT_BLIND_unexpected_bytes);
		loads();
		assert_int_equal(scan_program(), TT_SCAN_HOOKS);
		assert_int_equal(scan.count, 3);
	}
}

static void one_of_two_versions_unknown(void **state)
{
	version("/rustls-0.23.46/src/x");
	strcpy((char *)program + 0x9000, "/rustls-0.24.0/src/x");
	assert_int_equal(scan_program(), TT_SCAN_NONE);
	assert_blind(TT_BLIND_unexpected_bytes);
}

static void stripped(void **state)
{
	syms = 0;
	version("/rustls-0.23.40/src/x");
	assert_int_equal(scan_program(), TT_SCAN_NONE);
	assert_blind(TT_BLIND_not_found);
	assert_string_equal(scan.finding[0].version, "0.23.40");
}

static void without_records(void **state)
{
	syms = 1;
	assert_int_equal(scan_program(), TT_SCAN_NONE);
	assert_blind(TT_BLIND_not_found);
}

static void no_rustls(void **state)
{
	syms = 0;
	version("/hyper-rustls-0.27.1/src/x");
	assert_int_equal(scan_program(), TT_SCAN_NONE);
	assert_int_equal(scan.findings, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(older_mangling),
		cmocka_unit_test(newer_mangling),
		cmocka_unit_test(other_names),
#define T(f) cmocka_unit_test_setup_teardown(f, make, unmake)
		T(known_version),
		T(unknown_versions),
		T(one_of_two_versions_unknown),
		T(stripped),
		T(without_records),
		T(no_rustls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
