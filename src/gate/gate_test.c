/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A request's head: what the judge is asked, what is refused.
 */
#include "gate/testing.h"

static void test_admit(void)
{
    begin();
    say("POST /stripe/v1/x?y=[z] HTTP/1.1\r\nHost: LOCALHOST:8787\r\nAuthorization: bearer  "
        "vk_1\r\n"
        "X_Api_Key: k2\r\nProxy-Authorization: p\r\nX-Forwarded-For: 1\r\nForwarded: f\r\n"
        "X-HTTP_Method-Override: PUT\r\nX-Original-URL: /a\r\nX-Host: h\r\nTE: trailers\r\n"
        "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nUpgrade: h2c\r\nStripe-Account: acct_1\r\n"
        "X-Agent-Run-Id: r1\r\nIdempotency-Key: i\r\nContent-Length: 0\r\n\r\n");
    const struct message_admit *admit = expect_admit();
    CHECK(str_equal(admit->method, STR("POST")) && str_equal(admit->path, STR("/stripe/v1/x")));
    CHECK(admit->has_query && str_equal(admit->query, STR("y=[z]")));
    CHECK(str_equal(admit->host, STR("localhost:8787")) && admit->listener == 1);
    CHECK(str_equal(admit->source, STR("192.0.2.1")) && admit->body == BODY_LENGTH);
    CHECK(admit->presented_count == 2 && admit->presented[0].form == FORM_BEARER);
    CHECK(str_equal(admit->presented[0].value, STR("vk_1")));
    CHECK(admit->presented[1].form == FORM_HEADER);
    CHECK(str_equal(admit->presented[1].name, STR("x_api_key")));
    CHECK(admit->header_count == 4);
    CHECK(str_equal(admit->headers[0].name, STR("x-http_method-override"))); /* refused there */
    CHECK(str_equal(admit->headers[1].name, STR("stripe-account")));
    CHECK(str_equal(admit->headers[2].name, STR("x-agent-run-id")));
    grant();
    const struct message_forward *forward = expect(t.vault, MESSAGE_FORWARD);
    CHECK(forward->header_count == 3);
    CHECK(str_equal(forward->headers[1].name, STR("stripe-account")));
    CHECK(str_equal(forward->headers[2].name, STR("idempotency-key")));
    (void)expect(t.vault, MESSAGE_END);
    answer(200, BODY_NONE, 0);
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 0\r\n\r\n"));
    expect_done(200, false);
    end();
}

static void test_credentials(void)
{
    static const struct {
        const char *value;
        size_t count;
        enum credential_form form;
        const char *first, *second;
    } cases[] = {
        {"Bearer k", 1, FORM_BEARER, "k", NULL},
        {"BEARER \t k", 1, FORM_BEARER, "k", NULL},
        {"token k", 1, FORM_TOKEN, "k", NULL},
        {"Basic dXNlcjpwYXNz", 2, FORM_BASIC_USER, "user", "pass"},
        {"basic dXNlcjo=", 2, FORM_BASIC_USER, "user", ""},
        {"Basic !!", 1, FORM_HEADER, "Basic !!", NULL},
        {"Basic dXNlcg==", 1, FORM_HEADER, "Basic dXNlcg==", NULL},
        {"Bearer", 1, FORM_HEADER, "Bearer", NULL},
        {"vk_1", 1, FORM_HEADER, "vk_1", NULL},
        {"AWS4-HMAC-SHA256 Credential=a", 1, FORM_HEADER, "AWS4-HMAC-SHA256 Credential=a", NULL},
    };

    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        say("GET / HTTP/1.1\r\nHost: a\r\nAuthorization: ");
        say(cases[i].value);
        say("\r\n\r\n");
        const struct message_admit *admit = expect_admit();
        CHECK_CASE(admit->presented_count == cases[i].count && admit->header_count == 0,
                   cases[i].value);
        CHECK_CASE(admit->presented[0].form == cases[i].form, cases[i].value);
        CHECK_CASE(str_equal(admit->presented[0].value, str_from(cases[i].first)), cases[i].value);
        CHECK_CASE(cases[i].second == NULL ||
                       (admit->presented[1].form == FORM_BASIC_PASS &&
                        str_equal(admit->presented[1].value, str_from(cases[i].second))),
                   cases[i].value);
        deny(false);
        CHECK(hears_head(DENIED "\r\n") && hears("{}"));
    }
    CHECK(silent(t.judge)); /* a refusal needs no DONE */
    end();
}

static void test_pipelining(void)
{
    begin();
    say("GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(str_equal(expect_admit()->path, STR("/1")));
    CHECK(silent(t.judge)); /* the second waits unparsed */
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, 3);
    data("one");
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 3\r\n\r\n") && hears("one"));
    expect_done(200, false);
    CHECK(str_equal(expect_admit()->path, STR("/2")));
    deny(false);
    CHECK(hears_head(DENIED "\r\n") && hears("{}"));
    say("\r\nGET /3 HTTP/1.1\r\nHost: a\r\n\r\n"); /* one empty line may come first */
    CHECK(str_equal(expect_admit()->path, STR("/3")));
    end();
}

static void test_slow_head(void)
{
    static const char head[] = "\r\nGET /1 HTTP/1.1\r\nHost: a\r\n\r\n";

    begin();
    for (size_t i = 0; i < sizeof(head) - 1; i++) {
        CHECK(send(t.client, head + i, 1, 0) == 1);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0,
                              &(struct timespec){.tv_nsec = i == 0 ? 30000000 : 1000000}, NULL);
    }
    CHECK(str_equal(expect_admit()->path, STR("/1")));
    end();
}

static void test_refused_heads(void)
{
    static const struct {
        const char *text, *status;
    } cases[] = {
        {"GET / HTTP/1.1\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\nHost: a\n\n", "HTTP/1.1 400 "},
        {"GET /a/../b HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
        {"GET /?a=%zz HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 400 "},
        {"CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n", "HTTP/1.1 501 "},
        {"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 501 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
         "HTTP/1.1 501 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 400 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: a, chunked\r\n\r\n", "HTTP/1.1 501 "},
        {"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nx", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x-api-key\r\n\r\n", "HTTP/1.1 400 "},
        {"GET / HTTP/3.0\r\nHost: a\r\n\r\n", "HTTP/1.1 505 "},
    };

    begin();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        (void)close(t.client);
        t.client = new_client();
        buf_cut(&t.got, 0);
        say(cases[i].text);
        CHECK_CASE(hears(cases[i].status), cases[i].text);
        CHECK_CASE(silent(t.judge), cases[i].text);
    }
    end();
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_admit();
    test_credentials();
    test_pipelining();
    test_slow_head();
    test_refused_heads();
    return test_done();
}
