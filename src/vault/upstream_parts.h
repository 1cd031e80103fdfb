/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream_parts: what the three files of upstream have of one another: upstream.c (a connection's
 * states, sending, receiving), upstream_dial.c and upstream_pool.c.
 */
#ifndef VAULT_UPSTREAM_PARTS_H
#define VAULT_UPSTREAM_PARTS_H

#include "vault/upstream.h"

enum {
    UPSTREAM_HOST_MAX = 255,
    UPSTREAM_READ_BYTES = 32 * 1024,
    UPSTREAM_INPUT_MAX = 256 * 1024,
    UPSTREAM_BUCKETS = 256,
    UPSTREAM_DETAIL_BYTES = 512,
};

enum upstream_state { RESOLVE, CONNECT, HANDSHAKE, OPEN, IDLE, BROKEN, STATE_COUNT };

struct upstream {
    struct upstreams *all;
    enum upstream_state state;
    int fd;
    struct loop_watch watch;
    struct tls *tls; /* NULL: plain */
    struct buf in, out;
    const struct upstream_user *user; /* NULL in the pool */
    void *ctx;
    struct credential *credential;
    char host[UPSTREAM_HOST_MAX + 1];
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
    char detail[UPSTREAM_DETAIL_BYTES];
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
    struct list buckets[UPSTREAM_BUCKETS];
    struct list age; /* the longest idle first */
    struct loop_timer sweep;
    struct upstream_stats stats;
    unsigned char scratch[UPSTREAM_READ_BYTES]; /* ciphertext, or wiped after use */
};

void upstream_move(struct upstream *upstream, enum upstream_state next);
/* Its user hears of it in the next turn, never from inside its own call. */
void upstream_fail(struct upstream *upstream, enum upstream_error error, const char *detail);
void upstream_fail_errno(struct upstream *upstream, enum upstream_error error, int number);
void upstream_want_events(struct upstream *upstream); /* as its state says */
void upstream_close_socket(struct upstream *upstream);
void upstream_on_ready(void *ctx, uint32_t events);

/* ---- upstream_dial.c ---- */

void upstream_connected(struct upstream *upstream); /* or not: the socket says */
void upstream_opened(struct upstream *upstream);    /* it can be written to */

#endif
