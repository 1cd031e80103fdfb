/* SPDX-License-Identifier: Apache-2.0 */
/*
 * search: holds whose object at the vendor is not known yet, by the idempotency key that went out.
 */
#ifndef JUDGE_SEARCH_H
#define JUDGE_SEARCH_H

#include "judge/state.h"

void searches_init(struct judge *judge);

void search_begin(struct judge *judge, const struct hold *hold); /* if there is one to look for */
void search_over(struct judge *judge, uint64_t hold);            /* idempotent */

/* The hold with that key at the same vendor, credential and account as `like`; NULL: none. */
struct hold *search_find(const struct judge *judge, const struct hold *like, struct str vendor_key);

#endif
