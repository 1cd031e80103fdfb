/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_alloc.h"

#include <jansson.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/mem.h"

struct block {
    size_t size;
    alignas(max_align_t) unsigned char bytes[];
};

static void *wiped_malloc(size_t size)
{
    if (size > PTRDIFF_MAX - sizeof(struct block)) {
        return NULL;
    }
    struct block *block = malloc(sizeof(*block) + size);
    if (block == NULL) {
        return NULL;
    }
    block->size = size;
    return block->bytes;
}

static void wiped_free(void *bytes)
{
    if (bytes == NULL) {
        return;
    }
    struct block *block =
        (struct block *)(void *)((unsigned char *)bytes - offsetof(struct block, bytes));
    mem_wipe(block->bytes, block->size);
    free(block);
}

void json_alloc_free(void *text)
{
    json_free_t release;

    json_get_alloc_funcs(NULL, &release);
    release(text);
}

void json_alloc_setup(void)
{
    size_t seed;

    random_bytes(&seed, sizeof(seed));
    json_set_alloc_funcs(wiped_malloc, wiped_free);
    json_object_seed(seed == 0 ? 1 : seed); /* else it would open /dev/urandom when confined */
}
