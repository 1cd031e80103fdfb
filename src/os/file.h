/* SPDX-License-Identifier: Apache-2.0 */
/*
 * file: small files that are there as a whole or not at all, and stay.
 */
#ifndef OS_FILE_H
#define OS_FILE_H

#include <sys/types.h>

#include "base/err.h"
#include "base/str.h"

/* A name is durable when its directory is. */
int file_sync_directory(const char *path, struct err *err);

/* A new file, durable but for its name; refuses when there is one. */
int file_write_new(const char *path, mode_t mode, struct str bytes, struct err *err);

/* Instead of the file of that name, if there is one: after any crash it is the one or the other.
 * Root leaves it to the owner of the one before. */
int file_replace(const char *path, mode_t mode, struct str bytes, struct err *err);

#endif
