/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/look.h"

#include <stddef.h>

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    SPREAD_MS = 10 * MINUTE,
};

#define LAST(table) (sizeof(table) / sizeof((table)[0]) - 1)

uint64_t look_wait_ms(bool urgent, unsigned looks)
{
    static const uint64_t soon[] = {SECOND,      2 * SECOND,  5 * SECOND,  10 * SECOND,
                                    20 * SECOND, 30 * SECOND, MINUTE,      2 * MINUTE,
                                    5 * MINUTE,  10 * MINUTE, 30 * MINUTE, HOUR};
    static const uint64_t held[] = {5 * MINUTE, HOUR, 6 * HOUR};

    return urgent ? soon[looks < LAST(soon) ? looks : LAST(soon)]
                  : held[looks < LAST(held) ? looks : LAST(held)];
}

uint64_t look_first_ms(bool urgent, int64_t age_ms, uint64_t number)
{
    uint64_t wait = look_wait_ms(urgent, 0);

    if (urgent || age_ms < 0) {
        return wait;
    }
    return (uint64_t)age_ms < wait ? wait - (uint64_t)age_ms : SECOND + number * 7919 % SPREAD_MS;
}

uint64_t look_before_ms(uint64_t wait_ms, int64_t left_ms)
{
    uint64_t left = left_ms < SECOND ? SECOND : (uint64_t)left_ms;

    return wait_ms < left ? wait_ms : left;
}

void look_events_span(int64_t opened_at_ms, unsigned looks, int64_t *ret_since, int64_t *ret_until)
{
    static const struct {
        int64_t before, after;
    } spans[] = {{1, 2}, {3, 15}, {60, 600}};
    size_t span = looks < LAST(spans) ? looks : LAST(spans);

    *ret_since = opened_at_ms / SECOND - spans[span].before;
    *ret_until = opened_at_ms / SECOND + spans[span].after;
}
