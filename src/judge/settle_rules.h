/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle_rules: what an outcome proves, and what it makes of a hold.  Pure.
 */
#ifndef JUDGE_SETTLE_RULES_H
#define JUDGE_SETTLE_RULES_H

#include "ledger/hold.h"
#include "pack/cost.h"

/* May a later attempt under the same hold settle it?  Only what nobody knew, and only by proof: a
 * status that is free proves nothing about the first attempt, unless it is the vendor's replay. */
bool settle_by_repeat(enum hold_state state, const struct settlement *settlement, bool replayed);

/* An attempt before this one was sent and never answered.  What is refused at the second may have
 * been done at the first: many vendors look at limits and keys before they look for a repeat. */
bool settle_proves_nothing(const struct message_outcome *outcome);

/* What an object has come to, as a change of the hold that has it: what had moved before the hold's
 * time is not its own, and what it has posted stays, whatever the vendor says later. */
struct hold_change settle_object_change(const struct message_row_hold *row,
                                        const struct settlement *settlement, int64_t now_ms);

#endif
