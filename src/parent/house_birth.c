/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Births: a process, its channels to those that live, and its turn to start.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/spawn.h"
#include "parent/house_parts.h"
#include "parent/topology.h"

enum { EXTRA_ARGUMENTS_MAX = 64 };

static int spawn(struct process *process, const char *const *extra, struct err *err)
{
    const struct supplies *supplies = &process->house->supplies;
    char role[32];
    char index[16];
    char incarnation[24];
    char *argv[5 + EXTRA_ARGUMENTS_MAX + 1] = {role, index, incarnation};
    int pair[2];
    bool one_shot = process->answered != NULL;

    (void)snprintf(role, sizeof(role), "keybrake-%s", role_name(process->role));
    (void)snprintf(index, sizeof(index), "%u", process->index);
    process->incarnation = ++process->house->births;
    (void)snprintf(incarnation, sizeof(incarnation), "%llu",
                   (unsigned long long)process->incarnation);
    struct str data_dir = str_from(supplies->data_dir);
    struct str user = one_shot ? STR_NONE : str_from(supplies->user);
    argv[3] = mem_copy_str(data_dir);
    argv[4] = mem_copy_str(user);
    for (size_t i = 0; extra != NULL && extra[i] != NULL && i < EXTRA_ARGUMENTS_MAX; i++) {
        argv[5 + i] = mem_copy_str(str_from(extra[i]));
    }
    pid_t pid = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        (void)err_errno(err, "cannot make a channel");
    } else {
        pid = spawn_program(supplies->program_fd, argv, pair[1], err);
        (void)close(pair[1]);
        if (pid < 0) {
            (void)close(pair[0]);
        }
    }
    for (size_t i = 3; argv[i] != NULL; i++) {
        free(argv[i]);
    }
    if (pid < 0) {
        return -1;
    }
    process->pid = pid;
    process->born_ms = loop_now_ms(process->house->loop);
    process->silent = false;
    house_listen(process, pair[0]);
    return 0;
}

static void connect_two(struct process *a, struct process *b)
{
    struct message_channel to_a = {
        .peer = b->role, .peer_index = b->index, .incarnation = b->incarnation};
    struct message_channel to_b = {
        .peer = a->role, .peer_index = a->index, .incarnation = a->incarnation};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        log_error("channel", "between=%s and=%s problem=no-descriptors", house_name(a).text,
                  house_name(b).text);
        house_kill(role_exposure(a->role) > role_exposure(b->role) ? a : b, "has no channel");
        return;
    }
    house_hand(a, MESSAGE_CHANNEL, &to_a, pair[0]);
    house_hand(b, MESSAGE_CHANNEL, &to_b, pair[1]);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void bear(struct process *process)
{
    struct house *house = process->house;
    struct err err;

    assert(process->state == ABSENT && process->pid == 0 && process->channel == NULL);
    if (spawn(process, NULL, &err) < 0) {
        house->failed(house->ctx, err.text);
        return;
    }
    house_move(process, BORN);
    log_info("born", "process=%s pid=%d incarnation=%llu", house_name(process).text,
             (int)process->pid, (unsigned long long)process->incarnation);
    house_send_birth(process);
    for (size_t i = 0; i < house->count; i++) {
        struct process *other = &house->processes[i];
        if (other != process && house_lives(other) &&
            topology_connects(process->role, process->index, other->role, other->index)) {
            connect_two(other, process);
        }
    }
}

static bool role_is_ready(const struct house *house, enum process_role role)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].role == role) {
            return house->processes[i].state == READY;
        }
    }
    return false;
}

static bool may_start(const struct house *house, enum process_role role)
{
    switch (role) {
    case ROLE_SCRIBE:
        return true;
    case ROLE_JUDGE:
        return role_is_ready(house, ROLE_SCRIBE);
    default:
        return role_is_ready(house, ROLE_JUDGE);
    }
}

void house_advance(struct house *house)
{
    bool all = true;

    if (house->falling || house->stopping) {
        return;
    }
    for (size_t i = 0; i < house->count; i++) {
        struct process *process = &house->processes[i];
        if (process->state == BORN && may_start(house, process->role)) {
            house_send_start(process);
        }
        all = all && process->state == READY;
    }
    if (all) {
        house->opened = true;
        house->ready(house->ctx);
    }
}

void house_open(struct house *house)
{
    house->risen_ms = loop_now_ms(house->loop);
    for (size_t i = 0; i < house->count; i++) {
        bear(&house->processes[i]);
    }
    house_advance(house);
}

static void on_rise(void *ctx)
{
    struct house *house = ctx;

    house->falling = false;
    log_info("rise", "every process is started again");
    house_open(house);
}

static void on_rebirth(void *ctx)
{
    struct process *process = ctx;

    bear(process);
    house_advance(process->house);
}

void house_rise_in(struct house *house, uint64_t ms)
{
    loop_timer_set(house->loop, &house->rise, ms, on_rise, house);
}

void house_bear_in(struct process *process, uint64_t ms)
{
    loop_timer_set(process->house->loop, &process->rebirth, ms, on_rebirth, process);
}

void house_ask(struct house *house, struct process *one_shot, enum process_role role,
               const char *const *extra,
               void (*answered)(void *ctx, const struct message_compiled *message, int fd))
{
    struct err err;

    assert(one_shot->pid == 0 && one_shot->channel == NULL);
    *one_shot = (struct process){.house = house, .role = role, .answered = answered};
    if (spawn(one_shot, extra, &err) < 0) {
        house->failed(house->ctx, err.text);
        return;
    }
    house_tell(one_shot, MESSAGE_START, &(struct message_empty){0});
}
