/* SPDX-License-Identifier: Apache-2.0 */
/*
 * splice: a judged body is changed where keybrake puts a value into it: a limit, an amount that was
 * not named.
 *
 * The reader says where (message_place), the judge what (splice_put), the vault does it
 * (splices_apply) after the client's body has been compared with the one that was judged.  Pure.
 */
#ifndef PACK_SPLICE_H
#define PACK_SPLICE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "pack/pack.h"

struct splices {
    struct message_splice list[LIMIT_SPLICES]; /* in order; their bytes are in the arena */
    size_t count;
};

/* Puts `value` where the selector's value stands, or adds it; at most once a selector.  -1 with the
 * reason when there is no place for it. */
int splice_put(struct splices *splices, const struct pack_read *read,
               const struct message_facts *facts, uint32_t selector, uint64_t value,
               struct arena *arena, struct err *err);

/* In order, apart, within a body of that length, and adding no more than LIMIT_SPLICED_BYTES. */
bool splices_are_valid(const struct message_splice *list, size_t count, uint64_t body_length);

/* Of valid ones: the length of the body afterwards. */
uint64_t splices_length(const struct message_splice *list, size_t count, uint64_t body_length);

/* Of valid ones.  False when `out` is full. */
bool splices_apply(const struct message_splice *list, size_t count, struct str body,
                   struct buf *out);

#endif
