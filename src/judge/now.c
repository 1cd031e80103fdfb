/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/now.h"

#include <sys/timex.h>

#include "base/clock.h"
#include "base/log.h"
#include "judge/audit.h"

void now_update(struct judge *judge)
{
    bool was_suspect = judge->clock.suspect;
    uint64_t turn_us = loop_now_us(judge->loop);

    if (judge->clock_looked_us == turn_us) {
        return; /* once a turn */
    }
    judge->clock_looked_us = turn_us;
    clock_guard_tick(&judge->clock, clock_wall_ms(), clock_boot_ms());
    if (judge->clock.suspect != was_suspect && judge->ready) {
        log_warn("clock", "suspect=%s", judge->clock.suspect ? "yes" : "no");
        audit_server(judge, judge->clock.suspect ? "clock_suspect" : "clock_good", STR_NONE);
    }
}

void now_look_for_sync(struct judge *judge)
{
    struct timex asked = {.modes = 0}; /* reads only */

    if (judge->clock.suspect && adjtimex(&asked) != TIME_ERROR &&
        (asked.status & STA_UNSYNC) == 0) {
        clock_guard_vouch(&judge->clock, clock_wall_ms(), clock_boot_ms());
        log_info("clock", "vouched=system");
        audit_server(judge, "clock_vouched", STR_NONE);
    }
}
