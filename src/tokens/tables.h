/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The arrays that tables.awk makes at build time. Only class.c reads them: everybody else asks by
 * id, which is the row counted from 1.
 */
#ifndef TT_TOKENS_TABLES_H
#define TT_TOKENS_TABLES_H

#include "tokens/class.h"

#define CARRIER_NAME_MAX 48

extern const struct token_class token_classes[];
extern const size_t token_classes_count;
extern const uint16_t token_told[];	/* ids of those with told_of */
extern const size_t token_told_count;
extern const struct carrier token_carriers[];
extern const size_t token_carriers_count;
extern const struct scheme token_schemes[];
extern const size_t token_schemes_count;

#endif
