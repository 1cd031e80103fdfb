/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rows: audit rows as JSON objects and as CSV, by one table of columns.
 */
#ifndef CONTROL_ROWS_H
#define CONTROL_ROWS_H

#include "base/buf.h"
#include "store/query.h"

void rows_json(struct buf *out, const struct query_row *row); /* an object, without a line end */
void rows_csv_head(struct buf *out);                          /* these two with a line end */
void rows_csv(struct buf *out, const struct query_row *row);

/* One CSV field, quoted where needed; what a spreadsheet would take for a formula gets a ' . */
void rows_csv_text(struct buf *out, struct str text);

bool rows_event(struct str name, enum audit_event *ret_event); /* "request", "settled", ... */

#endif
