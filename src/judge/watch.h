/* SPDX-License-Identifier: Apache-2.0 */
/*
 * watch: what became of money when no answer said so: the vendor is asked.
 *
 * A hold that is HELD is looked at after 5 minutes, an hour, then 6-hourly, and when its key ends,
 * also long after the key has gone.  One that is UNKNOWN, or HELD in doubt, is looked at within a
 * second, then ever more seldom, until it is known or its deadline passes.  An UNKNOWN one of which
 * not even the object is known is looked for among the vendor's events, by the idempotency key that
 * went out with it; not to find it there proves nothing.
 */
#ifndef JUDGE_WATCH_H
#define JUDGE_WATCH_H

#include "judge/state.h"

void watches_init(struct judge *judge);

/* It was changed, or loaded: when it must be looked at next, if at all. */
void watch_hold(struct judge *judge, const struct hold *hold);
void watch_doubt(struct judge *judge, struct hold *hold); /* HELD, and a request went astray */

void watch_over(struct judge *judge, uint64_t hold); /* it is known */

void watch_key_ended(struct judge *judge, const struct key *key);

#endif
