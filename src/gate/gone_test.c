/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody goes, says nothing, or has no room: client, judge, vault, and the gate itself.
 */
#include "gate/testing.h"

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
    CHECK(send(clients[1], "TP/1.1\r\nHost: a\r\n\r\n", 19, MSG_NOSIGNAL) == 19);
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

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_client_gone();
    test_cut();
    test_vault_dies();
    test_judge_silent();
    test_drain();
    test_judge_full();
    test_room_for_whole_heads();
    test_room();
    return test_done();
}
