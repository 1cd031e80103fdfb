/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rates: the operator's exchange rates, in place of those that the configuration came with, as long
 * as these are not newer.
 */
#ifndef JUDGE_RATES_H
#define JUDGE_RATES_H

#include "judge/state.h"

/* True when it was the row of the rates. */
bool rates_load(struct judge *judge, const struct message_row_meta *row);

/* To every generation of the configuration; after each new one. */
void rates_apply(struct judge *judge);

/* Takes them over (they are copied) and writes their row. */
void rates_put(struct judge *judge, const struct call_fx *fx);

#endif
