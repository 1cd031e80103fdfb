/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/token.h"

#include <assert.h>
#include <string.h>

#include "base/digest.h"

enum { RANDOM_CHARS = 32, CHECK_CHARS = 6, NAME_CHARS = 16, HINT_CHARS = 4, BASE = 62 };

static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

static const struct {
    const char *prefix;
    enum token_kind kind;
} prefixes[] = {
    {"vk_", TOKEN_KIND_VAULT_KEY},         {"sk_test_vk_", TOKEN_KIND_VAULT_KEY},
    {"sk_live_vk_", TOKEN_KIND_VAULT_KEY}, {"rk_test_vk_", TOKEN_KIND_VAULT_KEY},
    {"rk_live_vk_", TOKEN_KIND_VAULT_KEY}, {"kbo_", TOKEN_KIND_OPERATOR},
};

static bool is_digit62(char c)
{
    return ascii_is_digit(c) || ascii_is_alpha(c);
}

/* CRC-32 of ISO 3309 (zlib's), bit by bit: 70 bytes need no table. */
static uint32_t crc32_of(struct str text)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < text.len; i++) {
        crc ^= (unsigned char)text.data[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            crc = (crc & 1) != 0 ? crc >> 1 ^ UINT32_C(0xedb88320) : crc >> 1;
        }
    }
    return ~crc;
}

static void write_checksum(struct str before, char *out)
{
    uint32_t crc = crc32_of(before);

    for (size_t i = CHECK_CHARS; i > 0; i--) {
        out[i - 1] = digits[crc % BASE];
        crc /= BASE;
    }
}

/* Bytes from 248 on are thrown away, or the first 8 characters would come more often. */
static void write_random(char *out, size_t count)
{
    unsigned char pool[64];
    size_t at = sizeof(pool);

    for (size_t i = 0; i < count;) {
        if (at == sizeof(pool)) {
            random_bytes(pool, sizeof(pool));
            at = 0;
        }
        unsigned char byte = pool[at++];
        if (byte < 256 / BASE * BASE) {
            out[i++] = digits[byte % BASE];
        }
    }
    explicit_bzero(pool, sizeof(pool));
}

static struct token make(const char *prefix, size_t random_chars, size_t check_chars)
{
    struct token token = {""};
    size_t len = strlen(prefix);

    assert(len + random_chars + check_chars < sizeof(token.text));
    memcpy(token.text, prefix, len);
    write_random(token.text + len, random_chars);
    if (check_chars > 0) {
        write_checksum(str_of(token.text, len + random_chars), token.text + len + random_chars);
    }
    return token;
}

struct token token_make(enum token_style style, bool live_mode)
{
    static const char *const by_style[TOKEN_STYLE_COUNT][2] = {
        [TOKEN_VK] = {"vk_", "vk_"},
        [TOKEN_SK] = {"sk_test_vk_", "sk_live_vk_"},
        [TOKEN_RK] = {"rk_test_vk_", "rk_live_vk_"},
    };

    assert(style < TOKEN_STYLE_COUNT);
    return make(by_style[style][live_mode ? 1 : 0], RANDOM_CHARS, CHECK_CHARS);
}

struct token token_make_operator(void)
{
    return make("kbo_", RANDOM_CHARS, CHECK_CHARS);
}

static bool has_form(struct str text, const char *prefix, size_t chars)
{
    size_t len = strlen(prefix);

    if (text.len != len + chars || !str_starts(text, str_from(prefix))) {
        return false;
    }
    for (size_t i = len; i < text.len; i++) {
        if (!is_digit62(text.data[i])) {
            return false;
        }
    }
    return true;
}

enum token_kind token_kind(struct str text)
{
    char checksum[CHECK_CHARS];

    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
        if (!has_form(text, prefixes[i].prefix, RANDOM_CHARS + CHECK_CHARS)) {
            continue;
        }
        size_t before = text.len - CHECK_CHARS;
        write_checksum(str_slice(text, 0, before), checksum);
        return memcmp(checksum, text.data + before, CHECK_CHARS) == 0 ? prefixes[i].kind
                                                                      : TOKEN_KIND_NONE;
    }
    return TOKEN_KIND_NONE;
}

bool token_check(struct str text)
{
    return token_kind(text) == TOKEN_KIND_VAULT_KEY;
}

struct str token_hint(struct str token)
{
    return str_slice(token, token.len > HINT_CHARS ? token.len - HINT_CHARS : 0, token.len);
}

struct token name_make(const char *prefix)
{
    return make(prefix, NAME_CHARS, 0);
}

bool name_check(struct str text, const char *prefix)
{
    return has_form(text, prefix, NAME_CHARS);
}
