/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fetch: what keybrake asks of a vendor by itself.
 *
 * A GET, or a POST without a body that ends an object and moves nothing (`on_key_end`), with the
 * operator's credential: nothing is bought by it, and no sandbox sees its answer.  A vault sends
 * it, the reader of the same index reads the answer under a rule of the pack, and the facts count
 * only if their digest is the vault's.
 *
 *     judge -> vault   FETCH       like a GRANT that no gate comes for
 *     vault -> reader  the answer
 *     reader -> judge  FACTS
 *     vault -> judge   OUTCOME
 */
#ifndef JUDGE_FETCH_H
#define JUDGE_FETCH_H

#include "judge/state.h"

struct fetch;

/* All is borrowed for the call. */
struct fetch_ask {
    struct generation *generation; /* kept until the answer */
    uint32_t pack_index, upstream;
    const struct credential *credential;
    struct str path, query;   /* as they go out; query empty: none */
    struct str account;       /* "stripe-account=acct_1": a header of the pack; empty: none */
    uint32_t rule;            /* config->reads: what of the answer is wanted; 0: only its status */
    const struct peer *vault; /* the preferred one; NULL: any */
    struct str cancel_key;    /* not empty: a POST with this idempotency key */
};

struct fetch_answer {
    const struct generation *generation;
    uint32_t status;                   /* 0: nobody answered */
    const struct message_facts *facts; /* of the answer; NULL: not to be read, or not all of it */
    struct str problem;                /* why there is no status; no secrets */
};

/* `done` is called once, later, unless the fetch is dropped first.  False when there is no vault to
 * ask, or too many are under way; then `done` is not called. */
bool fetch_begin(struct judge *judge, const struct fetch_ask *ask,
                 void (*done)(void *ctx, const struct fetch_answer *answer), void *ctx,
                 struct fetch **ret);
void fetch_drop(struct fetch *fetch); /* the answer is not wanted any more; takes NULL too */

void fetches_init(struct judge *judge);
bool fetch_outcome(struct judge *judge, struct peer *vault, const struct message_outcome *outcome);
bool fetch_facts(struct judge *judge, struct peer *reader, const struct message_facts *facts);
void fetch_vault_gone(struct judge *judge, const struct peer *vault);

#endif
