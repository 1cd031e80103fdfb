/* SPDX-License-Identifier: Apache-2.0 */
/*
 * table: finds things by a key of fixed size, in an open-addressing table of pointers.
 *
 * The key is a field of the thing itself.  It must be spread well already (a digest, a random
 * number) or be at most 8 bytes (a counter), which are mixed here by a secret of the table's: an
 * intruder in a gate chooses its numbers, and cannot choose where they go.  The table never owns
 * the things.
 */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include <stddef.h>
#include <stdint.h>

struct table {
    void **slots;
    size_t size; /* a power of two, or 0 */
    size_t count;
    size_t key_offset, key_size;
    uint64_t secret; /* odd; 0 as long as nothing is in it */
};

#define TABLE_OF(type, field)                                                                      \
    ((struct table){.key_offset = offsetof(type, field), .key_size = sizeof(((type *)0)->field)})

void table_clear(struct table *table); /* forgets all things */

void *table_find(const struct table *table, const void *key); /* or NULL */
void table_add(struct table *table, void *thing);             /* its key is not in yet */
void *table_remove(struct table *table, const void *key);     /* what was taken out, or NULL */

/* Every thing, in no order: start with *at = 0, ends with NULL.  Do not add or remove meanwhile. */
void *table_next(const struct table *table, size_t *at);

#endif
