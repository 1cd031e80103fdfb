/* SPDX-License-Identifier: Apache-2.0 */
/*
 * decide: may this request pass?  The one path that both a real request and `explain` take; it
 * changes nothing.
 *
 *     decide_head   who is this, where does it go, may it go there; says which body rule to read by
 *     decide_body   what does it cost, is that allowed, does it fit
 */
#ifndef JUDGE_DECIDE_H
#define JUDGE_DECIDE_H

#include "judge/state.h"

/* `as` is the key to explain for; NULL: the one that was presented.  The texts of `admit` must
 * outlive the decision.  Returns ret->verdict, which is VERDICT_ALLOWED when the request may go on
 * to decide_body(). */
enum verdict decide_head(struct judge *judge, const struct message_admit *admit, struct key *as,
                         struct arena *arena, struct decision *ret);

/* `facts` is NULL when decide_head() asked for none. */
enum verdict decide_body(struct judge *judge, const struct message_admit *admit,
                         const struct message_facts *facts, struct arena *arena,
                         struct decision *decision);

/* Finds the key that was presented, whatever its vendor.  False: the decision says why. */
bool decide_find_key(struct judge *judge, const struct message_admit *admit,
                     struct decision *decision);

/* Is the decision's key still alive and not stopped?  If not, the decision says why. */
bool decide_lives(struct judge *judge, struct decision *decision);

/* Writes the reason and returns the verdict. */
enum verdict refuse(struct decision *decision, enum verdict verdict, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The value of a header, and how often it stands there. */
struct str admit_header(const struct message_admit *admit, struct str name, size_t *ret_count);

/* Does the vendor promise to do this request once only under one idempotency key? */
bool decide_key_is_honoured(const struct message_admit *admit, const struct decision *decision);

/* A repeat that goes under the hold of its object, which may have to be raised again for it. */
bool decide_repeats_on_object(const struct decision *decision);

/* What idempotency is scoped by: the key's own scope, its run, its label, its id. */
bool decide_source(const struct message_admit *admit, struct decision *decision);
struct str decide_scope(const struct key *key);

#endif
