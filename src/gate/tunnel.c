/* SPDX-License-Identifier: Apache-2.0 */
#include "gate/tunnel.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"
#include "http/socks.h"
#include "http/url.h"

enum { PORT_TLS = 443 };

/* ---- birth and end ---- */

struct tunnel *tunnel_begin(struct visitor *client, enum door door)
{
    struct tunnel *tunnel = mem_zeroed(sizeof(*tunnel));

    assert(client->tunnel == NULL);
    tunnel->client = client;
    tunnel->door = door;
    tunnel->fd = -1;
    tunnel->watch = LOOP_WATCH_NONE;
    tunnel->began_us = loop_now_us(client->gate->loop);
    list_init(&tunnel->link);
    client->tunnel = tunnel;
    return tunnel;
}

static void wipe_password(struct tunnel *tunnel)
{
    mem_wipe(tunnel->user, sizeof(tunnel->user));
    mem_wipe(tunnel->password, sizeof(tunnel->password));
    tunnel->user_len = tunnel->password_len = 0;
}

static void tell_done(const struct tunnel *tunnel)
{
    struct gate *gate = tunnel->client->gate;
    struct message_tunnel_done done = {
        .request = tunnel->request,
        .connected = tunnel->connected,
        .problem = str_from(tunnel->problem),
        .bytes_in = tunnel->bytes_in,
        .bytes_out = tunnel->bytes_out,
        .total_us = loop_now_us(gate->loop) - tunnel->began_us,
    };

    if (gate->judge != NULL) {
        (void)channel_send(gate->judge->channel, MESSAGE_TUNNEL_DONE, &done);
    }
}

void tunnel_leave(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;

    if (tunnel == NULL) {
        return;
    }
    if (tunnel->step == STEP_DIAL) {
        splice_unwanted(client->gate, tunnel->dial);
    }
    if (tunnel->judged) {
        tell_done(tunnel);
    }
    splice_close(tunnel);
    list_remove(&tunnel->link);
    wipe_password(tunnel);
    free(tunnel);
    client->tunnel = NULL;
}

/* ---- asking ---- */

void tunnel_ask(struct visitor *client, const struct message_presented *presented, size_t count)
{
    struct gate *gate = client->gate;
    struct tunnel *tunnel = client->tunnel;
    struct exchange *exchange = client->exchange;
    struct message_presented *shown = gate->presented;
    struct message_tunnel ask = {
        .request = ++gate->next_request,
        .door = tunnel->door,
        .listener = client->listener,
        .session = client->session == NULL ? STR_NONE : client->session->id,
        .source = str_from(client->source),
        .host = str_from(tunnel->host),
        .port = tunnel->port,
        .presented = shown,
        .presented_count = count,
    };

    for (size_t i = 0; i < count && presented != shown; i++) {
        shown[i] = presented[i];
    }
    tunnel->request = exchange->request = ask.request;
    tunnel->step = STEP_ASKED;
    exchange->admitted = true;
    table_add(&gate->requests, exchange);
    gate->open_admissions++;
    visitor_move(client, VISITOR_JUDGE);
    if (!channel_send(gate->judge->channel, MESSAGE_TUNNEL, &ask)) {
        exchange->admitted = false;
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "keybrake is too busy to decide about this connection. Try again.");
    }
    wipe_password(tunnel);
}

void tunnel_connect(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct tunnel *tunnel = tunnel_begin(client, DOOR_CONNECT);
    struct str host;

    /* refusal_of() has looked at it. */
    bool good = url_split_authority(gate->head.authority, &host, &tunnel->port);
    assert(good && host.len <= TUNNEL_HOST_MAX);
    (void)good;
    for (size_t i = 0; i < host.len; i++) {
        tunnel->host[i] = ascii_lower(host.data[i]);
    }
    tunnel_ask(client, gate->presented, admit_proxy_credentials(gate, &gate->head));
    mem_wipe(gate->plain.data, gate->plain.size);
}

/* ---- the answer ---- */

static void end_asking(struct visitor *client)
{
    struct exchange *exchange = client->exchange;

    buf_consume(&client->in, exchange->head_bytes);
    exchange->admitted = false;
    exchange_end(exchange);
}

void tunnel_say_yes(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;

    if (tunnel->door == DOOR_CONNECT) {
        (void)buf_add_str(&client->out, STR("HTTP/1.1 200 Connection established\r\n\r\n"));
    } else if (tunnel->door == DOOR_SOCKS) {
        socks_say(client, SOCKS_GRANTED);
    }
    visitor_want_flush(client);
}

void tunnel_judged(struct visitor *client, const struct message_tunnelled *message)
{
    struct tunnel *tunnel = client->tunnel;

    assert(tunnel != NULL && tunnel->step == STEP_ASKED);
    end_asking(client);
    tunnel->judged = true;
    tunnel->key = message->key;
    list_add(&client->gate->tunnels, &tunnel->link);
    visitor_move(client, VISITOR_TUNNEL);
    if (message->splice) {
        tunnel->dial = message->dial;
        tunnel->step = STEP_DIAL;
        splice_wait(client);
        return;
    }
    tunnel->step = STEP_INSIDE;
    tunnel_say_yes(client);
    visitor_work(client);
}

bool tunnel_refused(struct visitor *client, const struct message_answer *answer)
{
    struct tunnel *tunnel = client->tunnel;

    if (tunnel == NULL || tunnel->step == STEP_OPEN) {
        return false;
    }
    if (tunnel->door == DOOR_CONNECT) {
        tunnel_leave(client); /* the answer is to the CONNECT, and another one may follow */
        return false;
    }
    if (tunnel->door == DOOR_SOCKS) {
        socks_say(client, answer->status == 502 ? SOCKS_HOST_UNREACHABLE : SOCKS_NOT_ALLOWED);
        client->close_after = true;
        client->exchange->body_done = true;
        visitor_answered(client);
        return true;
    }
    visitor_gone(client);
    return true;
}

/* ---- inside ---- */

const char *tunnel_host_differs(const struct visitor *client, const struct http_head *head)
{
    const struct tunnel *tunnel = client->tunnel;
    struct str host;
    unsigned port;

    if (tunnel == NULL || tunnel->host[0] == '\0') {
        return NULL;
    }
    if (head->host.len == 0 && head->minor == 0) {
        return NULL;
    }
    if (!url_split_authority(head->host, &host, &port) ||
        !str_equal_nocase(host, str_from(tunnel->host)) || (port != 0 && port != tunnel->port)) {
        return "The Host of this request is not the host that this connection was made for.";
    }
    return NULL;
}

static void open_plain(struct visitor *client)
{
    client->tunnel->step = STEP_OPEN;
    client->way = (unsigned char)client->tunnel->door;
    visitor_move(client, VISITOR_IDLE);
}

/* The first bytes inside a tunnel whose host is known. */
static void work_inside(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;
    struct str in = buf_str(&client->in);
    struct hello hello;
    const char *why;

    if (in.len == 0) {
        return;
    }
    if (!hello_begins(in)) {
        /* A method begins with a letter; whatever else it is, it is not for us. */
        if (!ascii_is_alpha(in.data[0])) {
            visitor_gone(client);
        } else {
            open_plain(client);
            visitor_work(client);
        }
        return;
    }
    switch (hello_read(in, &hello, &why)) {
    case HELLO_MORE:
        break;
    case HELLO_BAD:
        visitor_gone(client);
        break;
    case HELLO_OK:
        if (strcmp(hello.host, tunnel->host) == 0) {
            leaves_begin(client);
        } else {
            visitor_gone(client); /* whoever it is speaks of two hosts */
        }
        break;
    }
}

/* ---- a socket in a sandbox ---- */

struct end {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
    socklen_t size;
};

static bool is_loopback(const struct end *end)
{
    return end->address.any.sa_family == AF_INET6
               ? IN6_IS_ADDR_LOOPBACK(&end->address.v6.sin6_addr)
               : ntohl(end->address.v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

static unsigned port_of(const struct end *end)
{
    return ntohs(end->address.any.sa_family == AF_INET6 ? end->address.v6.sin6_port
                                                        : end->address.v4.sin_port);
}

/* Which port the connection was meant for: as it was before the sandbox's redirect; where there is
 * none, the one it came to.  A listener on a loopback address says nothing: then TLS's own. */
unsigned tunnel_meant_port(int fd)
{
    enum { ORIGINAL_DESTINATION = 80 }; /* for both families, and no header says so well */
    struct end end = {.size = sizeof(end.address)}, before = end;

    if (getsockname(fd, &end.address.any, &end.size) < 0 ||
        (end.address.any.sa_family != AF_INET && end.address.any.sa_family != AF_INET6)) {
        return PORT_TLS;
    }
    int level = end.address.any.sa_family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
    if (getsockopt(fd, level, ORIGINAL_DESTINATION, &before.address, &before.size) == 0) {
        return port_of(&before);
    }
    return is_loopback(&end) ? PORT_TLS : port_of(&end);
}

static void ask_for_session(struct visitor *client, const struct hello *hello)
{
    struct tunnel *tunnel = client->tunnel;

    if (client->gate->judge == NULL) {
        visitor_gone(client);
        return;
    }
    (void)snprintf(tunnel->host, sizeof(tunnel->host), "%s", hello->host);
    client->exchange = exchange_new(client);
    client->exchange->body_done = true;
    tunnel_ask(client, NULL, 0);
}

/* TLS: whose name is in the first flight.  HTTP: each request says it.  SOCKS5, if its proxy
 * variable says so.  Nothing else is spoken here. */
static void work_peek(struct visitor *client)
{
    struct str in = buf_str(&client->in);
    struct hello hello;
    const char *why;

    if (in.len == 0) {
        return;
    }
    if ((unsigned char)in.data[0] == SOCKS_VERSION) {
        client->tunnel->door = DOOR_SOCKS;
        client->tunnel->step = STEP_GREETING;
        visitor_move(client, VISITOR_SOCKS);
        visitor_work(client);
        return;
    }
    if (!hello_begins(in)) {
        if (!ascii_is_alpha(in.data[0])) {
            visitor_gone(client);
            return;
        }
        tunnel_leave(client);
        visitor_move(client, VISITOR_IDLE);
        visitor_work(client);
        return;
    }
    switch (hello_read(in, &hello, &why)) {
    case HELLO_MORE:
        break;
    case HELLO_BAD:
        visitor_gone(client);
        break;
    case HELLO_OK:
        if (hello.host[0] == '\0') {
            visitor_gone(client); /* no certificate would please it */
        } else {
            ask_for_session(client, &hello);
        }
        break;
    }
}

void tunnel_work(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;

    if (client->state == VISITOR_SPLICE) {
        splice_work(client);
        return;
    }
    if (client->peer_ended) {
        visitor_gone(client);
        return;
    }
    if (client->state == VISITOR_SOCKS) {
        socks_work(client);
    } else if (client->state == VISITOR_PEEK) {
        work_peek(client);
    } else if (tunnel->step == STEP_INSIDE && tunnel->door == DOOR_SESSION) {
        leaves_begin(client);
    } else if (tunnel->step == STEP_INSIDE) {
        work_inside(client);
    }
}

/* ---- CUT, time ---- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;
    return left < right ? -1 : left > right ? 1 : 0;
}

/* A request under way inside may be of another key; it ends first. */
static void cut(struct tunnel *tunnel)
{
    struct visitor *client = tunnel->client;

    tunnel->cut = true;
    if (client->exchange == NULL) {
        visitor_gone(client);
    } else {
        client->close_after = true;
    }
}

void tunnels_cut(struct gate *gate, const uint64_t *keys, size_t count)
{
    for (struct list *at = gate->tunnels.next, *next; at != &gate->tunnels; at = next) {
        struct tunnel *tunnel = LIST_THING(at, struct tunnel, link);
        next = at->next;
        if (tunnel->key != 0 &&
            bsearch(&tunnel->key, keys, count, sizeof(*keys), compare_keys) != NULL) {
            cut(tunnel);
        }
    }
}

void tunnels_drain(struct gate *gate)
{
    for (struct list *at = gate->tunnels.next, *next; at != &gate->tunnels; at = next) {
        struct tunnel *tunnel = LIST_THING(at, struct tunnel, link);
        next = at->next;
        if (tunnel->step != STEP_OPEN) {
            visitor_gone(tunnel->client);
        }
    }
}

uint64_t tunnel_due_ms(const struct visitor *client)
{
    switch ((enum visitor_state)client->state) {
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
        return client->since_ms + LIMIT_HEAD_MS;
    case VISITOR_TUNNEL:
        return client->since_ms + (client->tunnel->step == STEP_DIAL
                                       ? LIMIT_RESOLVE_MS + LIMIT_CONNECT_MS + LIMIT_JUDGE_SILENT_MS
                                       : LIMIT_HEAD_MS);
    case VISITOR_SPLICE:
        return client->tunnel->moved_ms + LIMIT_TUNNEL_IDLE_MS;
    default:
        return UINT64_MAX;
    }
}
