/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/objects.h"

#include "base/mem.h"
#include "base/test.h"

static struct judge *judge;

static struct hold *hold(uint64_t number, enum hold_state state, int64_t base, int64_t posted)
{
    struct message_row_hold row = {.hold = number,
                                   .state = state,
                                   .base = base,
                                   .posted = posted,
                                   .held = 5,
                                   .vendor = STR("stripe"),
                                   .credential = 1,
                                   .object = STR("pi_1")};

    return hold_new(&row);
}

static void drop(struct hold *gone)
{
    objects_leave(judge, gone);
    hold_free(gone);
}

static void test_names(void)
{
    struct digest name = object_name(STR("stripe"), 1, STR("a"), STR("pi_1"));
    const struct digest others[] = {
        object_name(STR("strip"), 1, STR("a"), STR("pi_1")),
        object_name(STR("stripe"), 2, STR("a"), STR("pi_1")),
        object_name(STR("stripe"), 1, STR("b"), STR("pi_1")),
        object_name(STR("stripe"), 1, STR_NONE, STR("pi_1")),
        object_name(STR("stripe"), 1, STR("a"), STR("pi_2")),
        object_name(STR("stripe"), 1, STR("ap"), STR("i_1")), /* no part runs into the next */
    };
    struct digest same = object_name(STR("stripe"), 1, STR("a"), STR("pi_1"));

    CHECK(digest_equal(&name, &same));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        CHECK(!digest_equal(&name, &others[i]));
    }
}

/* Whose the object is: the oldest hold that is HELD, if nobody has left it in doubt. */
static void test_holder(void)
{
    static const struct {
        const char *what;
        struct {
            enum hold_state state;
            bool doubt;
        } holds[2];
        int holder; /* -1: only the vendor can say */
    } cases[] = {
        {"one", {{HOLD_HELD, false}, {HOLD_STATE_COUNT, false}}, 0},
        {"the older of two", {{HOLD_HELD, false}, {HOLD_HELD, false}}, 0},
        {"an answer is awaited", {{HOLD_HELD, false}, {HOLD_OPEN, false}}, -1},
        {"nobody knows", {{HOLD_HELD, false}, {HOLD_UNKNOWN, false}}, -1},
        {"in doubt", {{HOLD_HELD, true}, {HOLD_STATE_COUNT, false}}, -1},
        {"the younger in doubt", {{HOLD_HELD, false}, {HOLD_HELD, true}}, -1},
        {"unknown alone", {{HOLD_UNKNOWN, false}, {HOLD_STATE_COUNT, false}}, -1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hold *holds[2] = {NULL, NULL};
        for (size_t k = 0; k < 2; k++) {
            if (cases[i].holds[k].state != HOLD_STATE_COUNT) {
                holds[k] = hold(k + 1, cases[i].holds[k].state, 0, 0);
                holds[k]->doubt = cases[i].holds[k].doubt;
                objects_follow(judge, holds[k]);
                objects_follow(judge, holds[k]); /* twice is once */
            }
        }
        struct digest name = objects_name_of(holds[0]);
        const struct hold *holder = objects_holder(judge, &name);
        CHECK_CASE(holder == (cases[i].holder < 0 ? NULL : holds[cases[i].holder]), cases[i].what);
        CHECK_CASE(objects_holder_but(judge, &name, NULL) == holds[0], cases[i].what);
        CHECK_CASE(objects_holder_but(judge, &name, holds[0]) == holds[1], cases[i].what);
        for (size_t k = 0; k < 2; k++) {
            if (holds[k] != NULL) {
                drop(holds[k]);
            }
        }
        CHECK_CASE(objects_holder_but(judge, &name, NULL) == NULL && judge->objects.count == 0,
                   cases[i].what);
    }
}

/* What had moved before is said by each hold of its own time: the most of them, not their sum. */
static void test_posted(void)
{
    struct hold *first = hold(1, HOLD_HELD, 0, 20), *second = hold(2, HOLD_HELD, 20, 10);
    struct digest name = objects_name_of(first);

    CHECK(objects_posted(judge, &name) == 0);
    objects_follow(judge, first);
    CHECK(objects_posted(judge, &name) == 20);
    objects_follow(judge, second);
    CHECK(objects_posted(judge, &name) == 30);
    drop(second);
    CHECK(objects_posted(judge, &name) == 20);
    drop(first);
}

static void test_without_an_object(void)
{
    struct message_row_hold row = {.hold = 9, .state = HOLD_OPEN, .vendor = STR("stripe")};
    struct hold *none = hold_new(&row);

    objects_follow(judge, none);
    CHECK(judge->objects.count == 0);
    drop(none);
}

int main(void)
{
    judge = mem_zeroed(sizeof(*judge));
    objects_init(judge);
    test_names();
    test_holder();
    test_posted();
    test_without_an_object();
    return test_done();
}
