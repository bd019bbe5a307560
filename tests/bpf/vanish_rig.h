/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A text whose page another thread takes out of the page tables again and again. The kernel's own copies bring it
 * back; BPF programs may not, and find it there or not.
 */
#ifndef TT_TESTS_VANISH_RIG_H
#define TT_TESTS_VANISH_RIG_H

#include "sensor_rig.h"

#include <pthread.h>

#define VANISH_SIZE 4096
#define VANISH_ASKED 5000	/* requests at most, ... */
#define VANISH_LOST 100		/* ... until so many reads have failed */

static struct {
	char *page;
	pthread_t thread;
	volatile bool stop;
} vanish;

static void *vanish_on(void *unused)
{
	struct sched_param first = { .sched_priority = 1 };

	/* However busy the machine is, or the page would stay for as long as the other thread runs. Where it may not, it
	 * takes its turns. */
	pthread_setschedparam(pthread_self(), SCHED_RR, &first);
	while (!vanish.stop)
		madvise(vanish.page, VANISH_SIZE, MADV_DONTNEED);	/* if it fails, so will the test */
	return NULL;
}

/* Where the text is from now on: it comes and goes until vanish_stop(). */
static const char *vanish_begin(const char *text)
{
	int file = memfd_create("vanish", MFD_CLOEXEC);
	size_t size = strlen(text) + 1;

	assert_true(file >= 0 && size <= VANISH_SIZE);
	assert_int_equal(write(file, text, size), size);
	assert_int_equal(ftruncate(file, VANISH_SIZE), 0);
	vanish.page = mmap(NULL, VANISH_SIZE, PROT_READ, MAP_PRIVATE, file, 0);
	assert_true(vanish.page != MAP_FAILED);
	close(file);
	vanish.stop = false;
	assert_int_equal(pthread_create(&vanish.thread, NULL, vanish_on, NULL), 0);
	return vanish.page;
}

static void vanish_stop(void)
{
	vanish.stop = true;
	assert_int_equal(pthread_join(vanish.thread, NULL), 0);
}

/* Requests of this process that were reported from the end that sent them. */
static size_t vanish_sent(struct rig *r)
{
	size_t n = 0;

	rig_collect(r);
	for (size_t i = 0; i < r->uses; i++)
		n += r->use[i].dir == TT_DIR_EGRESS;
	return n;
}

/*
 * What a program could send and nobody else read is counted, be it a connection's first request or a later one, and
 * what comes then is read. `exchange` sends the text and has it received and answered, `reconnect` begins a new
 * connection.
 */
static void vanish_test(struct rig *r, const char *text, void (*reconnect)(void), void (*exchange)(const char *request))
{
	const char *request = vanish_begin(text);
	uint64_t before = rig_dropped(r, TT_DROP_user_fault), lost = 0;
	size_t asked = 0, sent;

	while (asked < VANISH_ASKED && lost < VANISH_LOST) {
		reconnect();
		for (int i = 0; i < 10; i++, asked++)
			exchange(request);
		lost = rig_dropped(r, TT_DROP_user_fault) - before;
	}
	vanish_stop();
	sent = vanish_sent(r);
	assert_true(lost >= VANISH_LOST);
	assert_true(sent + lost >= asked);
	assert_int_equal(r->uses - sent, asked);	/* the other end's */
	rig_clear(r);
	exchange(request);
	assert_int_equal(vanish_sent(r), 1);
	assert_int_equal(munmap(vanish.page, VANISH_SIZE), 0);
}

#endif
