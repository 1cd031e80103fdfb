/* SPDX-License-Identifier: Apache-2.0 */
/*
 * shipped: the packs that we ship, compiled once.
 */
#ifndef FUZZ_SHIPPED_H
#define FUZZ_SHIPPED_H

#include <assert.h>

#include "base/arena.h"
#include "pack/load.h"

static inline const struct config *shipped(void)
{
    static struct config config;
    static struct arena *arena;
    struct err err;

    if (arena == NULL) {
        arena = arena_new();
        assert(load_builtin_packs(&config, arena, &err) == 0);
        assert(config_finish(&config, arena, &err) == 0);
    }
    return &config;
}

#endif
