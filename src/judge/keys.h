/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keys: the vault keys, as a tree.
 */
#ifndef JUDGE_KEYS_H
#define JUDGE_KEYS_H

#include "judge/state.h"

void keys_init(struct judge *judge);

struct key *keys_by_token(const struct judge *judge, const struct digest *token);
struct key *keys_by_id(const struct judge *judge, struct str id);
struct key *keys_by_number(const struct judge *judge, uint64_t number);
struct str key_id(const struct key *key);

/* Adds a key as stored, or replaces what is known of one.  NULL when the row is not to be
 * understood (logged). */
struct key *keys_put(struct judge *judge, const struct message_row_key *row);
void keys_remove(struct judge *judge, struct key *key); /* one that never became durable */
void keys_link_parents(struct judge *judge);            /* after loading */

/* The row of a key, for the store.  Borrowed from the key. */
void key_row(const struct key *key, struct message_row_key *ret);
void key_set_token(struct judge *judge, struct key *key, const struct digest *token,
                   struct str hint);
/* Another policy, encoded; the version grows. */
void key_set_policy(struct key *key, struct str policy_bytes);

/* What holds now, expiry included; of the key alone. */
enum key_status key_status_now(const struct judge *judge, const struct key *key);
const char *key_status_name(enum key_status status);
/* The key or the nearest ancestor that is not active; NULL: all are. */
const struct key *key_first_inactive(const struct judge *judge, const struct key *key,
                                     enum key_status *ret_status);
bool key_is_below(const struct key *key, const struct key *ancestor); /* or the same */
size_t key_depth(const struct key *key);                              /* 1 for a root */

/* Ends it in memory: the token is dead from here on.  Rows are the caller's. */
void key_end(struct judge *judge, struct key *key, enum key_status status);

/* Sets the timer by which it expires (anew, after the policy changed).  Boot time may run apart
 * from the clock guard's, so who is woken looks again. */
void key_watch_expiry(struct key *key);

/* Each second: forgets those that ended longest ago, when too many are remembered. */
void keys_tick(struct judge *judge);

/* Taken apart for judging; NULL when it cannot be (then nothing is allowed). */
const struct rules *key_rules(struct key *key);

bool key_hides_client_secret(struct key *key); /* by its policy or an ancestor's */
bool key_cancels_open(struct key *key);        /* on_key_end; by its policy or an ancestor's */

/* All budgets that a request of this key is charged to, on `day` and for life. */
size_t key_levels(const struct key *key, int64_t day, struct level *levels);

#endif
