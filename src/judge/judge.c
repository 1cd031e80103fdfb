/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Meets: our own processes only: gates and readers (which may be an intruder's), vaults, the
 *        scribe, control.
 * Holds: token digests, policies, budgets, holds, the audit's head; all in memory, loaded from the
 *        scribe at start.  No credential, no body.
 * May:   read and write its channels.  It opens no file, makes no socket, and asks the kernel for
 *        nothing else but whether its clock is synchronised.
 */
#include "judge/judge.h"

#include <sys/syscall.h>

#include "base/log.h"
#include "ipc/child.h"
#include "judge/process.h"

enum { FILES_MAX = 4096 };

static const int syscalls[] = {SYS_adjtimex, SYS_clock_adjtime};
static const struct confine confine = {.syscalls = syscalls,
                                       .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
                                       .map = true, /* the configuration's memfd */
                                       .empty_network = true,
                                       .files_max = FILES_MAX};

struct role {
    struct child child;
    struct judge *judge;
};

static void on_ready(void *ctx)
{
    struct role *role = ctx;

    child_ready(&role->child);
}

static void on_drained(void *ctx)
{
    struct role *role = ctx;

    child_drained(&role->child);
}

static void on_kill(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation)
{
    struct role *role = ctx;

    child_kill(&role->child, peer, index, incarnation);
}

static void on_fault(void *ctx, enum process_role peer, uint32_t index, const char *why)
{
    struct role *role = ctx;

    child_fault(&role->child, peer, index, why);
}

static void on_channel(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation,
                       int fd)
{
    struct role *role = ctx;

    process_channel(role->judge, peer, index, incarnation, fd);
}

static void on_gone(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation)
{
    struct role *role = ctx;

    process_gone(role->judge, peer, index, incarnation);
}

static void on_config(void *ctx, uint64_t generation, int fd)
{
    struct role *role = ctx;
    struct err err = {""};
    struct config *config = config_open(fd, generation, &err);

    if (config == NULL) {
        log_error("configuration", "why=\"%s\"", err.text);
        exit(EXIT_FAILURE); /* the check process passed it: what we run is not what it was */
    }
    process_config(role->judge, config);
}

static void on_start(void *ctx)
{
    struct role *role = ctx;

    process_start(role->judge);
}

static void on_drain(void *ctx)
{
    struct role *role = ctx;

    process_drain(role->judge);
}

int judge_main(int argc, char **argv)
{
    static const struct child_events events = {.channel = on_channel,
                                               .gone = on_gone,
                                               .config = on_config,
                                               .start = on_start,
                                               .drain = on_drain};
    static struct role role;
    struct process_calls calls = {
        .ready = on_ready, .drained = on_drained, .kill = on_kill, .fault = on_fault, .ctx = &role};

    child_init(&role.child, ROLE_JUDGE, argc, argv);
    role.judge = process_new(role.child.loop, &calls);
    child_confine(&role.child, &confine);
    return child_run(&role.child, &events, &role);
}
