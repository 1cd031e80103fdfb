/* SPDX-License-Identifier: Apache-2.0 */
/*
 * objects: the objects at vendors for which money is held, and by which holds.
 *
 * An object is known by its vendor, the credential, the account and its id.  Usually one hold has
 * it.  While a key acts on an object that another key's hold has, both do: the acting key has
 * reserved in full, and on success the owner's is given up.
 */
#ifndef JUDGE_OBJECTS_H
#define JUDGE_OBJECTS_H

#include "judge/state.h"

void objects_init(struct judge *judge);

struct digest object_name(struct str vendor, uint64_t credential, struct str account,
                          struct str id);

/* The hold whose state the object's is: the oldest that is HELD.  NULL: none, or what a later
 * request did to it is not known, so that only the vendor can say. */
struct hold *objects_holder(const struct judge *judge, const struct digest *name);

/* Some open hold of it other than `but`, which may be NULL; NULL: none. */
struct hold *objects_holder_but(const struct judge *judge, const struct digest *name,
                                const struct hold *but);
struct digest objects_name_of(const struct hold *hold);

/* Puts an open hold with an object among those of the object, or takes it out. */
void objects_follow(struct judge *judge, struct hold *hold);
void objects_leave(struct judge *judge, struct hold *hold);

/* All that moved of the object, by what its open holds say. */
int64_t objects_posted(const struct judge *judge, const struct digest *name);

#endif
