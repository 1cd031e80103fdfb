/* SPDX-License-Identifier: Apache-2.0 */
/*
 * notify: a sandbox for machines that let us make no namespaces (inside Docker, as a rule).
 *
 * Files: Landlock.  Network: a seccomp filter that asks the launcher about each connect().  The
 * launcher reads the address once, connects a socket of its own to the gate, and puts that one in
 * the place of the command's; the command's own call never happens, so there is nothing to race
 * for.  UDP, listening, sending to an address, fast open and the like are refused: there is no
 * way to a peer but connect().
 *
 * It is weaker than namespaces, and says so: the command sees the machine's processes and the names
 * of its files, Landlock has no say over sockets in the file system (connect() to them is refused
 * here), and if the launcher is killed, what the command started in a session of its own lives on,
 * without keys and without a network.
 */
#ifndef SANDBOX_NOTIFY_H
#define SANDBOX_NOTIFY_H

#include <sys/types.h>

#include "base/str.h"
#include "sandbox/sandbox.h"

struct notify {
    pid_t command, names;
    int listener;  /* the filter's questions; -1: none */
    int capture;   /* listening; for the gate */
    int names_tcp; /* listening; for a helper that answers for names */
    struct cgroup cgroup;
    char directory[64]; /* the command's own: HOME, TMPDIR, the CAs */
    char bundle[96], session_ca[96], java_list[96], wget[96], php[96];
};

/* Could it be done here?  -1 with what is missing. */
int notify_probe(struct err *err);

int notify_open(struct notify *notify, struct err *err);
/* Starts the command.  `environment` has a NUL behind each variable. */
int notify_start(struct notify *notify, const struct sandbox_plan *plan, struct str environment,
                 struct str session_ca_pem, struct err *err);
void notify_answer(struct notify *notify); /* the listener is readable */
/* Kills what is left, reaps it, removes the directory. */
void notify_close(struct notify *notify);

#endif
