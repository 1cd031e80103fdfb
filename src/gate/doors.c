/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Doors: accepting while there is room.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/visitor.h"

enum {
    ACCEPTS_A_TURN = 64,
    ACCEPT_AGAIN_MS = 100, /* after the system had no room */
    UNSENT_BYTES = 128 * 1024,
};

static void on_accept(void *ctx, uint32_t events);

static bool may_accept(const struct gate *gate)
{
    return gate->started && !gate->draining && gate->accept_again.place == 0 &&
           (gate->judge == NULL || !channel_is_full(gate->judge->channel));
}

void doors_update(struct gate *gate)
{
    bool accept = may_accept(gate);

    if (accept == gate->accepting) {
        return;
    }
    gate->accepting = accept;
    for (struct list *at = gate->listeners.next; at != &gate->listeners; at = at->next) {
        struct listener *listener = LIST_THING(at, struct listener, link);
        if (!accept) {
            loop_unwatch(gate->loop, &listener->watch);
        } else if (listener->watch.fd == -1 && listener->fd != -1) {
            loop_watch(gate->loop, &listener->watch, listener->fd, EPOLLIN, on_accept, listener);
        }
    }
}

/* What accepted sockets take over from it: no waiting for more bytes, and on loopback the
 * congestion control that costs least there. */
static void tune(const struct listener *listener, struct str address)
{
    static const char cubic[] = "cubic";
    int one = 1, unsent = UNSENT_BYTES;

    if (listener->unix_socket) {
        return;
    }
    /* Of what a slow reader does not take the kernel would keep megabytes. */
    (void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
    (void)setsockopt(listener->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (str_starts(address, STR("127.")) || str_starts(address, STR("[::1]")) ||
        str_starts(address, STR("localhost:"))) {
        (void)setsockopt(listener->fd, IPPROTO_TCP, TCP_CONGESTION, cubic, sizeof(cubic) - 1);
    }
}

void door_add(struct gate *gate, const struct message_listener *message, int fd)
{
    struct listener *listener = mem_zeroed(sizeof(*listener));

    listener->gate = gate;
    listener->number = message->listener;
    listener->tls = message->tls;
    listener->unix_socket = message->unix_socket;
    listener->kind = message->kind;
    if (message->kind == LISTENER_SESSION) {
        listener->session = session_of(gate, message);
        if (listener->session == NULL) {
            (void)close(fd);
            free(listener);
            return;
        }
    }
    listener->fd = fd;
    listener->watch = LOOP_WATCH_NONE;
    list_init(&listener->link);
    list_add(&gate->listeners, &listener->link);
    tune(listener, message->address);
    gate->accepting = false; /* so that the new one is watched too */
    doors_update(gate);
}

void door_close(struct listener *listener)
{
    list_remove(&listener->link);
    loop_unwatch(listener->gate->loop, &listener->watch);
    (void)close(listener->fd);
    session_leave(listener->session);
    free(listener);
}

void doors_close(struct gate *gate)
{
    struct list *link;

    while ((link = list_first(&gate->listeners)) != NULL) {
        door_close(LIST_THING(link, struct listener, link));
    }
    gate->accepting = false;
}

void doors_configure(struct gate *gate)
{
    struct err ignored; /* the check process has parsed them */

    gate->proxy_from_count = 0;
    for (size_t i = 0; i < gate->config->proxy_from_count && i < LIMIT_PROXY_NETWORKS; i++) {
        if (cidr_parse(gate->config->proxy_from[i], &gate->proxy_from[gate->proxy_from_count],
                       &ignored) == 0) {
            gate->proxy_from_count++;
        }
    }
}

bool door_expects_proxy(const struct gate *gate, const struct listener *listener,
                        const char *source)
{
    bool found = false;

    for (size_t i = 0; i < gate->proxy_from_count; i++) {
        found = found || cidr_has(&gate->proxy_from[i], str_from(source));
    }
    return found && !listener->unix_socket && listener->session == NULL;
}

static void source_text(const struct sockaddr_storage *address, char *out)
{
    const struct sockaddr_in *v4 = (const void *)address;
    const struct sockaddr_in6 *v6 = (const void *)address;
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const char *text = NULL;

    if (address->ss_family == AF_INET) {
        text = inet_ntop(AF_INET, &v4->sin_addr, out, VISITOR_SOURCE_BYTES);
    } else if (address->ss_family == AF_INET6 &&
               memcmp(&v6->sin6_addr, mapped, sizeof(mapped)) == 0) {
        text = inet_ntop(AF_INET, v6->sin6_addr.s6_addr + 12, out, VISITOR_SOURCE_BYTES);
    } else if (address->ss_family == AF_INET6) {
        text = inet_ntop(AF_INET6, &v6->sin6_addr, out, VISITOR_SOURCE_BYTES);
    }
    if (text == NULL) {
        memcpy(out, "unix", sizeof("unix"));
    }
}

static void accept_again(void *ctx)
{
    doors_update(ctx);
}

/* Out of descriptors or memory: the next try waits, or we would spin on a readable listener. */
static void pause_accepting(struct gate *gate)
{
    log_warn("accept-paused", "reason=\"%s\"", strerror(errno));
    loop_timer_set(gate->loop, &gate->accept_again, ACCEPT_AGAIN_MS, accept_again, gate);
    doors_update(gate);
}

/* Of the first of them that does not wait for us, and `than`, who has been so longer. */
static struct visitor *older(struct list *list, struct visitor *than)
{
    for (struct list *at = list->next; at != list; at = at->next) {
        struct visitor *client = LIST_THING(at, struct visitor, link);
        if (!client->is_parked) {
            return than == NULL || client->since_ms < than->since_ms ? client : than;
        }
    }
    return than;
}

/* Who has waited longest for nothing, or with half a head, or has its answer, makes way: so that
 * neither those who hold connections nor those who open many keep out one that says what it wants.
 * False when all are busy. */
static bool make_room(struct gate *gate)
{
    if (gate->client_count < gate->client_max) {
        return true;
    }
    struct visitor *oldest =
        older(&gate->drains, older(&gate->unfinished, older(&gate->idle, NULL)));

    if (oldest != NULL) {
        visitor_gone(oldest);
    }
    return oldest != NULL;
}

static bool is_of_one_connection(int error)
{
    return error == EINTR || error == ECONNABORTED || error == EPROTO || error == EPERM;
}

static void on_accept(void *ctx, uint32_t events)
{
    struct listener *listener = ctx;
    struct gate *gate = listener->gate;

    (void)events;
    if (listener->session != NULL) {
        /* Whoever made it may hold it still, and make it block: us, in accept4(). */
        (void)fcntl(listener->fd, F_SETFL, O_NONBLOCK);
    }
    for (int i = 0; i < ACCEPTS_A_TURN && may_accept(gate); i++) {
        struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
        socklen_t len = sizeof(address);
        char source[VISITOR_SOURCE_BYTES];

        int fd = accept4(listener->fd, (struct sockaddr *)(void *)&address, &len,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0 && errno == EAGAIN) {
            return;
        }
        if (fd < 0) {
            if (!is_of_one_connection(errno)) {
                pause_accepting(gate);
                return;
            }
            continue;
        }
        if (listener->tls && gate->door == NULL) {
            (void)close(fd); /* no certificate: the door is shut */
            continue;
        }
        if (listener->session != NULL &&
            listener->session->connections >= LIMIT_SESSION_CONNECTIONS) {
            (void)close(fd);
            continue;
        }
        source_text(&address, source);
        if (make_room(gate)) {
            visitor_new(gate, listener, fd, source);
        } else {
            gate->refused_heads++;
            room_refuse(listener, fd);
        }
    }
    doors_update(gate);
}
