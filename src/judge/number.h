/* SPDX-License-Identifier: Apache-2.0 */
/*
 * number: the numbers of keys, holds and grants, which are never used twice.
 *
 * What was numbered may have left the store's reach since, so a ceiling is stored: all numbers in
 * use are below it, and after a start counting goes on from there.
 */
#ifndef JUDGE_NUMBER_H
#define JUDGE_NUMBER_H

#include "judge/state.h"

void number_init(struct judge *judge);
uint64_t number_take(struct judge *judge, enum number kind);

/* While loading: a number in use, and a ceiling; the latter says whether the meta row was one. */
void number_seen(struct judge *judge, enum number kind, uint64_t number);
bool number_load(struct judge *judge, const struct message_row_meta *row);

#endif
