/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

#include <string.h>

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

bool hex_encode(struct buf *out, struct str bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.len; i++) {
        unsigned char c = (unsigned char)bytes.data[i];
        (void)buf_add_char(out, digits[c >> 4]);
        (void)buf_add_char(out, digits[c & 15]);
    }
    return !out->overflow;
}

bool hex_decode(struct str text, unsigned char *out, size_t out_size)
{
    if (text.len != out_size * 2) {
        return false;
    }
    for (size_t i = 0; i < out_size; i++) {
        int high = ascii_hex_value(text.data[2 * i]);
        int low = ascii_hex_value(text.data[2 * i + 1]);
        if (high < 0 || low < 0) {
            return false;
        }
        out[i] = (unsigned char)(high << 4 | low);
    }
    return true;
}

static bool encode64(struct buf *out, struct str bytes, const char *digits, bool pad)
{
    const unsigned char *in = (const unsigned char *)bytes.data;

    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t left = bytes.len - i;
        uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
                         (left > 2 ? in[i + 2] : 0);
        size_t used = left > 2 ? 4 : left + 1;
        for (size_t k = 0; k < 4; k++) {
            if (k < used) {
                (void)buf_add_char(out, digits[group >> (18 - 6 * k) & 63]);
            } else if (pad) {
                (void)buf_add_char(out, '=');
            }
        }
    }
    return !out->overflow;
}

bool base64_encode(struct buf *out, struct str bytes)
{
    return encode64(out, bytes, base64_digits, true);
}

bool base64url_encode(struct buf *out, struct str bytes)
{
    return encode64(out, bytes, base64url_digits, false);
}

/* The digits' values, from '+' on; -1: not a digit. */
static const signed char values64['z' - '+' + 1] = {
    62, -1, -1, -1, 63, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1,
    -1, -1, 0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15, 16, 17,
    18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1, -1, 26, 27, 28, 29, 30, 31,
    32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51};

static inline int value64(char c)
{
    return c < '+' || c > 'z' ? -1 : values64[c - '+'];
}

bool base64_decode(struct buf *out, struct str text)
{
    if (text.len % 4 != 0) {
        return false;
    }
    size_t padding = text.len == 0 || text.data[text.len - 1] != '=' ? 0
                     : text.data[text.len - 2] == '='                ? 2
                                                                     : 1;
    size_t len = text.len / 4 * 3 - padding;
    unsigned char *at = len == 0 ? NULL : buf_room(out, len);
    if (at == NULL) {
        return len == 0;
    }
    for (size_t i = 0; i < text.len; i += 4) {
        uint32_t group = 0;
        size_t digits = i + 4 == text.len ? 4 - padding : 4;
        for (size_t k = 0; k < digits; k++) {
            int value = value64(text.data[i + k]);
            if (value < 0) {
                return false;
            }
            group |= (uint32_t)value << (18 - 6 * k);
        }
        /* Bits that no byte takes must be zero, or two texts would mean the same bytes. */
        if ((digits == 2 && (group & 0xffff) != 0) || (digits == 3 && (group & 0xff) != 0)) {
            return false;
        }
        for (size_t k = 0; k + 1 < digits; k++) {
            *at++ = (unsigned char)(group >> (16 - 8 * k));
        }
    }
    buf_added(out, len);
    return true;
}
