/* SPDX-License-Identifier: Apache-2.0 */
/*
 * spawn: starts a program from an open descriptor, with nothing of ours but what it is to have:
 * `channel` as descriptor 3, our stderr, /dev/null as 0 and 1, no environment, default signals.
 */
#ifndef OS_SPAWN_H
#define OS_SPAWN_H

#include <sys/types.h>

#include "base/err.h"

pid_t spawn_program(int program_fd, char *const argv[], int channel, struct err *err); /* or -1 */

#endif
