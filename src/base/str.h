/* SPDX-License-Identifier: Apache-2.0 */
/*
 * str: text to read, as a pointer and a length.  Borrowed, never owned, and not NUL-terminated.
 */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *data; /* may be NULL when len is 0 */
    size_t len;
};

#define STR(literal) ((struct str){"" literal "", sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For "%.*s". */
#define STR_FMT(s) (int)(s).len, (s).len == 0 ? "" : (s).data

/* NULL is empty. */
static inline struct str str_from(const char *text)
{
    return (struct str){text, text == NULL ? 0 : strlen(text)};
}

static inline struct str str_of(const void *data, size_t len)
{
    return (struct str){data, len};
}

/* Both ends are cut to the length. */
static inline struct str str_slice(struct str s, size_t from, size_t to)
{
    if (to > s.len) {
        to = s.len;
    }
    if (from > to) {
        from = to;
    }
    return s.len == 0 ? STR_NONE : (struct str){s.data + from, to - from};
}

struct str str_trim(struct str s); /* SP and HTAB at both ends */

static inline bool str_equal(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

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
bool str_to_size(struct str s, uint64_t *ret_bytes); /* "512M", "2g", "65536" */

static inline char ascii_lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_alpha(char c)
{
    c = ascii_lower(c);
    return c >= 'a' && c <= 'z';
}

int ascii_hex_value(char c); /* -1 when not a hex digit */

#endif
