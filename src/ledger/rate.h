/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rate: requests per minute, per day, and at one time, of one key.
 *
 * The minute slides: what was asked in the minute before counts in proportion to how much of it
 * still lies within the last 60 seconds.
 */
#ifndef LEDGER_RATE_H
#define LEDGER_RATE_H

#include <stdint.h>

struct rate {
    int64_t minute; /* since 1970 */
    uint64_t in_minute, in_minute_before;
    int64_t day;
    uint64_t in_day;
    uint64_t running;
};

struct rate_limits {
    uint64_t per_minute, per_day, at_once; /* 0: no limit */
};

enum rate_result { RATE_MINUTE, RATE_DAY, RATE_AT_ONCE, RATE_OK };

/* May one more begin?  Nothing changes.  RATE_MINUTE gives the seconds until it may. */
enum rate_result rate_check(const struct rate *rate, const struct rate_limits *limits,
                            int64_t now_ms, int64_t day, uint32_t *ret_retry_s);

void rate_begin(struct rate *rate, int64_t now_ms, int64_t day);
void rate_end(struct rate *rate); /* it is over */

#endif
