/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/upstream.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/address.h"

enum {
    HOST_MAX = 255,
    READ_BYTES = 32 * 1024,
    INPUT_MAX = 256 * 1024,
    OUTPUT_MAX = LIMIT_JUDGED_BODY_BYTES + 256 * 1024,
    ATTEMPT_MS = 1500, /* of one address, when there are others */
    BUCKETS = 256,
    SWEEP_MS = 1000,
    DETAIL_SIZE = 512,
};

enum state { RESOLVE, CONNECT, HANDSHAKE, OPEN, IDLE, BROKEN, STATE_COUNT };

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

struct upstream {
    struct upstreams *all;
    enum state state;
    int fd;
    struct loop_watch watch;
    struct tls *tls; /* NULL: plain */
    struct buf in, out;
    const struct upstream_user *user; /* NULL in the pool */
    void *ctx;
    struct credential *credential;
    char host[HOST_MAX + 1];
    unsigned port;
    bool use_tls;
    /* dialling */
    struct dns_waiter waiter;
    struct dns_answer answer;
    size_t tried;
    struct loop_timer timer; /* of what is under way; or to tell of a failure */
    uint64_t connect_by_ms;
    /* sending */
    struct list dirty;
    bool held, paused, reused, ended;
    bool resting;    /* idle, and its buffers are given back */
    bool deaf;       /* takes no more bytes of ours */
    size_t preamble; /* bytes of the handshake before the request's in tls_output() */
    uint64_t wire_bytes;
    /* the pool */
    struct list bucket, age;
    uint64_t idle_since_ms;
    /* what to tell the user */
    enum upstream_error error;
    char detail[DETAIL_SIZE];
};

struct upstreams {
    struct loop *loop;
    struct dns *dns;
    struct tls_context *system;
    bool (*before_sending)(void *ctx);
    void *ctx;
    struct list dirty, mark;
    struct loop_hook hook;
    struct loop_timer again;
    struct list buckets[BUCKETS];
    struct list age; /* the longest idle first */
    struct loop_timer sweep;
    struct upstream_stats stats;
    unsigned char scratch[READ_BYTES]; /* ciphertext, or wiped after use */
};

static void move(struct upstream *upstream, enum state next)
{
    assert((states[upstream->state].next & TO(next)) != 0);
    upstream->state = next;
}

static void on_ready(void *ctx, uint32_t events);
static void flush_all(void *ctx);
static void sweep(void *ctx);
static void connect_next(struct upstream *upstream);

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
    for (size_t i = 0; i < BUCKETS; i++) {
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

static void want_events(struct upstream *upstream)
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

static void close_socket(struct upstream *upstream)
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
    close_socket(upstream);
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

/* The user hears of it in the next turn, never from inside its own call. */
static void fail(struct upstream *upstream, enum upstream_error error, const char *detail)
{
    if (upstream->state == BROKEN) {
        return;
    }
    move(upstream, BROKEN);
    dns_forget(&upstream->waiter);
    list_remove(&upstream->dirty);
    close_socket(upstream);
    upstream->error = error;
    (void)snprintf(upstream->detail, sizeof(upstream->detail), "%s", detail);
    loop_timer_set(upstream->all->loop, &upstream->timer, 0, tell_failure, upstream);
}

static void fail_errno(struct upstream *upstream, enum upstream_error error, int number)
{
    struct err err;

    errno = number;
    (void)err_errno(&err, "%s:%u", upstream->host, upstream->port);
    fail(upstream, error, err.text);
}

/* ---- dialling ---- */

static void on_handshake_late(void *ctx)
{
    fail(ctx, UPSTREAM_TIMEOUT, "the TLS handshake took too long");
}

static void opened(struct upstream *upstream)
{
    loop_timer_stop(upstream->all->loop, &upstream->timer);
    if (upstream->tls != NULL) {
        upstream->all->stats.handshakes++;
        upstream->all->stats.resumed += tls_was_resumed(upstream->tls);
        upstream->preamble = tls_output(upstream->tls).len;
    }
    move(upstream, OPEN);
    upstream_write(upstream);
    upstream->user->opened(upstream->ctx);
}

static void start_tls(struct upstream *upstream)
{
    struct tls_context *context = upstream->credential->tls;
    struct err err;

    move(upstream, HANDSHAKE);
    upstream->tls = tls_new_client(context == NULL ? upstream->all->system : context,
                                   str_from(upstream->host), upstream->port);
    loop_timer_set(upstream->all->loop, &upstream->timer, LIMIT_UPSTREAM_TLS_MS, on_handshake_late,
                   upstream);
    if (tls_receive(upstream->tls, STR_NONE, &upstream->in, &err) == TLS_FAILED) {
        fail(upstream, UPSTREAM_TLS, err.text);
        return;
    }
    upstream_write(upstream);
}

static void connected(struct upstream *upstream)
{
    int number = 0;
    socklen_t size = sizeof(number);

    if (getsockopt(upstream->fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0) {
        number = errno;
    }
    if (number != 0 && upstream->tried < upstream->answer.count) {
        connect_next(upstream);
    } else if (number != 0) {
        fail_errno(upstream, UPSTREAM_CONNECT, number);
    } else if (upstream->use_tls) {
        start_tls(upstream);
        want_events(upstream);
    } else {
        loop_watch_events(upstream->all->loop, &upstream->watch, EPOLLIN);
        opened(upstream); /* which may be the end of it */
    }
}

static void on_connect_late(void *ctx)
{
    struct upstream *upstream = ctx;

    if (upstream->tried < upstream->answer.count &&
        loop_now_ms(upstream->all->loop) < upstream->connect_by_ms) {
        connect_next(upstream);
        return;
    }
    fail(upstream, UPSTREAM_TIMEOUT, "no connection in time");
}

static void set_options(int fd, const struct sockaddr *address)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 0};
    const int on = 1;

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (address_is_local(address)) {
        /* A paced default costs a tenth of a request here; where there is none of it, so be it. */
        (void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", 5);
    }
}

static int open_socket(const struct sockaddr_storage *address, unsigned port)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    const struct sockaddr *to = (const struct sockaddr *)address;
    socklen_t size = sizeof(v4);
    int fd = socket(address->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    set_options(fd, to);
    if (address->ss_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        v4.sin_port = htons((uint16_t)port);
        to = (const struct sockaddr *)&v4;
    } else {
        memcpy(&v6, address, sizeof(v6));
        v6.sin6_port = htons((uint16_t)port);
        to = (const struct sockaddr *)&v6;
        size = sizeof(v6);
    }
    if (connect(fd, to, size) < 0 && errno != EINPROGRESS) {
        int number = errno;
        (void)close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

static void connect_next(struct upstream *upstream)
{
    struct loop *loop = upstream->all->loop;
    uint64_t now = loop_now_ms(loop);
    uint64_t left = upstream->connect_by_ms > now ? upstream->connect_by_ms - now : 0;
    int number = 0;

    close_socket(upstream);
    while (upstream->fd < 0 && upstream->tried < upstream->answer.count) {
        upstream->fd = open_socket(&upstream->answer.addresses[upstream->tried++], upstream->port);
        number = errno;
    }
    if (upstream->fd < 0) {
        fail_errno(upstream, UPSTREAM_CONNECT, number);
        return;
    }
    bool others = upstream->tried < upstream->answer.count;
    move(upstream, CONNECT);
    loop_timer_set(loop, &upstream->timer, others && left > ATTEMPT_MS ? ATTEMPT_MS : left,
                   on_connect_late, upstream);
    loop_watch(loop, &upstream->watch, upstream->fd, EPOLLIN | EPOLLOUT, on_ready, upstream);
}

/* Keeps of the answer what may be dialled. */
static void resolved(struct upstream *upstream, const struct dns_answer *answer)
{
    bool private = upstream->credential->clear.allow_private;
    const char *what = NULL;
    char detail[DETAIL_SIZE];

    upstream->answer.count = 0;
    for (size_t i = 0; i < answer->count; i++) {
        const char *refused =
            address_refused((const struct sockaddr *)&answer->addresses[i], private);
        if (refused == NULL) {
            upstream->answer.addresses[upstream->answer.count++] = answer->addresses[i];
        } else {
            what = refused;
        }
    }
    if (upstream->answer.count == 0) {
        (void)snprintf(detail, sizeof(detail), "%s leads to %s", upstream->host,
                       what == NULL ? "no address" : what);
        fail(upstream, UPSTREAM_ADDRESS, detail);
        return;
    }
    upstream->connect_by_ms = loop_now_ms(upstream->all->loop) + LIMIT_CONNECT_MS;
    connect_next(upstream);
}

static void resolve_failed(struct upstream *upstream, const char *why)
{
    char detail[DETAIL_SIZE];

    (void)snprintf(detail, sizeof(detail), "%s: %s", upstream->host, why);
    fail(upstream, UPSTREAM_RESOLVE, detail);
}

static void on_resolved(void *ctx, const struct dns_answer *answer, const char *why)
{
    struct upstream *upstream = ctx;

    if (answer == NULL) {
        resolve_failed(upstream, why);
        return;
    }
    resolved(upstream, answer);
}

struct upstream *upstream_dial(struct upstreams *all, struct credential *credential,
                               const struct url *target, const struct upstream_user *user,
                               void *ctx)
{
    struct upstream *upstream = mem_zeroed(sizeof(*upstream));
    struct dns_answer answer;
    const char *why = "";

    upstream->all = all;
    upstream->state = RESOLVE;
    upstream->fd = -1;
    upstream->watch = LOOP_WATCH_NONE;
    upstream->credential = credential_hold(credential);
    upstream->user = user;
    upstream->ctx = ctx;
    upstream->port = target->port;
    upstream->use_tls = target->tls;
    upstream->waiter.done = on_resolved;
    upstream->waiter.ctx = upstream;
    buf_init_wiped(&upstream->in, INPUT_MAX);
    buf_init_wiped(&upstream->out, OUTPUT_MAX);
    list_init(&upstream->dirty);
    list_init(&upstream->bucket);
    list_init(&upstream->age);
    all->stats.busy++;
    if (target->host.len > HOST_MAX) {
        fail(upstream, UPSTREAM_RESOLVE, "the name of the host is too long");
        return upstream;
    }
    memcpy(upstream->host, target->host.data, target->host.len);
    switch (dns_resolve(all->dns, target->host, &upstream->waiter, &answer, &why)) {
    case DNS_WAIT:
        break;
    case DNS_READY:
        resolved(upstream, &answer);
        break;
    case DNS_FAILED:
        resolve_failed(upstream, why);
        break;
    }
    return upstream;
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
        fail(upstream, UPSTREAM_TLS, "the TLS connection cannot be written to");
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
    want_events(upstream);
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
        want_events(upstream);
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
            fail(upstream, UPSTREAM_PROTOCOL, "more came than was asked for");
            return false;
        }
        return true;
    }
    switch (tls_receive(upstream->tls, bytes, &upstream->in, &err)) {
    case TLS_FAILED:
        (void)flush(upstream); /* the alert */
        fail(upstream, UPSTREAM_TLS, err.text);
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
        fail_errno(upstream, UPSTREAM_RESET, errno);
        return false;
    }
    if (got == 0) {
        /* TLS without close_notify: cut, by whomever. */
        if (upstream->tls != NULL) {
            fail(upstream, UPSTREAM_RESET, "the connection ended without a TLS close");
        } else {
            fail(upstream, UPSTREAM_OK, "the connection ended");
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
        fail(upstream, UPSTREAM_TLS, "the server closed during the TLS handshake");
        return;
    }
    /* Asked with nothing in, it says where it stands. */
    if (tls_receive(upstream->tls, STR_NONE, &upstream->in, &err) == TLS_OPEN) {
        opened(upstream);
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

static void on_ready(void *ctx, uint32_t events)
{
    struct upstream *upstream = ctx;

    if (upstream->state == CONNECT) {
        connected(upstream);
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
        if (buf_len(&upstream->in) > INPUT_MAX / 2) {
            fail(upstream, UPSTREAM_RESET, "the connection was reset");
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
        fail(upstream, UPSTREAM_OK, "the connection ended");
        return;
    }
    upstream->user->readable(upstream->ctx);
}

/* ---- the pool ---- */

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
        move(upstream, OPEN);
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
    move(upstream, IDLE);
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
