/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/redact.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"

static void test_pointers(void)
{
    static const char *const good[] = {"/",          "/a",  "/a/b",
                                       "/*",         "/**", "/**/a",
                                       "/a~0b/c~1d", "/0",  "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p"};
    static const char *const bad[] = {
        "", "a", "a/b", "/~", "/a~", "/a~2", "/a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q"};

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        CHECK_CASE(redact_pointer_is_valid(str_from(good[i])), good[i]);
    }
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_CASE(!redact_pointer_is_valid(str_from(bad[i])), bad[i]);
    }
}

/* Pointers are separated by a space. */
static int redact_text(char *text, const char *pointers, uint64_t *hits, struct err *err)
{
    struct str list[REDACT_POINTERS_MAX], rest = str_from(pointers);
    size_t count = 0;

    while (rest.len > 0) {
        list[count++] = str_take_until(&rest, ' ');
    }
    return redact_json((unsigned char *)text, strlen(text), list, count, hits, err);
}

static void test_hidden(void)
{
    static const struct {
        const char *pointers, *before, *after;
        uint64_t hits;
    } cases[] = {
        {"/auth_token", "{\"sid\":\"AC1\",\"auth_token\":\"secret\"}",
         "{\"sid\":\"AC1\",\"auth_token\":\"******\"}", 1},
        {"/auth_token", "{\"auth_token\" : \"a\\\"b\\u0041\"}", "{\"auth_token\" : \"**********\"}",
         1},
        {"/auth_token", "{\"auth\\u005ftoken\":\"abc\"}", "{\"auth\\u005ftoken\":\"***\"}", 1},
        {"/auth_token", "{\"auth_token\":null,\"b\":\"c\"}", "{\"auth_token\":null,\"b\":\"c\"}",
         0},
        {"/auth_token", "{\"auth_token\":true}", "{\"auth_token\":true}", 0},
        {"/auth_token", "{\"auth_token\":\"\"}", "{\"auth_token\":\"\"}", 1},
        {"/auth_token", "{\"a\":{\"auth_token\":\"abc\"}}", "{\"a\":{\"auth_token\":\"abc\"}}", 0},
        {"/auth_token", "[{\"auth_token\":\"abc\"}]", "[{\"auth_token\":\"abc\"}]", 0},
        {"/a", "{\"a\":123,\"b\":4}", "{\"a\":111,\"b\":4}", 1},
        {"/a", "{\"a\":-1.5e10}", "{\"a\":1111111}", 1},
        {"/a", "{\"a\":990000000000000000.00003}", "{\"a\":1.1111111111111111111111}", 1},
        {"/a", "{\"a\":{\"x\":\"pq\",\"y\":[\"r\",{\"z\":7}]},\"b\":\"pq\"}",
         "{\"a\":{\"x\":\"**\",\"y\":[\"*\",{\"z\":1}]},\"b\":\"pq\"}", 3},
        {"/accounts/*/auth_token",
         "{\"accounts\":[{\"auth_token\":\"ab\"},{\"sid\":\"x\",\"auth_token\":\"cd\"}]}",
         "{\"accounts\":[{\"auth_token\":\"**\"},{\"sid\":\"x\",\"auth_token\":\"**\"}]}", 2},
        {"/data/1", "{\"data\":[\"ab\",\"cd\",\"ef\"]}", "{\"data\":[\"ab\",\"**\",\"ef\"]}", 1},
        {"/*/b", "{\"a\":{\"b\":\"x\"},\"c\":{\"d\":{\"b\":\"y\"}}}",
         "{\"a\":{\"b\":\"*\"},\"c\":{\"d\":{\"b\":\"y\"}}}", 1},
        {"/**/b", "{\"b\":\"w\",\"a\":{\"b\":\"x\"},\"c\":[{\"d\":{\"b\":\"y\"}}]}",
         "{\"b\":\"*\",\"a\":{\"b\":\"*\"},\"c\":[{\"d\":{\"b\":\"*\"}}]}", 3},
        {"/**/b", "[[[{\"b\":\"w\"}],\"b\"]]", "[[[{\"b\":\"*\"}],\"b\"]]", 1},
        {"/a/**/b", "{\"b\":\"w\",\"a\":{\"b\":\"x\",\"c\":{\"b\":\"y\"}}}",
         "{\"b\":\"w\",\"a\":{\"b\":\"*\",\"c\":{\"b\":\"*\"}}}", 2},
        {"/**", "{\"b\":\"w\",\"a\":[1,\"x\"]}", "{\"b\":\"*\",\"a\":[1,\"*\"]}", 3},
        {"/a~1b", "{\"a/b\":\"x\",\"a~b\":\"y\"}", "{\"a/b\":\"*\",\"a~b\":\"y\"}", 1},
        {"/a~0b", "{\"a/b\":\"x\",\"a~b\":\"y\"}", "{\"a/b\":\"x\",\"a~b\":\"*\"}", 1},
        {"/", "{\"\":\"x\",\"a\":\"y\"}", "{\"\":\"*\",\"a\":\"y\"}", 1},
        {"/a /b", "{\"a\":\"x\",\"b\":\"y\",\"c\":\"z\"}", "{\"a\":\"*\",\"b\":\"*\",\"c\":\"z\"}",
         2},
        {"/a /a/b", "{\"a\":{\"b\":\"x\"}}", "{\"a\":{\"b\":\"*\"}}", 1},
        {"/abc", "{\"ab\":\"x\",\"abcd\":\"y\"}", "{\"ab\":\"x\",\"abcd\":\"y\"}", 0},
        {"/a", "[]", "[]", 0},
        {"/a", "", "", 0},
        {"", "{\"a\":\"x\"}", "{\"a\":\"x\"}", 0},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct err err;
        uint64_t hits = 99;
        (void)snprintf(text, sizeof(text), "%s", cases[i].before);
        CHECK_CASE(redact_text(text, cases[i].pointers, &hits, &err) == 0, cases[i].before);
        CHECK_CASE(strcmp(text, cases[i].after) == 0, cases[i].before);
        CHECK_CASE(hits == cases[i].hits, cases[i].before);
    }
}

static void test_refused(void)
{
    static const char *const cases[] = {
        "<Account><AuthToken>abc</AuthToken></Account>",
        "\"auth_token\"",
        "{\"auth_token\":\"abc\"",
        "{\"auth_token\":\"abc\"}x",
        "{\"auth_token\":\"abc\"}{\"auth_token\":\"abc\"}",
        "{\"auth_token\":\"abc\",\"auth_token\":\"def\"}",
        "{\"auth_token\":\"\\ud800\"}",
        "{'auth_token':'abc'}",
        "data: {\"auth_token\":\"abc\"}\n\n",
        " ",
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[256];
        struct err err;
        uint64_t hits = 99;
        (void)snprintf(text, sizeof(text), "%s", cases[i]);
        CHECK_CASE(redact_text(text, "/auth_token", &hits, &err) == -1, cases[i]);
        CHECK_CASE(hits == 99 && err.text[0] != '\0', cases[i]);
    }
}

static void test_deepest(void)
{
    char text[2 * LIMIT_JSON_DEPTH + 16] = "";
    struct str pointer = STR("/**");
    struct err err;
    uint64_t hits = 0;
    size_t at = 0;

    for (size_t i = 0; i < LIMIT_JSON_DEPTH; i++) {
        text[at++] = '[';
    }
    memcpy(text + at, "\"x\"", 3);
    at += 3;
    for (size_t i = 0; i < LIMIT_JSON_DEPTH; i++) {
        text[at++] = ']';
    }
    CHECK(redact_json((unsigned char *)text, at, &pointer, 1, &hits, &err) == 0 && hits == 1);
    CHECK(text[LIMIT_JSON_DEPTH + 1] == '*');
}

static void test_too_many_pointers(void)
{
    struct str pointers[REDACT_POINTERS_MAX + 1];
    unsigned char text[] = "{\"a\":\"x\"}";
    struct err err;
    uint64_t hits;

    for (size_t i = 0; i < REDACT_POINTERS_MAX + 1; i++) {
        pointers[i] = STR("/b");
    }
    pointers[REDACT_POINTERS_MAX - 1] = STR("/a");
    CHECK(redact_json(text, 9, pointers, REDACT_POINTERS_MAX, &hits, &err) == 0 && hits == 1);
    CHECK(redact_json(text, 9, pointers, REDACT_POINTERS_MAX + 1, &hits, &err) == -1);
    pointers[0] = STR("no slash");
    CHECK(redact_json(text, 9, pointers, 1, &hits, &err) == -1);
}

int main(void)
{
    test_pointers();
    test_hidden();
    test_refused();
    test_deepest();
    test_too_many_pointers();
    return test_done();
}
