/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide_parts: what decide.c (who, where to, may it) and decide_body.c (what does it cost) have of
 * one another.  Each bool: false, and the decision says why.
 */
#ifndef JUDGE_DECIDE_PARTS_H
#define JUDGE_DECIDE_PARTS_H

#include "judge/decide.h"

bool decide_is_capped(const struct decision *decision);     /* on some level */
int64_t decide_flat_price(const struct decision *decision); /* of the key's policy, or MONEY_NONE */
bool decide_allowed(const struct message_admit *admit, struct arena *arena,
                    struct decision *decision);
bool decide_credential_there(struct judge *judge, struct arena *arena, struct decision *decision);

#endif
