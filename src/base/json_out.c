/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_out.h"

#include <inttypes.h>

struct json_out json_begin(struct buf *buf)
{
    return (struct json_out){.buf = buf};
}

static void before_value(struct json_out *out)
{
    if (out->comma) {
        (void)buf_add_char(out->buf, ',');
    }
    out->comma = true;
}

void json_open(struct json_out *out, char bracket)
{
    before_value(out);
    (void)buf_add_char(out->buf, bracket);
    out->comma = false;
}

void json_close(struct json_out *out, char bracket)
{
    (void)buf_add_char(out->buf, bracket);
    out->comma = true;
}

void json_name_str(struct json_out *out, struct str name)
{
    json_text(out, name);
    (void)buf_add_char(out->buf, ':');
    out->comma = false;
}

void json_name(struct json_out *out, const char *name)
{
    json_name_str(out, str_from(name));
}

/* Length of the well-formed UTF-8 sequence at the front (RFC 3629); 0 when there is none. */
static size_t utf8_length(struct str s)
{
    const unsigned char *b = (const unsigned char *)s.data;
    size_t len = b[0] < 0x80                   ? 1
                 : b[0] >= 0xc2 && b[0] < 0xe0 ? 2
                 : b[0] >= 0xe0 && b[0] < 0xf0 ? 3
                 : b[0] >= 0xf0 && b[0] < 0xf5 ? 4
                                               : 0;

    if (len == 0 || len > s.len) {
        return 0;
    }
    for (size_t i = 1; i < len; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    bool overlong = (b[0] == 0xe0 && b[1] < 0xa0) || (b[0] == 0xf0 && b[1] < 0x90);
    bool surrogate = b[0] == 0xed && b[1] >= 0xa0;
    bool too_high = b[0] == 0xf4 && b[1] >= 0x90;
    return overlong || surrogate || too_high ? 0 : len;
}

static void escape_ascii(struct buf *buf, char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char plain[] = "\"\\\b\f\n\r\t";
    static const char letter[] = "\"\\bfnrt";

    for (size_t i = 0; i < sizeof(plain) - 1; i++) {
        if (c == plain[i]) {
            (void)buf_add_char(buf, '\\');
            (void)buf_add_char(buf, letter[i]);
            return;
        }
    }
    if ((unsigned char)c < 0x20 || c == 0x7f) {
        (void)buf_add_str(buf, STR("\\u00"));
        (void)buf_add_char(buf, hex[(unsigned char)c >> 4]);
        (void)buf_add_char(buf, hex[(unsigned char)c & 15]);
        return;
    }
    (void)buf_add_char(buf, c);
}

void json_escape(struct buf *buf, struct str text)
{
    while (text.len > 0) {
        size_t len = utf8_length(text);
        if (len == 0) {
            (void)buf_add_str(buf, STR("\xef\xbf\xbd"));
            len = 1;
        } else if (len == 1) {
            escape_ascii(buf, text.data[0]);
        } else {
            (void)buf_add(buf, text.data, len);
        }
        text = str_slice(text, len, text.len);
    }
}

void json_text(struct json_out *out, struct str text)
{
    before_value(out);
    (void)buf_add_char(out->buf, '"');
    json_escape(out->buf, text);
    (void)buf_add_char(out->buf, '"');
}

void json_text_or_null(struct json_out *out, struct str text)
{
    if (text.len == 0) {
        json_put_null(out);
    } else {
        json_text(out, text);
    }
}

void json_u64(struct json_out *out, uint64_t value)
{
    before_value(out);
    (void)buf_add_u64(out->buf, value);
}

void json_i64(struct json_out *out, int64_t value)
{
    before_value(out);
    (void)buf_addf(out->buf, "%" PRId64, value);
}

void json_bool(struct json_out *out, bool value)
{
    before_value(out);
    (void)buf_add_str(out->buf, value ? STR("true") : STR("false"));
}

void json_put_null(struct json_out *out)
{
    before_value(out);
    (void)buf_add_str(out->buf, STR("null"));
}

void json_member(struct json_out *out, const char *name, struct str text)
{
    json_name(out, name);
    json_text_or_null(out, text);
}

void json_member_u64(struct json_out *out, const char *name, uint64_t value)
{
    json_name(out, name);
    json_u64(out, value);
}

void json_member_i64(struct json_out *out, const char *name, int64_t value)
{
    json_name(out, name);
    json_i64(out, value);
}

void json_member_bool(struct json_out *out, const char *name, bool value)
{
    json_name(out, name);
    json_bool(out, value);
}

void json_raw(struct json_out *out, struct str json)
{
    before_value(out);
    (void)buf_add_str(out->buf, json);
}
