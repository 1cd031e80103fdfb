/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/utf8.h"

/* What the second byte may be, by the first. */
static void second_byte(unsigned char lead, unsigned char *ret_low, unsigned char *ret_high)
{
    *ret_low = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    *ret_high = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
}

static size_t length_by_lead(unsigned char lead)
{
    if (lead < 0x80) {
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4) {
        return 0;
    }
    return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

size_t utf8_length(struct str s)
{
    size_t len = length_by_lead((unsigned char)s.data[0]);
    unsigned char low, high;

    if (len > s.len) {
        return 0;
    }
    second_byte((unsigned char)s.data[0], &low, &high);
    for (size_t i = 1; i < len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c < low || c > high) {
            return 0;
        }
        low = 0x80;
        high = 0xbf;
    }
    return len;
}

bool utf8_is_valid(struct str s)
{
    while (s.len > 0) {
        size_t len = utf8_length(s);
        if (len == 0) {
            return false;
        }
        s = str_slice(s, len, s.len);
    }
    return true;
}

int32_t utf8_take(struct str *s)
{
    static const unsigned char lead_mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t len = utf8_length(*s);
    int32_t c = (unsigned char)s->data[0] & lead_mask[len];

    for (size_t i = 1; i < len; i++) {
        c = c << 6 | ((unsigned char)s->data[i] & 0x3f);
    }
    *s = str_slice(*s, len == 0 ? 1 : len, s->len);
    return c;
}

static char continuation(int32_t bits)
{
    return (char)(0x80 | (bits & 0x3f));
}

size_t utf8_put(char *out, int32_t c)
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        out[0] = (char)(0xc0 | c >> 6);
        out[1] = continuation(c);
        return 2;
    }
    if (c < 0x10000) {
        out[0] = (char)(0xe0 | c >> 12);
        out[1] = continuation(c >> 6);
        out[2] = continuation(c);
        return 3;
    }
    out[0] = (char)(0xf0 | c >> 18);
    out[1] = continuation(c >> 12);
    out[2] = continuation(c >> 6);
    out[3] = continuation(c);
    return 4;
}
