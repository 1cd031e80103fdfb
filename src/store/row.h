/* SPDX-License-Identifier: Apache-2.0 */
/*
 * row: a message struct as a row of a table and back, by its wire schema.
 *
 * Column n of the table is field n of the schema.  Numbers, bools and enums are INTEGER, money as
 * whole nano-dollars; strings TEXT (their bytes untouched) or, in the few columns that hold
 * anything but text, BLOB; digests BLOB, and the zero digest NULL.  Inside the store only.
 */
#ifndef STORE_ROW_H
#define STORE_ROW_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/wire.h"

/* Binds every field of `message`, from parameter 1 on.  Borrows its strings until the statement
 * has been stepped and reset. */
void row_bind(sqlite3_stmt *statement, const struct wire_schema *schema, const void *message);

/* The first schema->count columns as a struct.  Strings live until the statement moves on.  False
 * when a column is not what its field can be: somebody else has written it. */
bool row_read(sqlite3_stmt *statement, const struct wire_schema *schema, void *ret_message);

/* What a row's bytes add up to, so that a page that rotted is noticed.  No protection against
 * anybody; the audit's chain is. */
int64_t row_checksum(const struct wire_schema *schema, const void *message);

/* Text of a column, borrowed. */
struct str row_text(sqlite3_stmt *statement, int column);

#endif
