/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: an API with a played judge at its one end and a client at the other.
 */
#ifndef CONTROL_TESTING_H
#define CONTROL_TESTING_H

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"
#include "control/job.h"
#include "policy/testing.h"

enum { TESTING_CALLS = 8, TESTING_WAIT_MS = 3000, TESTING_MAX = 4 * 1024 * 1024 };

/* What the judge is to answer to one CALL; json "" and code "" is an empty success. */
struct testing_reply {
    unsigned status;
    const char *code, *detail, *json;
    uint64_t version;
    bool silent; /* the judge goes away instead */
};

struct testing_call {
    struct message_call call; /* texts in `arena` */
};

struct testing {
    struct loop *loop;
    struct api *api;
    struct channel *judge;
    struct arena *arena;
    const struct testing_reply *replies;
    size_t reply_count;
    struct testing_call calls[TESTING_CALLS];
    size_t call_count;
    int client;
    struct loop_watch watch;
    struct loop_timer deadline, pause;
    struct str to_send, later;
    struct buf got;
    bool closed, late;
    size_t answers; /* stop after so many */
};

static inline struct config *testing_open_config(void)
{
    struct config plain;
    struct arena *arena = arena_new();
    struct buf wire;
    struct err err = {""};

    buf_init(&wire, TESTING_MAX);
    testing_config(&plain, arena);
    CHECK(wire_encode(&config_schema, &plain, &wire));
    int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    struct str bytes = buf_str(&wire);
    CHECK(write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW) == 0);
    struct config *config = config_open(fd, 7, &err);
    CHECK_CASE(config != NULL, err.text);
    buf_clear(&wire);
    arena_free(arena);
    return config;
}

static inline void testing_on_call(void *ctx, struct channel *from, const void *message, int fd)
{
    struct testing *t = ctx;
    const struct message_call *call = message;
    struct testing_call *kept = &t->calls[t->call_count % TESTING_CALLS];
    struct testing_reply said = {.status = 200, .json = "{}"};

    (void)fd;
    kept->call = *call;
    kept->call.id = arena_copy(t->arena, call->id);
    kept->call.body = arena_copy(t->arena, call->body);
    kept->call.actor = arena_copy(t->arena, call->actor);
    kept->call.cursor = arena_copy(t->arena, call->cursor);
    kept->call.idempotency_key = arena_copy(t->arena, call->idempotency_key);
    if (t->call_count < t->reply_count) {
        said = t->replies[t->call_count];
    }
    t->call_count++;
    if (said.silent) {
        channel_free(t->judge);
        t->judge = NULL;
        return;
    }
    struct message_reply reply = {.call = call->call,
                                  .status = said.status,
                                  .code = str_from(said.code),
                                  .detail = str_from(said.detail),
                                  .json = str_from(said.json),
                                  .version = said.version};
    CHECK(channel_send(from, MESSAGE_REPLY, &reply));
}

static inline void testing_on_closed(void *ctx, struct channel *channel)
{
    struct testing *t = ctx;

    channel_free(channel);
    t->judge = NULL;
}

/* Final answers in `text`: heads with a length, or chunked ones that are whole. */
static inline size_t testing_count_answers(struct str text)
{
    size_t count = 0;

    while (text.len > 0) {
        const char *end = memmem(text.data, text.len, "\r\n\r\n", 4);
        if (end == NULL) {
            break;
        }
        struct str head = str_slice(text, 0, (size_t)(end - text.data) + 4);
        size_t body = 0;
        const char *length = memmem(head.data, head.len, "Content-Length: ", 16);
        text = str_slice(text, head.len, text.len);
        if (str_has(head, STR("Transfer-Encoding: chunked"))) {
            const char *last = memmem(text.data, text.len, "0\r\n\r\n", 5);
            if (last == NULL) {
                break;
            }
            body = (size_t)(last - text.data) + 5;
        } else if (length != NULL) {
            body = strtoul(length + 16, NULL, 10);
        }
        if (text.len < body) {
            break;
        }
        text = str_slice(text, body, text.len);
        count += str_starts(head, STR("HTTP/1.1 1")) ? 0 : 1;
    }
    return count;
}

static inline void testing_on_answer(void *ctx, uint32_t events)
{
    struct testing *t = ctx;
    unsigned char *room = buf_room(&t->got, 65536);
    ssize_t got = recv(t->client, room, 65536, MSG_DONTWAIT);

    (void)events;
    if (got <= 0) {
        t->closed = true;
        loop_unwatch(t->loop, &t->watch);
        loop_stop(t->loop, 0);
        return;
    }
    buf_added(&t->got, (size_t)got);
    if (testing_count_answers(buf_str(&t->got)) >= t->answers) {
        loop_stop(t->loop, 0);
    }
}

static inline void testing_on_deadline(void *ctx)
{
    struct testing *t = ctx;

    t->late = true;
    loop_stop(t->loop, 0);
}

static inline void testing_on_writable(struct testing *t)
{
    ssize_t sent = send(t->client, t->to_send.data, t->to_send.len, MSG_NOSIGNAL | MSG_DONTWAIT);

    if (sent > 0) {
        t->to_send = str_slice(t->to_send, (size_t)sent, t->to_send.len);
    }
    if (sent < 0 && errno != EAGAIN) {
        t->to_send = STR_NONE; /* it does not read on: an answer is on its way */
    }
    if (t->to_send.len == 0) {
        loop_watch_events(t->loop, &t->watch, EPOLLIN);
    }
}

static inline void testing_on_client(void *ctx, uint32_t events)
{
    struct testing *t = ctx;

    if ((events & EPOLLOUT) != 0) {
        testing_on_writable(t);
    }
    if ((events & ~(uint32_t)EPOLLOUT) != 0) {
        testing_on_answer(t, events);
    }
}

static inline void testing_begin(struct testing *t, struct query *query, enum listen_kind kind,
                                 size_t answers, const struct testing_reply *replies,
                                 size_t reply_count)
{
    static const struct channel_accept accepts[] = {{MESSAGE_CALL, 0, testing_on_call}};
    static const struct channel_events events = {
        .accepts = accepts, .accept_count = 1, .closed = testing_on_closed};
    static const struct channel_limits limits = {.queue_max = TESTING_MAX};
    struct err err;
    int judge[2];
    int client[2];

    *t = (struct testing){.replies = replies,
                          .reply_count = reply_count,
                          .answers = answers,
                          .watch = LOOP_WATCH_NONE,
                          .arena = arena_new()};
    buf_init(&t->got, TESTING_MAX);
    t->loop = loop_new(&err);
    t->api = api_new(t->loop, query);
    api_set_config(t->api, testing_open_config());
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, judge) == 0);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, client) == 0);
    api_set_judge(t->api, judge[0], NULL, NULL);
    t->judge = channel_new(t->loop, judge[1], &events, &limits, t);
    server_connection(api_server(t->api), client[0], kind);
    t->client = client[1];
    loop_watch(t->loop, &t->watch, t->client, EPOLLIN, testing_on_client, t);
    loop_timer_set(t->loop, &t->deadline, TESTING_WAIT_MS, testing_on_deadline, t);
}

/* Runs until the answers have come, or the connection has ended. */
static inline void testing_run(struct testing *t)
{
    (void)loop_run(t->loop);
    CHECK_CASE(!t->late, "no answer in time");
}

/* Sends `request` and runs. */
static inline void testing_ask(struct testing *t, struct query *query, enum listen_kind kind,
                               struct str request, size_t answers,
                               const struct testing_reply *replies, size_t reply_count)
{
    testing_begin(t, query, kind, answers, replies, reply_count);
    t->to_send = request;
    loop_watch_events(t->loop, &t->watch, EPOLLIN | EPOLLOUT);
    testing_run(t);
}

/* Sends `second` some time after `first`. */
static inline void testing_on_pause(void *ctx)
{
    struct testing *t = ctx;

    t->to_send = t->later;
    loop_watch_events(t->loop, &t->watch, EPOLLIN | EPOLLOUT);
}

static inline void testing_ask_in_two(struct testing *t, struct str first, struct str second,
                                      size_t answers)
{
    testing_begin(t, NULL, LISTEN_UNIX, answers, NULL, 0);
    CHECK(send(t->client, first.data, first.len, MSG_NOSIGNAL) == (ssize_t)first.len);
    t->later = second;
    loop_timer_set(t->loop, &t->pause, 2, testing_on_pause, t);
    testing_run(t);
}

static inline void testing_end(struct testing *t)
{
    loop_unwatch(t->loop, &t->watch);
    loop_timer_stop(t->loop, &t->deadline);
    loop_timer_stop(t->loop, &t->pause);
    (void)close(t->client);
    api_free(t->api);
    channel_free(t->judge);
    loop_free(t->loop);
    buf_clear(&t->got);
    arena_free(t->arena);
}

static inline unsigned testing_status(const struct testing *t)
{
    struct str text = buf_str(&t->got);
    return str_starts(text, STR("HTTP/1.1 ")) && text.len > 12
               ? (unsigned)strtoul(text.data + 9, NULL, 10)
               : 0;
}

static inline bool testing_says(const struct testing *t, const char *part)
{
    return str_has(buf_str(&t->got), str_from(part));
}

/* The database alone, so that another can be made there. */
static inline void testing_remove_database(const char *directory)
{
    char path[256];

    (void)snprintf(path, sizeof(path), "%s/db", directory);
    test_remove(path);
}

#endif
