/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/book.h"

#include <jansson.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void book_init(struct judge *judge)
{
    json_object_seed(0); /* opens a file at its first use, which must be before confinement */
    judge->credentials = TABLE_OF(struct credential, number);
    judge->credentials_by_name = TABLE_OF(struct credential, name_digest);
    judge->tenants = TABLE_OF(struct tenant, name_digest);
    judge->operators = TABLE_OF(struct operator_token, token);
    list_init(&judge->credential_list);
    list_init(&judge->tenant_list);
    list_init(&judge->stops);
    list_init(&judge->operator_list);
    list_init(&judge->prices);
    judge->next_credential = judge->next_stop = judge->next_operator = 1;
}

/* ---- credentials ---- */

struct credential *book_credential(const struct judge *judge, uint64_t number)
{
    return table_find(&judge->credentials, &number);
}

struct credential *book_credential_by_name(const struct judge *judge, struct str name)
{
    struct digest digest = digest_of(name);

    return table_find(&judge->credentials_by_name, &digest);
}

struct credential *book_default_credential(const struct judge *judge, struct str vendor)
{
    struct credential *only = book_credential_by_name(judge, vendor);
    size_t count = 0;

    if (only != NULL && str_equal(only->vendor, vendor)) {
        return only;
    }
    for (struct list *at = judge->credential_list.next; at != &judge->credential_list;
         at = at->next) {
        struct credential *credential = LIST_THING(at, struct credential, link);
        if (str_equal(credential->vendor, vendor)) {
            only = credential;
            count++;
        }
    }
    return count == 1 ? only : NULL;
}

static void take_fields(struct credential *credential)
{
    json_error_t error;
    const char *name;
    json_t *value;
    json_t *fields = json_loadb(credential->public_fields.data, credential->public_fields.len,
                                JSON_REJECT_DUPLICATES, &error);

    credential->field_count = 0;
    json_object_foreach(fields, name, value)
    {
        if (json_is_string(value) && credential->field_count < FIELDS_MAX) {
            credential->fields[credential->field_count++] = (struct credential_field){
                .name = arena_copy(credential->arena, str_from(name)),
                .value = arena_copy(credential->arena,
                                    str_of(json_string_value(value), json_string_length(value)))};
        }
    }
    json_decref(fields);
}

struct str credential_field(const struct credential *credential, struct str name)
{
    for (size_t i = 0; i < credential->field_count; i++) {
        if (str_equal(credential->fields[i].name, name)) {
            return credential->fields[i].value;
        }
    }
    return STR_NONE;
}

struct credential *book_put_credential(struct judge *judge,
                                       const struct message_row_credential *row)
{
    struct credential *credential = book_credential(judge, row->credential);

    if (credential == NULL) {
        credential = mem_zeroed(sizeof(*credential));
        credential->number = row->credential;
        credential->name_digest = digest_of(row->name);
        table_add(&judge->credentials, credential);
        table_add(&judge->credentials_by_name, credential);
        list_add(&judge->credential_list, &credential->link);
        judge->credential_count++;
        if (row->credential >= judge->next_credential) {
            judge->next_credential = row->credential + 1;
        }
    }
    struct arena *old = credential->arena;
    credential->arena = arena_new();
    credential->name = arena_copy(credential->arena, row->name);
    credential->vendor = arena_copy(credential->arena, row->vendor);
    credential->upstream = arena_copy(credential->arena, row->upstream);
    credential->public_fields = arena_copy(credential->arena, row->public_fields);
    credential->secret_hint = arena_copy(credential->arena, row->secret_hint);
    credential->version = row->version;
    credential->live_mode = row->live_mode;
    credential->allow_private = row->allow_private;
    credential->created_at_ms = row->created_at_ms;
    credential->rotated_at_ms = row->rotated_at_ms;
    take_fields(credential);
    arena_free(old);
    return credential;
}

void book_remove_credential(struct judge *judge, struct credential *credential)
{
    (void)table_remove(&judge->credentials, &credential->number);
    (void)table_remove(&judge->credentials_by_name, &credential->name_digest);
    list_remove(&credential->link);
    judge->credential_count--;
    arena_free(credential->arena);
    free(credential);
}

/* ---- tenants ---- */

struct tenant *book_find_tenant(const struct judge *judge, struct str name)
{
    struct digest digest = digest_of(name);

    return table_find(&judge->tenants, &digest);
}

struct tenant *book_tenant(struct judge *judge, struct str name)
{
    struct tenant *tenant = book_find_tenant(judge, name);

    if (tenant == NULL) {
        tenant = mem_zeroed(sizeof(*tenant));
        tenant->name_digest = digest_of(name);
        tenant->name = mem_copy_str(name);
        tenant->owner = window_owner(LEVEL_TENANT, name);
        tenant->daily_cap = tenant->total_cap = MONEY_NONE;
        table_add(&judge->tenants, tenant);
        list_add(&judge->tenant_list, &tenant->link);
        judge->tenant_count++;
    }
    return tenant;
}

void book_put_tenant(struct judge *judge, const struct message_row_tenant *row)
{
    struct tenant *tenant = book_tenant(judge, row->name);

    tenant->stored = true;
    tenant->daily_cap = row->daily_cap;
    tenant->total_cap = row->total_cap;
    tenant->changed_at_ms = row->changed_at_ms;
}

/* ---- stops ---- */

struct stop *book_stop(const struct judge *judge, uint64_t number)
{
    for (struct list *at = judge->stops.next; at != &judge->stops; at = at->next) {
        struct stop *stop = LIST_THING(at, struct stop, link);
        if (stop->number == number) {
            return stop;
        }
    }
    return NULL;
}

static void forget_stop(struct judge *judge, struct stop *stop)
{
    list_remove(&stop->link);
    judge->stop_count--;
    free(stop->kind);
    free(stop->value);
    free(stop->reason);
    free(stop->created_by);
    free(stop);
}

static struct stop *ended_stop(const struct judge *judge)
{
    for (struct list *at = judge->stops.next; at != &judge->stops; at = at->next) {
        struct stop *stop = LIST_THING(at, struct stop, link);
        if (stop->ended_at_ms != 0) {
            return stop;
        }
    }
    return NULL;
}

bool book_has_ended_stop(const struct judge *judge)
{
    return ended_stop(judge) != NULL;
}

struct stop *book_put_stop(struct judge *judge, const struct message_row_stop *row)
{
    struct stop *stop = book_stop(judge, row->stop);

    if (stop == NULL) {
        if (judge->stop_count >= STOPS_MAX && ended_stop(judge) != NULL) {
            forget_stop(judge, ended_stop(judge));
        }
        stop = mem_zeroed(sizeof(*stop));
        stop->number = row->stop;
        stop->kind = mem_copy_str(row->kind);
        stop->value = mem_copy_str(row->value);
        stop->reason = mem_copy_str(row->reason);
        stop->created_by = mem_copy_str(row->created_by);
        stop->created_at_ms = row->created_at_ms;
        list_add(&judge->stops, &stop->link);
        judge->stop_count++;
        if (row->stop >= judge->next_stop) {
            judge->next_stop = row->stop + 1;
        }
    }
    stop->ended_at_ms = row->ended_at_ms;
    return stop;
}

bool stop_hits(const struct stop *stop, const struct key *key)
{
    struct str kind = str_from(stop->kind);
    struct str value = str_from(stop->value);

    if (str_equal(kind, STR("vendor"))) {
        return str_equal(key->vendor, value);
    }
    if (str_equal(kind, STR("tenant"))) {
        return key->tenant != NULL && str_equal(str_from(key->tenant->name), value);
    }
    if (str_equal(kind, STR("label_prefix"))) {
        return str_starts(key->label, value);
    }
    return true; /* "all", and whatever a later version may have stored */
}

const struct stop *book_stop_for(const struct judge *judge, const struct key *key)
{
    for (struct list *at = judge->stops.next; at != &judge->stops; at = at->next) {
        const struct stop *stop = LIST_THING(at, struct stop, link);
        if (stop->ended_at_ms == 0 && stop_hits(stop, key)) {
            return stop;
        }
    }
    return NULL;
}

/* ---- operators ---- */

struct operator_token *book_operator(const struct judge *judge, const struct digest *digest)
{
    struct operator_token *token = table_find(&judge->operators, digest);

    return token == NULL || token->ended_at_ms != 0 ? NULL : token;
}

struct operator_token *book_put_operator(struct judge *judge,
                                         const struct message_row_operator *row)
{
    struct operator_token *token = table_find(&judge->operators, &row->token_digest);

    if (token == NULL) {
        token = mem_zeroed(sizeof(*token));
        token->number = row->token;
        token->token = row->token_digest;
        token->name = mem_copy_str(row->name);
        token->bounds = row->bounds.len == 0 ? NULL : mem_copy(row->bounds.data, row->bounds.len);
        token->bounds_len = row->bounds.len;
        token->created_at_ms = row->created_at_ms;
        table_add(&judge->operators, token);
        list_add(&judge->operator_list, &token->link);
        judge->operator_count++;
        if (row->token >= judge->next_operator) {
            judge->next_operator = row->token + 1;
        }
    }
    token->role = row->role;
    token->ended_at_ms = row->ended_at_ms;
    return token;
}

void operator_row(const struct operator_token *token, struct message_row_operator *ret)
{
    *ret = (struct message_row_operator){.token = token->number,
                                         .name = str_from(token->name),
                                         .token_digest = token->token,
                                         .role = token->role,
                                         .bounds = str_of(token->bounds, token->bounds_len),
                                         .created_at_ms = token->created_at_ms,
                                         .ended_at_ms = token->ended_at_ms};
}

/* ---- prices ---- */

const struct price_list *book_prices(const struct judge *judge, struct str vendor)
{
    for (struct list *at = judge->prices.next; at != &judge->prices; at = at->next) {
        const struct price_list *list = LIST_THING(at, struct price_list, link);
        if (str_equal(str_from(list->vendor), vendor)) {
            return list;
        }
    }
    return NULL;
}

static struct price_list *price_list(struct judge *judge, struct str vendor)
{
    for (struct list *at = judge->prices.next; at != &judge->prices; at = at->next) {
        struct price_list *list = LIST_THING(at, struct price_list, link);
        if (str_equal(str_from(list->vendor), vendor)) {
            return list;
        }
    }
    struct price_list *list = mem_zeroed(sizeof(*list));
    list->vendor = mem_copy_str(vendor);
    list_add(&judge->prices, &list->link);
    return list;
}

static struct str own(struct str s)
{
    return (struct str){mem_copy_str(s), s.len};
}

void book_put_price(struct judge *judge, const struct message_row_price *row)
{
    struct price_list *list = price_list(judge, row->vendor);
    struct pack_rate *rate = NULL;

    for (size_t i = 0; i < list->count; i++) {
        if (str_equal(list->rates[i].name, row->name) &&
            str_equal(list->rates[i].match, row->match)) {
            rate = &list->rates[i];
        }
    }
    if (rate == NULL) {
        list->rates = mem_grow(list->rates, list->count + 1, sizeof(list->rates[0]));
        rate = &list->rates[list->count++];
        *rate = (struct pack_rate){.name = own(row->name), .match = own(row->match)};
    } else {
        free((void *)(uintptr_t)rate->source.data);
    }
    rate->price = row->price;
    rate->source = own(row->source);
    rate->as_of_ms = row->as_of_ms;
}
