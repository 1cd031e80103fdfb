/* SPDX-License-Identifier: Apache-2.0 */
#include "control/times.h"

#include <string.h>

#include "base/clock.h"

enum { DATE_LENGTH = 10 };

int times_parse(struct str text, const char *name, int64_t now_ms, int64_t *ret_ms, struct err *err)
{
    char day[] = "0000-00-00T00:00:00Z";
    uint64_t ago_ms;

    if (text.len == DATE_LENGTH) {
        memcpy(day, text.data, DATE_LENGTH);
        text = str_from(day);
    }
    if (clock_parse_rfc3339(text, ret_ms)) {
        return 0;
    }
    if (clock_parse_duration(text, &ago_ms) && ago_ms <= (uint64_t)now_ms) {
        *ret_ms = now_ms - (int64_t)ago_ms;
        return 0;
    }
    return err_set(err, "%s is not a time such as 2026-11-23T00:00:00Z, 2026-11-23 or 2h (ago)",
                   name);
}
