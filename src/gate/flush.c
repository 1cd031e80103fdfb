/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing: from `out`, through the TLS around it, to the socket; and what follows when all of an
 * answer has left.
 */
#include <assert.h>
#include <errno.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "gate/tunnel.h"
#include "gate/visitor_parts.h"

enum { TLS_PIECE = 64 * 1024 }; /* encrypted at once: four records */

bool visitor_has_output(const struct visitor *client)
{
    return buf_len(&client->out) > 0 || (client->tls != NULL && tls_output(client->tls).len > 0) ||
           (client->under != NULL && tls_output(client->under).len > 0);
}

static void on_flush(void *ctx)
{
    visitor_flush(ctx);
}

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
            client->out_ms = visitor_now_ms(client);
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
    if ((body_done && !has_unread(client)) || client->peer_ended) {
        visitor_close(client);
        return;
    }
    if (gate->drain_count >= LIMIT_DRAINS_A_GATE) {
        /* Its answer has long been read, or never will be; this one's has not. */
        visitor_close(LIST_THING(gate->drains.next, struct visitor, link));
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
        visitor_end_by_reset(client);
        visitor_close(client);
    } else if (truncated) {
        visitor_close(client); /* without the last chunk, and without close_notify */
    } else if (client->close_after) {
        after_last_answer(client, body_done);
    } else {
        visitor_move(client, VISITOR_IDLE);
        visitor_work(client);
    }
}

void visitor_flush(struct visitor *client)
{
    bool ok = client->tls == NULL ? flush_plain(client) : flush_tls(client);

    if (!ok) {
        visitor_gone(client);
        return;
    }
    if (visitor_has_output(client) && client->out_ms == 0) {
        client->out_ms = visitor_now_ms(client);
    }
    if (client->exchange != NULL) {
        exchange_credit(client->exchange);
    }
    if (!visitor_has_output(client)) {
        client->out_ms = 0; /* nothing waits: no stall */
    }
    if (client->state == VISITOR_SPLICE) {
        splice_work(client);
        if (client->state == VISITOR_CLOSED) {
            return;
        }
    }
    if (client->state == VISITOR_ANSWER && !visitor_has_output(client)) {
        finish(client);
        return;
    }
    visitor_want_events(client, false);
    visitor_set_timer(client);
}

void visitor_answered(struct visitor *client)
{
    visitor_move(client, VISITOR_ANSWER);
    visitor_want_flush(client);
}
