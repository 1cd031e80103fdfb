/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that have bodies: on their way to the vault, or to the reader first.
 */
#include "gate/testing.h"

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

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_upload();
    test_bad_upload();
    test_expect_and_judged_body();
    test_judged_body_too_large();
    test_denial_under_upload();
    test_upload_window();
    test_half_close();
    return test_done();
}
