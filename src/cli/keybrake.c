/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/roles.h"

#ifdef KEYBRAKE_SANITIZE
/* A confined process cannot start a symbolizer; the report has modules and offsets instead. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "symbolize=0";
}
#endif

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
