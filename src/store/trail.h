/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trail: the audit's rows, read one by one out of their blocks.
 *
 * What it gives is borrowed until the next call.  Only whole blocks are read, and none stays open
 * in the database between two calls.  Inside the store only.
 */
#ifndef STORE_TRAIL_H
#define STORE_TRAIL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "ipc/message.h"

struct trail;

struct trail *trail_open(sqlite3 *db, struct err *err); /* NULL with the reason */
void trail_close(struct trail *trail);                  /* takes NULL too; before its db closes */

struct trail_row {
    uint64_t sequence;
    bool readable; /* else somebody else wrote it, and `audit` says nothing */
    struct message_row_audit audit;
};

/* 1 with the row, 0 when there is none, -1 with the reason. */
int trail_below(struct trail *trail, uint64_t before, struct trail_row *ret_row, struct err *err);
int trail_above(struct trail *trail, uint64_t after, struct trail_row *ret_row, struct err *err);
int trail_at(struct trail *trail, uint64_t sequence, struct trail_row *ret_row, struct err *err);

/* The newest block that has rows of `key` and begins below `before`. */
int trail_block_of_key(struct trail *trail, uint64_t key, uint64_t before, uint64_t *ret_first,
                       uint64_t *ret_last, struct err *err);

/* The number of the first row that is not older than `at_ms`, or one above the last: times never
 * fall along the numbers. */
int trail_find_time(struct trail *trail, int64_t at_ms, uint64_t *ret_sequence, struct err *err);

#endif
