/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers on their way to the client.
 */
#include "base/clock.h"
#include "gate/testing.h"

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

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_bodiless();
    test_http10();
    test_interim();
    test_truncated();
    test_download_window();
    return test_done();
}
