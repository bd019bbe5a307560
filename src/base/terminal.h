/* SPDX-License-Identifier: Apache-2.0 */
/* Control sequences of ECMA-48 terminals that more than one process writes. */
#ifndef TT_BASE_TERMINAL_H
#define TT_BASE_TERMINAL_H

/* Gives the terminal back: plain colours, line wrap, cursor, the screen that was there before. */
#define TERMINAL_LEAVE "\033[0m\033[?7h\033[?25h\033[?1049l"

#endif
