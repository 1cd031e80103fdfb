/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/rate.h"

#include "base/test.h"

enum { MINUTE = 60000 };

static unsigned admitted(struct rate *rate, const struct rate_limits *limits, int64_t from_ms,
                         unsigned asked, int64_t step_ms)
{
    unsigned count = 0;
    uint32_t retry_s;

    for (unsigned i = 0; i < asked; i++) {
        int64_t now_ms = from_ms + i * step_ms;
        if (rate_check(rate, limits, now_ms, now_ms / 86400000, &retry_s) == RATE_OK) {
            rate_begin(rate, now_ms, now_ms / 86400000);
            rate_end(rate);
            count++;
        }
    }
    return count;
}

static void test_minute(void)
{
    struct rate rate = {0};
    struct rate_limits limits = {.per_minute = 10};
    uint32_t retry_s = 0;
    int64_t t = 1000 * MINUTE;

    CHECK(admitted(&rate, &limits, t, 30, 1) == 10);
    CHECK(rate_check(&rate, &limits, t + 100, 0, &retry_s) == RATE_MINUTE);
    CHECK(retry_s == 30); /* never more */
    CHECK(rate_check(&rate, &limits, t + 58000, 0, &retry_s) == RATE_MINUTE && retry_s == 3);
    CHECK(admitted(&rate, &limits, t + MINUTE, 10, 0) == 0); /* all of them are still within 60 s */
    CHECK(admitted(&rate, &limits, t + MINUTE + MINUTE / 2, 10, 0) == 5);
    CHECK(admitted(&rate, &limits, t + 5 * MINUTE, 30, 0) == 10);
    CHECK(admitted(&(struct rate){0}, &(struct rate_limits){0}, t, 100, 0) == 100);
}

static void test_day(void)
{
    struct rate rate = {0};
    struct rate_limits limits = {.per_day = 5};
    uint32_t retry_s = 0;

    CHECK(admitted(&rate, &limits, 0, 20, 1000) == 5);
    CHECK(rate_check(&rate, &limits, 86399999, 0, &retry_s) == RATE_DAY);
    CHECK(rate_check(&rate, &limits, 86400000, 1, &retry_s) == RATE_OK);
}

static void test_at_once(void)
{
    struct rate rate = {0};
    struct rate_limits limits = {.at_once = 2};
    uint32_t retry_s = 0;

    rate_begin(&rate, 0, 0);
    CHECK(rate_check(&rate, &limits, 0, 0, &retry_s) == RATE_OK);
    rate_begin(&rate, 0, 0);
    CHECK(rate_check(&rate, &limits, 0, 0, &retry_s) == RATE_AT_ONCE && retry_s == 1);
    rate_end(&rate);
    CHECK(rate_check(&rate, &limits, 0, 0, &retry_s) == RATE_OK);
}

int main(void)
{
    test_minute();
    test_day();
    test_at_once();
    return test_done();
}
