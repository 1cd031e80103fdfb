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

/* CRC-32 of ISO 3309 (zlib's), four bits a step: a table of one cache line. */
static uint32_t crc32_of(struct str text)
{
    static const uint32_t steps[16] = {
        0x00000000, 0x1db71064, 0x3b6e20c8, 0x26d930ac, 0x76dc4190, 0x6b6b51f4,
        0x4db26158, 0x5005713c, 0xedb88320, 0xf00f9344, 0xd6d6a3e8, 0xcb61b38c,
        0x9b64c2b0, 0x86d3d2d4, 0xa00ae278, 0xbdbdf21c,
    };
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < text.len; i++) {
        crc ^= (unsigned char)text.data[i];
        crc = crc >> 4 ^ steps[crc & 15];
        crc = crc >> 4 ^ steps[crc & 15];
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

static struct token make(const char *prefix)
{
    struct token token = {""};
    size_t len = strlen(prefix);

    assert(len + RANDOM_CHARS + CHECK_CHARS < sizeof(token.text));
    memcpy(token.text, prefix, len);
    write_random(token.text + len, RANDOM_CHARS);
    write_checksum(str_of(token.text, len + RANDOM_CHARS), token.text + len + RANDOM_CHARS);
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
    return make(by_style[style][live_mode ? 1 : 0]);
}

struct token token_make_operator(void)
{
    return make("kbo_");
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

/* Names are no secrets, so that their randomness may be fetched for many at once. */
static unsigned char next_byte(void)
{
    static unsigned char pool[1024];
    static size_t left;

    if (left == 0) {
        random_bytes(pool, sizeof(pool));
        left = sizeof(pool);
    }
    return pool[--left];
}

struct token name_make(const char *prefix)
{
    struct token token = {""};
    size_t len = strlen(prefix);

    assert(len + NAME_CHARS < sizeof(token.text));
    memcpy(token.text, prefix, len);
    for (size_t i = len; i < len + NAME_CHARS;) {
        unsigned char byte = next_byte();
        if (byte < 256 / BASE * BASE) {
            token.text[i++] = digits[byte % BASE];
        }
    }
    return token;
}

bool name_check(struct str text, const char *prefix)
{
    return has_form(text, prefix, NAME_CHARS);
}
