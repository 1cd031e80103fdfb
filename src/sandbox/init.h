/* SPDX-License-Identifier: Apache-2.0 */
/*
 * init: the first process of a sandbox.
 *
 * Starts the command, reaps, passes signals on, and answers for names.  When the command ends it
 * ends too, and the kernel kills whatever is left in the process namespace.  It lives as exposed as
 * the command does: the same user, no capabilities, a short list of system calls, and nothing in
 * its memory that the command does not know.
 */
#ifndef SANDBOX_INIT_H
#define SANDBOX_INIT_H

#include "base/err.h"
#include "sandbox/filter.h"

struct init_plan {
    char *const *argv;
    char *const *environment;
    int names_udp, names_tcp; /* sockets on port 53; -1: none */
    struct filter *filter;    /* the command's */
    int news;                 /* to the launcher: what went wrong before the command ran */
    unsigned pid_max, file_max;
    const char *const *writable; /* directories that the command may change, and its own places */
    size_t writable_count;
};

/* Does not return. */
void init_run(const struct init_plan *plan) __attribute__((noreturn));

#endif
