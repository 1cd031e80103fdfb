/* SPDX-License-Identifier: Apache-2.0 */
#include "base/table.h"

#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"

enum { SMALLEST = 16 };

static const void *key_of(const struct table *table, const void *thing)
{
    return (const unsigned char *)thing + table->key_offset;
}

/* Nearly all keys are numbers, and a call for eight bytes costs more than the comparison. */
static bool is_key(const struct table *table, const void *thing, const void *key)
{
    const void *its = key_of(table, thing);

    if (table->key_size == sizeof(uint64_t)) {
        return memcmp(its, key, sizeof(uint64_t)) == 0;
    }
    return memcmp(its, key, table->key_size) == 0;
}

static size_t home_of(const struct table *table, const void *key)
{
    uint64_t word = 0;

    memcpy(&word, key, table->key_size < sizeof(word) ? table->key_size : sizeof(word));
    word ^= word >> 32;
    word *= table->secret;
    word ^= word >> 32; /* the upper half is where a product by an unknown number is well mixed */
    return (size_t)word & (table->size - 1);
}

void table_clear(struct table *table)
{
    free(table->slots);
    table->slots = NULL;
    table->size = table->count = 0;
}

static size_t slot_of(const struct table *table, const void *key)
{
    size_t at = home_of(table, key);

    while (table->slots[at] != NULL && !is_key(table, table->slots[at], key)) {
        at = (at + 1) & (table->size - 1);
    }
    return at;
}

void *table_find(const struct table *table, const void *key)
{
    return table->size == 0 ? NULL : table->slots[slot_of(table, key)];
}

static void grow(struct table *table)
{
    if (table->secret == 0) {
        random_bytes(&table->secret, sizeof(table->secret));
        table->secret |= 1;
    }
    struct table bigger = *table;

    bigger.size = table->size == 0 ? SMALLEST : table->size * 2;
    bigger.slots = mem_array(bigger.size, sizeof(void *));
    for (size_t i = 0; i < table->size; i++) {
        if (table->slots[i] != NULL) {
            bigger.slots[slot_of(&bigger, key_of(table, table->slots[i]))] = table->slots[i];
        }
    }
    free(table->slots);
    *table = bigger;
}

void table_add(struct table *table, void *thing)
{
    if ((table->count + 1) * 4 > table->size * 3) {
        grow(table);
    }
    size_t at = slot_of(table, key_of(table, thing));
    assert(table->slots[at] == NULL);
    table->slots[at] = thing;
    table->count++;
}

void *table_remove(struct table *table, const void *key)
{
    if (table->size == 0) {
        return NULL;
    }
    size_t mask = table->size - 1;
    size_t hole = slot_of(table, key);
    void *taken = table->slots[hole];

    if (taken == NULL) {
        return NULL;
    }
    table->slots[hole] = NULL;
    table->count--;
    /* Moves back what had been pushed past the hole, so that no tombstones are needed. */
    for (size_t at = (hole + 1) & mask; table->slots[at] != NULL; at = (at + 1) & mask) {
        size_t home = home_of(table, key_of(table, table->slots[at]));
        if (((at - home) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            table->slots[at] = NULL;
            hole = at;
        }
    }
    return taken;
}

void *table_next(const struct table *table, size_t *at)
{
    while (*at < table->size) {
        void *thing = table->slots[(*at)++];
        if (thing != NULL) {
            return thing;
        }
    }
    return NULL;
}
