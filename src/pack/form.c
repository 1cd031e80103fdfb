/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/form.h"

#include <string.h>

#include "pack/utf8.h"

void form_begin(struct form_scan *scan, struct str text, struct arena *arena)
{
    /* What is decoded is never longer than what it comes from; a fold has one '/' more than its
     * name at most, and the pair's separator makes up for that. */
    *scan = (struct form_scan){.rest = text, .room = arena_zeroed(arena, 2 * text.len + 2, 1)};
}

static bool bad(struct form_scan *scan, const char *problem)
{
    scan->problem = problem;
    return false;
}

static struct str take_room(struct form_scan *scan, size_t len)
{
    struct str taken = {scan->room, len};

    scan->room += len;
    return taken;
}

/* What stands for one byte at the front of `raw`; -1 when it is a bad escape. */
static int decode_one(struct str raw, size_t *ret_length)
{
    *ret_length = 1;
    if (raw.data[0] == '+') {
        return ' ';
    }
    if (raw.data[0] != '%') {
        return (unsigned char)raw.data[0];
    }
    int high = raw.len < 3 ? -1 : ascii_hex_value(raw.data[1]);
    int low = raw.len < 3 ? -1 : ascii_hex_value(raw.data[2]);
    *ret_length = 3;
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool decode(struct form_scan *scan, struct str raw, struct str *ret)
{
    size_t len = 0;

    while (raw.len > 0) {
        size_t length;
        int c = decode_one(raw, &length);
        if (c < 0) {
            return bad(scan, "bad percent-encoding");
        }
        scan->room[len++] = (char)c;
        raw = str_slice(raw, length, raw.len);
    }
    *ret = take_room(scan, len);
    return true;
}

/* ---- names ---- */

static bool is_bracket(char c)
{
    return c == '[' || c == ']';
}

static bool is_dropped(char c)
{
    return c == '_' || c == '-' || c == '.' || c == ' ';
}

static bool is_index(struct str part)
{
    for (size_t i = 0; i < part.len; i++) {
        if (!ascii_is_digit(part.data[i]) && !is_dropped(part.data[i])) {
            return false;
        }
    }
    return true;
}

static size_t write_part(struct str part, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < part.len; i++) {
        if (!is_dropped(part.data[i])) {
            out[1 + len++] = ascii_lower(part.data[i]);
        }
    }
    if (len == 0) {
        return 0;
    }
    out[0] = '/';
    return 1 + len;
}

/* At most name.len + 1 bytes. */
static size_t write_fold(struct str name, char *out)
{
    size_t len = 0;

    for (size_t at = 0; at < name.len;) {
        size_t from = at;
        while (at < name.len && !is_bracket(name.data[at])) {
            at++;
        }
        struct str part = str_slice(name, from, at);
        at++;
        if (from == 0 || !is_index(part)) {
            len += write_part(part, out + len);
        }
    }
    return len;
}

struct str form_fold(struct str name, struct arena *arena)
{
    char *out = arena_zeroed(arena, name.len + 1, 1);

    return (struct str){out, write_fold(name, out)};
}

bool form_fold_within(struct str a, struct str b)
{
    struct str outer = a.len < b.len ? a : b, inner = a.len < b.len ? b : a;

    return outer.len < inner.len && str_starts(inner, outer) && inner.data[outer.len] == '/';
}

/* A name as the SDKs write it: a, a[b], a[0][b], a[]; the brackets may be encoded. */
static bool is_plain(struct str raw, struct str name)
{
    bool open = false;

    for (size_t i = 0; i < raw.len; i++) {
        struct str three = str_slice(raw, i, i + 3);
        if (raw.data[i] == '+' || (raw.data[i] == '%' && !str_equal_nocase(three, STR("%5b")) &&
                                   !str_equal_nocase(three, STR("%5d")))) {
            return false;
        }
    }
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        bool after_part = i > 0 && name.data[i - 1] == ']';
        if (c == ' ') {
            return false;
        }
        if ((c == '[' && (open || i == 0)) || (c == ']' && !open) || (c != '[' && after_part)) {
            return false;
        }
        open = c == '[' || (open && c != ']');
    }
    return !open;
}

/* ---- pairs ---- */

static bool has_control(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if ((unsigned char)text.data[i] < 0x20 || text.data[i] == 0x7f) {
            return true;
        }
    }
    return false;
}

static const char *raw_problem(struct str pair)
{
    if (str_index(pair, ';', 0) < pair.len) {
        return "a ';' that is not percent-encoded";
    }
    return has_control(pair) ? "a control character" : NULL;
}

static bool take_pair(struct form_scan *scan, struct str text, struct form_pair *ret)
{
    struct str raw = str_take_until(&text, '=');
    struct str value = text;

    if (!decode(scan, raw, &ret->name) || !decode(scan, value, &ret->value)) {
        return false;
    }
    if (!utf8_is_valid(ret->name) || has_control(ret->name)) {
        return bad(scan, "a name with a control character, or not UTF-8");
    }
    ret->plain = is_plain(raw, ret->name);
    ret->fold = take_room(scan, write_fold(ret->name, scan->room));
    return true;
}

bool form_next(struct form_scan *scan, struct form_pair *ret)
{
    struct str pair = STR_NONE;

    while (pair.len == 0 && scan->rest.len > 0) {
        pair = str_take_until(&scan->rest, '&');
    }
    if (pair.len == 0 || scan->problem != NULL) {
        return false;
    }
    if (++scan->pairs > FORM_PAIRS_MAX) {
        scan->too_many = true;
        return bad(scan, "too many pairs");
    }
    *ret = (struct form_pair){.has_value = str_index(pair, '=', 0) < pair.len};
    const char *problem = raw_problem(pair);
    return problem == NULL ? take_pair(scan, pair, ret) : bad(scan, problem);
}
