/* SPDX-License-Identifier: Apache-2.0 */
/*
 * form: walks through an application/x-www-form-urlencoded text (a body or a query).
 *
 * Servers disagree about such texts more than about any other: whether ';' separates, which of two
 * equal keys counts, whether [amount], amount], amount[] or AMOUNT are amount.  So a key comes with
 * its fold, which is the same for all keys that some server may take for one another, and with
 * `plain`, which says that no server can take it for anything but itself.
 *
 * Refused as a whole: raw ';' and control characters, bad percent-encoding, names that are not
 * UTF-8 or have control characters, and more than FORM_PAIRS_MAX pairs.
 */
#ifndef PACK_FORM_H
#define PACK_FORM_H

#include "base/arena.h"
#include "base/str.h"

enum { FORM_PAIRS_MAX = 4096 };

struct form_pair {
    struct str name;  /* decoded */
    struct str fold;  /* its parts, each with '/' before it; in lower case, without indices and
                       * the characters "_-. " */
    bool plain;       /* nothing encoded but brackets, and well formed */
    struct str value; /* decoded */
    bool has_value;   /* there was an '=' */
};

struct form_scan {
    struct str rest;
    char *room; /* where decoded texts go */
    size_t pairs;
    bool too_many;
    const char *problem;
};

void form_begin(struct form_scan *scan, struct str text, struct arena *arena);

/* False at the end, and when something is refused: then scan->problem says what. */
bool form_next(struct form_scan *scan, struct form_pair *ret);

/* The fold of a decoded name. */
struct str form_fold(struct str name, struct arena *arena);

/* One of two folds is that of a part of the other's: amount and amount[value]. */
bool form_fold_within(struct str a, struct str b);

#endif
