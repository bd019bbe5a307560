/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Makes small x86-64 files for the tests of the searches in stripped files: strings in a read-only
 * segment, code that refers to them in an executable one, and .eh_frame_hdr for those functions that are
 * told to have a row. No sections. Everything lies at ELF_BASE and its offset in the file.
 */
#ifndef TT_TESTS_ELF_MAKE_H
#define TT_TESTS_ELF_MAKE_H

#include <elf.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define ELF_BASE 0x400000u
#define ELF_STRINGS 0x1000u
#define ELF_CODE 0x2000u
#define ELF_TABLE 0x8000u	/* .eh_frame_hdr, and the descriptions that it points to */
#define ELF_FDES 0x9000u
#define ELF_BYTES 0xa000u
#define ELF_ROWS_MAX 256u

struct elf_made {
	unsigned char bytes[ELF_BYTES];
	uint32_t string_at, code_at, rows;
};

static inline Elf64_Phdr *elf_made_phdr(struct elf_made *m, unsigned int i)
{
	return (Elf64_Phdr *)(void *)(m->bytes + sizeof(Elf64_Ehdr)) + i;
}

static inline void elf_made_begin(struct elf_made *m, unsigned int type)
{
	static const struct {
		uint32_t type, flags, from, to;
	} segments[] = {
		{ PT_LOAD, PF_R, ELF_STRINGS, ELF_CODE },
		{ PT_LOAD, PF_R | PF_X, ELF_CODE, ELF_TABLE },
		{ PT_LOAD, PF_R, ELF_TABLE, ELF_BYTES },
		{ PT_GNU_EH_FRAME, PF_R, ELF_TABLE, ELF_FDES },
	};
	Elf64_Ehdr eh = {
		.e_ident = { ELFMAG0, ELFMAG1, ELFMAG2, ELFMAG3, ELFCLASS64, ELFDATA2LSB, 1 },
		.e_type = (Elf64_Half)type, .e_machine = EM_X86_64, .e_version = 1,
		.e_phoff = sizeof(Elf64_Ehdr), .e_ehsize = sizeof(Elf64_Ehdr),
		.e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 4,
	};
	static const unsigned char header[] = { 1, 0x1b, 0x03, 0x3b };

	memset(m, 0, sizeof(*m));
	memcpy(m->bytes, &eh, sizeof(eh));
	for (unsigned int i = 0; i < 4; i++)
		*elf_made_phdr(m, i) = (Elf64_Phdr){
			.p_type = segments[i].type, .p_flags = segments[i].flags,
			.p_offset = segments[i].from, .p_vaddr = ELF_BASE + segments[i].from,
			.p_filesz = segments[i].to - segments[i].from,
			.p_memsz = segments[i].to - segments[i].from,
		};
	memset(m->bytes + ELF_CODE, 0xcc, ELF_TABLE - ELF_CODE);
	memcpy(m->bytes + ELF_TABLE, header, sizeof(header));
	m->string_at = ELF_STRINGS + 1;
	m->code_at = ELF_CODE + 16;
}

static inline uint64_t elf_made_string(struct elf_made *m, const char *text)
{
	uint64_t at = ELF_BASE + m->string_at;

	memcpy(m->bytes + m->string_at, text, strlen(text) + 1);
	m->string_at += (uint32_t)strlen(text) + 1;
	return at;
}

static inline void elf_made_code(struct elf_made *m, const void *code, size_t len)
{
	memcpy(m->bytes + m->code_at, code, len);
	m->code_at += (uint32_t)len;
}

static inline uint64_t elf_made_here(const struct elf_made *m)
{
	return ELF_BASE + m->code_at;
}

static inline void elf_made_u32(struct elf_made *m, uint32_t v)
{
	elf_made_code(m, &v, sizeof(v));
}

/* push %rbp, at the next multiple of 16; returns its address. */
static inline uint64_t elf_made_function(struct elf_made *m)
{
	m->code_at = (m->code_at + 15) & ~15u;
	elf_made_code(m, "\x55", 1);
	return elf_made_here(m) - 1;
}

static inline void elf_made_mov(struct elf_made *m, unsigned int reg, uint32_t value)
{
	unsigned char op = (unsigned char)(0xb8 | (reg & 7));

	if (reg >= 8)
		elf_made_code(m, "\x41", 1);
	elf_made_code(m, &op, 1);
	elf_made_u32(m, value);
}

/* Returns the instruction's address. */
static inline uint64_t elf_made_lea(struct elf_made *m, unsigned int reg, uint64_t target)
{
	unsigned char op[3] = { reg >= 8 ? 0x4c : 0x48, 0x8d, (unsigned char)(0x05 | (reg & 7) << 3) };
	uint64_t at = elf_made_here(m);

	elf_made_code(m, op, sizeof(op));
	elf_made_u32(m, (uint32_t)(target - (elf_made_here(m) + 4)));
	return at;
}

static inline void elf_made_call(struct elf_made *m, uint64_t target)
{
	elf_made_code(m, "\xe8", 1);
	elf_made_u32(m, (uint32_t)(target - (elf_made_here(m) + 4)));
}

/* pop %rbp; ret. With a row in the table if it is wanted: functions have to be ended in order. */
static inline void elf_made_end(struct elf_made *m, uint64_t function, int row)
{
	uint32_t fde[4] = { 12, 4, 0, 0 }, at = ELF_FDES + m->rows * 16, table[2];

	elf_made_code(m, "\x5d\xc3", 2);
	if (!row)
		return;
	fde[2] = (uint32_t)(function - (ELF_BASE + at + 8));
	fde[3] = (uint32_t)(elf_made_here(m) - function);
	memcpy(m->bytes + at, fde, sizeof(fde));
	table[0] = (uint32_t)(function - (ELF_BASE + ELF_TABLE));
	table[1] = at - ELF_TABLE;
	memcpy(m->bytes + ELF_TABLE + 12 + m->rows++ * 8, table, sizeof(table));
	memcpy(m->bytes + ELF_TABLE + 8, &m->rows, sizeof(m->rows));
}

/* A descriptor of the first `len` bytes. */
static inline int elf_made_fd(const void *bytes, size_t len)
{
	int fd = memfd_create("elf", MFD_CLOEXEC);

	return fd >= 0 && write(fd, bytes, len) == (ssize_t)len ? fd : -1;
}

/* ---- what the libraries' functions look like ---- */

/* One error of BoringSSL: ERR_put_error(16, 0, reason, file, line). */
static inline void elf_made_error(struct elf_made *m, uint32_t reason, uint64_t file, uint32_t line)
{
	elf_made_mov(m, 2, reason);
	elf_made_lea(m, 1, file);
	elf_made_mov(m, 8, line);
	elf_made_call(m, ELF_BASE + ELF_CODE);
	for (int i = 0; i < 8; i++)	/* further away than the next error's values are looked for */
		elf_made_code(m, "\x0f\x1f\x80\0\0\0\0", 7);
}

struct elf_made_library {
	uint64_t write, read, peek, new;	/* addresses */
};

/* BoringSSL's ssl_lib.cc as far as it matters. */
static inline void elf_made_boringssl(struct elf_made *m, unsigned int type, int rows,
				      struct elf_made_library *ret)
{
	uint64_t file;

	elf_made_begin(m, type);
	file = elf_made_string(m, "/src/ssl/ssl_lib.cc");
	ret->new = elf_made_function(m);
	elf_made_error(m, 185, file, 500);
	elf_made_end(m, ret->new, rows);
	ret->read = elf_made_function(m);
	elf_made_call(m, ret->new);
	elf_made_error(m, 66, file, 940);
	elf_made_code(m, "\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90\x90", 16);
	elf_made_end(m, ret->read, rows);
	ret->peek = elf_made_function(m);
	elf_made_error(m, 66, file, 940);
	elf_made_end(m, ret->peek, rows);
	ret->write = elf_made_function(m);
	elf_made_error(m, 66, file, 962);
	elf_made_error(m, 226, file, 967);
	elf_made_error(m, 215, file, 982);
	elf_made_end(m, ret->write, rows);
	/* SSL_key_update() */
	uint64_t update = elf_made_function(m);
	elf_made_error(m, 66, file, 1000);
	elf_made_error(m, 226, file, 1002);
	elf_made_error(m, 215, file, 1004);
	elf_made_error(m, 246, file, 1006);
	elf_made_call(m, ret->read);
	elf_made_call(m, ret->peek);
	elf_made_call(m, ret->write);
	elf_made_call(m, update);
	elf_made_end(m, update, rows);
}

/* OpenSSL 3's ssl_lib.c: SSL_write_ex() and SSL_read_ex() call the internal ones. */
static inline void elf_made_named(struct elf_made *m, uint64_t file, uint64_t name, uint64_t *ret_at,
				  const char *keeps)
{
	*ret_at = elf_made_function(m);
	if (keeps)
		elf_made_code(m, keeps, 3);
	elf_made_lea(m, 2, name);
	elf_made_lea(m, 7, file);
	elf_made_call(m, ELF_BASE + ELF_CODE);
	elf_made_end(m, *ret_at, 1);
}

struct elf_made_openssl {
	uint64_t write, read, new, write_internal, read_internal;	/* addresses */
};

static inline void elf_made_openssl(struct elf_made *m, const char *version,
				    struct elf_made_openssl *ret)
{
	static const char keeps_rcx[] = "\x49\x89\xcc", keeps_r8[] = "\x4d\x89\xc5";
	uint64_t file;

	elf_made_begin(m, ET_DYN);
	elf_made_string(m, version);
	file = elf_made_string(m, "ssl/ssl_lib.c");
	elf_made_named(m, file, elf_made_string(m, "SSL_new"), &ret->new, NULL);
	elf_made_named(m, file, elf_made_string(m, "SSL_read"), &ret->read, NULL);
	elf_made_named(m, file, elf_made_string(m, "SSL_write"), &ret->write, NULL);
	elf_made_named(m, file, elf_made_string(m, "ssl_read_internal"), &ret->read_internal, keeps_rcx);
	elf_made_named(m, file, elf_made_string(m, "ssl_write_internal"), &ret->write_internal, keeps_r8);
}

/* ---- rustls' tables ---- */

#define ELF_RUSTLS_RELA (ELF_TABLE + 0x100u)
#define ELF_RUSTLS_WORDS ELF_FDES
#define ELF_RUSTLS_LEAST (256u << 10)	/* bytes of a file in which rustls is looked for */

struct elf_made_rustls {
	uint64_t encrypt, decrypt, returns, adds;	/* addresses */
	uint32_t words;					/* of its first word in the file */
};

/* At a fixed address (ET_EXEC) addresses are in place, else in relocations. */
static inline void elf_made_rustls_begin(struct elf_made *m, unsigned int type)
{
	Elf64_Dyn dynamic[] = {
		{ DT_RELA, { ELF_BASE + ELF_RUSTLS_RELA } }, { DT_RELASZ, { 0 } }, { DT_NULL, { 0 } },
	};

	elf_made_begin(m, type);
	if (type == ET_EXEC)
		dynamic[0].d_tag = DT_NULL;
	memcpy(m->bytes + ELF_TABLE, dynamic, sizeof(dynamic));
	*elf_made_phdr(m, 3) = (Elf64_Phdr){ .p_type = PT_DYNAMIC, .p_offset = ELF_TABLE,
					     .p_vaddr = ELF_BASE + ELF_TABLE, .p_filesz = sizeof(dynamic),
					     .p_memsz = sizeof(dynamic) };
}

static inline void elf_made_address(struct elf_made *m, uint32_t at, uint64_t address)
{
	Elf64_Rela rela = { ELF_BASE + at, ELF64_R_INFO(0, R_X86_64_RELATIVE), (int64_t)address };
	uint64_t bytes = m->rows * sizeof(rela) + sizeof(rela);

	if (((Elf64_Ehdr *)(void *)m->bytes)->e_type == ET_EXEC) {
		memcpy(m->bytes + at, &address, sizeof(address));
		return;
	}
	memcpy(m->bytes + ELF_RUSTLS_RELA + m->rows++ * sizeof(rela), &rela, sizeof(rela));
	memcpy(m->bytes + ELF_TABLE + sizeof(Elf64_Dyn) + offsetof(Elf64_Dyn, d_un), &bytes, sizeof(bytes));
}

static inline void elf_made_number(struct elf_made *m, uint32_t at, uint64_t number)
{
	memcpy(m->bytes + at, &number, sizeof(number));
}

/* Place, table, place, table, the number'th of them; `adds` is what a record is longer by. */
static inline void elf_made_rustls(struct elf_made *m, unsigned int number, const char *path,
				   unsigned char adds, struct elf_made_rustls *ret)
{
	uint64_t text = elf_made_string(m, path), drop = elf_made_function(m);
	uint32_t at = ELF_RUSTLS_WORDS + number * 0x100;

	ret->words = at;
	elf_made_end(m, drop, 0);
	ret->decrypt = elf_made_function(m);
	elf_made_code(m, "\x48\x85\xf6\x74\x03\x31\xc0\x90", 8);	/* test; je +3; xor; nop */
	elf_made_end(m, ret->decrypt, 0);
	ret->returns = elf_made_here(m) - 1;
	ret->encrypt = elf_made_function(m);
	elf_made_end(m, ret->encrypt, 0);
	m->code_at = (m->code_at + 15) & ~15u;
	ret->adds = elf_made_here(m);
	elf_made_code(m, "\x48\x8d\x46", 3);
	elf_made_code(m, &adds, 1);
	elf_made_code(m, "\xc3", 1);
	for (int i = 0; i < 2; i++, at += 7 * 8) {
		elf_made_address(m, at, text);
		elf_made_number(m, at + 8, strlen(path));
		elf_made_number(m, at + 16, 0x5900000011);
		elf_made_address(m, at + 24, drop);
		elf_made_number(m, at + 32, 48);
		elf_made_number(m, at + 40, 8);
		elf_made_address(m, at + 48, i ? ret->encrypt : ret->decrypt);
	}
	elf_made_address(m, at, ret->adds);
}

#endif
