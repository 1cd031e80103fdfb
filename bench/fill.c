/* SPDX-License-Identifier: Apache-2.0 */
/*
 * fill DIR ROWS: puts a history into a new data directory, through the store itself.
 *
 * Of ROWS ledger rows half are idempotency records and half the holds they refer to: of ten records
 * one's hold is held by an object at the vendor, one's unknown, one's voided and the rest posted.
 * Beside them 1,000 keys with their windows, and an audit row for every hold.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ledger/chain.h"
#include "policy/policy.h"
#include "store/store.h"

enum { KEYS = 1000, GROUP = 4096, CENT = 10000000, DAY_MS = 24 * 3600 * 1000 };

static struct store *store;
static struct err err;
static uint64_t in_group;

static void put(enum message_type type, const void *row)
{
    if (store_put(store, type, row, &err) != STORE_DONE ||
        (++in_group % GROUP == 0 && store_commit(store, &err) != STORE_DONE)) {
        (void)fprintf(stderr, "%s: %s\n", message_name(type), err.text);
        exit(EXIT_FAILURE);
    }
}

struct name {
    char text[24];
};

static struct name key_name(uint64_t key)
{
    struct name out;

    (void)snprintf(out.text, sizeof(out.text), "key_%016" PRIu64, key);
    return out;
}

static void put_keys(int64_t now_ms)
{
    struct str entries[] = {STR("/v1/*")};
    struct policy policy = {.vendor = STR("stripe"),
                            .label = STR("history"),
                            .daily_cap = MONEY_NONE,
                            .total_cap = MONEY_NONE,
                            .total_cap_given = true,
                            .entries = entries,
                            .entry_count = 1,
                            .expires_at_ms = now_ms + DAY_MS,
                            .flat_price = MONEY_NONE,
                            .max_amount = MONEY_NONE};
    struct buf bytes;

    buf_init(&bytes, 65536);
    (void)wire_encode(&policy_schema, &policy, &bytes);
    for (uint64_t i = 1; i <= KEYS; i++) {
        struct name name = key_name(i);
        struct message_row_key row = {.key = i,
                                      .id = str_from(name.text),
                                      .token_digest = digest_of(str_from(name.text)),
                                      .token_hint = STR("abcd"),
                                      .policy = buf_str(&bytes),
                                      .policy_version = 1,
                                      .status = KEY_ACTIVE,
                                      .created_at_ms = now_ms,
                                      .expires_at_ms = now_ms + DAY_MS,
                                      .created_by = STR("fill"),
                                      .label = STR("history"),
                                      .vendor = STR("stripe")};
        put(MESSAGE_ROW_KEY, &row);
    }
    buf_clear(&bytes);
}

static enum hold_state state_of(uint64_t hold)
{
    static const enum hold_state states[] = {HOLD_HELD, HOLD_UNKNOWN, HOLD_VOIDED};

    return hold % 10 < 3 ? states[hold % 10] : HOLD_POSTED;
}

static void put_hold(uint64_t number, int64_t now_ms)
{
    enum hold_state state = state_of(number);
    char object[32], key[48];
    struct digest scope = digest_of(str_of((const char *)&number, sizeof(number)));

    (void)snprintf(object, sizeof(object), "pi_history%" PRIu64, number);
    (void)snprintf(key, sizeof(key), "kb.historyxx.req_%" PRIu64, number);
    struct message_row_hold hold = {
        .hold = number,
        .grant = number,
        .key = 1 + number % KEYS,
        .day = clock_day(now_ms),
        .state = state,
        .held = state == HOLD_HELD || state == HOLD_UNKNOWN ? CENT : 0,
        .posted = state == HOLD_POSTED ? CENT : 0,
        .opened_at_ms = now_ms,
        .changed_at_ms = now_ms,
        .sent = true,
        .vendor = STR("stripe"),
        .operation = STR("payment_intents.create"),
        .object = state == HOLD_UNKNOWN ? STR_NONE : str_from(object),
        .currency = STR("usd"),
        .amount_minor = 1,
        .idempotency = scope,
        .credential = 1,
        .vendor_key = str_from(key),
    };
    struct message_row_idempotency record = {
        .scope = scope, .body = scope, .hold = number, .first_at_ms = now_ms, .found_minor = -1};
    put(MESSAGE_ROW_HOLD, &hold);
    put(MESSAGE_ROW_IDEMPOTENCY, &record);
}

static void put_windows(uint64_t holds, int64_t now_ms)
{
    for (uint64_t key = 0; key < KEYS; key++) {
        struct name name = key_name(key == 0 ? KEYS : key);
        int64_t posted = 0, held = 0;
        for (uint64_t hold = key == 0 ? KEYS : key; hold <= holds; hold += KEYS) {
            posted += state_of(hold) == HOLD_POSTED ? CENT : 0;
            held += state_of(hold) <= HOLD_HELD ? CENT : 0;
        }
        for (int life = 0; life < 2; life++) {
            struct message_row_window row = {.level = LEVEL_KEY,
                                             .owner = str_from(name.text),
                                             .day = life ? -1 : clock_day(now_ms),
                                             .posted = posted,
                                             .held = held};
            put(MESSAGE_ROW_WINDOW, &row);
        }
    }
}

/* Below these the judge takes no number any more. */
static void put_ceilings(uint64_t holds)
{
    static const char *const names[] = {"ceiling_key", "ceiling_hold", "ceiling_grant"};
    char text[24];

    (void)snprintf(text, sizeof(text), "%" PRIu64, holds + KEYS + 1);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct message_row_meta row = {.name = str_from(names[i]), .value = str_from(text)};
        put(MESSAGE_ROW_META, &row);
    }
}

int main(int argc, char **argv)
{
    struct message_loaded end;
    int64_t now_ms = clock_wall_ms();

    if (argc != 3) {
        (void)fprintf(stderr, "usage: fill DIR ROWS\n");
        return 2;
    }
    uint64_t holds = strtoull(argv[2], NULL, 10) / 2;
    digest_setup();
    store = store_open(argv[1], 0, &err);
    if (store == NULL || store_loaded(store, &end, &err) < 0) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    put_keys(now_ms);
    put_ceilings(holds);
    for (uint64_t i = 1; i <= holds; i++) {
        put_hold(i, now_ms);
        struct message_row_audit audit = {.sequence = end.audit_sequence + i,
                                          .event = AUDIT_REQUEST,
                                          .at_ms = now_ms,
                                          .request_id = STR("req_history"),
                                          .key = 1 + i % KEYS,
                                          .vendor = STR("stripe"),
                                          .operation = STR("payment_intents.create"),
                                          .verdict = STR("allowed"),
                                          .hold = i,
                                          .attempt = i,
                                          .path = STR("/v1/payment_intents")};
        audit.personal = chain_personal(&audit);
        audit.hash = chain_next(&end.audit_head, &audit);
        end.audit_head = audit.hash;
        put(MESSAGE_ROW_AUDIT, &audit);
    }
    put_windows(holds, now_ms);
    if (store_commit(store, &err) != STORE_DONE) {
        (void)fprintf(stderr, "%s\n", err.text);
        return EXIT_FAILURE;
    }
    store_close(store);
    return EXIT_SUCCESS;
}
