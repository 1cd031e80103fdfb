/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/count.h"

#include "base/buf.h"
#include "base/test.h"
#include "pack/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_addresses(void)
{
    static const struct {
        int64_t count;
        const char *text;
    } cases[] = {
        {0, ""},
        {0, "  \t"},
        {0, ","},
        {1, "a@x.io"},
        {1, "a@x.io,"},
        {2, "a@x.io,b@x.io"},
        {2, " a@x.io , , b@x.io "},
        {3, "Ann <a@x.io>, \"Bob, the second\" <b@x.io>, c@x.io"},
        {1, "\"Smith, John\" <a@x.io>"},
        {1, "\"a \\\", b\" <a@x.io>"},
        {1, "a@x.io (Ann, (of) x, y)"},
        {1, "<a@x.io>"},
        {1, "postmaster"},
        {2, "postmaster, root"},
        /* what hides addresses is not believed */
        {3, "\"a@x.io, b@x.io, c@x.io\""},
        {3, "<a@x.io, b@x.io, c@x.io>"},
        {3, "(a@x.io, b@x.io, c@x.io)"},
        {3, "\"a, b, c"},
        {3, "<a, b, c"},
        {3, "(a, b, c"},
        {3, "((a, b), c"},
        {2, "a@x.io b@x.io"},
        {3, "a@x.io;b@x.io;c@x.io"},
        {3, "friends: a@x.io, b@x.io, c@x.io;"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        CHECK_CASE(count_addresses(str_from(cases[i].text)) == cases[i].count, cases[i].text);
    }
}

/* `count` times `unit`, and `rest` behind it. */
static void check_segments(const char *unit, size_t count, const char *rest, int64_t segments)
{
    struct buf text;

    buf_init(&text, 1024 * 1024);
    for (size_t i = 0; i < count; i++) {
        (void)buf_add_str(&text, str_from(unit));
    }
    (void)buf_add_str(&text, str_from(rest));
    CHECK_CASE(count_segments(buf_str(&text)) == segments, unit);
    buf_clear(&text);
}

static void test_segments(void)
{
    static const struct {
        const char *unit;
        size_t count;
        const char *rest;
        int64_t segments;
    } cases[] = {
        {"", 0, "", 0},
        {"a", 1, "", 1},
        {"a", 160, "", 1},
        {"a", 161, "", 2},
        {"a", 306, "", 2},
        {"a", 307, "", 3},
        {"a", 459, "", 3},
        {"a", 460, "", 4},
        {"\n", 160, "", 1},
        {"@", 160, "", 1},
        {"\xc3\xa9", 160, "", 1},    /* e with acute is GSM-7 */
        {"\xce\xa9", 160, "", 1},    /* Omega too */
        {"\xe2\x82\xac", 80, "", 1}, /* the euro takes two */
        {"\xe2\x82\xac", 81, "", 2},
        {"[", 80, "", 1},
        {"a", 159, "[", 2},         /* 161 */
        {"a", 152, "[a", 1},        /* 155 */
        {"a", 152, "[aaaaaaa", 2},  /* 161: the two of the bracket are not cut */
        {"a", 304, "[a", 3},        /* 307 */
        {"a", 152, "[\xc3\xa9", 1}, /* still GSM-7 */
        {"`", 70, "", 1},           /* no GSM-7: UCS-2 */
        {"`", 71, "", 2},
        {"a", 70, "\xc3\xa7", 2}, /* c with cedilla is not, only its capital is */
        {"\xd0\xb6", 70, "", 1},
        {"\xd0\xb6", 71, "", 2},
        {"\xd0\xb6", 134, "", 2},
        {"\xd0\xb6", 135, "", 3},
        {"\xf0\x9f\x98\x80", 35, "", 1},
        {"\xf0\x9f\x98\x80", 36, "", 2},
        {"\xf0\x9f\x98\x80", 66, "", 2},
        {"\xf0\x9f\x98\x80", 67, "", 3}, /* 33 whole ones a segment */
        {"\t", 71, "", 2},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        check_segments(cases[i].unit, cases[i].count, cases[i].rest, cases[i].segments);
    }
}

static void test_utf8(void)
{
    static const char *const good[] = {"",
                                       "a",
                                       "\xc2\x80",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf",
                                       "gr\xc3\xbc\xc3\x9f"};
    static const char *const bad[] = {"\x80",
                                      "\xbf",
                                      "\xc0\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "\xc2\x41",
                                      "\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xe2\x82",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xff",
                                      "\xfe",
                                      "ok\xc3"};
    static const int32_t characters[] = {0x41, 0x7f, 0x80, 0x7ff, 0x800, 0xffff, 0x10000, 0x10ffff};

    for (size_t i = 0; i < COUNT(good); i++) {
        CHECK_CASE(utf8_is_valid(str_from(good[i])), good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        CHECK_CASE(!utf8_is_valid(str_from(bad[i])), bad[i]);
    }
    for (size_t i = 0; i < COUNT(characters); i++) {
        char bytes[4];
        struct str text = {bytes, utf8_put(bytes, characters[i])};
        CHECK(utf8_is_valid(text) && utf8_length(text) == text.len);
        CHECK(utf8_take(&text) == characters[i] && text.len == 0);
    }
}

int main(void)
{
    test_addresses();
    test_segments();
    test_utf8();
    return test_done();
}
