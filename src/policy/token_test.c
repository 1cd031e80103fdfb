/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/token.h"

#include <string.h>

#include "base/digest.h"
#include "base/test.h"

static void test_made_tokens_check(void)
{
    static const struct {
        enum token_style style;
        bool live;
        const char *prefix;
    } cases[] = {
        {TOKEN_VK, true, "vk_"},         {TOKEN_VK, false, "vk_"},
        {TOKEN_SK, true, "sk_live_vk_"}, {TOKEN_SK, false, "sk_test_vk_"},
        {TOKEN_RK, true, "rk_live_vk_"}, {TOKEN_RK, false, "rk_test_vk_"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct token token = token_make(cases[i].style, cases[i].live);
        struct token other = token_make(cases[i].style, cases[i].live);
        struct str text = str_from(token.text);
        CHECK_CASE(str_starts(text, str_from(cases[i].prefix)), token.text);
        CHECK_CASE(text.len == strlen(cases[i].prefix) + 38, token.text);
        CHECK_CASE(token_check(text), token.text);
        CHECK_CASE(token_kind(text) == TOKEN_KIND_VAULT_KEY, token.text);
        CHECK_CASE(strcmp(token.text, other.text) != 0, token.text);
        CHECK_CASE(token_hint(text).len == 4, token.text);
    }
    struct token operator_token = token_make_operator();
    CHECK(token_kind(str_from(operator_token.text)) == TOKEN_KIND_OPERATOR);
    CHECK(!token_check(str_from(operator_token.text)));
}

static void test_every_changed_character_is_seen(void)
{
    struct token token = token_make(TOKEN_RK, false);
    size_t len = strlen(token.text);

    for (size_t i = 0; i < len; i++) {
        struct token changed = token;
        changed.text[i] = changed.text[i] == 'a' ? 'b' : 'a';
        CHECK_CASE(!token_check(str_from(changed.text)), changed.text);
    }
    CHECK(!token_check(str_of(token.text, len - 1)));
    CHECK(!token_check(str_of(token.text + 1, len - 1)));
}

/* The checksums were computed with zlib. */
static void test_known_tokens(void)
{
    static const struct {
        enum token_kind kind;
        const char *text;
    } cases[] = {
        {TOKEN_KIND_VAULT_KEY, "vk_0000000000000000000000000000000049wGMy"},
        {TOKEN_KIND_VAULT_KEY, "rk_test_vk_qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq1Dq7t0"},
        {TOKEN_KIND_OPERATOR, "kbo_Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3zZ2y4ZC4"},
        {TOKEN_KIND_NONE, ""},
        {TOKEN_KIND_NONE, "vk_"},
        {TOKEN_KIND_NONE, "vk_00000000000000000000000000000000000000"},
        {TOKEN_KIND_NONE, "VK_0000000000000000000000000000000049wGMy"},
        {TOKEN_KIND_NONE, "vk_0000000000000000000000000000000049wGMy "},
        {TOKEN_KIND_NONE, "vk_000000000000000000000000000000 0049wGMy"},
        {TOKEN_KIND_NONE, "sk_test_4eC39HqLyjWDarjtT1zdp7dc"},
        {TOKEN_KIND_NONE, "kbo_0000000000000000000000000000000049wGMy"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(token_kind(str_from(cases[i].text)) == cases[i].kind, cases[i].text);
    }
}

static void test_names(void)
{
    struct token name = name_make("key_");

    CHECK(name_check(str_from(name.text), "key_"));
    CHECK(!name_check(str_from(name.text), "req_"));
    CHECK(strlen(name.text) == 20);
    CHECK(!name_check(STR("key_"), "key_"));
    CHECK(!name_check(STR("key_000000000000000-"), "key_"));
    CHECK(!name_check(STR("key_00000000000000000"), "key_"));
}

/* 6,200 draws a digit: a bias of the first 8 digits by a quarter would stand out. */
static void test_digits_are_even(void)
{
    unsigned counts[128] = {0};

    for (unsigned i = 0; i < 12000; i++) {
        struct token token = token_make(TOKEN_VK, true);
        for (size_t k = 3; k < 35; k++) {
            counts[(unsigned char)token.text[k] & 127]++;
        }
    }
    for (char c = '0'; c <= 'z'; c++) {
        if (ascii_is_digit(c) || ascii_is_alpha(c)) {
            CHECK(counts[(unsigned char)c] > 5600 && counts[(unsigned char)c] < 6800);
        }
    }
}

int main(void)
{
    digest_setup();
    test_made_tokens_check();
    test_every_changed_character_is_seen();
    test_known_tokens();
    test_names();
    test_digits_are_even();
    return test_done();
}
