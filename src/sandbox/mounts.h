/* SPDX-License-Identifier: Apache-2.0 */
/*
 * mounts: the few things that building a sandbox asks of the kernel's mounts.
 *
 * With the newer calls (open_tree, move_mount, mount_setattr; Linux 5.12), so that a source can be
 * held by a descriptor while its old path is covered, and is never seen with fewer restrictions
 * than it will have.
 */
#ifndef SANDBOX_MOUNTS_H
#define SANDBOX_MOUNTS_H

#include "base/err.h"

/* A detached copy of what is mounted at and below `path`, with these MOUNT_ATTR_ flags set on all
 * of it, and nosuid.  A descriptor, or -1. */
int mounts_clone(const char *path, unsigned flags, struct err *err);
int mounts_attach(int tree, const char *target, struct err *err); /* and closes it */

/* A new tmpfs, in which we then stand; relative paths are in it from here on. */
int mounts_new_root(struct err *err);
/* A new file system of this type at `target`. */
int mounts_fresh(const char *type, const char *target, unsigned flags, struct err *err);
/* One file or directory over another, read-only. */
int mounts_bind(const char *source, const char *target, struct err *err);
/* A directory over itself, as writable as it is: it cannot be moved then. */
int mounts_pin(const char *path, struct err *err);
/* The new root becomes the root, read-only, and the old one is gone. */
int mounts_enter(struct err *err);

#endif
