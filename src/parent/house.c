/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/house.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "parent/house_parts.h"
#include "parent/topology.h"

enum { PING_MS = 20 * 1000 }; /* twice that without an answer: it hangs */

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    unsigned next;
} states[PROCESS_STATE_COUNT] = {
    [ABSENT] = {"absent", TO(BORN)},
    [BORN] = {"born", TO(STARTED) | TO(DRAINING) | TO(ABSENT)},
    [STARTED] = {"started", TO(READY) | TO(DRAINING) | TO(ABSENT)},
    [READY] = {"ready", TO(DRAINING) | TO(ABSENT)},
    [DRAINING] = {"draining", TO(DRAINED) | TO(ABSENT)},
    [DRAINED] = {"drained", TO(ABSENT)},
};

void house_move(struct process *process, enum process_state next)
{
    assert((states[process->state].next & TO(next)) != 0);
    process->state = next;
}

struct process_name house_name(const struct process *process)
{
    struct process_name name;

    if (role_is_many(process->role)) {
        (void)snprintf(name.text, sizeof(name.text), "%s.%u", role_name(process->role),
                       process->index);
    } else {
        (void)snprintf(name.text, sizeof(name.text), "%s", role_name(process->role));
    }
    return name;
}

struct process *house_find(struct house *house, enum process_role role, uint32_t index)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].role == role && house->processes[i].index == index) {
            return &house->processes[i];
        }
    }
    return NULL;
}

bool house_lives(const struct process *process)
{
    return process->pid != 0 && process->channel != NULL;
}

void house_kill(struct process *process, const char *why)
{
    if (process->pid == 0) {
        return;
    }
    log_warn("kill", "process=%s pid=%d why=\"%s\"", house_name(process).text, (int)process->pid,
             why);
    (void)kill(process->pid, SIGKILL);
}

static void on_ping(void *ctx)
{
    struct house *house = ctx;

    for (size_t i = 0; i < house->count; i++) {
        struct process *process = &house->processes[i];
        if (process->state != READY || process->role == ROLE_SCRIBE) {
            continue; /* a scribe may be long at its disk */
        }
        if (process->silent) {
            house_kill(process, "hangs");
            continue;
        }
        process->silent = true;
        house_tell(process, MESSAGE_PING, &(struct message_ping){.number = process->incarnation});
    }
    loop_timer_set(house->loop, &house->ping, PING_MS, on_ping, house);
}

static void add(struct house *house, enum process_role role, uint32_t index)
{
    house->processes[house->count++] =
        (struct process){.house = house, .role = role, .index = index};
}

void house_init(struct house *house, struct loop *loop, uint32_t gates)
{
    house->loop = loop;
    handed_init(&house->handed);
    house->processes = mem_array(4 + 3 * (size_t)gates, sizeof(struct process));
    add(house, ROLE_SCRIBE, 0);
    add(house, ROLE_JUDGE, 0);
    add(house, ROLE_CONTROL, 0);
    add(house, ROLE_DIALER, 0);
    for (uint32_t i = 0; i < gates; i++) {
        add(house, ROLE_VAULT, i);
        add(house, ROLE_READER, i);
        add(house, ROLE_GATE, i);
    }
    loop_timer_set(loop, &house->ping, PING_MS, on_ping, house);
}

void house_clear(struct house *house)
{
    house_dismiss_all(house);
    house_dismiss(&house->check);
    house_dismiss(&house->unlock);
    for (size_t i = 0; i < house->count; i++) {
        loop_timer_stop(house->loop, &house->processes[i].rebirth);
    }
    loop_timer_stop(house->loop, &house->rise);
    loop_timer_stop(house->loop, &house->ping);
    if (house->processes != NULL) {
        handed_drop(&house->handed, STR_NONE);
    }
    free(house->processes);
    house->processes = NULL;
    house->count = 0;
}

bool house_is_ready(const struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].state != READY) {
            return false;
        }
    }
    return house->count > 0;
}

void house_stop(struct house *house)
{
    house->stopping = true;
    loop_timer_stop(house->loop, &house->rise);
    for (size_t i = 0; i < house->count; i++) {
        loop_timer_stop(house->loop, &house->processes[i].rebirth);
    }
}

bool house_drain(struct house *house, enum process_role role)
{
    bool any = false;

    for (size_t i = 0; i < house->count; i++) {
        struct process *process = &house->processes[i];
        if (process->role != role || !house_lives(process)) {
            continue;
        }
        if (process->state != DRAINING && process->state != DRAINED) {
            house_move(process, DRAINING);
            house_tell(process, MESSAGE_DRAIN, &(struct message_empty){0});
        }
        any = any || process->state == DRAINING;
    }
    return any;
}

void house_dismiss_all(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        house_dismiss(&house->processes[i]);
    }
}

void house_kill_all(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].pid != 0) {
            (void)kill(house->processes[i].pid, SIGKILL);
        }
    }
}

void house_kill_role(struct house *house, enum process_role role)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].role == role) {
            house_kill(&house->processes[i], "did not end in time");
        }
    }
}

bool house_is_empty(const struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].pid != 0 || house->processes[i].state != ABSENT) {
            return false;
        }
    }
    return true;
}
