/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandbox: a command in namespaces of its own.
 *
 *     launcher (outside)                     child (inside)
 *     sandbox_start: clone, id maps   ---->  network, sockets, files
 *     sandbox_sockets             <--------  the listening sockets
 *       ... they go to the server, which makes a session ...
 *     sandbox_enter: environment, CA  ---->  new root, privileges dropped, init, the command
 *     sandbox_wait ...
 *
 * The child is cloned before the launcher knows anything that is secret, so that nothing secret is
 * in its memory but what it is told.  If the launcher dies, however it dies, the kernel kills the
 * child, which is the first process of its namespace, and with it all others.
 */
#ifndef SANDBOX_SANDBOX_H
#define SANDBOX_SANDBOX_H

#include <sys/types.h>

#include "base/str.h"
#include "sandbox/cgroup.h"
#include "sandbox/files.h"
#include "sandbox/network.h"

enum sandbox_tier {
    TIER_NONE,
    TIER_NAMESPACES,  /* everything: user, network, mount, process namespaces */
    TIER_NO_REDIRECT, /* the same, but the kernel has no nft redirect: named ports only */
    TIER_COUNT
};
const char *sandbox_tier_name(enum sandbox_tier tier);

struct sandbox_plan {
    struct files_plan files;
    char *const *argv;
    uint16_t ports[NETWORK_PORTS_MAX]; /* caught where there is no redirect */
    size_t port_count;
    bool no_redirect;            /* as if the kernel had none */
    unsigned pid_max, file_max;  /* 0: leave */
    struct cgroup_limits limits; /* of all of it together */
    bool on_terminal;            /* it stays in the launcher's session, and its process group */
};

struct sandbox {
    pid_t pid;
    int pidfd;
    int talk; /* with the child */
    bool redirect, proc_is_fresh;
    int sockets[NETWORK_CAPTURES_MAX];
    size_t socket_count;
    struct cgroup cgroup;
};

/* As root, the command will be user nobody; else who we are.  -1: nothing is left over. */
int sandbox_start(struct sandbox *sandbox, const struct sandbox_plan *plan, struct err *err);
int sandbox_sockets(struct sandbox *sandbox, struct err *err); /* waits for them */
void sandbox_close_sockets(struct sandbox *sandbox);           /* our copies */

/* `environment` is "NAME=value" with a NUL behind each.  Does not wait for the command. */
int sandbox_enter(struct sandbox *sandbox, struct str environment, struct str session_ca_pem,
                  struct err *err);

/* What the child said before the command ran: "" when the command runs; waits for either. */
int sandbox_started(struct sandbox *sandbox, struct err *err);

void sandbox_signal(const struct sandbox *sandbox, int signal);
void sandbox_kill(struct sandbox *sandbox); /* all of it; then sandbox_wait() */
int sandbox_wait(struct sandbox *sandbox);  /* the command's exit status, 128 + n for a signal */

#endif
