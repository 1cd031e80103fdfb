/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/clock_guard.h"

#include "base/test.h"

#define HOUR INT64_C(3600000)
#define DAY (24 * HOUR)
#define NOON (20000 * DAY + 12 * HOUR)

static void test_running(void)
{
    static const struct {
        const char *name;
        int64_t wall_ms, boot_ms; /* since the start, at noon */
        int64_t day;              /* since the start's */
        int64_t expiry_ms;
        bool suspect;
    } cases[] = {
        {"in step", HOUR, HOUR, 0, HOUR, false},
        {"a little ahead", HOUR + 60000, HOUR, 0, HOUR + 60000, false},
        {"over midnight", 13 * HOUR, 13 * HOUR, 1, 13 * HOUR, false},
        {"a day ahead", 25 * HOUR, HOUR, 0, 25 * HOUR, true},
        {"just too far ahead", HOUR + 300001, HOUR, 0, HOUR + 300001, true},
        {"a day back", -25 * HOUR, HOUR, 0, HOUR, false},
        {"a day back, over midnight", -25 * HOUR, 13 * HOUR, 1, 13 * HOUR, false},
        {"suspect, and the boot clock passes midnight", 60 * HOUR, 13 * HOUR, 0, 60 * HOUR, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct clock_guard guard;
        clock_guard_start(&guard, NOON, 5000, 0);
        clock_guard_tick(&guard, NOON + cases[i].wall_ms, (uint64_t)(5000 + cases[i].boot_ms));
        CHECK_CASE(guard.suspect == cases[i].suspect, cases[i].name);
        CHECK_CASE(guard.day == 20000 + cases[i].day, cases[i].name);
        CHECK_CASE(guard.expiry_ms == NOON + cases[i].expiry_ms, cases[i].name);
        CHECK_CASE(guard.now_ms / DAY == guard.day, cases[i].name);
    }
}

static void test_back_again(void)
{
    struct clock_guard guard;

    clock_guard_start(&guard, NOON, 0, 0);
    clock_guard_tick(&guard, NOON + 48 * HOUR, 1000);
    CHECK(guard.suspect);
    clock_guard_tick(&guard, NOON + 2000, 2000); /* set right: the jump refilled nothing */
    CHECK(!guard.suspect && guard.day == 20000 && guard.now_ms == NOON + 2000);
    CHECK(guard.expiry_ms == NOON + 48 * HOUR); /* but what it ended stays dead */
    clock_guard_tick(&guard, NOON + 48 * HOUR, 3000);
    clock_guard_vouch(&guard, NOON + 48 * HOUR, 3000); /* it was true after all */
    CHECK(!guard.suspect && guard.day == 20002);
    clock_guard_tick(&guard, NOON, 4000);
    CHECK(guard.day == 20002);
}

static void test_start(void)
{
    struct clock_guard guard;

    clock_guard_start(&guard, NOON, 7, NOON + 2 * DAY); /* the database is from later */
    CHECK(guard.day == 20002 && !guard.suspect);
    clock_guard_start(&guard, NOON + 9 * DAY, 7, NOON); /* it stood still for nine days */
    CHECK(guard.day == 20009 && !guard.suspect);
}

int main(void)
{
    test_running();
    test_back_again();
    test_start();
    return test_done();
}
