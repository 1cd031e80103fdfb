/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/settle_rules.h"

#include "base/limits.h"

bool settle_by_repeat(enum hold_state state, const struct settlement *settlement, bool replayed)
{
    return state == HOLD_UNKNOWN &&
           (settlement->state == HOLD_POSTED || settlement->state == HOLD_HELD ||
            (settlement->state == HOLD_VOIDED && replayed));
}

bool settle_proves_nothing(const struct message_outcome *outcome)
{
    return outcome->retried && !outcome->replayed && outcome->outcome == OUTCOME_ANSWERED &&
           outcome->status / 100 != 2;
}

struct hold_change settle_object_change(const struct message_row_hold *row,
                                        const struct settlement *settlement, int64_t now_ms)
{
    int64_t posted = settlement->posted - row->base;
    struct hold_change change = {.at_ms = now_ms, .held = settlement->held};

    change.posted = posted > row->posted ? posted : row->posted;
    change.state = change.held > 0 ? HOLD_HELD : change.posted > 0 ? HOLD_POSTED : HOLD_VOIDED;
    change.object = str_slice(settlement->object, 0, LIMIT_LABEL_BYTES);
    return change;
}
