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
    /*
     * Every process may anyway: read and write what is open (recvfrom, recvmsg; sendto without an
     * address and without MSG_FASTOPEN), wait (epoll, poll, sleep), ask for time, random bytes and
     * its own ids, use private memory that is not executable, fstat, lseek, close, shutdown,
     * fcntl F_GETFL/F_SETFL/F_GETFD/F_SETFD/F_GET_SEALS, ioctl FIONREAD/FIONBIO, prctl
     * PR_SET_NAME, and end.  Beyond that, in a safe form only:
     */
    bool send;     /* sendmsg without MSG_FASTOPEN */
    bool socket;   /* socket: AF_INET and AF_INET6, stream and datagram.  Not AF_UNIX: Landlock does
                    * not keep us from a socket that lies in the file system */
    bool map;      /* mmap shared, still not executable; mprotect to not executable */
    bool seal;     /* fcntl F_ADD_SEALS */
    bool terminal; /* ioctl TCGETS, TCSETS and their kin: echo, but nothing typed by us */
    bool file_lock;                   /* fcntl F_SETLK, F_SETLKW, F_GETLK and their F_OFD forms */
    const struct confine_path *paths; /* Landlock: nothing else of the file system */
    size_t path_count;
    bool empty_network; /* own empty network namespace, when we are root */
    unsigned files_max; /* RLIMIT_NOFILE; 0: leave */
    /* Secret memory: memfd_secret, memfd_create, ftruncate, mlock, shared maps, and room for it. */
    bool may_lock_memory;
};

/*
 * As root, also becomes `user` with no groups and no capabilities: a name, or a number for an id
 * that needs no entry anywhere; NULL: stays root, but without capabilities.  Paths are opened
 * before that, so the user need not be able to walk to them.
 */
int confine_apply(const struct confine *confine, const char *user, struct err *err);

/* Whether confine_apply could become this user. */
bool confine_user_exists(const char *user);

/* What this kernel can do, for doctor and the log. */
struct confine_support {
    int landlock_abi; /* 0: none */
    bool landlock_network, seccomp, user_namespaces, network_namespaces, memfd_secret;
};
struct confine_support confine_probe(void);

#endif
