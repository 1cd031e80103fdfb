/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: a gate in a process of its own; the test is its client, judge, vault and reader.
 */
#ifndef GATE_TESTING_H
#define GATE_TESTING_H

#include <netinet/in.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate/visitor.h"
#include "ipc/testing.h"

enum { TEXT_MAX = 8 * 1024 * 1024, ROOM = 8 };

/* What the test holds of one gate. */
static struct {
    pid_t pid;
    int judge, vault, reader, client, doors;
    struct buf got; /* what the client has received */
} t;

/* ---- the gate's process ---- */

struct side {
    struct gate gate;
    struct loop_watch watch; /* one byte and a descriptor: a new connection, or a new vault */
    int doors;
};

static inline void on_command(void *ctx, uint32_t events)
{
    struct side *side = ctx;
    char control[CMSG_SPACE(sizeof(int))] = {0}, what = 0;
    struct iovec piece = {&what, 1};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    static const struct listener listener = {.number = 1, .unix_socket = true};
    int fd = -1;

    (void)events;
    if (recvmsg(side->doors, &header, 0) <= 0) {
        loop_stop(side->gate.loop, 0);
        return;
    }
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&header)), sizeof(fd));
    if (what == 'c') {
        visitor_new(&side->gate, &listener, fd, "192.0.2.1");
    } else if (what == 'v') {
        gate_channel(&side->gate, ROLE_VAULT, 0, fd);
    } else if (what == 'l') { /* a door with room for few */
        static const struct message_listener door = {.listener = 2, .address = {"127.0.0.1:0", 11}};
        side->gate.client_max = ROOM;
        side->gate.started = true;
        door_add(&side->gate, &door, fd);
    } else if (what >= '1' && what <= '9') { /* so many seconds go by */
        (void)close(fd);
        loop_skip(side->gate.loop, (uint64_t)(what - '0') * 1000);
        CHECK(send(side->doors, &what, 1, 0) == 1);
    } else if (what == 'd') {
        (void)close(fd);
        gate_drain(&side->gate);
    }
}

static inline void run_gate(int judge, int vault, int reader, int doors)
{
    struct side *side = mem_zeroed(sizeof(*side));
    struct err err;
    struct loop *loop = loop_new(&err);

    gate_init(&side->gate, loop, 1000);
    gate_channel(&side->gate, ROLE_JUDGE, 0, judge);
    gate_channel(&side->gate, ROLE_VAULT, 0, vault);
    gate_channel(&side->gate, ROLE_READER, 0, reader);
    side->doors = doors;
    side->watch = LOOP_WATCH_NONE;
    loop_watch(loop, &side->watch, doors, EPOLLIN, on_command, side);
    (void)loop_run(loop);
    gate_clear(&side->gate);
    loop_free(loop);
    free(side);
    exit(0);
}

static inline void command(char what, int fd)
{
    pass(t.doors, str_of(&what, 1), fd);
    (void)close(fd);
}

static inline int new_client(void)
{
    int fds[2];
    pair(fds);
    command('c', fds[1]);
    return fds[0];
}

/* The gate's clock goes on by so much. */
static inline void pass_seconds(unsigned seconds)
{
    char done;

    while (seconds > 0) {
        unsigned step = seconds < 9 ? seconds : 9;
        command((char)('0' + step), dup(t.doors));
        CHECK(recv(t.doors, &done, 1, 0) == 1);
        seconds -= step;
    }
}

static inline void begin(void)
{
    int judge[2], vault[2], reader[2], doors[2];

    pair(judge);
    pair(vault);
    pair(reader);
    pair(doors);
    t.pid = fork();
    if (t.pid == 0) {
        (void)close(judge[0]);
        (void)close(vault[0]);
        (void)close(reader[0]);
        (void)close(doors[0]);
        run_gate(judge[1], vault[1], reader[1], doors[1]);
    }
    (void)close(judge[1]);
    (void)close(vault[1]);
    (void)close(reader[1]);
    (void)close(doors[1]);
    t.judge = judge[0];
    t.vault = vault[0];
    t.reader = reader[0];
    t.doors = doors[0];
    frames_begin();
    buf_init(&t.got, TEXT_MAX);
    t.client = new_client();
}

static inline void end(void)
{
    int status = 1;

    (void)close(t.doors);
    (void)waitpid(t.pid, &status, 0);
    CHECK(status == 0);
    (void)close(t.judge);
    (void)close(t.vault);
    (void)close(t.reader);
    (void)close(t.client);
    frames_end();
    buf_clear(&t.got);
}

/* ---- the client ---- */

static inline void say(const char *text)
{
    CHECK(send(t.client, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
}

/* Waits until what has come ends so; then forgets it. */
static inline bool hears(const char *text)
{
    struct str wanted = str_from(text);

    while (buf_len(&t.got) < wanted.len && readable(t.client, WAIT_MS)) {
        unsigned char *room = buf_room(&t.got, 65536);
        ssize_t got = recv(t.client, room, 65536, 0);
        if (got <= 0) {
            break;
        }
        buf_added(&t.got, (size_t)got);
    }
    bool same = str_starts(buf_str(&t.got), wanted);
    if (!same) {
        (void)fprintf(stderr, "wanted: %s\ngot: %.*s\n", text, STR_FMT(buf_str(&t.got)));
    }
    buf_consume(&t.got, same ? wanted.len : 0);
    return same;
}

/* Up to and with the empty line; the Date is checked and taken out. */
static inline bool hears_head(const char *text)
{
    static char head[65536];
    size_t len = 0;

    for (;;) {
        struct str in = buf_str(&t.got);
        const char *end = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
        if (end != NULL) {
            len = (size_t)(end - in.data) + 4;
            break;
        }
        unsigned char *room = buf_room(&t.got, 4096);
        ssize_t got = readable(t.client, WAIT_MS) ? recv(t.client, room, 4096, 0) : 0;
        if (got <= 0) {
            (void)fprintf(stderr, "wanted: %s\ngot: %.*s\n", text, STR_FMT(in));
            return false;
        }
        buf_added(&t.got, (size_t)got);
    }
    struct str in = str_slice(buf_str(&t.got), 0, len);
    const char *date = memmem(in.data, in.len, "date: ", 6);
    size_t at = date == NULL ? 0 : (size_t)(date - in.data);
    size_t date_len = date == NULL ? 0 : 6 + DATE_BYTES + 2;
    memcpy(head, in.data, at);
    memcpy(head + at, in.data + at + date_len, in.len - at - date_len);
    head[in.len - date_len] = '\0';
    buf_consume(&t.got, len);
    bool same = strcmp(head, text) == 0;
    if (!same) {
        (void)fprintf(stderr, "wanted: %s\ngot: %s\n", text, head);
    }
    return same;
}

/* The end of what the gate says: 0 in order, 1 by a reset, -1 none. */
static inline int hears_end(void)
{
    char byte;
    if (!readable(t.client, WAIT_MS)) {
        return -1;
    }
    ssize_t got = recv(t.client, &byte, 1, 0);
    return got == 0 ? 0 : got < 0 ? 1 : -1;
}

/* ---- usual steps ---- */

static uint64_t next_grant = 100;
static uint64_t last_request;

static inline void grant(void)
{
    struct message_granted granted = {
        .request = last_request, .grant = ++next_grant, .key = 7, .request_id = STR("req_1")};
    tell(t.judge, MESSAGE_GRANTED, &granted);
}

static inline const struct message_admit *expect_admit(void)
{
    const struct message_admit *admit = expect(t.judge, MESSAGE_ADMIT);
    last_request = admit->request;
    return admit;
}

static inline void expect_forward(void)
{
    const struct message_forward *forward = expect(t.vault, MESSAGE_FORWARD);
    CHECK(forward->grant == next_grant);
}

static inline void answer(unsigned status, enum body_kind body, uint64_t length)
{
    struct message_header header = {STR("a"), STR("b")};
    struct message_head head = {.grant = next_grant,
                                .status = status,
                                .reason = STR("R"),
                                .headers = &header,
                                .header_count = 1,
                                .body = body,
                                .content_length = length,
                                .interim = status < 200};
    tell(t.vault, MESSAGE_HEAD, &head);
}

static inline void data(const char *text)
{
    struct message_data piece = {.grant = next_grant, .bytes = str_from(text)};
    tell(t.vault, MESSAGE_DATA, &piece);
}

static inline void finish(void)
{
    struct message_end piece = {.grant = next_grant};
    tell(t.vault, MESSAGE_END, &piece);
}

static inline void deny(bool close)
{
    struct message_header header = {STR("keybrake-denied"), STR("cap_exceeded")};
    struct message_answer denial = {.request = last_request,
                                    .status = 429,
                                    .reason = STR("No"),
                                    .headers = &header,
                                    .header_count = 1,
                                    .body = STR("{}"),
                                    .close = close};
    tell(t.judge, MESSAGE_ANSWER, &denial);
}

static inline void expect_done(unsigned status, bool client_gone)
{
    const struct message_done *done = expect(t.judge, MESSAGE_DONE);
    CHECK(done->request == last_request && done->status == status);
    CHECK(done->client_gone == client_gone);
}

#define ANSWERED "HTTP/1.1 200 R\r\na: b\r\nkeybrake-request-id: req_1\r\n"
#define DENIED "HTTP/1.1 429 No\r\nkeybrake-denied: cap_exceeded\r\nContent-Length: 2\r\n"

/* The vault's connection broke. */
static inline void reset(void)
{
    struct message_reset message = {.grant = next_grant, .error = UPSTREAM_RESET};
    tell(t.vault, MESSAGE_RESET, &message);
}

static inline int tcp_listener(struct sockaddr_in *ret_address)
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

static inline int dial(const struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    CHECK(connect(fd, (const struct sockaddr *)(const void *)address, sizeof(*address)) == 0);
    return fd;
}

#endif
