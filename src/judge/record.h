/* SPDX-License-Identifier: Apache-2.0 */
/*
 * record: rows on their way to the scribe, and who waits for them.
 *
 * Everything that one loop turn writes is one batch.  Rows stay in a journal until the scribe says
 * COMMITTED; after STORE_REFUSED (disk full) the whole journal goes again, in order, until it is
 * taken.  Who waits too long, or for a batch that was refused, is told so and takes back what
 * he had done.
 */
#ifndef JUDGE_RECORD_H
#define JUDGE_RECORD_H

#include "judge/state.h"

void record_init(struct judge *judge);

/* False: what would need a durable row is to be refused (ledger_unavailable).  Reads, whose rows
 * nobody waits for, may come until the queue is full. */
bool record_has_room(const struct judge *judge, bool waits);

/* Rows of which there is always room: the caller has asked record_has_room(), or is closing what
 * was admitted. */
void record_row(struct judge *judge, enum message_type type, const void *row);

/* record_row() of a row of the audit, the next after the one whose hash is *head: the new head. */
void record_chained(struct judge *judge, const struct message_row_audit *row, struct digest *head);

/* Wakes `waiter` once: durable, or not (refused, or not within LIMIT_COMMIT_MS). */
void record_wait(struct judge *judge, struct waiter *waiter, void (*wake)(void *, bool), void *ctx);
void record_forget(struct waiter *waiter); /* idempotent; takes a zeroed one too */

void record_committed(struct judge *judge, const struct message_committed *committed);
void record_refused(struct judge *judge, const struct message_store_refused *refused);
void record_tick(struct judge *judge); /* every 100 ms or so: who has waited too long */

#endif
