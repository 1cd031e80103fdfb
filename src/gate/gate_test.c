/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a gate does, at its client's side and at its judge's, vault's and reader's.
 */
#include "gate/gate.h"

#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "base/clock.h"
#include "gate/testing.h"

/* ---- the cases ---- */

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

static void test_upload(void)
{
    begin();
    say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    CHECK(expect_admit()->body == BODY_CHUNKED);
    grant();
    expect_forward();
    const struct message_data *piece = expect(t.vault, MESSAGE_DATA);
    CHECK(str_equal(piece->bytes, STR("abc")));
    CHECK(silent(t.vault));
    say("4;x=y\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n");
    piece = expect(t.vault, MESSAGE_DATA);
    CHECK(str_equal(piece->bytes, STR("defg")));
    (void)expect(t.vault, MESSAGE_END);
    answer(200, BODY_UNTIL_CLOSE, 0);
    CHECK(hears_head(ANSWERED "Transfer-Encoding: chunked\r\n\r\n"));
    data("data: 1\n\n"); /* server-sent events go out at once */
    CHECK(hears("9\r\ndata: 1\n\n\r\n"));
    data("data: 2\n\n");
    CHECK(hears("9\r\ndata: 2\n\n\r\n"));
    finish();
    CHECK(hears("0\r\n\r\n"));
    const struct message_done *done = expect(t.judge, MESSAGE_DONE);
    CHECK(done->bytes_in == 7 && done->bytes_out == 18 && done->grant == next_grant);
    end();
}

static void test_bad_upload(void)
{
    begin();
    say("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    (void)expect(t.vault, MESSAGE_DATA);
    say("xyz\r\n");
    const struct message_reset *reset = expect(t.vault, MESSAGE_RESET);
    CHECK(reset->grant == next_grant && reset->error == UPSTREAM_CLIENT);
    CHECK(hears("HTTP/1.1 400 "));
    expect_done(400, false);

    t.client = new_client();
    buf_cut(&t.got, 0);
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    (void)expect_admit();
    grant();
    expect_forward();
    (void)expect(t.vault, MESSAGE_DATA);
    (void)shutdown(t.client, SHUT_WR);
    (void)expect(t.vault, MESSAGE_RESET);
    CHECK(hears("HTTP/1.1 400 "));
    end();
}

static void read_body(uint64_t max)
{
    struct message_read_body rule = {
        .request = last_request, .generation = 3, .rule = 5, .bytes_max = max};
    tell(t.judge, MESSAGE_READ_BODY, &rule);
}

static void test_expect_and_judged_body(void)
{
    begin();
    say("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 6\r\nB: c\r\n\r\n");
    CHECK(expect_admit()->expect_continue);
    CHECK(!readable(t.client, SHORT_MS));
    read_body(100);
    CHECK(hears("HTTP/1.1 100 Continue\r\n\r\n"));
    const struct message_body *body = expect(t.reader, MESSAGE_BODY);
    CHECK(body->request == last_request && body->rule == 5 && body->generation == 3);
    say("abc");
    const struct message_body_data *piece = expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(str_equal(piece->bytes, STR("abc")));
    say("def");
    piece = expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(str_equal(piece->bytes, STR("def")));
    const struct message_body_end *ended = expect(t.reader, MESSAGE_BODY_END);
    CHECK(ended->complete && silent(t.vault));
    grant();
    const struct message_forward *forward = expect(t.vault, MESSAGE_FORWARD);
    CHECK(forward->header_count == 1 && str_equal(forward->headers[0].name, STR("b")));
    const struct message_data *kept = expect(t.vault, MESSAGE_DATA);
    CHECK(str_equal(kept->bytes, STR("abcdef")));
    (void)expect(t.vault, MESSAGE_END);
    answer(200, BODY_LENGTH, 2);
    data("ok");
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 2\r\n\r\n") && hears("ok"));
    expect_done(200, false);

    /* A long one goes on as the vault's window says. */
    static char long_body[40000 + 1];
    memset(long_body, 'x', sizeof(long_body) - 1);
    say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 40000\r\n\r\n");
    (void)expect_admit();
    read_body(LIMIT_JUDGED_BODY_BYTES);
    (void)expect(t.reader, MESSAGE_BODY);
    say(long_body);
    for (size_t read = 0; read < 40000;) {
        const struct message_body_data *part = expect(t.reader, MESSAGE_BODY_DATA);
        read += part->bytes.len;
    }
    (void)expect(t.reader, MESSAGE_BODY_END);
    grant();
    expect_forward();
    kept = expect(t.vault, MESSAGE_DATA);
    CHECK(kept->bytes.len == LIMIT_STREAM_WINDOW_BYTES && silent(t.vault));
    struct message_window window = {.grant = next_grant, .bytes = 100000};
    tell(t.vault, MESSAGE_WINDOW, &window);
    for (size_t read = LIMIT_STREAM_WINDOW_BYTES; read < 40000;) {
        kept = expect(t.vault, MESSAGE_DATA);
        read += kept->bytes.len;
    }
    (void)expect(t.vault, MESSAGE_END);
    answer(200, BODY_LENGTH, 2);
    data("ok");
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 2\r\n\r\n") && hears("ok"));
    expect_done(200, false);

    /* Refused after it was read: nothing of it is in the way of the next request. */
    say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nabGET /y HTTP/1.1\r\nHost: "
        "a\r\n\r\n");
    (void)expect_admit();
    read_body(100);
    (void)expect(t.reader, MESSAGE_BODY);
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    (void)expect(t.reader, MESSAGE_BODY_END);
    deny(false);
    CHECK(hears_head(DENIED "\r\n") && hears("{}"));
    CHECK(str_equal(expect_admit()->path, STR("/y")));
    end();
}

static void test_judged_body_too_large(void)
{
    begin();
    say("POST /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n");
    (void)expect_admit();
    read_body(4);
    (void)expect(t.reader, MESSAGE_BODY);
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    const struct message_body_end *ended = expect(t.reader, MESSAGE_BODY_END);
    CHECK(!ended->complete);
    deny(false);
    CHECK(hears_head(DENIED "Connection: close\r\n\r\n") && hears("{}") && hears_end() == 0);
    end();
}

static void test_denial_under_upload(void)
{
    static char piece[65536];

    begin();
    say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n");
    (void)expect_admit();
    deny(false);
    for (int i = 0; i < 30; i++) {
        ssize_t sent = send(t.client, piece, sizeof(piece), MSG_NOSIGNAL);
        CHECK(sent == (ssize_t)sizeof(piece)); /* taken, never reset */
    }
    CHECK(hears_head(DENIED "Connection: close\r\n\r\n") && hears("{}") && hears_end() == 0);

    /* With an Expect nobody knows whether the body comes: that connection ends too. */
    (void)close(t.client);
    t.client = new_client();
    say("POST /x HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    (void)expect_admit();
    deny(false);
    CHECK(hears_head(DENIED "Connection: close\r\n\r\n") && hears("{}") && hears_end() == 0);

    /* A small body that is here already lets the connection live. */
    (void)close(t.client);
    t.client = new_client();
    say("POST /x HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n");
    (void)expect_admit();
    say("ab");
    deny(false);
    CHECK(hears_head(DENIED "\r\n") && hears("{}"));
    say("GET /y HTTP/1.1\r\nHost: a\r\n\r\n");
    CHECK(str_equal(expect_admit()->path, STR("/y")));
    end();
}

static void test_bodiless(void)
{
    begin();
    say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, 99);
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 99\r\n\r\n"));
    expect_done(200, false);

    say("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    deny(false);
    CHECK(hears_head(DENIED "\r\n"));

    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(304, BODY_NONE, 0);
    finish();
    CHECK(hears_head("HTTP/1.1 304 R\r\na: b\r\nkeybrake-request-id: req_1\r\n\r\n"));
    expect_done(304, false);
    end();
}

static void test_http10(void)
{
    begin();
    say("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK(expect_admit()->http10);
    grant();
    expect_forward();
    answer(103, BODY_NONE, 0); /* none to 1.0 */
    answer(200, BODY_CHUNKED, 0);
    data("abc");
    data("def");
    finish();
    CHECK(hears_head(ANSWERED "Connection: close\r\n\r\n") && hears("abcdef"));
    CHECK(hears_end() == 0);
    end();
}

static void test_interim(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    for (int i = 0; i < LIMIT_INTERIM_ANSWERS + 2; i++) {
        answer(103, BODY_NONE, 0);
    }
    answer(200, BODY_NONE, 0);
    finish();
    for (int i = 0; i < LIMIT_INTERIM_ANSWERS; i++) {
        CHECK(hears_head("HTTP/1.1 103 Early Hints\r\na: b\r\n\r\n"));
    }
    CHECK(hears_head(ANSWERED "Content-Length: 0\r\n\r\n"));
    end();
}

static void reset(void)
{
    struct message_reset message = {.grant = next_grant, .error = UPSTREAM_RESET};
    tell(t.vault, MESSAGE_RESET, &message);
}

static void test_truncated(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(200, BODY_CHUNKED, 0);
    data("abc");
    reset();
    CHECK(hears_head(ANSWERED "Transfer-Encoding: chunked\r\n\r\n") && hears("3\r\nabc\r\n"));
    CHECK(hears_end() == 0); /* and no last chunk */
    expect_done(200, false);

    (void)close(t.client);
    t.client = new_client();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, 5);
    data("abc");
    finish(); /* short of what was said */
    CHECK(hears_head(ANSWERED "Content-Length: 5\r\n\r\n") && hears("abc"));
    CHECK(hears_end() >= 0); /* by a reset on TCP */
    expect_done(200, false);

    /* Before a head: the judge has the word. */
    (void)close(t.client);
    t.client = new_client();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    reset();
    CHECK(!readable(t.client, SHORT_MS));
    deny(false);
    CHECK(hears_head("HTTP/1.1 429 No\r\nkeybrake-denied: cap_exceeded\r\n"
                     "keybrake-request-id: req_1\r\nContent-Length: 2\r\n\r\n"));
    CHECK(hears("{}"));
    expect_done(429, false);
    end();
}

static void test_download_window(void)
{
    static char piece[LIMIT_STREAM_WINDOW_BYTES];
    struct message_data bytes = {.bytes = {piece, sizeof(piece)}};
    uint64_t credit = LIMIT_STREAM_WINDOW_BYTES, sent = 0;

    begin();
    memset(piece, 'x', sizeof(piece));
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, UINT64_C(1) << 40);
    bytes.grant = next_grant;
    /* The client reads nothing: credit must run dry, after the socket's buffer and one window. */
    while (credit >= sizeof(piece) && sent < 64 * 1024 * 1024) {
        tell(t.vault, MESSAGE_DATA, &bytes);
        sent += sizeof(piece);
        credit -= sizeof(piece);
        while (readable(t.vault, SHORT_MS)) {
            const struct message_window *window = expect(t.vault, MESSAGE_WINDOW);
            credit += window->bytes;
        }
    }
    CHECK(sent < 2 * 1024 * 1024);
    /* It reads on: credit comes back, and the window has grown. */
    uint64_t read = 0;
    while (read < sent && readable(t.client, WAIT_MS)) {
        static char sink[65536];
        ssize_t got = recv(t.client, sink, sizeof(sink), 0);
        read += got > 0 ? (uint64_t)got : sent;
    }
    while (readable(t.vault, SHORT_MS)) {
        const struct message_window *window = expect(t.vault, MESSAGE_WINDOW);
        credit += window->bytes;
    }
    CHECK(credit > LIMIT_STREAM_WINDOW_BYTES && credit <= LIMIT_STREAM_WINDOW_BYTES_MAX);
    (void)close(t.client);
    tell(t.vault, MESSAGE_DATA, &bytes); /* the client is gone: the vault hears it */
    (void)expect(t.vault, MESSAGE_RESET);
    expect_done(200, true);
    t.client = new_client();
    end();
}

static void test_upload_window(void)
{
    static char piece[LIMIT_STREAM_WINDOW_BYTES];
    uint64_t taken = 0;

    begin();
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    for (int i = 0; i < 8; i++) {
        (void)send(t.client, piece, sizeof(piece), MSG_NOSIGNAL | MSG_DONTWAIT);
    }
    while (readable(t.vault, SHORT_MS)) {
        const struct message_data *got = expect(t.vault, MESSAGE_DATA);
        taken += got->bytes.len;
    }
    CHECK(taken == LIMIT_STREAM_WINDOW_BYTES);
    struct message_window window = {.grant = next_grant, .bytes = 1000};
    tell(t.vault, MESSAGE_WINDOW, &window);
    while (readable(t.vault, SHORT_MS)) {
        const struct message_data *got = expect(t.vault, MESSAGE_DATA);
        taken += got->bytes.len;
    }
    CHECK(taken == LIMIT_STREAM_WINDOW_BYTES + 1000);
    /* An answer before the upload has ended: relayed, then the rest is drained. */
    answer(200, BODY_LENGTH, 2);
    data("ok");
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 2\r\nConnection: close\r\n\r\n") && hears("ok"));
    CHECK(hears_end() == 0);
    CHECK(send(t.client, piece, sizeof(piece), MSG_NOSIGNAL) == (ssize_t)sizeof(piece));
    end();
}

static void test_half_close(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)shutdown(t.client, SHUT_WR);
    (void)expect_admit();
    grant();
    expect_forward();
    CHECK(silent(t.vault));
    answer(200, BODY_LENGTH, 2);
    data("ok");
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 2\r\n\r\n") && hears("ok") && hears_end() == 0);
    expect_done(200, false);
    end();
}

static void test_client_gone(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    (void)close(t.client);
    const struct message_done *done = expect(t.judge, MESSAGE_DONE);
    CHECK(done->request == last_request && done->grant == 0 && done->client_gone);
    grant(); /* it crossed */
    done = expect(t.judge, MESSAGE_DONE);
    CHECK(done->request == last_request && done->grant == next_grant && done->client_gone);
    CHECK(silent(t.vault));
    t.client = new_client();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    end();
}

static void test_cut(void)
{
    uint64_t keys[] = {9, 7};
    struct message_cut message = {.cut = 5, .keys = keys, .key_count = 2};

    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(200, BODY_CHUNKED, 0);
    data("abc");
    CHECK(hears_head(ANSWERED "Transfer-Encoding: chunked\r\n\r\n") && hears("3\r\nabc\r\n"));
    keys[1] = 8;
    tell(t.judge, MESSAGE_CUT, &message);
    const struct message_cut_done *done = expect(t.judge, MESSAGE_CUT_DONE);
    CHECK(done->cut == 5);
    data("d"); /* of another key: it lives */
    CHECK(hears("1\r\nd\r\n"));
    keys[1] = 7;
    tell(t.judge, MESSAGE_CUT, &message);
    (void)expect(t.judge, MESSAGE_CUT_DONE);
    CHECK(hears_end() == 0);
    (void)expect(t.vault, MESSAGE_RESET);
    expect_done(200, false);
    end();
}

static void test_vault_dies(void)
{
    int fds[2];

    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    (void)close(t.vault);
    CHECK(hears("HTTP/1.1 502 "));
    expect_done(502, false);
    buf_cut(&t.got, 0);
    (void)close(t.client);
    t.client = new_client();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    CHECK(hears("HTTP/1.1 502 ")); /* none there: nothing was sent */
    expect_done(502, false);

    pair(fds);
    t.vault = fds[0];
    command('v', fds[1]);
    buf_cut(&t.got, 0);
    (void)close(t.client);
    t.client = new_client();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    end();
}

static void test_judge_silent(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    CHECK(!readable(t.client, LIMIT_JUDGE_SILENT_MS - 500));
    CHECK(hears("HTTP/1.1 503 "));
    const struct message_done *done = expect(t.judge, MESSAGE_DONE);
    CHECK(done->grant == 0);
    grant();
    CHECK(silent(t.vault));
    end();
}

static void test_drain(void)
{
    int fds[2];

    begin();
    int idle = new_client();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    pair(fds);
    command('d', fds[1]);
    (void)close(fds[0]);
    char byte;
    CHECK(readable(idle, WAIT_MS) && recv(idle, &byte, 1, 0) == 0);
    deny(false);
    CHECK(hears_head(DENIED "Connection: close\r\n\r\n") && hears("{}") && hears_end() == 0);
    (void)close(idle);
    end();
}

/* A judge that does not read is asked no more; when it reads again, nobody was forgotten. */
static void test_judge_full(void)
{
    static char head[30000];
    enum { CLIENTS = 80 };
    int clients[CLIENTS];

    begin();
    int len = snprintf(head, sizeof(head), "GET / HTTP/1.1\r\nHost: a\r\nX: ");
    memset(head + len, 'x', sizeof(head) - (size_t)len - 4);
    memcpy(head + sizeof(head) - 4, "\r\n\r\n", 4);
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = new_client();
        CHECK(send(clients[i], head, sizeof(head), MSG_NOSIGNAL) == (ssize_t)sizeof(head));
    }
    (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 200000000}, NULL);
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)expect_admit();
    }
    CHECK(silent(t.judge));
    for (size_t i = 0; i < CLIENTS; i++) {
        (void)close(clients[i]);
    }
    end();
}

static int tcp_listener(struct sockaddr_in *ret_address);
static int dial(const struct sockaddr_in *address);

/* Room for ROOM connections, and all have sent half a head: the oldest goes for one that sends a
 * whole one. */
static void test_room_for_whole_heads(void)
{
    struct sockaddr_in address;
    int clients[ROOM];

    begin();
    (void)close(t.client);
    command('l', tcp_listener(&address));
    for (size_t i = 0; i < ROOM; i++) {
        clients[i] = dial(&address);
        CHECK(send(clients[i], "GET / HT", 8, MSG_NOSIGNAL) == 8);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    t.client = dial(&address);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    CHECK(recv(clients[0], &(char){0}, 1, 0) == 0); /* it had to go */
    CHECK(recv(clients[1], &(char){0}, 1, MSG_DONTWAIT) == -1);
    CHECK(send(clients[1], "TP/1.1\r\nHost: a\r\n\r\n", 21, MSG_NOSIGNAL) == 21);
    (void)expect_admit();
    for (size_t i = 0; i < ROOM; i++) {
        (void)close(clients[i]);
    }
    end();
}

/* Room for ROOM connections: idle ones make way, busy ones do not. */
static void test_room(void)
{
    static const char request[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct sockaddr_in address;
    int clients[ROOM + 4];

    begin();
    (void)close(t.client);
    command('l', tcp_listener(&address));
    for (size_t i = 0; i < ROOM + 4; i++) {
        clients[i] = dial(&address);
        (void)clock_nanosleep(CLOCK_MONOTONIC, 0, &(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    for (size_t i = 4; i < ROOM + 4; i++) {
        CHECK(send(clients[i], request, sizeof(request) - 1, MSG_NOSIGNAL) > 0);
        (void)expect_admit();
    }
    CHECK(recv(clients[0], &(char){0}, 1, 0) == 0); /* it had to go */
    t.client = dial(&address);
    say(request);
    CHECK(hears("HTTP/1.1 503 ")); /* all are busy */
    CHECK(silent(t.judge));
    buf_cut(&t.got, 0);
    (void)close(t.client);
    deny(false); /* the last one's, which is idle then */
    CHECK(recv(clients[ROOM + 3], &(char){0}, 1, 0) == 1);
    t.client = dial(&address);
    say(request);
    (void)expect_admit();
    for (size_t i = 0; i < ROOM + 4; i++) {
        (void)close(clients[i]);
    }
    end();
}

/* ---- the whole process: confinement and all, over TCP ---- */

static int tcp_listener(struct sockaddr_in *ret_address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t len = sizeof(*ret_address);

    *ret_address =
        (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    CHECK(bind(fd, (struct sockaddr *)(void *)ret_address, len) == 0);
    CHECK(listen(fd, 16) == 0);
    CHECK(getsockname(fd, (struct sockaddr *)(void *)ret_address, &len) == 0);
    return fd;
}

static int dial(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(fd, (const struct sockaddr *)(const void *)address, sizeof(*address)) == 0);
    return fd;
}

static void hand_over(int parent, enum message_type type, const void *message, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct buf out;

    buf_init(&out, 65536);
    (void)buf_add(&out, "\0\0\0\0\0\0\0", 8);
    CHECK(wire_encode(message_schema(type), message, &out));
    out.data[0] = (unsigned char)(buf_len(&out) - 8);
    out.data[4] = (unsigned char)type;
    struct iovec piece = {out.data, buf_len(&out)};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&header);
    *part = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    CHECK(sendmsg(parent, &header, 0) == (ssize_t)buf_len(&out));
    (void)close(fd);
    buf_clear(&out);
}

static int hand_over_channel(int parent, enum process_role role)
{
    struct message_channel message = {.peer = role, .incarnation = 1};
    int fds[2];

    pair(fds);
    hand_over(parent, MESSAGE_CHANNEL, &message, fds[1]);
    return fds[0];
}

/* A certificate for 127.0.0.1 that is its own CA. */
static struct message_certificate make_certificate(char chain[4096], char key_text[4096])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    BIO *cert_out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());

    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"door", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    CHECK(X509_add_ext(cert, san, -1) == 1);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    CHECK(PEM_write_bio_X509(cert_out, cert) == 1);
    CHECK(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) == 1);
    int chain_len = BIO_read(cert_out, chain, 4096), key_len = BIO_read(key_out, key_text, 4096);
    X509_EXTENSION_free(san);
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(cert_out);
    BIO_free(key_out);
    return (struct message_certificate){.chain_pem = {chain, (size_t)chain_len},
                                        .key_pem = {key_text, (size_t)key_len}};
}

static int begin_process(struct sockaddr_in *ret_address,
                         const struct message_certificate *certificate)
{
    char name[] = "keybrake-gate", index[] = "0", incarnation[] = "1", dir[] = "/", user[] = "";
    char *argv[] = {name, index, incarnation, dir, user, NULL};
    struct message_listener door = {.listener = 0, .address = STR("127.0.0.1:0")};
    int parent[2];

    pair(parent);
    t.pid = fork();
    if (t.pid == 0) {
        (void)dup2(parent[1], 3);  /* without close-on-exec, as the parent hands it over */
        _exit(gate_main(5, argv)); /* a confined process cannot be searched for leaks */
    }
    (void)close(parent[1]);
    t.judge = hand_over_channel(parent[0], ROLE_JUDGE);
    t.vault = hand_over_channel(parent[0], ROLE_VAULT);
    t.reader = hand_over_channel(parent[0], ROLE_READER);
    if (certificate != NULL) {
        tell(parent[0], MESSAGE_CERTIFICATE, certificate);
        door.tls = true;
    }
    hand_over(parent[0], MESSAGE_LISTENER, &door, tcp_listener(ret_address));
    frames_begin();
    buf_init(&t.got, TEXT_MAX);
    tell(parent[0], MESSAGE_START, &(struct message_empty){0});
    (void)expect(parent[0], MESSAGE_READY);
    (void)expect(t.judge, MESSAGE_GATE_STATS);
    return parent[0];
}

static void end_process(int parent)
{
    int status = 1;

    tell(parent, MESSAGE_DRAIN, &(struct message_empty){0});
    (void)expect(parent, MESSAGE_DRAINED);
    (void)close(parent);
    (void)waitpid(t.pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(t.judge);
    (void)close(t.vault);
    (void)close(t.reader);
    (void)close(t.client);
    frames_end();
    buf_clear(&t.got);
}

static void test_process(void)
{
    struct sockaddr_in address;
    int parent = begin_process(&address, NULL);

    t.client = dial(&address);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const struct message_admit *admit = expect_admit();
    CHECK(str_equal(admit->source, STR("127.0.0.1")));
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, 5);
    data("abc");
    reset();
    CHECK(hears_head(ANSWERED "Content-Length: 5\r\n\r\n") && hears("abc"));
    CHECK(hears_end() == 1); /* a cut body of known length is a reset */
    expect_done(200, false);
    const struct message_gate_stats *stats = expect(t.judge, MESSAGE_GATE_STATS);
    CHECK(stats->streams == 0 && stats->refused_heads == 0);

    (void)close(t.client);
    t.client = dial(&address);
    say("GET / HTTP/1.1\r\n\r\n");
    CHECK(hears("HTTP/1.1 400 "));
    (void)close(t.client);
    t.client = dial(&address); /* idle */
    end_process(parent);
}

/* Encrypts and sends `text`, then reads until `wanted` has come, or the end.  What the connection
 * is then. */
static enum tls_state talk_tls(struct tls *tls, const char *text, const char *wanted,
                               struct buf *plain)
{
    static unsigned char bytes[16384];
    enum tls_state state = tls_receive(tls, STR_NONE, plain, &(struct err){""});
    bool said = text[0] == '\0';

    for (;;) {
        if (state == TLS_OPEN && !said) {
            CHECK(tls_send(tls, str_from(text)));
            said = true;
        }
        struct str out = tls_output(tls);
        if (out.len > 0) {
            CHECK(send(t.client, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
            tls_sent(tls, out.len);
        }
        if (said && wanted[0] != '\0' && str_has(buf_str(plain), str_from(wanted))) {
            return state;
        }
        ssize_t got = readable(t.client, WAIT_MS) ? recv(t.client, bytes, sizeof(bytes), 0) : -1;
        if (got <= 0) {
            return state;
        }
        struct err err = {""};
        state = tls_receive(tls, str_of(bytes, (size_t)got), plain, &err);
        CHECK_CASE(state != TLS_FAILED, err.text);
        if (state == TLS_FAILED || state == TLS_CLOSED) {
            return state;
        }
    }
}

static void test_tls_process(void)
{
    static char chain[4096], key[4096], long_text[200 * 1024 + 1];
    struct message_certificate certificate = make_certificate(chain, key);
    struct sockaddr_in address;
    int parent = begin_process(&address, &certificate);
    struct err err = {""};
    struct tls_context *context = tls_context_new_client(certificate.chain_pem, &err);
    struct tls *tls = tls_new_client(context, STR("127.0.0.1"), 443);
    struct buf plain;

    CHECK_CASE(context != NULL, err.text);
    buf_init(&plain, 1 << 20);
    t.client = dial(&address);
    CHECK(talk_tls(tls, "GET /\\ HTTP/1.1\r\nHost: a\r\n\r\n", "", &plain) == TLS_CLOSED);
    CHECK(str_starts(buf_str(&plain), STR("HTTP/1.1 400 "))); /* and a close_notify behind it */
    tls_free(tls);
    (void)close(t.client);

    tls = tls_new_client(context, STR("127.0.0.1"), 443);
    buf_cut(&plain, 0);
    t.client = dial(&address);
    /* Not read before the answer is there, so the judge may be asked in between. */
    (void)talk_tls(tls, "", "", &plain);
    CHECK(tls_send(tls, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")));
    struct str out = tls_output(tls);
    CHECK(send(t.client, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
    tls_sent(tls, out.len);
    CHECK(expect_admit()->tls);
    grant();
    expect_forward();
    const struct message_data *upload = expect(t.vault, MESSAGE_DATA);
    CHECK(str_equal(upload->bytes, STR("abc")));
    (void)expect(t.vault, MESSAGE_END);
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 2] = 'E';
    answer(200, BODY_LENGTH, sizeof(long_text) - 1);
    uint64_t credit = LIMIT_STREAM_WINDOW_BYTES;
    for (size_t at = 0; at < sizeof(long_text) - 1;) {
        struct message_data piece = {.grant = next_grant,
                                     .bytes = str_slice(str_from(long_text), at, at + credit)};
        tell(t.vault, MESSAGE_DATA, &piece);
        at += piece.bytes.len;
        credit -= piece.bytes.len;
        if (at < sizeof(long_text) - 1) {
            const struct message_window *window = expect(t.vault, MESSAGE_WINDOW);
            credit += window->bytes;
        }
    }
    finish();
    CHECK(talk_tls(tls, "", "E", &plain) == TLS_OPEN);
    CHECK(str_has(buf_str(&plain), STR("Content-Length: 204800\r\n")));
    expect_done(200, false);
    tls_free(tls);
    (void)close(t.client);

    /* No TLS at all is a failed handshake: the gate goes on. */
    t.client = dial(&address);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)hears_end();
    buf_clear(&plain);
    tls_context_free(context);
    end_process(parent);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_admit();
    test_credentials();
    test_pipelining();
    test_slow_head();
    test_refused_heads();
    test_upload();
    test_bad_upload();
    test_expect_and_judged_body();
    test_judged_body_too_large();
    test_denial_under_upload();
    test_bodiless();
    test_http10();
    test_interim();
    test_truncated();
    test_download_window();
    test_upload_window();
    test_half_close();
    test_client_gone();
    test_cut();
    test_vault_dies();
    test_judge_silent();
    test_drain();
    test_judge_full();
    test_room_for_whole_heads();
    test_room();
    test_process();
    test_tls_process();
    return test_done();
}
