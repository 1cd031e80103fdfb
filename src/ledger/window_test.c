/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/window.h"

#include "base/test.h"
#include "policy/usd.h"

enum { TODAY = 20000 };

static struct level level_of(const char *name, int64_t day, int64_t cap_dollars)
{
    return (struct level){.owner = window_owner(LEVEL_KEY, str_from(name)),
                          .level = LEVEL_KEY,
                          .name = str_from(name),
                          .day = day,
                          .cap = cap_dollars < 0 ? MONEY_NONE : cap_dollars * NANO_PER_USD};
}

static int64_t held(const struct windows *windows, const struct level *level)
{
    const struct window *window = windows_find(windows, &level->owner, level->day);

    return window == NULL ? 0 : window->held;
}

static void test_to_the_cent(void)
{
    struct windows windows;
    struct level level = level_of("a", TODAY, 50);

    windows_init(&windows);
    for (int i = 0; i < 50; i++) {
        CHECK(windows_reserve(&windows, &level, 1, NANO_PER_USD) == 1);
    }
    CHECK(windows_reserve(&windows, &level, 1, 1) == 0);
    CHECK(windows_reserve(&windows, &level, 1, 0) == 1);
    CHECK(windows_reserve(&windows, &level, 1, -1) == 0);
    CHECK(windows_reserve(&windows, &level, 1, INT64_MAX) == 0);
    CHECK(held(&windows, &level) == 50 * NANO_PER_USD);
    windows_move(&windows, &level, 1, 20 * NANO_PER_USD, -30 * NANO_PER_USD);
    CHECK(windows_reserve(&windows, &level, 1, 10 * NANO_PER_USD) == 1);
    CHECK(windows_reserve(&windows, &level, 1, 1) == 0);
    windows_clear(&windows);
}

static void test_all_or_nothing(void)
{
    struct windows windows;
    struct level levels[] = {level_of("child", TODAY, 50), level_of("child", WINDOW_LIFE, 80),
                             level_of("parent", TODAY, 30), level_of("tenant", TODAY, -1)};

    windows_init(&windows);
    CHECK(windows_reserve(&windows, levels, 4, 30 * NANO_PER_USD) == 4);
    CHECK(windows_reserve(&windows, levels, 4, NANO_PER_USD) == 2); /* the parent refuses */
    CHECK(held(&windows, &levels[0]) == 30 * NANO_PER_USD);
    CHECK(held(&windows, &levels[1]) == 30 * NANO_PER_USD);
    CHECK(held(&windows, &levels[3]) == 30 * NANO_PER_USD);
    /* A new day refills the days, not the life. */
    for (size_t i = 0; i < 4; i++) {
        levels[i].day = levels[i].day == WINDOW_LIFE ? WINDOW_LIFE : TODAY + 1;
    }
    levels[2].cap = 100 * NANO_PER_USD;
    CHECK(windows_reserve(&windows, levels, 4, 50 * NANO_PER_USD) == 4);
    levels[0].day = TODAY + 2;
    CHECK(windows_reserve(&windows, levels, 4, 1) == 1);
    windows_clear(&windows);
}

static void test_edges(void)
{
    struct windows windows;
    struct level level = level_of("a", TODAY, -1);
    struct level other = level_of("b", TODAY, 1);

    windows_init(&windows);
    CHECK(windows_reserve(&windows, &level, 1, INT64_MAX) == 1); /* no cap */
    CHECK(windows_reserve(&windows, &level, 1, 1) == 0);         /* but no overflow */
    windows_move(&windows, &level, 1, INT64_MAX, 0);
    windows_move(&windows, &level, 1, 5, -5); /* posted stays at the top */
    CHECK(windows_find(&windows, &level.owner, TODAY)->posted == INT64_MAX);
    CHECK(windows_reserve(&windows, &level, 1, 0) == 0);
    CHECK(windows_reserve(&windows, &other, 1, 0) == 1);
    windows_set_overrun(&windows, &other, 1);
    CHECK(windows_reserve(&windows, &other, 1, 0) == 0);
    windows_forget(&windows, TODAY + 1);
    CHECK(windows_find(&windows, &other.owner, TODAY) != NULL); /* its row is not written yet */
    struct message_row_window row;
    unsigned rows = 0;
    while (windows_take_changed(&windows, &row)) {
        CHECK(row.day == TODAY && row.level == LEVEL_KEY && row.owner.len == 1);
        rows++;
    }
    CHECK(rows == 2);
    windows_forget(&windows, TODAY + 1);
    CHECK(windows_find(&windows, &other.owner, TODAY) == NULL);
    CHECK(windows_find(&windows, &level.owner, TODAY) != NULL); /* something is still held */
    struct digest key = window_owner(LEVEL_KEY, STR("x"));
    struct digest tenant = window_owner(LEVEL_TENANT, STR("x"));
    CHECK(!digest_equal(&key, &tenant));
    windows_clear(&windows);
}

static void test_load(void)
{
    struct windows windows;
    struct level level = level_of("a", TODAY, 50);
    struct message_row_window row = {.level = LEVEL_KEY,
                                     .owner = STR("a"),
                                     .day = TODAY,
                                     .posted = 20 * NANO_PER_USD,
                                     .held = 29 * NANO_PER_USD};

    windows_init(&windows);
    windows_load(&windows, &row);
    CHECK(windows_fits(&windows, &level, 1, NANO_PER_USD) == 1);
    CHECK(windows_fits(&windows, &level, 1, NANO_PER_USD + 1) == 0);
    windows_forget_owner(&windows, &level.owner, TODAY);
    CHECK(windows_find(&windows, &level.owner, TODAY) != NULL);
    windows_move(&windows, &level, 1, 0, -29 * NANO_PER_USD);
    CHECK(windows_take_changed(&windows, &row) && row.held == 0);
    CHECK(!windows_take_changed(&windows, &row));
    windows_forget_owner(&windows, &level.owner, TODAY);
    CHECK(windows_find(&windows, &level.owner, TODAY) == NULL);
    windows_clear(&windows);
}

int main(void)
{
    digest_setup();
    test_to_the_cent();
    test_all_or_nothing();
    test_edges();
    test_load();
    return test_done();
}
