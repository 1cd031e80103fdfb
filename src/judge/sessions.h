/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sessions: sandboxes, each with the keys that were made for it.
 *
 * A session lives as long as its launcher's connection with control, and not a moment longer than
 * control or we do: then its keys are revoked.  Its keys work only on its own sockets, which are at
 * one gate, and nothing else works there.
 */
#ifndef JUDGE_SESSIONS_H
#define JUDGE_SESSIONS_H

#include "judge/state.h"

struct session {
    struct token id; /* "ses_..." */
    uint32_t gate;   /* the index of the gate that has its sockets */
    char *actor;     /* who opened it */
    uint64_t keys[LIMIT_SESSION_KEYS];
    size_t key_count;
    struct list link;
};

void sessions_init(struct judge *judge);

/* Control is gone, and with it all that knew of the sessions' ends. */
void sessions_control_gone(struct judge *judge);
/* After loading: keys of sessions that we did not live to see the end of. */
void sessions_loaded(struct judge *judge);

/* May a key be used in this session (empty: at a public door)?  If not, the decision says why. */
bool sessions_allow(const struct key *key, struct str session, struct decision *decision);
/* Are the sockets of the key's session at that gate?  True of keys without a session. */
bool sessions_at_gate(const struct key *key, uint32_t gate);

#endif
