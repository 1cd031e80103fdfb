/* SPDX-License-Identifier: Apache-2.0 */
#include "os/loop.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/test.h"

enum { TIMERS = 300 };

struct stage {
    struct loop *loop;
    char order[64];
    size_t order_len;
    struct loop_timer a, b, c;
    struct loop_hook hook, other_hook;
    struct loop_watch left, right;
    int pipe[2], other[2];
    unsigned fired;
    uint64_t last_due_ms;
    bool in_order;
};

static void mark(struct stage *stage, char c)
{
    if (stage->order_len + 1 < sizeof(stage->order)) {
        stage->order[stage->order_len++] = c;
        stage->order[stage->order_len] = '\0';
    }
}

static void fire_a(void *ctx)
{
    mark(ctx, 'a');
}

static void fire_b(void *ctx)
{
    mark(ctx, 'b');
}

static void fire_stop(void *ctx)
{
    struct stage *stage = ctx;
    mark(stage, '.');
    loop_stop(stage->loop, 7);
}

static struct stage begin(void)
{
    struct stage stage = {.left = LOOP_WATCH_NONE, .right = LOOP_WATCH_NONE, .in_order = true};
    struct err err;

    stage.loop = loop_new(&err);
    CHECK(stage.loop != NULL);
    CHECK(pipe2(stage.pipe, O_CLOEXEC | O_NONBLOCK) == 0);
    CHECK(pipe2(stage.other, O_CLOEXEC | O_NONBLOCK) == 0);
    return stage;
}

static void end(struct stage *stage)
{
    loop_unwatch(stage->loop, &stage->left);
    loop_unwatch(stage->loop, &stage->right);
    loop_free(stage->loop);
    for (size_t i = 0; i < 2; i++) {
        (void)close(stage->pipe[i]);
        (void)close(stage->other[i]);
    }
}

static void test_timers(void)
{
    struct stage stage = begin();

    loop_timer_set(stage.loop, &stage.a, 20, fire_a, &stage);
    loop_timer_set(stage.loop, &stage.b, 5, fire_b, &stage);
    loop_timer_set(stage.loop, &stage.c, 40, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7);
    CHECK(strcmp(stage.order, "ba.") == 0);
    CHECK(stage.a.place == 0 && stage.c.place == 0);
    /* Moved later, and stopped; and the loop runs again. */
    stage.order_len = 0;
    loop_timer_set(stage.loop, &stage.a, 1, fire_a, &stage);
    loop_timer_set(stage.loop, &stage.a, 10, fire_a, &stage);
    loop_timer_set(stage.loop, &stage.b, 1, fire_b, &stage);
    loop_timer_stop(stage.loop, &stage.b);
    loop_timer_stop(stage.loop, &stage.b);
    loop_timer_set(stage.loop, &stage.c, 20, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7);
    CHECK(strcmp(stage.order, "a.") == 0);
    end(&stage);
}

static void fire_zero(void *ctx)
{
    struct stage *stage = ctx;
    stage->fired++;
    loop_timer_set(stage->loop, &stage->a, 0, fire_zero, stage);
}

/* A timer that sets itself to zero does not keep others from running. */
static void test_zero_timer(void)
{
    struct stage stage = begin();

    loop_timer_set(stage.loop, &stage.a, 0, fire_zero, &stage);
    loop_timer_set(stage.loop, &stage.c, 10, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7 && stage.fired > 1);
    loop_timer_stop(stage.loop, &stage.a);
    end(&stage);
}

struct numbered {
    struct loop_timer timer;
    struct stage *stage;
    uint64_t due_ms;
    bool stopped, fired;
};

static void fire_numbered(void *ctx)
{
    struct numbered *one = ctx;

    one->fired = true;
    one->stage->in_order = one->stage->in_order && one->due_ms >= one->stage->last_due_ms;
    one->stage->last_due_ms = one->due_ms;
    one->stage->fired++;
}

static void test_many_timers(void)
{
    struct stage stage = begin();
    static struct numbered all[TIMERS];
    unsigned seed = 3;
    unsigned expected = 0;

    for (size_t i = 0; i < TIMERS; i++) {
        seed = seed * 1103515245u + 12345u;
        all[i] = (struct numbered){.stage = &stage, .due_ms = (seed >> 16) % 30};
        loop_timer_set(stage.loop, &all[i].timer, all[i].due_ms, fire_numbered, &all[i]);
    }
    for (size_t i = 0; i < TIMERS; i++) {
        seed = seed * 1103515245u + 12345u;
        if ((seed >> 20) % 3 == 0) {
            loop_timer_stop(stage.loop, &all[i].timer);
            all[i].stopped = true;
        }
        expected += !all[i].stopped;
    }
    loop_timer_set(stage.loop, &stage.c, 40, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7);
    CHECK(stage.fired == expected && stage.in_order);
    for (size_t i = 0; i < TIMERS; i++) {
        if (all[i].fired == all[i].stopped) {
            CHECK(false);
        }
    }
    end(&stage);
}

static void ready_left(void *ctx, uint32_t events)
{
    struct stage *stage = ctx;
    char c;

    mark(stage, (events & EPOLLIN) != 0 ? 'l' : 'h');
    if (read(stage->left.fd, &c, 1) != 1) {
        loop_unwatch(stage->loop, &stage->left);
    }
}

static void test_watches(void)
{
    struct stage stage = begin();

    loop_watch(stage.loop, &stage.left, stage.pipe[0], EPOLLIN, ready_left, &stage);
    CHECK(write(stage.pipe[1], "xy", 2) == 2);
    loop_timer_set(stage.loop, &stage.c, 20, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7);
    CHECK(strcmp(stage.order, "ll.") == 0); /* level-triggered: once for each byte */
    /* Not asked for: not reported. */
    stage.order_len = 0;
    loop_watch_events(stage.loop, &stage.left, 0);
    CHECK(write(stage.pipe[1], "x", 1) == 1);
    loop_timer_set(stage.loop, &stage.c, 10, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7 && strcmp(stage.order, ".") == 0);
    end(&stage);
}

/* Whoever is ready first takes the other out, though that one's event is already there. */
static void ready_and_remove(void *ctx, uint32_t events)
{
    struct stage *stage = ctx;

    (void)events;
    mark(stage, 'x');
    loop_unwatch(stage->loop, &stage->left);
    loop_unwatch(stage->loop, &stage->right);
}

static void test_removal_in_the_same_turn(void)
{
    struct stage stage = begin();

    CHECK(write(stage.pipe[1], "x", 1) == 1 && write(stage.other[1], "x", 1) == 1);
    loop_watch(stage.loop, &stage.left, stage.pipe[0], EPOLLIN, ready_and_remove, &stage);
    loop_watch(stage.loop, &stage.right, stage.other[0], EPOLLIN, ready_and_remove, &stage);
    loop_timer_set(stage.loop, &stage.c, 10, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7 && strcmp(stage.order, "x.") == 0);
    end(&stage);
}

static void run_hook(void *ctx)
{
    mark(ctx, 'H');
}

static void fire_hooks(void *ctx)
{
    struct stage *stage = ctx;

    mark(stage, 't');
    loop_at_turn_end(stage->loop, &stage->hook, run_hook, stage);
    loop_at_turn_end(stage->loop, &stage->hook, run_hook, stage);
    loop_at_turn_end(stage->loop, &stage->other_hook, run_hook, stage);
    loop_hook_stop(&stage->other_hook);
    mark(stage, 'u');
}

static void test_hooks(void)
{
    struct stage stage = begin();

    loop_hook_stop(&stage.hook); /* zeroed */
    loop_at_turn_end(stage.loop, &stage.hook, run_hook, &stage);
    loop_timer_set(stage.loop, &stage.a, 5, fire_hooks, &stage);
    loop_timer_set(stage.loop, &stage.c, 15, fire_stop, &stage);
    CHECK(loop_run(stage.loop) == 7);
    CHECK(strcmp(stage.order, "HtuH.") == 0);
    end(&stage);
}

int main(void)
{
    uint64_t began = clock_boot_ms();

    test_timers();
    test_zero_timer();
    test_many_timers();
    test_watches();
    test_removal_in_the_same_turn();
    test_hooks();
    CHECK(clock_boot_ms() - began < 5000);
    loop_free(NULL);
    return test_done();
}
