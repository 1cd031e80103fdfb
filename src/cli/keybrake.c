/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/roles.h"

int main(int argc, char **argv)
{
    role_main *role = argc > 0 ? role_find(argv[0]) : NULL;

    if (role == NULL) {
        return command_main(argc, argv);
    }
    int status = role(argc, argv);
#ifdef KEYBRAKE_SANITIZE
    /* A confined process cannot be searched for leaks. */
    _exit(status);
#endif
    return status;
}
