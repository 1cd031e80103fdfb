/* SPDX-License-Identifier: Apache-2.0 */
/*
 * seccomp: only the system calls of a confine are left; another one kills the process.
 */
#ifndef OS_SECCOMP_H
#define OS_SECCOMP_H

#include "base/err.h"
#include "os/confine.h"

int seccomp_enter(const struct confine *confine, struct err *err);

#endif
