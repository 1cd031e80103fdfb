/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verdict: every way to say no, in one table (name, status, retry).
 */
#ifndef POLICY_VERDICT_H
#define POLICY_VERDICT_H

#include "pack/deny.h"

enum verdict {
    VERDICT_DENIED, /* no reason was set: a fault of ours; denies all the same */
    VERDICT_MISSING_KEY,
    VERDICT_UNKNOWN_KEY,
    VERDICT_EXPIRED_KEY,
    VERDICT_REVOKED_KEY,
    VERDICT_ENDPOINT_NOT_ALLOWED,
    VERDICT_VENDOR_MISMATCH,
    VERDICT_PARAM_NOT_ALLOWED,
    VERDICT_ACCOUNT_NOT_ALLOWED,
    VERDICT_OBJECT_NOT_YOURS,
    VERDICT_PAUSED_KEY,
    VERDICT_STOPPED,
    VERDICT_WRONG_SESSION,
    VERDICT_COST_UNKNOWN,
    VERDICT_FX_STALE,
    VERDICT_CAP_EXCEEDED,
    VERDICT_RATE_LIMITED,
    VERDICT_DAY_LIMITED, /* a per-day limit: as rate_limited, but like a cap */
    VERDICT_IN_FLIGHT,
    VERDICT_IDEMPOTENCY_MISMATCH,
    VERDICT_BAD_REQUEST,
    VERDICT_CARD_DATA_REFUSED,
    VERDICT_TOO_LARGE,
    VERDICT_LEDGER_UNAVAILABLE,
    VERDICT_CLOCK_SUSPECT,
    VERDICT_LIMIT_REACHED,
    VERDICT_UPSTREAM_UNREACHABLE,
    VERDICT_OUTCOME_UNKNOWN,
    VERDICT_UPSTREAM_TIMEOUT,
    VERDICT_CREDENTIAL_REJECTED,
    VERDICT_ALLOWED,
    VERDICT_COUNT
};

/* Code, status, retry and Retry-After of the table; message and request_id are the caller's. */
struct denial verdict_denial(enum verdict verdict);
struct str verdict_code(enum verdict verdict);

#endif
