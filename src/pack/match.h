/* SPDX-License-Identifier: Apache-2.0 */
/*
 * match: which operation of a pack a request is.
 *
 * The path is matched as the bytes that will be sent.  Among the patterns that fit, the one with
 * most literal segments wins, then one without `{x...}`, then the one whose literals stand further
 * left, then one that names the method.
 */
#ifndef PACK_MATCH_H
#define PACK_MATCH_H

#include "pack/pack.h"

enum { MATCH_PARAMS_MAX = 12 };

struct match_param {
    struct str name, value; /* the value as in the path, not decoded */
};

struct match {
    const struct pack_operation *operation; /* NULL: not in the catalogue */
    uint32_t upstream;
    struct match_param params[MATCH_PARAMS_MAX];
    size_t param_count;
};

/* Made by config_finish(); NULL when a path of the pack is not valid. */
const struct match_index *match_index_new(const struct pack *pack, struct arena *arena);

/* "/v1/{id}/x", "/v1/{Sid}.json", "/v1/{rest...}": begins with '/', no empty segment. */
bool match_pattern_is_valid(struct str path);

/*
 * True when the path is in the catalogue for this method (HEAD as GET).
 *
 * `upstream` is PACK_NONE where the door does not say which host is meant (a base URL): then the
 * pack's default upstream is tried, then the others; what two others have alike is not found.
 * ret->upstream is where the request goes, also when it is not in the catalogue.
 */
bool match_find(const struct pack *pack, uint32_t upstream, struct str method, struct str path,
                struct match *ret);
struct str match_param(const struct match *match, struct str name); /* empty when not there */

/* An operation of class mint, admin or unbounded, of any method, whose path this is once folded:
 * lower case, no final slash, no .json/.xml/.csv.  NULL when there is none. */
const struct pack_operation *match_guarded(const struct pack *pack, struct str path);

/* Is it an operation at some host of the vendor, whichever?  A host that is named before the path
 * must not turn it into one that nobody knows: what a credential's own upstream does with it is not
 * known here. */
bool match_is_known(const struct pack *pack, struct str method, struct str path);

/* Does a path, also one that is not in the catalogue, have anything but `expected` where the paths
 * of the catalogue that begin like it have the parameter?  Letters of either case are the same in
 * what stands before, and an ending such as ".json" is left out. */
bool match_names_other(const struct pack *pack, struct str path, struct str param,
                       struct str expected);

#endif
