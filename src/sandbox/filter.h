/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filter: the system calls that a sandboxed command may not make.
 *
 * A list of what is refused, and not of what is allowed: any program may run in here, and what
 * keeps it in are the namespaces.  The filter closes what would let it out of them, or at the
 * kernel's more dangerous parts: new namespaces, mounts, keys, BPF, perf, io_uring, userfaultfd,
 * other processes' memory, and sockets of any kind but TCP, UDP, Unix and route netlink.  Refused
 * calls answer EPERM, those that programs probe for ENOSYS; nothing is killed.
 */
#ifndef SANDBOX_FILTER_H
#define SANDBOX_FILTER_H

#include <stdbool.h>

#include "base/err.h"

enum filter_kind {
    FILTER_NAMESPACES, /* within namespaces of its own */
    FILTER_NOTIFY,     /* without: connect() is asked of a supervisor, and more is refused */
};

struct filter;

/* `shares_group`: its process group has processes in it that are outside.
 * Putting it together takes as long as some of a sandbox's mounts: it can be done beforehand. */
struct filter *filter_make(enum filter_kind kind, bool shares_group, struct err *err);
/* For this process and all below it; frees the filter.  With FILTER_NOTIFY the listening
 * descriptor is given. */
int filter_enter(struct filter *filter, int *ret_listener, struct err *err);

#endif
