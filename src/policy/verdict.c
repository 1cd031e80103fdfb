/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/verdict.h"

#include <assert.h>

enum { RETRY_SOON_S = 1, RETRY_RATE_S = 30 };

/* DESIGN 9.  Statuses are defaults: a pack may say another.  Never Retry-After for a cap: it would
 * make an agent wait for midnight. */
static const struct {
    const char *code;
    unsigned status;
    enum deny_retry retry;
    unsigned retry_after_s;
} verdicts[VERDICT_COUNT] = {
    [VERDICT_DENIED] = {"denied", 403, DENY_RETRY_NO, 0},
    [VERDICT_MISSING_KEY] = {"missing_key", 401, DENY_RETRY_NO, 0},
    [VERDICT_UNKNOWN_KEY] = {"unknown_key", 401, DENY_RETRY_NO, 0},
    [VERDICT_EXPIRED_KEY] = {"expired_key", 401, DENY_RETRY_NO, 0},
    [VERDICT_REVOKED_KEY] = {"revoked_key", 401, DENY_RETRY_NO, 0},
    [VERDICT_ENDPOINT_NOT_ALLOWED] = {"endpoint_not_allowed", 403, DENY_RETRY_NO, 0},
    [VERDICT_VENDOR_MISMATCH] = {"vendor_mismatch", 403, DENY_RETRY_NO, 0},
    [VERDICT_PARAM_NOT_ALLOWED] = {"param_not_allowed", 403, DENY_RETRY_NO, 0},
    [VERDICT_ACCOUNT_NOT_ALLOWED] = {"account_not_allowed", 403, DENY_RETRY_NO, 0},
    [VERDICT_OBJECT_NOT_YOURS] = {"object_not_yours", 403, DENY_RETRY_NO, 0},
    [VERDICT_PAUSED_KEY] = {"paused_key", 403, DENY_RETRY_NO, 0},
    [VERDICT_STOPPED] = {"stopped", 403, DENY_RETRY_NO, 0},
    [VERDICT_WRONG_SESSION] = {"wrong_session", 403, DENY_RETRY_NO, 0},
    [VERDICT_COST_UNKNOWN] = {"cost_unknown", 403, DENY_RETRY_NO, 0},
    [VERDICT_FX_STALE] = {"fx_stale", 403, DENY_RETRY_NO, 0},
    [VERDICT_CAP_EXCEEDED] = {"cap_exceeded", 429, DENY_RETRY_NO, 0},
    [VERDICT_RATE_LIMITED] = {"rate_limited", 429, DENY_RETRY_AFTER, RETRY_RATE_S},
    [VERDICT_DAY_LIMITED] = {"rate_limited", 429, DENY_RETRY_NO, 0},
    [VERDICT_IN_FLIGHT] = {"in_flight", 409, DENY_RETRY_YES, 0},
    [VERDICT_IDEMPOTENCY_MISMATCH] = {"idempotency_mismatch", 422, DENY_RETRY_NO, 0},
    [VERDICT_BAD_REQUEST] = {"bad_request", 400, DENY_RETRY_NO, 0},
    [VERDICT_CARD_DATA_REFUSED] = {"card_data_refused", 400, DENY_RETRY_NO, 0},
    [VERDICT_TOO_LARGE] = {"too_large", 413, DENY_RETRY_NO, 0},
    [VERDICT_LEDGER_UNAVAILABLE] = {"ledger_unavailable", 503, DENY_RETRY_AFTER, RETRY_SOON_S},
    [VERDICT_CLOCK_SUSPECT] = {"clock_suspect", 503, DENY_RETRY_NO, 0},
    [VERDICT_LIMIT_REACHED] = {"limit_reached", 503, DENY_RETRY_NO, 0},
    [VERDICT_UPSTREAM_UNREACHABLE] = {"upstream_unreachable", 502, DENY_RETRY_YES, 0},
    [VERDICT_OUTCOME_UNKNOWN] = {"outcome_unknown", 502, DENY_RETRY_NO, 0},
    [VERDICT_UPSTREAM_TIMEOUT] = {"upstream_timeout", 504, DENY_RETRY_NO, 0},
    [VERDICT_CREDENTIAL_REJECTED] = {"credential_rejected", 502, DENY_RETRY_NO, 0},
    [VERDICT_ALLOWED] = {"allowed", 200, DENY_RETRY_NO, 0},
};

struct denial verdict_denial(enum verdict verdict)
{
    assert(verdict < VERDICT_COUNT);
    return (struct denial){.code = str_from(verdicts[verdict].code),
                           .status = verdicts[verdict].status,
                           .retry = verdicts[verdict].retry,
                           .retry_after_s = verdicts[verdict].retry_after_s};
}

struct str verdict_code(enum verdict verdict)
{
    assert(verdict < VERDICT_COUNT);
    return str_from(verdicts[verdict].code);
}
