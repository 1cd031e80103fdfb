/* SPDX-License-Identifier: Apache-2.0 */
/*
 * settle: what the outcome of a request means for its hold, and for those of the object that it
 * acted on.
 *
 *     its own hold, just opened       by the pack's rules
 *     the hold of its object          by the object's state in the answer; without one it stays as
 *                                     it is, and the vendor is asked
 *     a repeat under an older hold    only what nobody knew, and only by proof
 */
#ifndef JUDGE_SETTLE_H
#define JUDGE_SETTLE_H

#include "judge/state.h"
#include "pack/cost.h"

void settle_request(struct request *request);

/* By the object's state: amounts of the settlement are all that ever moved of it, and what the hold
 * had before its time is taken off.  True when it changed.  The hold may be gone afterwards. */
bool settle_by_object(struct judge *judge, struct hold *hold, const struct settlement *settlement,
                      const char *reason);

/* Another hold has taken the object over: what this one held is free. */
void settle_give_up(struct judge *judge, struct hold *hold, const char *reason);

#endif
