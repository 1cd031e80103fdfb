/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/money.h"

#include "base/test.h"

static void test_text(void)
{
    static const struct {
        int64_t nano;
        const char *text;
    } cases[] = {
        {0, "0.00"},
        {1, "0.000000001"},
        {10, "0.00000001"},
        {7900000, "0.0079"},
        {100000000, "0.10"},
        {20 * MONEY_DOLLAR, "20.00"},
        {50 * MONEY_DOLLAR + 500000000, "50.50"},
        {-1500000000, "-1.50"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct money_text text = money_text(cases[i].nano);
        CHECK_CASE(str_equal(str_from(text.text), str_from(cases[i].text)), cases[i].text);
    }
}

static void test_parse(void)
{
    static const struct {
        const char *text;
        bool ok;
        int64_t nano;
    } cases[] = {
        {"20.00", true, 20 * MONEY_DOLLAR},
        {"20", true, 20 * MONEY_DOLLAR},
        {"0.0079", true, 7900000},
        {"0.000000001", true, 1},
        {"9223372036.854775807", true, INT64_MAX},
        {"9223372036.854775808", false, 0},
        {"0.0000000001", false, 0},
        {"", false, 0},
        {".5", false, 0},
        {"5.", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {"1e3", false, 0},
        {" 1", false, 0},
        {"1,000", false, 0},
        {"0x10", false, 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t nano = -7;
        bool ok = money_parse(str_from(cases[i].text), &nano);
        CHECK_CASE(ok == cases[i].ok, cases[i].text);
        CHECK_CASE(nano == (cases[i].ok ? cases[i].nano : -7), cases[i].text);
    }
}

int main(void)
{
    test_text();
    test_parse();
    return test_done();
}
