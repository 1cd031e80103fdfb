/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: nothing but names that are being looked up and sockets that are being connected.
 * Meets: name servers' answers, and our own messages: DIAL of the judge; it answers gates.
 * May: ask name servers, connect by TCP to what policies name; not listen, not open a file.  A
 * socket leaves for the gate as soon as it is connected: no byte of a stream is ever here.
 *
 * It runs also where no policy names another host, idle: keys are issued while the server runs, and
 * the parent, which would have to start it then, reads no policy.
 */
#include "dialer/dialer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/address.h"
#include "net/dns.h"

static const int syscalls[] = {
    SYS_connect, SYS_setsockopt, SYS_getsockopt, SYS_getsockname, SYS_getpeername,
};

static const struct confine confine = {
    .syscalls = syscalls,
    .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
    .send = true, /* c-ares; and the socket, to the gate */
    .socket = true,
};

enum {
    GATE_QUEUE_MAX = 1024 * 1024,
    HOST_MAX = 255,
    PROBLEM_SIZE = 400,
    ATTEMPT_MS = 2000, /* while there are other addresses to try */
};

struct gate_link {
    struct dialer *dialer;
    uint32_t index;
    uint64_t incarnation;
    struct channel *channel;
    struct list link;
};

struct dialer {
    struct child *child; /* NULL in a test */
    struct loop *loop;
    struct dns *dns;
    struct channel *judge;
    struct list gates;
    struct list dials;
    size_t dial_count;
};

struct dial {
    struct dialer *dialer;
    struct message_dial asked;
    char host[HOST_MAX + 1];
    struct dns_waiter waiter;
    struct dns_answer answer;
    size_t tried;
    uint64_t connect_by_ms;
    int fd; /* -1: none */
    struct loop_watch watch;
    struct loop_timer timer;
    struct list link;
};

/* ---- the end of one ---- */

static struct gate_link *gate_of(const struct dialer *dialer, const struct message_dial *asked)
{
    for (struct list *at = dialer->gates.next; at != &dialer->gates; at = at->next) {
        struct gate_link *gate = LIST_THING(at, struct gate_link, link);
        if (gate->index == asked->gate && gate->incarnation == asked->gate_incarnation) {
            return gate;
        }
    }
    return NULL;
}

static void close_socket(struct dial *dial)
{
    loop_unwatch(dial->dialer->loop, &dial->watch);
    loop_timer_stop(dial->dialer->loop, &dial->timer);
    if (dial->fd >= 0) {
        (void)close(dial->fd);
        dial->fd = -1;
    }
}

static void dial_free(struct dial *dial)
{
    dns_forget(&dial->waiter);
    close_socket(dial);
    list_remove(&dial->link);
    dial->dialer->dial_count--;
    free(dial);
}

static void tell(struct dialer *dialer, const struct message_dial *asked, const char *problem,
                 int fd)
{
    struct gate_link *gate = gate_of(dialer, asked);
    struct message_dialled dialled = {
        .dial = asked->dial, .connected = fd >= 0, .problem = str_from(problem)};

    if (gate == NULL) {
        return; /* it died meanwhile, and its clients with it */
    }
    bool sent = fd >= 0 ? channel_send_fd(gate->channel, MESSAGE_DIALLED, &dialled, fd)
                        : channel_send(gate->channel, MESSAGE_DIALLED, &dialled);
    if (!sent) {
        log_error("gate-silent", "gate=%u", gate->index);
    }
}

static void failed(struct dial *dial, const char *problem)
{
    tell(dial->dialer, &dial->asked, problem, -1);
    dial_free(dial);
}

/* ---- connecting ---- */

static void connect_next(struct dial *dial);

static void on_late(void *ctx)
{
    struct dial *dial = ctx;

    if (dial->tried < dial->answer.count && loop_now_ms(dial->dialer->loop) < dial->connect_by_ms) {
        connect_next(dial);
        return;
    }
    char problem[PROBLEM_SIZE];
    (void)snprintf(problem, sizeof(problem), "%s does not answer", dial->host);
    failed(dial, problem);
}

static void on_socket(void *ctx, uint32_t events)
{
    struct dial *dial = ctx;
    int error = 0;
    socklen_t size = sizeof(error);

    (void)events;
    if (getsockopt(dial->fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0) {
        error = errno;
    }
    if (error == 0) {
        loop_unwatch(dial->dialer->loop, &dial->watch);
        tell(dial->dialer, &dial->asked, "", dial->fd);
        dial_free(dial);
        return;
    }
    if (dial->tried < dial->answer.count) {
        connect_next(dial);
        return;
    }
    char problem[PROBLEM_SIZE];
    (void)snprintf(problem, sizeof(problem), "%s: %s", dial->host, strerror(error));
    failed(dial, problem);
}

static int open_socket(struct sockaddr_storage address, unsigned port)
{
    const int on = 1;
    socklen_t size = sizeof(struct sockaddr_in);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (address.ss_family == AF_INET) {
        ((struct sockaddr_in *)(void *)&address)->sin_port = htons((uint16_t)port);
    } else {
        ((struct sockaddr_in6 *)(void *)&address)->sin6_port = htons((uint16_t)port);
        size = sizeof(struct sockaddr_in6);
    }
    if (connect(fd, (const struct sockaddr *)(const void *)&address, size) < 0 &&
        errno != EINPROGRESS) {
        int number = errno;
        (void)close(fd);
        errno = number;
        return -1;
    }
    return fd;
}

static void connect_next(struct dial *dial)
{
    struct loop *loop = dial->dialer->loop;
    uint64_t now = loop_now_ms(loop);
    uint64_t left = dial->connect_by_ms > now ? dial->connect_by_ms - now : 0;
    int number = EHOSTUNREACH;

    close_socket(dial);
    while (dial->fd < 0 && dial->tried < dial->answer.count) {
        dial->fd = open_socket(dial->answer.addresses[dial->tried++], dial->asked.port);
        number = errno;
    }
    if (dial->fd < 0) {
        char problem[PROBLEM_SIZE];
        (void)snprintf(problem, sizeof(problem), "%s: %s", dial->host, strerror(number));
        failed(dial, problem);
        return;
    }
    bool others = dial->tried < dial->answer.count;
    loop_timer_set(loop, &dial->timer, others && left > ATTEMPT_MS ? ATTEMPT_MS : left, on_late,
                   dial);
    loop_watch(loop, &dial->watch, dial->fd, EPOLLOUT, on_socket, dial);
}

/* Keeps of the answer what may be dialled: the vaults' own rule (net/address.h). */
static void resolved(struct dial *dial, const struct dns_answer *answer)
{
    const char *what = NULL;
    char problem[PROBLEM_SIZE];

    for (size_t i = 0; i < answer->count; i++) {
        const char *refused = address_refused((const struct sockaddr *)&answer->addresses[i],
                                              dial->asked.allow_private);
        if (refused == NULL) {
            dial->answer.addresses[dial->answer.count++] = answer->addresses[i];
        } else {
            what = refused;
        }
    }
    if (dial->answer.count == 0) {
        (void)snprintf(problem, sizeof(problem), "%s leads to %s", dial->host,
                       what == NULL ? "no address" : what);
        failed(dial, problem);
        return;
    }
    dial->connect_by_ms = loop_now_ms(dial->dialer->loop) + LIMIT_CONNECT_MS;
    connect_next(dial);
}

static void on_resolved(void *ctx, const struct dns_answer *answer, const char *why)
{
    struct dial *dial = ctx;
    char problem[PROBLEM_SIZE];

    if (answer != NULL) {
        resolved(dial, answer);
        return;
    }
    (void)snprintf(problem, sizeof(problem), "%s: %s", dial->host, why);
    failed(dial, problem);
}

static void on_dial(void *ctx, struct channel *from, const void *message, int fd)
{
    struct dialer *dialer = ctx;
    const struct message_dial *asked = message;
    struct dns_answer answer;
    const char *why = "";

    (void)from;
    (void)fd;
    if (dialer->dial_count >= LIMIT_DIALS || asked->host.len > HOST_MAX) {
        tell(dialer, asked, "too many connections are being made at one time", -1);
        return;
    }
    struct dial *dial = mem_zeroed(sizeof(*dial));
    dial->dialer = dialer;
    dial->asked = *asked;
    memcpy(dial->host, asked->host.data, asked->host.len);
    dial->asked.host = str_from(dial->host);
    dial->fd = -1;
    dial->watch = LOOP_WATCH_NONE;
    dial->waiter.done = on_resolved;
    dial->waiter.ctx = dial;
    list_init(&dial->link);
    list_add(&dialer->dials, &dial->link);
    dialer->dial_count++;
    switch (dns_resolve(dialer->dns, dial->asked.host, &dial->waiter, &answer, &why)) {
    case DNS_WAIT:
        break;
    case DNS_READY:
        resolved(dial, &answer);
        break;
    case DNS_FAILED:
        on_resolved(dial, NULL, why);
        break;
    }
}

/* ---- neighbours ---- */

static void blame(const struct dialer *dialer, enum process_role role, uint32_t index,
                  const char *why)
{
    log_error("peer-fault", "peer=%s.%u why=\"%s\"", role_name(role), index, why);
    if (dialer->child != NULL) {
        child_fault(dialer->child, role, index, why);
    }
}

static void judge_fault(void *ctx, struct channel *channel, const char *why)
{
    (void)channel;
    blame(ctx, ROLE_JUDGE, 0, why);
}

static void judge_closed(void *ctx, struct channel *channel)
{
    struct dialer *dialer = ctx;

    channel_free(channel);
    dialer->judge = NULL;
}

static void gate_fault_said(void *ctx, struct channel *channel, const char *why)
{
    const struct gate_link *gate = ctx;

    (void)channel;
    blame(gate->dialer, ROLE_GATE, gate->index, why);
}

static void gate_free(struct gate_link *gate)
{
    channel_free(gate->channel);
    list_remove(&gate->link);
    free(gate);
}

static void gate_closed(void *ctx, struct channel *channel)
{
    (void)channel;
    gate_free(ctx);
}

static const struct channel_accept judge_accepts[] = {{MESSAGE_DIAL, 0, on_dial}};

static void add_judge(struct dialer *dialer, int fd)
{
    static const struct channel_events events = {
        .accepts = judge_accepts,
        .accept_count = sizeof(judge_accepts) / sizeof(judge_accepts[0]),
        .fault = judge_fault,
        .closed = judge_closed,
    };
    static const struct channel_limits limits = {.queue_max = 64 * 1024};

    channel_free(dialer->judge);
    dialer->judge = channel_new(dialer->loop, fd, &events, &limits, dialer);
}

static void add_gate(struct dialer *dialer, uint32_t index, uint64_t incarnation, int fd)
{
    static const struct channel_events events = {.fault = gate_fault_said, .closed = gate_closed};
    static const struct channel_limits limits = {.queue_max = GATE_QUEUE_MAX};
    struct gate_link *gate = mem_zeroed(sizeof(*gate));

    gate->dialer = dialer;
    gate->index = index;
    gate->incarnation = incarnation;
    list_init(&gate->link);
    list_add(&dialer->gates, &gate->link);
    gate->channel = channel_new(dialer->loop, fd, &events, &limits, gate);
}

static void on_channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                       int fd)
{
    if (peer == ROLE_JUDGE) {
        add_judge(ctx, fd);
    } else if (peer == ROLE_GATE) {
        add_gate(ctx, peer_index, incarnation, fd);
    } else {
        (void)close(fd);
    }
}

static void on_gone(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation)
{
    /* The channel's end says the same. */
    (void)ctx;
    (void)peer;
    (void)peer_index;
    (void)incarnation;
}

static void on_resolver(void *ctx, const struct message_resolver *resolver)
{
    struct dialer *dialer = ctx;

    dns_configure(dialer->dns, resolver->resolv_conf, resolver->hosts);
}

static void on_start(void *ctx)
{
    struct dialer *dialer = ctx;

    if (dialer->child != NULL) {
        child_ready(dialer->child);
    }
}

const struct child_events *dialer_events(void)
{
    static const struct child_events events = {
        .channel = on_channel,
        .gone = on_gone,
        .resolver = on_resolver,
        .start = on_start,
    };

    return &events;
}

struct dialer *dialer_new(struct loop *loop, struct err *err)
{
    struct dialer *dialer = mem_zeroed(sizeof(*dialer));

    dialer->loop = loop;
    list_init(&dialer->gates);
    list_init(&dialer->dials);
    dialer->dns = dns_new(loop, err);
    if (dialer->dns == NULL) {
        free(dialer);
        return NULL;
    }
    return dialer;
}

void dialer_free(struct dialer *dialer)
{
    struct list *link;

    if (dialer == NULL) {
        return;
    }
    while ((link = list_first(&dialer->dials)) != NULL) {
        dial_free(LIST_THING(link, struct dial, link));
    }
    while ((link = list_first(&dialer->gates)) != NULL) {
        gate_free(LIST_THING(link, struct gate_link, link));
    }
    channel_free(dialer->judge);
    dns_free(dialer->dns);
    free(dialer);
}

int dialer_main(int argc, char **argv)
{
    struct child child;
    struct err err;

    child_init(&child, ROLE_DIALER, argc, argv);
    struct dialer *dialer = dialer_new(child.loop, &err);
    if (dialer == NULL) {
        log_error("start", "%s", err.text);
        return EXIT_FAILURE;
    }
    dialer->child = &child;
    child_confine(&child, &confine);
    int status = child_run(&child, dialer_events(), dialer);
    dialer_free(dialer);
    return status;
}
