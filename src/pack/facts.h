/* SPDX-License-Identifier: Apache-2.0 */
/*
 * facts: what a body says about money.
 *
 * Pure: a reading rule and a whole body in, facts out.  What two parsers might read differently is
 * not read at all (FACTS_AMBIGUOUS): the same key twice, in two spellings, an encoded key name,
 * a duplicate JSON member, a number that is not plain.
 *
 * An amount counts as FACT_INTEGER only in plain digits: in a form 5000, but not 5e3, +5000,
 * 05000 or " 5000"; in JSON 5000 and -5000, but not 5e3, 5000.0, -0 or "5000".  Those are
 * FACT_TEXT.
 *
 * A `*` that meets several elements gives their value when they are all alike, else the body is
 * ambiguous.  A counter that meets nothing is 0.  An empty body has no facts.
 */
#ifndef PACK_FACTS_H
#define PACK_FACTS_H

#include "base/arena.h"
#include "pack/pack.h"

enum {
    FACTS_SELECTORS_MAX = 64,
    FACTS_TEXT_MAX = 16 * 1024,   /* one text; longer: FACTS_TOO_LARGE */
    FACTS_TEXTS_MAX = 256 * 1024, /* all of one body */
};

/* Fills state, problem, facts and fact_count of *ret; the rest is the caller's.  When the
 * state is FACTS_OK there are as many facts as selectors, else none; the texts are in the body or
 * in the arena. */
void facts_read(const struct pack_read *read, struct str body, struct arena *arena,
                struct message_facts *ret);

/* The fact of a selector; an absent one for PACK_NONE, no facts, or a body that was not read. */
struct message_fact facts_get(const struct message_facts *facts, uint32_t selector);

/* A value of a form-encoded query by its decoded name; false when it is not there.  Sets *ret_twice
 * when it is there more than once, or in a spelling that hides it, or the query cannot be read. */
bool facts_query_value(struct str query, struct str name, struct arena *arena,
                       struct str *ret_value, bool *ret_twice);

/* Does the query name an account in a key that is none of the pack's account parameters, or cannot
 * that be told? */
bool facts_query_hides_account(const struct pack *pack, struct str query, struct arena *arena);

/* Some form key of `read`, selected or to stand once, is also in the query, in any spelling, or the
 * query cannot be read: which of the two counts, only the vendor knows. */
bool facts_query_touches(const struct pack_read *read, struct str query, struct arena *arena,
                         struct str *ret_name);

#endif
