/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str: text to read, as a pointer and a length.  Borrowed, never owned, and not NUL-terminated.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct str {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

#define STR(literal) ((struct str){"" literal "", sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For "%.*s". */
#define STR_FMT(s) (int)(s).len, (s).len == 0 ? "" : (s).data

struct str str_from(const char *text); /* NULL is empty */
struct str str_of(const void *data, size_t len);
struct str str_slice(struct str s, size_t from, size_t to); /* both are cut to the length */
struct str str_trim(struct str s);                          /* SP and HTAB at both ends */

bool str_equal(struct str a, struct str b);
bool str_equal_nocase(struct str a, struct str b); /* ASCII only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
bool str_has(struct str s, struct str part);
int str_compare(struct str a, struct str b); /* bytewise, shorter first */

/* Offset of the first `c` at or after `from`; s.len when there is none. */
size_t str_index(struct str s, char c, size_t from);

/* Takes the text up to `separator` off the front of *s; the separator goes too.  When there is no
 * separator, takes all. */
struct str str_take_until(struct str *s, char separator);

/* The whole of `s` as a decimal number: digits only, no sign, no leading zero but "0". */
bool str_to_u64(struct str s, uint64_t *ret_value);

char ascii_lower(char c);
bool ascii_is_digit(char c);
bool ascii_is_alpha(char c);
int ascii_hex_value(char c); /* -1 when not a hex digit */

#endif
