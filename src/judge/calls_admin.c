/* SPDX-License-Identifier: Apache-2.0 */
/* The calls about tenants, holds, stops, operators and prices. */
#include <stdlib.h>

#include "base/mem.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/calls.h"
#include "judge/json.h"
#include "judge/keys.h"
#include "judge/record.h"
#include "judge/revoke.h"

/* ---- tenants ---- */

void call_tenant_put(struct call *call)
{
    struct judge *judge = call->judge;
    struct call_tenant put;
    struct str name = call->message->id;

    if (!call_decode(call, &call_tenant_schema, &put) || !call_has_room(call)) {
        return;
    }
    if (name.len == 0 || name.len > LIMIT_NAME_BYTES) {
        call_refuse(call, 400, "bad_request", "a tenant's name has 1 to %d bytes",
                    LIMIT_NAME_BYTES);
        return;
    }
    if (book_find_tenant(judge, name) == NULL && judge->tenant_count >= LIMIT_TENANTS) {
        call_refuse(call, 503, "limit_reached", "there are %d tenants already", LIMIT_TENANTS);
        return;
    }
    struct message_row_tenant row = {.name = name,
                                     .daily_cap = put.daily_cap,
                                     .total_cap = put.total_cap,
                                     .changed_at_ms = judge->clock.now_ms};
    book_put_tenant(judge, &row);
    record_row(judge, MESSAGE_ROW_TENANT, &row);
    audit_control(judge, call->caller.name, "tenant_put", NULL, name, STR_NONE);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    json_tenant(&out, judge, book_find_tenant(judge, name));
    call_wait(pending);
}

void call_tenant_get(struct call *call)
{
    const struct tenant *tenant = book_find_tenant(call->judge, call->message->id);
    struct buf text;

    if (tenant == NULL) {
        call_refuse(call, 404, "not_found", "there is no such tenant");
        return;
    }
    buf_init(&text, REPLY_BYTES_MAX);
    struct json_out out = json_begin(&text);
    json_tenant(&out, call->judge, tenant);
    call_reply(call, 200, buf_str(&text), 0);
    buf_clear(&text);
}

/* Tenants have no numbers: the cursor is a place in the list, to which they are only added. */
void call_tenant_list(struct call *call)
{
    struct judge *judge = call->judge;
    struct page page;
    uint64_t place = judge->tenant_count;
    uint64_t below = page_start(call);

    page_open(&page, call);
    for (struct list *at = judge->tenant_list.prev; at != &judge->tenant_list; at = at->prev) {
        place--;
        if (place >= below) {
            continue;
        }
        if (page_is_full(&page)) {
            page_more_from(&page, place + 1);
            break;
        }
        json_tenant(&page.out, judge, LIST_THING(at, struct tenant, link));
        page.count++;
    }
    page_reply(&page, call);
}

/* ---- holds ---- */

static int newest_first(const void *a, const void *b)
{
    const struct hold *const *x = a;
    const struct hold *const *y = b;

    return (*x)->number < (*y)->number ? 1 : -1;
}

static bool hold_wanted(const struct call *call, const struct hold *hold)
{
    struct str id = call->message->id;

    if (hold_is_over(hold->row.state) || hold->number >= page_start(call)) {
        return false;
    }
    if (str_equal(id, STR("stale"))) {
        return hold->row.state == HOLD_UNKNOWN;
    }
    const struct key *key = id.len == 0 ? NULL : keys_by_id(call->judge, id);
    return id.len == 0 || (key != NULL && key->number == hold->row.key);
}

void call_hold_list(struct call *call)
{
    struct judge *judge = call->judge;
    struct hold **wanted = mem_array(judge->holds.count + 1, sizeof(struct hold *));
    struct hold *hold;
    struct page page;
    size_t count = 0;
    size_t at = 0;

    while ((hold = table_next(&judge->holds, &at)) != NULL) {
        if (hold_wanted(call, hold)) {
            wanted[count++] = hold;
        }
    }
    qsort(wanted, count, sizeof(wanted[0]), newest_first);
    page_open(&page, call);
    for (size_t i = 0; i < count; i++) {
        if (page_is_full(&page)) {
            page_more_from(&page, wanted[i]->number + 1);
            break;
        }
        json_hold(&page.out, judge, wanted[i]);
        page.count++;
    }
    page_reply(&page, call);
    free(wanted);
}

/* ---- stops ---- */

static bool stop_kind_is_known(const struct call_stop *stop)
{
    bool all = str_equal(stop->kind, STR("all"));
    bool other = str_equal(stop->kind, STR("vendor")) || str_equal(stop->kind, STR("tenant")) ||
                 str_equal(stop->kind, STR("label_prefix"));

    return all || (other && stop->value.len > 0);
}

static uint64_t live_keys_hit(const struct judge *judge, const struct stop *stop)
{
    uint64_t count = 0;

    for (struct list *at = judge->keys.next; at != &judge->keys; at = at->next) {
        const struct key *key = LIST_THING(at, struct key, link);
        enum key_status status = key_status_now(judge, key);
        count += (status == KEY_ACTIVE || status == KEY_PAUSED) && stop_hits(stop, key);
    }
    return count;
}

void call_stop_add(struct call *call)
{
    struct judge *judge = call->judge;
    struct call_stop add;
    struct err err;

    if (!call_decode(call, &call_stop_schema, &add) || !call_has_room(call)) {
        return;
    }
    if (!stop_kind_is_known(&add)) {
        call_refuse(call, 400, "bad_request",
                    "kind is all, or vendor, tenant or label_prefix with a value");
        return;
    }
    /* A stop that is misspelt stops nothing, and whoever adds one is in a hurry. */
    if (str_equal(add.kind, STR("vendor")) &&
        config_find_pack(judge->generation->config, add.value) == PACK_NONE) {
        (void)policy_unknown_vendor(judge->generation->config, add.value, &err);
        call_refuse(call, 400, "bad_request", "%s", err.text);
        return;
    }
    struct message_row_stop row = {.stop = judge->next_stop,
                                   .kind = add.kind,
                                   .value = add.value,
                                   .reason = str_slice(add.reason, 0, LIMIT_LABEL_BYTES),
                                   .created_by = str_slice(call->caller.name, 0, LIMIT_LABEL_BYTES),
                                   .created_at_ms = judge->clock.now_ms};
    if (judge->stop_count >= STOPS_MAX && !book_has_ended_stop(judge)) {
        call_refuse(call, 503, "limit_reached", "there are %d stops already", STOPS_MAX);
        return;
    }
    const struct stop *stop = book_put_stop(judge, &row);
    record_row(judge, MESSAGE_ROW_STOP, &row);
    audit_control(judge, call->caller.name, "stopped", NULL, add.kind, add.value);
    struct pending *pending = call_pending(call, 201, 0);
    struct json_out out = json_begin(&pending->json);
    json_stop_added(&out, stop, live_keys_hit(judge, stop));
    revoke_stop(judge, stop, call_wake, pending);
}

void call_stop_list(struct call *call)
{
    struct judge *judge = call->judge;
    struct page page;
    uint64_t below = page_start(call);

    page_open(&page, call);
    for (struct list *at = judge->stops.prev; at != &judge->stops; at = at->prev) {
        const struct stop *stop = LIST_THING(at, struct stop, link);
        if (stop->number >= below || stop->ended_at_ms != 0) {
            continue;
        }
        if (page_is_full(&page)) {
            page_more_from(&page, stop->number + 1);
            break;
        }
        json_stop(&page.out, stop);
        page.count++;
    }
    page_reply(&page, call);
}

void call_stop_remove(struct call *call)
{
    struct judge *judge = call->judge;
    uint64_t number = 0;
    struct stop *stop = str_to_u64(call->message->id, &number) ? book_stop(judge, number) : NULL;

    if (stop == NULL) {
        call_refuse(call, 404, "not_found", "there is no such stop");
        return;
    }
    if (!call_has_room(call)) {
        return;
    }
    if (stop->ended_at_ms == 0) {
        stop->ended_at_ms = judge->clock.now_ms;
    }
    struct message_row_stop row = {.stop = stop->number,
                                   .kind = str_from(stop->kind),
                                   .value = str_from(stop->value),
                                   .reason = str_from(stop->reason),
                                   .created_by = str_from(stop->created_by),
                                   .created_at_ms = stop->created_at_ms,
                                   .ended_at_ms = stop->ended_at_ms};
    record_row(judge, MESSAGE_ROW_STOP, &row);
    audit_control(judge, call->caller.name, "stop_removed", NULL, row.kind, row.value);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    json_stop(&out, stop);
    call_wait(pending);
}

/* ---- operators ---- */

static bool name_is_taken(const struct judge *judge, struct str name)
{
    for (struct list *at = judge->operator_list.next; at != &judge->operator_list; at = at->next) {
        const struct operator_token *token = LIST_THING(at, struct operator_token, link);
        if (token->ended_at_ms == 0 && str_equal(str_from(token->name), name)) {
            return true;
        }
    }
    return false;
}

void call_operator_add(struct call *call)
{
    struct judge *judge = call->judge;
    struct call_operator add;

    if (!call_decode(call, &call_operator_schema, &add) || !call_has_room(call)) {
        return;
    }
    if (add.role == OPERATOR_NONE || add.name.len == 0 || add.name.len > LIMIT_NAME_BYTES) {
        call_refuse(call, 400, "bad_request", "a token has a name and a role");
        return;
    }
    if (name_is_taken(judge, add.name)) {
        call_refuse(call, 409, "conflict", "there is a token of the name '%.*s'",
                    STR_FMT(add.name));
        return;
    }
    if (judge->operator_count >= OPERATORS_MAX) {
        call_refuse(call, 503, "limit_reached", "there are %d tokens already", OPERATORS_MAX);
        return;
    }
    struct token secret = token_make_operator();
    struct message_row_operator row = {.token = judge->next_operator,
                                       .name = add.name,
                                       .token_digest = digest_of(str_from(secret.text)),
                                       .role = add.role,
                                       .bounds = add.bounds,
                                       .created_at_ms = judge->clock.now_ms};
    const struct operator_token *token = book_put_operator(judge, &row);
    record_row(judge, MESSAGE_ROW_OPERATOR, &row);
    audit_control(judge, call->caller.name, "token_added", NULL, add.name,
                  str_from(operator_role_name(add.role)));
    struct pending *pending = call_pending(call, 201, 0);
    struct json_out out = json_begin(&pending->json);
    json_operator(&out, token, str_from(secret.text));
    mem_wipe(&secret, sizeof(secret));
    call_wait(pending);
}

void call_operator_list(struct call *call)
{
    struct judge *judge = call->judge;
    struct page page;
    uint64_t below = page_start(call);

    page_open(&page, call);
    for (struct list *at = judge->operator_list.prev; at != &judge->operator_list; at = at->prev) {
        const struct operator_token *token = LIST_THING(at, struct operator_token, link);
        if (token->number >= below || token->ended_at_ms != 0) {
            continue;
        }
        if (page_is_full(&page)) {
            page_more_from(&page, token->number + 1);
            break;
        }
        json_operator(&page.out, token, STR_NONE);
        page.count++;
    }
    page_reply(&page, call);
}

void call_operator_remove(struct call *call)
{
    struct judge *judge = call->judge;
    struct operator_token *found = NULL;
    uint64_t number = 0;
    struct message_row_operator row;

    for (struct list *at = judge->operator_list.next;
         str_to_u64(call->message->id, &number) && at != &judge->operator_list; at = at->next) {
        struct operator_token *token = LIST_THING(at, struct operator_token, link);
        found = token->number == number ? token : found;
    }
    if (found == NULL) {
        call_refuse(call, 404, "not_found", "there is no such token");
        return;
    }
    if (!call_has_room(call)) {
        return;
    }
    if (found->ended_at_ms == 0) {
        found->ended_at_ms = judge->clock.now_ms;
    }
    operator_row(found, &row);
    record_row(judge, MESSAGE_ROW_OPERATOR, &row);
    audit_control(judge, call->caller.name, "token_removed", NULL, row.name, STR_NONE);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    json_operator(&out, found, STR_NONE);
    call_wait(pending);
}

/* ---- prices and rates ---- */

static void write_prices(struct page *page, struct str vendor, const struct pack_rate *rates,
                         size_t count, bool from_pack, uint64_t *place, uint64_t from)
{
    for (size_t i = 0; i < count; i++) {
        if ((*place)++ < from || page->cursor[0] != '\0') {
            continue;
        }
        if (page_is_full(page)) {
            page_more_from(page, *place - 1);
            return;
        }
        json_price(&page->out, vendor, &rates[i], from_pack);
        page->count++;
    }
}

/* The operator's own first, then the packs'; the cursor is a place in that order. */
void call_price_list(struct call *call)
{
    struct judge *judge = call->judge;
    const struct config *config = judge->generation->config;
    uint64_t from = page_start(call) == UINT64_MAX ? 0 : page_start(call);
    uint64_t place = 0;
    struct page page;

    page_open(&page, call);
    for (struct list *at = judge->prices.next; at != &judge->prices; at = at->next) {
        const struct price_list *list = LIST_THING(at, struct price_list, link);
        write_prices(&page, str_from(list->vendor), list->rates, list->count, false, &place, from);
    }
    for (size_t i = 0; i < config->pack_count; i++) {
        const struct pack *pack = &config->packs[i];
        write_prices(&page, pack->vendor, pack->rates, pack->rate_count, true, &place, from);
    }
    page_reply(&page, call);
}

void call_price_put(struct call *call)
{
    struct judge *judge = call->judge;
    struct message_row_price row;
    enum { PRICES_MAX = 10000 };

    if (!call_decode(call, message_schema(MESSAGE_ROW_PRICE), &row) || !call_has_room(call)) {
        return;
    }
    const struct price_list *list = book_prices(judge, row.vendor);
    if (config_find_pack(judge->generation->config, row.vendor) == PACK_NONE || row.price < 0 ||
        row.name.len == 0 || row.match.len == 0) {
        call_refuse(call, 400, "bad_request",
                    "a price has a known vendor, a name, a match and an amount");
        return;
    }
    if (list != NULL && list->count >= PRICES_MAX) {
        call_refuse(call, 503, "limit_reached", "there are %d prices already", PRICES_MAX);
        return;
    }
    if (row.as_of_ms == 0) {
        row.as_of_ms = judge->clock.now_ms;
    }
    book_put_price(judge, &row);
    record_row(judge, MESSAGE_ROW_PRICE, &row);
    audit_control(judge, call->caller.name, "price_put", NULL, row.name, row.match);
    struct pending *pending = call_pending(call, 200, 0);
    struct json_out out = json_begin(&pending->json);
    struct pack_rate rate = {.name = row.name,
                             .match = row.match,
                             .price = row.price,
                             .source = row.source,
                             .as_of_ms = row.as_of_ms};
    json_price(&out, row.vendor, &rate, false);
    call_wait(pending);
}

void call_fx_get(struct call *call)
{
    struct buf text;

    buf_init(&text, REPLY_BYTES_MAX);
    struct json_out out = json_begin(&text);
    json_fx(&out, call->judge->generation->config);
    call_reply(call, 200, buf_str(&text), 0);
    buf_clear(&text);
}
