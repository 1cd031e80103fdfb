/* SPDX-License-Identifier: Apache-2.0 */
/*
 * revoke: ending keys, and cutting what runs under them.
 *
 * The judge forgets the key at once, its row becomes durable, and every vault aborts the key's
 * upstream connections whose request was not fully sent; then `done` is called.  A vault that is
 * silent for 250 ms is killed, which aborts them too.  Gates end the live streams; nobody waits for
 * them, and one silent for 1 s is killed.
 */
#ifndef JUDGE_REVOKE_H
#define JUDGE_REVOKE_H

#include "judge/state.h"

/* Called once; `durable` is false when the store did not take the row (yet). */
typedef void revoke_done(void *ctx, bool durable);

void revoke_init(struct judge *judge);

/* Ends the key and all below it (idempotent), or pauses it; rows but not the audit. */
void revoke_key(struct judge *judge, struct key *key, enum key_status status, revoke_done *done,
                void *ctx);
void revoke_stop(struct judge *judge, const struct stop *stop, revoke_done *done, void *ctx);
void revoke_expired(struct key *key); /* its timer */

void revoke_confirmed(struct judge *judge, struct peer *peer, uint64_t cut);
void revoke_peer_gone(struct judge *judge); /* some vault or gate has gone */

#endif
