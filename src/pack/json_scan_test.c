/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/json_scan.h"

#include "base/buf.h"
#include "base/test.h"

static enum scan_kind scan_all(struct str body, struct json_scan *scan, struct arena *arena)
{
    struct json_token token;

    json_scan_begin(scan, body, arena);
    while (json_scan_next(scan, &token)) {
    }
    return token.kind;
}

static void test_accepted(void)
{
    static const char *const bodies[] = {
        "{}",
        "[]",
        " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
        "[null,true,false,0,-1,1.5,1e5,1E-5,-0,-0.0,9223372036854775807]",
        "{\"a\":{\"a\":{\"a\":1}}}",
        "[{\"a\":1},{\"a\":2}]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\"]",
        "[\"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80 \xef\xbf\xbf \xf4\x8f\xbf\xbf\"]",
        "[\"\x7f\"]",
        "{\"a\":1,\"A\":2}",
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
        "[1e200]",
    };
    struct arena *arena = arena_new();
    struct json_scan scan;

    for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
        CHECK_CASE(scan_all(str_from(bodies[i]), &scan, arena) == SCAN_END, bodies[i]);
    }
    arena_free(arena);
}

static void test_refused(void)
{
    static const struct {
        enum scan_fault fault;
        const char *body;
    } cases[] = {
        {SCAN_FAULT_DUPLICATE, "{\"max_tokens\":10,\"max_tokens\":99999}"},
        {SCAN_FAULT_DUPLICATE, "{\"max_tokens\":10,\"max\\u005ftokens\":99999}"},
        {SCAN_FAULT_DUPLICATE, "{\"a\":[{\"b\":{\"c\":1,\"x\":{\"c\":2},\"c\":3}}]}"},
        {SCAN_FAULT_DUPLICATE, "{\"\":1,\"\":1}"},
        {SCAN_FAULT_DUPLICATE, "{\"a much longer name\":1,\"b\":1,\"a much longer name\":1}"},
        {SCAN_FAULT_NUMBER, "[99999999999999999999]"},
        {SCAN_FAULT_NUMBER, "[9223372036854775808]"},
        {SCAN_FAULT_NUMBER, "[1e400]"},
        {SCAN_FAULT_NUMBER, "[1e-00000000000000000000000201]"},
        {SCAN_FAULT_NUMBER,
         "[0.0000000000000000000000000000000000000000000000000000000000000000000]"},
        {SCAN_FAULT_LIMIT, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"},
        {SCAN_FAULT_SYNTAX, ""},
        {SCAN_FAULT_SYNTAX, " "},
        {SCAN_FAULT_SYNTAX, "1"},
        {SCAN_FAULT_SYNTAX, "\"a\""},
        {SCAN_FAULT_SYNTAX, "null"},
        {SCAN_FAULT_SYNTAX, "{\"a\":1} trailing"},
        {SCAN_FAULT_SYNTAX, "{}{}"},
        {SCAN_FAULT_SYNTAX, "[]]"},
        {SCAN_FAULT_SYNTAX, "\xef\xbb\xbf{}"},
        {SCAN_FAULT_SYNTAX, "[010]"},
        {SCAN_FAULT_SYNTAX, "[-01]"},
        {SCAN_FAULT_SYNTAX, "[+1]"},
        {SCAN_FAULT_SYNTAX, "[.5]"},
        {SCAN_FAULT_SYNTAX, "[1.]"},
        {SCAN_FAULT_SYNTAX, "[1e]"},
        {SCAN_FAULT_SYNTAX, "[1e+]"},
        {SCAN_FAULT_SYNTAX, "[-]"},
        {SCAN_FAULT_SYNTAX, "[0x10]"},
        {SCAN_FAULT_SYNTAX, "[NaN]"},
        {SCAN_FAULT_SYNTAX, "[Infinity]"},
        {SCAN_FAULT_SYNTAX, "[nul]"},
        {SCAN_FAULT_SYNTAX, "[True]"},
        {SCAN_FAULT_SYNTAX, "{\"a\":1,}"},
        {SCAN_FAULT_SYNTAX, "[1,]"},
        {SCAN_FAULT_SYNTAX, "[,1]"},
        {SCAN_FAULT_SYNTAX, "[1 2]"},
        {SCAN_FAULT_SYNTAX, "{\"a\" 1}"},
        {SCAN_FAULT_SYNTAX, "{\"a\":}"},
        {SCAN_FAULT_SYNTAX, "{a:1}"},
        {SCAN_FAULT_SYNTAX, "{'a':1}"},
        {SCAN_FAULT_SYNTAX, "{1:1}"},
        {SCAN_FAULT_SYNTAX, "{\"a\"}"},
        {SCAN_FAULT_SYNTAX, "/*c*/{}"},
        {SCAN_FAULT_SYNTAX, "{}//c"},
        {SCAN_FAULT_SYNTAX, "[}"},
        {SCAN_FAULT_SYNTAX, "{]"},
        {SCAN_FAULT_SYNTAX, "["},
        {SCAN_FAULT_SYNTAX, "{\"a\":1"},
        {SCAN_FAULT_SYNTAX, "[\"a"},
        {SCAN_FAULT_SYNTAX, "[\"a\\"},
        {SCAN_FAULT_SYNTAX, "[\"a\\\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\x41\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\u12\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\u12g4\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\u0000\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\ud800\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\ud800\\u0041\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\\udc00\\ud800\"]"},
        {SCAN_FAULT_SYNTAX, "[\"tab\tin it\"]"},
        {SCAN_FAULT_SYNTAX, "[\"line\nin it\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\xc0\xaf\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\xe0\x80\xaf\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\xed\xa0\x80\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\xf4\x90\x80\x80\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\xff\"]"},
        {SCAN_FAULT_SYNTAX, "[\"\xe2\x82\"]"},
        {SCAN_FAULT_SYNTAX, "amount=5000&currency=usd"},
        {SCAN_FAULT_SYNTAX, "<html></html>"},
    };
    struct arena *arena = arena_new();
    struct json_scan scan;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool bad = scan_all(str_from(cases[i].body), &scan, arena) == SCAN_BAD;
        CHECK_CASE(bad && scan.fault == cases[i].fault && scan.problem != NULL, cases[i].body);
    }
    CHECK(scan_all(str_of("[\0]", 3), &scan, arena) == SCAN_BAD);
    CHECK(scan_all(str_of("[]\0", 3), &scan, arena) == SCAN_BAD);
    CHECK(scan_all(str_of("[\"a\0b\"]", 7), &scan, arena) == SCAN_BAD);
    arena_free(arena);
}

static void test_tokens(void)
{
    static const struct {
        enum scan_kind kind;
        const char *text;
    } expected[] = {
        {SCAN_OBJECT, ""},     {SCAN_NAME, "a/b"},
        {SCAN_ARRAY, ""},      {SCAN_INTEGER, ""},
        {SCAN_NUMBER, ""},     {SCAN_NUMBER, ""},
        {SCAN_NUMBER, ""},     {SCAN_TEXT, "x\"\xe2\x82\xac\xf0\x9f\x98\x80\n"},
        {SCAN_TRUE, ""},       {SCAN_ARRAY_END, ""},
        {SCAN_NAME, "c"},      {SCAN_NULL, ""},
        {SCAN_OBJECT_END, ""}, {SCAN_END, ""},
    };
    struct arena *arena = arena_new();
    struct json_scan scan;
    struct json_token token;

    json_scan_begin(&scan,
                    STR("{\"a\\/b\": [-12, -0, 1.0, 1e5, \"x\\\"\\u20ac\\uD83D\\uDE00\\n\", true],"
                        "\"c\": null}"),
                    arena);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        bool more = json_scan_next(&scan, &token);
        CHECK(more == (expected[i].kind != SCAN_END));
        CHECK(token.kind == expected[i].kind);
        if (token.kind == SCAN_NAME) {
            CHECK(str_equal(token.text, str_from(expected[i].text)));
        }
        if (token.kind == SCAN_TEXT) {
            CHECK(token.escaped);
            CHECK(str_equal(json_scan_text(&scan, &token), str_from(expected[i].text)));
        }
        CHECK(token.kind != SCAN_INTEGER || token.number == -12);
    }
    arena_free(arena);
}

/* Many members need the larger tables; one too many is refused, and so is the last one twice. */
static void test_many_members(void)
{
    static const struct {
        size_t members;
        bool twice, fine;
    } cases[] = {
        {SCAN_FEW_MEMBERS, false, true},
        {SCAN_FEW_MEMBERS + 1, false, true},
        {5000, false, true},
        {SCAN_FEW_MEMBERS, true, false},
        {5000, true, false},
        {SCAN_MEMBERS_MAX, false, true},
        {SCAN_MEMBERS_MAX, true, false},
        {SCAN_MEMBERS_MAX + 1, false, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct arena *arena = arena_new();
        struct json_scan scan;
        struct buf body;

        buf_init(&body, 2 * 1024 * 1024);
        for (size_t n = 0; n < cases[i].members; n++) {
            bool again = cases[i].twice && n + 1 == cases[i].members;
            (void)buf_addf(&body, "%s\"m%zu\":0", n == 0 ? "{" : ",", again ? 7 : n);
        }
        (void)buf_add_char(&body, '}');
        CHECK((scan_all(buf_str(&body), &scan, arena) == SCAN_END) == cases[i].fine);
        buf_clear(&body);
        arena_free(arena);
    }
}

/* Every byte of a good text changed or cut: never read beyond it, and what is cut is bad. */
static void test_cut(void)
{
    static const char text[] = "{\"amount\":[1,-2.5e3,\"\\u00e9\\ud83d\\ude00\xe2\x82\xac\",null]}";
    struct arena *arena = arena_new();
    struct json_scan scan;

    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        struct str cut = arena_copy(arena, str_of(text, len));
        CHECK_CASE(scan_all(cut, &scan, arena) == SCAN_BAD, cut.data);
    }
    arena_free(arena);
}

int main(void)
{
    test_accepted();
    test_refused();
    test_tokens();
    test_many_members();
    test_cut();
    return test_done();
}
