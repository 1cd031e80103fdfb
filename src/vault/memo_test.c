/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/memo.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"

static const struct memo_key usual = {.generation = 3, .pack = 1, .range_allowed = false};

static void say(struct memo *memo, const struct memo_key *key, struct str name, bool dropped)
{
    bool known;
    struct memo_slot *slot = memo_find(memo, key, name, &known);

    CHECK(slot != NULL);
    if (slot != NULL) {
        slot->dropped = dropped;
    }
}

/* -1: not known. */
static int said(struct memo *memo, const struct memo_key *key, struct str name)
{
    bool known;
    struct memo_slot *slot = memo_find(memo, key, name, &known);

    return slot == NULL || !known ? -1 : slot->dropped;
}

static void test_same_bytes_only(void)
{
    static struct memo memo;
    static const struct str name = {"x-stripe-client-user-agent", 26};
    char other[26];

    say(&memo, &usual, name, true);
    CHECK(said(&memo, &usual, name) == 1);
    say(&memo, &usual, name, false);
    CHECK(said(&memo, &usual, name) == 0);
    for (size_t i = 0; i < sizeof(other); i++) {
        memcpy(other, name.data, sizeof(other));
        other[i] ^= 0x20;
        say(&memo, &usual, name, true);
        CHECK(said(&memo, &usual, str_of(other, sizeof(other))) == -1);
        say(&memo, &usual, name, true);
        CHECK(said(&memo, &usual, str_slice(name, 0, i)) == -1);
    }
}

/* A configuration that is newer, another vendor, another operation: asked anew. */
static void test_same_question_only(void)
{
    static const struct memo_key others[] = {{4, 1, false}, {3, 2, false}, {3, 1, true}};
    static struct memo memo;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        say(&memo, &usual, STR("range"), true);
        CHECK(said(&memo, &others[i], STR("range")) == -1);
        say(&memo, &others[i], STR("range"), false);
        CHECK(said(&memo, &others[i], STR("range")) == 0);
        CHECK(said(&memo, &usual, STR("range")) == -1);
    }
}

static void test_what_is_not_kept(void)
{
    static struct memo memo;
    static const struct memo_key none = {0, 0, false};
    char name[MEMO_NAME_BYTES + 1];
    bool known = true;

    memset(name, 'a', sizeof(name));
    CHECK(memo_find(&memo, &usual, STR_NONE, &known) == NULL && !known);
    CHECK(memo_find(&memo, &usual, str_of(name, sizeof(name)), &known) == NULL && !known);
    say(&memo, &usual, str_of(name, MEMO_NAME_BYTES), true);
    CHECK(said(&memo, &usual, str_of(name, MEMO_NAME_BYTES)) == 1);
    say(&memo, &none, STR("a"), true); /* the empty slots' generation */
    CHECK(said(&memo, &none, STR("a")) == -1);
}

/* Many names push one another out, and none gets another's verdict. */
static void test_crowd(void)
{
    static struct memo memo;
    char text[16];

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 1000; i++) {
            int len = snprintf(text, sizeof(text), "x-%d", i);
            struct str name = str_of(text, (size_t)len);
            int before = said(&memo, &usual, name);
            CHECK(before == -1 || before == i % 2);
            say(&memo, &usual, name, i % 2 == 1);
        }
    }
}

int main(void)
{
    test_same_bytes_only();
    test_same_question_only();
    test_what_is_not_kept();
    test_crowd();
    return test_done();
}
