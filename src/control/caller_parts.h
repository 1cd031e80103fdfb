/* SPDX-License-Identifier: Apache-2.0 */
/*
 * caller_parts: what caller.c (states, and requests as they come), caller_answer.c and
 * caller_bytes.c have of one another.
 */
#ifndef CONTROL_CALLER_PARTS_H
#define CONTROL_CALLER_PARTS_H

#include "control/caller.h"
#include "http/body.h"

enum { CALLER_OUT_MAX = 8 * 1024 * 1024 };

enum caller_state { HANDSHAKE, IDLE, HEAD, BODY, HANDLING, WRITING, STREAMING, LINGER };

struct caller {
    struct exchange exchange; /* first: an exchange is its connection */
    struct server *server;
    struct list link;
    int fd; /* -1: gone; kept for its exchange */
    struct loop_watch watch;
    struct loop_timer timer;
    struct loop_timer again; /* the next piece of a stream */
    enum caller_state state;
    struct peer peer;
    struct tls *tls;
    struct buf in, out, body;
    struct buf head_bytes; /* what `head` points into */
    struct http_head head;
    struct http_body framing;
    bool close_after, ended, busy, dead;
    size_t parsed; /* so many bytes of a head were there when it was last looked at */
    uint64_t lingered;
    int fds[LIMIT_SESSION_SOCKETS]; /* that came with the request */
    size_t fd_count;
    stream_more *more;
    void (*done)(void *ctx);
    void *stream_ctx;
};

/* ---- caller.c ---- */

void caller_move(struct caller *c, enum caller_state next);
void caller_touch(struct caller *c); /* its time begins anew */
void caller_go(struct caller *c);    /* does what can be done; may release it */
void caller_close_fds(struct caller *c);
void caller_drop_socket(struct caller *c); /* it stays for its exchange */
void caller_end_stream(struct caller *c);
void caller_release(struct caller *c); /* frees it */

/* ---- caller_answer.c ---- */

void caller_write_answer(struct caller *c, const struct answer *answer);
/* Of a stream.  False when it was cut. */
bool caller_next_piece(struct caller *c);

/* ---- caller_bytes.c ---- */

/* 1: all went; 0: some is left; -1: the connection is broken. */
int caller_send_bytes(struct caller *c, struct str bytes, size_t *ret_sent);
int caller_flush(struct caller *c); /* of `out`; returns the same */
/* One read.  False when the connection is to be closed. */
bool caller_receive(struct caller *c);

#endif
