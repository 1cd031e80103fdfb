/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the gate says: FORWARD meets its GRANT here, and the body follows.
 */
#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "vault/exchange.h"

/* The windows bound what is under way to a gate; this is for one that does not read. */
enum { GATE_QUEUE_MAX = LIMIT_GATE_BUFFER_BYTES + 4 * 1024 * 1024 };

static void on_blame(void *ctx)
{
    vault_lose_gate(ctx);
}

void vault_blame_gate(struct gate_peer *gate, const char *why)
{
    struct vault *vault = gate->vault;

    log_warn("gate-fault", "why=\"%s\"", why);
    if (vault->child != NULL) {
        child_fault(vault->child, ROLE_GATE, vault->index, why);
    }
    /* Not from under the feet of whoever is telling it something. */
    loop_timer_set(vault->loop, &gate->blame, 0, on_blame, gate);
}

void vault_tell_gate(struct gate_peer *gate, enum message_type type, const void *message)
{
    if (!channel_send(gate->channel, type, message) && gate->blame.place == 0) {
        vault_blame_gate(gate, "it does not read");
    }
}

static void on_grants_timer(void *ctx);

void vault_set_grants_timer(struct vault *vault)
{
    uint64_t due;
    uint64_t now = loop_now_ms(vault->loop);

    if (!grants_next_due(vault->grants, &due)) {
        return;
    }
    if (vault->grants_timer.place == 0 || due < vault->grants_timer.due_ms) {
        loop_timer_set(vault->loop, &vault->grants_timer, due > now ? due - now : 0,
                       on_grants_timer, vault);
    }
}

static void reset_gate(struct gate_peer *gate, uint64_t grant, const char *why)
{
    struct message_reset reset = {.grant = grant, .error = UPSTREAM_GRANT, .detail = str_from(why)};

    vault_tell_gate(gate, MESSAGE_RESET, &reset);
}

static void end_meeting(struct vault *vault, struct meeting *meeting, const char *why)
{
    if (meeting->granted != NULL) {
        exchange_refuse(vault, meeting->granted, UPSTREAM_GRANT, why);
    } else {
        reset_gate(meeting->gate, meeting->grant, why);
    }
    meeting_free(meeting);
}

static void on_grants_timer(void *ctx)
{
    struct vault *vault = ctx;
    struct meeting *meeting;

    while ((meeting = grants_take_due(vault->grants, loop_now_ms(vault->loop))) != NULL) {
        end_meeting(vault, meeting,
                    meeting->granted != NULL ? "no gate came for it in time" : "no such grant");
    }
    vault_set_grants_timer(vault);
}

static void on_forward(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    struct vault *vault = gate->vault;
    const struct message_forward *forward = message;
    bool refused;
    struct meeting *meeting = grants_add_forward(vault->grants, gate, gate->incarnation, forward,
                                                 loop_now_ms(vault->loop), &refused);

    (void)from;
    (void)fd;
    if (meeting != NULL) {
        exchange_begin(vault, meeting);
    } else if (refused) {
        reset_gate(gate, forward->grant, "no such grant");
    } else {
        vault_set_grants_timer(vault);
    }
}

static void on_data(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_data *data = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, data->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_data(exchange, data->bytes);
    } else if (grants_add_data(gate->vault->grants, gate, data->grant, data->bytes,
                               LIMIT_STREAM_WINDOW_BYTES) == EARLY_TOO_MUCH) {
        vault_blame_gate(gate, "DATA beyond its window");
    }
    /* Else it is over, and the gate has not read that yet. */
}

static void on_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_end *end = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, end->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_end(exchange);
    } else if (grants_add_end(gate->vault->grants, gate, end->grant) == EARLY_TOO_MUCH) {
        vault_blame_gate(gate, "END twice");
    }
}

struct whose {
    const struct gate_peer *gate;
    uint64_t grant; /* 0: any */
};

static bool is_forward_of(const struct meeting *meeting, const void *ctx)
{
    const struct whose *whose = ctx;
    return meeting->gate == whose->gate && (whose->grant == 0 || meeting->grant == whose->grant);
}

static bool is_granted_to(const struct meeting *meeting, const void *ctx)
{
    const struct whose *whose = ctx;
    return meeting->granted != NULL &&
           meeting->granted->gate_incarnation == whose->gate->incarnation;
}

static void on_reset(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_reset *reset = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, reset->grant);
    const struct whose whose = {gate, reset->grant};

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_reset(exchange);
    } else if (reset->grant != 0) {
        meeting_free(grants_take_fit(gate->vault->grants, is_forward_of, &whose));
    }
}

static void on_window(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_window *window = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, window->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_window(exchange, window->bytes);
    }
}

void vault_lose_gate(struct gate_peer *gate)
{
    struct vault *vault = gate->vault;
    const struct whose whose = {gate, 0};
    struct meeting *meeting;

    while ((meeting = grants_take_fit(vault->grants, is_forward_of, &whose)) != NULL) {
        meeting_free(meeting);
    }
    while ((meeting = grants_take_fit(vault->grants, is_granted_to, &whose)) != NULL) {
        end_meeting(vault, meeting, "the gate is gone");
    }
    exchanges_gate_gone(gate);
    loop_timer_stop(vault->loop, &gate->blame);
    list_remove(&gate->link);
    channel_free(gate->channel);
    free(gate);
}

static void on_gate_fault(void *ctx, struct channel *channel, const char *why)
{
    (void)channel;
    vault_blame_gate(ctx, why);
}

static void on_gate_closed(void *ctx, struct channel *channel)
{
    (void)channel;
    vault_lose_gate(ctx);
}

static const struct channel_accept gate_accepts[] = {
    {MESSAGE_FORWARD, 0, on_forward}, {MESSAGE_DATA, 0, on_data},     {MESSAGE_END, 0, on_end},
    {MESSAGE_RESET, 0, on_reset},     {MESSAGE_WINDOW, 0, on_window},
};

void vault_add_gate(struct vault *vault, uint64_t incarnation, int fd)
{
    static const struct channel_events events = {
        .accepts = gate_accepts,
        .accept_count = sizeof(gate_accepts) / sizeof(gate_accepts[0]),
        .fault = on_gate_fault,
        .closed = on_gate_closed,
    };
    static const struct channel_limits limits = {.queue_max = GATE_QUEUE_MAX, .wipe = true};
    struct gate_peer *gate = mem_zeroed(sizeof(*gate));

    gate->vault = vault;
    gate->incarnation = incarnation;
    list_init(&gate->exchanges);
    list_add(&vault->gates, &gate->link);
    gate->channel = channel_new(vault->loop, fd, &events, &limits, gate);
}
