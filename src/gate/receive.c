/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading: from the socket, through the TLS around it, to `in`.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>

#include "gate/visitor_parts.h"
#include "http/proxy.h"

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
        ok = visitor_receive_tls(client, buf_str(&raw));
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

bool visitor_receive_tls(struct visitor *client, struct str bytes)
{
    struct err err;
    enum tls_state state = tls_receive(client->tls, bytes, &client->in, &err);

    if (tls_output(client->tls).len > 0) {
        visitor_want_flush(client);
    }
    if (state == TLS_FAILED) {
        visitor_flush(client); /* the alert */
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

/* By way of one place for all, so that a connection's own buffer is as large as its request and no
 * larger. */
bool visitor_receive(struct visitor *client)
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
    client->in_ms = visitor_now_ms(client);
    if (got == 0) {
        client->peer_ended = true;
        return true;
    }
    if (client->under != NULL) {
        return receive_under(client, str_of(bytes, (size_t)got));
    }
    if (client->tls != NULL) {
        return visitor_receive_tls(client, str_of(bytes, (size_t)got));
    }
    return buf_add(&client->in, bytes, (size_t)got);
}

static bool wants_rest_of_body(const struct visitor *client)
{
    return !client->peer_ended && client->exchange->body.kind != BODY_NONE &&
           (!client->exchange->expect || buf_len(&client->in) > 0);
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
    if (wants_rest_of_body(client) && !visitor_receive(client)) {
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
