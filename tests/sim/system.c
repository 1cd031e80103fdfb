/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timex.h>
#include <time.h>

#include "base/mem.h"
#include "judge/process.h"
#include "sim.h"

enum {
    FIRST_FD = 1 << 20, /* ours: no real one is that high */
    FIRST_EPOLL = FIRST_FD + 4096,
    PAIRS_MAX = 512,
    WATCHES_MAX = 256,
    SOCKET_BYTES = 200 * 1024,
    TURN_OVER = -77,
    START_S = 1800000000, /* 2027-01-15 */
};

struct end {
    unsigned char *bytes; /* to be read here */
    size_t from, to, size;
    bool closed;
};

struct watch {
    int epoll, fd;
    struct epoll_event event;
};

struct sim_process sim_judge, sim_scribe;
struct judge *sim_judge_state;
static struct end ends[2 * PAIRS_MAX];
static int pair_count, epoll_count;
static struct watch watches[WATCHES_MAX];
static int watch_count;
static struct sim_process *turning;

/* ---- randomness and time ---- */

uint64_t sim_random(uint64_t below)
{
    /* xorshift128+ */
    uint64_t a = world->random[0], b = world->random[1];

    world->random[0] = b;
    a ^= a << 23;
    world->random[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return below == 0 ? 0 : (world->random[1] + b) % below;
}

bool sim_chance(uint64_t n)
{
    return sim_random(n) == 0;
}

ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags);
ssize_t __wrap_getrandom(void *out, size_t size, unsigned flags)
{
    unsigned char *at = out;

    (void)flags;
    for (size_t i = 0; i < size; i++) {
        at[i] = (unsigned char)sim_random(256);
    }
    return (ssize_t)size;
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    uint64_t us = world->boot_us;

    ret->tv_sec = (time_t)(us / 1000000) + (clock == CLOCK_REALTIME ? START_S : 0);
    ret->tv_nsec = (long)(us % 1000000) * 1000;
    return 0;
}

int __wrap_adjtimex(struct timex *ret);
int __wrap_adjtimex(struct timex *ret)
{
    ret->status = STA_UNSYNC;
    return TIME_ERROR;
}

/* ---- sockets ---- */

static struct end *end_of(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_EPOLL ? &ends[fd - FIRST_FD] : NULL;
}

static struct end *far_of(int fd)
{
    return &ends[(fd - FIRST_FD) ^ 1];
}

int sim_pair(int *ret_far)
{
    if (pair_count == PAIRS_MAX) {
        sim_fail("more pairs than the simulation has");
    }
    int near = FIRST_FD + 2 * pair_count++;
    *ret_far = near + 1;
    return near;
}

static void put(struct end *end, const void *bytes, size_t len)
{
    if (end->from == end->to) {
        end->from = end->to = 0;
    }
    if (end->to + len > end->size) {
        end->size = (end->to + len) * 2;
        end->bytes = mem_grow(end->bytes, end->size, 1);
    }
    memcpy(end->bytes + end->to, bytes, len);
    end->to += len;
}

void sim_write(int near, const void *bytes, size_t len)
{
    if (!far_of(near)->closed) {
        put(far_of(near), bytes, len);
    }
}

size_t sim_readable(int near)
{
    return end_of(near)->to - end_of(near)->from;
}

void sim_peek(int near, void *to, size_t len)
{
    memcpy(to, end_of(near)->bytes + end_of(near)->from, len);
}

void sim_skip(int near, size_t len)
{
    end_of(near)->from += len;
}

void sim_close(int near)
{
    end_of(near)->closed = true;
}

bool sim_is_closed(int near)
{
    return far_of(near)->closed && sim_readable(near) == 0;
}

ssize_t __real_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags);
ssize_t __wrap_send(int fd, const void *bytes, size_t len, int flags)
{
    if (end_of(fd) == NULL) {
        return __real_send(fd, bytes, len, flags);
    }
    struct end *far = far_of(fd);
    if (far->closed) {
        errno = EPIPE;
        return -1;
    }
    size_t room = SOCKET_BYTES - (far->to - far->from);
    if (far->to - far->from >= SOCKET_BYTES) {
        errno = EAGAIN;
        return -1;
    }
    size_t count = len < room ? len : room;
    if (count > 1 && sim_chance(8)) {
        count = 1 + (size_t)sim_random(count);
    }
    put(far, bytes, count);
    return (ssize_t)count;
}

ssize_t __real_recvmsg(int fd, struct msghdr *header, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags);
ssize_t __wrap_recvmsg(int fd, struct msghdr *header, int flags)
{
    struct end *end = end_of(fd);

    if (end == NULL) {
        return __real_recvmsg(fd, header, flags);
    }
    header->msg_controllen = 0;
    size_t there = end->to - end->from;
    if (there == 0) {
        errno = EAGAIN;
        return far_of(fd)->closed ? 0 : -1;
    }
    size_t count = there < header->msg_iov[0].iov_len ? there : header->msg_iov[0].iov_len;
    if (count > 1 && sim_chance(8)) {
        count = 1 + (size_t)sim_random(count);
    }
    memcpy(header->msg_iov[0].iov_base, end->bytes + end->from, count);
    end->from += count;
    return (ssize_t)count;
}

int __real_close(int fd);
int __wrap_close(int fd);
int __wrap_close(int fd)
{
    if (fd < FIRST_FD) {
        return __real_close(fd);
    }
    if (end_of(fd) != NULL) {
        end_of(fd)->closed = true;
    }
    return 0;
}

int __real_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...);
int __wrap_fcntl(int fd, int command, ...)
{
    va_list args;

    va_start(args, command);
    long argument = va_arg(args, long);
    va_end(args);
    return fd >= FIRST_FD ? 0 : __real_fcntl(fd, command, argument);
}

/* ---- epoll ---- */

int __wrap_epoll_create1(int flags);
int __wrap_epoll_create1(int flags)
{
    (void)flags;
    return FIRST_EPOLL + epoll_count++;
}

int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    int i = 0;

    while (i < watch_count && (watches[i].fd != fd || watches[i].epoll != epoll)) {
        i++;
    }
    if (operation == EPOLL_CTL_ADD && i == watch_count && i < WATCHES_MAX) {
        watches[watch_count++] = (struct watch){epoll, fd, *event};
        return 0;
    }
    if (i == watch_count) {
        errno = ENOENT;
        return -1;
    }
    if (operation == EPOLL_CTL_MOD) {
        watches[i].event = *event;
    } else {
        watches[i] = watches[--watch_count];
    }
    return 0;
}

static uint32_t ready_events(const struct watch *watch)
{
    const struct end *end = end_of(watch->fd);
    const struct end *far = far_of(watch->fd);
    uint32_t ready = 0;

    if (end->to > end->from || far->closed) {
        ready |= EPOLLIN;
    }
    if (far->closed || far->to - far->from < SOCKET_BYTES) {
        ready |= EPOLLOUT;
    }
    return (ready & watch->event.events) | (far->closed ? (uint32_t)EPOLLHUP : 0);
}

/* Never waits: the world decides who goes on.  One turn, then loop_run() returns. */
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms);
int __wrap_epoll_wait(int epoll, struct epoll_event *events, int max, int timeout_ms)
{
    int count = 0;

    loop_stop(turning->child->loop, TURN_OVER);
    turning->idle_ms = timeout_ms < 0 ? 60000 : (uint64_t)timeout_ms;
    for (int i = 0; i < watch_count && count < max; i++) {
        uint32_t ready = watches[i].epoll == epoll ? ready_events(&watches[i]) : 0;
        if (ready != 0) {
            events[count] = watches[i].event;
            events[count++].events = ready;
        }
    }
    for (int i = count - 1; i > 0; i--) {
        int other = (int)sim_random((uint64_t)i + 1);
        struct epoll_event event = events[i];
        events[i] = events[other];
        events[other] = event;
    }
    return count;
}

void sim_turn(struct sim_process *process)
{
    if (process->ended) {
        return;
    }
    turning = process;
    int status = loop_run(process->child->loop);
    if (status != TURN_OVER) {
        process->ended = true;
        process->status = status;
    }
    world->boot_us += 20 + sim_random(80);
}

/* ---- a process's birth, and what it says to its parent ---- */

static struct sim_process *process_of(const struct child *child)
{
    return child == sim_scribe.child ? &sim_scribe : &sim_judge;
}

void __wrap_child_init(struct child *child, enum process_role role, int argc, char **argv);
void __wrap_child_init(struct child *child, enum process_role role, int argc, char **argv)
{
    struct err err = {""};

    (void)argc;
    (void)argv;
    *child = (struct child){.role = role, .data_dir = sim_dir, .loop = loop_new(&err)};
    (role == ROLE_SCRIBE ? &sim_scribe : &sim_judge)->child = child;
}

void __wrap_child_confine(struct child *child, const struct confine *confine);
void __wrap_child_confine(struct child *child, const struct confine *confine)
{
    (void)child;
    (void)confine;
}

int __wrap_child_run(struct child *child, const struct child_events *events, void *ctx);
int __wrap_child_run(struct child *child, const struct child_events *events, void *ctx)
{
    process_of(child)->events = events;
    process_of(child)->ctx = ctx;
    return 0;
}

void __wrap_child_ready(struct child *child);
void __wrap_child_ready(struct child *child)
{
    process_of(child)->ready = true;
}

void __wrap_child_drained(struct child *child);
void __wrap_child_drained(struct child *child)
{
    process_of(child)->ended = true;
}

void __wrap_child_fault(struct child *child, enum process_role peer, uint32_t index,
                        const char *why);
void __wrap_child_fault(struct child *child, enum process_role peer, uint32_t index,
                        const char *why)
{
    sim_fail("%s accuses %s.%u: %s", role_name(child->role), role_name(peer), index, why);
}

void __wrap_child_kill(struct child *child, enum process_role peer, uint32_t index,
                       uint64_t incarnation);
void __wrap_child_kill(struct child *child, enum process_role peer, uint32_t index,
                       uint64_t incarnation)
{
    (void)child;
    (void)incarnation;
    world_killed(peer, index);
}

struct judge *__real_process_new(struct loop *loop, const struct process_calls *calls);
struct judge *__wrap_process_new(struct loop *loop, const struct process_calls *calls);
struct judge *__wrap_process_new(struct loop *loop, const struct process_calls *calls)
{
    static struct process_calls kept; /* judge_main(), which has them, returns in here */

    kept = *calls;
    sim_judge_state = __real_process_new(loop, &kept);
    return sim_judge_state;
}
