/* SPDX-License-Identifier: Apache-2.0 */
/* What operators say of money: what became of a hold, what currencies are worth, what time it is.
 */
#include <string.h>

#include "base/clock.h"
#include "base/integer.h"
#include "base/log.h"
#include "judge/audit.h"
#include "judge/calls.h"
#include "judge/holds.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/now.h"
#include "judge/rates.h"
#include "judge/record.h"
#include "policy/policy_json.h"
#include "policy/usd.h"

enum { FX_MARGIN_MAX = 1000 };

/* ---- holds ---- */

struct resolution {
    struct call *call;
    struct call_resolve asked;
    struct key *key;
};

static void reply_hold(struct call *call, const struct hold *hold)
{
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);

    json_hold(&out, call->judge, hold);
    call_wait(pending);
}

static void told(struct resolution *it, enum audit_event event, const struct hold *hold,
                 int64_t posted)
{
    audit_hold_by(it->call->judge, event, hold, it->key, posted,
                  it->asked.posted ? "posted_by_operator" : "voided_by_operator",
                  it->call->caller.name);
    if (it->asked.note.len > 0) {
        char id[24];
        (void)snprintf(id, sizeof(id), "%llu", (unsigned long long)hold->number);
        audit_control(it->call->judge, it->call->caller.name, "hold_resolve", it->key, str_from(id),
                      it->asked.note);
    }
}

static void resolve_open(struct resolution *it, struct hold *hold)
{
    struct call *call = it->call;
    struct judge *judge = call->judge;
    struct hold_change change = {.state = it->asked.posted ? HOLD_POSTED : HOLD_VOIDED,
                                 .posted = it->asked.posted ? it->asked.amount : hold->row.posted,
                                 .at_ms = judge->clock.now_ms};

    if (hold->row.state == HOLD_OPEN) {
        call_refuse(call, 409, "in_flight",
                    "the request under this hold is under way; what becomes of it is known in a "
                    "moment");
        return;
    }
    if (change.posted < hold->row.posted) {
        call_refuse(call, 409, "conflict",
                    "$%s is posted under this hold already: resolve it with at least that, and "
                    "correct it afterwards by a second call",
                    usd_text(hold->row.posted).text);
        return;
    }
    if (!hold_may_move(hold->row.state, change.state)) {
        call_refuse(call, 409, "conflict", "a hold that is %s cannot become %s",
                    hold_state_name(hold->row.state), hold_state_name(change.state));
        return;
    }
    struct hold *copy = hold_new(&hold->row); /* the change may forget the hold */
    copy->row.state = change.state;
    copy->row.posted = change.posted;
    copy->row.held = 0;
    copy->row.changed_at_ms = change.at_ms;
    told(it, AUDIT_RESOLVED, copy, holds_change(judge, hold, &change));
    reply_hold(call, copy);
    hold_free(copy);
}

/* On every level whose window is still open.  A window that is closed has no more to admit: then
 * only the rows, and the sums made of them, are put right. */
static void correct_windows(struct resolution *it, int64_t day, int64_t delta)
{
    struct judge *judge = it->call->judge;
    struct level levels[WINDOW_LEVELS_MAX];
    size_t count = it->key == NULL ? 0 : key_levels(it->key, day, levels);

    for (size_t i = 0; i < count; i++) {
        const struct window *window =
            windows_find(&judge->windows, &levels[i].owner, levels[i].day);
        if (window != NULL && (delta >= 0 || window->posted >= -delta)) {
            windows_move(&judge->windows, &levels[i], 1, delta, 0);
        }
    }
}

/* What is over changes only by a correction, which the audit links with it by its number. */
static void correct(struct resolution *it, struct message_row_hold *row)
{
    struct judge *judge = it->call->judge;
    int64_t amount = it->asked.posted ? it->asked.amount : 0, delta;

    if (!int_sub(amount, row->posted, &delta)) {
        call_refuse(it->call, 400, "bad_request", "the amount is beyond what can be counted");
        return;
    }
    row->state = it->asked.posted ? HOLD_POSTED : HOLD_VOIDED;
    row->posted = amount;
    row->held = 0;
    row->presumed = row->estimated = false;
    row->changed_at_ms = judge->clock.now_ms;
    if (delta != 0) {
        correct_windows(it, row->day, delta);
    }
    record_row(judge, MESSAGE_ROW_HOLD, row);
    struct hold *hold = hold_new(row);
    told(it, AUDIT_CORRECTED, hold, delta);
    reply_hold(it->call, hold);
    hold_free(hold);
    holds_corrected(judge, row);
}

void call_hold_resolve(struct call *call)
{
    struct resolution it = {.call = call};
    struct message_row_hold row;
    uint64_t number = 0;

    if (!call_decode(call, &call_resolve_schema, &it.asked) || !call_has_room(call)) {
        return;
    }
    if (it.asked.amount < 0 || !str_to_u64(call->message->id, &number)) {
        call_refuse(call, 400, "bad_request",
                    "a hold is named by its number, and an amount is not "
                    "negative");
        return;
    }
    struct hold *hold = holds_find(call->judge, number);
    if (hold != NULL) {
        it.key = keys_by_number(call->judge, hold->row.key);
        if (!hold_is_over(hold->row.state)) {
            resolve_open(&it, hold);
        } else {
            row = hold->row;
            correct(&it, &row);
        }
        return;
    }
    /* Those that are over are in the database only. */
    if (it.asked.row.len == 0 ||
        !wire_decode(message_schema(MESSAGE_ROW_HOLD), it.asked.row, call->arena, &row) ||
        row.hold != number || !hold_is_over(row.state)) {
        call_refuse(call, 404, "not_found", "there is no such hold");
        return;
    }
    it.key = keys_by_number(call->judge, row.key);
    correct(&it, &row);
}

/* ---- exchange rates ---- */

static const char *bad_rates(const struct call_fx *fx)
{
    if (fx->rate_count == 0 || fx->margin_percent > FX_MARGIN_MAX || fx->as_of_ms <= 0) {
        return "exchange rates have a date, a margin of at most 1000 percent, and a rate";
    }
    for (size_t i = 0; i < fx->rate_count; i++) {
        const struct call_fx_rate *rate = &fx->rates[i];
        bool named = rate->currency.len == 3;
        for (size_t k = 0; k < rate->currency.len; k++) {
            named = named && rate->currency.data[k] >= 'a' && rate->currency.data[k] <= 'z';
        }
        if (!named || rate->nano_per_unit <= 0) {
            return "a rate is of a currency of three small letters, and more than nothing";
        }
        for (size_t k = 0; k < i; k++) {
            if (str_equal(fx->rates[k].currency, rate->currency)) {
                return "a currency has one rate";
            }
        }
    }
    return NULL;
}

void call_fx_put(struct call *call)
{
    struct judge *judge = call->judge;
    const struct config *config = judge->generation->config;
    struct call_fx fx;

    if (!call_decode(call, &call_fx_schema, &fx) || !call_has_room(call)) {
        return;
    }
    const char *why = bad_rates(&fx);
    if (why != NULL) {
        call_refuse(call, 400, "bad_request", "%s", why);
        return;
    }
    if (fx.as_of_ms > judge->clock.now_ms) {
        call_refuse(call, 400, "bad_request", "the rates are of a day that is still to come");
        return;
    }
    if (fx.as_of_ms < config->fx_as_of_ms) {
        call_refuse(call, 409, "conflict", "the rates in use are newer, of %s",
                    clock_day_text(clock_day(config->fx_as_of_ms)).text);
        return;
    }
    rates_put(judge, &fx);
    audit_control(judge, call->caller.name, "fx_put", NULL,
                  str_from(clock_day_text(clock_day(fx.as_of_ms)).text), fx.source);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    json_fx(&out, judge->generation->config);
    call_wait(pending);
}

/* ---- the clock ---- */

void call_clock_vouch(struct call *call)
{
    struct judge *judge = call->judge;
    bool was_suspect = judge->clock.suspect;

    if (!call_has_room(call)) {
        return;
    }
    clock_guard_vouch(&judge->clock, clock_wall_ms(), clock_boot_ms());
    log_info("clock", "vouched=operator");
    audit_control(judge, call->caller.name, "clock_vouch", NULL, STR_NONE, STR_NONE);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    json_open(&out, '{');
    json_member_time(&out, "now", judge->clock.now_ms);
    json_member_bool(&out, "was_suspect", was_suspect);
    json_close(&out, '}');
    call_wait(pending);
}
