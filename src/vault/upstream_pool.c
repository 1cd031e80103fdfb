/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool: connections between two requests.
 */
#include <errno.h>
#include <sys/socket.h>

#include "base/limits.h"
#include "vault/upstream_parts.h"

enum { SWEEP_MS = 1000 };

static void sweep(void *ctx);

static struct list *bucket_of(struct upstreams *all, const struct credential *credential,
                              struct str host, unsigned port)
{
    uint64_t hash = (uint64_t)(uintptr_t)credential >> 6;

    for (size_t i = 0; i < host.len; i++) {
        hash = hash * 31 + (unsigned char)ascii_lower(host.data[i]);
    }
    hash = (hash ^ port) * 0x9e3779b97f4a7c15u;
    return &all->buckets[hash >> 56];
}

/* Neither ended nor with bytes that nobody asked for, which would be taken as the next answer. */
static bool is_alive(struct upstream *upstream)
{
    char byte;

    return recv(upstream->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

struct upstream *upstream_take(struct upstreams *all, const struct credential *credential,
                               const struct url *target, bool fresh,
                               const struct upstream_user *user, void *ctx)
{
    struct list *bucket = bucket_of(all, credential, target->host, target->port);
    uint64_t now = loop_now_ms(all->loop);

    /* The last one given is taken first, so that the others may age and go. */
    for (struct list *link = bucket->prev; link != bucket;) {
        struct upstream *upstream = LIST_THING(link, struct upstream, bucket);
        link = link->prev;
        if (upstream->credential != credential || upstream->port != target->port ||
            upstream->use_tls != target->tls ||
            !str_equal_nocase(str_from(upstream->host), target->host)) {
            continue;
        }
        if (fresh && now - upstream->idle_since_ms >= LIMIT_POOL_FRESH_MS) {
            return NULL; /* and those before it are staler still */
        }
        if (!is_alive(upstream)) {
            upstream_close(upstream);
            continue;
        }
        list_remove(&upstream->bucket);
        list_remove(&upstream->age);
        all->stats.idle--;
        all->stats.busy++;
        upstream_move(upstream, OPEN);
        upstream->user = user;
        upstream->ctx = ctx;
        upstream->reused = true;
        upstream->resting = false;
        upstream->wire_bytes = 0;
        return upstream;
    }
    return NULL;
}

void upstream_give(struct upstream *upstream)
{
    struct upstreams *all = upstream->all;

    if (upstream->state != OPEN || upstream->ended || buf_len(&upstream->in) > 0 ||
        upstream_unsent(upstream) > 0 ||
        (upstream->tls != NULL && tls_has_partial(upstream->tls))) {
        upstream_close(upstream);
        return;
    }
    if (all->stats.idle >= LIMIT_POOL_CONNECTIONS) {
        upstream_close(LIST_THING(all->age.next, struct upstream, age));
    }
    upstream_move(upstream, IDLE);
    upstream->user = NULL;
    upstream->ctx = NULL;
    upstream->held = false;
    upstream_pause(upstream, false);
    upstream->idle_since_ms = loop_now_ms(all->loop);
    list_add(bucket_of(all, upstream->credential, str_from(upstream->host), upstream->port),
             &upstream->bucket);
    list_add(&all->age, &upstream->age);
    all->stats.busy--;
    all->stats.idle++;
    if (all->sweep.place == 0) {
        loop_timer_set(all->loop, &all->sweep, SWEEP_MS, sweep, all);
    }
}

/* An idle connection keeps no buffers. */
static void rest(struct upstream *upstream)
{
    if (!upstream->resting && upstream->tls != NULL) {
        tls_rest(upstream->tls);
    }
    upstream->resting = true;
    buf_clear(&upstream->in);
    buf_clear(&upstream->out);
}

static void sweep(void *ctx)
{
    struct list *link;
    struct upstreams *all = ctx;
    uint64_t now = loop_now_ms(all->loop);

    for (link = all->age.next; link != &all->age; link = link->next) {
        struct upstream *upstream = LIST_THING(link, struct upstream, age);
        if (now - upstream->idle_since_ms < SWEEP_MS) {
            break; /* those behind it are younger */
        }
        rest(upstream);
    }
    while ((link = list_first(&all->age)) != NULL) {
        struct upstream *oldest = LIST_THING(link, struct upstream, age);
        if (now - oldest->idle_since_ms < LIMIT_POOL_IDLE_MS) {
            loop_timer_set(all->loop, &all->sweep, SWEEP_MS, sweep, all);
            return;
        }
        upstream_close(oldest);
    }
}

void upstreams_forget(struct upstreams *all, uint64_t credential)
{
    for (struct list *link = all->age.next; link != &all->age;) {
        struct upstream *upstream = LIST_THING(link, struct upstream, age);
        link = link->next;
        if (upstream->credential->id == credential) {
            upstream_close(upstream);
        }
    }
}
