/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cost_amount: what one amount of a pack comes to, given the facts.  Private to this folder.
 */
#ifndef PACK_COST_AMOUNT_H
#define PACK_COST_AMOUNT_H

#include "pack/cost.h"

const struct pack_cost *cost_of(const struct pack *pack, const struct match *match); /* or NULL */

/* AMOUNT_MINOR and AMOUNT_RATE.  `read` is the rule of the facts, for the names in reasons; Of a
 * request, stale rates are refused, and one without a currency is taken in the dearest; money that
 * has moved, by an answer, is counted at any rate. */
enum cost_verdict cost_amount(const struct cost_question *question,
                              const struct pack_amount *amount, uint32_t read,
                              const struct message_facts *facts, bool of_request, struct cost *ret,
                              struct err *err);

/* Status 0: about a request. */
bool cost_condition_holds(const struct pack_condition *condition, uint32_t status,
                          const struct message_facts *facts);

#endif
