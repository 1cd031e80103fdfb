/* SPDX-License-Identifier: Apache-2.0 */
#include "control/members.h"

#include <string.h>

int members_known(json_t *json, const char *const *known, struct err *err)
{
    const char *name;
    json_t *value;

    json_object_foreach(json, name, value)
    {
        const char *const *at = known;
        while (*at != NULL && strcmp(*at, name) != 0) {
            at++;
        }
        if (*at == NULL) {
            return err_set(err, "'%.64s' is not known here", name);
        }
    }
    return 0;
}
