/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/verdict.h"

#include "base/test.h"

static void test_table(void)
{
    static const struct {
        enum verdict verdict;
        const char *code;
        unsigned status;
        enum deny_retry retry;
    } cases[] = {
        {VERDICT_DENIED, "denied", 403, DENY_RETRY_NO},
        {VERDICT_MISSING_KEY, "missing_key", 401, DENY_RETRY_NO},
        {VERDICT_REVOKED_KEY, "revoked_key", 401, DENY_RETRY_NO},
        {VERDICT_ENDPOINT_NOT_ALLOWED, "endpoint_not_allowed", 403, DENY_RETRY_NO},
        {VERDICT_FX_STALE, "fx_stale", 403, DENY_RETRY_NO},
        {VERDICT_CAP_EXCEEDED, "cap_exceeded", 429, DENY_RETRY_NO},
        {VERDICT_RATE_LIMITED, "rate_limited", 429, DENY_RETRY_AFTER},
        {VERDICT_DAY_LIMITED, "rate_limited", 429, DENY_RETRY_NO},
        {VERDICT_IN_FLIGHT, "in_flight", 409, DENY_RETRY_YES},
        {VERDICT_IDEMPOTENCY_MISMATCH, "idempotency_mismatch", 422, DENY_RETRY_NO},
        {VERDICT_CARD_DATA_REFUSED, "card_data_refused", 400, DENY_RETRY_NO},
        {VERDICT_TOO_LARGE, "too_large", 413, DENY_RETRY_NO},
        {VERDICT_LEDGER_UNAVAILABLE, "ledger_unavailable", 503, DENY_RETRY_AFTER},
        {VERDICT_CLOCK_SUSPECT, "clock_suspect", 503, DENY_RETRY_NO},
        {VERDICT_LIMIT_REACHED, "limit_reached", 503, DENY_RETRY_NO},
        {VERDICT_UPSTREAM_UNREACHABLE, "upstream_unreachable", 502, DENY_RETRY_YES},
        {VERDICT_OUTCOME_UNKNOWN, "outcome_unknown", 502, DENY_RETRY_NO},
        {VERDICT_UPSTREAM_TIMEOUT, "upstream_timeout", 504, DENY_RETRY_NO},
        {VERDICT_CREDENTIAL_REJECTED, "credential_rejected", 502, DENY_RETRY_NO},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct denial denial = verdict_denial(cases[i].verdict);
        CHECK_CASE(str_equal(denial.code, str_from(cases[i].code)), cases[i].code);
        CHECK_CASE(denial.status == cases[i].status, cases[i].code);
        CHECK_CASE(denial.retry == cases[i].retry, cases[i].code);
        CHECK_CASE(str_equal(verdict_code(cases[i].verdict), denial.code), cases[i].code);
    }
}

static void test_all_rows_are_whole(void)
{
    for (int v = 0; v < VERDICT_COUNT; v++) {
        struct denial denial = verdict_denial((enum verdict)v);
        CHECK(denial.code.len > 0);
        CHECK(v == VERDICT_ALLOWED ? denial.status == 200
                                   : denial.status >= 400 && denial.status < 600);
        CHECK((denial.retry == DENY_RETRY_AFTER) == (denial.retry_after_s > 0));
        CHECK(denial.retry_after_s <= 30);
    }
    CHECK((int)VERDICT_DENIED == 0); /* what nobody set denies */
}

int main(void)
{
    test_table();
    test_all_rows_are_whole();
    return test_done();
}
