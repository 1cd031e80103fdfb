/* SPDX-License-Identifier: Apache-2.0 */
/*
 * confine: takes away from this process what its duty does not need.
 *
 * Each process's file has its list at the top.  Order: limits, no-new-privileges, network
 * namespace, ids, dumpable 0, Landlock, seccomp.  What the kernel does not have is reported, not
 * hidden (`keybrake doctor` prints it).
 */
#ifndef OS_CONFINE_H
#define OS_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

enum confine_access {
    CONFINE_READ = 1,  /* files below: open for reading, list */
    CONFINE_WRITE = 2, /* and write, make, remove, truncate */
};

struct confine_path {
    const char *path;
    unsigned access;
};

struct confine {
    const int *syscalls; /* allowed, whatever their arguments (SYS_...) */
    size_t syscall_count;
    /* Allowed only as a small safe form: sendto without an address and without MSG_FASTOPEN,
     * socket only AF_UNIX/AF_INET/AF_INET6 stream and AF_INET/6 datagram, mmap and mprotect without
     * PROT_EXEC, prctl only PR_SET_NAME, ioctl FIONREAD, fcntl F_GETFL/F_SETFL/F_*FD/locks, ... */
    bool send, socket, map, file_lock;
    const struct confine_path *paths; /* Landlock: nothing else of the file system */
    size_t path_count;
    bool empty_network; /* own empty network namespace, when we are root */
    unsigned files_max; /* RLIMIT_NOFILE; 0: leave */
    bool may_lock_memory;
};

/* As root, also becomes `user` (a name; NULL: stay) with no groups and no capabilities. */
int confine_apply(const struct confine *confine, const char *user, struct err *err);

/* What this kernel can do, for doctor and the log. */
struct confine_support {
    int landlock_abi; /* 0: none */
    bool landlock_network, seccomp, user_namespaces, network_namespaces, memfd_secret;
};
struct confine_support confine_probe(void);

#endif
