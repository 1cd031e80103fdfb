/* SPDX-License-Identifier: Apache-2.0 */
/*
 * utf8: is it (RFC 3629: no overlong form, no surrogate, nothing above U+10FFFF), and what is in
 * it.
 */
#ifndef PACK_UTF8_H
#define PACK_UTF8_H

#include "base/str.h"

/* Length of the character at the front of `s`, which is not empty; 0 when it is none. */
size_t utf8_length(struct str s);
bool utf8_is_valid(struct str s);

/* Takes the character off the front of *s, which is valid and not empty. */
int32_t utf8_take(struct str *s);

/* Writes a character; returns how many bytes, at most 4. */
size_t utf8_put(char *out, int32_t c);

#endif
