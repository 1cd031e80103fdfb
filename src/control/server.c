/* SPDX-License-Identifier: Apache-2.0 */
#include "control/server.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "control/caller.h"

enum { ACCEPTS_A_TURN = 16, OUT_OF_FILES_MS = 200 };

struct listener {
    struct list link;
    struct server *server;
    struct loop_watch watch;
    struct loop_timer pause;
    int fd;
    enum listen_kind kind;
};

struct old_context {
    struct list link;
    struct tls_context *tls;
};

static void on_accept(void *ctx, uint32_t events);

struct server *server_new(struct loop *loop, exchange_handler *handle, void *ctx)
{
    struct server *server = mem_zeroed(sizeof(*server));

    server->loop = loop;
    server->handle = handle;
    server->ctx = ctx;
    list_init(&server->listeners);
    list_init(&server->connections);
    list_init(&server->old_tls);
    return server;
}

static void close_listeners(struct server *server)
{
    struct list *link;

    while ((link = list_first(&server->listeners)) != NULL) {
        struct listener *listener = LIST_THING(link, struct listener, link);
        list_remove(&listener->link);
        loop_unwatch(server->loop, &listener->watch);
        loop_timer_stop(server->loop, &listener->pause);
        (void)close(listener->fd);
        free(listener);
    }
}

static void free_old_contexts(struct server *server)
{
    struct list *link;

    while ((link = list_first(&server->old_tls)) != NULL) {
        struct old_context *old = LIST_THING(link, struct old_context, link);
        list_remove(&old->link);
        tls_context_free(old->tls);
        free(old);
    }
}

void server_free(struct server *server)
{
    struct list *link;

    if (server == NULL) {
        return;
    }
    server->drained = NULL;
    close_listeners(server);
    while ((link = list_first(&server->connections)) != NULL) {
        caller_close(link);
    }
    free_old_contexts(server);
    tls_context_free(server->tls);
    free(server);
}

size_t server_connections(const struct server *server)
{
    return server->connection_count;
}

int server_set_certificate(struct server *server, struct str chain_pem, struct str key_pem,
                           struct err *err)
{
    struct tls_context *fresh = tls_context_new_server(chain_pem, key_pem, err);

    if (fresh == NULL) {
        return -1;
    }
    if (server->tls != NULL) {
        struct old_context *old = mem_zeroed(sizeof(*old));
        old->tls = server->tls;
        list_add(&server->old_tls, &old->link);
    }
    server->tls = fresh;
    return 0;
}

/* ---- who is there ---- */

static bool find_unix_peer(int fd, struct peer *peer)
{
    struct ucred who;
    socklen_t size = sizeof(who);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &size) < 0) {
        return false;
    }
    *peer = (struct peer){.unix_socket = true,
                          .trusted = who.uid == 0 || who.uid == geteuid(),
                          .uid = who.uid,
                          .source = "unix"};
    return true;
}

static bool find_address(int fd, struct peer *peer)
{
    struct sockaddr_storage address = {0};
    socklen_t size = sizeof(address);
    char text[INET6_ADDRSTRLEN] = "";
    unsigned port = 0;

    if (getpeername(fd, (struct sockaddr *)&address, &size) < 0) {
        return false;
    }
    if (address.ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address;
        (void)inet_ntop(AF_INET, &v4->sin_addr, text, sizeof(text));
        port = ntohs(v4->sin_port);
        (void)snprintf(peer->source, sizeof(peer->source), "%s:%u", text, port);
    } else if (address.ss_family == AF_INET6) {
        const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&address;
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, text, sizeof(text));
        port = ntohs(v6->sin6_port);
        (void)snprintf(peer->source, sizeof(peer->source), "[%s]:%u", text, port);
    }
    return true;
}

/* ---- accepting ---- */

/* So many of its kind are there that one must go before another may come.  Whoever reaches the
 * port can fill it, and must not keep out the operator who sits on the machine. */
static bool is_full(const struct server *server, enum listen_kind kind)
{
    size_t count = 0;

    if (kind == LISTEN_UNIX) {
        return server->connection_count >= LIMIT_API_CONNECTIONS;
    }
    for (struct list *at = server->connections.next; at != &server->connections; at = at->next) {
        count += caller_is_local(at) ? 0 : 1;
    }
    return count >= LIMIT_API_CONNECTIONS - LIMIT_API_LOCAL ||
           server->connection_count >= LIMIT_API_CONNECTIONS;
}

/* True when there is room for one more: the oldest goes that is idle or has not said yet who it is;
 * none of the local socket for one at the port. */
static bool make_room(struct server *server, enum listen_kind kind)
{
    if (!is_full(server, kind)) {
        return true;
    }
    for (struct list *at = server->connections.next; at != &server->connections; at = at->next) {
        if ((caller_is_idle(at) || caller_is_unknown(at)) &&
            (kind == LISTEN_UNIX || !caller_is_local(at))) {
            caller_close(at);
            return true;
        }
    }
    return false;
}

static void resume(struct listener *listener)
{
    if (listener->watch.fd == -1) {
        loop_watch(listener->server->loop, &listener->watch, listener->fd, EPOLLIN, on_accept,
                   listener);
    }
}

static void on_pause_end(void *ctx)
{
    resume(ctx);
}

void server_connection(struct server *server, int fd, enum listen_kind kind)
{
    struct peer peer = {.source = "unknown"};
    int on = 1;

    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    bool known = kind == LISTEN_UNIX ? find_unix_peer(fd, &peer) : find_address(fd, &peer);
    if (!known || (kind == LISTEN_TLS && server->tls == NULL)) {
        (void)close(fd);
        return;
    }
    if (kind != LISTEN_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    caller_new(server, fd, kind, &peer);
}

static void on_accept(void *ctx, uint32_t events)
{
    struct listener *listener = ctx;
    struct server *server = listener->server;

    (void)events;
    for (unsigned i = 0; i < ACCEPTS_A_TURN; i++) {
        /* Who is idle goes for somebody that is there, and only the first surely is. */
        if (i > 0 && is_full(server, listener->kind)) {
            return;
        }
        if (!make_room(server, listener->kind)) {
            loop_unwatch(server->loop, &listener->watch); /* server_forget() goes on */
            return;
        }
        int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd >= 0) {
            server_connection(server, fd, listener->kind);
            continue;
        }
        if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS) {
            loop_unwatch(server->loop, &listener->watch);
            loop_timer_set(server->loop, &listener->pause, OUT_OF_FILES_MS, on_pause_end, listener);
        }
        return;
    }
}

void server_listen(struct server *server, int fd, enum listen_kind kind)
{
    struct listener *listener = mem_zeroed(sizeof(*listener));

    listener->server = server;
    listener->fd = fd;
    listener->kind = kind;
    listener->watch = LOOP_WATCH_NONE;
    (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    list_add(&server->listeners, &listener->link);
    resume(listener);
}

void server_forget(struct server *server, struct list *link)
{
    list_remove(link);
    server->connection_count--;
    if (server->connection_count == 0) {
        free_old_contexts(server);
        if (server->draining && server->drained != NULL) {
            server->drained(server->drained_ctx);
            return;
        }
    }
    for (struct list *at = server->listeners.next; at != &server->listeners; at = at->next) {
        struct listener *listener = LIST_THING(at, struct listener, link);
        if (listener->pause.place == 0) {
            resume(listener);
        }
    }
}

void server_drain(struct server *server, void (*drained)(void *ctx), void *ctx)
{
    struct list *at = server->connections.next;

    server->draining = true;
    close_listeners(server);
    while (at != &server->connections) {
        struct list *next = at->next;
        if (caller_is_idle(at)) {
            caller_close(at);
        }
        at = next;
    }
    server->drained = drained;
    server->drained_ctx = ctx;
    if (server->connection_count == 0) {
        drained(ctx);
    }
}
