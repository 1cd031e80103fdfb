/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/search.h"

#include "base/mem.h"
#include "base/test.h"
#include "judge/holds.h"

static struct judge *judge;

static struct hold *hold(uint64_t number, const char *account, const char *key, const char *object)
{
    struct message_row_hold row = {.hold = number,
                                   .state = HOLD_UNKNOWN,
                                   .vendor = STR("stripe"),
                                   .credential = 1,
                                   .account = str_from(account),
                                   .vendor_key = str_from(key),
                                   .object = str_from(object)};
    struct hold *made = hold_new(&row);

    table_add(&judge->holds, made);
    return made;
}

static void test_found(void)
{
    struct hold *first = hold(1, "", "kb.a.1", "");
    struct hold *second = hold(2, "", "kb.a.2", "");
    struct hold *elsewhere = hold(3, "stripe-account=acct_1", "kb.a.1", "");

    search_begin(judge, first);
    search_begin(judge, second);
    search_begin(judge, elsewhere);
    search_begin(judge, first); /* once more is nothing new */
    CHECK(judge->searches.count == 3);
    CHECK(search_find(judge, second, STR("kb.a.1")) == first);
    CHECK(search_find(judge, first, STR("kb.a.2")) == second);
    CHECK(search_find(judge, elsewhere, STR("kb.a.1")) == elsewhere); /* each account its own */
    CHECK(search_find(judge, elsewhere, STR("kb.a.2")) == NULL);
    CHECK(search_find(judge, first, STR("kb.a.")) == NULL);
    CHECK(search_find(judge, first, STR_NONE) == NULL);

    hold_name_object(first, STR("pi_1")); /* found by another way meanwhile */
    CHECK(search_find(judge, second, STR("kb.a.1")) == NULL);
    search_over(judge, 1);
    search_over(judge, 1);
    search_over(judge, 99);
    CHECK(judge->searches.count == 2);
}

static void test_nothing_to_look_for(void)
{
    size_t before = judge->searches.count;

    search_begin(judge, hold(11, "", "", ""));
    search_begin(judge, hold(12, "", "kb.a.12", "pi_12"));
    CHECK(judge->searches.count == before);
}

/* Two holds of one key cannot be; should they, the first keeps its place. */
static void test_same_key(void)
{
    struct hold *first = hold(21, "", "kb.b", ""), *second = hold(22, "", "kb.b", "");

    search_begin(judge, first);
    search_begin(judge, second);
    search_over(judge, 22);
    CHECK(search_find(judge, second, STR("kb.b")) == first);
}

int main(void)
{
    judge = mem_zeroed(sizeof(*judge));
    holds_init(judge);
    searches_init(judge);
    test_found();
    test_nothing_to_look_for();
    test_same_key();
    return test_done();
}
