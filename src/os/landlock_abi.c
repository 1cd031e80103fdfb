/* SPDX-License-Identifier: Apache-2.0 */
/* A file of its own, so that a test can be linked with a kernel that knows less. */
#include <linux/landlock.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "os/landlock.h"

int landlock_abi(void)
{
    long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}
