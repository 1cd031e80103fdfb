/* SPDX-License-Identifier: Apache-2.0 */
#include "base/integer.h"

bool int_add(int64_t a, int64_t b, int64_t *ret)
{
    int64_t sum;

    if (__builtin_add_overflow(a, b, &sum)) {
        return false;
    }
    *ret = sum;
    return true;
}

bool int_sub(int64_t a, int64_t b, int64_t *ret)
{
    int64_t difference;

    if (__builtin_sub_overflow(a, b, &difference)) {
        return false;
    }
    *ret = difference;
    return true;
}

bool int_mul_div_up(int64_t a, int64_t b, int64_t c, int64_t *ret)
{
    __extension__ typedef __int128 wide;

    if (a < 0 || b < 0 || c <= 0) {
        return false;
    }
    wide result = ((wide)a * b + (c - 1)) / c;
    if (result > INT64_MAX) {
        return false;
    }
    *ret = (int64_t)result;
    return true;
}

bool int_parse_decimal(struct str text, unsigned decimals, int64_t *ret)
{
    struct str rest = text;
    struct str whole = str_take_until(&rest, '.');
    bool has_point = whole.len < text.len;
    int64_t value = 0;

    if (whole.len == 0 || (has_point && (rest.len == 0 || rest.len > decimals))) {
        return false;
    }
    for (size_t i = 0; i < whole.len + decimals; i++) {
        char c = '0';
        if (i < whole.len) {
            c = whole.data[i];
        } else if (i - whole.len < rest.len) {
            c = rest.data[i - whole.len];
        }
        if (!ascii_is_digit(c) || __builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, c - '0', &value)) {
            return false;
        }
    }
    *ret = value;
    return true;
}
