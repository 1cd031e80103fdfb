/* SPDX-License-Identifier: Apache-2.0 */
#include "base/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <string.h>

#include "base/test.h"

static bool is_zero(const unsigned char *at, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (at[i] != 0) {
            return false;
        }
    }
    return true;
}

/* Many sizes, across blocks and again after a reset: aligned, zero, and not overlapping. */
static void test_memory(void)
{
    struct arena *arena = arena_new();

    for (int round = 0; round < 3; round++) {
        unsigned char *before = NULL;
        size_t before_size = 0;
        for (size_t size = 1; size < 20000; size = size * 3 / 2 + 1) {
            unsigned char *at = arena_zeroed(arena, size, 1);
            CHECK((uintptr_t)at % alignof(max_align_t) == 0);
            CHECK(is_zero(at, size));
            CHECK(before == NULL || at + size <= before || before + before_size <= at);
            memset(at, 0xff, size);
            before = at;
            before_size = size;
        }
        arena_reset(arena);
    }
    arena_free(arena);
}

static void test_copies(void)
{
    struct arena *arena = arena_new();
    struct str copy = arena_copy(arena, STR("text"));

    CHECK(str_equal(copy, STR("text")) && copy.data[4] == '\0');
    copy = arena_copy(arena, STR_NONE);
    CHECK(copy.len == 0 && copy.data != NULL && copy.data[0] == '\0');
    copy = arena_copy(arena, STR("secret"));
    arena_wipe(arena); /* keeps this block */
    CHECK(is_zero((const unsigned char *)copy.data, copy.len));
    arena_reset(arena);
    arena_free(arena);
    arena_free(NULL);
}

int main(void)
{
    test_memory();
    test_copies();
    return test_done();
}
