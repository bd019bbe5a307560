/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/findings.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <readers/siphash.h>

#include "base/cleanup.h"
#include "base/write.h"

#define FINDINGS_VERSION 4
#define BLOCK 4096
#define BLOCKS 128	/* of a file that is longer than these */
#define SITE_BYTES 16	/* at each place to be probed */

struct row_hook {
	uint64_t offset, placed, spare;
	uint16_t hook, placed_as, spare_as, tls;
	uint32_t cookie, pad_;
	unsigned char bytes[SITE_BYTES], placed_bytes[SITE_BYTES], spare_bytes[SITE_BYTES];
};

struct row {
	struct findings_key key;
	uint64_t used;		/* the higher, the later */
	uint32_t result, hooks, findings, pad_;
	uint64_t refused;
	struct tt_finding finding[TT_FINDINGS_MAX];
	struct row_hook hook[];	/* no more than it has: an OpenSSL some eight of ELF_SCAN_HOOKS_MAX */
};

/* The file: this, then its rows. */
struct header {
	char magic[8];
	uint32_t version, row_bytes;	/* without its hooks */
	uint64_t seed[2];
	uint64_t rows, used;
	unsigned char made_by[ELF_BUILD_ID_MAX];
	uint32_t pad_;
	uint64_t check[2];	/* of all the rest */
};

struct findings {
	char path[PATH_MAX];
	struct header header;
	struct row *rows[FINDINGS_MAX];
	bool changed;
};

static size_t row_bytes(const struct row *row)
{
	return sizeof(*row) + row->hooks * sizeof(row->hook[0]);
}

static const char magic[8] = "ttfound\n";

static void hash_words(struct siphash *s, const void *bytes, size_t len)
{
	const unsigned char *p = bytes;
	uint64_t word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		siphash_put8(s, word);
	}
	while (len--)
		siphash_put(s, *p++);
}

/* ---- the table ---- */

static int own_note(struct dl_phdr_info *info, size_t size, void *data)
{
	unsigned char *id = data;

	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *ph = &info->dlpi_phdr[i];

		if (ph->p_type == PT_NOTE)
			elf_note_build_id((const void *)(info->dlpi_addr + ph->p_vaddr), ph->p_memsz, id);
	}
	return 1;	/* the first one is the program */
}

static void check(const struct findings *f, uint64_t ret[2])
{
	struct header h = f->header;
	struct siphash s;
	__u64 out[2];

	memset(h.check, 0, sizeof(h.check));
	siphash_init(&s, h.seed[0], h.seed[1]);
	hash_words(&s, &h, sizeof(h));
	for (size_t i = 0; i < h.rows; i++)
		hash_words(&s, f->rows[i], row_bytes(f->rows[i]));
	siphash_final(&s, out);
	ret[0] = out[0];
	ret[1] = out[1];
}

static void free_rows(struct findings *f)
{
	for (size_t i = 0; i < FINDINGS_MAX; i++) {
		free(f->rows[i]);
		f->rows[i] = NULL;
	}
}

static int begin_anew(struct findings *f)
{
	free_rows(f);
	memset(&f->header, 0, sizeof(f->header));
	memcpy(f->header.magic, magic, sizeof(magic));
	f->header.version = FINDINGS_VERSION;
	f->header.row_bytes = sizeof(struct row);
	dl_iterate_phdr(own_note, f->header.made_by);
	f->changed = false;
	return getrandom(f->header.seed, sizeof(f->header.seed), 0) == sizeof(f->header.seed) ? 0 : -EIO;
}

static bool is_sound(const struct row *row)
{
	if (row->findings > TT_FINDINGS_MAX || row->result > TT_SCAN_REFUSED ||
	    row->result == TT_SCAN_BAD || (row->result == TT_SCAN_HOOKS) != (row->hooks != 0))
		return false;
	for (uint32_t i = 0; i < row->hooks; i++)
		if (row->hook[i].hook == 0 || row->hook[i].hook >= TT_HOOK_MAX ||
		    row->hook[i].placed_as >= TT_HOOK_MAX || row->hook[i].spare_as >= TT_HOOK_MAX ||
		    row->hook[i].tls >= TT_TLS_MAX || row->hook[i].offset >= row->key.size ||
		    row->hook[i].placed >= row->key.size || row->hook[i].spare >= row->key.size)
			return false;
	return true;
}

static int read_all(int fd, void *to, size_t len)
{
	for (char *p = to; len;) {
		ssize_t n = TEMP_FAILURE_RETRY(read(fd, p, len));

		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		p += n;
		len -= (size_t)n;
	}
	return 0;
}

static int read_row(int fd, struct row **ret_row)
{
	struct row head, *row;
	int r = read_all(fd, &head, sizeof(head));

	if (r < 0)
		return r;
	if (head.hooks > ELF_SCAN_HOOKS_MAX)
		return -EBADMSG;
	row = malloc(row_bytes(&head));
	if (!row)
		return -ENOMEM;
	*ret_row = row;
	memcpy(row, &head, sizeof(head));
	return read_all(fd, row->hook, head.hooks * sizeof(row->hook[0]));
}

static int load(struct findings *f)
{
	_cleanup_close_ int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	struct header mine = f->header;
	uint64_t sum[2];
	int r;

	if (fd < 0)
		return -errno;
	r = read_all(fd, &f->header, sizeof(f->header));
	if (r < 0)
		return r;
	if (memcmp(f->header.magic, magic, sizeof(magic)) != 0)
		return -EBADMSG;
	if (f->header.version != mine.version || f->header.row_bytes != mine.row_bytes ||
	    memcmp(f->header.made_by, mine.made_by, sizeof(mine.made_by)) != 0)
		return -ESTALE;
	if (f->header.rows > FINDINGS_MAX)
		return -EBADMSG;
	for (size_t i = 0; i < f->header.rows; i++) {
		r = read_row(fd, &f->rows[i]);
		if (r < 0)
			return r;
	}
	check(f, sum);
	if (memcmp(sum, f->header.check, sizeof(sum)) != 0)
		return -EBADMSG;
	for (size_t i = 0; i < f->header.rows; i++)
		if (!is_sound(f->rows[i]))
			return -EBADMSG;
	return 0;
}

int findings_open(const char *path, struct findings **ret_findings)
{
	struct findings *f = calloc(1, sizeof(*f));
	int r;

	*ret_findings = NULL;
	if (!f)
		return -ENOMEM;
	snprintf(f->path, sizeof(f->path), "%s", path);
	r = begin_anew(f) < 0 ? -ENOMEM : load(f);
	if (r == -ENOMEM || (r < 0 && begin_anew(f) < 0)) {
		findings_free(f);
		return -ENOMEM;
	}
	*ret_findings = f;
	return r;
}

void findings_free(struct findings *findings)
{
	if (!findings)
		return;
	free_rows(findings);
	free(findings);
}

static int write_table(struct findings *f, const char *path)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (unlink(path) < 0 && errno != ENOENT)
		return -errno;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	check(f, f->header.check);
	r = write_all(fd, &f->header, sizeof(f->header));
	for (size_t i = 0; i < f->header.rows && r == 0; i++)
		r = write_all(fd, f->rows[i], row_bytes(f->rows[i]));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r;
}

int findings_save(struct findings *f)
{
	char path[PATH_MAX + 8];
	int r;

	if (!f->changed)
		return 0;
	snprintf(path, sizeof(path), "%s.new", f->path);
	r = write_table(f, path);
	if (r == 0 && rename(path, f->path) < 0)
		r = -errno;
	if (r < 0) {
		unlink(path);
		return r;
	}
	f->changed = false;
	return 0;
}

size_t findings_count(const struct findings *findings)
{
	return findings->header.rows;
}

/* ---- which file ---- */

static int hash_range(struct siphash *s, int fd, uint64_t offset, uint64_t len)
{
	unsigned char block[16 * BLOCK];

	while (len) {
		size_t want = len < sizeof(block) ? (size_t)len : sizeof(block);
		ssize_t n = TEMP_FAILURE_RETRY(pread(fd, block, want, (off_t)offset));

		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		hash_words(s, block, (size_t)n);
		offset += (uint64_t)n;
		len -= (uint64_t)n;
	}
	return 0;
}

static int hash_blocks(const struct findings *f, struct siphash *s, int fd, uint64_t size)
{
	int r = hash_range(s, fd, 0, size < BLOCKS * BLOCK ? size : BLOCK);

	if (size < BLOCKS * BLOCK)
		return r;
	for (uint64_t i = 0; i < BLOCKS && r == 0; i++) {
		struct siphash place;
		__u64 at[2];

		siphash_init(&place, f->header.seed[1], f->header.seed[0]);
		siphash_put8(&place, i);
		siphash_put8(&place, size);
		siphash_final(&place, at);
		r = hash_range(s, fd, at[0] % (size - BLOCK), BLOCK);
	}
	return r;
}

static void hash_identity(struct siphash *s, const struct stat *st)
{
	const uint64_t identity[] = {
		st->st_dev, st->st_ino, (uint64_t)st->st_mtim.tv_sec, (uint64_t)st->st_mtim.tv_nsec,
		(uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec,
	};

	hash_words(s, identity, sizeof(identity));
}

int findings_key(const struct findings *findings, int fd, struct findings_key *ret_key)
{
	struct findings_key key = { .size = 0 };
	struct elf_file file;
	struct siphash s;
	struct stat st;
	__u64 out[2];
	int r;

	r = elf_file_open(&file, fd);
	if (r == 0)
		elf_file_build_id(&file, key.build_id);
	elf_file_close(&file);
	if (r == 0 && fstat(fd, &st) < 0)
		r = -errno;
	if (r == 0 && major(st.st_dev) == 0)
		r = -EXDEV;
	if (r < 0)
		return r;
	key.size = (uint64_t)st.st_size;
	siphash_init(&s, findings->header.seed[0], findings->header.seed[1]);
	hash_identity(&s, &st);
	r = hash_blocks(findings, &s, fd, key.size);
	if (r < 0)
		return r;
	siphash_final(&s, out);
	key.content[0] = out[0];
	key.content[1] = out[1];
	*ret_key = key;
	return 0;
}

/* ---- rows ---- */

static struct row **find(struct findings *f, const struct findings_key *key)
{
	for (size_t i = 0; i < f->header.rows; i++)
		if (memcmp(&f->rows[i]->key, key, sizeof(*key)) == 0)
			return &f->rows[i];
	return NULL;
}

/* What stands at a place of the file, zeroes beyond its end. */
static bool site_bytes(int fd, uint64_t offset, unsigned char bytes[static SITE_BYTES])
{
	memset(bytes, 0, SITE_BYTES);
	return TEMP_FAILURE_RETRY(pread(fd, bytes, SITE_BYTES, (off_t)offset)) > 0;
}

static bool is_same(int fd, uint64_t offset, const unsigned char kept[static SITE_BYTES])
{
	unsigned char bytes[SITE_BYTES];

	return site_bytes(fd, offset, bytes) && memcmp(bytes, kept, SITE_BYTES) == 0;
}

static bool is_as_kept(const struct row *row, int fd)
{
	for (uint32_t i = 0; i < row->hooks; i++)
		if (!is_same(fd, row->hook[i].offset, row->hook[i].bytes) ||
		    !is_same(fd, row->hook[i].placed, row->hook[i].placed_bytes) ||
		    !is_same(fd, row->hook[i].spare, row->hook[i].spare_bytes))
			return false;
	return true;
}

bool findings_take(struct findings *findings, const struct findings_key *key, int fd,
		   struct elf_scan *ret_scan, enum tt_scan *ret_result)
{
	struct row **place = find(findings, key), *row = place ? *place : NULL;

	if (!row || !is_as_kept(row, fd))
		return false;
	row->used = ++findings->header.used;
	memset(ret_scan, 0, sizeof(*ret_scan));
	for (; ret_scan->count < row->hooks; ret_scan->count++) {
		const struct row_hook *hook = &row->hook[ret_scan->count];

		ret_scan->hooks[ret_scan->count] =
			(struct elf_hook){ hook->offset, hook->hook, hook->tls, hook->placed, hook->placed_as, hook->cookie,
					    hook->spare, hook->spare_as };
	}
	ret_scan->refused = row->refused;
	ret_scan->findings = row->findings;
	memcpy(ret_scan->finding, row->finding, sizeof(row->finding));
	*ret_result = row->result;
	return true;
}

/* Of this file, or a free one, or the one whose row was of use longest ago. */
static struct row **place_for(struct findings *f, const struct findings_key *key)
{
	struct row **place = find(f, key), **oldest = f->rows;

	if (place)
		return place;
	if (f->header.rows < FINDINGS_MAX)
		return &f->rows[f->header.rows++];
	for (size_t i = 1; i < FINDINGS_MAX; i++)
		if (f->rows[i]->used < (*oldest)->used)
			oldest = &f->rows[i];
	return oldest;
}

void findings_keep(struct findings *findings, const struct findings_key *key, int fd,
		   const struct elf_scan *scan, enum tt_scan result)
{
	const struct row head = { .key = *key, .result = result, .hooks = (uint32_t)scan->count,
				  .findings = (uint32_t)scan->findings, .refused = scan->refused };
	struct row *row, **place;

	if (result == TT_SCAN_BAD ||
	    (result == TT_SCAN_NONE && !scan->findings && key->size < FINDINGS_SEARCHED_BYTES))
		return;
	row = calloc(1, row_bytes(&head));
	if (!row)
		return;	/* it is searched again at the next start */
	memcpy(row, &head, sizeof(head));
	memcpy(row->finding, scan->finding, sizeof(row->finding));
	for (uint32_t i = 0; i < row->hooks; i++) {
		const struct elf_hook *hook = &scan->hooks[i];
		struct row_hook *to = &row->hook[i];

		to->offset = hook->offset;
		to->hook = (uint16_t)hook->hook;
		to->tls = (uint16_t)hook->tls;
		to->placed = hook->placed;
		to->placed_as = (uint16_t)hook->placed_as;
		to->cookie = hook->cookie;
		to->spare = hook->spare;
		to->spare_as = (uint16_t)hook->spare_as;
		if (!site_bytes(fd, to->offset, to->bytes) ||
		    !site_bytes(fd, to->placed, to->placed_bytes) ||
		    !site_bytes(fd, to->spare, to->spare_bytes)) {
			free(row);
			return;
		}
	}
	row->used = ++findings->header.used;
	place = place_for(findings, key);
	free(*place);
	*place = row;
	findings->changed = true;
}
