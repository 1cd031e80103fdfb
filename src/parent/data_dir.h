/* SPDX-License-Identifier: Apache-2.0 */
/*
 * data_dir: DIR/db (scribe; control reads), DIR/vault (the key), DIR/run (sockets, the lock).
 *
 * As root the children run as `user`: the directory and the database become that user's, the
 * key and the sockets stay root's.
 */
#ifndef PARENT_DATA_DIR_H
#define PARENT_DATA_DIR_H

#include <sys/types.h>

#include "base/err.h"

/* Refuses a directory that `keybrake init` has not made, that others may write to, or that
 * another server uses.  Returns the lock, to be kept open. */
int data_dir_claim(const char *path, struct err *err);

/* As root: hands the database over to `user` ("" is root itself).  Else does nothing. */
int data_dir_give(const char *path, const char *user, struct err *err);

/* The group that may use the control socket, when we are root and it exists; else (gid_t)-1. */
gid_t data_dir_group(void);

#endif
