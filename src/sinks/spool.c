/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The spool: segments in order of their numbers, of which the last is written to; the state file;
 * and the records that wait in memory while the disk takes no writes.
 */
#include "sinks/spool.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include <zlib.h>

#include "sinks/spool_frame.h"
#include "sinks/spool_segment.h"

#define STATE_MAGIC 0x31535454U /* "TTS1" */
#define SEGMENT_MIN (16U << 10)
#define SEGMENT_MAX (8U << 20)
/* Even a tiny file takes a block, and this bounds how many there are. */
#define SEGMENT_COST 4096
#define BOOT_ID_LEN 36
/* More than a spool can hold, so nothing lost is numbered again. */
#define REBOOT_JUMP (1ULL << 32)

struct state {
	uint32_t magic;
	uint32_t crc;	     /* of everything behind it */
	uint64_t generation; /* the higher of two sound slots counts */
	uint64_t id;
	uint64_t low, handed, next, since_ms;
	char boot[BOOT_ID_LEN + 4];
};
_Static_assert(sizeof(struct state) == 96, "a spool on disk has this layout");
#define STATE_CRC_FROM offsetof(struct state, generation)

struct held {
	struct held *later;
	uint64_t seq;
	size_t len;
	uint8_t frame[];
};

struct spool {
	int dir, state_fd;
	int write_fd; /* of the last segment; negative: not open */
	int read_fd;  /* of the segment whose first number is read_first */
	uint64_t read_first;
	struct state state;
	bool dirty; /* state differs from the file */
	struct segment *segments;
	size_t count, room;
	uint64_t max_bytes, segment_bytes;
	struct held *held, **held_tail;
	size_t held_bytes;
	uint64_t held_count;
	uint64_t dropped, corrupt;
	int write_error;
	uint8_t *frame; /* the last record read, and the one being written */
	size_t frame_room;
};

/* ---- state ---- */

static uint32_t state_crc(const struct state *st)
{
	return (uint32_t)crc32(0, (const uint8_t *)st + STATE_CRC_FROM,
			       sizeof(*st) - STATE_CRC_FROM);
}

static int write_at(int fd, const void *bytes, size_t len, uint64_t offset)
{
	ssize_t n;

	do {
		n = pwrite(fd, bytes, len, (off_t)offset);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == len ? 0 : -ENOSPC;
}

static int state_write(struct spool *s)
{
	struct state st = s->state;
	int r;

	st.magic = STATE_MAGIC;
	st.generation++;
	st.crc = state_crc(&st);
	/* The slot that is older: the other one stays sound if this write is cut short. */
	r = write_at(s->state_fd, &st, sizeof(st), st.generation % 2 * sizeof(st));
	s->write_error = -r;
	if (r < 0)
		return r;
	s->state = st;
	s->dirty = false;
	return 0;
}

static bool state_read(struct spool *s)
{
	struct state st;
	bool found = false;
	int i;

	for (i = 0; i < 2; i++) {
		if (pread(s->state_fd, &st, sizeof(st), i * (off_t)sizeof(st)) != sizeof(st))
			continue;
		if (st.magic != STATE_MAGIC || st.crc != state_crc(&st))
			continue;
		if (found && st.generation < s->state.generation)
			continue;
		s->state = st;
		found = true;
	}
	return found;
}

static void boot_id(char ret_boot[static BOOT_ID_LEN])
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

	if (fd < 0 || read(fd, ret_boot, BOOT_ID_LEN) != BOOT_ID_LEN)
		memset(ret_boot, 0, BOOT_ID_LEN); /* not known: taken for another boot */
}

/* ---- segments ---- */

static struct segment *last_segment(const struct spool *s)
{
	return s->count ? &s->segments[s->count - 1] : NULL;
}

static struct segment *insert_segment(struct spool *s, const struct segment *g)
{
	size_t i, room = s->room ? s->room * 2 : 16;
	struct segment *more;

	if (s->count == s->room) {
		more = reallocarray(s->segments, room, sizeof(*more));
		if (!more)
			return NULL;
		s->segments = more;
		s->room = room;
	}
	for (i = s->count; i > 0 && s->segments[i - 1].first > g->first; i--)
		;
	memmove(&s->segments[i + 1], &s->segments[i], (s->count - i) * sizeof(*g));
	s->segments[i] = *g;
	s->count++;
	return &s->segments[i];
}

static void close_fd(int *fd)
{
	closep(fd);
	*fd = -EBADF;
}

static void remove_segment(struct spool *s, size_t i)
{
	char name[SEGMENT_NAME_LEN];

	if (i == s->count - 1)
		close_fd(&s->write_fd);
	if (s->read_first == s->segments[i].first)
		close_fd(&s->read_fd);
	segment_name(s->segments[i].first, name);
	if (unlinkat(s->dir, name, 0) < 0)
		s->write_error = errno;
	segment_done(&s->segments[i]);
	s->count--;
	memmove(&s->segments[i], &s->segments[i + 1], (s->count - i) * sizeof(s->segments[0]));
}

static uint64_t disk_bytes(const struct spool *s)
{
	uint64_t sum = 0, n;
	size_t i;

	for (i = 0; i < s->count; i++) {
		n = s->segments[i].bytes;
		sum += n < SEGMENT_COST ? SEGMENT_COST : n;
	}
	return sum;
}

/* Records that were handed over may be on their way: others go first where there are any. */
static bool drop_oldest(struct spool *s)
{
	size_t i;

	if (s->count < 2)
		return false;
	for (i = 0; i < s->count - 1; i++)
		if (s->segments[i].first > s->state.handed)
			break;
	if (i == s->count - 1)
		i = 0;
	s->dropped += s->segments[i].waiting;
	remove_segment(s, i);
	return true;
}

static int load_segments(struct spool *s)
{
	struct segment g;
	struct dirent *e;
	uint64_t first;
	DIR *d;
	int fd, r = 0;

	fd = openat(s->dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	d = fdopendir(fd);
	if (!d) {
		r = -errno;
		close(fd);
		return r;
	}
	while (r == 0 && (errno = 0, e = readdir(d))) {
		if (segment_name_parse(e->d_name, &first) < 0)
			continue;
		r = segment_load(s->dir, first, s->state.low, &g);
		if (r == 0 && !insert_segment(s, &g)) {
			segment_done(&g);
			r = -ENOMEM;
		}
		/* A file that can't be read holds at least one record; its numbers are not used
		 * again. */
		if (r == -EIO || r == -EINVAL || r == -EACCES || r == -ELOOP) {
			s->corrupt++;
			if (s->state.next < first + REBOOT_JUMP)
				s->state.next = first + REBOOT_JUMP;
			r = 0;
		}
	}
	if (r == 0 && errno)
		r = -errno;
	closedir(d);
	return r;
}

/* Drops what is done, adds up what is damaged; the last segment stays for writing. */
static void tidy_segments(struct spool *s)
{
	size_t i = 0;

	while (i < s->count) {
		s->corrupt += s->segments[i].lost;
		s->segments[i].lost = 0;
		if (s->segments[i].waiting || i == s->count - 1)
			i++;
		else
			remove_segment(s, i);
	}
}

/* ---- open and close ---- */

static int lock(int fd)
{
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EAGAIN || errno == EACCES ? -EBUSY : -errno;
}

/* Without a state every record may have been handed over; the numbering's id is in the segments. */
static int state_rebuild(struct spool *s)
{
	size_t i;

	for (i = s->count; i-- > 0 && !s->state.id;)
		s->state.id = s->segments[i].id;
	while (!s->state.id)
		if (getrandom(&s->state.id, sizeof(s->state.id), 0) < 0 && errno != EINTR)
			return -errno;
	return 0;
}

static int state_settle(struct spool *s, bool known)
{
	const struct segment *g = last_segment(s);
	uint64_t end = g ? g->first + g->count : 1;
	struct state *st = &s->state;
	struct spool_record oldest;
	char boot[BOOT_ID_LEN];
	bool same;
	int r;

	boot_id(boot);
	same = known && *boot && memcmp(boot, st->boot, BOOT_ID_LEN) == 0;
	if (!known) {
		r = state_rebuild(s);
		if (r < 0)
			return r;
	}
	if (st->next < st->handed + 1)
		st->next = st->handed + 1;
	if (st->next < end)
		st->next = end;
	if (same)
		return 0;

	/* After a power cut the files may be older than what was sent. */
	memcpy(st->boot, boot, BOOT_ID_LEN);
	if (g) {
		st->handed = end - 1 > st->handed ? end - 1 : st->handed;
		if (spool_next(s, 0, &oldest) == 0)
			st->since_ms = oldest.time_ns / 1000000;
	}
	if (known || g)
		st->next += REBOOT_JUMP;
	return 0;
}

static int attach(struct spool *s, const char *path)
{
	bool known;
	int r;

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	s->dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (s->dir < 0)
		return -errno;
	s->state_fd = openat(s->dir, "state", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (s->state_fd < 0)
		return -errno;
	r = lock(s->state_fd);
	if (r < 0)
		return r;
	known = state_read(s);
	r = load_segments(s);
	if (r < 0)
		return r;
	tidy_segments(s);
	r = state_settle(s, known);
	if (r < 0)
		return r;
	/* A disk without room must not keep the sensor from starting; spool_hand() insists later.
	 */
	r = state_write(s);
	return r == -ENOSPC || r == -EDQUOT ? 0 : r;
}

int spool_open(const char *dir, uint64_t max_bytes, struct spool **ret_spool)
{
	_cleanup_(spool_closep) struct spool *s = NULL;
	int r;

	s = calloc(1, sizeof(*s));
	if (!s)
		return -ENOMEM;
	s->dir = s->state_fd = s->write_fd = s->read_fd = -EBADF;
	s->held_tail = &s->held;
	s->max_bytes = max_bytes;
	s->segment_bytes = max_bytes / 8;
	if (s->segment_bytes < SEGMENT_MIN)
		s->segment_bytes = SEGMENT_MIN;
	if (s->segment_bytes > SEGMENT_MAX)
		s->segment_bytes = SEGMENT_MAX;
	r = attach(s, dir);
	if (r < 0) {
		close_fd(&s->state_fd); /* what could not be read is not overwritten either */
		return r;
	}
	*ret_spool = TAKE_PTR(s);
	return 0;
}

void spool_close(struct spool *s)
{
	struct held *h;
	size_t i;

	if (!s)
		return;
	if (s->state_fd >= 0) {
		(void)spool_retry(s);
		(void)spool_save(s);
	}
	while ((h = s->held)) {
		s->held = h->later;
		free(h);
	}
	for (i = 0; i < s->count; i++)
		segment_done(&s->segments[i]);
	free(s->segments);
	free(s->frame);
	close_fd(&s->write_fd);
	close_fd(&s->read_fd);
	close_fd(&s->state_fd);
	close_fd(&s->dir);
	free(s);
}

/* ---- writing ---- */

static int new_segment(struct spool *s, uint64_t first)
{
	struct segment g = {
		.first = first, .bytes = sizeof(struct segment_head), .id = s->state.id};
	struct segment_head h = {.magic = SEGMENT_MAGIC, .id = s->state.id};
	char name[SEGMENT_NAME_LEN];
	_cleanup_close_ int fd = -EBADF;
	int r;

	segment_name(first, name);
	fd = openat(s->dir, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	r = write_at(fd, &h, sizeof(h), 0);
	if (r == 0 && !insert_segment(s, &g))
		r = -ENOMEM;
	if (r < 0) {
		unlinkat(s->dir, name, 0);
		return r;
	}
	close_fd(&s->write_fd);
	s->write_fd = TAKE_FD(fd);
	return 0;
}

/* The segment that record `seq` of so many bytes goes to, opened for writing. */
static int writable_segment(struct spool *s, uint64_t seq, size_t len)
{
	struct segment *g = last_segment(s);
	char name[SEGMENT_NAME_LEN];
	int r;

	while (disk_bytes(s) + len > s->max_bytes && drop_oldest(s))
		;
	g = last_segment(s);
	if (!g || g->first + g->count != seq || g->bytes + len > s->segment_bytes) {
		r = new_segment(s, seq);
		if (r < 0)
			return r;
		if (s->count > 1 && !s->segments[s->count - 2].waiting)
			remove_segment(s, s->count - 2);
		return 0;
	}
	if (s->write_fd >= 0)
		return 0;
	segment_name(g->first, name);
	s->write_fd = openat(s->dir, name, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
	return s->write_fd < 0 ? -errno : 0;
}

static int write_frame(struct spool *s, uint64_t seq, const uint8_t *frame, size_t len)
{
	struct segment *g;
	int r;

	r = writable_segment(s, seq, len);
	if (r < 0)
		goto out;
	g = last_segment(s);
	r = segment_reserve(g);
	if (r < 0)
		goto out;
	r = write_at(s->write_fd, frame, len, g->bytes);
	if (r < 0) {
		/* Half a frame would do no harm (the next write covers it), but it takes room. */
		if (ftruncate(s->write_fd, (off_t)g->bytes) < 0)
			close_fd(&s->write_fd);
		/* A full disk that is full of what is done: make room, so that the next try works.
		 */
		if (!g->waiting && g->count)
			remove_segment(s, s->count - 1);
		goto out;
	}
	segment_note(g, (uint32_t)g->bytes);
	g->bytes += len;
out:
	s->write_error = -r;
	return r;
}

static int hold(struct spool *s, uint64_t seq, const uint8_t *frame, size_t len)
{
	struct held *h = NULL;

	if (s->held_bytes + len <= SPOOL_HELD_MAX)
		h = malloc(sizeof(*h) + len);
	if (!h) {
		s->dropped++;
		return -ENOSPC;
	}
	*h = (struct held){.seq = seq, .len = len};
	memcpy(h->frame, frame, len);
	*s->held_tail = h;
	s->held_tail = &h->later;
	s->held_bytes += len;
	s->held_count++;
	return 0;
}

static void unhold(struct spool *s, struct held **at)
{
	struct held *h = *at;

	*at = h->later;
	if (s->held_tail == &h->later)
		s->held_tail = at;
	s->held_bytes -= h->len;
	s->held_count--;
	free(h);
}

int spool_retry(struct spool *s)
{
	int r;

	while (s->held) {
		r = write_frame(s, s->held->seq, s->held->frame, s->held->len);
		if (r < 0)
			return r;
		unhold(s, &s->held);
	}
	return 0;
}

static int frame_room(struct spool *s, size_t len)
{
	uint8_t *more;

	if (len <= s->frame_room)
		return 0;
	more = realloc(s->frame, len);
	if (!more)
		return -ENOMEM;
	s->frame = more;
	s->frame_room = len;
	return 0;
}

int spool_append(struct spool *s, const char *topic, const void *key, size_t key_len,
		 const void *payload, size_t payload_len, uint64_t time_ns)
{
	uint64_t seq = s->state.next;
	size_t len;
	int r;

	r = frame_size(topic, key_len, payload_len, &len);
	if (r < 0)
		return r;
	r = frame_room(s, len);
	if (r < 0) {
		s->dropped++;
		return r;
	}
	frame_build(s->frame, seq, time_ns, topic, key, key_len, payload, payload_len);
	/* In order: behind what waits in memory, which spool_retry() writes out. */
	if (s->held || write_frame(s, seq, s->frame, len) < 0) {
		r = hold(s, seq, s->frame, len);
		if (r < 0)
			return r;
	}
	s->state.next = seq + 1;
	return 0;
}

/* ---- reading and acknowledging ---- */

static int read_frame(struct spool *s, const struct segment *g, uint64_t seq,
		      struct spool_record *ret_record)
{
	uint32_t at = g->at[seq - g->first];
	char name[SEGMENT_NAME_LEN];
	struct frame_head h;
	size_t len;
	int r;

	if (s->read_fd < 0 || s->read_first != g->first) {
		close_fd(&s->read_fd);
		segment_name(g->first, name);
		s->read_fd = openat(s->dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		if (s->read_fd < 0)
			return -errno;
		s->read_first = g->first;
	}
	if (pread(s->read_fd, &h, sizeof(h), at) != sizeof(h))
		return -EIO;
	len = frame_len(&h);
	if (!len)
		return -EBADMSG;
	r = frame_room(s, len);
	if (r < 0)
		return r;
	if (pread(s->read_fd, s->frame, len, at) != (ssize_t)len)
		return -EIO;
	if (frame_parse(s->frame, len, ret_record) != len || ret_record->seq != seq)
		return -EBADMSG;
	return 0;
}

int spool_next(struct spool *s, uint64_t from, struct spool_record *ret_record)
{
	struct segment *g;
	struct held *h;
	uint64_t seq;
	size_t i;
	int r;

	for (i = 0; i < s->count; i++) {
		g = &s->segments[i];
		while ((seq = segment_seek(g, from))) {
			r = read_frame(s, g, seq, ret_record);
			if (r == 0 || r == -ENOMEM || r == -EMFILE || r == -ENFILE)
				return r;
			/* Damaged since it was loaded, or its file is gone: nothing brings it back.
			 */
			segment_ack(g, seq);
			s->corrupt++;
		}
	}
	for (h = s->held; h; h = h->later) {
		if (h->seq >= from)
			return frame_parse(h->frame, h->len, ret_record) ? 0 : -EBADMSG;
	}
	return -ENOENT;
}

void spool_ack(struct spool *s, uint64_t seq)
{
	struct held **h;
	size_t i;

	s->dirty = true;
	for (i = s->count; i-- > 0;) {
		if (s->segments[i].first > seq)
			continue;
		segment_ack(&s->segments[i], seq);
		/* The last one stays: it is being written to. */
		if (!s->segments[i].waiting && i < s->count - 1)
			remove_segment(s, i);
		break;
	}
	for (h = &s->held; *h; h = &(*h)->later) {
		if ((*h)->seq == seq) {
			unhold(s, h);
			break;
		}
	}
}

static uint64_t low_mark(const struct spool *s)
{
	uint64_t seq;
	size_t i;

	for (i = 0; i < s->count; i++) {
		seq = segment_seek(&s->segments[i], 0);
		if (seq)
			return seq;
	}
	return s->held ? s->held->seq : s->state.next;
}

int spool_hand(struct spool *s, uint64_t upto, uint64_t since_ms)
{
	uint64_t handed = s->state.handed, since = s->state.since_ms;
	int r;

	s->state.low = low_mark(s);
	s->state.handed = upto;
	s->state.since_ms = since_ms;
	r = state_write(s);
	if (r < 0) {
		s->state.handed = handed;
		s->state.since_ms = since;
	}
	return r;
}

int spool_save(struct spool *s)
{
	if (!s->dirty)
		return 0;
	s->state.low = low_mark(s);
	return state_write(s);
}

void spool_stat(const struct spool *s, struct spool_stat *ret_stat)
{
	struct spool_stat st = {
		.id = s->state.id,
		.low = low_mark(s),
		.handed = s->state.handed,
		.next = s->state.next,
		.since_ms = s->state.since_ms,
		.waiting = s->held_count,
		.bytes = disk_bytes(s),
		.held = s->held_count,
		.dropped = s->dropped,
		.corrupt = s->corrupt,
		.write_error = s->write_error,
	};
	size_t i;

	for (i = 0; i < s->count; i++)
		st.waiting += s->segments[i].waiting;
	*ret_stat = st;
}
