/* SPDX-License-Identifier: Apache-2.0 */
/*
 * files: what a sandbox sees of the file system.
 *
 *     /usr /bin /sbin /lib* /opt   the machine's, read-only
 *     /etc                         the same, but for what not everybody may read, and with names,
 *                                  users and trusted CAs of its own
 *     /dev /proc /tmp /home/agent  fresh
 *     the working directory        read-only, at its own path
 *     what was asked for           read-only or writable, at its own path
 *
 * and nothing else: no home directory, no /root, /run, /var, /srv or /mnt, no sockets of daemons.
 * All of it hangs off a fresh tmpfs, so a path that nobody thought of is a path that is not there.
 */
#ifndef SANDBOX_FILES_H
#define SANDBOX_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

#define FILES_HOME "/home/agent"
#define FILES_BUNDLE "/run/keybrake/ca-certificates.pem" /* the system's CAs and the session's */
#define FILES_JAVA_LIST "/run/keybrake/cacerts"          /* the same as Java reads it */
#define FILES_CA "/run/keybrake/session-ca.pem"          /* the session's alone */

enum { FILES_PATHS_MAX = 64 };

/* Paths are absolute and without links, as realpath() gives them. */
struct files_plan {
    const char *directory; /* the working directory */
    const char *const *writable;
    size_t writable_count;
    const char *const *readable;
    size_t readable_count;
    const char *const *hidden; /* empty where they are below something visible */
    size_t hidden_count;
};

struct files;

/* Refuses directories that would show what a sandbox is there to hide: "/", a home directory as a
 * whole or its keys (.ssh, .aws, ...), a directory of the system's.  `home` may be NULL. */
int files_check(const struct files_plan *plan, const char *home, struct err *err);

/* In the calling process's own new mount namespace.  In three steps: finding the sources, as who we
 * are by birth; building, as who the command will be; closing the old world off.  `proc_is_ours`
 * becomes false where the kernel gives no fresh /proc (inside some containers). */
struct files *files_open(const struct files_plan *plan, struct err *err);
int files_build(struct files *files, uid_t uid, gid_t gid, bool *ret_proc_is_fresh,
                struct err *err);
int files_enter(struct files *files, struct str session_ca_pem, struct err *err);

#endif
