/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What this kernel and these privileges allow, found by trying and never by a version number.
 * Used by the monitor to pick variants and by `tokentrail doctor`. Leaves nothing behind.
 */
#ifndef TT_MONITOR_KERNEL_H
#define TT_MONITOR_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#define KERNEL_BTF "/sys/kernel/btf/vmlinux"
#define KERNEL_UPROBE_MULTI 48 /* BPF_TRACE_UPROBE_MULTI, linux/bpf.h since 6.6 */

/* Each returns 0 (works) or the negative errno of the attempt. */
int kernel_try_bpf(void);  /* load a program of two instructions */
int kernel_try_ring(void); /* make a ring buffer map (5.8) */
int kernel_try_btf(void);  /* read the kernel's own types */
int kernel_try_raw_tracepoint(const char *name);
int kernel_try_uprobe(void); /* a probe on a function of this very program */
int kernel_try_uprobe_multi(void);
int kernel_try_cookie(void);	   /* a probe's program is told where it stands, 5.15 (kernel commit 7adfc6c9b315) */
int kernel_try_perf_events(void); /* exec and mapping events of the whole machine */

/* "none", "integrity", "confidentiality", or "" where the kernel does not say. */
void kernel_lockdown(char *to, unsigned int size);

/* One uprobe_multi link: the probes of one program on `count` offsets of the file open as fd, and what
 * bpf_get_attach_cookie() says at each (NULL: nothing).
 * Returns a descriptor (closing it detaches) or a negative errno. */
int kernel_uprobe_multi(int program, int fd, const uint64_t *offsets, const uint64_t *cookies, uint32_t count,
			bool on_return);

#endif
