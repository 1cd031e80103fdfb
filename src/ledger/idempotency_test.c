/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/idempotency.h"

#include "base/test.h"

enum { HOUR_MS = 3600 * 1000, WINDOW_MS = 24 * HOUR_MS };

static bool state_of(const void *ctx, uint64_t hold, enum hold_state *ret)
{
    const enum hold_state *states = ctx;

    if (hold >= HOLD_STATE_COUNT) {
        return false;
    }
    *ret = states[hold];
    return true;
}

static const enum hold_state states[HOLD_STATE_COUNT] = {HOLD_OPEN, HOLD_UNKNOWN, HOLD_HELD,
                                                         HOLD_POSTED, HOLD_VOIDED};

static void test_look(void)
{
    static const struct {
        const char *name;
        uint64_t hold;
        const char *body;
        int64_t age_ms;
        enum repeat repeat;
    } cases[] = {
        {"posted", HOLD_POSTED, "body", HOUR_MS, REPEAT_SAME},
        {"held", HOLD_HELD, "body", HOUR_MS, REPEAT_SAME},
        {"unknown", HOLD_UNKNOWN, "body", HOUR_MS, REPEAT_SAME},
        {"forgotten hold", 99, "body", HOUR_MS, REPEAT_SAME},
        {"voided", HOLD_VOIDED, "body", HOUR_MS, REPEAT_VOIDED},
        {"open", HOLD_OPEN, "body", HOUR_MS, REPEAT_IN_FLIGHT},
        {"open for ages", HOLD_OPEN, "body", 30 * HOUR_MS, REPEAT_IN_FLIGHT},
        {"other body", HOLD_POSTED, "another", HOUR_MS, REPEAT_MISMATCH},
        {"other body, voided", HOLD_VOIDED, "another", HOUR_MS, REPEAT_MISMATCH},
        {"other body, open", HOLD_OPEN, "another", HOUR_MS, REPEAT_MISMATCH},
        {"just young enough", HOLD_POSTED, "body", 23 * HOUR_MS - 1, REPEAT_SAME},
        {"too old", HOLD_POSTED, "body", 23 * HOUR_MS, REPEAT_NEW},
        {"too old, other body", HOLD_POSTED, "another", 23 * HOUR_MS, REPEAT_NEW},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct records records;
        const struct record *found;
        struct message_row_idempotency row = {.scope = digest_of(STR("scope")),
                                              .body = digest_of(STR("body")),
                                              .hold = cases[i].hold,
                                              .first_at_ms = 1000};
        struct digest body = digest_of(str_from(cases[i].body));

        records_init(&records, 10);
        records_put(&records, &row);
        enum repeat repeat = records_look(&records, &row.scope, &body, 1000 + cases[i].age_ms,
                                          WINDOW_MS, state_of, states, &found);
        CHECK_CASE(repeat == cases[i].repeat, cases[i].name);
        CHECK_CASE(found != NULL && found->hold == cases[i].hold, cases[i].name);
        records_clear(&records);
    }
}

static void count_gone(void *ctx, uint64_t hold)
{
    uint64_t *sum = ctx;

    *sum += hold;
}

static void test_table(void)
{
    uint64_t gone = 0;
    struct records records;
    const struct record *found;
    struct message_row_idempotency one = {.scope = digest_of(STR("1")), .first_at_ms = 10};
    struct message_row_idempotency two = {
        .scope = digest_of(STR("2")), .hold = 7, .first_at_ms = 20};
    struct digest scope = digest_of(STR("3"));

    records_init(&records, 2);
    CHECK(records_look(&records, &scope, &scope, 30, WINDOW_MS, state_of, states, &found) ==
          REPEAT_NEW);
    CHECK(found == NULL);
    records_put(&records, &one);
    records_put(&records, &two);
    CHECK(records_look(&records, &scope, &scope, 30, WINDOW_MS, state_of, states, &found) ==
          REPEAT_FULL);
    one.first_at_ms = 40; /* made anew: now it is the younger one */
    records_put(&records, &one);
    records_forget(&records, 30, count_gone, &gone);
    CHECK(gone == 7);
    CHECK(records.table.count == 1 && table_find(&records.table, &one.scope) != NULL);
    records_remove(&records, &one.scope);
    records_remove(&records, &one.scope);
    CHECK(records.table.count == 0);
    records_clear(&records);
}

int main(void)
{
    digest_setup();
    test_look();
    test_table();
    return test_done();
}
