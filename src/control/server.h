/* SPDX-License-Identifier: Apache-2.0 */
/*
 * server: a small strict HTTP/1.1 server for the operator's API.
 *
 * One request at a time a connection, bodies whole and at most LIMIT_API_BODY_BYTES, at most
 * LIMIT_API_CONNECTIONS connections, LIMIT_API_LOCAL of them for the local socket alone: then the
 * oldest makes room that is idle or whose request is not whole; else the next waits.
 * Everything that a credential may pass through is overwritten after use.
 *
 * Each exchange given to `handle` is answered exactly once, then or later, also when the client
 * has gone meanwhile.
 */
#ifndef CONTROL_SERVER_H
#define CONTROL_SERVER_H

#include <sys/types.h>

#include "http/head.h"
#include "os/loop.h"
#include "tls/tls.h"

enum { PEER_TEXT_SIZE = 64 };
struct peer {
    bool unix_socket;
    bool trusted; /* at the local socket, and root or our own user */
    uid_t uid;
    char source[PEER_TEXT_SIZE]; /* the address, or "unix" */
};

/* The texts live until the exchange is answered. */
struct exchange {
    const struct http_head *head;
    struct str body;
    const struct peer *peer;
    /* Descriptors that came with it, over a Unix socket.  Who takes them sets the count to 0; the
     * others are closed with the exchange. */
    int *fds;
    size_t fd_count;
};

struct answer {
    unsigned status;
    struct str content_type;
    const struct message_header *headers;
    size_t header_count;
    struct str body;
};

typedef void exchange_handler(void *ctx, struct exchange *exchange);

struct server;

struct server *server_new(struct loop *loop, exchange_handler *handle, void *ctx);
void server_free(struct server *server); /* takes NULL too; no exchange may be open */

enum listen_kind { LISTEN_PLAIN, LISTEN_UNIX, LISTEN_TLS };
/* Takes over `fd`, a listening socket. */
void server_listen(struct server *server, int fd, enum listen_kind kind);

/* For LISTEN_TLS.  New connections use it; old ones keep theirs. */
int server_set_certificate(struct server *server, struct str chain_pem, struct str key_pem,
                           struct err *err);

/* Takes over a connected socket, for tests. */
void server_connection(struct server *server, int fd, enum listen_kind kind);
size_t server_connections(const struct server *server);

/* Listens no more, ends idle connections and the others after their answer; then `drained`. */
void server_drain(struct server *server, void (*drained)(void *ctx), void *ctx);

void exchange_answer(struct exchange *exchange, const struct answer *answer);

/* Answers, and hands the connection over to the caller of this, who closes it.  -1: the client has
 * gone.  A small answer over a Unix socket only: it is sent at once or not at all. */
int exchange_take_over(struct exchange *exchange, const struct answer *answer);

enum stream_step {
    STREAM_CUT, /* it failed: the connection ends so that the client sees it */
    STREAM_MORE,
    STREAM_END /* that was the last piece */
};
typedef enum stream_step stream_more(void *ctx, struct buf *out);

/* An answer in pieces (answer->body is ignored).  `more` appends the next piece, and is called
 * again when that has been sent.  `done` is called at its end, whatever happened. */
void exchange_stream(struct exchange *exchange, const struct answer *answer, stream_more *more,
                     void (*done)(void *ctx), void *ctx);

#endif
