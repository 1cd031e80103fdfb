/* SPDX-License-Identifier: Apache-2.0 */
#include "http/write.h"

#include <string.h>

#include "base/test.h"

static void test_response(void)
{
    static const struct {
        unsigned status;
        enum body_kind body;
        bool head_request, close;
        const char *text;
    } cases[] = {
        {200, BODY_LENGTH, false, false, "HTTP/1.1 200 R\r\na: b\r\nContent-Length: 7\r\n\r\n"},
        {200, BODY_LENGTH, true, false, "HTTP/1.1 200 R\r\na: b\r\nContent-Length: 7\r\n\r\n"},
        {200, BODY_NONE, false, false, "HTTP/1.1 200 R\r\na: b\r\nContent-Length: 0\r\n\r\n"},
        {200, BODY_NONE, true, true, "HTTP/1.1 200 R\r\na: b\r\nConnection: close\r\n\r\n"},
        {204, BODY_NONE, false, false, "HTTP/1.1 204 R\r\na: b\r\n\r\n"},
        {304, BODY_NONE, false, false, "HTTP/1.1 304 R\r\na: b\r\n\r\n"},
        {103, BODY_NONE, false, false, "HTTP/1.1 103 R\r\na: b\r\n\r\n"},
        {200, BODY_CHUNKED, false, false,
         "HTTP/1.1 200 R\r\na: b\r\nTransfer-Encoding: chunked\r\n\r\n"},
        {200, BODY_UNTIL_CLOSE, false, true, "HTTP/1.1 200 R\r\na: b\r\nConnection: close\r\n\r\n"},
    };
    static const struct message_header header = {{"a", 1}, {"b", 1}};
    struct buf out;

    buf_init(&out, 1024);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(http_write_response(&out, cases[i].status, STR("R"), &header, 1, cases[i].body, 7,
                                  cases[i].head_request, cases[i].close));
        CHECK_CASE(str_equal(buf_str(&out), str_from(cases[i].text)), cases[i].text);
        buf_cut(&out, 0);
    }
    buf_clear(&out);
}

static void test_request(void)
{
    static const struct message_header headers[] = {{{"a", 1}, {"b", 1}}, {{"c", 1}, {NULL, 0}}};
    struct buf out;

    buf_init(&out, 100);
    CHECK(http_write_request(&out, STR("POST"), STR("/x"), STR("y=z"), true, STR("h:1"), headers, 2,
                             BODY_LENGTH, 12));
    CHECK(str_equal(buf_str(&out), STR("POST /x?y=z HTTP/1.1\r\nHost: h:1\r\na: b\r\nc: \r\n"
                                       "Content-Length: 12\r\n\r\n")));
    /* All or nothing. */
    CHECK(!http_write_request(&out, STR("GET"), STR("/x"), STR_NONE, false, STR("h"), headers, 2,
                              BODY_NONE, 0));
    CHECK(str_starts(buf_str(&out), STR("POST")) && str_ends(buf_str(&out), STR("12\r\n\r\n")));
    buf_cut(&out, 0);
    CHECK(http_write_request(&out, STR("GET"), STR("/"), STR_NONE, true, STR("h"), NULL, 0,
                             BODY_NONE, 0));
    CHECK(str_equal(buf_str(&out), STR("GET /? HTTP/1.1\r\nHost: h\r\n\r\n")));
    buf_clear(&out);
}

static void test_date(void)
{
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777999, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {1709164800000, "Thu, 29 Feb 2024 00:00:00 GMT"},
    };
    struct buf out;

    buf_init(&out, 64);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK(http_write_date(&out, cases[i].ms));
        CHECK_CASE(str_equal(buf_str(&out), str_from(cases[i].text)), cases[i].text);
        buf_cut(&out, 0);
    }
    buf_clear(&out);
}

static void test_questions(void)
{
    CHECK(http_is_token(STR("x-a_b.~1")) && !http_is_token(STR("")) && !http_is_token(STR("a b")));
    CHECK(!http_is_token(STR("a:")) && !http_is_token(STR("\xc3")) && !http_is_token(STR("a\r")));
    CHECK(http_is_field_value(STR("a\tb \xff")) && http_is_field_value(STR("")));
    CHECK(!http_is_field_value(STR("a\r")) && !http_is_field_value(STR("a\nb")));
    CHECK(!http_is_field_value(STR("a\0b")) && !http_is_field_value(STR("\x7f")));
    for (size_t len = 1; len <= 40; len++) {
        static const char bad[] = "\0\x01\b\n\r\x1f\x7f";
        char text[40];
        memset(text, '~', sizeof(text));
        text[len / 2] = '\t';
        CHECK(http_is_field_value(str_of(text, len)));
        for (size_t at = 0; at < len; at++) {
            for (size_t i = 0; i < sizeof(bad) - 1; i++) {
                char good = text[at];
                text[at] = bad[i];
                CHECK(!http_is_field_value(str_of(text, len)));
                text[at] = good;
            }
        }
    }
    CHECK(str_equal(http_reason(404), STR("Not Found")) && http_reason(299).len == 0);
}

int main(void)
{
    test_response();
    test_request();
    test_date();
    test_questions();
    return test_done();
}
