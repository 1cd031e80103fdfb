/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/count.h"

#include <string.h>

#include "pack/utf8.h"

/* ---- addresses ---- */

/* What the comma is inside of. */
struct nesting {
    bool quoted, angled;
    size_t comments;
};

static bool is_outside(const struct nesting *in)
{
    return !in->quoted && !in->angled && in->comments == 0;
}

static void enter_or_leave(struct nesting *in, char c)
{
    if (in->quoted) {
        in->quoted = c != '"';
    } else if (in->comments > 0) {
        in->comments += c == '(' ? 1 : 0;
        in->comments -= c == ')' ? 1 : 0;
    } else if (in->angled) {
        in->angled = c != '>';
    } else {
        in->quoted = c == '"';
        in->angled = c == '<';
        in->comments = c == '(';
    }
}

static int64_t count_char(struct str text, char c)
{
    int64_t count = 0;

    for (size_t i = 0; i < text.len; i++) {
        count += text.data[i] == c;
    }
    return count;
}

int64_t count_addresses(struct str text)
{
    struct nesting in = {false, false, 0};
    int64_t parts = 0, signs = count_char(text, '@');
    bool part = false;

    for (size_t i = 0; i < text.len; i++) {
        char c = text.data[i];
        if (c == ',' && is_outside(&in)) {
            part = false;
            continue;
        }
        if (!part && strchr(" \t\r\n", c) == NULL) {
            part = true;
            parts++;
        }
        if (c == '\\' && (in.quoted || in.comments > 0)) {
            i++;
            continue;
        }
        enter_or_leave(&in, c);
    }
    if (!is_outside(&in)) {
        parts = count_char(text, ',') + 1;
    }
    return parts > signs ? parts : signs;
}

/* ---- SMS ---- */

/* Beside ASCII. */
static const int32_t gsm_basic[] = {
    0xa1, 0xa3, 0xa4, 0xa5,  0xa7,  0xbf,  0xc4,  0xc5,  0xc6,  0xc7,  0xc9,  0xd1,  0xd6,
    0xd8, 0xdc, 0xdf, 0xe0,  0xe4,  0xe5,  0xe6,  0xe8,  0xe9,  0xec,  0xf1,  0xf2,  0xf6,
    0xf8, 0xf9, 0xfc, 0x393, 0x394, 0x398, 0x39b, 0x39e, 0x3a0, 0x3a3, 0x3a6, 0x3a8, 0x3a9,
};

/* How many of the units of GSM-7; 0 when it has no such character. */
static size_t gsm_units(int32_t c)
{
    if (c == 0x20ac || c == '\f' || (c > 0 && c < 0x80 && strchr("^{}\\[]~|", (int)c) != NULL)) {
        return 2;
    }
    if (c < 0x80) {
        return (c >= ' ' && c < 0x7f && c != '`') || c == '\n' || c == '\r' ? 1 : 0;
    }
    for (size_t i = 0; i < sizeof(gsm_basic) / sizeof(gsm_basic[0]); i++) {
        if (gsm_basic[i] == c) {
            return 1;
        }
    }
    return 0;
}

static size_t utf16_units(int32_t c)
{
    return c >= 0x10000 ? 2 : 1;
}

/* Segments by one of the two alphabets; 0 when a character is not in it. */
static int64_t segments_by(struct str text, size_t (*units)(int32_t c), size_t alone, size_t each)
{
    size_t total = 0, in_last = 0;
    int64_t segments = 1;

    while (text.len > 0) {
        size_t size = units(utf8_take(&text));
        if (size == 0) {
            return 0;
        }
        total += size;
        if (in_last + size > each) {
            segments++;
            in_last = 0;
        }
        in_last += size;
    }
    return total <= alone ? 1 : segments;
}

int64_t count_segments(struct str text)
{
    if (text.len == 0) {
        return 0;
    }
    int64_t gsm = segments_by(text, gsm_units, 160, 153);
    return gsm > 0 ? gsm : segments_by(text, utf16_units, 70, 67);
}
