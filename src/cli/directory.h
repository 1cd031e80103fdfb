/* SPDX-License-Identifier: Apache-2.0 */
/*
 * directory: a new data directory, for init and backup.
 */
#ifndef CLI_DIRECTORY_H
#define CLI_DIRECTORY_H

#include "base/err.h"

/* Every missing part of the path (0755); the last one must be new, or empty, and is ours alone
 * (0700). */
int directory_make(const char *path, struct err *err);

/* PATH/NAME, ours alone. */
int directory_make_below(const char *path, const char *name, struct err *err);

/* What a directory_make() whose command has failed holds; nothing else can be in one that is new.
 */
void directory_unmake(const char *path);

#endif
