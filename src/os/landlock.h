/* SPDX-License-Identifier: Apache-2.0 */
/*
 * landlock: of the file system, only the named paths; of TCP, connecting at most; no signals to
 * and no abstract sockets of strangers.  As much of it as this kernel knows.
 */
#ifndef OS_LANDLOCK_H
#define OS_LANDLOCK_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"
#include "os/confine.h"

int landlock_abi(void); /* 0: none */

/* In two steps, so that ids can change between them.  A ruleset, or -1 with the reason; -2 when
 * the kernel has no Landlock. */
int landlock_prepare(const struct confine_path *paths, size_t count, bool may_connect,
                     struct err *err);
/* The same for a command that we only house: below CONFINE_READ paths it may execute too, below
 * CONFINE_WRITE do anything, and its network is none of our business. */
int landlock_prepare_house(const struct confine_path *paths, size_t count, struct err *err);
int landlock_enter(int ruleset, struct err *err); /* closes it */

#endif
