/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connection's life.  An exchange that was handed out keeps its connection in memory until it is
 * answered, also when the socket is long gone.
 *
 *     HANDSHAKE -> IDLE -> HEAD -> BODY -> HANDLING -> WRITING -> IDLE
 *                                             |           |
 *                                             +-> STREAMING
 *                        from any: LINGER (our side is shut, theirs is read away) -> gone
 */
#include <assert.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "control/caller_parts.h"
#include "control/problem.h"

enum {
    IN_MAX = 128 * 1024,
    IN_ENOUGH = 64 * 1024, /* read no more until some of it was taken */
    LINGER_MS = 2000,
};

#define TO(s) (1u << (s))
static const struct {
    unsigned next;
    unsigned timeout_ms; /* 0: whoever has the exchange watches the time */
} states[] = {
    [HANDSHAKE] = {TO(IDLE), LIMIT_TLS_HANDSHAKE_MS},
    [IDLE] = {TO(HEAD), LIMIT_API_IDLE_MS},
    [HEAD] = {TO(BODY) | TO(HANDLING) | TO(WRITING), LIMIT_HEAD_MS},
    [BODY] = {TO(HANDLING) | TO(WRITING), LIMIT_BODY_GAP_MS}, /* for all of it, not a gap */
    [HANDLING] = {TO(WRITING) | TO(STREAMING), 0},
    [WRITING] = {TO(IDLE) | TO(LINGER), LIMIT_WRITE_STALL_MS},
    [STREAMING] = {TO(WRITING), LIMIT_WRITE_STALL_MS},
    [LINGER] = {0, LINGER_MS},
};

static struct caller *caller_of(const struct list *link)
{
    const char *at = (const char *)link - offsetof(struct caller, link);
    return (struct caller *)(uintptr_t)at;
}

static void on_timeout(void *ctx)
{
    struct caller *c = ctx;
    caller_close(&c->link);
}

void caller_touch(struct caller *c)
{
    if (states[c->state].timeout_ms == 0) {
        loop_timer_stop(c->server->loop, &c->timer);
        return;
    }
    loop_timer_set(c->server->loop, &c->timer, states[c->state].timeout_ms, on_timeout, c);
}

void caller_move(struct caller *c, enum caller_state next)
{
    assert((states[c->state].next & TO(next)) != 0);
    c->state = next;
    caller_touch(c);
}

/* ---- ending ---- */

void caller_close_fds(struct caller *c)
{
    if (c->exchange.fds != NULL && c->exchange.fd_count == 0) { /* taken by the handler */
        c->server->fd_count -= c->fd_count;
        c->fd_count = 0;
    }
    for (size_t i = 0; i < c->fd_count; i++) {
        (void)close(c->fds[i]);
    }
    c->server->fd_count -= c->fd_count;
    c->fd_count = 0;
}

void caller_release(struct caller *c)
{
    caller_close_fds(c);
    buf_clear(&c->in);
    buf_clear(&c->out);
    buf_clear(&c->body);
    buf_clear(&c->head_bytes);
    free(c);
}

void caller_end_stream(struct caller *c)
{
    if (c->done != NULL) {
        void (*done)(void *ctx) = c->done;
        c->done = NULL;
        c->more = NULL;
        done(c->stream_ctx);
    }
}

void caller_drop_socket(struct caller *c)
{
    if (c->fd == -1) {
        return;
    }
    loop_unwatch(c->server->loop, &c->watch);
    loop_timer_stop(c->server->loop, &c->timer);
    loop_timer_stop(c->server->loop, &c->again);
    tls_free(c->tls);
    c->tls = NULL;
    (void)close(c->fd);
    c->fd = -1;
    server_forget(c->server, &c->link);
}

/* From within caller_go(), which releases it. */
static void hang_up(struct caller *c)
{
    caller_drop_socket(c);
    caller_end_stream(c);
    c->dead = c->state != HANDLING; /* else exchange_answer() releases it */
}

void caller_close(const struct list *link)
{
    struct caller *c = caller_of(link);

    hang_up(c);
    if (c->dead && !c->busy) {
        caller_release(c);
    }
}

bool caller_is_idle(const struct list *link)
{
    return caller_of(link)->state == IDLE;
}

bool caller_is_local(const struct list *link)
{
    return caller_of(link)->peer.unix_socket;
}

bool caller_is_unknown(const struct list *link)
{
    const struct caller *c = caller_of(link);
    return c->state == HANDSHAKE || c->state == HEAD || c->state == BODY;
}

/* ---- receiving ---- */

static void refuse(struct caller *c, unsigned status, const char *code, const char *detail)
{
    struct buf body;
    struct answer answer = {.status = status, .content_type = PROBLEM_TYPE};

    buf_init(&body, PROBLEM_BYTES_MAX);
    problem_write(&body, status, str_from(code), str_from(detail));
    answer.body = buf_str(&body);
    c->close_after = true;
    caller_write_answer(c, &answer);
    buf_clear(&body);
}

static void hand_over(struct caller *c)
{
    c->exchange = (struct exchange){.head = &c->head,
                                    .body = buf_str(&c->body),
                                    .peer = &c->peer,
                                    .fds = c->fd_count == 0 ? NULL : c->fds,
                                    .fd_count = c->fd_count};
    caller_move(c, HANDLING);
    c->server->handle(c->server->ctx, &c->exchange);
}

/* The request's head moves out of `in`, since more will be read behind it. */
static bool keep_head(struct caller *c, size_t used)
{
    struct http_problem problem;
    size_t again;

    buf_init_wiped(&c->head_bytes, LIMIT_HEAD_BYTES);
    if (!buf_add_str(&c->head_bytes, str_slice(buf_str(&c->in), 0, used))) {
        return false;
    }
    buf_consume(&c->in, used);
    return http_parse_request((char *)c->head_bytes.data + c->head_bytes.start,
                              buf_len(&c->head_bytes), &c->head, &again, &problem) == HTTP_OK;
}

static void begin_body(struct caller *c)
{
    c->close_after = !c->head.keep_alive;
    buf_init_wiped(&c->body, LIMIT_API_BODY_BYTES);
    http_body_begin(&c->framing, c->head.body, c->head.content_length);
    if (c->head.body == BODY_NONE) {
        hand_over(c);
        return;
    }
    if (c->head.body == BODY_LENGTH && c->head.content_length > LIMIT_API_BODY_BYTES) {
        refuse(c, 413, "too_large", "the body is larger than 1 MiB");
        return;
    }
    if (c->head.expect_continue && buf_len(&c->in) == 0) {
        (void)buf_add_str(&c->out, STR("HTTP/1.1 100 Continue\r\n\r\n"));
    }
    caller_move(c, BODY);
}

/* Else a sender of single bytes would cost the square of its head. */
static bool is_worth_parsing(const struct caller *c)
{
    struct str in = buf_str(&c->in);
    struct str fresh = str_slice(in, c->parsed, in.len);

    return c->ended || in.len >= 2 * c->parsed || in.len >= LIMIT_HEAD_BYTES ||
           str_index(fresh, '\n', 0) < fresh.len;
}

/* True when there is something to go on with. */
static bool take_head(struct caller *c)
{
    struct http_problem problem;
    size_t used = 0;
    struct str bytes = buf_str(&c->in);

    if (!is_worth_parsing(c)) {
        return false;
    }
    c->parsed = bytes.len;
    switch (http_parse_request((char *)c->in.data + c->in.start, bytes.len, &c->head, &used,
                               &problem)) {
    case HTTP_MORE:
        if (c->ended) {
            hang_up(c);
        }
        return false;
    case HTTP_OK:
        c->parsed = 0;
        if (keep_head(c, used)) {
            begin_body(c);
            return true;
        }
        problem = (struct http_problem){400, "the head is malformed"};
        break;
    case HTTP_BAD:
        break;
    }
    c->head.method = STR_NONE;
    refuse(c, problem.status, problem.status == 400 ? "bad_request" : "too_large", problem.text);
    return true;
}

static bool take_body(struct caller *c)
{
    struct str in = buf_str(&c->in);
    size_t before = in.len;
    struct str data;
    enum http_body_result result;

    while ((result = http_body_read(&c->framing, &in, &data)) == HTTP_BODY_DATA) {
        if (!buf_add_str(&c->body, data)) {
            buf_consume(&c->in, before - in.len);
            refuse(c, 413, "too_large", "the body is larger than 1 MiB");
            return true;
        }
    }
    buf_consume(&c->in, before - in.len);
    if (result == HTTP_BODY_END) {
        hand_over(c);
        return true;
    }
    if (result == HTTP_BODY_BAD) {
        refuse(c, 400, "bad_request", "the body's framing is malformed");
        return true;
    }
    if (c->ended) {
        hang_up(c);
    }
    return false;
}

/* ---- moving ---- */

static void begin_linger(struct caller *c)
{
    if (c->tls != NULL) {
        tls_close(c->tls);
        (void)caller_flush(c);
    }
    (void)shutdown(c->fd, SHUT_WR);
    buf_cut(&c->in, 0);
    caller_move(c, LINGER);
}

/* True when the answer has left and the next request may come. */
static bool after_write(struct caller *c)
{
    int rc = caller_flush(c);

    if (rc < 0) {
        hang_up(c);
        return false;
    }
    if (rc == 0) {
        return false;
    }
    if (!c->close_after) {
        caller_move(c, IDLE);
        return true;
    }
    if (c->ended) {
        hang_up(c);
    } else {
        begin_linger(c);
    }
    return false;
}

static void on_again(void *ctx)
{
    caller_go(ctx);
}

/* One piece a turn, so that a long export does not keep the others waiting. */
static bool step_stream(struct caller *c)
{
    int rc = caller_flush(c);

    if (rc < 0) {
        hang_up(c);
        return false;
    }
    if (rc == 0) {
        return false;
    }
    if (!caller_next_piece(c)) {
        hang_up(c);
        return false;
    }
    caller_touch(c);
    if (c->state == WRITING) {
        return true;
    }
    loop_timer_set(c->server->loop, &c->again, 0, on_again, c);
    return false;
}

static bool step(struct caller *c)
{
    switch (c->state) {
    case IDLE:
        if (buf_len(&c->in) == 0) {
            if (c->ended || c->server->draining) {
                hang_up(c);
            }
            return false;
        }
        caller_move(c, HEAD);
        return true;
    case HEAD:
        return take_head(c);
    case BODY:
        return take_body(c);
    case WRITING:
        return after_write(c);
    case STREAMING:
        return step_stream(c);
    case HANDSHAKE:
    case HANDLING:
    case LINGER:
        break;
    }
    return false;
}

static bool wants_to_read(const struct caller *c)
{
    bool reading = c->state != HANDLING && c->state != STREAMING && c->state != WRITING;
    return reading && !c->ended && buf_len(&c->in) < IN_ENOUGH;
}

static void set_events(struct caller *c)
{
    bool waiting = buf_len(&c->out) > 0 || (c->tls != NULL && tls_output(c->tls).len > 0);
    uint32_t events = (wants_to_read(c) ? EPOLLIN : 0) | (waiting ? EPOLLOUT : 0);

    loop_watch_events(c->server->loop, &c->watch, events);
}

void caller_go(struct caller *c)
{
    if (c->busy) {
        return; /* answered from inside the handler: the loop below goes on */
    }
    c->busy = true;
    while (!c->dead && step(c)) {
    }
    c->busy = false;
    if (c->dead) {
        caller_release(c);
        return;
    }
    if (c->fd == -1) {
        return; /* gone, its exchange still open */
    }
    if (c->state == BODY || c->state == HANDSHAKE) {
        (void)caller_flush(c); /* 100 Continue; the handshake */
    }
    set_events(c);
}

static void on_ready(void *ctx, uint32_t events)
{
    struct caller *c = ctx;
    bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0;

    if (broken || ((events & EPOLLIN) != 0 && !caller_receive(c))) {
        caller_close(&c->link);
        return;
    }
    if ((events & EPOLLOUT) != 0 && (c->state == WRITING || c->state == STREAMING)) {
        caller_touch(c);
    }
    caller_go(c);
}

void caller_new(struct server *server, int fd, enum listen_kind kind, const struct peer *peer)
{
    struct caller *c = mem_zeroed(sizeof(*c));

    c->server = server;
    c->fd = fd;
    c->peer = *peer;
    c->exchange.peer = &c->peer;
    c->state = kind == LISTEN_TLS ? HANDSHAKE : IDLE;
    c->tls = kind == LISTEN_TLS ? tls_new_server(server->tls) : NULL;
    buf_init_wiped(&c->in, IN_MAX);
    buf_init_wiped(&c->out, CALLER_OUT_MAX);
    buf_init_wiped(&c->body, LIMIT_API_BODY_BYTES);
    buf_init_wiped(&c->head_bytes, LIMIT_HEAD_BYTES);
    c->watch = LOOP_WATCH_NONE;
    list_add(&server->connections, &c->link);
    server->connection_count++;
    loop_watch(server->loop, &c->watch, fd, EPOLLIN, on_ready, c);
    caller_touch(c);
}
