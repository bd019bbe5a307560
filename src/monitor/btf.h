/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernel describes all its types (BTF, Documentation/bpf/btf.rst): 6 MiB and more, of which libbpf
 * holds two copies while it looks for a dozen structs. What our programs ask for is taken out of it here, by
 * a window of a few pages, as a file that libbpf is given instead.
 */
#ifndef TT_MONITOR_BTF_H
#define TT_MONITOR_BTF_H

#include <stddef.h>

/*
 * Of the types in the file open as `from`: the structs, unions, enums and typedefs that have a name that stands in
 * `ours` (BTF, raw), with all that they consist of. Members are those whose name stands there too, at
 * their offsets, and those without a name; what a pointer points to is left out. That is enough to relocate
 * accesses to members, their existence and sizes and enumerators; not to compare whole types.
 *
 * They are written to `to`, an empty file. -EBADMSG: one of both is no BTF that we know; another negative errno.
 */
int btf_extract(int from, const void *ours, size_t len, int to);

#endif
