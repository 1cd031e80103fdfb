/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/rate.h"

#include <assert.h>

enum { MINUTE_MS = 60000, RETRY_MAX_S = 30 };

/* The minute's counts as they stand at `now_ms`. */
static void at(const struct rate *rate, int64_t now_ms, uint64_t *ret_now, uint64_t *ret_before)
{
    int64_t minute = now_ms / MINUTE_MS;

    *ret_now = minute == rate->minute ? rate->in_minute : 0;
    *ret_before = minute == rate->minute       ? rate->in_minute_before
                  : minute == rate->minute + 1 ? rate->in_minute
                                               : 0;
}

enum rate_result rate_check(const struct rate *rate, const struct rate_limits *limits,
                            int64_t now_ms, int64_t day, uint32_t *ret_retry_s)
{
    uint64_t now;
    uint64_t before;
    uint64_t left_ms = (uint64_t)(MINUTE_MS - now_ms % MINUTE_MS);

    at(rate, now_ms, &now, &before);
    if (limits->per_minute > 0 &&
        (now + 1) * MINUTE_MS + before * left_ms > limits->per_minute * MINUTE_MS) {
        uint64_t seconds = left_ms / 1000 + 1;
        *ret_retry_s = seconds > RETRY_MAX_S ? RETRY_MAX_S : (uint32_t)seconds;
        return RATE_MINUTE;
    }
    if (limits->per_day > 0 && day == rate->day && rate->in_day >= limits->per_day) {
        return RATE_DAY;
    }
    if (limits->at_once > 0 && rate->running >= limits->at_once) {
        *ret_retry_s = 1;
        return RATE_AT_ONCE;
    }
    return RATE_OK;
}

void rate_begin(struct rate *rate, int64_t now_ms, int64_t day)
{
    uint64_t now;
    uint64_t before;

    at(rate, now_ms, &now, &before);
    rate->minute = now_ms / MINUTE_MS;
    rate->in_minute = now + 1;
    rate->in_minute_before = before;
    rate->in_day = day == rate->day ? rate->in_day + 1 : 1;
    rate->day = day;
    rate->running++;
}

void rate_end(struct rate *rate)
{
    assert(rate->running > 0);
    rate->running--;
}
