/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/form.h"

#include "base/buf.h"
#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "name|fold|value" of each pair; '!' before one that is not plain, '-' for no value; then "#" and
 * the problem, if there is one. */
static struct str show(const char *text, struct arena *arena)
{
    struct form_scan scan;
    struct form_pair pair;
    struct buf out;

    buf_init(&out, 4096);
    form_begin(&scan, str_from(text), arena);
    while (form_next(&scan, &pair)) {
        (void)buf_addf(&out, "%s%s%.*s|%.*s|%.*s", buf_len(&out) == 0 ? "" : " ",
                       pair.plain ? "" : "!", STR_FMT(pair.name), STR_FMT(pair.fold),
                       STR_FMT(pair.has_value ? pair.value : STR("-")));
    }
    if (scan.problem != NULL) {
        (void)buf_add_str(&out, STR("#"));
    }
    struct str shown = arena_copy(arena, buf_str(&out));
    buf_clear(&out);
    return shown;
}

static void test_pairs(void)
{
    static const struct {
        const char *text, *expected;
    } cases[] = {
        {"", ""},
        {"&&&", ""},
        {"a=1", "a|/a|1"},
        {"a=1&", "a|/a|1"},
        {"&a=1&&b=2", "a|/a|1 b|/b|2"},
        {"a", "a|/a|-"},
        {"a=", "a|/a|"},
        {"a=b=c", "a|/a|b=c"},
        {"=1", "||1"},
        {"a=x+y%20z", "a|/a|x y z"},
        {"metadata[a]=b+c&expand[0]=latest_charge",
         "metadata[a]|/metadata/a|b c expand[0]|/expand|latest_charge"},
        {"a%5Bb%5d=1", "a[b]|/a/b|1"},
        {"a[]=1", "a[]|/a|1"},
        {"a[0][b]=1", "a[0][b]|/a/b|1"},
        {"a[b][10]=1", "a[b][10]|/a/b|1"},
        {"10=1", "10|/10|1"},
        {"a_b-c.d=1", "a_b-c.d|/abcd|1"},
        {"AmountX=1", "AmountX|/amountx|1"},
        {"%61=1", "!a|/a|1"},
        {"a%5fb=1", "!a_b|/ab|1"},
        {"+a=1", "! a|/a|1"},
        {"a b=1", "!a b|/ab|1"},
        {"[a]=1", "![a]|/a|1"},
        {"[a]+=1", "![a] |/a|1"},
        {"a[_]=1", "a[_]|/a|1"},
        {"a[9+]=1", "!a[9 ]|/a|1"},
        {"a]=1", "!a]|/a|1"},
        {"a[=1", "!a[|/a|1"},
        {"a[b=1", "!a[b|/a/b|1"},
        {"a[[b]]=1", "!a[[b]]|/a/b|1"},
        {"a[b]c=1", "!a[b]c|/a/b/c|1"},
        {"a]b[=1", "!a]b[|/a/b|1"},
        {"[]=1", "![]||1"},
        {"%c3%a4=1", "!\xc3\xa4|/\xc3\xa4|1"},
        {"a=%ff", "a|/a|\xff"},
        /* refused, and nothing behind it is read */
        {"a=1;b=2", "#"},
        {"a=1&b=2;c&d=3", "a|/a|1#"},
        {"a=1&b=%", "a|/a|1#"},
        {"b=%1", "#"},
        {"b=%1g", "#"},
        {"b=%%20", "#"},
        {"%=1", "#"},
        {"%ff=1", "#"},
        {"%c0%af=1", "#"},
        {"a%00=1", "#"},
        {"a%0a=1", "#"},
        {"a=1\n", "#"},
        {"a=\x7f", "#"},
        {"\x01=1", "#"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        CHECK_CASE(str_equal(show(cases[i].text, arena), str_from(cases[i].expected)),
                   cases[i].text);
        arena_free(arena);
    }
}

static void test_folds(void)
{
    static const struct {
        const char *a, *b;
        bool equal, within;
    } cases[] = {
        {"amount", "AMOUNT[]", true, false},
        {"amount", "amount[value]", false, true},
        {"amount[value]", "amount", false, true},
        {"amount[value]", "amount[0][value]", true, false},
        {"amount", "amount_details", false, false},
        {"amount", "xamount", false, false},
        {"amount[value]", "amount[values]", false, false},
        {"a[b][c]", "a", false, true},
        {"a[b][c]", "a[c]", false, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct str a = form_fold(str_from(cases[i].a), arena);
        struct str b = form_fold(str_from(cases[i].b), arena);
        CHECK_CASE(str_equal(a, b) == cases[i].equal, cases[i].b);
        CHECK_CASE(form_fold_within(a, b) == cases[i].within, cases[i].b);
        CHECK_CASE(form_fold_within(b, a) == cases[i].within, cases[i].b);
        arena_free(arena);
    }
}

static void test_too_many(void)
{
    struct arena *arena = arena_new();
    struct form_scan scan;
    struct form_pair pair;
    struct buf text;
    size_t pairs = 0;

    buf_init(&text, 1024 * 1024);
    for (size_t i = 0; i <= FORM_PAIRS_MAX; i++) {
        (void)buf_add_str(&text, STR("a&"));
    }
    form_begin(&scan, buf_str(&text), arena);
    while (form_next(&scan, &pair)) {
        pairs++;
    }
    CHECK(pairs == FORM_PAIRS_MAX && scan.too_many && scan.problem != NULL);
    CHECK(!form_next(&scan, &pair));
    buf_clear(&text);
    arena_free(arena);
}

int main(void)
{
    test_pairs();
    test_folds();
    test_too_many();
    return test_done();
}
