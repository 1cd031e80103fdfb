/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/settle_rules.h"

#include "base/test.h"

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static void test_repeats(void)
{
    static const struct {
        enum hold_state hold, settlement;
        bool replayed, settles;
    } cases[] = {
        {HOLD_UNKNOWN, HOLD_POSTED, false, true},  {HOLD_UNKNOWN, HOLD_POSTED, true, true},
        {HOLD_UNKNOWN, HOLD_HELD, false, true},    {HOLD_UNKNOWN, HOLD_VOIDED, true, true},
        {HOLD_UNKNOWN, HOLD_VOIDED, false, false}, /* of this attempt, not of the first */
        {HOLD_UNKNOWN, HOLD_UNKNOWN, true, false}, {HOLD_HELD, HOLD_POSTED, true, false},
        {HOLD_HELD, HOLD_VOIDED, true, false},     {HOLD_OPEN, HOLD_POSTED, false, false},
        {HOLD_POSTED, HOLD_VOIDED, true, false},   {HOLD_VOIDED, HOLD_POSTED, true, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct settlement settlement = {.state = cases[i].settlement};
        CHECK_CASE(settle_by_repeat(cases[i].hold, &settlement, cases[i].replayed) ==
                       cases[i].settles,
                   hold_state_name(cases[i].settlement));
    }
}

static void test_proof(void)
{
    static const struct {
        const char *what;
        struct message_outcome outcome;
        bool nothing;
    } cases[] = {
        {"declined at once", {.outcome = OUTCOME_ANSWERED, .status = 402}, false},
        {"declined at the second",
         {.outcome = OUTCOME_ANSWERED, .status = 402, .retried = true},
         true},
        {"too many at the second",
         {.outcome = OUTCOME_ANSWERED, .status = 429, .retried = true},
         true},
        {"the replay of a decline",
         {.outcome = OUTCOME_ANSWERED, .status = 402, .retried = true, .replayed = true},
         false},
        {"done at the second",
         {.outcome = OUTCOME_ANSWERED, .status = 200, .retried = true},
         false},
        {"never answered", {.outcome = OUTCOME_UNKNOWN, .retried = true}, false},
        {"not sent", {.outcome = OUTCOME_NOT_SENT}, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        CHECK_CASE(settle_proves_nothing(&cases[i].outcome) == cases[i].nothing, cases[i].what);
    }
}

static void test_objects(void)
{
    static const struct {
        const char *what;
        int64_t base, before; /* of the hold: moved before its time, posted under it */
        int64_t posted, held; /* all that ever moved of the object, and may still */
        enum hold_state state;
        int64_t now; /* posted under the hold then */
    } cases[] = {
        {"opened", 0, 0, 0, 50, HOLD_HELD, 0},
        {"done", 0, 0, 50, 0, HOLD_POSTED, 50},
        {"gone", 0, 0, 0, 0, HOLD_VOIDED, 0},
        {"partly", 0, 0, 20, 30, HOLD_HELD, 20},
        {"more of it", 0, 20, 30, 20, HOLD_HELD, 30},
        {"the rest given up", 0, 20, 20, 0, HOLD_POSTED, 20},
        {"another's before", 20, 0, 50, 0, HOLD_POSTED, 30},
        {"nothing but another's", 20, 0, 20, 0, HOLD_VOIDED, 0},
        {"another's, and open", 20, 0, 20, 30, HOLD_HELD, 0},
        {"less than was said before", 0, 20, 10, 0, HOLD_POSTED, 20},
        {"less than another's", 20, 0, 5, 0, HOLD_VOIDED, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message_row_hold row = {.base = cases[i].base, .posted = cases[i].before};
        struct settlement settlement = {
            .posted = cases[i].posted, .held = cases[i].held, .object = STR("pi_1")};
        struct hold_change change = settle_object_change(&row, &settlement, 77);
        CHECK_CASE(change.state == cases[i].state && change.posted == cases[i].now, cases[i].what);
        CHECK_CASE(change.held == cases[i].held && !change.admitted && change.at_ms == 77 &&
                       str_equal(change.object, STR("pi_1")),
                   cases[i].what);
    }
}

int main(void)
{
    test_repeats();
    test_proof();
    test_objects();
    return test_done();
}
