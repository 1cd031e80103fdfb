/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/attach.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/confine.h"
#include "os/seccomp.h"
#include "sandbox/names_serve.h"
#include "sandbox/talk.h"

enum { KEPT_NAMES_UDP = 3, KEPT_NAMES_TCP, KEPT_TALK, KEPT_END, OUT_OF_THE_WAY = 64 };

static int open_namespace(pid_t target, const char *kind, struct err *err)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/ns/%s", (int)target, kind);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return err_errno(err, "cannot open the %s namespace of process %d", kind, (int)target);
    }
    return fd;
}

static bool is_our_own(int fd, const char *kind)
{
    char path[64];
    struct stat theirs, ours;

    (void)snprintf(path, sizeof(path), "/proc/self/ns/%s", kind);
    return fstat(fd, &theirs) == 0 && stat(path, &ours) == 0 && theirs.st_ino == ours.st_ino &&
           theirs.st_dev == ours.st_dev;
}

/* A way out that is not ours would make a fool of all this. */
static int check_empty(struct err *err)
{
    struct if_nameindex *all = if_nameindex();
    int rc = all == NULL ? err_errno(err, "cannot list the interfaces in there") : 0;

    for (size_t i = 0; all != NULL && all[i].if_index != 0 && rc == 0; i++) {
        if (strcmp(all[i].if_name, "lo") != 0) {
            rc = err_set(err,
                         "that container has a network of its own (%s): start it with --network "
                         "none",
                         all[i].if_name);
        }
    }
    if_freenameindex(all);
    return rc;
}

static int enter(pid_t target, struct err *err)
{
    int net = open_namespace(target, "net", err);
    int user = net < 0 ? -1 : open_namespace(target, "user", err);
    int rc = -1;

    if (net < 0 || user < 0) {
        return -1;
    }
    if (is_our_own(net, "net")) {
        (void)err_set(err, "process %d has this machine's own network", (int)target);
    } else if (geteuid() != 0 && !is_our_own(user, "user") && setns(user, CLONE_NEWUSER) < 0) {
        (void)err_errno(err, "cannot enter the user namespace of process %d", (int)target);
    } else if (setns(net, CLONE_NEWNET) < 0) {
        (void)err_errno(err, "cannot enter the network namespace of process %d", (int)target);
    } else {
        rc = check_empty(err);
    }
    (void)close(net);
    (void)close(user);
    return rc;
}

/* The three descriptors that are needed from here on, in places of their own; no others. */
static void keep_only(const struct network *network, int talk)
{
    int udp = fcntl(network->names_udp, F_DUPFD, OUT_OF_THE_WAY);
    int tcp = fcntl(network->names_tcp, F_DUPFD, OUT_OF_THE_WAY);
    int end = fcntl(talk, F_DUPFD, OUT_OF_THE_WAY);

    (void)dup2(udp, KEPT_NAMES_UDP);
    (void)dup2(tcp, KEPT_NAMES_TCP);
    (void)dup2(end, KEPT_TALK);
    (void)syscall(SYS_close_range, KEPT_END, ~0u, 0);
}

/* Until the launcher goes. */
static void serve_names(void)
{
    struct names_serve names;

    names_serve_init(&names, KEPT_NAMES_UDP, KEPT_NAMES_TCP);
    for (;;) {
        struct pollfd waits[1 + NAMES_SERVE_FDS] = {{.fd = KEPT_TALK, .events = POLLIN}};
        size_t count = 1 + names_serve_waits(&names, waits + 1);
        if ((poll(waits, count, names_serve_patience_ms(&names)) < 0 && errno != EINTR) ||
            waits[0].revents != 0) {
            _exit(EXIT_SUCCESS);
        }
        names_serve_turn(&names, waits + 1, count - 1);
    }
}

static void help(int talk, pid_t target, const struct sandbox_plan *plan) __attribute__((noreturn));
static void help(int talk, pid_t target, const struct sandbox_plan *plan)
{
    static const int calls[] = {SYS_accept4, SYS_sendmsg};
    const struct confine confine = {.syscalls = calls, .syscall_count = 2};
    struct network network;
    struct err err;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (enter(target, &err) < 0 ||
        network_make(&network, !plan->no_redirect, plan->ports, plan->port_count, &err) < 0) {
        talk_fail(talk, &err);
    }
    char redirect = network.redirect ? 1 : 0;
    talk_tell(talk, TALK_SOCKETS, &redirect, 1, network.captures, network.capture_count);
    keep_only(&network, talk);
    if (confine_apply(&confine, geteuid() == 0 ? "65534" : NULL, &err) < 0) {
        talk_fail(KEPT_TALK, &err);
    }
    serve_names();
    _exit(EXIT_FAILURE);
}

static int start_helper(struct sandbox *sandbox, int ours, int theirs, pid_t target,
                        const struct sandbox_plan *plan, struct err *err)
{
    sandbox->talk = ours;
    sandbox->pid = fork();
    if (sandbox->pid < 0) {
        return err_errno(err, "cannot start a process");
    }
    if (sandbox->pid == 0) {
        (void)close(ours);
        help(theirs, target, plan);
    }
    return 0;
}

int attach_start(struct sandbox *sandbox, pid_t target, const struct sandbox_plan *plan,
                 struct err *err)
{
    int pair[2];

    *sandbox = (struct sandbox){.pid = -1, .pidfd = -1, .talk = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return err_errno(err, "cannot make a channel to the helper");
    }
    int rc = start_helper(sandbox, pair[0], pair[1], target, plan, err);
    (void)close(pair[1]);
    return rc;
}

enum sandbox_tier sandbox_probe(struct err *err)
{
    char *const argv[] = {(char[]){"/nonexistent"}, NULL};
    struct sandbox_plan plan = {
        .files = {.directory = "/usr"}, .argv = argv, .ports = {80, 443}, .port_count = 2};
    struct sandbox sandbox;
    enum sandbox_tier tier = TIER_NONE;

    if (sandbox_start(&sandbox, &plan, err) < 0) {
        return TIER_NONE;
    }
    if (sandbox_sockets(&sandbox, err) == 0 &&
        sandbox_enter(&sandbox, STR_NONE, STR_NONE, err) == 0) {
        tier = sandbox.redirect ? TIER_NAMESPACES : TIER_NO_REDIRECT;
        struct err ran;
        (void)sandbox_started(&sandbox, &ran);
        if (strstr(ran.text, "/nonexistent") == NULL) { /* it got as far as the command */
            *err = ran;
            tier = TIER_NONE;
        }
    }
    sandbox_kill(&sandbox);
    (void)sandbox_wait(&sandbox);
    return tier;
}
