/* SPDX-License-Identifier: Apache-2.0 */
/* Where our own control group is: an absolute path without "..", or none.  The input is the two
 * files of /proc, a NUL between them. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "sandbox/cgroup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const controllers[] = {"", "memory", "pids"};
    struct str self = str_of(data, size);
    struct str mountinfo = str_take_until(&self, '\0');

    for (size_t i = 0; i < sizeof(controllers) / sizeof(controllers[0]); i++) {
        char place[CGROUP_PATH_BYTES] = "";
        if (cgroup_place(mountinfo, self, str_from(controllers[i]), place, sizeof(place))) {
            assert(strlen(place) < sizeof(place));
        }
    }
    return 0;
}
