/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The channels to judge, reader, vault and dialer: what the latter two say, and what a request
 * loses with each.
 *
 * A message about a grant that is not known any more is dropped: it crossed our own message that
 * says so.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "gate/tunnel.h"

enum {
    PEER_QUEUE_MAX = 80 * 1024 * 1024, /* above all windows and judged bodies together */
    JUDGE_QUEUE_MAX = 16 * 1024 * 1024,
    JUDGE_QUEUE_HIGH = 1024 * 1024, /* from here on no head is read */
};

static struct exchange *by_grant(struct link *link, uint64_t grant)
{
    struct exchange *exchange = table_find(&link->gate->grants, &grant);
    return exchange != NULL && exchange->link == link ? exchange : NULL;
}

static void on_head(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_head *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL && !answer_head(exchange, m)) {
        gate_fault(link->gate, link, "HEAD that is no answer's");
    }
}

static void on_data(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_data *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    exchange->down_taken += m->bytes.len;
    if (exchange->down_taken > exchange->down_window || !answer_data(exchange, m->bytes)) {
        gate_fault(link->gate, link, "DATA that was not asked for");
    }
}

static void on_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_end *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    if (exchange->status == 0) {
        gate_fault(link->gate, link, "END without HEAD");
        return;
    }
    exchange_leave(exchange);
    answer_end(exchange, false);
}

static void on_reset(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_reset *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    exchange_leave(exchange);
    if (exchange->status != 0) {
        answer_end(exchange, true);
        return;
    }
    visitor_move(exchange->client, VISITOR_FAILED);
    visitor_work(exchange->client);
}

static void on_window(void *ctx, struct channel *from, const void *message, int fd)
{
    struct link *link = ctx;
    const struct message_window *m = message;
    struct exchange *exchange = by_grant(link, m->grant);

    (void)from;
    (void)fd;
    if (exchange == NULL) {
        return;
    }
    if (m->bytes > LIMIT_FRAME_BYTES || exchange->up_credit > LIMIT_FRAME_BYTES) {
        gate_fault(link->gate, link, "WINDOW above its maximum");
        return;
    }
    exchange->up_credit += m->bytes;
    exchange->client->in_ms = loop_now_ms(link->gate->loop); /* its turn begins now */
    visitor_work(exchange->client);
}

static void on_dialled(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct link *link = ctx;

    (void)from;
    splice_dialled(link->gate, message, fd);
}

static void lose_stream(struct exchange *exchange, enum process_role role)
{
    struct visitor *client = exchange->client;

    exchange_leave(exchange);
    if (role == ROLE_READER) {
        answer_refuse(client, VERDICT_LEDGER_UNAVAILABLE, 0,
                      "The process that reads bodies was restarted. Try again.");
    } else if (exchange->status != 0) {
        answer_end(exchange, true);
    } else {
        answer_refuse(client, VERDICT_OUTCOME_UNKNOWN, 0,
                      "The process that speaks with the vendor was restarted; whether the vendor "
                      "acted is not known here.");
    }
}

static void link_closed(void *ctx, struct channel *channel)
{
    struct link *link = ctx;
    struct gate *gate = link->gate;
    struct link **places[] = {&gate->judge, &gate->vault, &gate->reader, &gate->dialer};

    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (*places[i] == link) {
            *places[i] = NULL;
        }
    }
    while (!list_empty(&link->streams)) {
        lose_stream(LIST_THING(link->streams.next, struct exchange, streams), link->role);
    }
    channel_free(channel);
    free(link);
}

static void link_fault(void *ctx, struct channel *channel, const char *why)
{
    struct link *link = ctx;

    (void)channel;
    gate_fault(link->gate, link, why);
}

/* The judge takes messages again: heads that waited go on. */
static void judge_drained(void *ctx, struct channel *channel)
{
    struct link *link = ctx;
    struct gate *gate = link->gate;

    while (!list_empty(&gate->parked) && !channel_is_full(channel)) {
        struct visitor *client = LIST_THING(gate->parked.next, struct visitor, parked);
        list_remove(&client->parked);
        client->is_parked = false;
        client->parsed = 0;
        visitor_work(client);
    }
    doors_update(gate);
}

static const struct channel_accept dialer_accepts[] = {{MESSAGE_DIALLED, 0, on_dialled}};
static const struct channel_accept vault_accepts[] = {
    {MESSAGE_HEAD, 0, on_head},   {MESSAGE_DATA, 0, on_data},     {MESSAGE_END, 0, on_end},
    {MESSAGE_RESET, 0, on_reset}, {MESSAGE_WINDOW, 0, on_window},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct link *link_new(struct gate *gate, enum process_role role, uint32_t index, int fd)
{
    struct link *link = mem_zeroed(sizeof(*link));
    struct channel_events events = {.fault = link_fault, .closed = link_closed};
    struct channel_limits limits = {.queue_max = PEER_QUEUE_MAX};

    link->gate = gate;
    link->role = role;
    link->index = index;
    list_init(&link->streams);
    if (role == ROLE_JUDGE) {
        link_hear_judge(&events);
        events.drained = judge_drained;
        limits = (struct channel_limits){.queue_max = JUDGE_QUEUE_MAX, .high = JUDGE_QUEUE_HIGH};
    } else if (role == ROLE_VAULT) {
        events.accepts = vault_accepts;
        events.accept_count = COUNT(vault_accepts);
    } else if (role == ROLE_DIALER) {
        events.accepts = dialer_accepts;
        events.accept_count = COUNT(dialer_accepts);
    }
    link->channel = channel_new(gate->loop, fd, &events, &limits, link);
    return link;
}
