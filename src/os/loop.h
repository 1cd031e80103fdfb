/* SPDX-License-Identifier: Apache-2.0 */
/*
 * loop: one process's event loop: descriptors (level-triggered epoll), timers, and hooks that run
 * at the end of each turn, where queued output leaves in one write.
 *
 * Watches, timers and hooks are fields of the things they serve; a thing takes them out before it
 * goes.  A handler may change or remove any of them, its own too.
 */
#ifndef OS_LOOP_H
#define OS_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>

#include "base/err.h"
#include "base/list.h"

struct loop;

struct loop_watch {
    int fd; /* -1 while not watched */
    uint32_t events;
    void (*ready)(void *ctx, uint32_t events); /* EPOLLIN, EPOLLOUT, EPOLLHUP, EPOLLERR, ... */
    void *ctx;
};

struct loop_timer {
    uint64_t due_ms;
    size_t place; /* in the heap, from 1; 0 while not set */
    void (*fire)(void *ctx);
    void *ctx;
};

struct loop_hook {
    struct list link;
    void (*run)(void *ctx);
    void *ctx;
};

struct loop *loop_new(struct err *err); /* NULL with the reason */
void loop_free(struct loop *loop);      /* takes NULL too; closes no descriptor of others */

/* EPOLLHUP and EPOLLERR are always reported.  `watch->fd` must be -1 (see LOOP_WATCH_NONE). */
#define LOOP_WATCH_NONE ((struct loop_watch){.fd = -1})
void loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                void (*ready)(void *ctx, uint32_t events), void *ctx);
void loop_watch_events(struct loop *loop, struct loop_watch *watch, uint32_t events);
void loop_unwatch(struct loop *loop, struct loop_watch *watch); /* does not close; idempotent */

/* Fires once, `after_ms` from now; setting a set timer moves it.  Zero means the next turn. */
void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms,
                    void (*fire)(void *ctx), void *ctx);
void loop_timer_stop(struct loop *loop, struct loop_timer *timer); /* idempotent */

/* Runs `hook` once, at the end of this turn.  Asking twice in a turn runs it once. */
void loop_at_turn_end(struct loop *loop, struct loop_hook *hook, void (*run)(void *ctx), void *ctx);
void loop_hook_stop(struct loop_hook *hook); /* idempotent; takes a zeroed one too */

/* CLOCK_BOOTTIME when this turn began, which is what most want and costs nothing. */
uint64_t loop_now_ms(const struct loop *loop);
uint64_t loop_now_us(const struct loop *loop);

/* From the next turn on the loop's clock is so much later, as after a sleep of the machine: what a
 * test of long timers needs. */
void loop_skip(struct loop *loop, uint64_t ms);

/* Runs until loop_stop().  Returns what was given there. */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop, int status);

#endif
