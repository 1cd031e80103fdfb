/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deaths: who is told, who comes back and when, and which death is the end of all.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/child.h"
#include "parent/house_parts.h"
#include "parent/topology.h"

enum {
    CALM_MS = 10 * 1000, /* who lived so long starts with a clean sheet */
    BACK_OFF_MS = 1000,
    BACK_OFF_MS_MAX = 30 * 1000,
};

static uint64_t back_off_ms(unsigned quick_deaths)
{
    if (quick_deaths < 3) {
        return 0;
    }
    unsigned doublings = quick_deaths - 3 < 8 ? quick_deaths - 3 : 8;
    uint64_t wait = (uint64_t)BACK_OFF_MS << doublings;
    return wait < BACK_OFF_MS_MAX ? wait : BACK_OFF_MS_MAX;
}

static unsigned count_death(const struct house *house, unsigned quick, uint64_t since_ms)
{
    return loop_now_ms(house->loop) - since_ms < CALM_MS ? quick + 1 : 1;
}

static void tell_neighbours(struct process *dead)
{
    struct house *house = dead->house;
    struct message_gone gone = {
        .peer = dead->role, .peer_index = dead->index, .incarnation = dead->incarnation};

    for (size_t i = 0; i < house->count; i++) {
        struct process *other = &house->processes[i];
        if (house_lives(other) &&
            topology_connects(dead->role, dead->index, other->role, other->index)) {
            house_tell(other, MESSAGE_GONE, &gone);
        }
    }
}

static void rise_when_empty(struct house *house)
{
    if (!house_is_empty(house)) {
        return;
    }
    house->quick_falls = count_death(house, house->quick_falls, house->risen_ms);
    house_rise_in(house, back_off_ms(house->quick_falls));
}

static void fall(struct house *house)
{
    house->falling = true;
    for (size_t i = 0; i < house->count; i++) {
        loop_timer_stop(house->loop, &house->processes[i].rebirth);
        if (house->processes[i].pid != 0) {
            (void)kill(house->processes[i].pid, SIGKILL);
        }
    }
    rise_when_empty(house);
}

static void log_death(const struct process *process)
{
    int status = process->exit_status;
    bool by_signal = WIFSIGNALED(status);

    log_warn("died", "process=%s incarnation=%llu %s=%d%s", house_name(process).text,
             (unsigned long long)process->incarnation, by_signal ? "signal" : "status",
             by_signal ? WTERMSIG(status) : WEXITSTATUS(status),
             by_signal && WTERMSIG(status) == SIGSYS ? " why=forbidden-system-call" : "");
}

static bool is_fatal(const struct process *process)
{
    return WIFEXITED(process->exit_status) && WEXITSTATUS(process->exit_status) == CHILD_EXIT_FATAL;
}

static void fail(struct house *house, const struct process *process, const char *what)
{
    char why[160];

    (void)snprintf(why, sizeof(why), "the %s %s; what it said is above", house_name(process).text,
                   what);
    house->failed(house->ctx, why);
}

static void forget_sessions(struct house *house)
{
    struct list *link;

    while ((link = list_first(&house->handed.sockets)) != NULL) {
        char *session =
            mem_copy_str(str_from(LIST_THING(link, struct handed_socket, link)->session));
        house_end_session(house, str_from(session));
        free(session);
    }
}

void house_bury(struct process *process)
{
    struct house *house = process->house;

    if (process->answered != NULL) {
        if (!process->has_answered) {
            process->has_answered = true;
            log_death(process);
            process->answered(house->ctx, NULL, -1);
        }
        return;
    }
    house_move(process, ABSENT);
    if (process->role == ROLE_CONTROL) {
        forget_sessions(house); /* nobody else would hear that they are over */
    }
    if (house->stopping) {
        house->changed(house->ctx);
        return;
    }
    if (house->falling && !is_fatal(process)) {
        rise_when_empty(house);
        return;
    }
    log_death(process);
    if (is_fatal(process)) {
        fail(house, process, "cannot go on");
    } else if (!house->opened) {
        fail(house, process, "did not start");
    } else if (process->role == ROLE_JUDGE || process->role == ROLE_SCRIBE) {
        fall(house);
    } else {
        tell_neighbours(process);
        process->quick_deaths = count_death(house, process->quick_deaths, process->born_ms);
        house_bear_in(process, back_off_ms(process->quick_deaths));
    }
}

static void reap_one(struct process *process)
{
    int status = 0;

    if (process->pid == 0 || waitpid(process->pid, &status, WNOHANG) != process->pid) {
        return;
    }
    process->pid = 0;
    process->exit_status = status;
    if (process->channel == NULL) {
        house_bury(process);
    }
}

void house_reap(struct house *house)
{
    reap_one(&house->check);
    reap_one(&house->unlock);
    for (size_t i = 0; i < house->count; i++) {
        reap_one(&house->processes[i]);
    }
}
