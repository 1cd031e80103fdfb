/* SPDX-License-Identifier: Apache-2.0 */
/*
 * arena: memory that is freed as a whole: of one message, one request, or one configuration.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

struct arena;

struct arena *arena_new(void);
void arena_free(struct arena *arena);  /* takes NULL too */
void arena_reset(struct arena *arena); /* frees what was taken, keeps one block for the next use */
void arena_wipe(struct arena *arena);  /* overwrites what was taken, then resets */

void *arena_zeroed(struct arena *arena, size_t count, size_t size); /* aligned for any type */
void *arena_room(struct arena *arena, size_t size);       /* the same, with anything in it */
struct str arena_copy(struct arena *arena, struct str s); /* and a NUL behind it */

#endif
