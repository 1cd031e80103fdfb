/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: reading, writing, timers, and the states of a request on it.
 *
 *     idle -> head -> judge --------------------> forward -> answer -> idle, or drain, or closed
 *                       \-> read -> verdict -/       \-> failed -/
 *             \___________\_______\__________\____________________/   refused
 */
#include "gate/visitor.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/tunnel.h"
#include "http/proxy.h"
#include "http/socks.h"

enum {
    SHRINK_MS = 1000, /* an idle connection keeps its buffers so long */
    BODY_PENDING_MAX = 2 * VISITOR_READ_BYTES,
    TLS_PIECE = 64 * 1024, /* encrypted at once: four records */
    /* The judge may wait for another request of the same idempotency key, and for its disk. */
    JUDGE_LONG_MS = LIMIT_JUDGE_SILENT_MS + LIMIT_IN_FLIGHT_WAIT_MS + LIMIT_COMMIT_MS,
};

#define TO(state) (1u << VISITOR_##state)
static const struct {
    const char *name;
    unsigned next;
} states[VISITOR_STATE_COUNT] = {
    [VISITOR_PROXY] = {"proxy", TO(HANDSHAKE) | TO(IDLE)},
    [VISITOR_HANDSHAKE] = {"handshake", TO(IDLE)},
    [VISITOR_SOCKS] = {"socks", TO(JUDGE) | TO(ANSWER)},
    [VISITOR_PEEK] = {"peek", TO(SOCKS) | TO(JUDGE) | TO(IDLE)},
    [VISITOR_TUNNEL] = {"tunnel", TO(HANDSHAKE) | TO(IDLE) | TO(SPLICE) | TO(FAILED)},
    [VISITOR_SPLICE] = {"splice", 0},
    [VISITOR_IDLE] = {"idle", TO(HEAD) | TO(SOCKS)},
    [VISITOR_HEAD] = {"head", TO(JUDGE) | TO(ANSWER)},
    [VISITOR_JUDGE] = {"judge", TO(READ) | TO(FORWARD) | TO(ANSWER) | TO(TUNNEL)},
    [VISITOR_READ] = {"read", TO(VERDICT) | TO(ANSWER)},
    [VISITOR_VERDICT] = {"verdict", TO(FORWARD) | TO(ANSWER)},
    [VISITOR_FORWARD] = {"forward", TO(FAILED) | TO(ANSWER)},
    [VISITOR_FAILED] = {"failed", TO(ANSWER)},
    [VISITOR_ANSWER] = {"answer", TO(IDLE) | TO(DRAIN)},
    [VISITOR_DRAIN] = {"drain", 0},
    [VISITOR_CLOSED] = {"closed", 0},
};

static void on_ready(void *ctx, uint32_t events);
static void on_timer(void *ctx);
static void on_flush(void *ctx);
static void set_timer(struct visitor *client);

const char *visitor_state_name(enum visitor_state state)
{
    return states[state].name;
}

static uint64_t now_ms(const struct visitor *client)
{
    return loop_now_ms(client->gate->loop);
}

/* The longest idle are the first to be closed when room is short. */
static void enlist(struct visitor *client, enum visitor_state next)
{
    struct gate *gate = client->gate;
    bool was_idle = client->state == VISITOR_IDLE, is_idle = next == VISITOR_IDLE;

    if (was_idle == is_idle) {
        return;
    }
    gate->idle_count += is_idle ? 1 : 0;
    gate->idle_count -= was_idle ? 1 : 0;
    list_remove(&client->link);
    list_add(is_idle ? &gate->idle : &gate->clients, &client->link);
}

void visitor_move(struct visitor *client, enum visitor_state next)
{
    assert(next == VISITOR_CLOSED || (states[client->state].next & (1u << next)) != 0);
    enlist(client, next);
    (void)room_hold(client, 0);
    client->state = (unsigned char)next;
    client->since_ms = now_ms(client);
    client->in_ms = client->since_ms;
    client->shrunk = false;
}

static bool wants_input(const struct visitor *client)
{
    if (client->peer_ended) {
        return false;
    }
    switch ((enum visitor_state)client->state) {
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
    case VISITOR_IDLE:
    case VISITOR_READ:
    case VISITOR_DRAIN:
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
        return true;
    case VISITOR_TUNNEL:
        return client->tunnel->step == STEP_INSIDE;
    case VISITOR_SPLICE:
        return buf_len(&client->in) < BODY_PENDING_MAX;
    case VISITOR_HEAD:
        return !client->is_parked;
    case VISITOR_FORWARD:
        return exchange_wants_body(client->exchange) && buf_len(&client->in) < BODY_PENDING_MAX;
    case VISITOR_JUDGE:
    case VISITOR_VERDICT:
    case VISITOR_FAILED:
    case VISITOR_ANSWER:
    case VISITOR_CLOSED:
    case VISITOR_STATE_COUNT:
        break;
    }
    return false;
}

static bool has_output(const struct visitor *client)
{
    return buf_len(&client->out) > 0 || (client->tls != NULL && tls_output(client->tls).len > 0) ||
           (client->under != NULL && tls_output(client->under).len > 0);
}

/* Input that is not wanted now is asked off only when some comes: mostly none does. */
static void want_events(struct visitor *client, bool refuse_input)
{
    uint32_t events = client->watch.events & EPOLLIN;

    if (client->state == VISITOR_CLOSED) {
        return;
    }
    if (wants_input(client)) {
        events = EPOLLIN;
    } else if (refuse_input || client->peer_ended) {
        events = 0;
    }
    if (has_output(client) && client->out_ms != 0) {
        events |= EPOLLOUT;
    }
    loop_watch_events(client->gate->loop, &client->watch, events);
}

void visitor_new(struct gate *gate, const struct listener *listener, int fd, const char *source)
{
    struct visitor *client = mem_zeroed(sizeof(*client));

    client->gate = gate;
    client->listener = listener->number;
    client->kind = (unsigned char)listener->kind;
    if (listener->session != NULL) {
        client->session = listener->session;
        client->session->users++;
        client->session->connections++;
        client->way = DOOR_SESSION;
    }
    client->state = door_expects_proxy(gate, listener, source) ? VISITOR_PROXY : VISITOR_HANDSHAKE;
    client->since_ms = client->in_ms = now_ms(client);
    (void)snprintf(client->source, sizeof(client->source), "%s", source);
    buf_init(&client->in, VISITOR_IN_MAX);
    buf_init(&client->out, VISITOR_OUT_MAX);
    list_init(&client->parked);
    list_init(&client->link);
    list_add(&gate->clients, &client->link);
    gate->client_count++;
    if (listener->tls) {
        client->door = gate->door;
        client->door->users++;
        client->tls = tls_new_server(client->door->context);
    } else if (listener->kind == LISTENER_SESSION) {
        (void)tunnel_begin(client, DOOR_SESSION);
        client->state = VISITOR_PEEK;
    } else if (client->state == VISITOR_HANDSHAKE) {
        visitor_move(client, VISITOR_IDLE);
    }
    client->watch = LOOP_WATCH_NONE;
    loop_watch(gate->loop, &client->watch, fd, EPOLLIN, on_ready, client);
    set_timer(client);
}

/* ---- the end ---- */

static void leave_door(struct visitor *client)
{
    tls_free(client->tls);
    tls_free(client->under);
    client->tls = client->under = NULL;
    if (client->door != NULL && --client->door->users == 0 && client->door != client->gate->door) {
        tls_context_free(client->door->context);
        free(client->door);
    }
    client->door = NULL;
}

void visitor_close(struct visitor *client)
{
    struct gate *gate = client->gate;
    int fd = client->watch.fd;

    if (client->state == VISITOR_CLOSED) {
        return;
    }
    assert(client->exchange == NULL);
    gate->drain_count -= client->state == VISITOR_DRAIN ? 1 : 0;
    tunnel_leave(client);
    loop_unwatch(gate->loop, &client->watch);
    loop_timer_stop(gate->loop, &client->timer);
    loop_hook_stop(&client->flush);
    (void)close(fd);
    leave_door(client);
    if (client->session != NULL) {
        client->session->connections--;
        session_leave(client->session);
        client->session = NULL;
    }
    buf_clear(&client->in);
    buf_clear(&client->out);
    list_remove(&client->parked);
    visitor_move(client, VISITOR_CLOSED);
    list_remove(&client->link);
    list_add(&gate->dead, &client->link); /* its handlers may be on the stack */
    gate->client_count--;
    gate_bury(gate);
    doors_update(gate);
}

/* Its end will be a reset: of a body that cannot be shown as cut in any other way, and of a client
 * that takes nothing, for which the kernel would keep what is unsent. */
static void end_by_reset(struct visitor *client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(client->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
}

static void visitor_reset(struct visitor *client)
{
    end_by_reset(client);
    visitor_close(client);
}

void visitor_gone(struct visitor *client)
{
    if (client->exchange != NULL) {
        client->exchange->client_gone = true;
        exchange_let_go(client->exchange);
        exchange_end(client->exchange);
    }
    visitor_close(client);
}

/* ---- reading ---- */

static bool receive_tls(struct visitor *client, struct str bytes);

/* TLS inside TLS: a proxy that is spoken to over TLS. */
static bool receive_under(struct visitor *client, struct str bytes)
{
    struct buf raw;
    struct err err;
    bool ok = true;

    buf_init(&raw, VISITOR_IN_MAX);
    enum tls_state state = tls_receive(client->under, bytes, &raw, &err);
    if (state == TLS_FAILED) {
        visitor_gone(client);
        ok = false;
    } else if (buf_len(&raw) > 0) {
        ok = receive_tls(client, buf_str(&raw));
    }
    if (ok && state == TLS_CLOSED) {
        client->peer_ended = true;
    }
    buf_clear(&raw);
    return ok;
}

/* The load balancer's head, and not a byte of what follows it. */
static bool receive_proxy(struct visitor *client)
{
    unsigned char bytes[LIMIT_PROXY_BYTES];
    struct proxy_head head;
    ssize_t got = recv(client->watch.fd, bytes, proxy_missing(buf_str(&client->in)), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got <= 0 || !buf_add(&client->in, bytes, (size_t)got)) {
        visitor_gone(client);
        return false;
    }
    if (proxy_missing(buf_str(&client->in)) > 0) {
        return true;
    }
    if (proxy_parse(buf_str(&client->in), &head) < 0) {
        client->gate->refused_heads++;
        visitor_gone(client);
        return false;
    }
    if (!head.local) {
        (void)snprintf(client->source, sizeof(client->source), "%s", head.address);
    }
    buf_clear(&client->in);
    visitor_move(client, client->tls != NULL ? VISITOR_HANDSHAKE : VISITOR_IDLE);
    return true;
}

static bool receive_tls(struct visitor *client, struct str bytes)
{
    struct err err;
    enum tls_state state = tls_receive(client->tls, bytes, &client->in, &err);

    if (tls_output(client->tls).len > 0) {
        visitor_want_flush(client);
    }
    if (state == TLS_FAILED) {
        on_flush(client); /* the alert */
        if (client->state != VISITOR_CLOSED) {
            visitor_gone(client);
        }
        return false;
    }
    client->peer_ended = client->peer_ended || state == TLS_CLOSED;
    if (client->state == VISITOR_HANDSHAKE && state == TLS_OPEN) {
        visitor_move(client, VISITOR_IDLE);
    }
    return true;
}

/* One read.  False when the connection is over.  By way of one place for all, so that a
 * connection's own buffer is as large as its request and no larger. */
static bool receive(struct visitor *client)
{
    static unsigned char bytes[VISITOR_READ_BYTES];

    if (client->state == VISITOR_PROXY) {
        return receive_proxy(client);
    }
    if (buf_len(&client->in) + VISITOR_READ_BYTES + 2 * TLS_RECORD_MAX > VISITOR_IN_MAX) {
        return true; /* full: what is here is used first */
    }
    ssize_t got = recv(client->watch.fd, bytes, sizeof(bytes), MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return true;
        }
        visitor_gone(client);
        return false;
    }
    client->in_ms = now_ms(client);
    if (got == 0) {
        client->peer_ended = true;
        return true;
    }
    if (client->under != NULL) {
        return receive_under(client, str_of(bytes, (size_t)got));
    }
    if (client->tls != NULL) {
        return receive_tls(client, str_of(bytes, (size_t)got));
    }
    return buf_add(&client->in, bytes, (size_t)got);
}

static void on_ready(void *ctx, uint32_t events)
{
    struct visitor *client = ctx;

    if ((events & (EPOLLERR | EPOLLHUP)) != 0) {
        /* Bytes that came before a reset are of no use: nobody reads an answer. */
        visitor_gone(client);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        visitor_want_flush(client);
    }
    if ((events & EPOLLIN) != 0) {
        if (!wants_input(client)) {
            want_events(client, true);
            return;
        }
        if (!receive(client)) {
            return;
        }
        visitor_work(client);
    }
}

/* ---- what the bytes are ---- */

/* Whether parsing again can say more than the last time: at once, then when a line has ended, or
 * twice as much is there; else a sender of single bytes would cost the square of its head.  (There
 * are not many lines: the parser refuses more than 100.) */
static bool worth_parsing(const struct visitor *client)
{
    struct str in = buf_str(&client->in);
    struct str fresh = str_slice(in, client->parsed, in.len);

    return client->parsed == 0 || in.len >= 2 * client->parsed || in.len >= LIMIT_HEAD_BYTES ||
           client->peer_ended || str_index(fresh, '\n', 0) < fresh.len ||
           str_index(fresh, '\r', 0) < fresh.len;
}

static void refuse_head(struct visitor *client, unsigned status, const char *text)
{
    client->gate->refused_heads++;
    client->exchange = exchange_new(client);
    http_body_begin(&client->exchange->body, BODY_UNTIL_CLOSE, 0); /* where it ends is not known */
    client->close_after = true;
    answer_refuse(client, status == 431 || status == 414 ? VERDICT_TOO_LARGE : VERDICT_BAD_REQUEST,
                  status, text);
}

/* RFC 9112 2.2: one empty line before a request line is ignored.  Some clients send one behind a
 * body. */
static void skip_empty_line(struct visitor *client)
{
    if (!client->skipped_line && str_starts(buf_str(&client->in), STR("\r\n"))) {
        buf_consume(&client->in, 2);
        client->skipped_line = true;
    }
}

/* Half of that line, perhaps: the parser would take it for the start of a method. */
static bool may_be_empty_line(const struct visitor *client)
{
    return !client->skipped_line && !client->peer_ended &&
           str_equal(buf_str(&client->in), STR("\r"));
}

static bool park_if_full(struct visitor *client)
{
    struct gate *gate = client->gate;

    if (gate->judge == NULL || !channel_is_full(gate->judge->channel)) {
        return false;
    }
    client->is_parked = true;
    client->since_ms = now_ms(client);
    list_add(&gate->parked, &client->parked);
    return true;
}

/* What is here of a head that is not complete.  True when it is refused. */
static bool hold_head(struct visitor *client)
{
    if (room_hold(client, client->parsed)) {
        return false;
    }
    client->exchange = exchange_new(client);
    http_body_begin(&client->exchange->body, BODY_UNTIL_CLOSE, 0);
    client->close_after = true;
    answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                  "This gate waits for the rest of too many requests. Try again.");
    return true;
}

static bool work_head(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct http_problem problem;
    size_t used;

    skip_empty_line(client);
    if (client->is_parked || buf_len(&client->in) == 0 || may_be_empty_line(client) ||
        !worth_parsing(client)) {
        return false;
    }
    client->parsed = buf_len(&client->in);
    char *bytes = (char *)client->in.data + client->in.start;
    enum http_result result =
        http_parse_request(bytes, client->parsed, &gate->head, &used, &problem);
    if (result == HTTP_MORE) {
        if (client->peer_ended) {
            refuse_head(client, 400, "The request's head ended before it was complete.");
            return true;
        }
        return hold_head(client);
    }
    if (result == HTTP_BAD) {
        refuse_head(client, problem.status, problem.text);
        return true;
    }
    if (park_if_full(client)) {
        return false;
    }
    client->parsed = 0;
    client->skipped_line = false;
    client->exchange = exchange_new(client);
    client->exchange->head_bytes = used;
    admit_request(client);
    return true;
}

/* The first byte says it: no method begins so. */
static bool is_socks(const struct visitor *client)
{
    return client->kind != LISTENER_BASE && client->tunnel == NULL &&
           client->in.data[client->in.start] == SOCKS_VERSION;
}

static bool work_idle(struct visitor *client)
{
    if (buf_len(&client->in) > 0 && is_socks(client)) {
        (void)tunnel_begin(client, DOOR_SOCKS);
        visitor_move(client, VISITOR_SOCKS);
        return true;
    }
    if (buf_len(&client->in) > 0) {
        visitor_move(client, VISITOR_HEAD);
        return true;
    }
    if (client->peer_ended || client->gate->draining) {
        if (client->tls != NULL && !has_output(client)) {
            tls_close(client->tls);
            on_flush(client);
        }
        visitor_close(client);
    }
    return false;
}

static void work_drain(struct visitor *client)
{
    client->drained_bytes += buf_len(&client->in);
    buf_clear(&client->in);
    if (client->peer_ended || client->drained_bytes > LIMIT_DRAIN_BYTES) {
        visitor_close(client);
    }
}

static bool wants_rest_of_body(const struct visitor *client)
{
    return !client->peer_ended && client->exchange->body.kind != BODY_NONE &&
           (!client->exchange->expect || buf_len(&client->in) > 0);
}

/* One step; true when another may follow at once. */
static bool work(struct visitor *client)
{
    unsigned before = client->state;

    switch ((enum visitor_state)client->state) {
    case VISITOR_IDLE:
        return work_idle(client);
    case VISITOR_HEAD:
        return work_head(client) && client->state != before;
    case VISITOR_READ:
        exchange_feed_reader(client);
        return false;
    case VISITOR_FORWARD:
        exchange_feed_vault(client);
        return false;
    case VISITOR_DRAIN:
        work_drain(client);
        return false;
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
    case VISITOR_TUNNEL:
    case VISITOR_SPLICE:
        tunnel_work(client);
        return false;
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
        if (client->peer_ended) {
            visitor_close(client);
        }
        return false;
    case VISITOR_JUDGE:
    case VISITOR_VERDICT:
    case VISITOR_FAILED:
    case VISITOR_ANSWER:
    case VISITOR_CLOSED:
    case VISITOR_STATE_COUNT:
        break;
    }
    return false;
}

void visitor_work(struct visitor *client)
{
    while (work(client)) {
    }
    if (client->state != VISITOR_CLOSED) {
        want_events(client, false);
        set_timer(client);
    }
}

bool visitor_skip_body(struct visitor *client)
{
    struct exchange *exchange = client->exchange;
    struct str in, data;
    enum http_body_result result = HTTP_BODY_DATA;

    if (exchange->body_done) {
        return true;
    }
    /* A small body mostly is in the socket by now, and then the connection can live on.  Who
     * waits for a 100 may send it or not: that connection ends. */
    if (wants_rest_of_body(client) && !receive(client)) {
        return false;
    }
    while (result == HTTP_BODY_DATA) {
        in = buf_str(&client->in);
        size_t before = in.len;
        result = http_body_read(&exchange->body, &in, &data);
        buf_consume(&client->in, before - in.len);
        exchange->bytes_in += result == HTTP_BODY_DATA ? data.len : 0;
    }
    exchange->body_done = result == HTTP_BODY_END;
    return exchange->body_done;
}

/* ---- writing ---- */

void visitor_want_flush(struct visitor *client)
{
    if (client->state != VISITOR_CLOSED) {
        loop_at_turn_end(client->gate->loop, &client->flush, on_flush, client);
    }
}

/* Sends from `bytes`; how much went, or -1 when the connection is broken. */
static ssize_t send_some(struct visitor *client, struct str bytes)
{
    for (;;) {
        ssize_t sent = send(client->watch.fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            client->out_ms = now_ms(client);
            return sent;
        }
        if (errno == EAGAIN) {
            return 0;
        }
        if (errno != EINTR) {
            return -1;
        }
    }
}

static bool flush_plain(struct visitor *client)
{
    if (buf_len(&client->out) == 0) {
        return true;
    }
    ssize_t sent = send_some(client, buf_str(&client->out));
    if (sent > 0) {
        buf_consume(&client->out, (size_t)sent);
    }
    return sent >= 0;
}

/* What the TLS inside has written goes into the TLS around it. */
static bool wrap(struct visitor *client)
{
    while (tls_output(client->under).len == 0 && tls_output(client->tls).len > 0) {
        struct str piece = str_slice(tls_output(client->tls), 0, TLS_PIECE);
        if (!tls_send(client->under, piece)) {
            return false;
        }
        tls_sent(client->tls, piece.len);
    }
    return true;
}

/* What is encrypted cannot be taken back, so no more of it than the socket takes. */
static bool flush_tls(struct visitor *client)
{
    struct tls *wire = client->under == NULL ? client->tls : client->under;

    for (;;) {
        if (tls_output(client->tls).len == 0 && buf_len(&client->out) > 0) {
            struct str piece = str_slice(buf_str(&client->out), 0, TLS_PIECE);
            if (!tls_send(client->tls, piece)) {
                return false;
            }
            buf_consume(&client->out, piece.len);
        }
        if (client->under != NULL && !wrap(client)) {
            return false;
        }
        struct str bytes = tls_output(wire);
        if (bytes.len == 0) {
            return true;
        }
        ssize_t sent = send_some(client, bytes);
        if (sent < 0) {
            return false;
        }
        tls_sent(wire, (size_t)sent);
        if ((size_t)sent < bytes.len) {
            return true;
        }
    }
}

/* The answer and, where it is the last, the end of our side. */
void visitor_end_our_side(struct visitor *client)
{
    if (client->tls != NULL) {
        tls_close(client->tls);
        (void)flush_tls(client);
    }
    if (client->under != NULL) {
        tls_close(client->under);
        (void)flush_tls(client);
    }
    (void)shutdown(client->watch.fd, SHUT_WR);
}

/* Closing a socket with unread bytes resets it, and the answer on its way may be lost. */
static bool has_unread(const struct visitor *client)
{
    int bytes = 0;

    return buf_len(&client->in) > 0 ||
           (ioctl(client->watch.fd, FIONREAD, &bytes) == 0 && bytes > 0);
}

static void after_last_answer(struct visitor *client, bool body_done)
{
    struct gate *gate = client->gate;

    visitor_end_our_side(client);
    if ((body_done && !has_unread(client)) || client->peer_ended ||
        gate->drain_count >= LIMIT_DRAINS_A_GATE) {
        visitor_close(client);
        return;
    }
    gate->drain_count++;
    client->drained_bytes = 0;
    visitor_move(client, VISITOR_DRAIN);
    visitor_work(client);
}

/* All of the answer has left. */
static void finish(struct visitor *client)
{
    struct exchange *exchange = client->exchange;
    assert(exchange != NULL);
    bool truncated = exchange->truncated, body_done = exchange->body_done;
    bool shown = exchange->framing == BODY_CHUNKED && body_done;

    exchange_end(exchange);
    if (truncated && !shown) {
        visitor_reset(client);
    } else if (truncated) {
        visitor_close(client); /* without the last chunk, and without close_notify */
    } else if (client->close_after) {
        after_last_answer(client, body_done);
    } else {
        visitor_move(client, VISITOR_IDLE);
        visitor_work(client);
    }
}

static void on_flush(void *ctx)
{
    struct visitor *client = ctx;
    bool ok = client->tls == NULL ? flush_plain(client) : flush_tls(client);

    if (!ok) {
        visitor_gone(client);
        return;
    }
    if (has_output(client) && client->out_ms == 0) {
        client->out_ms = now_ms(client);
    }
    if (client->exchange != NULL) {
        exchange_credit(client->exchange);
    }
    if (!has_output(client)) {
        client->out_ms = 0; /* nothing waits: no stall */
    }
    if (client->state == VISITOR_SPLICE) {
        splice_work(client);
        if (client->state == VISITOR_CLOSED) {
            return;
        }
    }
    if (client->state == VISITOR_ANSWER && !has_output(client)) {
        finish(client);
        return;
    }
    want_events(client, false);
    set_timer(client);
}

void visitor_answered(struct visitor *client)
{
    visitor_move(client, VISITOR_ANSWER);
    visitor_want_flush(client);
}

/* ---- time ---- */

/* When something must happen; UINT64_MAX: never. */
static uint64_t due_ms(const struct visitor *client)
{
    uint64_t due = UINT64_MAX;

    switch ((enum visitor_state)client->state) {
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
        due = client->since_ms + LIMIT_TLS_HANDSHAKE_MS;
        break;
    case VISITOR_IDLE:
        due = client->since_ms + (client->shrunk ? LIMIT_IDLE_MS : SHRINK_MS);
        break;
    case VISITOR_HEAD:
        due = client->since_ms + (client->is_parked ? LIMIT_JUDGE_SILENT_MS : LIMIT_HEAD_MS);
        break;
    case VISITOR_JUDGE:
    case VISITOR_VERDICT:
        due =
            client->since_ms + (client->exchange->may_wait ? JUDGE_LONG_MS : LIMIT_JUDGE_SILENT_MS);
        break;
    case VISITOR_FAILED:
        due = client->since_ms + LIMIT_JUDGE_SILENT_MS;
        break;
    case VISITOR_READ:
    case VISITOR_FORWARD:
        due = wants_input(client) ? client->in_ms + LIMIT_BODY_GAP_MS : UINT64_MAX;
        break;
    case VISITOR_DRAIN:
        due = client->since_ms + LIMIT_DRAIN_MS;
        break;
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
    case VISITOR_TUNNEL:
    case VISITOR_SPLICE:
        due = tunnel_due_ms(client);
        break;
    case VISITOR_ANSWER:
    case VISITOR_CLOSED:
    case VISITOR_STATE_COUNT:
        break;
    }
    uint64_t stall = client->out_ms == 0 ? UINT64_MAX : client->out_ms + LIMIT_WRITE_STALL_MS;
    return due < stall ? due : stall;
}

/* Lazily: a timer that fires too early looks again, which is cheaper than moving it each time. */
static void set_timer(struct visitor *client)
{
    uint64_t due = due_ms(client), now = now_ms(client);

    if (client->state == VISITOR_CLOSED || due == UINT64_MAX ||
        (client->timer.place != 0 && client->timer.due_ms <= due)) {
        return;
    }
    loop_timer_set(client->gate->loop, &client->timer, due > now ? due - now : 0, on_timer, client);
}

static void time_is_up(struct visitor *client)
{
    switch ((enum visitor_state)client->state) {
    case VISITOR_IDLE:
        if (!client->shrunk) {
            buf_clear(&client->in);
            buf_clear(&client->out);
            if (client->tls != NULL) {
                tls_rest(client->tls);
            }
            if (client->under != NULL) {
                tls_rest(client->under);
            }
            client->shrunk = true;
            client->gate->shrunk++;
            return;
        }
        client->peer_ended = true; /* as if it had closed: with a close_notify of ours */
        visitor_work(client);
        return;
    case VISITOR_HEAD:
        if (client->is_parked) {
            client->is_parked = false;
            list_remove(&client->parked);
            client->exchange = exchange_new(client);
            http_body_begin(&client->exchange->body, BODY_UNTIL_CLOSE, 0);
            client->close_after = true;
            answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                          "keybrake is too busy to decide about this request. Try again.");
            return;
        }
        refuse_head(client, 408, "The head of the request did not come within 10 s.");
        return;
    case VISITOR_JUDGE:
    case VISITOR_VERDICT:
        exchange_let_go(client->exchange);
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "keybrake could not decide about this request in time. Try again.");
        return;
    case VISITOR_FAILED:
        answer_refuse(client, VERDICT_OUTCOME_UNKNOWN, 0,
                      "The connection to the vendor broke; whether it acted is not known here.");
        return;
    case VISITOR_READ:
    case VISITOR_FORWARD:
        if (client->exchange->status == 0) {
            exchange_let_go(client->exchange);
            answer_refuse(client, VERDICT_BAD_REQUEST, 408,
                          "Nothing of the request's body came for 30 s.");
            return;
        }
        visitor_gone(client);
        return;
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
    case VISITOR_ANSWER:
    case VISITOR_DRAIN:
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
    case VISITOR_TUNNEL:
    case VISITOR_SPLICE:
    case VISITOR_CLOSED:
    case VISITOR_STATE_COUNT:
        break;
    }
    visitor_gone(client);
}

void visitor_begin_tls(struct visitor *client, struct tls *tls)
{
    on_flush(client); /* what was said before is not encrypted by it */
    if (client->state == VISITOR_CLOSED || has_output(client)) {
        tls_free(tls);
        if (client->state != VISITOR_CLOSED) {
            visitor_gone(client);
        }
        return;
    }
    struct str in = buf_str(&client->in);
    void *bytes = mem_copy(in.data, in.len);
    buf_cut(&client->in, 0);
    client->under = client->tls;
    client->tls = tls;
    visitor_move(client, VISITOR_HANDSHAKE);
    if (receive_tls(client, str_of(bytes, in.len))) {
        visitor_work(client);
    }
    free(bytes);
}

static void on_timer(void *ctx)
{
    struct visitor *client = ctx;
    uint64_t now = now_ms(client);

    if (client->out_ms != 0 && client->out_ms + LIMIT_WRITE_STALL_MS <= now) {
        end_by_reset(client);
        visitor_gone(client);
    } else if (due_ms(client) <= now) {
        time_is_up(client);
    }
    set_timer(client);
}

/* ---- the dead ---- */

static void bury(void *ctx)
{
    struct list *link;
    struct gate *gate = ctx;

    while ((link = list_first(&gate->dead)) != NULL) {
        struct visitor *client = LIST_THING(link, struct visitor, link);
        list_remove(&client->link);
        free(client);
    }
    gate_check_drained(gate);
}

void gate_bury(struct gate *gate)
{
    loop_at_turn_end(gate->loop, &gate->bury, bury, gate);
}
