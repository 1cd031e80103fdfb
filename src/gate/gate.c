/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate holds its clients' bytes, and the door's certificate with its private key.  It meets
 * untrusted sandboxes, its judge, its reader and its vault.  It may accept, but not dial, listen or
 * open a file; it holds no credential and no table of keys, and reads no JSON.
 */
#include "gate/gate.h"

#include <malloc.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/tunnel.h"

enum {
    STATS_MS = 1000,
    SHRUNK_MANY = 256,
    PLAIN_BYTES = LIMIT_HEAD_BYTES,
};

/* getsockname and getsockopt say where in a sandbox a connection was meant to go.
 * Not here: socket, connect, bind, listen, open, sendmmsg, sendmsg.  Connections to hosts that a
 * policy names come from the dialer, connected. */
static const int syscalls[] = {SYS_accept4, SYS_setsockopt, SYS_getsockname, SYS_getsockopt};

const struct confine gate_confine = {
    .syscalls = syscalls,
    .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
    .map = true, /* the configuration's memfd */
    .empty_network = true,
};

void gate_init(struct gate *gate, struct loop *loop, size_t client_max)
{
    *gate = (struct gate){
        .loop = loop, .client_max = client_max, .buffer_max = LIMIT_GATE_BUFFER_BYTES};
    gate->requests = TABLE_OF(struct exchange, request);
    gate->grants = TABLE_OF(struct exchange, grant);
    gate->arena = arena_new();
    buf_init_wiped(&gate->plain, PLAIN_BYTES);
    list_init(&gate->listeners);
    list_init(&gate->sessions);
    list_init(&gate->clients);
    list_init(&gate->unfinished);
    list_init(&gate->drains);
    list_init(&gate->idle);
    list_init(&gate->parked);
    list_init(&gate->dead);
    list_init(&gate->spare);
    list_init(&gate->tunnels);
    list_init(&gate->early);
    gate->leaves = leaves_new();
}

static void close_all(struct list *clients)
{
    struct list *link;

    while ((link = list_first(clients)) != NULL) {
        visitor_gone(LIST_THING(link, struct visitor, link));
    }
}

static void free_spare(struct gate *gate)
{
    struct list *link;

    while ((link = list_first(&gate->spare)) != NULL) {
        struct exchange *exchange = LIST_THING(link, struct exchange, spare);
        list_remove(&exchange->spare);
        free(exchange);
    }
}

static void free_link(struct link *link)
{
    if (link != NULL) {
        channel_free(link->channel);
        free(link);
    }
}

static void set_door(struct gate *gate, struct door_tls *door)
{
    struct door_tls *old = gate->door;

    gate->door = door;
    if (old != NULL && old->users == 0) {
        tls_context_free(old->context);
        free(old);
    }
}

void gate_clear(struct gate *gate)
{
    struct list *link;

    doors_close(gate);
    close_all(&gate->clients);
    close_all(&gate->unfinished);
    close_all(&gate->drains);
    close_all(&gate->idle);
    loop_hook_stop(&gate->bury);
    while ((link = list_first(&gate->dead)) != NULL) {
        struct visitor *client = LIST_THING(link, struct visitor, link);
        list_remove(&client->link);
        free(client);
    }
    free_spare(gate);
    free_link(gate->judge);
    free_link(gate->vault);
    free_link(gate->reader);
    free_link(gate->dialer);
    splices_clear(gate);
    leaves_free(gate->leaves);
    set_door(gate, NULL);
    loop_timer_stop(gate->loop, &gate->stats);
    loop_timer_stop(gate->loop, &gate->accept_again);
    table_clear(&gate->requests);
    table_clear(&gate->grants);
    config_free(gate->config);
    arena_free(gate->arena);
    buf_clear(&gate->plain);
}

void gate_fault(struct gate *gate, const struct link *link, const char *why)
{
    log_error("fault", "peer=%s.%u why=\"%s\"", role_name(link->role), link->index, why);
    if (gate->child != NULL) {
        child_fault(gate->child, link->role, link->index, why);
    }
}

void gate_channel(struct gate *gate, enum process_role role, uint32_t index, int fd)
{
    struct link **place = role == ROLE_JUDGE    ? &gate->judge
                          : role == ROLE_VAULT  ? &gate->vault
                          : role == ROLE_DIALER ? &gate->dialer
                                                : &gate->reader;

    /* An older one is read to its end, and goes then. */
    *place = link_new(gate, role, index, fd);
    doors_update(gate);
}

void gate_check_drained(struct gate *gate)
{
    if (gate->draining && !gate->drained && gate->client_count == 0 && gate->child != NULL) {
        gate->drained = true;
        child_drained(gate->child);
    }
}

void gate_drain(struct gate *gate)
{
    gate->draining = true;
    doors_close(gate);
    tunnels_drain(gate);
    for (struct list *at = gate->idle.next, *next; at != &gate->idle; at = next) {
        next = at->next;
        visitor_work(LIST_THING(at, struct visitor, link));
    }
    gate_check_drained(gate);
}

/* ---- what the parent says ---- */

static void on_channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                       int fd)
{
    struct gate *gate = ctx;

    (void)incarnation;
    if (peer != ROLE_JUDGE && peer != ROLE_VAULT && peer != ROLE_READER && peer != ROLE_DIALER) {
        log_error("parent-fault", "why=\"a channel to %s\"", role_name(peer));
        exit(EXIT_FAILURE);
    }
    gate_channel(gate, peer, peer_index, fd);
}

static void on_gone(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation)
{
    /* The channel's end says the same, after all that was in it. */
    (void)ctx;
    (void)peer;
    (void)peer_index;
    (void)incarnation;
}

static void on_config(void *ctx, uint64_t generation, int fd)
{
    struct gate *gate = ctx;
    struct err err;
    struct config *config = config_open(fd, generation, &err);

    if (config == NULL) {
        log_error("config", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    leaves_forget(gate);       /* a reload may bring another CA */
    config_free(gate->config); /* nothing of it is kept from one message to the next */
    gate->config = config;
    doors_configure(gate);
    room_fit(gate, config);
    doors_update(gate);
}

static void on_listener(void *ctx, const struct message_listener *message, int fd)
{
    door_add(ctx, message, fd);
}

static void on_certificate(void *ctx, const struct message_certificate *message)
{
    struct gate *gate = ctx;
    struct err err;
    struct tls_context *context =
        tls_context_new_server(message->chain_pem, message->key_pem, &err);

    if (context == NULL) {
        log_error("certificate", "%s", err.text); /* the one before stays */
        return;
    }
    struct door_tls *door = mem_zeroed(sizeof(*door));
    door->context = context;
    set_door(gate, door);
}

static void on_session_end(void *ctx, const struct message_session_end *message)
{
    session_end(ctx, message->session);
}

static void send_stats(void *ctx)
{
    struct gate *gate = ctx;

    if (gate->judge != NULL) {
        struct message_gate_stats stats = {
            .connections = gate->client_count,
            .connections_idle = gate->idle_count,
            .streams = gate->grants.count,
            .buffered_bytes = gate->buffered_bytes,
            .queue_bytes = channel_queued(gate->judge->channel),
            .refused_heads = gate->refused_heads,
        };
        (void)channel_send(gate->judge->channel, MESSAGE_GATE_STATS, &stats);
    }
    splices_tick(gate);
    if (gate->shrunk >= SHRUNK_MANY) {
        gate->shrunk = 0;
        (void)malloc_trim(0); /* free pages lie between those in use */
    }
    loop_timer_set(gate->loop, &gate->stats, STATS_MS, send_stats, gate);
}

static void on_start(void *ctx)
{
    struct gate *gate = ctx;

    gate->started = true;
    send_stats(gate);
    doors_update(gate);
    child_ready(gate->child);
}

static void on_drain(void *ctx)
{
    gate_drain(ctx);
}

static const struct child_events events = {
    .channel = on_channel,
    .gone = on_gone,
    .config = on_config,
    .listener = on_listener,
    .session_end = on_session_end,
    .certificate = on_certificate,
    .start = on_start,
    .drain = on_drain,
};

int gate_main(int argc, char **argv)
{
    struct child child;
    struct gate *gate = mem_zeroed(sizeof(*gate));

    child_init(&child, ROLE_GATE, argc, argv);
    tls_setup();
    struct room machine = room_of_machine();
    child_confine(&child, &gate_confine);
    gate_init(gate, child.loop, machine.files);
    gate->machine = machine;
    gate->child = &child;
    int status = child_run(&child, &events, gate);
    gate_clear(gate);
    free(gate);
    return status;
}
