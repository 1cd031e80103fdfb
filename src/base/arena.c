/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { BLOCK_SIZE = 4096 };

struct block {
    struct block *next;
    size_t size, used;
    alignas(max_align_t) unsigned char bytes[];
};

struct arena {
    struct block *blocks; /* the newest first */
};

struct arena *arena_new(void)
{
    return mem_zeroed(sizeof(struct arena));
}

static void free_blocks(struct block *block)
{
    while (block != NULL) {
        struct block *next = block->next;
        free(block);
        block = next;
    }
}

void arena_free(struct arena *arena)
{
    if (arena == NULL) {
        return;
    }
    free_blocks(arena->blocks);
    free(arena);
}

void arena_reset(struct arena *arena)
{
    if (arena->blocks == NULL) {
        return;
    }
    free_blocks(arena->blocks->next);
    arena->blocks->next = NULL;
    arena->blocks->used = 0;
    if (arena->blocks->size > BLOCK_SIZE) {
        free_blocks(arena->blocks);
        arena->blocks = NULL;
    }
}

void arena_wipe(struct arena *arena)
{
    for (struct block *block = arena->blocks; block != NULL; block = block->next) {
        mem_wipe(block->bytes, block->used);
    }
    arena_reset(arena);
}

void *arena_room(struct arena *arena, size_t size)
{
    if (size > SIZE_MAX / 2) {
        abort();
    }
    size_t need = (size + alignof(max_align_t) - 1) / alignof(max_align_t) * alignof(max_align_t);
    struct block *block = arena->blocks;

    if (block == NULL || block->size - block->used < need) {
        size_t room = need > BLOCK_SIZE ? need : BLOCK_SIZE;
        block = mem_grow(NULL, 1, sizeof(struct block) + room);
        *block = (struct block){.next = arena->blocks, .size = room};
        arena->blocks = block;
    }
    void *memory = block->bytes + block->used;
    block->used += need;
    return memory;
}

void *arena_zeroed(struct arena *arena, size_t count, size_t size)
{
    if (size != 0 && count > (SIZE_MAX / 2) / size) {
        abort();
    }
    void *memory = arena_room(arena, count * size);
    memset(memory, 0, count * size);
    return memory;
}

struct str arena_copy(struct arena *arena, struct str s)
{
    char *copy = arena_room(arena, s.len + 1);

    if (s.len > 0) {
        memcpy(copy, s.data, s.len);
    }
    copy[s.len] = '\0';
    return (struct str){copy, s.len};
}
