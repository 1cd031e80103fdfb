/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk: what a process inside says to the launcher: a letter, text, and at times descriptors.
 */
#ifndef SANDBOX_TALK_H
#define SANDBOX_TALK_H

#include <stddef.h>

#include "base/err.h"

enum { TALK_SOCKETS = 'S', TALK_BUILT = 'B', TALK_PROBLEM = 'P' };

void talk_tell(int fd, char kind, const void *data, size_t len, const int *fds, size_t fd_count);
void talk_fail(int fd, const struct err *err) __attribute__((noreturn)); /* says it and ends */

#endif
