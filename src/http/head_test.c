/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/test.h"
#include "http/body.h"

static struct http_head head;
static struct http_problem problem;
static size_t used;

static enum http_result parse(char *bytes, size_t len, bool response)
{
    problem = (struct http_problem){0};
    return response ? http_parse_response(bytes, len, STR("GET"), &head, &used, &problem)
                    : http_parse_request(bytes, len, &head, &used, &problem);
}

static enum http_result parse_copy(struct str text, bool response)
{
    static char bytes[2 * LIMIT_HEAD_BYTES];

    memcpy(bytes, text.data, text.len);
    return parse(bytes, text.len, response);
}

/* As STR(), for a static table. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
static const struct str good_requests[] = {
    TEXT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    TEXT("GET /v1/x?expand[]=y&z=%20 HTTP/1.1\r\nhost: api.a.com:8787\r\n\r\n"),
    TEXT("GET / HTTP/1.0\r\n\r\n"),
    TEXT("GET / HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n"),
    TEXT("POST /v1 HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 5\r\n\r\n"),
    TEXT("POST /v1 HTTP/1.1\r\nHost: [::1]:1\r\nTransfer-Encoding: Chunked\r\n\r\n"),
    TEXT("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    TEXT("CONNECT a.com:443 HTTP/1.1\r\nHost: a.com:443\r\n\r\n"),
    TEXT("CONNECT a.com:443 HTTP/1.0\r\n\r\n"),
    TEXT("GET HTTP://a.com/x?y HTTP/1.1\r\nHost: b.com\r\n\r\n"),
    TEXT("GET / HTTP/1.1\r\nHost: a\r\nX-Empty:\r\nX-Tab:\ta\tb \t\r\nX-High: \xc3\xa4\r\n\r\n"),
    TEXT("PUT / HTTP/1.1\r\nHost: a\r\nExpect: 100-Continue\r\nContent-Length: 007\r\n\r\n"),
    TEXT("GET / HTTP/1.1\r\nHost: a\r\nConnection: close, X-Mine ,, te\r\nX-Mine: 1\r\n\r\n"),
};

static const struct str good_responses[] = {
    TEXT("HTTP/1.1 200 OK\r\n\r\n"),
    TEXT("HTTP/1.1 200\r\n\r\n"),
    TEXT("HTTP/1.1 200 \r\nContent-Length: 3\r\n\r\n"),
    TEXT("HTTP/1.0 404 Not Found\r\nA: b\r\n\r\n"),
    TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nConnection: Transfer-Encoding\r\n\r\n"),
    TEXT("HTTP/1.1 100 Continue\r\n\r\n"),
};

static void check_prefixes(struct str text, bool response)
{
    static char bytes[2 * LIMIT_HEAD_BYTES];

    /* In one array throughout, as bytes come in: lower-cased names must not disturb. */
    for (size_t len = 0; len < text.len; len++) {
        memcpy(bytes + len, text.data + len, 1);
        CHECK_CASE(parse(bytes, len, response) == HTTP_MORE, text.data);
    }
    memcpy(bytes + text.len, "rest", 4);
    bytes[text.len - 1] = '\n';
    CHECK_CASE(parse(bytes, text.len + 4, response) == HTTP_OK, text.data);
    CHECK_CASE(used == text.len, text.data);
}

static void test_prefixes(void)
{
    for (size_t i = 0; i < sizeof(good_requests) / sizeof(good_requests[0]); i++) {
        check_prefixes(good_requests[i], false);
    }
    for (size_t i = 0; i < sizeof(good_responses) / sizeof(good_responses[0]); i++) {
        check_prefixes(good_responses[i], true);
    }
}

#define H "Host: a\r\n"
static void test_refused_requests(void)
{
    static const struct {
        unsigned status;
        struct str text;
    } cases[] = {
#define BAD(status, text)                                                                          \
    {                                                                                              \
        status,                                                                                    \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }
        BAD(400, "\r\nGET / HTTP/1.1\r\n" H "\r\n"),
        BAD(400, " GET / HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET  / HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /  HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET / HTTP/1.1 \r\n" H "\r\n"),
        BAD(400, "GET\t/ HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /\r\n" H "\r\n"),
        BAD(400, "GET / http/1.1\r\n" H "\r\n"),
        BAD(400, "GET / HTTP/1\r\n" H "\r\n"),
        BAD(400, "GET / HTTP/1.1\n" H "\r\n"),
        BAD(400, "GET / HTTP/1.1\rHost: a\r\n\r\n"),
        BAD(505, "GET / HTTP/1.2\r\n" H "\r\n"),
        BAD(505, "GET / HTTP/0.9\r\n" H "\r\n"),
        BAD(505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        BAD(501, "get / HTTP/1.1\r\n" H "\r\n"),
        BAD(501, "GET_ / HTTP/1.1\r\n" H "\r\n"),
        BAD(501, "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHI / HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "G(T / HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET x HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET * HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /\x01 HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /\x00 HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /\xc3\xa4 HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a#b HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a\\b HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a\"b HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /<b> HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /{b} HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a|b HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a^b HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a`b HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET /a[b] HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET ftp://a/ HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET http:///x HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET http://u@a/x HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET http://a:x/ HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "CONNECT a.com HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "CONNECT a.com: HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "CONNECT /x HTTP/1.1\r\n" H "\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\nHost:\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H H "\r\n"),
        BAD(400, "GET / HTTP/1.0\r\n" H "Host: b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\nHost: a b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n"),
        BAD(400, "GET http://a/ HTTP/1.1\r\nHost: a b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n Host: a\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X : a\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H ": a\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X@Y: a\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X\xc3: a\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: a\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: a\x00"
                 "b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: 123456789\x7f"
                 "b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: 12345678901\x0b"
                 "b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "X: a\r\n\n"),
        BAD(400, "GET / HTTP/1.1\n" H "\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 1 1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 9007199254740993\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
                 "Transfer-Encoding: chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"),
        BAD(501, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: g z, chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content--Length: 1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Type: a\r\nContent-Type: a\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Range: a\r\nX: y\r\nrange: b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: close, Content-Type\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: if-match\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content_Length: 1\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Transfer_Encoding: chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "transfer.encoding: chunked\r\n\r\n"),
        BAD(400, "POST / HTTP/1.1\r\n" H "Content-Length~: 1\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Authorization: a\r\nauthorization: b\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: close, Host\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: authorization\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: Content-Length\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: a\r\nConnection: transfer-encoding\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: cookie\r\n\r\n"),
        BAD(400, "GET / HTTP/1.1\r\n" H "Connection: \"close\"\r\n\r\n"),
        BAD(417, "GET / HTTP/1.1\r\n" H "Expect: 200-ok\r\n\r\n"),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum http_result result = parse_copy(cases[i].text, false);
        CHECK_CASE(result == HTTP_BAD, cases[i].text.data);
        CHECK_CASE(problem.status == cases[i].status && problem.text != NULL, cases[i].text.data);
        /* However the bytes come, the verdict is the same, once it is there. */
        for (size_t len = 0; len < cases[i].text.len; len++) {
            result = parse_copy(str_slice(cases[i].text, 0, len), false);
            CHECK_CASE(result == HTTP_MORE || problem.status == cases[i].status,
                       cases[i].text.data);
        }
    }
}

static void test_refused_responses(void)
{
    static const struct str cases[] = {
        TEXT("HTTP/1.1 20 OK\r\n\r\n"),
        TEXT("HTTP/1.1 2000 OK\r\n\r\n"),
        TEXT("HTTP/1.1 099 OK\r\n\r\n"),
        TEXT("HTTP/1.1 600 OK\r\n\r\n"),
        TEXT("HTTP/1.1  200 OK\r\n\r\n"),
        TEXT("HTTP/2.0 200 OK\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\n\r\n"),
        TEXT("HTTP/1.1 200 O\x01K\r\n\r\n"),
        TEXT("ICY 200 OK\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nA : b\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        TEXT("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
        TEXT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        TEXT("HTTP/1.1 204 No\r\nContent_Length: 1\r\n\r\n"),
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(parse_copy(cases[i], true) == HTTP_BAD, cases[i].data);
        CHECK_CASE(problem.status == 502, cases[i].data);
    }
}

static void test_meaning(void)
{
    CHECK(parse_copy(good_requests[1], false) == HTTP_OK);
    CHECK(str_equal(head.method, STR("GET")) && str_equal(head.path, STR("/v1/x")));
    CHECK(head.has_query && str_equal(head.query, STR("expand[]=y&z=%20")));
    CHECK(str_equal(head.host, STR("api.a.com:8787")) && head.keep_alive);
    CHECK(head.body == BODY_NONE && head.minor == 1);

    CHECK(parse_copy(good_requests[2], false) == HTTP_OK);
    CHECK(head.host.len == 0 && !head.keep_alive && head.minor == 0);
    CHECK(parse_copy(good_requests[3], false) == HTTP_OK && head.keep_alive);

    CHECK(parse_copy(good_requests[4], false) == HTTP_OK);
    CHECK(head.body == BODY_LENGTH && head.content_length == 5);
    CHECK(parse_copy(good_requests[5], false) == HTTP_OK && head.body == BODY_CHUNKED);
    CHECK(parse_copy(good_requests[6], false) == HTTP_OK && str_equal(head.path, STR("*")));
    CHECK(parse_copy(good_requests[7], false) == HTTP_OK);
    CHECK(str_equal(head.authority, STR("a.com:443")) && head.path.len == 0);

    CHECK(parse_copy(good_requests[9], false) == HTTP_OK);
    CHECK(str_equal(head.scheme, STR("http")) && str_equal(head.host, STR("a.com")));
    CHECK(str_equal(head.path, STR("/x")) && str_equal(head.query, STR("y")));
    CHECK(parse_copy(STR("OPTIONS http://a HTTP/1.1\r\nHost: a\r\n\r\n"), false) == HTTP_OK);
    CHECK(str_equal(head.path, STR("*")));
    CHECK(parse_copy(STR("GET http://a?b HTTP/1.1\r\nHost: a\r\n\r\n"), false) == HTTP_OK);
    CHECK(str_equal(head.path, STR("/")) && str_equal(head.query, STR("b")));
    CHECK(parse_copy(STR("GET /? HTTP/1.1\r\nHost: a\r\n\r\n"), false) == HTTP_OK);
    CHECK(head.has_query && head.query.len == 0);

    CHECK(parse_copy(good_requests[10], false) == HTTP_OK && head.field_count == 4);
    CHECK(str_equal(head.fields[1].name, STR("x-empty")) && head.fields[1].value.len == 0);
    CHECK(str_equal(head.fields[2].value, STR("a\tb")));
    CHECK(parse_copy(good_requests[11], false) == HTTP_OK);
    CHECK(head.expect_continue && head.content_length == 7);
    CHECK(parse_copy(STR("GET / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), false) == HTTP_OK);
    CHECK(!head.expect_continue);

    CHECK(parse_copy(good_requests[12], false) == HTTP_OK && !head.keep_alive);
    CHECK(http_is_hop_by_hop(&head, STR("x-mine")) && http_is_hop_by_hop(&head, STR("te")));
    CHECK(http_is_hop_by_hop(&head, STR("transfer-encoding")));
    CHECK(!http_is_hop_by_hop(&head, STR("x-your")) && !http_is_hop_by_hop(&head, STR("host")));
}

static void test_response_bodies(void)
{
    static const struct {
        const char *method, *text;
        enum body_kind body;
        bool has_length;
    } cases[] = {
        {"GET", "HTTP/1.1 200 OK\r\n\r\n", BODY_UNTIL_CLOSE, false},
        {"GET", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", BODY_LENGTH, true},
        {"HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n", BODY_NONE, true},
        {"HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BODY_NONE, false},
        {"GET", "HTTP/1.1 204 No\r\nContent-Length: 9\r\n\r\n", BODY_NONE, true},
        {"GET", "HTTP/1.1 304 Not\r\nContent-Length: 9\r\n\r\n", BODY_NONE, true},
        {"GET", "HTTP/1.1 103 Hints\r\n\r\n", BODY_NONE, false},
        {"GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", BODY_CHUNKED, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bytes = mem_copy_str(str_from(cases[i].text));
        enum http_result result = http_parse_response(
            bytes, strlen(bytes), str_from(cases[i].method), &head, &used, &problem);
        CHECK_CASE(result == HTTP_OK, cases[i].text);
        CHECK_CASE(head.body == cases[i].body && head.has_length == cases[i].has_length,
                   cases[i].text);
        free(bytes);
    }
}

static struct str long_request(struct buf *buf, size_t target, size_t fields, size_t value)
{
    buf_clear(buf);
    (void)buf_add_str(buf, STR("GET /"));
    for (size_t i = 1; i < target; i++) {
        (void)buf_add_char(buf, 'x');
    }
    (void)buf_add_str(buf, STR(" HTTP/1.1\r\nHost: a\r\n"));
    for (size_t i = 1; i < fields; i++) {
        (void)buf_add_str(buf, STR("X: "));
        for (size_t k = 0; k < value; k++) {
            (void)buf_add_char(buf, 'y');
        }
        (void)buf_add_str(buf, STR("\r\n"));
    }
    (void)buf_add_str(buf, STR("\r\n"));
    return buf_str(buf);
}

static void test_limits(void)
{
    struct buf buf;
    char name[400];

    buf_init(&buf, 1 << 20);
    CHECK(parse_copy(long_request(&buf, LIMIT_TARGET_BYTES, 1, 0), false) == HTTP_OK);
    CHECK(parse_copy(long_request(&buf, LIMIT_TARGET_BYTES + 1, 1, 0), false) == HTTP_BAD);
    CHECK(problem.status == 414);
    CHECK(parse_copy(long_request(&buf, 1, LIMIT_FIELDS, 0), false) == HTTP_OK);
    CHECK(parse_copy(long_request(&buf, 1, LIMIT_FIELDS + 1, 0), false) == HTTP_BAD);
    CHECK(problem.status == 431);

    size_t rest = long_request(&buf, 1, 2, 0).len;
    CHECK(parse_copy(long_request(&buf, 1, 2, LIMIT_HEAD_BYTES - rest), false) == HTTP_OK);
    CHECK(used == LIMIT_HEAD_BYTES);
    CHECK(parse_copy(long_request(&buf, 1, 2, LIMIT_HEAD_BYTES - rest + 1), false) == HTTP_BAD);
    CHECK(problem.status == 431);
    struct str cut = str_slice(buf_str(&buf), 0, LIMIT_HEAD_BYTES - 1);
    CHECK(parse_copy(cut, false) == HTTP_MORE);

    memset(name, 'n', sizeof(name));
    buf_clear(&buf);
    (void)buf_add_str(&buf, STR("GET / HTTP/1.1\r\nHost: a\r\n"));
    (void)buf_add(&buf, name, sizeof(name));
    (void)buf_add_str(&buf, STR(": v\r\n\r\n"));
    CHECK(parse_copy(buf_str(&buf), false) == HTTP_BAD && problem.status == 431);
    buf_clear(&buf);
}

static void test_fields(void)
{
    CHECK(parse_copy(STR("GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\na: 3\r\n\r\n"), false) ==
          HTTP_OK);
    CHECK(http_field_count(&head, STR("a")) == 2 && http_field(&head, STR("a")) == NULL);
    CHECK(http_field(&head, STR("b")) != NULL && str_equal(*http_field(&head, STR("b")), STR("2")));
    CHECK(http_field(&head, STR("c")) == NULL && http_field_count(&head, STR("c")) == 0);
}

/* ---- for tests/test_http_differential.py ---- */

static void print_hex(const char *name, struct str bytes)
{
    (void)printf("\"%s\":\"", name);
    for (size_t i = 0; i < bytes.len; i++) {
        (void)printf("%02x", (unsigned char)bytes.data[i]);
    }
    (void)printf("\",");
}

/* "end", "more" or "bad", with the content in hex. */
static void print_body(struct str rest)
{
    struct http_body body;
    enum http_body_result result;
    struct str data;

    http_body_begin(&body, head.body, head.content_length);
    (void)printf("\"content\":\"");
    while ((result = http_body_read(&body, &rest, &data)) == HTTP_BODY_DATA) {
        for (size_t i = 0; i < data.len; i++) {
            (void)printf("%02x", (unsigned char)data.data[i]);
        }
    }
    (void)printf("\",\"body\":\"%s\"", result == HTTP_BODY_END    ? "end"
                                       : result == HTTP_BODY_MORE ? "more"
                                                                  : "bad");
}

/* Reads requests, each behind its length in decimal and a line end; prints what they say. */
static int print_requests(void)
{
    static char bytes[4 * LIMIT_HEAD_BYTES];
    size_t len;

    while (scanf("%zu", &len) == 1 && getchar() == '\n' && len <= sizeof(bytes) &&
           fread(bytes, 1, len, stdin) == len) {
        enum http_result result = parse(bytes, len, false);
        (void)printf("{");
        if (result == HTTP_OK) {
            print_hex("method", head.method);
            print_hex("target", head.target);
            for (size_t i = 0; i < head.field_count; i++) {
                char name[32];
                (void)snprintf(name, sizeof(name), "n%zu", i);
                print_hex(name, head.fields[i].name);
                (void)snprintf(name, sizeof(name), "v%zu", i);
                print_hex(name, head.fields[i].value);
            }
            (void)printf("\"minor\":%u,\"fields\":%zu,", head.minor, head.field_count);
            print_body(str_slice(str_of(bytes, len), used, len));
        }
        (void)printf("%s\"status\":%u}\n", result == HTTP_OK ? "," : "",
                     result == HTTP_OK    ? 0
                     : result == HTTP_BAD ? problem.status
                                          : 1);
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "print") == 0) {
        return print_requests();
    }
    test_prefixes();
    test_refused_requests();
    test_refused_responses();
    test_meaning();
    test_response_bodies();
    test_limits();
    test_fields();
    return test_done();
}
