/* SPDX-License-Identifier: Apache-2.0 */
/*
 * request: one admission, from ADMIT until nothing more will be heard of it.
 */
#ifndef JUDGE_REQUEST_H
#define JUDGE_REQUEST_H

#include "judge/state.h"

void requests_init(struct judge *judge);

/* With a deep copy of `admit`. */
struct request *request_new(struct judge *judge, struct peer *gate,
                            const struct message_admit *admit);
void request_free(struct request *request); /* out of all tables; ends its rates */

struct request *request_of_gate(struct peer *gate, uint64_t number);         /* or NULL */
struct request *request_of_grant(const struct judge *judge, uint64_t grant); /* or NULL */

void request_move(struct request *request, enum request_state next);

/* The decision was made for a key: it counts in the rates of the key and its ancestors. */
void request_begin(struct request *request);

void facts_copy(struct arena *arena, const struct message_facts *facts, struct message_facts *ret);
void generation_leave(struct judge *judge, struct generation *generation); /* one user less */

/* Renders the decision's refusal in the vendor's words and sends it to the gate. */
void request_send_denial(struct request *request);
void request_send_answer(struct request *request, struct message_answer *answer);

/* A refusal instead of GRANTED: audit row, answer, and the request is gone. */
void request_deny(struct request *request);

#endif
