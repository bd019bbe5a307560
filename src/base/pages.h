/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory that this process has resident and will hardly need again. Knows nothing of tokentrail.
 */
#ifndef TT_BASE_PAGES_H
#define TT_BASE_PAGES_H

/*
 * Gives back pages of the program and its libraries that nobody has written to, and what malloc keeps free: half of what
 * is resident after a start was touched by the dynamic linker and by libraries setting themselves up. A page that
 * is needed again comes back from the page cache. To be called where memory falls out of use for good, not in a loop.
 */
void pages_give_back(void);

/* Blocks of 128 KiB and more go back at once when they are freed; malloc would raise that limit with each. */
void pages_keep_blocks_apart(void);

#endif
