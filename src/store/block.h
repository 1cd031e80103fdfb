/* SPDX-License-Identifier: Apache-2.0 */
/*
 * block: consecutive rows of the audit as the bytes of one database row.
 *
 *     block = row...      row = u32 length (little-endian), then the message on the wire
 *
 * A row of its own in the database costs the scribe more than twice the CPU, for SQLite's columns
 * and an index.  Pure.  Inside the store only.
 */
#ifndef STORE_BLOCK_H
#define STORE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "ipc/message.h"

enum {
    BLOCK_FORMAT = 1,             /* the fields of message_row_audit, as they are today */
    BLOCK_ROWS_MAX = 512,         /* a full block has so many rows, */
    BLOCK_BYTES_FULL = 64 * 1024, /* or at least so many bytes */
    BLOCK_BYTES_MAX = 16 * 1024 * 1024,
};

/* False when it is too large for any block.  `written` is the row as its message came, so that it
 * need not be written again; or empty. */
bool block_add(struct buf *block, const struct message_row_audit *row, struct str written);

/* Where the rows of a block are. */
struct block_row {
    uint64_t sequence;
    struct str bytes; /* empty: unreadable */
};
struct block {
    uint64_t first;
    size_t count;
    struct block_row rows[BLOCK_ROWS_MAX];
};

/* Never fails.  From a row on that cannot be, all is one unreadable row; rows whose numbers do not
 * grow are left out, and so will be missed.  Borrows `bytes`. */
void block_open(struct block *block, uint64_t first, struct str bytes);

/* False when the row is unreadable.  Strings point into the block's bytes. */
bool block_read(const struct block *block, size_t i, struct message_row_audit *ret_row);

/* How many rows are numbered below `sequence`. */
size_t block_below(const struct block *block, uint64_t sequence);

#endif
