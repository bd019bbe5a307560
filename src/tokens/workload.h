/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a process belongs to: a workload of Kubernetes, a container, a unit of systemd, a person's session,
 * or only its executable and user. Made once per container or the like (enrich/workload.c) and shared
 * by all uses of it, so it is counted how many hold it; one thread only. Texts are valid UTF-8 without
 * control characters; "" = not known.
 */
#ifndef TT_TOKENS_WORKLOAD_H
#define TT_TOKENS_WORKLOAD_H

#include <stdbool.h>
#include <stdint.h>

enum confidence { CONFIDENCE_NONE, CONFIDENCE_LOW, CONFIDENCE_MEDIUM, CONFIDENCE_HIGH };

struct workload {
	unsigned int holders;
	unsigned int version;		/* counts what was learned after it was made */
	char kind[16];			/* Deployment, StatefulSet, DaemonSet, Job, Pod, container, unit,
					 * human, executable */
	char name[256];
	enum confidence confidence;	/* of kind and name */
	char namespace[64], pod[256], service_account[256];	/* of Kubernetes */
	char container_name[128];
	char container_id[65];
	char unit[128];			/* of systemd */
	char executable[256];		/* with `user`: of kinds human and executable */
	int64_t user;			/* -1: not known, or of several */
	char team[128], team_key[80];	/* whose it is by its own labels or annotations, and by which */
	char evidence[768];		/* a line each */
};

/* One holder, all empty, user -1. NULL: out of memory. */
struct workload *workload_new(void);
struct workload *workload_hold(struct workload *w);	/* NULL stays NULL */
void workload_drop(struct workload *w);			/* NULL is fine */

/* Are both the same workload, be it other pods or containers of it? */
bool workload_same(const struct workload *a, const struct workload *b);

/* Is it something that makes pods, not a pod by itself? */
bool workload_has_controller(const struct workload *w);

/* Adds a line of evidence; one that does not fit is left out. */
void workload_prove(struct workload *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

const char *confidence_name(enum confidence c);	/* "low", "medium", "high"; "" */

#endif
