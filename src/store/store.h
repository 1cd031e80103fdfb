/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store: what must outlive the processes.  The seam: all SQL is in this folder, and another
 * database would be another implementation of this header.
 *
 * The scribe is the one writer.  Rows come as the ROW_* messages and are kept as they are; the
 * store decides nothing.  Writing is in groups: the first store_put() opens a transaction, and
 * store_commit() returns when all of it is on the disk (WAL, synchronous=FULL, one fsync).
 *
 *     store_put(store, MESSAGE_ROW_HOLD, &hold, &err)
 *     store_put(store, MESSAGE_ROW_AUDIT, &row, &err)
 *     store_commit(store, &err)
 *
 * Audit rows must come in sequence without a gap; what would leave one is refused.  Each audit
 * row's `settled` is what this row posted (a delta; negative in a correction), and is added to the
 * spend of its hold's day, key, vendor, class and mode; event `request` counts requests.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <stdint.h>

#include "base/err.h"
#include "ipc/message.h"

struct store;

/* What may be done about a failure: */
enum store_result {
    STORE_BROKEN,  /* nothing: the disk or the file cannot be trusted.  Stop, never retry */
    STORE_REFUSED, /* no room, or a row that cannot be.  Call store_rollback(); later may do */
    STORE_DONE,
};

/* What `keybrake init` puts into a new database. */
struct store_seed {
    const struct message_row_meta *metas;
    size_t meta_count;
    const struct message_row_operator *operators;
    size_t operator_count;
};

/* Makes DATA_DIR/db (0700) and keybrake.db (0600) in it, whole or not at all.  Refuses when there
 * is one. */
int store_create(const char *data_dir, const struct store_seed *seed, struct err *err);

/* Opens for writing and folds the write-ahead log into the file, so that start-up is where the
 * time goes.  `pages_max` bounds the file in pages of 4 KiB; 0: no bound.  Everything that a later
 * call needs is open when this returns: the process may confine itself. */
struct store *store_open(const char *data_dir, uint32_t pages_max, struct err *err);
/* Forgets what was not committed; takes NULL too.  Looks at paths: a confined process ends without
 * it, and loses nothing. */
void store_close(struct store *store);

enum store_result store_put(struct store *store, enum message_type type, const void *row,
                            struct err *err);
/* The same of a row that came as a message, which is `written`: what is stored as it came is not
 * written anew. */
enum store_result store_put_written(struct store *store, enum message_type type, const void *row,
                                    struct str written, struct err *err);
enum store_result store_commit(struct store *store, struct err *err); /* of nothing is done */
void store_rollback(struct store *store);

/* What must be in the judge's memory, row by row, parents before children: meta, operators,
 * tenants, prices, stops, credentials (without their sealed box), keys, windows, holds,
 * idempotency records, the last signed head.  Returns 1 with a row, which lives until the next
 * call; 0 after the last one; -1 with the reason.  No store_put() before the 0. */
int store_load(struct store *store, enum message_type *ret_type, const void **ret_row,
               struct err *err);
/* The audit's end and the highest time in the database. */
int store_loaded(struct store *store, struct message_loaded *ret_loaded, struct err *err);

/* The sealed box of a credential; `found` says whether it is there.  Lives until the next call. */
int store_blob(struct store *store, uint64_t credential, struct message_blob *ret_blob,
               struct err *err);

/* Folds the log into the file as far as readers allow.  Call when idle. */
enum store_result store_checkpoint(struct store *store, struct err *err);
/* The same, and gives the log's room back to the disk.  Call when there was none. */
enum store_result store_give_back(struct store *store, struct err *err);
/* Gives back the memory of pages read and written.  Call when idle for longer. */
void store_rest(struct store *store);
/* Bytes in the log that are not in the file yet.  From STORE_LOG_BYTES_MAX on, store_commit()
 * folds it itself. */
uint64_t store_log_bytes(const struct store *store);
enum { STORE_LOG_BYTES_MAX = 256 * 1024 * 1024 };

#endif
