/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/splice.h"

#include "base/test.h"
#include "pack/facts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct one {
    const char *body, *names[3]; /* 7, 8, 9 are put at these */
    const char *expected;        /* NULL: cannot be put */
};

static const struct one forms[] = {
    {"", {"amount"}, "amount=7"},
    {"", {"amount", "limit"}, "amount=7&limit=8"},
    {"a=b", {"amount"}, "a=b&amount=7"},
    {"a=b&", {"amount"}, "a=b&amount=7"},
    {"a=b&", {"amount", "limit", "third"}, "a=b&amount=7&limit=8&third=9"},
    {"amount=5000", {"amount"}, "amount=7"},
    {"amount=", {"amount"}, "amount=7"},
    {"x=1&amount=5000&y=2", {"amount"}, "x=1&amount=7&y=2"},
    {"x=1&amount=5000&y=2", {"y", "amount", "x"}, "x=9&amount=8&y=7"},
    {"x=1&amount=5000", {"limit", "amount"}, "x=1&amount=8&limit=7"},
    {"&&amount=5&&", {"amount"}, "&&amount=7&&"},
    {"amount[x]=5", {"amount"}, NULL},
    {"x=1&amount[]", {"amount[y]"}, NULL},
    {"a=", {"b", "a"}, "a=8&b=7"},
    {"a=&", {"b", "a"}, "a=8&b=7"},
    {"a[amount]=5", {"amount"}, "a[amount]=5&amount=7"},
    {"a%5Bb%5D=5&c=d", {"a[b]"}, "a%5Bb%5D=7&c=d"},
    {"v=amount=3", {"amount"}, "v=amount=3&amount=7"},
};

static const struct one texts[] = {
    {"{}", {"/a"}, "{\"a\":7}"},
    {"{}", {"/a", "/b"}, "{\"a\":7,\"b\":8}"},
    {"{ }", {"/a/b/c"}, "{\"a\":{\"b\":{\"c\":7}} }"},
    {"{\"x\":1}", {"/a"}, "{\"a\":7,\"x\":1}"},
    {"{\"x\":1}", {"/a", "/b"}, "{\"a\":7,\"b\":8,\"x\":1}"},
    {"{\"a\":5000}", {"/a"}, "{\"a\":7}"},
    {"{\"a\" : 5000 , \"b\":2}", {"/a"}, "{\"a\" : 7 , \"b\":2}"},
    {"{\"a\":null}", {"/a"}, "{\"a\":7}"},
    {"{\"a\":true}", {"/a"}, "{\"a\":7}"},
    {"{\"a\":false}", {"/a"}, "{\"a\":7}"},
    {"{\"a\":\"x\\\"y\"}", {"/a"}, "{\"a\":7}"},
    {"{\"a\":1.5e3}", {"/a"}, "{\"a\":7}"},
    {"{\"b\":{\"a\":1},\"a\":2}", {"/a"}, "{\"b\":{\"a\":1},\"a\":7}"},
    {"{\"b\":{\"a\":1},\"a\":2}", {"/b/a"}, "{\"b\":{\"a\":7},\"a\":2}"},
    {"{\"b\":{\"a\":1},\"a\":2}", {"/b/c", "/a"}, "{\"b\":{\"c\":7,\"a\":1},\"a\":8}"},
    /* The same name in another object, behind. */
    {"{\"a\":{\"l\":1},\"o\":{\"b\":5}}", {"/a/b"}, "{\"a\":{\"b\":7,\"l\":1},\"o\":{\"b\":5}}"},
    {"{\"b\":{},\"a\":2}", {"/b/c/d"}, "{\"b\":{\"c\":{\"d\":7}},\"a\":2}"},
    {"{\"l\":[{\"a\":1}],\"a\":2}", {"/a"}, "{\"l\":[{\"a\":1}],\"a\":7}"},
    {"{\"a\":[1]}", {"/a"}, NULL},
    {"{\"a\":{}}", {"/a"}, NULL},
    {"{\"a\":1}", {"/a/b"}, NULL},
    {"{\"a\":null}", {"/a/b"}, NULL},
    {"[{\"a\":1}]", {"/a"}, NULL},
};

static void check_all(enum body_encoding encoding, const struct one *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new();
        struct pack_selector selectors[3];
        uint64_t places[3];
        struct pack_read read = {.encoding = encoding, .selectors = selectors, .places = places};
        struct str body = str_from(cases[i].body);
        struct message_facts facts = {.length = body.len};
        struct splices splices = {.count = 0};
        struct err err;
        struct buf out;
        int rc = 0;

        for (size_t k = 0; k < 3 && cases[i].names[k] != NULL; k++) {
            selectors[k] =
                (struct pack_selector){encoding == ENCODING_JSON ? SELECT_POINTER : SELECT_FORM,
                                       str_from(cases[i].names[k])};
            places[k] = k;
            read.selector_count = read.place_count = k + 1;
        }
        facts_read(&read, body, arena, &facts);
        CHECK_CASE(facts.state == FACTS_OK, cases[i].body);
        for (uint32_t k = 0; k < read.selector_count; k++) {
            rc |= splice_put(&splices, &read, &facts, k, 7 + k, arena, &err);
        }
        CHECK_CASE((rc == 0) == (cases[i].expected != NULL), cases[i].body);
        buf_init(&out, 1024);
        if (rc == 0) {
            CHECK_CASE(splices_are_valid(splices.list, splices.count, body.len), cases[i].body);
            CHECK_CASE(splices_apply(splices.list, splices.count, body, &out), cases[i].body);
            CHECK_CASE(str_equal(buf_str(&out), str_from(cases[i].expected)), cases[i].expected);
            CHECK_CASE(splices_length(splices.list, splices.count, body.len) == buf_len(&out),
                       cases[i].body);
        }
        buf_clear(&out);
        arena_free(arena);
    }
}

/* Whatever a broken judge or reader says, a vault changes nothing outside the body. */
static void test_valid(void)
{
    static const struct {
        bool valid;
        size_t count;
        struct message_splice list[2];
    } cases[] = {
        {true, 0, {{0}}},
        {true, 1, {{.offset = 0, .removed = 10}}},
        {true, 1, {{.offset = 10, .removed = 0}}},
        {true, 2, {{.offset = 3, .removed = 2}, {.offset = 5, .removed = 5}}},
        {true, 2, {{.offset = 3, .removed = 0}, {.offset = 3, .removed = 1}}},
        {false, 1, {{.offset = 11, .removed = 0}}},
        {false, 1, {{.offset = 0, .removed = 11}}},
        {false, 1, {{.offset = 9, .removed = UINT64_MAX}}},
        {false, 1, {{.offset = UINT64_MAX, .removed = 2}}},
        {false, 2, {{.offset = 3, .removed = 3}, {.offset = 5, .removed = 1}}},
        {false, 2, {{.offset = 5, .removed = 0}, {.offset = 3, .removed = 0}}},
        {false, LIMIT_SPLICES + 1, {{0}}},
        {false, 1, {{.bytes = {NULL, LIMIT_SPLICED_BYTES + 1}}}},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message_splice list[LIMIT_SPLICES + 1] = {cases[i].list[0], cases[i].list[1]};
        CHECK(splices_are_valid(list, cases[i].count, 10) == cases[i].valid);
    }
}

/* A reader that was broken into names a place outside the body. */
static void test_false_places(void)
{
    static const struct message_place places[] = {
        {.selector = 0, .offset = 11},
        {.selector = 0, .offset = 5, .length = 6},
        {.selector = 0, .offset = 1, .length = UINT64_MAX},
        {.selector = 1, .offset = 0},
    };
    struct pack_selector selector = {SELECT_FORM, STR("amount")};
    struct pack_read read = {
        .encoding = ENCODING_FORM, .selectors = &selector, .selector_count = 1};
    struct arena *arena = arena_new();

    for (size_t i = 0; i < COUNT(places); i++) {
        struct message_place place = places[i];
        struct message_facts facts = {
            .state = FACTS_OK, .length = 10, .places = &place, .place_count = 1};
        struct splices splices = {.count = 0};
        struct err err = {""};
        CHECK(splice_put(&splices, &read, &facts, 0, 1, arena, &err) == -1);
        CHECK(splices.count == 0 && err.text[0] != '\0');
    }
    arena_free(arena);
}

static void test_full(void)
{
    struct pack_selector selector = {SELECT_FORM, STR("a")};
    struct pack_read read = {
        .encoding = ENCODING_FORM, .selectors = &selector, .selector_count = 1};
    struct message_place place = {.missing = 1};
    struct message_facts facts = {.state = FACTS_OK, .places = &place, .place_count = 1};
    struct arena *arena = arena_new();
    struct splices splices = {.count = 0};
    struct err err;

    for (size_t i = 0; i < LIMIT_SPLICES; i++) {
        CHECK(splice_put(&splices, &read, &facts, 0, i, arena, &err) == 0);
    }
    CHECK(splice_put(&splices, &read, &facts, 0, 1, arena, &err) == -1);
    arena_free(arena);
}

int main(void)
{
    check_all(ENCODING_FORM, forms, COUNT(forms));
    check_all(ENCODING_JSON, texts, COUNT(texts));
    test_valid();
    test_false_places();
    test_full();
    return test_done();
}
