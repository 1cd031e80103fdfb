/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meets: the bytes of sandboxes (through its gate) and of vendors (through its vault).
 * Holds: the bodies that are just passing, in wiped memory; the configuration.
 * May:   read and write its channels.  No call of its own beyond what every process has: it opens
 *        no file, makes no socket, sends no descriptor.
 *
 * Whoever breaks in here may tell the judge false facts about the bodies passing through.  What a
 * gate then sends must still have the digest told, and what a vault got must have the answer's.
 */
#include "reader/reader.h"

#include <stdlib.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/child.h"
#include "reader/bodies.h"

enum {
    GENERATIONS = 8, /* kept: requests that began before a reload end soon after it */
    FILES_MAX = 64,
    JUDGE_QUEUE_BYTES = 8 * 1024 * 1024,
    PEER_QUEUE_BYTES = 64 * 1024, /* nothing is ever sent there */
};

/* No calls beside those that every process has. */
const struct confine reader_confine = {.empty_network = true, .files_max = FILES_MAX};

/* A gate or a vault; two of a role while the channel of a dead one is read to its end. */
struct peer {
    struct reader *reader;
    struct list link;
    enum process_role role;
    uint32_t index;
    uint64_t incarnation;
    struct channel *channel;
    struct bodies bodies;
};

struct reader {
    struct child child;
    struct list peers;
    struct channel *judge;
    struct config *configs[GENERATIONS]; /* the newest first; NULL: none */
    size_t total;                        /* bytes of all bodies */
    struct arena *arena;
};

/* ---- facts to the judge ---- */

static const struct config *find_config(const struct reader *reader, uint64_t generation)
{
    for (size_t i = 0; i < GENERATIONS && reader->configs[i] != NULL; i++) {
        if (reader->configs[i]->generation == generation) {
            return reader->configs[i];
        }
    }
    return NULL;
}

/* The judge may have heard of a new configuration before us: then it will be here soon. */
static bool is_still_to_come(const struct reader *reader, uint64_t generation)
{
    return reader->configs[0] == NULL || generation > reader->configs[0]->generation;
}

static const struct pack_read *find_rule(const struct reader *reader, const struct body *body)
{
    const struct config *config = find_config(reader, body->generation);

    return config == NULL || body->rule >= config->read_count ? NULL : &config->reads[body->rule];
}

/* False while it must wait for the judge or a configuration. */
static bool tell(struct peer *peer, struct body *body)
{
    struct reader *reader = peer->reader;
    struct message_facts facts;

    if (reader->judge == NULL || channel_is_full(reader->judge) ||
        is_still_to_come(reader, body->generation)) {
        return false;
    }
    body_facts(body, find_rule(reader, body), reader->arena, &facts);
    if (!channel_send(reader->judge, MESSAGE_FACTS, &facts)) {
        log_error("facts-not-sent", "request=%llu", (unsigned long long)body->request);
    }
    bodies_forget(&peer->bodies, body);
    arena_wipe(reader->arena);
    return true;
}

static void tell_waiting(struct reader *reader)
{
    for (struct list *at = reader->peers.next; at != &reader->peers; at = at->next) {
        struct peer *peer = LIST_THING(at, struct peer, link);
        struct list *next;
        for (struct list *it = peer->bodies.all.next; it != &peer->bodies.all; it = next) {
            struct body *body = LIST_THING(it, struct body, link);
            next = it->next;
            if (body->ended) {
                (void)tell(peer, body);
            }
        }
    }
}

/* ---- gates and vaults ---- */

static void forget_peer(struct peer *peer)
{
    channel_free(peer->channel);
    bodies_clear(&peer->bodies);
    list_remove(&peer->link);
    free(peer);
}

static void refuse(struct peer *peer, const char *why)
{
    log_warn("peer-fault", "peer=%s.%u why=\"%s\"", role_name(peer->role), peer->index, why);
    child_fault(&peer->reader->child, peer->role, peer->index, why);
    forget_peer(peer);
}

static void on_body(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct message_body *m = message;
    struct peer *peer = ctx;
    const char *wrong = m->answer != (peer->role == ROLE_VAULT) ? "BODY of the wrong direction"
                                                                : bodies_begin(&peer->bodies, m);

    (void)from;
    (void)fd;
    if (wrong != NULL) {
        refuse(peer, wrong);
    }
}

static void on_body_data(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *peer = ctx;
    const char *wrong = bodies_add(&peer->bodies, message);

    (void)from;
    (void)fd;
    if (wrong != NULL) {
        refuse(peer, wrong);
    }
}

static void on_body_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *peer = ctx;
    struct body *body = NULL;
    const char *wrong = bodies_end(&peer->bodies, message, &body);

    (void)from;
    (void)fd;
    if (wrong != NULL) {
        refuse(peer, wrong);
    } else {
        (void)tell(peer, body);
    }
}

static void on_peer_fault(void *ctx, struct channel *channel, const char *why)
{
    (void)channel;
    refuse(ctx, why);
}

static void on_peer_closed(void *ctx, struct channel *channel)
{
    (void)channel;
    forget_peer(ctx);
}

static const struct channel_accept peer_accepts[] = {
    {MESSAGE_BODY, 0, on_body},
    {MESSAGE_BODY_DATA, 0, on_body_data},
    {MESSAGE_BODY_END, 0, on_body_end},
};
static const struct channel_events peer_events = {
    .accepts = peer_accepts,
    .accept_count = sizeof(peer_accepts) / sizeof(peer_accepts[0]),
    .fault = on_peer_fault,
    .closed = on_peer_closed,
};
static const struct channel_limits peer_limits = {.queue_max = PEER_QUEUE_BYTES, .wipe = true};

static void add_peer(struct reader *reader, enum process_role role, uint32_t index,
                     uint64_t incarnation, int fd)
{
    struct peer *peer = mem_zeroed(sizeof(*peer));

    *peer =
        (struct peer){.reader = reader, .role = role, .index = index, .incarnation = incarnation};
    bodies_init(&peer->bodies, &reader->total);
    list_add(&reader->peers, &peer->link);
    peer->channel = channel_new(reader->child.loop, fd, &peer_events, &peer_limits, peer);
}

/* ---- the judge ---- */

static void on_judge_fault(void *ctx, struct channel *channel, const char *why)
{
    struct reader *reader = ctx;

    (void)channel;
    child_fault(&reader->child, ROLE_JUDGE, 0, why);
}

/* Without a judge nobody is to be told anything, and every child is started again. */
static void on_judge_closed(void *ctx, struct channel *channel)
{
    struct reader *reader = ctx;

    (void)channel;
    loop_stop(reader->child.loop, EXIT_SUCCESS);
}

static void on_judge_drained(void *ctx, struct channel *channel)
{
    (void)channel;
    tell_waiting(ctx);
}

static const struct channel_events judge_events = {
    .fault = on_judge_fault,
    .closed = on_judge_closed,
    .drained = on_judge_drained,
};
static const struct channel_limits judge_limits = {.queue_max = JUDGE_QUEUE_BYTES, .wipe = true};

static void set_judge(struct reader *reader, int fd)
{
    channel_free(reader->judge);
    reader->judge = channel_new(reader->child.loop, fd, &judge_events, &judge_limits, reader);
    tell_waiting(reader);
}

/* ---- the parent ---- */

static void on_channel(void *ctx, enum process_role role, uint32_t index, uint64_t incarnation,
                       int fd)
{
    struct reader *reader = ctx;

    if (role == ROLE_JUDGE) {
        set_judge(reader, fd);
    } else {
        add_peer(reader, role, index, incarnation, fd);
    }
}

/* Of a dead gate no request lives on, and the next gate counts its requests anew: nothing more may
 * be told of them.  A dead vault's channel is read to its end, for answers that came whole. */
static void on_gone(void *ctx, enum process_role role, uint32_t index, uint64_t incarnation)
{
    struct reader *reader = ctx;
    struct list *next;

    for (struct list *at = reader->peers.next; at != &reader->peers; at = next) {
        struct peer *peer = LIST_THING(at, struct peer, link);
        next = at->next;
        if (role == ROLE_GATE && peer->role == role && peer->index == index &&
            peer->incarnation == incarnation) {
            forget_peer(peer);
        }
    }
}

static void on_config(void *ctx, uint64_t generation, int fd)
{
    struct reader *reader = ctx;
    struct err err;
    struct config *config = config_open(fd, generation, &err);

    if (config == NULL) {
        log_error("config", "generation=%llu why=\"%s\"", (unsigned long long)generation, err.text);
        exit(EXIT_FAILURE);
    }
    config_free(reader->configs[GENERATIONS - 1]);
    for (size_t i = GENERATIONS - 1; i > 0; i--) {
        reader->configs[i] = reader->configs[i - 1];
    }
    reader->configs[0] = config;
    tell_waiting(reader);
}

static void on_start(void *ctx)
{
    struct reader *reader = ctx;

    child_ready(&reader->child);
}

static const struct child_events events = {
    .channel = on_channel,
    .gone = on_gone,
    .config = on_config,
    .start = on_start,
};

int reader_main(int argc, char **argv)
{
    struct reader reader = {.total = 0};

    list_init(&reader.peers);
    reader.arena = arena_new();
    child_init(&reader.child, ROLE_READER, argc, argv);
    child_confine(&reader.child, &reader_confine);
    return child_run(&reader.child, &events, &reader);
}
