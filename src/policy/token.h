/* SPDX-License-Identifier: Apache-2.0 */
/*
 * token: the secrets that keybrake itself hands out, and the names of things.
 *
 *     vk_ 32 characters, 6 of checksum             a vault key
 *     sk_test_vk_...  rk_live_vk_...               the same, for clients that look at the prefix
 *     kbo_ 32 characters, 6 of checksum            an operator's token
 *     key_ 16 characters, req_ 16 characters       names; not secret
 *
 * Characters are 0-9, A-Z, a-z (5.95 bits each, drawn evenly).  The checksum is the CRC-32 of all
 * that is before it, so that a scanner knows our tokens from noise without asking us.
 */
#ifndef POLICY_TOKEN_H
#define POLICY_TOKEN_H

#include "base/str.h"
#include "policy/policy.h"

enum { TOKEN_SIZE = 64 };

struct token {
    char text[TOKEN_SIZE]; /* NUL-terminated */
};

struct token token_make(enum token_style style, bool live_mode);
struct token token_make_operator(void);

enum token_kind { TOKEN_KIND_NONE, TOKEN_KIND_VAULT_KEY, TOKEN_KIND_OPERATOR };

/* What `text` is by its form and checksum. */
enum token_kind token_kind(struct str text);
bool token_check(struct str text); /* a vault key's token */

struct str token_hint(struct str token); /* the last 4 characters, for people */

/* `prefix` ("key_", "req_") and 16 characters. */
struct token name_make(const char *prefix);
bool name_check(struct str text, const char *prefix);

#endif
