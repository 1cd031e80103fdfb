/* SPDX-License-Identifier: Apache-2.0 */
/*
 * query: what people ask of the database: the audit, the spend, the end of the chain.
 *
 * A connection of its own that cannot write.  Open it before the process confines itself, and
 * confine with `map` and `file_lock` set and SYS_pread64 in the list: later calls open no file.
 * Each call is one short read transaction; strings given to a callback live until it returns.
 */
#ifndef STORE_QUERY_H
#define STORE_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "ipc/message.h"

struct query;

struct query *query_open(const char *data_dir, struct err *err); /* NULL with the reason */
/* Looks at paths: a confined process ends without it.  Takes NULL too. */
void query_close(struct query *query);

/* ---- the audit, newest first ---- */

struct query_audit {
    /* Empty: any.  The first four are of the row's key. */
    struct str key_id, label_prefix, run_id, tenant, vendor, verdict;
    bool has_event;
    enum audit_event event;
    int64_t since_ms; /* at that time or later; 0: from the beginning */
    int64_t until_ms; /* before that time; 0: to the end */
    uint64_t before;  /* below this sequence: what the last page gave as next; 0: from the newest */
    size_t limit;     /* at most LIMIT_DB_PAGE_ROWS are given, whatever it says */
};

struct query_row {
    const struct message_row_audit *audit;
    struct str key_id, label, tenant, run_id; /* of its key; empty without one */
};

/*
 * Calls `row` for each.  *ret_next is where the next page begins, 0 when there is none.  A page
 * ends early after LIMIT_DB_READ_MS of looking, and may then be empty though *ret_next is not 0:
 * ask on from there.
 */
int query_audit(struct query *query, const struct query_audit *filter,
                void (*row)(void *ctx, const struct query_row *row), void *ctx, uint64_t *ret_next,
                struct err *err);

/* ---- the spend, from sums kept with the audit ---- */

enum query_group {
    QUERY_BY_KEY,
    QUERY_BY_LABEL,
    QUERY_BY_RUN,
    QUERY_BY_TENANT,
    QUERY_BY_VENDOR,
    QUERY_BY_DAY,
    QUERY_BY_CLASS,
    QUERY_GROUP_COUNT
};

struct query_spend {
    struct str key_id, label_prefix, run_id, tenant, vendor; /* empty: any */
    int64_t since_day, until_day;                            /* days since 1970, both included */
    enum query_group group;
    size_t skip, limit;
};

struct query_sum {
    struct str group; /* key id, label, ..., "2026-11-23"; empty: what has none */
    struct str label; /* when by key */
    int64_t posted;   /* nano-dollars */
    int64_t requests, denied;
};

/* Most spent first; days newest first.  *ret_more says whether there are groups after these.
 * Refuses after QUERY_SPEND_MS: fewer days are to be asked for. */
enum { QUERY_SPEND_MS = 500 };
int query_spend(struct query *query, const struct query_spend *filter,
                void (*row)(void *ctx, const struct query_sum *sum), void *ctx, bool *ret_more,
                struct err *err);

/* ---- the rest ---- */

/* Adds the value of a name in `meta` to `out`.  *ret_found says whether there is one. */
int query_meta(struct query *query, struct str name, struct buf *out, bool *ret_found,
               struct err *err);

/* A hold as stored, as struct message_row_hold on the wire; nothing is added when there is none. */
int query_hold(struct query *query, uint64_t number, struct buf *out, struct err *err);

/* The last row of the audit; sequence 0 when there is none. */
int query_head(struct query *query, uint64_t *ret_sequence, struct digest *ret_head,
               struct err *err);

#endif
