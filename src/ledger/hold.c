/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/hold.h"

#include <assert.h>
#include <stdlib.h>

#include "base/integer.h"
#include "base/mem.h"

#define TO(state) (1u << (state))

static const struct {
    const char *name; /* as stored and audited */
    unsigned next;
} states[HOLD_STATE_COUNT] = {
    [HOLD_OPEN] = {"open", TO(HOLD_UNKNOWN) | TO(HOLD_HELD) | TO(HOLD_POSTED) | TO(HOLD_VOIDED)},
    [HOLD_UNKNOWN] = {"unknown", TO(HOLD_HELD) | TO(HOLD_POSTED) | TO(HOLD_VOIDED)},
    [HOLD_HELD] = {"held", TO(HOLD_HELD) | TO(HOLD_POSTED) | TO(HOLD_VOIDED)},
    [HOLD_POSTED] = {"posted", 0},
    [HOLD_VOIDED] = {"voided", 0},
};

const char *hold_state_name(enum hold_state state)
{
    return states[state].name;
}

bool hold_is_over(enum hold_state state)
{
    return states[state].next == 0;
}

bool hold_may_move(enum hold_state from, enum hold_state to)
{
    return (states[from].next & TO(to)) != 0;
}

static struct str own(struct str s)
{
    return s.len == 0 ? STR_NONE : (struct str){mem_copy_str(s), s.len};
}

static void disown(struct str s)
{
    if (s.len > 0) {
        free((void *)(uintptr_t)s.data);
    }
}

struct hold *hold_new(const struct message_row_hold *row)
{
    struct hold *hold = mem_zeroed(sizeof(*hold));

    hold->number = row->hold;
    hold->row = *row;
    hold->row.vendor = own(row->vendor);
    hold->row.operation = own(row->operation);
    hold->row.object = own(row->object);
    hold->row.currency = own(row->currency);
    hold->row.account = own(row->account);
    hold->row.vendor_key = own(row->vendor_key);
    list_init(&hold->object_link);
    list_init(&hold->link);
    return hold;
}

void hold_free(struct hold *hold)
{
    if (hold == NULL) {
        return;
    }
    disown(hold->row.vendor);
    disown(hold->row.operation);
    disown(hold->row.object);
    disown(hold->row.currency);
    disown(hold->row.account);
    disown(hold->row.vendor_key);
    free(hold);
}

void hold_name_object(struct hold *hold, struct str object)
{
    struct str old = hold->row.object;

    hold->row.object = own(object);
    disown(old);
}

bool hold_move(struct hold *hold, struct windows *windows, const struct level *levels, size_t count,
               const struct hold_change *change)
{
    struct message_row_hold *row = &hold->row;
    int64_t worth = 0;
    bool more = !int_add(change->posted, change->held, &worth) || worth > row->posted + row->held;
    bool overrun = more && !change->admitted;

    assert(hold_may_move(row->state, change->state));
    assert(change->posted >= row->posted && change->held >= 0);
    assert(!hold_is_over(change->state) || change->held == 0);
    assert(change->state != HOLD_VOIDED || change->posted == row->posted);
    windows_move(windows, levels, count, change->posted - row->posted, change->held - row->held);
    if (overrun) {
        row->overrun = true;
        windows_set_overrun(windows, levels, count);
    }
    row->state = change->state;
    row->posted = change->posted;
    row->held = change->held;
    row->changed_at_ms = change->at_ms;
    row->estimated = row->estimated || change->estimated;
    row->presumed = row->presumed || change->presumed;
    if (change->object.len > 0) {
        hold_name_object(hold, change->object);
    }
    return overrun;
}
