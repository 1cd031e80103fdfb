/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json: what the control API and a key's holder are shown.
 */
#ifndef JUDGE_JSON_H
#define JUDGE_JSON_H

#include "base/json_out.h"
#include "judge/state.h"

/* A key with its policy and what it has spent. */
void json_key(struct json_out *out, const struct judge *judge, struct key *key);
/* The same to whoever made its policy, with `warnings` about that; `token`, where there is one, is
 * shown this once. */
void json_key_changed(struct json_out *out, const struct judge *judge, struct key *key,
                      struct str token);
void json_key_for_self(struct json_out *out, const struct judge *judge, struct key *key);
/* What a revoke leaves: status, spent_usd, held_usd, open_objects. */
void json_key_end(struct json_out *out, const struct judge *judge, struct key *key, bool with_id);

void json_credential(struct json_out *out, const struct credential *credential);
void json_tenant(struct json_out *out, const struct judge *judge, const struct tenant *tenant);
void json_hold(struct json_out *out, const struct judge *judge, const struct hold *hold);
void json_stop(struct json_out *out, const struct stop *stop);
/* To whoever added it: with how many live keys it stops. */
void json_stop_added(struct json_out *out, const struct stop *stop, uint64_t live_keys);
/* `secret` is the token itself, shown once when it is made; else empty. */
void json_operator(struct json_out *out, const struct operator_token *token, struct str secret);
void json_price(struct json_out *out, struct str vendor, const struct pack_rate *rate,
                bool from_pack);
void json_fx(struct json_out *out, const struct config *config);
void json_decision(struct json_out *out, const struct judge *judge,
                   const struct decision *decision);

const char *operator_role_name(enum operator_role role);

#endif
