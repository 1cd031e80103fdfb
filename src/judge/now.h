/* SPDX-License-Identifier: Apache-2.0 */
/*
 * now: the judge's clock.  Whoever handles a message or a timer updates it first.
 */
#ifndef JUDGE_NOW_H
#define JUDGE_NOW_H

#include "judge/state.h"

void now_update(struct judge *judge);

/* Each second, while the clock is suspect: does the system vouch for its time? */
void now_look_for_sync(struct judge *judge);

#endif
