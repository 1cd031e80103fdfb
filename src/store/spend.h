/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spend: sums of what audit rows post, gathered during a transaction and written at its end, so
 * that a busy key costs one row a commit and not one a request.  Inside the store only.
 */
#ifndef STORE_SPEND_H
#define STORE_SPEND_H

#include <sqlite3.h>

#include "base/err.h"
#include "store/store.h"

struct spend;

struct spend *spend_new(sqlite3 *db, struct err *err);
void spend_free(struct spend *spend); /* takes NULL too */

enum store_result spend_add(struct spend *spend, const struct message_row_audit *row,
                            struct err *err);
enum store_result spend_flush(struct spend *spend, struct err *err);
void spend_forget(struct spend *spend); /* after a rollback */

#endif
