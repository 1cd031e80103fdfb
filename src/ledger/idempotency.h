/* SPDX-License-Identifier: Apache-2.0 */
/*
 * idempotency: the same request, said twice, costs once.
 *
 * A record binds a scope (who, credential, account, method, path, query, client key: a digest of
 * all) to the body it came with and to the hold that pays for it.  A record lives as long as the
 * vendor remembers, less one hour; after that the vendor might do it again, so it is a new request.
 */
#ifndef LEDGER_IDEMPOTENCY_H
#define LEDGER_IDEMPOTENCY_H

#include "base/digest.h"
#include "base/list.h"
#include "base/table.h"
#include "ipc/message.h"

enum { IDEMPOTENCY_MARGIN_MS = 3600 * 1000 };

struct record {
    struct digest scope;
    struct digest body;
    uint64_t hold;
    int64_t first_at_ms;
    int64_t found_minor; /* put into the body, so that a repeat says the same; -1: nothing was */
    char currency[4];
    struct list link; /* by age, the oldest first */
};

struct records {
    struct table table;
    struct list oldest;
    size_t max;
};

void records_init(struct records *records, size_t max);
void records_clear(struct records *records);

enum repeat {
    REPEAT_MISMATCH,  /* another body under the same key: 422 */
    REPEAT_IN_FLIGHT, /* the first one has no answer yet: 409 */
    REPEAT_FULL,      /* no room for one more record */
    REPEAT_NEW,       /* never seen, or too old */
    REPEAT_VOIDED,    /* it cost nothing: a new hold under the same record */
    REPEAT_SAME       /* goes under the hold that is there */
};

/* `hold_state` gives the state of a record's hold; false when that hold is not known any more,
 * which is: posted or voided long ago, and treated as posted. */
enum repeat records_look(const struct records *records, const struct digest *scope,
                         const struct digest *body, int64_t now_ms, uint64_t window_ms,
                         bool (*hold_state)(const void *ctx, uint64_t hold, enum hold_state *ret),
                         const void *ctx, const struct record **ret_record);

/* Adds or replaces. */
void records_put(struct records *records, const struct message_row_idempotency *row);

/* Takes a record out again, which never became durable. */
void records_remove(struct records *records, const struct digest *scope);

/* Forgets records first seen before `before_ms`; `gone` is told their holds. */
void records_forget(struct records *records, int64_t before_ms,
                    void (*gone)(void *ctx, uint64_t hold), void *ctx);

#endif
