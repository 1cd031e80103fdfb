/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/idempotency.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

void records_init(struct records *records, size_t max)
{
    records->table = TABLE_OF(struct record, scope);
    list_init(&records->oldest);
    records->max = max;
}

static void forget(struct records *records, struct record *record)
{
    (void)table_remove(&records->table, &record->scope);
    list_remove(&record->link);
    free(record);
}

void records_clear(struct records *records)
{
    while (!list_empty(&records->oldest)) {
        forget(records, LIST_THING(records->oldest.next, struct record, link));
    }
    table_clear(&records->table);
}

enum repeat records_look(const struct records *records, const struct digest *scope,
                         const struct digest *body, int64_t now_ms, uint64_t window_ms,
                         bool (*hold_state)(const void *ctx, uint64_t hold, enum hold_state *ret),
                         const void *ctx, const struct record **ret_record)
{
    const struct record *record = table_find(&records->table, scope);
    int64_t lives_ms = (int64_t)window_ms - IDEMPOTENCY_MARGIN_MS;
    enum hold_state state = HOLD_POSTED;

    *ret_record = record;
    if (record == NULL) {
        return records->table.count < records->max ? REPEAT_NEW : REPEAT_FULL;
    }
    bool known = hold_state(ctx, record->hold, &state);
    if (known && state == HOLD_OPEN) {
        /* Whatever its age: its first request is under way. */
        return digest_equal(&record->body, body) ? REPEAT_IN_FLIGHT : REPEAT_MISMATCH;
    }
    if (now_ms - record->first_at_ms >= lives_ms) {
        return REPEAT_NEW;
    }
    if (!digest_equal(&record->body, body)) {
        return REPEAT_MISMATCH;
    }
    return known && state == HOLD_VOIDED ? REPEAT_VOIDED : REPEAT_SAME;
}

void records_put(struct records *records, const struct message_row_idempotency *row)
{
    struct record *record = table_find(&records->table, &row->scope);

    if (record == NULL) {
        record = mem_zeroed(sizeof(*record));
        record->scope = row->scope;
        table_add(&records->table, record);
        list_init(&record->link);
    }
    record->body = row->body;
    record->hold = row->hold;
    record->found_minor = row->found_minor;
    (void)snprintf(record->currency, sizeof(record->currency), "%.*s", STR_FMT(row->currency));
    if (record->first_at_ms != row->first_at_ms || list_empty(&record->link)) {
        record->first_at_ms = row->first_at_ms;
        list_remove(&record->link);
        list_add(&records->oldest, &record->link);
    }
}

void records_remove(struct records *records, const struct digest *scope)
{
    struct record *record = table_find(&records->table, scope);

    if (record != NULL) {
        forget(records, record);
    }
}

void records_forget(struct records *records, int64_t before_ms,
                    void (*gone)(void *ctx, uint64_t hold), void *ctx)
{
    while (!list_empty(&records->oldest)) {
        struct record *record = LIST_THING(records->oldest.next, struct record, link);
        if (record->first_at_ms >= before_ms) {
            return;
        }
        uint64_t hold = record->hold;
        forget(records, record);
        gone(ctx, hold);
    }
}
