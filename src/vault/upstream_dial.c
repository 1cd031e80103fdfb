/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialling: the name is resolved, the addresses are judged, one after the other is tried, and TLS
 * begins.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "net/address.h"
#include "vault/upstream_parts.h"

enum {
    OUTPUT_MAX = LIMIT_JUDGED_BODY_BYTES + 256 * 1024,
    ATTEMPT_MS = 1500, /* of one address, when there are others */
};

static void connect_next(struct upstream *upstream);

static void on_handshake_late(void *ctx)
{
    upstream_fail(ctx, UPSTREAM_TIMEOUT, "the TLS handshake took too long");
}

void upstream_opened(struct upstream *upstream)
{
    loop_timer_stop(upstream->all->loop, &upstream->timer);
    if (upstream->tls != NULL) {
        upstream->all->stats.handshakes++;
        upstream->all->stats.resumed += tls_was_resumed(upstream->tls);
        upstream->preamble = tls_output(upstream->tls).len;
    }
    upstream_move(upstream, OPEN);
    upstream_write(upstream);
    upstream->user->opened(upstream->ctx);
}

static void start_tls(struct upstream *upstream)
{
    struct tls_context *context = upstream->credential->tls;
    struct err err;

    upstream_move(upstream, HANDSHAKE);
    upstream->tls = tls_new_client(context == NULL ? upstream->all->system : context,
                                   str_from(upstream->host), upstream->port);
    loop_timer_set(upstream->all->loop, &upstream->timer, LIMIT_UPSTREAM_TLS_MS, on_handshake_late,
                   upstream);
    if (tls_receive(upstream->tls, STR_NONE, &upstream->in, &err) == TLS_FAILED) {
        upstream_fail(upstream, UPSTREAM_TLS, err.text);
        return;
    }
    upstream_write(upstream);
}

void upstream_connected(struct upstream *upstream)
{
    int number = 0;
    socklen_t size = sizeof(number);

    if (getsockopt(upstream->fd, SOL_SOCKET, SO_ERROR, &number, &size) < 0) {
        number = errno;
    }
    if (number != 0 && upstream->tried < upstream->answer.count) {
        connect_next(upstream);
    } else if (number != 0) {
        upstream_fail_errno(upstream, UPSTREAM_CONNECT, number);
    } else if (upstream->use_tls) {
        start_tls(upstream);
        upstream_want_events(upstream);
    } else {
        loop_watch_events(upstream->all->loop, &upstream->watch, EPOLLIN);
        upstream_opened(upstream); /* which may be the end of it */
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
    upstream_fail(upstream, UPSTREAM_TIMEOUT, "no connection in time");
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

    upstream_close_socket(upstream);
    while (upstream->fd < 0 && upstream->tried < upstream->answer.count) {
        upstream->fd = open_socket(&upstream->answer.addresses[upstream->tried++], upstream->port);
        number = errno;
    }
    if (upstream->fd < 0) {
        upstream_fail_errno(upstream, UPSTREAM_CONNECT, number);
        return;
    }
    bool others = upstream->tried < upstream->answer.count;
    upstream_move(upstream, CONNECT);
    loop_timer_set(loop, &upstream->timer, others && left > ATTEMPT_MS ? ATTEMPT_MS : left,
                   on_connect_late, upstream);
    loop_watch(loop, &upstream->watch, upstream->fd, EPOLLIN | EPOLLOUT, upstream_on_ready,
               upstream);
}

/* Keeps of the answer what may be dialled. */
static void resolved(struct upstream *upstream, const struct dns_answer *answer)
{
    bool private = upstream->credential->clear.allow_private;
    const char *what = NULL;
    char detail[UPSTREAM_DETAIL_BYTES];

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
        upstream_fail(upstream, UPSTREAM_ADDRESS, detail);
        return;
    }
    upstream->connect_by_ms = loop_now_ms(upstream->all->loop) + LIMIT_CONNECT_MS;
    connect_next(upstream);
}

static void resolve_failed(struct upstream *upstream, const char *why)
{
    char detail[UPSTREAM_DETAIL_BYTES];

    (void)snprintf(detail, sizeof(detail), "%s: %s", upstream->host, why);
    upstream_fail(upstream, UPSTREAM_RESOLVE, detail);
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
    buf_init_wiped(&upstream->in, UPSTREAM_INPUT_MAX);
    buf_init_wiped(&upstream->out, OUTPUT_MAX);
    list_init(&upstream->dirty);
    list_init(&upstream->bucket);
    list_init(&upstream->age);
    all->stats.busy++;
    if (target->host.len > UPSTREAM_HOST_MAX) {
        upstream_fail(upstream, UPSTREAM_RESOLVE, "the name of the host is too long");
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
