/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tunnel: connections that are for another host than ours: by CONNECT, SOCKS5, or because they
 * came to a socket inside a sandbox.
 *
 * For a vendor's host we end the TLS, and each request is judged as at any door, by the key that it
 * carries; the tunnel's own key only says that somebody known asks.  Any other host must be named
 * by the key's policy and by those of its ancestors; then the dialer connects, and nobody looks
 * inside.
 */
#ifndef JUDGE_TUNNEL_H
#define JUDGE_TUNNEL_H

#include "judge/state.h"

/* One open tunnel: from TUNNELLED to TUNNEL_DONE. */
struct tunnel {
    struct judge *judge;
    uint64_t number; /* the gate's */
    struct peer *gate;
    struct key *key;      /* NULL: of a session without one, or the key is forgotten */
    struct list key_link; /* of key->tunnels */
    enum door door;
    bool splice;
    uint64_t dial;
    char *host; /* lower case */
    uint32_t port;
    char *source;
    uint64_t at_us;
    char request_id[64];
};

void tunnel_decide(struct judge *judge, struct peer *gate, const struct message_tunnel *ask);
void tunnel_done(struct judge *judge, struct peer *gate, const struct message_tunnel_done *done);
/* The gate has given up before it read our answer.  False: no tunnel of that number. */
bool tunnel_abandoned(struct peer *gate, uint64_t number);
void tunnels_gate_gone(struct peer *gate);
void tunnels_dialer_gone(struct judge *judge, const struct peer *dialer);
void tunnels_key_gone(struct key *key); /* its memory is about to be freed */

void tunnel_leaf_get(struct judge *judge, struct peer *gate, const struct message_leaf_get *get);
void tunnel_leaf_signed(struct judge *judge, const struct peer *vault,
                        const struct message_leaf *leaf);

#endif
