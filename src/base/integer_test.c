/* SPDX-License-Identifier: Apache-2.0 */
#include "base/integer.h"

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_sums(void)
{
    int64_t got = 5;

    CHECK(int_add(2, 3, &got) && got == 5);
    CHECK(int_add(INT64_MAX, INT64_MIN, &got) && got == -1);
    CHECK(!int_add(INT64_MAX, 1, &got) && got == -1);
    CHECK(!int_add(INT64_MIN, -1, &got) && got == -1);
    CHECK(int_sub(INT64_MIN + 1, 1, &got) && got == INT64_MIN);
    CHECK(!int_sub(INT64_MIN, 1, &got) && got == INT64_MIN);
    CHECK(!int_sub(0, INT64_MIN, &got));
}

static void test_shares(void)
{
    static const struct {
        int64_t a, b, c;
        bool fits;
        int64_t expected;
    } cases[] = {
        {10, 3, 5, true, 6},
        {10, 3, 4, true, 8},
        {0, 3, 4, true, 0},
        {1, 1, INT64_MAX, true, 1},
        {INT64_MAX, INT64_MAX, INT64_MAX, true, INT64_MAX},
        {INT64_MAX, 2, 2, true, INT64_MAX},
        {INT64_MAX, 2, 1, false, 0},
        {INT64_MAX, INT64_MAX, 1, false, 0},
        {-1, 1, 1, false, 0},
        {1, -1, 1, false, 0},
        {1, 1, 0, false, 0},
        {1, 1, -1, false, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got = 0;
        bool fits = int_mul_div_up(cases[i].a, cases[i].b, cases[i].c, &got);
        CHECK(fits == cases[i].fits && got == cases[i].expected);
    }
}

static void test_decimals(void)
{
    static const struct {
        const char *text;
        unsigned decimals;
        bool right;
        int64_t expected;
    } cases[] = {
        {"50", 9, true, 50000000000},
        {"0.0079", 9, true, 7900000},
        {"12.5", 1, true, 125},
        {"0", 0, true, 0},
        {"007", 0, true, 7},
        {"9223372036.854775807", 9, true, INT64_MAX},
        {"9223372036.854775808", 9, false, 0},
        {"9223372037", 9, false, 0},
        {"1.0000000000", 9, false, 0},
        {"1.5", 0, false, 0},
        {"1.", 2, false, 0},
        {".5", 2, false, 0},
        {"", 2, false, 0},
        {".", 2, false, 0},
        {"-1", 2, false, 0},
        {"+1", 2, false, 0},
        {"1e3", 2, false, 0},
        {"1.2.3", 9, false, 0},
        {" 1", 2, false, 0},
        {"1,5", 2, false, 0},
        {"0x1", 2, false, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t got = 0;
        bool right = int_parse_decimal(str_from(cases[i].text), cases[i].decimals, &got);
        CHECK_CASE(right == cases[i].right && got == cases[i].expected, cases[i].text);
    }
}

int main(void)
{
    test_sums();
    test_shares();
    test_decimals();
    return test_done();
}
