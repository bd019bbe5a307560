/* SPDX-License-Identifier: Apache-2.0 */
/* What public identifiers say. */
#ifndef TT_TOKENS_PUBLIC_H
#define TT_TOKENS_PUBLIC_H

/*
 * The account of an AWS access key id (AKIA..., ASIA..., 20 characters): it is computed from its 16 last.
 * Keys made before about 2019 may say otherwise. "" where the text is no such id.
 */
void public_aws_account(const char *key_id, char ret_account[static 13]);

#endif
