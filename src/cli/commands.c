/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, in the order of the help.  A command's options stand in its own file. */
#include "cli/command.h"

#include <stdio.h>

static int run_version(const struct invocation *invocation)
{
    (void)invocation;
    (void)puts("keybrake 0.1");
    return EXIT_DONE;
}

const struct command commands[] = {
    {"version", "", "print the version", run_version, NULL, 0},
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);
