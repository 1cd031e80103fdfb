/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plain.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pack/utf8.h"

enum { ESCAPE_BYTES = 6 };

static bool is_plain(int32_t c)
{
    static const struct {
        int32_t from, to;
    } bad[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0x061c, 0x061c}, {0x200e, 0x200f},
        {0x2028, 0x202e}, {0x2066, 0x2069}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (c >= bad[i].from && c <= bad[i].to) {
            return false;
        }
    }
    return true;
}

void plain_text(char *text)
{
    struct str rest = str_from(text);
    char *out = text;

    while (rest.len > 0) {
        struct str here = rest;
        size_t len = utf8_length(rest);
        bool plain = is_plain(utf8_take(&rest)) && len > 0;
        if (plain) {
            memmove(out, here.data, len);
        } else {
            *out = '?';
        }
        out += plain ? len : 1;
    }
    *out = '\0';
}

char *plain_json(const json_t *value, size_t flags)
{
    char *dump = json_dumps(value, flags | JSON_ENCODE_ANY);

    if (dump == NULL) {
        return mem_copy_str(STR("null"));
    }
    struct str rest = str_from(dump);
    char *text = mem_zeroed(rest.len * ESCAPE_BYTES + 1);
    char *out = text;
    while (rest.len > 0) {
        struct str here = rest;
        size_t len = utf8_length(rest);
        int32_t c = utf8_take(&rest);
        if (c == '\n' || (len > 0 && is_plain(c))) { /* line ends are the dump's own */
            memcpy(out, here.data, len);
            out += len;
        } else {
            out += snprintf(out, ESCAPE_BYTES + 1, "\\u%04x", (unsigned)c & 0xffff);
        }
    }
    free(dump);
    return text;
}
