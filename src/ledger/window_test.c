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

static void test_thresholds(void)
{
    static const struct {
        int64_t reserve, post; /* cents; post what was held */
        unsigned told[4];      /* ends with 0 */
    } steps[] = {
        {499, 0, {0}}, {1, 0, {50}},  {0, 500, {0}}, {100, 0, {0}}, {200, 200, {80}},
        {0, 0, {0}},   {199, 0, {0}}, {1, 0, {100}}, {0, 0, {0}},
    };
    struct windows windows;
    struct level levels[] = {level_of("a", TODAY, 10), level_of("a", WINDOW_LIFE, -1)};
    struct crossing crossing;
    int64_t cent = NANO_PER_USD / 100;

    windows_init(&windows);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        CHECK(windows_reserve(&windows, levels, 2, steps[i].reserve * cent) == 2);
        windows_move(&windows, levels, 2, steps[i].post * cent, -steps[i].post * cent);
        for (size_t k = 0; steps[i].told[k] != 0; k++) {
            CHECK(windows_take_crossed(&windows, &crossing));
            CHECK(crossing.percent == steps[i].told[k] && crossing.day == TODAY);
            CHECK(crossing.cap == 10 * NANO_PER_USD && str_equal(crossing.owner, STR("a")));
        }
        CHECK(!windows_take_crossed(&windows, &crossing));
    }
    windows_clear(&windows);
}

/* All at once, each by itself; and never again, though it was stored in between. */
static void test_thresholds_stored(void)
{
    static const unsigned percents[] = {50, 80, 100};
    struct windows windows;
    struct level level = level_of("a", TODAY, 10);
    struct crossing crossing;
    struct message_row_window row = {0}, none;

    windows_init(&windows);
    CHECK(windows_reserve(&windows, &level, 1, 10 * NANO_PER_USD) == 1);
    for (size_t i = 0; i < 3; i++) {
        CHECK(windows_take_crossed(&windows, &crossing) && crossing.percent == percents[i]);
    }
    windows_set_overrun(&windows, &level, 1);
    CHECK(windows_take_changed(&windows, &row) && row.told == 100 && row.overrun);
    row.owner = STR("a");
    windows_clear(&windows);

    windows_init(&windows);
    windows_load(&windows, &row);
    CHECK(windows_reserve(&windows, &level, 1, 0) == 0); /* it was overrun */
    windows_move(&windows, &level, 1, 5, -5);
    CHECK(!windows_take_crossed(&windows, &crossing));
    CHECK(windows_take_changed(&windows, &none) && none.told == 100);
    windows_clear(&windows);
}

int main(void)
{
    digest_setup();
    test_to_the_cent();
    test_all_or_nothing();
    test_edges();
    test_load();
    test_thresholds();
    test_thresholds_stored();
    return test_done();
}
