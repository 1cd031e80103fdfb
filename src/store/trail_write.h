/* SPDX-License-Identifier: Apache-2.0 */
/*
 * trail_write: audit rows gathered during a transaction and written in blocks: when one is full, at
 * the end of a month and of the transaction.  Inside the store only.
 */
#ifndef STORE_TRAIL_WRITE_H
#define STORE_TRAIL_WRITE_H

#include <sqlite3.h>

#include "base/err.h"
#include "store/store.h"

struct trail_writer;

struct trail_writer *trail_writer_new(sqlite3 *db, struct err *err); /* NULL with the reason */
void trail_writer_free(struct trail_writer *writer);                 /* takes NULL too */

/* Rows without a gap between them; `written` as in block.h. */
enum store_result trail_writer_add(struct trail_writer *writer, const struct message_row_audit *row,
                                   struct str written, struct err *err);
enum store_result trail_writer_flush(struct trail_writer *writer, struct err *err);
void trail_writer_forget(struct trail_writer *writer); /* after a rollback */

#endif
