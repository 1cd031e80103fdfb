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
#include "control/caller.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/mem.h"
#include "control/problem.h"
#include "http/body.h"
#include "http/write.h"

enum {
    READ_BYTES = 16 * 1024,
    IN_MAX = 128 * 1024,
    IN_ENOUGH = 64 * 1024, /* read no more until some of it was taken */
    OUT_MAX = 8 * 1024 * 1024,
    TLS_PIECE = 16 * 1024,
    TLS_WAITING_MAX = 64 * 1024,
    LINGER_MS = 2000,
    LINGER_BYTES = 2 * 1024 * 1024,
    FDS_MAX = 512, /* that came with requests and wait, in all */
};

enum state { HANDSHAKE, IDLE, HEAD, BODY, HANDLING, WRITING, STREAMING, LINGER };

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

struct caller {
    struct exchange exchange; /* first: an exchange is its connection */
    struct server *server;
    struct list link;
    int fd; /* -1: gone; kept for its exchange */
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_timer again; /* the next piece of a stream */
    enum state state;
    struct peer peer;
    struct tls *tls;
    struct buf in, out, body;
    struct buf head_bytes; /* what `head` points into */
    struct http_head head;
    struct http_body framing;
    bool close_after, ended, busy, dead;
    uint64_t lingered;
    int fds[LIMIT_SESSION_SOCKETS]; /* that came with the request */
    size_t fd_count;
    stream_more *more;
    void (*done)(void *ctx);
    void *stream_ctx;
};

static void go(struct caller *c);

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

static void touch(struct caller *c)
{
    if (states[c->state].timeout_ms == 0) {
        loop_timer_stop(c->server->loop, &c->timer);
        return;
    }
    loop_timer_set(c->server->loop, &c->timer, states[c->state].timeout_ms, on_timeout, c);
}

static void move(struct caller *c, enum state next)
{
    assert((states[c->state].next & TO(next)) != 0);
    c->state = next;
    touch(c);
}

/* ---- ending ---- */

static void close_fds(struct caller *c)
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

static void release(struct caller *c)
{
    close_fds(c);
    buf_clear(&c->in);
    buf_clear(&c->out);
    buf_clear(&c->body);
    buf_clear(&c->head_bytes);
    free(c);
}

static void end_stream(struct caller *c)
{
    if (c->done != NULL) {
        void (*done)(void *ctx) = c->done;
        c->done = NULL;
        c->more = NULL;
        done(c->stream_ctx);
    }
}

static void drop_socket(struct caller *c)
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

/* From within go(), which releases it. */
static void hang_up(struct caller *c)
{
    drop_socket(c);
    end_stream(c);
    c->dead = c->state != HANDLING; /* else exchange_answer() releases it */
}

void caller_close(const struct list *link)
{
    struct caller *c = caller_of(link);

    hang_up(c);
    if (c->dead && !c->busy) {
        release(c);
    }
}

bool caller_is_idle(const struct list *link)
{
    return caller_of(link)->state == IDLE;
}

/* ---- sending ---- */

/* -1: the socket is broken; 0: not all went; 1: nothing is left. */
static int send_bytes(struct caller *c, struct str bytes, size_t *ret_sent)
{
    *ret_sent = 0;
    if (bytes.len == 0) {
        return 1;
    }
    ssize_t sent = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    *ret_sent = (size_t)sent;
    return (size_t)sent == bytes.len ? 1 : 0;
}

static int flush_tls(struct caller *c)
{
    size_t sent;
    int rc;

    do {
        while (buf_len(&c->out) > 0 && tls_output(c->tls).len < TLS_WAITING_MAX) {
            struct str piece = str_slice(buf_str(&c->out), 0, TLS_PIECE);
            if (!tls_send(c->tls, piece)) {
                break;
            }
            buf_consume(&c->out, piece.len);
        }
        rc = send_bytes(c, tls_output(c->tls), &sent);
        tls_sent(c->tls, sent);
    } while (rc == 1 && sent > 0 && buf_len(&c->out) > 0);
    return rc;
}

static int flush(struct caller *c)
{
    size_t sent;

    if (c->tls != NULL) {
        return flush_tls(c);
    }
    int rc = send_bytes(c, buf_str(&c->out), &sent);
    buf_consume(&c->out, sent);
    return rc;
}

static bool write_head(struct caller *c, const struct answer *answer, enum body_kind body)
{
    struct message_header headers[16];
    size_t count = 0;
    struct buf date;
    bool head_request = str_equal(c->head.method, STR("HEAD"));

    buf_init(&date, 64);
    (void)http_write_date(&date, clock_wall_ms());
    headers[count++] = (struct message_header){STR("date"), buf_str(&date)};
    headers[count++] = (struct message_header){STR("cache-control"), STR("no-store")};
    headers[count++] = (struct message_header){STR("x-content-type-options"), STR("nosniff")};
    if (answer->content_type.len > 0) {
        headers[count++] = (struct message_header){STR("content-type"), answer->content_type};
    }
    assert(answer->header_count <= sizeof(headers) / sizeof(headers[0]) - count);
    for (size_t i = 0; i < answer->header_count; i++) {
        headers[count++] = answer->headers[i];
    }
    bool fits = http_write_response(&c->out, answer->status, http_reason(answer->status), headers,
                                    count, body, answer->body.len, head_request, c->close_after);
    buf_clear(&date);
    return fits;
}

/* The exchange is over: its bytes go now, secrets among them. */
static void forget_request(struct caller *c)
{
    close_fds(c);
    buf_clear(&c->body);
    buf_clear(&c->head_bytes);
    c->exchange = (struct exchange){.peer = &c->peer};
}

static void write_answer(struct caller *c, const struct answer *answer)
{
    bool bodyless = answer->status == 204 || answer->status == 304;
    bool head_request = str_equal(c->head.method, STR("HEAD"));

    c->close_after = c->close_after || c->server->draining;
    if (!write_head(c, answer, bodyless ? BODY_NONE : BODY_LENGTH) ||
        (!bodyless && !head_request && !buf_add_str(&c->out, answer->body))) {
        c->close_after = true; /* larger than OUT_MAX: cut, and seen to be cut */
    }
    forget_request(c);
    move(c, WRITING);
}

static bool answer_reaches_nobody(struct caller *c)
{
    assert(c->state == HANDLING);
    if (c->fd != -1) {
        return false;
    }
    if (c->busy) {
        c->dead = true;
        c->state = WRITING; /* no longer handed out */
    } else {
        release(c);
    }
    return true;
}

void exchange_answer(struct exchange *exchange, const struct answer *answer)
{
    struct caller *c = (struct caller *)(void *)exchange;

    if (answer_reaches_nobody(c)) {
        return;
    }
    write_answer(c, answer);
    go(c);
}

int exchange_take_over(struct exchange *exchange, const struct answer *answer)
{
    struct caller *c = (struct caller *)(void *)exchange;
    size_t sent = 0;

    if (answer_reaches_nobody(c)) {
        return -1;
    }
    write_answer(c, answer);
    int fd = c->fd;
    if (send_bytes(c, buf_str(&c->out), &sent) == 1) {
        c->fd = -1; /* not ours any more: drop_socket() leaves it open */
        loop_unwatch(c->server->loop, &c->watch);
        loop_timer_stop(c->server->loop, &c->timer);
        server_forget(c->server, &c->link);
    } else {
        drop_socket(c);
        fd = -1;
    }
    c->dead = true;
    if (!c->busy) {
        release(c);
    }
    return fd;
}

void exchange_stream(struct exchange *exchange, const struct answer *answer, stream_more *more,
                     void (*done)(void *ctx), void *ctx)
{
    struct caller *c = (struct caller *)(void *)exchange;
    bool old = c->head.minor == 0;

    if (answer_reaches_nobody(c)) {
        done(ctx);
        return;
    }
    c->close_after = c->close_after || c->server->draining || old;
    (void)write_head(c, answer, old ? BODY_UNTIL_CLOSE : BODY_CHUNKED);
    if (str_equal(c->head.method, STR("HEAD"))) {
        forget_request(c);
        move(c, WRITING);
        done(ctx);
    } else {
        c->more = more;
        c->done = done;
        c->stream_ctx = ctx;
        move(c, STREAMING);
    }
    go(c);
}

/* False when the stream was cut. */
static bool next_piece(struct caller *c)
{
    struct buf piece;
    bool old = c->head.minor == 0;

    buf_init_wiped(&piece, OUT_MAX / 2);
    enum stream_step step = c->more(c->stream_ctx, &piece);
    if (buf_len(&piece) > 0) {
        (void)(old ? buf_add_str(&c->out, buf_str(&piece))
                   : http_write_chunk(&c->out, buf_str(&piece)));
    }
    buf_clear(&piece);
    if (step == STREAM_END) {
        if (!old) {
            (void)http_write_last_chunk(&c->out);
        }
        end_stream(c);
        forget_request(c);
        move(c, WRITING);
    }
    return step != STREAM_CUT;
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
    write_answer(c, &answer);
    buf_clear(&body);
}

static void hand_over(struct caller *c)
{
    c->exchange = (struct exchange){.head = &c->head,
                                    .body = buf_str(&c->body),
                                    .peer = &c->peer,
                                    .fds = c->fd_count == 0 ? NULL : c->fds,
                                    .fd_count = c->fd_count};
    move(c, HANDLING);
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
    move(c, BODY);
}

/* True when there is something to go on with. */
static bool take_head(struct caller *c)
{
    struct http_problem problem;
    size_t used = 0;
    struct str bytes = buf_str(&c->in);

    switch (http_parse_request((char *)c->in.data + c->in.start, bytes.len, &c->head, &used,
                               &problem)) {
    case HTTP_MORE:
        if (c->ended) {
            hang_up(c);
        }
        return false;
    case HTTP_OK:
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
        (void)flush(c);
    }
    (void)shutdown(c->fd, SHUT_WR);
    buf_cut(&c->in, 0);
    move(c, LINGER);
}

/* True when the answer has left and the next request may come. */
static bool after_write(struct caller *c)
{
    int rc = flush(c);

    if (rc < 0) {
        hang_up(c);
        return false;
    }
    if (rc == 0) {
        return false;
    }
    if (!c->close_after) {
        move(c, IDLE);
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
    go(ctx);
}

/* One piece a turn, so that a long export does not keep the others waiting. */
static bool step_stream(struct caller *c)
{
    int rc = flush(c);

    if (rc < 0) {
        hang_up(c);
        return false;
    }
    if (rc == 0) {
        return false;
    }
    if (!next_piece(c)) {
        hang_up(c);
        return false;
    }
    touch(c);
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
        move(c, HEAD);
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

static void go(struct caller *c)
{
    if (c->busy) {
        return; /* answered from inside the handler: the loop below goes on */
    }
    c->busy = true;
    while (!c->dead && step(c)) {
    }
    c->busy = false;
    if (c->dead) {
        release(c);
        return;
    }
    if (c->fd == -1) {
        return; /* gone, its exchange still open */
    }
    if (c->state == BODY || c->state == HANDSHAKE) {
        (void)flush(c); /* 100 Continue; the handshake */
    }
    set_events(c);
}

/* ---- the socket ---- */

static bool receive_tls(struct caller *c, struct str bytes)
{
    struct err err;
    enum tls_state state = tls_receive(c->tls, bytes, &c->in, &err);

    if (state == TLS_FAILED) {
        (void)flush(c); /* the alert */
        return false;
    }
    if (state == TLS_CLOSED) {
        c->ended = true;
    }
    if (state != TLS_HANDSHAKE && c->state == HANDSHAKE) {
        move(c, IDLE);
    }
    return true;
}

/* Keeps the descriptors of a message, up to what one request may bring; closes the others. */
static void keep_fds(struct caller *c, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
            if (c->state == HANDLING || c->fd_count == LIMIT_SESSION_SOCKETS ||
                c->server->fd_count >= FDS_MAX) {
                (void)close(fd);
            } else {
                c->fds[c->fd_count++] = fd;
                c->server->fd_count++;
            }
        }
    }
}

static ssize_t receive_bytes(struct caller *c, unsigned char *bytes, size_t size)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * LIMIT_SESSION_SOCKETS)];
    } control;
    struct iovec part = {bytes, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    if (!c->peer.unix_socket) {
        return recv(c->fd, bytes, size, 0);
    }
    ssize_t got = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC);
    if (got >= 0) {
        keep_fds(c, &message);
    }
    return got;
}

/* False when the connection is to be closed. */
static bool receive(struct caller *c)
{
    unsigned char bytes[READ_BYTES];
    ssize_t got = receive_bytes(c, bytes, sizeof(bytes));
    bool good = true;

    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (got == 0) {
        c->ended = true;
        return c->state != LINGER && c->state != HANDSHAKE;
    }
    struct str text = str_of(bytes, (size_t)got);
    if (c->state == LINGER) {
        c->lingered += text.len;
        good = c->lingered <= LINGER_BYTES;
    } else if (c->tls != NULL) {
        good = receive_tls(c, text);
    } else {
        good = buf_add_str(&c->in, text);
    }
    mem_wipe(bytes, (size_t)got);
    return good;
}

static void on_ready(void *ctx, uint32_t events)
{
    struct caller *c = ctx;
    bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0 && (events & EPOLLIN) == 0;

    if (broken || ((events & EPOLLIN) != 0 && !receive(c))) {
        caller_close(&c->link);
        return;
    }
    if ((events & EPOLLOUT) != 0 && (c->state == WRITING || c->state == STREAMING)) {
        touch(c);
    }
    go(c);
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
    buf_init_wiped(&c->out, OUT_MAX);
    buf_init_wiped(&c->body, LIMIT_API_BODY_BYTES);
    buf_init_wiped(&c->head_bytes, LIMIT_HEAD_BYTES);
    c->watch = LOOP_WATCH_NONE;
    list_add(&server->connections, &c->link);
    server->connection_count++;
    loop_watch(server->loop, &c->watch, fd, EPOLLIN, on_ready, c);
    touch(c);
}
