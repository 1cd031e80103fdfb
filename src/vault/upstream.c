/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/upstream.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "vault/upstream_parts.h"

#define TO(state) (1u << (state))
static const struct {
    const char *name;
    unsigned next;
} states[STATE_COUNT] = {
    [RESOLVE] = {"resolve", TO(CONNECT) | TO(BROKEN)},
    [CONNECT] = {"connect", TO(CONNECT) | TO(HANDSHAKE) | TO(OPEN) | TO(BROKEN)},
    [HANDSHAKE] = {"handshake", TO(OPEN) | TO(BROKEN)},
    [OPEN] = {"open", TO(IDLE) | TO(BROKEN)},
    [IDLE] = {"idle", TO(OPEN) | TO(BROKEN)},
    [BROKEN] = {"broken", 0},
};

void upstream_move(struct upstream *upstream, enum upstream_state next)
{
    assert((states[upstream->state].next & TO(next)) != 0);
    upstream->state = next;
}

static void flush_all(void *ctx);

/* ---- all of them ---- */

struct upstreams *upstreams_new(struct loop *loop, struct dns *dns, struct tls_context *system,
                                bool (*before_sending)(void *ctx), void *ctx)
{
    struct upstreams *all = mem_zeroed(sizeof(*all));

    all->loop = loop;
    all->dns = dns;
    all->system = system;
    all->before_sending = before_sending;
    all->ctx = ctx;
    list_init(&all->dirty);
    list_init(&all->mark);
    list_init(&all->age);
    for (size_t i = 0; i < UPSTREAM_BUCKETS; i++) {
        list_init(&all->buckets[i]);
    }
    return all;
}

void upstreams_free(struct upstreams *all)
{
    struct list *link;

    if (all == NULL) {
        return;
    }
    while ((link = list_first(&all->age)) != NULL) {
        upstream_close(LIST_THING(link, struct upstream, age));
    }
    loop_hook_stop(&all->hook);
    loop_timer_stop(all->loop, &all->again);
    loop_timer_stop(all->loop, &all->sweep);
    free(all);
}

const struct upstream_stats *upstreams_stats(const struct upstreams *all)
{
    return &all->stats;
}

void upstream_want_events(struct upstream *upstream)
{
    uint32_t events = upstream->paused || upstream->ended ? 0 : (uint32_t)EPOLLIN;

    if (upstream->watch.fd == -1) {
        return;
    }
    if (upstream->state == CONNECT || (upstream_unsent(upstream) > 0 && !upstream->deaf)) {
        events |= EPOLLOUT;
    }
    loop_watch_events(upstream->all->loop, &upstream->watch, events);
}

void upstream_close_socket(struct upstream *upstream)
{
    if (upstream->fd < 0) {
        return;
    }
    loop_unwatch(upstream->all->loop, &upstream->watch);
    (void)close(upstream->fd);
    upstream->fd = -1;
}

void upstream_close(struct upstream *upstream)
{
    if (upstream == NULL) {
        return;
    }
    struct upstreams *all = upstream->all;
    if (upstream->user == NULL) {
        list_remove(&upstream->bucket);
        list_remove(&upstream->age);
        all->stats.idle--;
    } else {
        all->stats.busy--;
    }
    dns_forget(&upstream->waiter);
    loop_timer_stop(all->loop, &upstream->timer);
    list_remove(&upstream->dirty);
    upstream_close_socket(upstream);
    tls_free(upstream->tls);
    buf_clear(&upstream->in);
    buf_clear(&upstream->out);
    credential_release(upstream->credential);
    free(upstream);
}

/* ---- failing ---- */

static void tell_failure(void *ctx)
{
    struct upstream *upstream = ctx;

    upstream->user->failed(upstream->ctx, upstream->error, upstream->detail);
}

void upstream_fail(struct upstream *upstream, enum upstream_error error, const char *detail)
{
    if (upstream->state == BROKEN) {
        return;
    }
    upstream_move(upstream, BROKEN);
    dns_forget(&upstream->waiter);
    list_remove(&upstream->dirty);
    upstream_close_socket(upstream);
    upstream->error = error;
    (void)snprintf(upstream->detail, sizeof(upstream->detail), "%s", detail);
    loop_timer_set(upstream->all->loop, &upstream->timer, 0, tell_failure, upstream);
}

void upstream_fail_errno(struct upstream *upstream, enum upstream_error error, int number)
{
    struct err err;

    errno = number;
    (void)err_errno(&err, "%s:%u", upstream->host, upstream->port);
    upstream_fail(upstream, error, err.text);
}

/* ---- sending ---- */

struct buf *upstream_output(struct upstream *upstream)
{
    return &upstream->out;
}

size_t upstream_unsent(const struct upstream *upstream)
{
    return buf_len(&upstream->out) + (upstream->tls == NULL ? 0 : tls_output(upstream->tls).len);
}

uint64_t upstream_wire_bytes(const struct upstream *upstream)
{
    return upstream->wire_bytes;
}

void upstream_hold(struct upstream *upstream, bool hold)
{
    upstream->held = hold;
    if (!hold) {
        upstream_write(upstream);
    }
}

void upstream_write(struct upstream *upstream)
{
    struct upstreams *all = upstream->all;

    if (upstream->state == BROKEN || !list_empty(&upstream->dirty)) {
        return;
    }
    list_add(&all->dirty, &upstream->dirty);
    loop_at_turn_end(all->loop, &all->hook, flush_all, all);
}

static void count_wire(struct upstream *upstream, size_t sent)
{
    size_t old = sent < upstream->preamble ? sent : upstream->preamble;

    upstream->preamble -= old;
    if (upstream->state == OPEN) {
        upstream->wire_bytes += sent - old;
    }
}

static bool encrypt(struct upstream *upstream)
{
    if (upstream->tls == NULL || upstream->state != OPEN || buf_len(&upstream->out) == 0) {
        return true;
    }
    if (!tls_send(upstream->tls, buf_str(&upstream->out))) {
        upstream_fail(upstream, UPSTREAM_TLS, "the TLS connection cannot be written to");
        return false;
    }
    buf_consume(&upstream->out, buf_len(&upstream->out));
    return true;
}

static void flush(struct upstream *upstream)
{
    bool any = false;

    if (upstream->fd < 0 || upstream->state == CONNECT || upstream->held || upstream->deaf ||
        !encrypt(upstream)) {
        return;
    }
    for (;;) {
        struct str rest =
            upstream->tls == NULL ? buf_str(&upstream->out) : tls_output(upstream->tls);
        if (rest.len == 0) {
            break;
        }
        ssize_t sent = send(upstream->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0 && errno == EINTR) {
            continue;
        }
        if (sent < 0 && errno == EAGAIN) {
            break;
        }
        if (sent < 0) {
            /* What the other side said before it hung up is still to be read; then it fails. */
            upstream->deaf = true;
            break;
        }
        count_wire(upstream, (size_t)sent);
        if (upstream->tls == NULL) {
            buf_consume(&upstream->out, (size_t)sent);
        } else {
            tls_sent(upstream->tls, (size_t)sent);
        }
        any = true;
        if ((size_t)sent < rest.len) {
            break;
        }
    }
    upstream_want_events(upstream);
    if (any && upstream->state == OPEN && upstream->user != NULL) {
        upstream->user->sent(upstream->ctx);
    }
}

static void flush_again(void *ctx)
{
    struct upstreams *all = ctx;
    loop_at_turn_end(all->loop, &all->hook, flush_all, all);
}

static void flush_all(void *ctx)
{
    struct upstreams *all = ctx;

    if (!all->before_sending(all->ctx)) {
        loop_timer_set(all->loop, &all->again, 1, flush_again, all);
        return;
    }
    list_add(&all->dirty, &all->mark); /* what gets dirty meanwhile comes behind it */
    while (all->dirty.next != &all->mark) {
        struct upstream *upstream = LIST_THING(all->dirty.next, struct upstream, dirty);
        list_remove(&upstream->dirty);
        flush(upstream);
    }
    list_remove(&all->mark);
}

/* ---- receiving ---- */

struct buf *upstream_input(struct upstream *upstream)
{
    return &upstream->in;
}

void upstream_pause(struct upstream *upstream, bool pause)
{
    if (upstream->paused != pause) {
        upstream->paused = pause;
        upstream_want_events(upstream);
    }
}

bool upstream_is_paused(const struct upstream *upstream)
{
    return upstream->paused;
}

bool upstream_was_reused(const struct upstream *upstream)
{
    return upstream->reused;
}

/* Ciphertext or plaintext that came.  False when that was the end of it. */
static bool take_bytes(struct upstream *upstream, struct str bytes)
{
    struct err err;

    if (upstream->tls == NULL) {
        if (!buf_add_str(&upstream->in, bytes)) {
            upstream_fail(upstream, UPSTREAM_PROTOCOL, "more came than was asked for");
            return false;
        }
        return true;
    }
    switch (tls_receive(upstream->tls, bytes, &upstream->in, &err)) {
    case TLS_FAILED:
        (void)flush(upstream); /* the alert */
        upstream_fail(upstream, UPSTREAM_TLS, err.text);
        return false;
    case TLS_HANDSHAKE:
    case TLS_OPEN:
        break;
    case TLS_CLOSED:
        upstream->ended = true;
        break;
    }
    if (tls_output(upstream->tls).len > 0) {
        upstream_write(upstream);
    }
    return true;
}

/* Reads once.  False when the connection is over: failed, or ended. */
static bool receive(struct upstream *upstream)
{
    struct upstreams *all = upstream->all;
    ssize_t got = recv(upstream->fd, all->scratch, sizeof(all->scratch), MSG_DONTWAIT);

    if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (got < 0) {
        upstream_fail_errno(upstream, UPSTREAM_RESET, errno);
        return false;
    }
    if (got == 0) {
        /* TLS without close_notify: cut, by whomever. */
        if (upstream->tls != NULL) {
            upstream_fail(upstream, UPSTREAM_RESET, "the connection ended without a TLS close");
        } else {
            upstream_fail(upstream, UPSTREAM_OK, "the connection ended");
        }
        return false;
    }
    bool more = take_bytes(upstream, str_of(all->scratch, (size_t)got));
    if (upstream->tls == NULL) {
        mem_wipe(all->scratch, (size_t)got);
    }
    return more;
}

static void go_on_handshake(struct upstream *upstream)
{
    struct err err;

    if (upstream->ended) {
        upstream_fail(upstream, UPSTREAM_TLS, "the server closed during the TLS handshake");
        return;
    }
    /* Asked with nothing in, it says where it stands. */
    if (tls_receive(upstream->tls, STR_NONE, &upstream->in, &err) == TLS_OPEN) {
        upstream_opened(upstream);
    }
}

static void on_idle_ready(struct upstream *upstream)
{
    /* A session ticket or two may come late; anything else ends it. */
    upstream->resting = false;
    if (!receive(upstream) || buf_len(&upstream->in) > 0 || upstream->ended) {
        loop_timer_stop(upstream->all->loop, &upstream->timer);
        upstream_close(upstream);
    }
}

void upstream_on_ready(void *ctx, uint32_t events)
{
    struct upstream *upstream = ctx;

    if (upstream->state == CONNECT) {
        upstream_connected(upstream);
        return;
    }
    if (upstream->state == IDLE) {
        on_idle_ready(upstream);
        return;
    }
    if ((events & EPOLLOUT) != 0) {
        upstream_write(upstream); /* in this turn's flush, behind what must be said before */
    }
    if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        return;
    }
    if (upstream->paused && (events & (EPOLLHUP | EPOLLERR)) != 0) {
        /* Level-triggered and not to be masked: read it, or it would never let us sleep. */
        if (buf_len(&upstream->in) > UPSTREAM_INPUT_MAX / 2) {
            upstream_fail(upstream, UPSTREAM_RESET, "the connection was reset");
            return;
        }
    }
    bool on = receive(upstream);
    if (!on) {
        /* Told in the next turn, what came before included. */
        return;
    }
    if (upstream->state == HANDSHAKE) {
        go_on_handshake(upstream);
        return;
    }
    if (upstream->state != OPEN) {
        return;
    }
    if (upstream->ended) {
        upstream_fail(upstream, UPSTREAM_OK, "the connection ended");
        return;
    }
    upstream->user->readable(upstream->ctx);
}
