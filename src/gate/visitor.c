/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: its birth, the states of a request on it, what each of them does with what is
 * here, and its end.
 *
 *     idle -> head -> judge --------------------> forward -> answer -> idle, or drain, or closed
 *                       \-> read -> verdict -/       \-> failed -/
 *             \___________\_______\__________\____________________/   refused
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "gate/tunnel.h"
#include "gate/visitor_parts.h"
#include "http/socks.h"

enum { PENDING_MAX = 2 * VISITOR_READ_BYTES }; /* of a stream, before reading it waits */

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

const char *visitor_state_name(enum visitor_state state)
{
    return states[state].name;
}

uint64_t visitor_now_ms(const struct visitor *client)
{
    return loop_now_ms(client->gate->loop);
}

/* Who waits for nothing, or has not said what it wants, goes first when room is short. */
static struct list *list_of(struct gate *gate, unsigned state)
{
    switch ((enum visitor_state)state) {
    case VISITOR_IDLE:
        return &gate->idle;
    case VISITOR_PROXY:
    case VISITOR_HANDSHAKE:
    case VISITOR_SOCKS:
    case VISITOR_PEEK:
    case VISITOR_HEAD:
        return &gate->unfinished;
    case VISITOR_DRAIN:
        return &gate->drains;
    default:
        return &gate->clients;
    }
}

static void enlist(struct visitor *client, enum visitor_state next)
{
    struct gate *gate = client->gate;
    const struct list *was = list_of(gate, client->state);
    struct list *is = list_of(gate, next);

    if (was == is) {
        return;
    }
    gate->idle_count += is == &gate->idle ? 1 : 0;
    gate->idle_count -= was == &gate->idle ? 1 : 0;
    list_remove(&client->link);
    list_add(is, &client->link);
}

void visitor_move(struct visitor *client, enum visitor_state next)
{
    assert(next == VISITOR_CLOSED || (states[client->state].next & (1u << next)) != 0);
    enlist(client, next);
    (void)room_hold(client, 0);
    client->state = (unsigned char)next;
    client->since_ms = visitor_now_ms(client);
    client->in_ms = client->since_ms;
    client->shrunk = false;
}

bool visitor_wants_input(const struct visitor *client)
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
        return buf_len(&client->in) < PENDING_MAX;
    case VISITOR_HEAD:
        return !client->is_parked;
    case VISITOR_FORWARD:
        return exchange_wants_body(client->exchange) && buf_len(&client->in) < PENDING_MAX;
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

void visitor_want_events(struct visitor *client, bool refuse_input)
{
    uint32_t events = client->watch.events & EPOLLIN;

    if (client->state == VISITOR_CLOSED) {
        return;
    }
    if (visitor_wants_input(client)) {
        events = EPOLLIN;
    } else if (refuse_input || client->peer_ended) {
        events = 0;
    }
    if (visitor_has_output(client) && client->out_ms != 0) {
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
    client->since_ms = client->in_ms = visitor_now_ms(client);
    (void)snprintf(client->source, sizeof(client->source), "%s", source);
    buf_init(&client->in, VISITOR_IN_MAX);
    buf_init(&client->out, VISITOR_OUT_MAX);
    list_init(&client->parked);
    list_init(&client->link);
    list_add(&gate->unfinished, &client->link);
    gate->client_count++;
    if (listener->tls) {
        client->door = gate->door;
        client->door->users++;
        client->tls = tls_new_server(client->door->context);
    } else if (listener->kind == LISTENER_SESSION) {
        tunnel_begin(client, DOOR_SESSION)->port = tunnel_meant_port(fd);
        client->state = VISITOR_PEEK;
    } else if (client->state == VISITOR_HANDSHAKE) {
        visitor_move(client, VISITOR_IDLE);
    }
    client->watch = LOOP_WATCH_NONE;
    loop_watch(gate->loop, &client->watch, fd, EPOLLIN, on_ready, client);
    visitor_set_timer(client);
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

void visitor_end_by_reset(struct visitor *client)
{
    struct linger linger = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(client->watch.fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
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
        if (!visitor_wants_input(client)) {
            visitor_want_events(client, true);
            return;
        }
        if (!visitor_receive(client)) {
            return;
        }
        visitor_work(client);
    }
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
        if (client->tls != NULL && !visitor_has_output(client)) {
            tls_close(client->tls);
            visitor_flush(client);
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

/* One step; true when another may follow at once. */
static bool work(struct visitor *client)
{
    unsigned before = client->state;

    switch ((enum visitor_state)client->state) {
    case VISITOR_IDLE:
        return work_idle(client);
    case VISITOR_HEAD:
        return visitor_work_head(client) && client->state != before;
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
        visitor_want_events(client, false);
        visitor_set_timer(client);
    }
}

void visitor_begin_tls(struct visitor *client, struct tls *tls)
{
    visitor_flush(client); /* what was said before is not encrypted by it */
    if (client->state == VISITOR_CLOSED || visitor_has_output(client)) {
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
    if (visitor_receive_tls(client, str_of(bytes, in.len))) {
        visitor_work(client);
    }
    free(bytes);
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
