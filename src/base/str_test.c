/* SPDX-License-Identifier: Apache-2.0 */
#include "base/str.h"

#include <string.h>

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_slices(void)
{
    static const struct {
        const char *text;
        size_t from, to;
        const char *expected;
    } cases[] = {
        {"hello", 0, 5, "hello"}, {"hello", 1, 3, "el"}, {"hello", 3, 99, "lo"},
        {"hello", 9, 99, ""},     {"hello", 3, 1, ""},   {"", 0, 1, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct str got = str_slice(str_from(cases[i].text), cases[i].from, cases[i].to);
        CHECK_CASE(str_equal(got, str_from(cases[i].expected)), cases[i].text);
    }
    CHECK(str_slice(STR_NONE, 0, 5).data == NULL);
    CHECK(str_from(NULL).len == 0);
    CHECK(str_equal(str_trim(STR(" \t a b\t ")), STR("a b")));
    CHECK(str_equal(str_trim(STR(" \t ")), STR_NONE));
    CHECK(str_equal(str_trim(STR("a\r")), STR("a\r")));
}

static void test_questions(void)
{
    CHECK(str_equal(STR_NONE, STR("")));
    CHECK(!str_equal(STR("a"), STR("A")));
    CHECK(str_equal_nocase(STR("Host-Z"), STR("hOST-z")));
    CHECK(!str_equal_nocase(STR("[a"), STR("{a")));
    CHECK(!str_equal_nocase(STR("ab"), STR("abc")));
    CHECK(str_starts(STR("abc"), STR("")) && str_starts(STR("abc"), STR("abc")));
    CHECK(!str_starts(STR("ab"), STR("abc")) && !str_starts(STR("abc"), STR("b")));
    CHECK(str_ends(STR("abc"), STR("bc")) && !str_ends(STR("bc"), STR("abc")));
    CHECK(str_has(STR("abc"), STR("b")) && str_has(STR("abc"), STR("")));
    CHECK(!str_has(STR("abc"), STR("bb")) && !str_has(STR_NONE, STR("a")));
    CHECK(str_compare(STR("a"), STR("b")) < 0 && str_compare(STR("b"), STR("a")) > 0);
    CHECK(str_compare(STR("a"), STR("ab")) < 0 && str_compare(STR("ab"), STR("a")) > 0);
    CHECK(str_compare(STR("\xff"), STR("a")) > 0 && str_compare(STR("a"), STR("a")) == 0);
    CHECK(str_index(STR("a.b.c"), '.', 0) == 1 && str_index(STR("a.b.c"), '.', 2) == 3);
    CHECK(str_index(STR("abc"), '.', 0) == 3 && str_index(STR("abc"), '.', 7) == 3);
}

static void test_take_until(void)
{
    struct str rest = STR("a,,b");

    CHECK(str_equal(str_take_until(&rest, ','), STR("a")));
    CHECK(str_equal(str_take_until(&rest, ','), STR_NONE));
    CHECK(str_equal(str_take_until(&rest, ','), STR("b")));
    CHECK(str_equal(str_take_until(&rest, ','), STR_NONE) && rest.len == 0);
}

static void test_numbers(void)
{
    static const struct {
        const char *text;
        bool right;
        uint64_t value;
    } cases[] = {
        {"0", true, 0},     {"7", true, 7},    {"18446744073709551615", true, UINT64_MAX},
        {"", false, 0},     {"00", false, 0},  {"18446744073709551616", false, 0},
        {"01", false, 0},   {"+1", false, 0},  {"99999999999999999999", false, 0},
        {"-1", false, 0},   {" 1", false, 0},  {"1 ", false, 0},
        {"0x10", false, 0}, {"1e3", false, 0}, {"1.0", false, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t value = 0;
        bool right = str_to_u64(str_from(cases[i].text), &value);
        CHECK_CASE(right == cases[i].right && value == cases[i].value, cases[i].text);
    }
}

static void test_sizes(void)
{
    static const struct {
        const char *text;
        uint64_t bytes;
        bool right;
    } cases[] = {
        {"0", 0, true},
        {"65536", 65536, true},
        {"1k", 1024, true},
        {"512M", 512u << 20, true},
        {"2g", 2147483648u, true},
        {"", 0, false},
        {"M", 0, false},
        {"1T", 0, false},
        {"-1", 0, false},
        {"1 M", 0, false},
        {"1MM", 0, false},
        {"9999999999999G", 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t bytes = 0;
        CHECK_CASE(str_to_size(str_from(cases[i].text), &bytes) == cases[i].right, cases[i].text);
        CHECK_CASE(bytes == cases[i].bytes, cases[i].text);
    }
}

static void test_letters(void)
{
    for (int c = -128; c < 256; c++) {
        char letter = (char)c;
        bool upper = letter >= 'A' && letter <= 'Z';
        bool lower = letter >= 'a' && letter <= 'z';
        CHECK(ascii_is_alpha(letter) == (upper || lower));
        CHECK(ascii_lower(letter) == (upper ? (char)(letter + 32) : letter));
        CHECK(ascii_is_digit(letter) == (letter >= '0' && letter <= '9'));
        const char *at = letter == 0 ? NULL : strchr("0123456789abcdef", ascii_lower(letter));
        CHECK((ascii_hex_value(letter) >= 0) == (at != NULL));
    }
    CHECK(ascii_hex_value('F') == 15 && ascii_hex_value('a') == 10 && ascii_hex_value('9') == 9);
}

int main(void)
{
    test_slices();
    test_questions();
    test_take_until();
    test_numbers();
    test_sizes();
    test_letters();
    return test_done();
}
