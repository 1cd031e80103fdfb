/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller: one client of the control API.  Between server.c and caller.c only.
 */
#ifndef CONTROL_CALLER_H
#define CONTROL_CALLER_H

#include "base/list.h"
#include "control/server.h"

struct server {
    struct loop *loop;
    exchange_handler *handle;
    void *ctx;
    struct list listeners;
    struct list connections; /* the longest there first */
    size_t connection_count;
    size_t fd_count; /* descriptors that came with requests */
    struct tls_context *tls;
    struct list old_tls; /* contexts that connections may still use */
    bool draining;
    void (*drained)(void *ctx);
    void *drained_ctx;
};

struct caller;

/* Takes over `fd`. */
void caller_new(struct server *server, int fd, enum listen_kind kind, const struct peer *peer);
bool caller_is_idle(const struct list *link);
bool caller_is_local(const struct list *link);
/* Not all of a first request is here: who it is has not been looked at. */
bool caller_is_unknown(const struct list *link);
void caller_close(
    const struct list *link); /* not one that is being answered, but when the server goes */

/* By caller.c, when one is gone. */
void server_forget(struct server *server, struct list *link);

#endif
