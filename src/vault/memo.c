/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/memo.h"

#include <string.h>

/* Of the first eight bytes, the last eight and the length. */
static size_t place_of(struct str name)
{
    uint64_t first = 0, last = 0;
    size_t part = name.len < sizeof(first) ? name.len : sizeof(first);

    memcpy(&first, name.data, part);
    memcpy(&last, name.data + name.len - part, part);
    uint64_t mixed = (first ^ (last << 1) ^ name.len) * 0x9e3779b97f4a7c15u;
    return (size_t)(mixed >> 58);
}
_Static_assert(MEMO_SLOTS == 1 << (64 - 58), "six bits");

struct memo_slot *memo_find(struct memo *memo, const struct memo_key *key, struct str name,
                            bool *ret_known)
{
    *ret_known = false;
    if (name.len == 0 || name.len > MEMO_NAME_BYTES) {
        return NULL;
    }
    struct memo_slot *slot = &memo->slots[place_of(name)];
    if (slot->generation == key->generation && slot->pack == key->pack &&
        slot->range_allowed == key->range_allowed && slot->len == name.len &&
        memcmp(slot->name, name.data, name.len) == 0) {
        *ret_known = key->generation != 0;
        return slot;
    }
    slot->generation = key->generation;
    slot->pack = key->pack;
    slot->range_allowed = key->range_allowed;
    slot->len = (unsigned char)name.len;
    memcpy(slot->name, name.data, name.len);
    return slot;
}
