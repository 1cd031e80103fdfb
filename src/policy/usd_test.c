/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/usd.h"

#include <string.h>

#include "base/test.h"

static void test_text(void)
{
    static const struct {
        int64_t nano;
        const char *text;
    } cases[] = {
        {0, "0.00"},
        {50 * NANO_PER_USD, "50.00"},
        {7900000, "0.0079"},
        {12 * NANO_PER_USD + 500000000, "12.50"},
        {1, "0.000000001"},
        {-1500000000, "-1.50"},
        {INT64_MAX, "9223372036.854775807"},
        {INT64_MIN, "-9223372036.854775808"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct usd_text text = usd_text(cases[i].nano);
        CHECK_CASE(strcmp(text.text, cases[i].text) == 0, cases[i].text);
        int64_t back;
        if (cases[i].nano >= 0) {
            CHECK_CASE(usd_parse(str_from(text.text), &back) && back == cases[i].nano, text.text);
        }
    }
}

static void test_refusals(void)
{
    static const char *const bad[] = {"",  "-1", "+1", "1.",  ".5",           "1e3",
                                      "a", " 1", "1 ", "1,5", "0.0000000001", "9223372037"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int64_t nano = 42;
        CHECK_CASE(!usd_parse(str_from(bad[i]), &nano) && nano == 42, bad[i]);
    }
}

int main(void)
{
    test_text();
    test_refusals();
    return test_done();
}
