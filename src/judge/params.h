/* SPDX-License-Identifier: Apache-2.0 */
/*
 * params: the parameter rules of a key and of its ancestors.
 */
#ifndef JUDGE_PARAMS_H
#define JUDGE_PARAMS_H

#include "judge/state.h"

/* Connect accounts: a key without a list may name none.  False: the decision says why. */
bool params_accounts_in_head(const struct message_admit *admit, struct arena *arena,
                             struct decision *decision);
/* Headers that the credential has a value for (an organisation, a project) say that or nothing;
 * where it has none, they name an account. */
bool params_credential_headers(struct judge *judge, const struct message_admit *admit,
                               struct decision *decision);
bool params_accounts_in_body(const struct message_facts *facts, struct decision *decision);

/* Amount, currency, customer, recipients, senders, models; after the cost is known. */
bool params_allow(const struct message_admit *admit, const struct message_facts *facts,
                  struct arena *arena, struct decision *decision);

/* Does some rule of the key or of an ancestor need to see the body? */
bool params_need_body(struct key *key);

/* The key's mode lets pass what `key` (it, or an ancestor) refuses?  Then it is noted. */
bool observe_relaxes(struct decision *decision, const struct key *key, enum verdict verdict);

#endif
