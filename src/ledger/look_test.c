/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/look.h"

#include "base/test.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static void test_waits(void)
{
    static const uint64_t soon[] = {1, 2, 5, 10, 20, 30, 60, 120, 300, 600, 1800, 3600, 3600, 3600};
    static const uint64_t held[] = {300, 3600, 21600, 21600};
    uint64_t hour = 0;

    for (unsigned i = 0; i < sizeof(soon) / sizeof(soon[0]); i++) {
        CHECK(look_wait_ms(true, i) == soon[i] * SECOND);
    }
    for (unsigned i = 0; i < sizeof(held) / sizeof(held[0]); i++) {
        CHECK(look_wait_ms(false, i) == held[i] * SECOND);
    }
    CHECK(look_wait_ms(true, UINT32_MAX) == HOUR && look_wait_ms(false, UINT32_MAX) == 6 * HOUR);
    /* What a vendor can be asked about is known within a minute of a start: four looks. */
    for (unsigned i = 0; i < 4; i++) {
        hour += look_wait_ms(true, i);
    }
    CHECK(hour < 30 * SECOND);
}

static void test_first(void)
{
    static const struct {
        bool urgent;
        int64_t age_ms;
        uint64_t least, most;
    } cases[] = {
        {true, 0, SECOND, SECOND},
        {true, 40 * HOUR, SECOND, SECOND},
        {true, -5, SECOND, SECOND},
        {false, 0, 5 * MINUTE, 5 * MINUTE},
        {false, 2 * MINUTE, 3 * MINUTE, 3 * MINUTE},
        {false, 5 * MINUTE - 1, 1, 1},
        {false, 5 * MINUTE, SECOND, 11 * MINUTE}, /* it was due meanwhile */
        {false, 900 * (int64_t)HOUR, SECOND, 11 * MINUTE},
        {false, -HOUR, 5 * MINUTE, 5 * MINUTE}, /* a clock that was set back */
    };
    uint64_t least = UINT64_MAX, most = 0;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t wait = look_first_ms(cases[i].urgent, cases[i].age_ms, 7);
        CHECK(wait >= cases[i].least && wait <= cases[i].most);
    }
    for (uint64_t number = 1; number <= 1000; number++) { /* not all of them at once */
        uint64_t wait = look_first_ms(false, HOUR, number);
        least = wait < least ? wait : least;
        most = wait > most ? wait : most;
    }
    CHECK(least < 10 * SECOND && most > 9 * MINUTE);
}

static void test_before(void)
{
    CHECK(look_before_ms(HOUR, 2 * HOUR) == HOUR);
    CHECK(look_before_ms(6 * HOUR, HOUR) == HOUR);
    CHECK(look_before_ms(HOUR, 0) == SECOND && look_before_ms(HOUR, -HOUR) == SECOND);
    CHECK(look_before_ms(10, INT64_MAX) == 10);
}

static void test_spans(void)
{
    static const struct {
        unsigned looks;
        int64_t since, until;
    } cases[] = {{0, 999, 1002}, {1, 997, 1015}, {2, 940, 1600}, {9, 940, 1600}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        int64_t since, until;
        look_events_span(1000999, cases[i].looks, &since, &until);
        CHECK(since == cases[i].since && until == cases[i].until);
    }
}

int main(void)
{
    test_waits();
    test_first();
    test_before();
    test_spans();
    return test_done();
}
