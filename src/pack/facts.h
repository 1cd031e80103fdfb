/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts: what a body says about money.
 *
 * Pure: a reading rule and a whole body in, facts out.  What two parsers might read differently is
 * not read at all (FACTS_AMBIGUOUS): the same key twice, in two spellings, an encoded key name,
 * a duplicate JSON member, a number that is not plain.
 */
#ifndef PACK_FACTS_H
#define PACK_FACTS_H

#include "base/arena.h"
#include "pack/pack.h"

/* Fills state, problem, facts and fact_count of *ret; the rest is the caller's. */
void facts_read(const struct pack_read *read, struct str body, struct arena *arena,
                struct message_facts *ret);

/* A value of a form-encoded query by its decoded name; false when it is not there.  Sets *ret_twice
 * when it is there more than once, or in a spelling that hides it. */
bool facts_query_value(struct str query, struct str name, struct arena *arena,
                       struct str *ret_value, bool *ret_twice);

#endif
