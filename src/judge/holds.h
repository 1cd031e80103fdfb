/* SPDX-License-Identifier: Apache-2.0 */
/*
 * holds: the holds in memory, their rows, and what happens to them without an answer.
 */
#ifndef JUDGE_HOLDS_H
#define JUDGE_HOLDS_H

#include "judge/state.h"

void holds_init(struct judge *judge);

struct hold *holds_find(const struct judge *judge, uint64_t number); /* or NULL */

/* Sets the decision's amount aside on all its levels, and writes the rows.  The decision has just
 * said that it fits (asserted). */
struct hold *holds_open(struct judge *judge, const struct decision *decision, uint64_t grant,
                        struct str vendor_key);

/* Moves it, writes its row, and forgets it when nothing refers to it any more: do not use `hold`
 * afterwards when hold_is_over(change->state).  Returns what was posted more. */
int64_t holds_change(struct judge *judge, struct hold *hold, const struct hold_change *change);

/* Nobody will say what came of it: all that it still holds counts, and the audit says so.  Of
 * `change` the caller fills in how that is known (presumed, estimated). */
void holds_post_held(struct judge *judge, struct hold *hold, struct hold_change change,
                     enum audit_event event, const char *reason);

/* By which rate of exchange it was set aside, and is settled; lives as long as the hold. */
struct cost_frozen holds_rate(const struct hold *hold);

/* It has become known which object it is for. */
void holds_name_object(struct judge *judge, struct hold *hold, struct str object);

/* It was over, and an operator has put its row right. */
void holds_corrected(struct judge *judge, const struct message_row_hold *row);

/* After loading: what was OPEN when the server died. */
void holds_load(struct judge *judge, const struct message_row_hold *row);
void holds_loaded(struct judge *judge);

/* Each second: UNKNOWN for 24 h is POSTED, as presumed. */
void holds_tick(struct judge *judge);

/* A record that referred to it is gone. */
void holds_record_gone(void *judge, uint64_t number);

#endif
