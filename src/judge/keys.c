/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/keys.h"

#include <assert.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "judge/book.h"
#include "judge/number.h"
#include "judge/revoke.h"
#include "judge/tunnel.h"
#include "judge/watch.h"

void keys_init(struct judge *judge)
{
    judge->keys_by_token = TABLE_OF(struct key, token);
    judge->keys_by_number = TABLE_OF(struct key, number);
    judge->keys_by_id =
        (struct table){.key_offset = offsetof(struct key, id) + offsetof(struct key_id, rest),
                       .key_size = sizeof(((struct key_id *)NULL)->rest)};
    list_init(&judge->keys);
    list_init(&judge->ended_keys);
}

struct key *keys_by_token(const struct judge *judge, const struct digest *token)
{
    return table_find(&judge->keys_by_token, token);
}

struct key *keys_by_id(const struct judge *judge, struct str id)
{
    if (!name_check(id, "key_")) {
        return NULL;
    }
    return table_find(&judge->keys_by_id, id.data + sizeof(((struct key_id *)NULL)->prefix));
}

struct key *keys_by_number(const struct judge *judge, uint64_t number)
{
    return table_find(&judge->keys_by_number, &number);
}

struct str key_id(const struct key *key)
{
    return str_of(&key->id, sizeof(key->id));
}

/* ---- policy ---- */

static void drop_rules(struct key *key)
{
    if (key->rules != NULL) {
        arena_free(key->rules->arena);
        free(key->rules);
        key->rules = NULL;
    }
}

/* Takes over `bytes`, in which the texts of `policy` lie. */
static void take_policy(struct key *key, char *bytes, size_t len, const struct policy *policy)
{
    drop_rules(key);
    free(key->policy_bytes);
    key->policy_bytes = bytes;
    key->policy_len = len;
    key->label = policy->label;
    key->vendor = policy->vendor;
    key->run_id = policy->run_id;
    key->scope = policy->idempotency_scope;
    key->session = policy->session;
    key->mode = policy->mode;
    key->expires_at_ms = policy->expires_at_ms;
    key->daily_cap = policy->daily_cap;
    key->total_cap = policy_total_cap(policy, key->created_at_ms);
}

static bool load_policy(struct judge *judge, struct key *key, struct str encoded,
                        struct str *ret_tenant)
{
    struct policy policy;
    char *bytes = mem_copy(encoded.data, encoded.len);

    if (!policy_decode(str_of(bytes, encoded.len), judge->scratch, &policy)) {
        free(bytes);
        return false;
    }
    take_policy(key, bytes, encoded.len, &policy);
    *ret_tenant = policy.tenant;
    return true;
}

void key_set_policy(struct key *key, struct str policy_bytes)
{
    struct arena *arena = arena_new();
    struct policy copy;
    char *bytes = mem_copy(policy_bytes.data, policy_bytes.len);
    bool good = policy_decode(str_of(bytes, policy_bytes.len), arena, &copy);

    assert(good); /* we have just encoded it */
    (void)good;
    take_policy(key, bytes, policy_bytes.len, &copy);
    key->policy_version++;
    arena_free(arena);
}

static bool parse_rules(struct rules *rules, struct str encoded)
{
    struct policy *policy = &rules->policy;
    struct err err;

    if (!policy_decode(encoded, rules->arena, policy)) {
        return false;
    }
    rules->entries = arena_zeroed(rules->arena, policy->entry_count, sizeof(struct entry));
    for (size_t i = 0; i < policy->entry_count; i++) {
        if (entry_parse(policy->entries[i], NULL, &rules->entries[i], &err) < 0) {
            return false;
        }
    }
    rules->sources = arena_zeroed(rules->arena, policy->source_count, sizeof(struct cidr));
    for (size_t i = 0; i < policy->source_count; i++) {
        if (cidr_parse(policy->sources[i], &rules->sources[i], &err) < 0) {
            return false;
        }
    }
    return true;
}

const struct rules *key_rules(struct key *key)
{
    if (key->rules != NULL) {
        return key->rules;
    }
    struct rules *rules = mem_zeroed(sizeof(*rules));
    rules->arena = arena_new();
    key->rules = rules;
    if (!parse_rules(rules, str_of(key->policy_bytes, key->policy_len))) {
        drop_rules(key);
        return NULL;
    }
    return rules;
}

/* ---- life ---- */

static void expire(void *ctx)
{
    revoke_expired(ctx);
}

void key_watch_expiry(struct key *key)
{
    int64_t left = key->expires_at_ms - key->judge->clock.expiry_ms;

    loop_timer_set(key->judge->loop, &key->expiry, left < 0 ? 0 : (uint64_t)left + 1, expire, key);
}

static void count_end(struct judge *judge, struct key *key)
{
    loop_timer_stop(judge->loop, &key->expiry);
    judge->live_keys--;
    list_add(&judge->ended_keys, &key->ended_link);
    judge->ended_count++;
}

void keys_tick(struct judge *judge)
{
    for (size_t i = judge->ended_count; i > ENDED_KEYS_MAX; i--) {
        struct key *oldest = LIST_THING(judge->ended_keys.next, struct key, ended_link);
        if (oldest->child_count == 0 && oldest->holds_below == 0 && list_empty(&oldest->requests)) {
            keys_remove(judge, oldest);
        } else { /* still needed: to the end of the queue */
            list_remove(&oldest->ended_link);
            list_add(&judge->ended_keys, &oldest->ended_link);
        }
    }
}

static bool is_over(enum key_status status)
{
    return status == KEY_REVOKED || status == KEY_EXPIRED;
}

void key_end(struct judge *judge, struct key *key, enum key_status status)
{
    assert(is_over(status) && !is_over(key->status));
    key->status = status;
    key->ended_at_ms = judge->clock.now_ms;
    count_end(judge, key);
    if (key->open_holds > 0) {
        watch_key_ended(judge, key);
    }
}

enum key_status key_status_now(const struct judge *judge, const struct key *key)
{
    if (!is_over(key->status) && key->expires_at_ms <= judge->clock.expiry_ms) {
        return KEY_EXPIRED;
    }
    return key->status;
}

const char *key_status_name(enum key_status status)
{
    static const char *const names[KEY_STATUS_COUNT] = {
        [KEY_ACTIVE] = "active",
        [KEY_PAUSED] = "paused",
        [KEY_REVOKED] = "revoked",
        [KEY_EXPIRED] = "expired",
    };
    return names[status];
}

const struct key *key_first_inactive(const struct judge *judge, const struct key *key,
                                     enum key_status *ret_status)
{
    for (; key != NULL; key = key->parent) {
        *ret_status = key_status_now(judge, key);
        if (*ret_status != KEY_ACTIVE) {
            return key;
        }
    }
    return NULL;
}

bool key_is_below(const struct key *key, const struct key *ancestor)
{
    while (key != NULL && key != ancestor) {
        key = key->parent;
    }
    return key != NULL;
}

size_t key_depth(const struct key *key)
{
    size_t depth = 0;

    for (; key != NULL; key = key->parent) {
        depth++;
    }
    return depth;
}

/* ---- rows ---- */

static struct key *new_key(struct judge *judge, const struct message_row_key *row)
{
    struct key *key = mem_zeroed(sizeof(*key));

    key->judge = judge;
    key->number = row->key;
    memcpy(&key->id, row->id.data, sizeof(key->id));
    key->token = row->token_digest;
    list_init(&key->requests);
    list_init(&key->tunnels);
    list_init(&key->ended_link);
    list_add(&judge->keys, &key->link);
    table_add(&judge->keys_by_number, key);
    table_add(&judge->keys_by_id, key);
    table_add(&judge->keys_by_token, key);
    key->owner = window_owner(LEVEL_KEY, key_id(key));
    struct str id = str_slice(key_id(key), 0, sizeof(key->shadow) - sizeof("observe:"));
    (void)snprintf(key->shadow, sizeof(key->shadow), "observe:%.*s", STR_FMT(id));
    key->shadow_owner = window_owner(LEVEL_KEY, str_from(key->shadow));
    number_seen(judge, NUMBER_KEY, key->number);
    return key;
}

struct key *keys_put(struct judge *judge, const struct message_row_key *row)
{
    struct key *key = keys_by_number(judge, row->key);
    struct str tenant;
    bool is_new = key == NULL;

    if (!name_check(row->id, "key_") ||
        (is_new && (keys_by_id(judge, row->id) != NULL ||
                    keys_by_token(judge, &row->token_digest) != NULL))) {
        log_error("key-row", "key=%llu why=not-understood", (unsigned long long)row->key);
        return NULL;
    }
    if (is_new) {
        key = new_key(judge, row);
    } else {
        key_set_token(judge, key, &row->token_digest, row->token_hint);
    }
    key->created_at_ms = row->created_at_ms;
    key->ended_at_ms = row->ended_at_ms;
    key->policy_version = row->policy_version;
    key->parent_number = row->parent;
    key->credential = row->credential;
    key->status = row->status;
    free(key->created_by);
    key->created_by = mem_copy_str(row->created_by);
    (void)snprintf(key->token_hint, sizeof(key->token_hint), "%.*s", STR_FMT(row->token_hint));
    if (!load_policy(judge, key, row->policy, &tenant)) {
        log_error("key-policy", "key=%llu why=not-understood", (unsigned long long)row->key);
        keys_remove(judge, key);
        return NULL;
    }
    key->expires_at_ms = row->expires_at_ms;
    key->tenant = tenant.len == 0 ? NULL : book_tenant(judge, tenant);
    if (is_new) {
        judge->live_keys++;
        if (is_over(key->status)) {
            count_end(judge, key);
        } else {
            key_watch_expiry(key);
        }
    }
    return key;
}

void keys_link_parents(struct judge *judge)
{
    for (struct list *at = judge->keys.next; at != &judge->keys; at = at->next) {
        struct key *key = LIST_THING(at, struct key, link);
        if (key->parent_number == 0 || key->parent != NULL) {
            continue;
        }
        key->parent = keys_by_number(judge, key->parent_number);
        if (key->parent != NULL) {
            key->parent->child_count++;
        } else if (!is_over(key->status)) {
            /* Its bounds are not known: nothing may pass. */
            log_error("key-parent", "key=%llu why=missing", (unsigned long long)key->number);
            key_end(judge, key, KEY_REVOKED);
        }
    }
}

void keys_remove(struct judge *judge, struct key *key)
{
    assert(list_empty(&key->requests) && key->child_count == 0);
    tunnels_key_gone(key);
    loop_timer_stop(judge->loop, &key->expiry);
    if (list_empty(&key->ended_link)) {
        judge->live_keys -= key->policy_bytes == NULL ? 0 : 1;
    } else {
        list_remove(&key->ended_link);
        judge->ended_count--;
    }
    if (key->parent != NULL) {
        key->parent->child_count--;
    }
    windows_forget_owner(&judge->windows, &key->owner, judge->clock.day);
    windows_forget_owner(&judge->windows, &key->shadow_owner, judge->clock.day);
    (void)table_remove(&judge->keys_by_number, &key->number);
    (void)table_remove(&judge->keys_by_id, &key->id.rest);
    (void)table_remove(&judge->keys_by_token, &key->token);
    list_remove(&key->link);
    drop_rules(key);
    free(key->policy_bytes);
    free(key->created_by);
    free(key);
}

void key_set_token(struct judge *judge, struct key *key, const struct digest *token,
                   struct str hint)
{
    (void)table_remove(&judge->keys_by_token, &key->token);
    key->token = *token;
    table_add(&judge->keys_by_token, key);
    (void)snprintf(key->token_hint, sizeof(key->token_hint), "%.*s", STR_FMT(hint));
}

void key_row(const struct key *key, struct message_row_key *ret)
{
    *ret = (struct message_row_key){
        .key = key->number,
        .id = key_id(key),
        .token_digest = key->token,
        .token_hint = str_from(key->token_hint),
        .policy = str_of(key->policy_bytes, key->policy_len),
        .policy_version = key->policy_version,
        .parent = key->parent == NULL ? 0 : key->parent->number,
        .credential = key->credential,
        .status = key->status,
        .created_at_ms = key->created_at_ms,
        .expires_at_ms = key->expires_at_ms,
        .ended_at_ms = key->ended_at_ms,
        .created_by = str_from(key->created_by),
        .label = key->label,
        .vendor = key->vendor,
        .tenant = key->tenant == NULL ? STR_NONE : str_from(key->tenant->name),
        .run_id = key->run_id,
    };
}

/* ---- levels ---- */

static void add_level(struct level *levels, size_t *count, const struct level *base, int64_t day,
                      int64_t day_cap, int64_t life_cap)
{
    levels[*count] = *base;
    levels[*count].day = day;
    levels[(*count)++].cap = day_cap;
    levels[*count] = *base;
    levels[*count].day = WINDOW_LIFE;
    levels[(*count)++].cap = life_cap;
}

size_t key_levels(const struct key *key, int64_t day, struct level *levels)
{
    size_t count = 0;

    assert(key != NULL);
    for (const struct key *at = key; at != NULL && count + 2 < WINDOW_LEVELS_MAX; at = at->parent) {
        struct level base = {.owner = at->owner, .level = LEVEL_KEY, .name = key_id(at)};
        bool observe = at->mode == MODE_OBSERVE;
        if (observe) { /* counted, but charged to nobody */
            base.owner = at->shadow_owner;
            base.name = str_from(at->shadow);
        }
        add_level(levels, &count, &base, day, observe ? MONEY_NONE : at->daily_cap,
                  observe ? MONEY_NONE : at->total_cap);
    }
    if (key->tenant != NULL) {
        struct level base = {.owner = key->tenant->owner,
                             .level = LEVEL_TENANT,
                             .name = str_from(key->tenant->name)};
        add_level(levels, &count, &base, day, key->tenant->daily_cap, key->tenant->total_cap);
    }
    return count;
}

bool key_cancels_open(struct key *key)
{
    for (; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules != NULL && rules->policy.cancel_open) {
            return true;
        }
    }
    return false;
}

bool key_hides_client_secret(struct key *key)
{
    for (; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules == NULL || rules->policy.redact_client_secret) {
            return true;
        }
    }
    return false;
}
