/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_texts(void)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00Z"},
        {1, "1970-01-01T00:00:00.001Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {1795425650000, "2026-11-23T09:20:50Z"},
        {1709164800000, "2024-02-29T00:00:00Z"},
        {4102444799999, "2099-12-31T23:59:59.999Z"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t back = -1;
        struct clock_text text = clock_rfc3339(cases[i].ms);
        CHECK_CASE(str_equal(str_from(text.text), str_from(cases[i].text)), cases[i].text);
        if (cases[i].ms >= 0) {
            CHECK_CASE(clock_parse_rfc3339(str_from(cases[i].text), &back) && back == cases[i].ms,
                       cases[i].text);
        }
    }
}

static void test_times(void)
{
    static const struct {
        const char *text;
        bool right;
        int64_t ms;
    } cases[] = {
        {"1970-01-01T00:00:01+00:00", true, 1000},
        {"1970-01-01T01:00:00+01:00", true, 0},
        {"1970-01-01T00:00:00-00:30", true, 1800000},
        {"1970-01-01 00:00:00z", true, 0},
        {"1970-01-01t00:00:00.5Z", true, 500},
        {"1970-01-01T00:00:00.123456789Z", true, 123},
        {"2023-02-29T00:00:00Z", false, 0},
        {"2024-04-31T00:00:00Z", false, 0},
        {"2024-13-01T00:00:00Z", false, 0},
        {"2024-00-01T00:00:00Z", false, 0},
        {"2024-01-00T00:00:00Z", false, 0},
        {"2024-01-01T24:00:00Z", false, 0},
        {"2024-01-01T00:60:00Z", false, 0},
        {"2024-01-01T00:00:60Z", false, 0},
        {"2024-01-01T00:00:00", false, 0},
        {"2024-01-01T00:00:00.Z", false, 0},
        {"2024-01-01T00:00:00Zx", false, 0},
        {"2024-01-01T00:00:00+1:00", false, 0},
        {"2024-01-01T00:00:00+24:00", false, 0},
        {"2024-1-1T00:00:00Z", false, 0},
        {"2024-01-01", false, 0},
        {"1969-12-31T23:59:59Z", false, 0},
        {"", false, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t ms = 0;
        bool right = clock_parse_rfc3339(str_from(cases[i].text), &ms);
        CHECK_CASE(right == cases[i].right && ms == cases[i].ms, cases[i].text);
    }
}

static void test_days(void)
{
    CHECK(clock_day(0) == 0 && clock_day(86399999) == 0 && clock_day(86400000) == 1);
    CHECK(clock_day(-1) == -1 && clock_day(-86400000) == -1 && clock_day(-86400001) == -2);
    CHECK(clock_day_start_ms(20780) == 1795392000000);
    CHECK(str_equal(str_from(clock_day_text(20780).text), STR("2026-11-23")));
}

static void test_durations(void)
{
    static const struct {
        const char *text;
        bool right;
        uint64_t ms;
    } cases[] = {
        {"30s", true, 30000},
        {"12m", true, 720000},
        {"2h", true, 7200000},
        {"1d", true, 86400000},
        {"0s", true, 0},
        {"106751991167d", true, 106751991167u * 86400000u},
        {"106751991168d", false, 0},
        {"", false, 0},
        {"s", false, 0},
        {"1", false, 0},
        {"1w", false, 0},
        {"-1s", false, 0},
        {"1.5h", false, 0},
        {"1h30m", false, 0},
        {"1 h", false, 0},
        {"1H", false, 0},
        {"99999999999999999999s", false, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t ms = 0;
        bool right = clock_parse_duration(str_from(cases[i].text), &ms);
        CHECK_CASE(right == cases[i].right && ms == cases[i].ms, cases[i].text);
    }
}

int main(void)
{
    test_texts();
    test_times();
    test_days();
    test_durations();
    CHECK(clock_boot_ms() > 0 && clock_boot_us() / 1000 >= clock_boot_ms() - 1000);
    CHECK(clock_wall_ms() > 0);
    return test_done();
}
