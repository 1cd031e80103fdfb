/* SPDX-License-Identifier: Apache-2.0 */
#include "os/loop.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

enum { EVENTS_A_TURN = 256 };

struct loop {
    int epoll_fd;
    uint64_t now_ms, now_us;
    uint64_t ahead_us; /* of the real clock: loop_skip() */
    bool stopped;
    int status;
    struct list hooks;
    /* A binary heap by due time; heap[0] is unused, so that place 0 can mean "not set". */
    struct loop_timer **heap;
    size_t timers, heap_size;
    /* The turn's events; a watch that is taken out meanwhile is blanked here. */
    struct epoll_event events[EVENTS_A_TURN];
    int event_count, event_at;
};

static void look_at_clock(struct loop *loop)
{
    loop->now_us = clock_boot_us() + loop->ahead_us;
    loop->now_ms = loop->now_us / 1000;
}

struct loop *loop_new(struct err *err)
{
    int fd = epoll_create1(EPOLL_CLOEXEC);

    if (fd < 0) {
        (void)err_errno(err, "cannot make an event loop");
        return NULL;
    }
    struct loop *loop = mem_zeroed(sizeof(*loop));
    loop->epoll_fd = fd;
    look_at_clock(loop);
    list_init(&loop->hooks);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    (void)close(loop->epoll_fd);
    free(loop->heap);
    free(loop);
}

static void control(struct loop *loop, int operation, struct loop_watch *watch)
{
    struct epoll_event event = {.events = watch->events, .data = {.ptr = watch}};
    int rc = epoll_ctl(loop->epoll_fd, operation, watch->fd, &event);

    assert(rc == 0);
    (void)rc;
}

void loop_watch(struct loop *loop, struct loop_watch *watch, int fd, uint32_t events,
                void (*ready)(void *ctx, uint32_t events), void *ctx)
{
    assert(watch->fd == -1);
    *watch = (struct loop_watch){.fd = fd, .events = events, .ready = ready, .ctx = ctx};
    control(loop, EPOLL_CTL_ADD, watch);
}

void loop_watch_events(struct loop *loop, struct loop_watch *watch, uint32_t events)
{
    if (watch->events != events) {
        watch->events = events;
        control(loop, EPOLL_CTL_MOD, watch);
    }
}

void loop_unwatch(struct loop *loop, struct loop_watch *watch)
{
    if (watch->fd == -1) {
        return;
    }
    control(loop, EPOLL_CTL_DEL, watch);
    watch->fd = -1;
    for (int i = loop->event_at; i < loop->event_count; i++) {
        if (loop->events[i].data.ptr == watch) {
            loop->events[i].data.ptr = NULL;
        }
    }
}

static void put(struct loop *loop, size_t place, struct loop_timer *timer)
{
    loop->heap[place] = timer;
    timer->place = place;
}

static void sift_up(struct loop *loop, struct loop_timer *timer)
{
    size_t place = timer->place;

    while (place > 1 && loop->heap[place / 2]->due_ms > timer->due_ms) {
        put(loop, place, loop->heap[place / 2]);
        place /= 2;
    }
    put(loop, place, timer);
}

static void sift_down(struct loop *loop, struct loop_timer *timer)
{
    size_t place = timer->place;

    for (size_t child = place * 2; child <= loop->timers; child = place * 2) {
        if (child < loop->timers && loop->heap[child + 1]->due_ms < loop->heap[child]->due_ms) {
            child++;
        }
        if (loop->heap[child]->due_ms >= timer->due_ms) {
            break;
        }
        put(loop, place, loop->heap[child]);
        place = child;
    }
    put(loop, place, timer);
}

void loop_timer_stop(struct loop *loop, struct loop_timer *timer)
{
    size_t place = timer->place;

    if (place == 0) {
        return;
    }
    timer->place = 0;
    struct loop_timer *last = loop->heap[loop->timers--];
    if (last != timer) {
        put(loop, place, last);
        sift_up(loop, last);
        sift_down(loop, last);
    }
}

void loop_timer_set(struct loop *loop, struct loop_timer *timer, uint64_t after_ms,
                    void (*fire)(void *ctx), void *ctx)
{
    loop_timer_stop(loop, timer);
    if (loop->timers + 2 > loop->heap_size) {
        loop->heap_size = loop->heap_size == 0 ? 64 : loop->heap_size * 2;
        loop->heap = mem_grow(loop->heap, loop->heap_size, sizeof(struct loop_timer *));
    }
    *timer = (struct loop_timer){.due_ms = loop->now_ms + after_ms, .fire = fire, .ctx = ctx};
    put(loop, ++loop->timers, timer);
    sift_up(loop, timer);
}

void loop_at_turn_end(struct loop *loop, struct loop_hook *hook, void (*run)(void *ctx), void *ctx)
{
    hook->run = run;
    hook->ctx = ctx;
    if (hook->link.next == NULL) {
        list_init(&hook->link);
    }
    if (list_empty(&hook->link)) {
        list_add(&loop->hooks, &hook->link);
    }
}

void loop_hook_stop(struct loop_hook *hook)
{
    if (hook->link.next != NULL) {
        list_remove(&hook->link);
    }
}

uint64_t loop_now_ms(const struct loop *loop)
{
    return loop->now_ms;
}

uint64_t loop_now_us(const struct loop *loop)
{
    return loop->now_us;
}

void loop_skip(struct loop *loop, uint64_t ms)
{
    loop->ahead_us += ms * 1000;
}

static int wait_ms(const struct loop *loop)
{
    if (loop->timers == 0) {
        return -1;
    }
    uint64_t due = loop->heap[1]->due_ms;
    uint64_t left = due > loop->now_ms ? due - loop->now_ms : 0;
    return left > 60000 ? 60000 : (int)left;
}

static void run_timers(struct loop *loop)
{
    /* Timers set by these handlers wait for the next turn, or a zero timer would never yield. */
    size_t most = loop->timers;

    for (size_t i = 0; i < most && loop->timers > 0 && loop->heap[1]->due_ms <= loop->now_ms; i++) {
        struct loop_timer *timer = loop->heap[1];
        loop_timer_stop(loop, timer);
        timer->fire(timer->ctx);
    }
}

static void run_hooks(struct loop *loop)
{
    while (!list_empty(&loop->hooks)) {
        struct loop_hook *hook = LIST_THING(loop->hooks.next, struct loop_hook, link);
        list_remove(&hook->link);
        hook->run(hook->ctx);
    }
}

int loop_run(struct loop *loop)
{
    run_hooks(loop); /* what was queued before the first turn */
    while (!loop->stopped) {
        look_at_clock(loop);
        int count = epoll_wait(loop->epoll_fd, loop->events, EVENTS_A_TURN, wait_ms(loop));
        assert(count >= 0 || errno == EINTR);
        look_at_clock(loop);
        loop->event_count = count < 0 ? 0 : count;
        for (loop->event_at = 0; loop->event_at < loop->event_count;) {
            struct epoll_event event = loop->events[loop->event_at++];
            struct loop_watch *watch = event.data.ptr;
            if (watch != NULL) {
                watch->ready(watch->ctx, event.events);
            }
        }
        loop->event_count = 0;
        run_timers(loop);
        run_hooks(loop);
    }
    loop->stopped = false; /* it may be run again */
    return loop->status;
}

void loop_stop(struct loop *loop, int status)
{
    loop->stopped = true;
    loop->status = status;
}
