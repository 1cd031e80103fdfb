/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Splices: bytes between a client and a host that its policy names, both ways, unseen.  The socket
 * comes from the dialer, connected: we could not make one.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "gate/tunnel.h"

enum {
    PIECE_BYTES = 16 * 1024,
    WAITING_MAX = 128 * 1024, /* bytes for a client that does not read them */
    EARLY_MAX = 1024,
    EARLY_S = 15,
};

/* The dialer was faster than the judge; or nobody waits any more. */
struct early {
    uint64_t dial;
    int fd; /* -1: none */
    unsigned seconds;
    bool unwanted;
    char problem[160];
    struct list link;
};

static void pump(struct visitor *client);
static void on_far(void *ctx, uint32_t events);

/* ---- connections that nobody waits for yet ---- */

static void early_free(struct gate *gate, struct early *early)
{
    if (early->fd >= 0) {
        (void)close(early->fd);
    }
    list_remove(&early->link);
    gate->early_count--;
    free(early);
}

static struct early *early_find(struct gate *gate, uint64_t dial)
{
    for (struct list *at = gate->early.next; at != &gate->early; at = at->next) {
        struct early *early = LIST_THING(at, struct early, link);
        if (early->dial == dial) {
            return early;
        }
    }
    return NULL;
}

static struct early *early_new(struct gate *gate, uint64_t dial)
{
    struct early *early = mem_zeroed(sizeof(*early));

    if (gate->early_count >= EARLY_MAX) {
        early_free(gate, LIST_THING(gate->early.next, struct early, link));
    }
    early->dial = dial;
    early->fd = -1;
    list_init(&early->link);
    list_add(&gate->early, &early->link);
    gate->early_count++;
    return early;
}

void splice_unwanted(struct gate *gate, uint64_t dial)
{
    struct early *early = early_find(gate, dial);

    if (early != NULL) {
        early_free(gate, early);
    } else {
        early_new(gate, dial)->unwanted = true;
    }
}

void splices_tick(struct gate *gate)
{
    for (struct list *at = gate->early.next, *next; at != &gate->early; at = next) {
        struct early *early = LIST_THING(at, struct early, link);
        next = at->next;
        if (++early->seconds > EARLY_S) {
            early_free(gate, early);
        }
    }
}

void splices_clear(struct gate *gate)
{
    struct list *link;

    while ((link = list_first(&gate->early)) != NULL) {
        early_free(gate, LIST_THING(link, struct early, link));
    }
}

/* ---- beginning ---- */

static void refuse(struct visitor *client, struct str problem)
{
    struct tunnel *tunnel = client->tunnel;
    char text[300];

    (void)snprintf(tunnel->problem, sizeof(tunnel->problem), "%.*s",
                   STR_FMT(str_slice(problem, 0, sizeof(tunnel->problem) - 1)));
    if (tunnel->door == DOOR_SESSION) {
        visitor_gone(client);
        return;
    }
    (void)snprintf(text, sizeof(text), "There is no connection to that host: %s", tunnel->problem);
    client->exchange = exchange_new(client);
    client->exchange->body_done = true;
    client->close_after = true;
    visitor_move(client, VISITOR_FAILED);
    answer_refuse(client, VERDICT_UPSTREAM_UNREACHABLE, 502, text);
}

static void begin(struct visitor *client, int fd)
{
    struct tunnel *tunnel = client->tunnel;
    struct loop *loop = client->gate->loop;

    tunnel->fd = fd;
    tunnel->connected = true;
    tunnel->step = STEP_SPLICE;
    tunnel->moved_ms = loop_now_ms(loop);
    visitor_move(client, VISITOR_SPLICE);
    tunnel_say_yes(client);
    loop_watch(loop, &tunnel->watch, fd, EPOLLIN, on_far, client);
    visitor_work(client);
}

void splice_wait(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct early *early = early_find(gate, client->tunnel->dial);

    if (early == NULL) {
        visitor_work(client); /* its timer */
        return;
    }
    int fd = early->fd;
    early->fd = -1;
    char problem[sizeof(early->problem)];
    memcpy(problem, early->problem, sizeof(problem));
    early_free(gate, early);
    if (fd >= 0) {
        begin(client, fd);
    } else {
        refuse(client, str_from(problem));
    }
}

void splice_dialled(struct gate *gate, const struct message_dialled *message, int fd)
{
    for (struct list *at = gate->tunnels.next; at != &gate->tunnels; at = at->next) {
        struct tunnel *tunnel = LIST_THING(at, struct tunnel, link);
        if (tunnel->dial != message->dial || tunnel->step != STEP_DIAL) {
            continue;
        }
        if (message->connected && fd >= 0) {
            begin(tunnel->client, fd);
        } else {
            refuse(tunnel->client, message->problem);
        }
        return;
    }
    struct early *early = early_find(gate, message->dial);
    if (early != NULL) {
        early->fd = fd; /* unwanted, or told twice: closed with it */
        early_free(gate, early);
        return;
    }
    early = early_new(gate, message->dial);
    early->fd = message->connected ? fd : -1;
    (void)snprintf(early->problem, sizeof(early->problem), "%.*s",
                   STR_FMT(str_slice(message->problem, 0, sizeof(early->problem) - 1)));
}

void splices_lost(struct gate *gate, uint64_t last_dial)
{
    for (struct list *at = gate->tunnels.next, *next; at != &gate->tunnels; at = next) {
        const struct tunnel *tunnel = LIST_THING(at, struct tunnel, link);
        next = at->next;
        if (tunnel->step == STEP_DIAL && tunnel->dial <= last_dial) {
            refuse(tunnel->client, STR("the process that connects to other hosts was restarted; "
                                       "try again"));
        }
    }
}

void splice_close(struct tunnel *tunnel)
{
    if (tunnel->fd >= 0) {
        loop_unwatch(tunnel->client->gate->loop, &tunnel->watch);
        (void)close(tunnel->fd);
        tunnel->fd = -1;
    }
}

/* ---- both ways ---- */

static bool is_full(const struct visitor *client)
{
    return buf_len(&client->out) >= WAITING_MAX;
}

static void want_far(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;
    uint32_t events = tunnel->far_ended || is_full(client) ? 0 : EPOLLIN;

    if (buf_len(&client->in) > 0 && !tunnel->near_told) {
        events |= EPOLLOUT;
    }
    if (events == 0) { /* else its end would wake us again and again */
        loop_unwatch(client->gate->loop, &tunnel->watch);
    } else if (tunnel->watch.fd == -1) {
        loop_watch(client->gate->loop, &tunnel->watch, tunnel->fd, events, on_far, client);
    } else {
        loop_watch_events(client->gate->loop, &tunnel->watch, events);
    }
}

/* From the client to the host.  False: the connection is broken. */
static bool send_far(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;

    while (buf_len(&client->in) > 0) {
        struct str bytes = buf_str(&client->in);
        ssize_t sent = send(tunnel->fd, bytes.data, bytes.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0) {
            return errno == EAGAIN;
        }
        tunnel->bytes_in += (uint64_t)sent;
        tunnel->moved_ms = loop_now_ms(client->gate->loop);
        buf_consume(&client->in, (size_t)sent);
    }
    if (client->peer_ended && !tunnel->near_told) {
        tunnel->near_told = true;
        (void)shutdown(tunnel->fd, SHUT_WR);
    }
    return true;
}

/* From the host to the client. */
static bool take_far(struct visitor *client)
{
    static unsigned char bytes[PIECE_BYTES];
    struct tunnel *tunnel = client->tunnel;

    while (!tunnel->far_ended && !is_full(client)) {
        ssize_t got = recv(tunnel->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return errno == EAGAIN;
        }
        tunnel->far_ended = got == 0;
        tunnel->moved_ms = loop_now_ms(client->gate->loop);
        tunnel->bytes_out += (uint64_t)got;
        if (got > 0 && !buf_add(&client->out, bytes, (size_t)got)) {
            return false;
        }
        visitor_want_flush(client);
        if (got < PIECE_BYTES) {
            break;
        }
    }
    return true;
}

static void pump(struct visitor *client)
{
    struct tunnel *tunnel = client->tunnel;

    if (!send_far(client) || !take_far(client)) {
        visitor_gone(client);
        return;
    }
    if (tunnel->far_ended && buf_len(&client->out) == 0) {
        if (client->peer_ended) {
            visitor_gone(client);
            return;
        }
        visitor_end_our_side(client);
    }
    want_far(client);
}

static void on_far(void *ctx, uint32_t events)
{
    struct visitor *client = ctx;

    if ((events & EPOLLERR) != 0) {
        visitor_gone(client);
        return;
    }
    pump(client);
    if (client->state == VISITOR_SPLICE) {
        visitor_work(client);
    }
}

void splice_work(struct visitor *client)
{
    pump(client);
}
