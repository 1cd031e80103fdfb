/* SPDX-License-Identifier: Apache-2.0 */
/*
 * turn: one request at a time.
 *
 * What must not be done twice at one time has a digest: an object at the vendor that is being
 * changed, an idempotency record whose first request has no answer.  A request takes the turn,
 * others that want it wait behind it, at most LIMIT_IN_FLIGHT_WAIT_MS, and are decided anew then.
 */
#ifndef JUDGE_TURN_H
#define JUDGE_TURN_H

#include "judge/state.h"

void turns_init(struct judge *judge);

/* Does another request have it? */
bool turn_is_taken(const struct judge *judge, const struct digest *name,
                   const struct request *by_other_than);

void turn_take(struct request *request, const struct digest *name); /* it is not taken by another */

/* `again` is called when the turn is free, or (`late`) when it took too long.  False: too many
 * wait for it already. */
bool turn_wait(struct request *request, const struct digest *name,
               void (*again)(struct request *request, bool late));

void turns_leave(struct request *request); /* all that it has or waits for; idempotent */

#endif
