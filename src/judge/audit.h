/* SPDX-License-Identifier: Apache-2.0 */
/*
 * audit: one row an event, chained.
 *
 * A read has one row, `request`, when it is over.  Everything else has its `request` row before it
 * is forwarded (it says what was allowed) and a `settled` row when it is over (it says what came of
 * it).  A refusal has one row.
 */
#ifndef JUDGE_AUDIT_H
#define JUDGE_AUDIT_H

#include "judge/state.h"

void audit_refused_request(struct judge *judge, struct request *request);
void audit_intent(struct judge *judge, struct request *request);
void audit_over(struct judge *judge, struct request *request);

/* A hold changed without an answer: resolved (after a restart), presumed (after its deadline).
 * `posted` is what this added to what was posted. */
void audit_hold(struct judge *judge, enum audit_event event, const struct hold *hold,
                const struct key *key, int64_t posted, const char *reason);

/* The same, by somebody. */
void audit_hold_by(struct judge *judge, enum audit_event event, const struct hold *hold,
                   const struct key *key, int64_t posted, const char *reason, struct str actor);

void audit_threshold(struct judge *judge, const struct crossing *crossing);

/* An operator's or a key holder's action.  `key` may be NULL. */
void audit_control(struct judge *judge, struct str actor, const char *action, const struct key *key,
                   struct str object, struct str detail);
void audit_server(struct judge *judge, const char *reason, struct str detail);

/* Of a tunnel that is spliced: its beginning (`done` is NULL) and its end. */
struct audit_tunnel {
    struct str request_id, host, source;
    const struct key *key; /* may be NULL */
    enum door door;
    uint32_t port;
    const char *reason;
    const struct message_tunnel_done *done;
};
void audit_tunnel(struct judge *judge, const struct audit_tunnel *tunnel);

void audit_tick(struct judge *judge); /* each second: counts; each minute: the head to be signed */
void audit_sign_head(struct judge *judge);
void audit_signed(struct judge *judge, const struct message_signed *signed_head);

#endif
