/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate's timers: a second before its time nothing happens, a second after it what should.  The
 * clock is the loop's, moved on; tests/test_timers.py waits for the same in earnest.
 */
#include "gate/testing.h"

enum {
    HEAD_S = LIMIT_HEAD_MS / 1000,
    BODY_S = LIMIT_BODY_GAP_MS / 1000,
    IDLE_S = LIMIT_IDLE_MS / 1000,
    STALL_S = LIMIT_WRITE_STALL_MS / 1000,
    JUDGE_S = LIMIT_JUDGE_SILENT_MS / 1000,
    DRAIN_S = LIMIT_DRAIN_MS / 1000,
};

/* Nothing comes a second before `seconds`; then time goes on to a second after. */
static void reach(unsigned seconds)
{
    pass_seconds(seconds - 1);
    CHECK(silent(t.client));
    pass_seconds(2);
}

static void next_client(void)
{
    (void)close(t.client);
    t.client = new_client();
    buf_cut(&t.got, 0);
}

static void test_idle(void)
{
    begin();
    reach(IDLE_S);
    CHECK(hears_end() == 0);

    /* Between two requests it begins anew. */
    next_client();
    pass_seconds(IDLE_S - 10);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    deny(false);
    CHECK(hears_head(DENIED "\r\n") && hears("{}"));
    reach(IDLE_S);
    CHECK(hears_end() == 0);
    end();
}

static void test_head(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n");
    reach(HEAD_S);
    CHECK(hears("HTTP/1.1 408 "));

    /* However it drips: the time is for all of it. */
    next_client();
    for (unsigned i = 0; i < HEAD_S; i++) {
        say(i == 0 ? "GET / HTTP/1.1\r\n" : "X: y\r\n");
        CHECK(!readable(t.client, 5));
        pass_seconds(1);
    }
    pass_seconds(1);
    CHECK(hears("HTTP/1.1 408 "));

    /* One that is complete in time is served. */
    next_client();
    say("GET / HTTP/1.1\r\n");
    pass_seconds(HEAD_S - 1);
    say("Host: a\r\n\r\n");
    (void)expect_admit();
    end();
}

static void test_body_to_the_vault(void)
{
    begin();
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    for (unsigned i = 0; i < 4; i++) {
        pass_seconds(BODY_S - 1); /* as long as there is some progress */
        say("x");
        (void)expect(t.vault, MESSAGE_DATA);
    }
    reach(BODY_S);
    CHECK(hears("HTTP/1.1 408 "));
    const struct message_reset *reset = expect(t.vault, MESSAGE_RESET);
    CHECK(reset->grant == next_grant && reset->error == UPSTREAM_CLIENT);
    end();
}

static void test_body_to_the_reader(void)
{
    struct message_read_body read = {.rule = 1, .bytes_max = 1000};

    begin();
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
    (void)expect_admit();
    read.request = last_request;
    tell(t.judge, MESSAGE_READ_BODY, &read);
    (void)expect(t.reader, MESSAGE_BODY);
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    reach(BODY_S);
    CHECK(hears("HTTP/1.1 408 "));
    const struct message_body_end *body_end = expect(t.reader, MESSAGE_BODY_END);
    CHECK(!body_end->complete);
    end();
}

/* The vendor takes its time, and the gate leaves it to the vault. */
static void test_waiting_for_an_answer(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    pass_seconds(700);
    CHECK(silent(t.client));
    answer(200, BODY_LENGTH, 2);
    data("ok");
    finish();
    CHECK(hears_head(ANSWERED "Content-Length: 2\r\n\r\n") && hears("ok"));
    end();
}

static void send_much(void)
{
    static char piece[LIMIT_STREAM_WINDOW_BYTES];
    struct message_data message = {.grant = next_grant, .bytes = {piece, sizeof(piece)}};

    /* As much as the window allows, and on while it is opened, until the socket is full. */
    tell(t.vault, MESSAGE_DATA, &message);
    while (readable(t.vault, 300)) {
        const struct message_window *window = expect(t.vault, MESSAGE_WINDOW);
        for (uint64_t left = window->bytes; left > 0;) {
            message.bytes.len = left < sizeof(piece) ? (size_t)left : sizeof(piece);
            tell(t.vault, MESSAGE_DATA, &message);
            left -= message.bytes.len;
        }
    }
}

static void test_write_stall(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, 100000000);
    send_much();
    pass_seconds(STALL_S - 2);
    CHECK(silent(t.vault));
    pass_seconds(4);
    const struct message_reset *reset = expect(t.vault, MESSAGE_RESET);
    CHECK(reset->error == UPSTREAM_CLIENT);
    expect_done(200, true);
    end();
}

static void test_judge(void)
{
    begin();
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)expect_admit();
    pass_seconds(JUDGE_S - 1);
    CHECK(silent(t.client));
    pass_seconds(2);
    CHECK(hears("HTTP/1.1 503 "));
    expect_done(503, true); /* not wanted any more */

    /* It may wait for another request of the same idempotency key. */
    next_client();
    say("POST / HTTP/1.1\r\nHost: a\r\nIdempotency-Key: k\r\nContent-Length: 0\r\n\r\n");
    (void)expect_admit();
    pass_seconds(JUDGE_S + LIMIT_IN_FLIGHT_WAIT_MS / 1000);
    CHECK(silent(t.client));
    pass_seconds(LIMIT_COMMIT_MS / 1000 + 1);
    CHECK(hears("HTTP/1.1 503 "));
    end();
}

/* Refused under an upload that never ends: read for so long, and no longer. */
static void test_drain(void)
{
    begin();
    say("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n");
    (void)expect_admit();
    deny(false);
    CHECK(hears_head(DENIED "Connection: close\r\n\r\n") && hears("{}") && hears_end() == 0);
    pass_seconds(DRAIN_S - 1);
    say("x");
    CHECK(send(t.client, "y", 1, MSG_NOSIGNAL) == 1);
    pass_seconds(2);
    bool gone = false;
    for (int i = 0; i < WAIT_MS && !gone; i++) {
        gone = send(t.client, "z", 1, MSG_NOSIGNAL) == -1;
        (void)poll(NULL, 0, 1);
    }
    CHECK(gone);
    end();
}

int main(void)
{
    test_idle();
    test_head();
    test_body_to_the_vault();
    test_body_to_the_reader();
    test_waiting_for_an_answer();
    test_write_stall();
    test_judge();
    test_drain();
    return test_done();
}
