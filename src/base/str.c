/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <string.h>

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

struct str str_trim(struct str s)
{
    while (s.len > 0 && is_blank(s.data[0])) {
        s.data++;
        s.len--;
    }
    while (s.len > 0 && is_blank(s.data[s.len - 1])) {
        s.len--;
    }
    return s;
}

bool str_equal_nocase(struct str a, struct str b)
{
    if (a.len != b.len) {
        return false;
    }
    for (size_t i = 0; i < a.len; i++) {
        if (ascii_lower(a.data[i]) != ascii_lower(b.data[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && str_equal(str_slice(s, 0, prefix.len), prefix);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.len >= suffix.len && str_equal(str_slice(s, s.len - suffix.len, s.len), suffix);
}

bool str_has(struct str s, struct str part)
{
    if (part.len == 0) {
        return true;
    }
    return s.len >= part.len && memmem(s.data, s.len, part.data, part.len) != NULL;
}

int str_compare(struct str a, struct str b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common == 0 ? 0 : memcmp(a.data, b.data, common);

    if (order != 0) {
        return order;
    }
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t str_index(struct str s, char c, size_t from)
{
    if (from >= s.len) {
        return s.len;
    }
    const char *hit = memchr(s.data + from, c, s.len - from);
    return hit == NULL ? s.len : (size_t)(hit - s.data);
}

struct str str_take_until(struct str *s, char separator)
{
    size_t end = str_index(*s, separator, 0);
    struct str taken = str_slice(*s, 0, end);

    *s = str_slice(*s, end + 1, s->len);
    return taken;
}

bool str_to_u64(struct str s, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0 || (s.len > 1 && s.data[0] == '0')) {
        return false;
    }
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit(s.data[i])) {
            return false;
        }
        uint64_t digit = (uint64_t)(s.data[i] - '0');
        if (value > (UINT64_MAX - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    *ret_value = value;
    return true;
}

bool str_to_size(struct str s, uint64_t *ret_bytes)
{
    unsigned shift = 0;
    uint64_t number;

    if (s.len > 0 && !ascii_is_digit(s.data[s.len - 1])) {
        char unit = ascii_lower(s.data[s.len - 1]);
        shift = unit == 'k' ? 10 : unit == 'm' ? 20 : unit == 'g' ? 30 : 64;
        s = str_slice(s, 0, s.len - 1);
    }
    if (shift == 64 || !str_to_u64(s, &number) || number > (UINT64_MAX >> 1) >> shift) {
        return false;
    }
    *ret_bytes = number << shift;
    return true;
}

int ascii_hex_value(char c)
{
    if (ascii_is_digit(c)) {
        return c - '0';
    }
    c = ascii_lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}
