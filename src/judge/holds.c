/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/holds.h"

#include <assert.h>

#include "base/log.h"
#include "base/mem.h"
#include "judge/audit.h"
#include "judge/keys.h"
#include "judge/metrics.h"
#include "judge/number.h"
#include "judge/objects.h"
#include "judge/record.h"
#include "judge/watch.h"

void holds_init(struct judge *judge)
{
    judge->holds = TABLE_OF(struct hold, number);
    list_init(&judge->unknown_holds);
}

struct hold *holds_find(const struct judge *judge, uint64_t number)
{
    return table_find(&judge->holds, &number);
}

static void count(struct judge *judge, const struct hold *hold, int by)
{
    struct key *key = keys_by_number(judge, hold->row.key);

    judge->open_holds += (size_t)by;
    if (key != NULL) {
        key->open_holds += (size_t)by;
    }
    for (; key != NULL; key = key->parent) {
        key->holds_below += (size_t)by;
    }
}

static void add(struct judge *judge, struct hold *hold)
{
    table_add(&judge->holds, hold);
    if (!hold_is_over(hold->row.state)) {
        count(judge, hold, 1);
    }
}

static void forget(struct judge *judge, struct hold *hold)
{
    objects_leave(judge, hold);
    (void)table_remove(&judge->holds, &hold->number);
    list_remove(&hold->link);
    hold_free(hold);
}

/* What had moved of the object before: under other holds, or by the vendor's word. */
static int64_t base_of(const struct judge *judge, const struct decision *decision)
{
    int64_t posted = decision->object_id.len == 0 ? 0 : objects_posted(judge, &decision->object);

    return posted > decision->cost.base ? posted : decision->cost.base;
}

struct hold *holds_open(struct judge *judge, const struct decision *decision, uint64_t grant,
                        struct str vendor_key)
{
    const struct pack_operation *operation = decision->match.operation;
    struct message_row_hold row = {
        .hold = number_take(judge, NUMBER_HOLD),
        .grant = grant,
        .key = decision->key->number,
        .day = judge->clock.day,
        .state = HOLD_OPEN,
        .held = decision->cost.nano,
        .opened_at_ms = judge->clock.now_ms,
        .changed_at_ms = judge->clock.now_ms,
        /* Once this row is durable the vault gets its grant, and if we die then, a SENT of the
         * vault may die with us, unread.  So after a restart it proves nothing that none came. */
        .sent = true,
        .vendor = decision->pack->vendor,
        .operation = operation == NULL ? STR_NONE : operation->name,
        .currency = decision->cost.currency,
        .amount_minor = decision->cost.amount_minor,
        .idempotency = decision->scope,
        .object = decision->object_id,
        .credential = decision->credential,
        .account = decision->account_header,
        .vendor_key = vendor_key,
        .base = base_of(judge, decision),
        .rate = decision->cost.factor,
    };
    size_t refused = windows_reserve(&judge->windows, decision->levels, decision->level_count,
                                     decision->cost.nano);

    assert(refused == decision->level_count);
    (void)refused;
    struct hold *hold = hold_new(&row);
    add(judge, hold);
    objects_follow(judge, hold);
    record_row(judge, MESSAGE_ROW_HOLD, &hold->row);
    return hold;
}

/* A voided hold is remembered as long as a record refers to it, since a repeat then gets a new
 * one; a posted one need not be: a repeat under an unknown hold is under a posted one. */
static bool is_needed(const struct judge *judge, const struct hold *hold)
{
    const struct record *record;

    if (!hold_is_over(hold->row.state)) {
        return true;
    }
    if (hold->row.state != HOLD_VOIDED || digest_is_zero(&hold->row.idempotency)) {
        return false;
    }
    record = table_find(&judge->records.table, &hold->row.idempotency);
    return record != NULL && record->hold == hold->number;
}

struct cost_frozen holds_rate(const struct hold *hold)
{
    return (struct cost_frozen){.currency = hold->row.currency, .factor = hold->row.rate};
}

int64_t holds_change(struct judge *judge, struct hold *hold, const struct hold_change *change)
{
    struct level levels[WINDOW_LEVELS_MAX];
    struct key *key = keys_by_number(judge, hold->row.key);
    size_t level_count = key == NULL ? 0 : key_levels(key, hold->row.day, levels);
    int64_t posted = change->posted - hold->row.posted;

    objects_leave(judge, hold); /* it may come to be another's */
    if (hold_move(hold, &judge->windows, levels, level_count, change)) {
        log_error("overrun", "hold=%llu vendor=%s", (unsigned long long)hold->number,
                  log_text(hold->row.vendor).text);
    }
    record_row(judge, MESSAGE_ROW_HOLD, &hold->row);
    metrics_spent(judge->metrics, hold->row.vendor, posted);
    list_remove(&hold->link);
    if (hold->row.state == HOLD_UNKNOWN) {
        list_add(&judge->unknown_holds, &hold->link);
    }
    if (!hold_is_over(hold->row.state)) {
        objects_follow(judge, hold);
        watch_hold(judge, hold);
    } else {
        watch_over(judge, hold->number);
        count(judge, hold, -1);
        if (!is_needed(judge, hold)) {
            forget(judge, hold);
        }
    }
    return posted;
}

void holds_name_object(struct judge *judge, struct hold *hold, struct str object)
{
    objects_leave(judge, hold);
    hold_name_object(hold, object);
    objects_follow(judge, hold);
    record_row(judge, MESSAGE_ROW_HOLD, &hold->row);
}

void holds_corrected(struct judge *judge, const struct message_row_hold *row)
{
    struct hold *hold = holds_find(judge, row->hold);

    if (hold == NULL) {
        return;
    }
    hold->row.state = row->state;
    hold->row.posted = row->posted;
    if (!is_needed(judge, hold)) {
        forget(judge, hold);
    }
}

void holds_record_gone(void *ctx, uint64_t number)
{
    struct judge *judge = ctx;
    struct hold *hold = holds_find(judge, number);

    if (hold != NULL && hold_is_over(hold->row.state)) {
        forget(judge, hold);
    }
}

/* ---- after a start ---- */

void holds_load(struct judge *judge, const struct message_row_hold *row)
{
    number_seen(judge, NUMBER_HOLD, row->hold);
    number_seen(judge, NUMBER_GRANT, row->grant);
    struct hold *older = holds_find(judge, row->hold);
    if (older != NULL) { /* the later row is the one that counts */
        forget(judge, older);
    }
    if (row->state == HOLD_POSTED) {
        return;
    }
    table_add(&judge->holds, hold_new(row));
}

/* What the holds say is held must be there, or a settlement would take away what is not. */
static void check_windows(struct judge *judge, const struct hold *hold, struct windows *sums)
{
    struct level levels[WINDOW_LEVELS_MAX];
    struct key *key = keys_by_number(judge, hold->row.key);

    if (key == NULL) {
        log_error("hold-without-key", "hold=%llu", (unsigned long long)hold->number);
        return;
    }
    size_t level_count = key_levels(key, hold->row.day, levels);
    windows_move(sums, levels, level_count, 0, hold->row.held);
    for (size_t i = 0; i < level_count; i++) {
        const struct window *sum = windows_find(sums, &levels[i].owner, levels[i].day);
        const struct window *window =
            windows_find(&judge->windows, &levels[i].owner, levels[i].day);
        int64_t there = window == NULL ? 0 : window->held;
        if (sum->held > there) {
            log_error("window-mended", "owner=%s", log_text(levels[i].name).text);
            windows_move(&judge->windows, &levels[i], 1, 0, sum->held - there);
        }
    }
}

static void resolve(struct judge *judge, struct hold *hold)
{
    bool sent = hold->row.sent;
    struct hold_change change = {.state = sent ? HOLD_UNKNOWN : HOLD_VOIDED,
                                 .posted = hold->row.posted,
                                 .held = sent ? hold->row.held : 0,
                                 .at_ms = judge->clock.now_ms};
    const struct key *key = keys_by_number(judge, hold->row.key);
    struct message_row_hold row = hold->row;

    /* The row's texts live on in a copy: the change may forget the hold. */
    struct hold *copy = hold_new(&row);
    copy->row.state = change.state;
    copy->row.held = change.held;
    (void)holds_change(judge, hold, &change);
    audit_hold(judge, AUDIT_RESOLVED, copy, key, 0,
               sent ? "unknown_after_restart" : "voided_after_restart");
    hold_free(copy);
}

void holds_loaded(struct judge *judge)
{
    struct windows sums;
    size_t at = 0;
    size_t open_count = 0;
    struct hold *hold;
    struct hold **open = mem_array(judge->holds.count + 1, sizeof(struct hold *));

    windows_init(&sums);
    while ((hold = table_next(&judge->holds, &at)) != NULL) {
        if (hold_is_over(hold->row.state)) {
            continue;
        }
        count(judge, hold, 1);
        objects_follow(judge, hold);
        watch_hold(judge, hold);
        check_windows(judge, hold, &sums);
        if (hold->row.state == HOLD_OPEN) {
            open[open_count++] = hold;
        } else if (hold->row.state == HOLD_UNKNOWN) {
            list_add(&judge->unknown_holds, &hold->link);
        }
    }
    for (size_t i = 0; i < open_count; i++) {
        resolve(judge, open[i]);
    }
    windows_clear(&sums);
    free(open);
}

/* ---- the deadline ---- */

void holds_post_held(struct judge *judge, struct hold *hold, struct hold_change change,
                     enum audit_event event, const char *reason)
{
    const struct key *key = keys_by_number(judge, hold->row.key);
    struct hold *copy = hold_new(&hold->row); /* the change may forget it */

    change.state = HOLD_POSTED;
    change.posted = hold->row.posted + hold->row.held;
    change.at_ms = judge->clock.now_ms;
    copy->row.state = HOLD_POSTED;
    copy->row.posted = change.posted;
    copy->row.held = 0;
    int64_t posted = holds_change(judge, hold, &change);
    audit_hold(judge, event, copy, key, posted, reason);
    hold_free(copy);
}

static void presume(struct judge *judge, struct hold *hold)
{
    holds_post_held(judge, hold, (struct hold_change){.presumed = true}, AUDIT_PRESUMED,
                    "unknown_for_24h");
}

void holds_tick(struct judge *judge)
{
    /* After a start the list is in no order, so all of it is looked at; it is short. */
    struct list *next;

    for (struct list *at = judge->unknown_holds.next; at != &judge->unknown_holds; at = next) {
        struct hold *hold = LIST_THING(at, struct hold, link);
        next = at->next;
        if (judge->clock.now_ms - hold->row.changed_at_ms >= HOLD_UNKNOWN_MS) {
            presume(judge, hold);
        }
    }
}
