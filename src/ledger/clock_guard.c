/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/clock_guard.h"

#include "base/clock.h"

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void clock_guard_start(struct clock_guard *guard, int64_t wall_ms, uint64_t boot_ms,
                       int64_t newest_ms)
{
    *guard =
        (struct clock_guard){.base_wall_ms = later(wall_ms, newest_ms), .base_boot_ms = boot_ms};
    guard->now_ms = guard->expiry_ms = guard->base_wall_ms;
    guard->day = clock_day(guard->now_ms);
}

static void believe(struct clock_guard *guard, int64_t now_ms)
{
    guard->now_ms = later(guard->now_ms, now_ms);
    guard->day = later(guard->day, clock_day(guard->now_ms));
}

void clock_guard_tick(struct clock_guard *guard, int64_t wall_ms, uint64_t boot_ms)
{
    int64_t expected = guard->base_wall_ms + (int64_t)(boot_ms - guard->base_boot_ms);

    guard->suspect = wall_ms - expected > CLOCK_JUMP_MS;
    guard->expiry_ms = later(guard->expiry_ms, later(wall_ms, expected));
    if (guard->suspect) {
        /* Time goes on by the boot clock, but never into a new day. */
        int64_t end = clock_day_start_ms(guard->day + 1) - 1;
        guard->now_ms = later(guard->now_ms, expected < end ? expected : end);
    } else {
        believe(guard, later(wall_ms, expected));
    }
}

void clock_guard_vouch(struct clock_guard *guard, int64_t wall_ms, uint64_t boot_ms)
{
    guard->suspect = false;
    believe(guard, wall_ms);
    guard->base_wall_ms = guard->now_ms;
    guard->base_boot_ms = boot_ms;
    guard->expiry_ms = later(guard->expiry_ms, guard->now_ms);
}
