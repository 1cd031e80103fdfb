/* SPDX-License-Identifier: Apache-2.0 */
/*
 * allowlist: which requests a key may send.
 *
 *     /v1/payment_intents     exactly this path, any method
 *     POST /v1/refunds        one method
 *     charges.create          an operation of the pack, by its name
 *     charges.*               all operations whose name begins so
 *
 * In a path, "*" as a segment stands for exactly one segment, and at the very end for one or more.
 *
 * An entry matches, or it does not; there are no deny rules, so no order to get wrong.  Operations
 * of a guarded class (mint, admin, unbounded) are granted only by their full name.
 */
#ifndef POLICY_ALLOWLIST_H
#define POLICY_ALLOWLIST_H

#include "base/err.h"
#include "pack/match.h"

enum entry_kind { ENTRY_PATH, ENTRY_OPERATION, ENTRY_OPERATION_PREFIX };

struct entry {
    enum entry_kind kind;
    struct str text;   /* as written */
    struct str method; /* ENTRY_PATH; empty: any */
    struct str name;   /* path, operation, or the prefix with its dot */
};

/* -1 with the reason; `pack` may be NULL, then operation names are not looked up. */
int entry_parse(struct str text, const struct pack *pack, struct entry *ret, struct err *err);

/* True when everything that `narrow` grants, `wide` grants too; false also when that cannot be
 * told.  For issuers' bounds and for narrowing. */
bool entry_covers(const struct pack *pack, const struct entry *wide, const struct entry *narrow);

struct request_facts {
    struct str method, path;
    const struct pack *pack;
    const struct match *match; /* of pack/match.h; its operation may be NULL */
    bool has_flat_price, capped;
};

enum allow_result {
    ALLOW_DENIED,       /* endpoint_not_allowed */
    ALLOW_COST_UNKNOWN, /* allowed, but nobody knows what it costs, and there is a cap */
    ALLOW_GRANTED
};

/* *ret_entry is the entry that matched; NULL when none did. */
enum allow_result allowlist_check(const struct entry *entries, size_t count,
                                  const struct request_facts *request,
                                  const struct entry **ret_entry);

#endif
