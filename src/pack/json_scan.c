/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/json_scan.h"

#include <string.h>

#include "base/integer.h"
#include "pack/utf8.h"

_Static_assert(LIMIT_JSON_DEPTH <= 32, "json_scan.objects has a bit a level");

enum {
    EXPECT_VALUE,
    EXPECT_VALUE_OR_END, /* an array was opened */
    EXPECT_NAME,
    EXPECT_NAME_OR_END, /* an object was opened */
    EXPECT_COMMA_OR_END,
    EXPECT_NOTHING
};

enum {
    PROBES_MAX = 64,
    NUMBER_BYTES_MAX = 64,
    EXPONENT_MAX = 200, /* so that no number is near the end of the doubles */
};

void json_scan_begin(struct json_scan *scan, struct str body, struct arena *arena)
{
    *scan = (struct json_scan){.body = body, .arena = arena};
    scan->members = scan->few;
    scan->member_size = sizeof(scan->few) / sizeof(scan->few[0]);
}

static bool bad(struct json_scan *scan, enum scan_fault fault, const char *problem)
{
    scan->fault = fault;
    scan->problem = problem;
    return false;
}

static bool bad_syntax(struct json_scan *scan, const char *problem)
{
    return bad(scan, SCAN_FAULT_SYNTAX, problem);
}

/* A NUL is no part of JSON, so it can stand for the end. */
static char peek(const struct json_scan *scan)
{
    if (scan->at < scan->body.len) {
        return scan->body.data[scan->at];
    }
    return '\0';
}

static void skip_space(struct json_scan *scan)
{
    while (scan->at < scan->body.len) {
        char c = scan->body.data[scan->at];
        if (c != ' ' && c != '\n' && c != '\r' && c != '\t') {
            return;
        }
        scan->at++;
    }
}

/* ---- members ---- */

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 29;
}

/* Names with the same hash in one object count as the same name: one may be refused that need not
 * be, and none passes that must not.  So it needs no secret. */
static uint64_t member_hash(uint64_t object, struct str name)
{
    uint64_t hash = mix(object * UINT64_C(0x9e3779b97f4a7c15) + name.len);
    uint64_t word;

    while (name.len >= sizeof(word)) {
        memcpy(&word, name.data, sizeof(word));
        hash = mix(hash ^ word) + UINT64_C(0x9e3779b97f4a7c15);
        name = str_slice(name, sizeof(word), name.len);
    }
    word = 0;
    if (name.len > 0) {
        memcpy(&word, name.data, name.len);
    }
    hash = mix(mix(hash ^ word));
    return hash == 0 ? 1 : hash; /* 0 is a free slot */
}

/* Bounded, whatever hashes a stranger chose: a set that is at most half full needs this many probes
 * only when somebody arranged it. */
static bool insert(struct json_scan *scan, uint64_t hash)
{
    size_t mask = scan->member_size - 1;
    size_t slot = (size_t)hash & mask;

    for (size_t probe = 1; probe <= PROBES_MAX; probe++) {
        if (scan->members[slot] == 0) {
            scan->members[slot] = hash;
            return true;
        }
        if (scan->members[slot] == hash) {
            return bad(scan, SCAN_FAULT_DUPLICATE, "the same member twice in one object");
        }
        slot = (slot + probe) & mask;
    }
    return bad(scan, SCAN_FAULT_LIMIT, "member names made to look alike");
}

static bool grow(struct json_scan *scan)
{
    const uint64_t *old = scan->members;
    size_t old_size = scan->member_size;

    scan->member_size = old_size * 4;
    scan->members = arena_zeroed(scan->arena, scan->member_size, sizeof(*scan->members));
    for (size_t i = 0; i < old_size; i++) {
        if (old[i] != 0 && !insert(scan, old[i])) {
            return false;
        }
    }
    return true;
}

static bool add_member(struct json_scan *scan, struct str name)
{
    scan->name = name;
    if (scan->member_count >= SCAN_MEMBERS_MAX) {
        return bad(scan, SCAN_FAULT_LIMIT, "too many members");
    }
    if (scan->member_count >= scan->member_size / 2 && !grow(scan)) {
        return false;
    }
    scan->member_count++;
    return insert(scan, member_hash(scan->object[scan->depth - 1], name));
}

/* ---- texts ---- */

/* The four digits of a \u escape; -1 when they are not four hex digits. */
static int32_t hex4(struct str s)
{
    int32_t value = 0;

    if (s.len < 4) {
        return -1;
    }
    for (size_t i = 0; i < 4; i++) {
        int digit = ascii_hex_value(s.data[i]);
        if (digit < 0) {
            return -1;
        }
        value = value * 16 + digit;
    }
    return value;
}

static bool is_high_surrogate(int32_t unit)
{
    return unit >= 0xd800 && unit <= 0xdbff;
}

static bool is_low_surrogate(int32_t unit)
{
    return unit >= 0xdc00 && unit <= 0xdfff;
}

/* The character that the \u escape at the front of `s` stands for, with its second half if it has
 * one; 0 when there is none.  *ret_length: bytes of `s`. */
static int32_t unicode_escape(struct str s, size_t *ret_length)
{
    int32_t unit = s.len < 2 ? -1 : hex4(str_slice(s, 2, s.len));

    *ret_length = 6;
    if (unit <= 0 || is_low_surrogate(unit)) {
        return 0;
    }
    if (!is_high_surrogate(unit)) {
        return unit;
    }
    struct str second = str_slice(s, 6, s.len);
    int32_t low = str_starts(second, STR("\\u")) ? hex4(str_slice(second, 2, second.len)) : -1;
    *ret_length = 12;
    return is_low_surrogate(low) ? 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00) : 0;
}

/* Length of the escape at the front of `s`; 0 when it is none. */
static size_t escape_length(struct str s)
{
    size_t length = 2;

    if (s.len < 2) {
        return 0;
    }
    if (s.data[1] == 'u') {
        return unicode_escape(s, &length) == 0 ? 0 : length;
    }
    return strchr("\"\\/bfnrt", s.data[1]) != NULL && s.data[1] != '\0' ? length : 0;
}

static bool is_plain(char c)
{
    return (unsigned char)c >= 0x20 && (unsigned char)c < 0x80 && c != '"' && c != '\\';
}

/* Eight bytes at once: true when each is plain. */
static bool eight_plain(const char *at)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    uint64_t quote = word ^ (ones * '"'), backslash = word ^ (ones * '\\');
    uint64_t stop = (word - ones * 0x20) | (quote - ones) | (backslash - ones) | word;
    return (stop & tops) == 0;
}

/* Takes a text whose first quote is at `at`. */
static bool take_text(struct json_scan *scan, struct str *ret_raw, bool *ret_escaped)
{
    struct str body = scan->body;
    size_t from = scan->at + 1, at = from;

    *ret_escaped = false;
    for (;;) {
        while (body.len - at >= 8 && eight_plain(body.data + at)) {
            at += 8;
        }
        while (at < body.len && is_plain(body.data[at])) {
            at++;
        }
        if (at >= body.len) {
            return bad_syntax(scan, "a text without its end");
        }
        unsigned char c = (unsigned char)body.data[at];
        size_t length = 1;
        if (c == '"') {
            break;
        }
        if (c < 0x20) {
            return bad_syntax(scan, "a control character in a text");
        }
        if (c == '\\') {
            length = escape_length(str_slice(body, at, body.len));
            *ret_escaped = true;
        } else if (c >= 0x80) {
            length = utf8_length(str_slice(body, at, body.len));
        }
        if (length == 0) {
            return bad_syntax(scan, c == '\\' ? "a bad escape" : "a text that is not UTF-8");
        }
        at += length;
    }
    *ret_raw = str_slice(body, from, at);
    scan->at = at + 1;
    return true;
}

static char short_escape(char c)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *hit = strchr(from, c);

    if (hit == NULL) {
        return c;
    }
    return to[hit - from];
}

/* `raw` has passed take_text(). */
static struct str unescape(struct arena *arena, struct str raw)
{
    char *out = arena_zeroed(arena, raw.len + 1, 1); /* an escape is longer than its character */
    size_t len = 0;

    for (size_t at = 0; at < raw.len;) {
        if (raw.data[at] != '\\') {
            out[len++] = raw.data[at++];
        } else if (raw.data[at + 1] == 'u') {
            size_t length;
            len += utf8_put(out + len, unicode_escape(str_slice(raw, at, raw.len), &length));
            at += length;
        } else {
            out[len++] = short_escape(raw.data[at + 1]);
            at += 2;
        }
    }
    return (struct str){out, len};
}

struct str json_scan_text(const struct json_scan *scan, const struct json_token *token)
{
    return token->escaped ? unescape(scan->arena, token->text) : token->text;
}

/* ---- numbers ---- */

/* Digits at `at`; how many there were. */
static size_t take_digits(struct json_scan *scan)
{
    size_t from = scan->at;

    while (ascii_is_digit(peek(scan))) {
        scan->at++;
    }
    return scan->at - from;
}

static bool take_fraction(struct json_scan *scan)
{
    if (peek(scan) == '.') {
        scan->at++;
        if (take_digits(scan) == 0) {
            return bad_syntax(scan, "a number without a digit after its point");
        }
    }
    if (peek(scan) != 'e' && peek(scan) != 'E') {
        return true;
    }
    scan->at++;
    if (peek(scan) == '+' || peek(scan) == '-') {
        scan->at++;
    }
    size_t from = scan->at;
    if (take_digits(scan) == 0) {
        return bad_syntax(scan, "a number without an exponent");
    }
    uint64_t exponent = 0;
    for (size_t i = from; i < scan->at && exponent <= EXPONENT_MAX; i++) {
        exponent = exponent * 10 + (uint64_t)(scan->body.data[i] - '0');
    }
    return exponent <= EXPONENT_MAX || bad(scan, SCAN_FAULT_NUMBER, "a number too large or small");
}

static bool to_i64(struct str text, int64_t *ret)
{
    bool negative = text.data[0] == '-';
    int64_t value = 0;

    for (size_t i = negative ? 1 : 0; i < text.len; i++) {
        int64_t digit = text.data[i] - '0';
        if (value > INT64_MAX / 10 || !int_add(value * 10, digit, &value)) {
            return false;
        }
    }
    *ret = negative ? -value : value;
    return true;
}

static bool take_number(struct json_scan *scan, struct json_token *ret)
{
    size_t from = scan->at;

    if (peek(scan) == '-') {
        scan->at++;
    }
    bool zero = peek(scan) == '0';
    if (zero) {
        scan->at++;
    } else if (take_digits(scan) == 0) {
        return bad_syntax(scan, "a value that is none");
    }
    size_t whole_end = scan->at;
    if (!take_fraction(scan)) {
        return false;
    }
    ret->text = str_slice(scan->body, from, scan->at);
    if (ret->text.len > NUMBER_BYTES_MAX) {
        return bad(scan, SCAN_FAULT_NUMBER, "a number too long");
    }
    bool plain = scan->at == whole_end && !(zero && ret->text.data[0] == '-');
    ret->kind = plain ? SCAN_INTEGER : SCAN_NUMBER;
    if (plain && !to_i64(ret->text, &ret->number)) {
        return bad(scan, SCAN_FAULT_NUMBER, "an integer too large");
    }
    return true;
}

/* ---- grammar ---- */

static bool take_word(struct json_scan *scan, struct str word, enum scan_kind kind,
                      struct json_token *ret)
{
    if (!str_starts(str_slice(scan->body, scan->at, scan->body.len), word)) {
        return bad_syntax(scan, "a value that is none");
    }
    scan->at += word.len;
    ret->kind = kind;
    return true;
}

static bool in_object(const struct json_scan *scan)
{
    return scan->depth > 0 && (scan->objects >> (scan->depth - 1) & 1) != 0;
}

static void after_value(struct json_scan *scan)
{
    scan->expect = scan->depth == 0 ? EXPECT_NOTHING : EXPECT_COMMA_OR_END;
}

static bool open_level(struct json_scan *scan, bool object, struct json_token *ret)
{
    if (scan->depth == LIMIT_JSON_DEPTH) {
        return bad(scan, SCAN_FAULT_LIMIT, "too deep");
    }
    uint32_t bit = UINT32_C(1) << scan->depth;
    scan->objects = object ? scan->objects | bit : scan->objects & ~bit;
    scan->object[scan->depth++] = object ? ++scan->object_seen : 0;
    scan->at++;
    scan->expect = object ? EXPECT_NAME_OR_END : EXPECT_VALUE_OR_END;
    ret->kind = object ? SCAN_OBJECT : SCAN_ARRAY;
    return true;
}

static bool close_level(struct json_scan *scan, struct json_token *ret)
{
    ret->kind = in_object(scan) ? SCAN_OBJECT_END : SCAN_ARRAY_END;
    scan->depth--;
    scan->at++;
    after_value(scan);
    return true;
}

static bool take_scalar(struct json_scan *scan, struct json_token *ret)
{
    switch (peek(scan)) {
    case '"':
        ret->kind = SCAN_TEXT;
        return take_text(scan, &ret->text, &ret->escaped);
    case 't':
        return take_word(scan, STR("true"), SCAN_TRUE, ret);
    case 'f':
        return take_word(scan, STR("false"), SCAN_FALSE, ret);
    case 'n':
        return take_word(scan, STR("null"), SCAN_NULL, ret);
    default:
        return take_number(scan, ret);
    }
}

static bool take_value(struct json_scan *scan, struct json_token *ret)
{
    char c = peek(scan);

    if (c == '{' || c == '[') {
        return open_level(scan, c == '{', ret);
    }
    if (scan->depth == 0) {
        return bad_syntax(scan, "neither an object nor an array");
    }
    if (!take_scalar(scan, ret)) {
        return false;
    }
    after_value(scan);
    return true;
}

static bool take_name(struct json_scan *scan, struct json_token *ret)
{
    if (peek(scan) != '"') {
        return bad_syntax(scan, "a member without a name");
    }
    ret->kind = SCAN_NAME;
    if (!take_text(scan, &ret->text, &ret->escaped)) {
        return false;
    }
    ret->text = json_scan_text(scan, ret);
    skip_space(scan);
    if (peek(scan) != ':') {
        return bad_syntax(scan, "a member without a colon");
    }
    scan->at++;
    scan->expect = EXPECT_VALUE;
    return add_member(scan, ret->text);
}

static bool take_end(struct json_scan *scan, struct json_token *ret)
{
    if (scan->at < scan->body.len) {
        return bad_syntax(scan, "something behind the end");
    }
    ret->kind = SCAN_END;
    return true;
}

static bool take_token(struct json_scan *scan, struct json_token *ret)
{
    skip_space(scan);
    if (scan->expect == EXPECT_COMMA_OR_END && peek(scan) == ',') {
        scan->at++;
        scan->expect = in_object(scan) ? EXPECT_NAME : EXPECT_VALUE;
        skip_space(scan);
    }
    switch (scan->expect) {
    case EXPECT_COMMA_OR_END:
        return peek(scan) == (in_object(scan) ? '}' : ']')
                   ? close_level(scan, ret)
                   : bad_syntax(scan, "no comma and no end");
    case EXPECT_VALUE_OR_END:
        return peek(scan) == ']' ? close_level(scan, ret) : take_value(scan, ret);
    case EXPECT_NAME_OR_END:
        return peek(scan) == '}' ? close_level(scan, ret) : take_name(scan, ret);
    case EXPECT_NAME:
        return take_name(scan, ret);
    case EXPECT_VALUE:
        return take_value(scan, ret);
    default:
        return take_end(scan, ret);
    }
}

bool json_scan_next(struct json_scan *scan, struct json_token *ret)
{
    *ret = (struct json_token){.kind = SCAN_BAD};
    if (scan->problem != NULL) {
        return false;
    }
    if (!take_token(scan, ret)) {
        ret->kind = SCAN_BAD;
    }
    return ret->kind != SCAN_BAD && ret->kind != SCAN_END;
}
