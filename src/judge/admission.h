/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admission: what a gate and its reader say before a grant.
 *
 *     ADMIT ---> denied: ANSWER
 *           ---> a read: GRANT to the vault and GRANTED to the gate, at once
 *           ---> a body must be read: READ_BODY, then FACTS from the reader, then as below
 *           ---> else: hold, record and intent row; when they are durable, GRANT and GRANTED
 */
#ifndef JUDGE_ADMISSION_H
#define JUDGE_ADMISSION_H

#include "judge/state.h"

void admission_request(struct judge *judge, struct peer *gate, const struct message_admit *admit);
void admission_facts(struct judge *judge, struct request *request,
                     const struct message_facts *facts);

/* DONE without a grant: the client left before we answered. */
void admission_abandoned(struct judge *judge, struct peer *gate, uint64_t number);

/* The key's requests that have no grant yet are answered now. */
void admission_cut(struct judge *judge, struct key *key);

void admission_reader_gone(struct judge *judge, uint32_t index);

#endif
