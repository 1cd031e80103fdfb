/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/hold.h"

#include "base/mem.h"
#include "base/test.h"
#include "policy/usd.h"

enum { TODAY = 20000 };

static void test_edges(void)
{
    /* from, and which of OPEN UNKNOWN HELD POSTED VOIDED may follow */
    static const bool may[HOLD_STATE_COUNT][HOLD_STATE_COUNT] = {
        [HOLD_OPEN] = {false, true, true, true, true},
        [HOLD_UNKNOWN] = {false, false, true, true, true},
        [HOLD_HELD] = {false, false, true, true, true},
        [HOLD_POSTED] = {false, false, false, false, false},
        [HOLD_VOIDED] = {false, false, false, false, false},
    };

    for (int from = 0; from < HOLD_STATE_COUNT; from++) {
        for (int to = 0; to < HOLD_STATE_COUNT; to++) {
            CHECK_CASE(hold_may_move((enum hold_state)from, (enum hold_state)to) == may[from][to],
                       hold_state_name((enum hold_state)from));
        }
    }
}

static struct level key_level(int64_t day)
{
    return (struct level){.owner = window_owner(LEVEL_KEY, STR("key_1")),
                          .name = STR("key_1"),
                          .day = day,
                          .cap = 100 * NANO_PER_USD};
}

/* The golden cases of a cap of 100: what each answer leaves posted and held. */
static void test_golden(void)
{
    static const struct {
        const char *name;
        int64_t asked;
        struct {
            enum hold_state state;
            int64_t posted, held;
        } steps[3];
        int64_t posted, held;
        bool overrun;
    } cases[] = {
        {"create 50", 50, {{HOLD_HELD, 0, 50}}, 0, 50, false},
        {"confirm ok", 50, {{HOLD_POSTED, 50, 0}}, 50, 0, false},
        {"declined", 50, {{HOLD_VOIDED, 0, 0}}, 0, 0, false},
        {"unknown", 50, {{HOLD_UNKNOWN, 0, 50}}, 0, 50, false},
        {"unknown, presumed", 50, {{HOLD_UNKNOWN, 0, 50}, {HOLD_POSTED, 50, 0}}, 50, 0, false},
        {"capture 30", 50, {{HOLD_HELD, 0, 50}, {HOLD_POSTED, 30, 0}}, 30, 0, false},
        {"capture 20 of 50", 50, {{HOLD_HELD, 0, 50}, {HOLD_HELD, 20, 30}}, 20, 30, false},
        {"cancel the rest",
         50,
         {{HOLD_HELD, 0, 50}, {HOLD_HELD, 20, 30}, {HOLD_VOIDED, 20, 0}},
         20,
         0,
         false},
        {"more than asked", 50, {{HOLD_POSTED, 51, 0}}, 51, 0, true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct windows windows;
        struct level levels[] = {key_level(TODAY), key_level(WINDOW_LIFE)};
        int64_t asked = cases[i].asked * NANO_PER_USD;
        struct message_row_hold row = {.hold = 1, .key = 1, .day = TODAY, .held = asked};
        struct hold *hold = hold_new(&row);

        windows_init(&windows);
        CHECK(windows_reserve(&windows, levels, 2, asked) == 2);
        for (size_t s = 0; s < 3 && cases[i].steps[s].state != HOLD_OPEN; s++) {
            struct hold_change change = {.state = cases[i].steps[s].state,
                                         .posted = cases[i].steps[s].posted * NANO_PER_USD,
                                         .held = cases[i].steps[s].held * NANO_PER_USD,
                                         .object = STR("pi_1")};
            CHECK_CASE(hold_move(hold, &windows, levels, 2, &change) == cases[i].overrun,
                       cases[i].name);
        }
        for (size_t l = 0; l < 2; l++) {
            const struct window *window = windows_find(&windows, &levels[l].owner, levels[l].day);
            CHECK_CASE(window->posted == cases[i].posted * NANO_PER_USD, cases[i].name);
            CHECK_CASE(window->held == cases[i].held * NANO_PER_USD, cases[i].name);
            CHECK_CASE(window->overrun == cases[i].overrun, cases[i].name);
        }
        CHECK(str_equal(hold->row.object, STR("pi_1")));
        hold_free(hold);
        windows_clear(&windows);
    }
}

/* More that was admitted is no overrun; more that a vendor took is one. */
static void test_raise(void)
{
    struct level levels[] = {key_level(TODAY), key_level(WINDOW_LIFE)};
    struct message_row_hold row = {.hold = 1,
                                   .key = 1,
                                   .day = TODAY,
                                   .held = 50 * NANO_PER_USD,
                                   .account = STR("stripe-account=acct_1"),
                                   .vendor_key = STR("kb.x.y")};
    struct hold *hold = hold_new(&row);
    struct windows windows;
    struct hold_change held = {
        .state = HOLD_HELD, .held = 50 * NANO_PER_USD, .object = STR("pi_1")};
    struct hold_change raised = {
        .state = HOLD_HELD, .held = 80 * NANO_PER_USD, .admitted = true, .object = STR_NONE};
    struct hold_change more = {.state = HOLD_HELD, .held = 81 * NANO_PER_USD};

    windows_init(&windows);
    CHECK(windows_reserve(&windows, levels, 2, row.held) == 2);
    CHECK(!hold_move(hold, &windows, levels, 2, &held));
    CHECK(!hold_move(hold, &windows, levels, 2, &raised) && !hold->row.overrun);
    CHECK(windows_find(&windows, &levels[0].owner, TODAY)->held == 80 * NANO_PER_USD);
    CHECK(str_equal(hold->row.object, STR("pi_1")));
    hold_name_object(hold, hold->row.object); /* its own text */
    CHECK(str_equal(hold->row.object, STR("pi_1")));
    CHECK(str_equal(hold->row.account, row.account) &&
          str_equal(hold->row.vendor_key, row.vendor_key));
    CHECK(hold_move(hold, &windows, levels, 2, &more) && hold->row.overrun);
    hold_free(hold);
    windows_clear(&windows);
}

/* ---- the invariant, over a long random life ---- */

enum { KEYS = 8, HOLDS = 400, STEPS = 200000, DAYS = 3 };

static uint64_t next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

struct world {
    struct windows windows;
    struct hold *holds[HOLDS];
    struct digest owners[KEYS + 1];
    int64_t caps[KEYS + 1];
    int64_t day;
    uint64_t random;
};

static size_t levels_of(const struct world *world, uint64_t key, int64_t day, struct level *levels)
{
    size_t count = 0;

    /* The key, its parent (key 0), and the tenant, each by day and for life. */
    size_t owners[] = {(size_t)key, 0, KEYS};
    for (size_t i = key == 0 ? 1 : 0; i < 3; i++) {
        size_t o = owners[i];
        levels[count++] = (struct level){
            .owner = world->owners[o], .day = day, .cap = world->caps[o] * NANO_PER_USD};
        levels[count++] = (struct level){.owner = world->owners[o],
                                         .day = WINDOW_LIFE,
                                         .cap = world->caps[o] * 2 * NANO_PER_USD};
    }
    return count;
}

static void step(struct world *world)
{
    struct level levels[WINDOW_LEVELS_MAX];
    size_t slot = next_random(&world->random) % HOLDS;
    struct hold *hold = world->holds[slot];

    if (hold == NULL) {
        int64_t asked = (int64_t)(next_random(&world->random) % 3000) * (NANO_PER_USD / 100);
        struct message_row_hold row = {
            .key = next_random(&world->random) % KEYS, .day = world->day, .held = asked};
        size_t count = levels_of(world, row.key, row.day, levels);
        if (windows_reserve(&world->windows, levels, count, asked) == count) {
            world->holds[slot] = hold_new(&row);
        }
        return;
    }
    if (hold_is_over(hold->row.state)) {
        hold_free(hold);
        world->holds[slot] = NULL;
        return;
    }
    enum hold_state to = (enum hold_state)(next_random(&world->random) % HOLD_STATE_COUNT);
    if (!hold_may_move(hold->row.state, to)) {
        return;
    }
    int64_t part =
        hold->row.held == 0 ? 0 : (int64_t)(next_random(&world->random) % (uint64_t)hold->row.held);
    struct hold_change change = {.state = to, .posted = hold->row.posted, .held = 0};
    if (to == HOLD_POSTED) {
        change.posted += part;
    } else if (to == HOLD_HELD) {
        change.posted += part;
        change.held = hold->row.held - part;
    } else if (to == HOLD_UNKNOWN) {
        change.held = hold->row.held;
    }
    size_t count = levels_of(world, hold->row.key, hold->row.day, levels);
    (void)hold_move(hold, &world->windows, levels, count, &change);
}

static bool invariant_holds(const struct world *world)
{
    bool ok = true;

    for (size_t o = 0; o <= KEYS; o++) {
        for (int64_t day = TODAY; day < TODAY + DAYS; day++) {
            const struct window *window = windows_find(&world->windows, &world->owners[o], day);
            int64_t sum = 0;
            for (size_t h = 0; h < HOLDS; h++) {
                const struct hold *hold = world->holds[h];
                if (hold != NULL && hold->row.day == day &&
                    (hold->row.key == o || o == 0 || o == KEYS)) {
                    sum += hold->row.held;
                }
            }
            int64_t posted = window == NULL ? 0 : window->posted;
            int64_t held = window == NULL ? 0 : window->held;
            ok = ok && held == sum && posted >= 0 && posted + held <= world->caps[o] * NANO_PER_USD;
        }
    }
    return ok;
}

static void test_invariant(void)
{
    static struct world world;
    bool ok = true;

    world.random = 0x6b65796272616b65u;
    windows_init(&world.windows);
    for (size_t i = 0; i <= KEYS; i++) {
        char name[2] = {(char)('a' + i), 0};
        world.owners[i] = window_owner(LEVEL_KEY, str_from(name));
        world.caps[i] = i == 0 ? 900 : i == KEYS ? 1200 : 250;
    }
    for (int i = 0; i < STEPS; i++) {
        world.day = TODAY + i / (STEPS / DAYS + 1);
        step(&world);
        if (i % 97 == 0) {
            ok = ok && invariant_holds(&world);
        }
    }
    CHECK(ok && invariant_holds(&world));
    for (size_t i = 0; i < HOLDS; i++) {
        hold_free(world.holds[i]);
    }
    windows_clear(&world.windows);
}

int main(void)
{
    digest_setup();
    test_edges();
    test_golden();
    test_raise();
    test_invariant();
    return test_done();
}
