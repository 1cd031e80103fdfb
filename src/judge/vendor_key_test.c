/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/vendor_key.h"

#include <string.h>

#include "base/test.h"

static struct arena *arena;

static struct str make(const char *secret, const char *scope, const char *tail, size_t max)
{
    return vendor_key_make(arena, str_from(secret), str_from(scope), str_from(tail), max);
}

static void test_same_and_other(void)
{
    static const struct {
        const char *secret, *scope, *tail;
    } others[] = {{"t", "3:run", "a"}, {"s", "3:ruf", "a"}, {"s", "3:run", "b"}, {"s", "", "a"}};
    struct str key = make("s", "3:run", "a", 255);

    CHECK(str_equal(key, make("s", "3:run", "a", 255)));
    CHECK(key.len == 3 + 10 + 1 + 1 && str_starts(key, STR("kb.")) && str_ends(key, STR(".a")));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(!str_equal(key, make(others[i].secret, others[i].scope, others[i].tail, 255)));
    }
    /* The mark is the scope's alone. */
    CHECK(str_equal(str_slice(key, 0, 14), str_slice(make("s", "3:run", "zzz", 255), 0, 14)));
}

static void test_too_long(void)
{
    char tail[256], other[256];

    memset(tail, 'x', sizeof(tail) - 1);
    tail[sizeof(tail) - 1] = '\0';
    memcpy(other, tail, sizeof(tail));
    other[254] = 'y';
    struct str fits = make("s", "r", tail, 14 + 255);
    struct str cut = make("s", "r", tail, 14 + 254);
    CHECK(fits.len == 14 + 255 && str_ends(fits, str_from(tail)));
    CHECK(cut.len == 3 + 64 && str_starts(cut, STR("kb.")));
    /* Nothing is cut off: the last byte still counts. */
    CHECK(!str_equal(cut, make("s", "r", other, 255)));
    CHECK(!str_equal(cut, make("s", "q", tail, 255)));
    CHECK(str_equal(cut, make("s", "r", tail, 255)));
}

int main(void)
{
    arena = arena_new();
    test_same_and_other();
    test_too_long();
    arena_free(arena);
    return test_done();
}
