/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memo: what was said of a header name before.  Clients send the same dozen names with each
 * request, and each is compared with a hundred spellings.
 *
 * A verdict is remembered for exactly these bytes, under one configuration, pack and rule for
 * ranges; whoever sends other names can only make it forgotten.
 */
#ifndef VAULT_MEMO_H
#define VAULT_MEMO_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

enum { MEMO_SLOTS = 64, MEMO_NAME_BYTES = 46 };

struct memo_slot {
    uint64_t generation; /* 0: empty */
    uint32_t pack;
    unsigned char range_allowed, len;
    bool dropped;
    char name[MEMO_NAME_BYTES];
};

struct memo {
    struct memo_slot slots[MEMO_SLOTS];
};

struct memo_key {
    uint64_t generation;
    uint32_t pack;
    bool range_allowed;
};

/* The place for this name; NULL when it is too long to be kept.  *ret_known: `dropped` is there.
 * Else the caller fills it in at once. */
struct memo_slot *memo_find(struct memo *memo, const struct memo_key *key, struct str name,
                            bool *ret_known);

#endif
