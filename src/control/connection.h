/* SPDX-License-Identifier: Apache-2.0 */
/*
 * connection: one client of the control API.  Between server.c and connection.c only.
 */
#ifndef CONTROL_CONNECTION_H
#define CONTROL_CONNECTION_H

#include "base/list.h"
#include "control/server.h"

struct server {
    struct loop *loop;
    exchange_handler *handle;
    void *ctx;
    struct list listeners;
    struct list connections; /* the longest there first */
    size_t connection_count;
    struct tls_context *tls;
    struct list old_tls; /* contexts that connections may still use */
    bool draining;
    void (*drained)(void *ctx);
    void *drained_ctx;
};

struct connection;

/* Takes over `fd`. */
void connection_new(struct server *server, int fd, enum listen_kind kind, const struct peer *peer);
bool connection_is_idle(const struct list *link);
void connection_close(const struct list *link); /* an idle one, or all when the server goes */

/* By connection.c, when one is gone. */
void server_forget(struct server *server, struct list *link);

#endif
