/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grant: from the judge's word to a vault until nothing more will be heard of a request.
 *
 *     GRANT, GRANTED -> SENT -> OUTCOME -> (FACTS of the answer) -> settled, durable -> RELEASE
 *                                                                                    -> DONE
 *
 * A hold is voided only when the vault says that nothing was sent, or when a dead vault's channel,
 * read to its end, holds no SENT.
 */
#ifndef JUDGE_GRANT_H
#define JUDGE_GRANT_H

#include "judge/state.h"

bool grant_possible(const struct request *request); /* there is a vault to take it */
void grant_send(struct request *request);
struct str grant_vendor_key(struct request *request); /* that goes out with it; empty: none */

void grant_sent(struct judge *judge, struct peer *vault, uint64_t grant);
void grant_outcome(struct judge *judge, struct peer *vault, const struct message_outcome *outcome);
void grant_answer_facts(struct judge *judge, struct peer *reader,
                        const struct message_facts *facts);
void grant_done(struct judge *judge, struct peer *gate, const struct message_done *done);

/* All that they had sent has been handled. */
void grant_vault_gone(struct judge *judge, struct peer *vault);
void grant_gate_gone(struct judge *judge, struct peer *gate);

#endif
