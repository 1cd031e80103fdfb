/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/json.h"

#include <inttypes.h>

#include "base/clock.h"

#include "judge/decide.h"
#include "judge/keys.h"
#include "policy/advice.h"
#include "policy/bounds.h"
#include "policy/policy_json.h"
#include "policy/usd.h"

/* ---- what is spent ---- */

struct use {
    int64_t posted, held;
};

static struct use use_of(const struct judge *judge, const struct digest *owner, int64_t day)
{
    const struct window *window = windows_find(&judge->windows, owner, day);
    struct use use = {0};

    if (window != NULL) {
        use = (struct use){window->posted, window->held};
    }
    return use;
}

/* Never below zero: a cap may have been lowered below what is used. */
static int64_t remaining(int64_t cap, struct use use)
{
    if (cap == MONEY_NONE) {
        return MONEY_NONE;
    }
    int64_t used = use.posted > INT64_MAX - use.held ? INT64_MAX : use.posted + use.held;
    return cap > used ? cap - used : 0;
}

static void uses(struct json_out *out, const struct judge *judge, const struct digest *owner,
                 int64_t daily_cap, int64_t total_cap)
{
    struct use day = use_of(judge, owner, judge->clock.day);
    struct use life = use_of(judge, owner, WINDOW_LIFE);

    json_member_usd(out, "spent_usd", day.posted);
    json_member_usd(out, "held_usd", day.held);
    json_member_usd(out, "remaining_usd", remaining(daily_cap, day));
    json_member_usd(out, "total_spent_usd", life.posted);
    json_member_usd(out, "total_held_usd", life.held);
    json_member_usd(out, "total_remaining_usd", remaining(total_cap, life));
    /* Held since earlier days: it counts there, not today. */
    json_member_usd(out, "carried_held_usd", life.held - day.held);
}

static const struct digest *key_owner(const struct key *key)
{
    return key->mode == MODE_OBSERVE ? &key->shadow_owner : &key->owner;
}

/* ---- keys ---- */

/* Only where a policy is given, and of the first entries that deserve one: to compare takes time.
 */
enum { WARNINGS_MAX = 8 };

static void warnings(struct json_out *out, const struct judge *judge, const struct policy *policy)
{
    const struct config *config = judge->generation->config;
    uint32_t pack = config_find_pack(config, policy->vendor);
    struct err advice;

    json_name(out, "warnings");
    json_open(out, '[');
    size_t said = 0;
    for (size_t i = 0; pack != PACK_NONE && i < policy->entry_count && said < WARNINGS_MAX; i++) {
        if (advice_on_entry(policy->entries[i], &config->packs[pack], &advice)) {
            json_text(out, str_from(advice.text));
            said++;
        }
    }
    json_close(out, ']');
}

static void key_members(struct json_out *out, const struct judge *judge, struct key *key,
                        struct str token, bool is_answer_to_policy)
{
    struct arena *arena = arena_new();
    struct policy policy;

    json_open(out, '{');
    json_member(out, "id", key_id(key));
    if (token.len > 0) {
        json_member(out, "token", token);
    }
    json_member(out, "status", str_from(key_status_name(key_status_now(judge, key))));
    if (policy_decode(str_of(key->policy_bytes, key->policy_len), arena, &policy)) {
        policy.total_cap = key->total_cap; /* what holds */
        policy_json_members(out, &policy);
        if (is_answer_to_policy) {
            warnings(out, judge, &policy);
        }
    }
    uses(out, judge, key_owner(key), key->daily_cap, key->total_cap);
    json_member_u64(out, "policy_version", key->policy_version);
    json_member(out, "token_hint", str_from(key->token_hint));
    json_member_time(out, "created_at", key->created_at_ms);
    json_member_time(out, "ended_at", key->ended_at_ms);
    json_member(out, "created_by", str_from(key->created_by));
    json_close(out, '}');
    arena_free(arena);
}

void json_key(struct json_out *out, const struct judge *judge, struct key *key)
{
    key_members(out, judge, key, STR_NONE, false);
}

void json_key_changed(struct json_out *out, const struct judge *judge, struct key *key,
                      struct str token)
{
    key_members(out, judge, key, token, true);
}

void json_key_for_self(struct json_out *out, const struct judge *judge, struct key *key)
{
    const struct rules *rules = key_rules(key);

    json_open(out, '{');
    json_member(out, "status", str_from(key_status_name(key_status_now(judge, key))));
    if (rules != NULL) {
        struct policy policy = rules->policy;
        policy.total_cap = key->total_cap;
        policy_json_members_for_self(out, &policy);
    }
    uses(out, judge, key_owner(key), key->daily_cap, key->total_cap);
    json_close(out, '}');
}

static void open_objects(struct json_out *out, const struct judge *judge, const struct key *key)
{
    const struct hold *hold;
    size_t at = 0;

    json_name(out, "open_objects");
    json_open(out, '[');
    while (key->open_holds > 0 && (hold = table_next(&judge->holds, &at)) != NULL) {
        if (hold->row.key == key->number && hold->row.state == HOLD_HELD &&
            hold->row.object.len > 0) {
            json_text(out, hold->row.object);
        }
    }
    json_close(out, ']');
}

void json_key_end(struct json_out *out, const struct judge *judge, struct key *key, bool with_id)
{
    json_open(out, '{');
    if (with_id) {
        json_member(out, "id", key_id(key));
    }
    json_member(out, "status", str_from(key_status_name(key_status_now(judge, key))));
    uses(out, judge, key_owner(key), key->daily_cap, key->total_cap);
    open_objects(out, judge, key);
    json_close(out, '}');
}

/* ---- the book ---- */

void json_credential(struct json_out *out, const struct credential *credential)
{
    json_open(out, '{');
    json_member(out, "name", credential->name);
    json_member(out, "vendor", credential->vendor);
    json_member_u64(out, "version", credential->version);
    json_member_bool(out, "livemode", credential->live_mode);
    json_member(out, "upstream", credential->upstream);
    json_member_bool(out, "allow_private", credential->allow_private);
    json_member(out, "secret_hint", credential->secret_hint);
    json_name(out, "public_fields");
    json_open(out, '{');
    for (size_t i = 0; i < credential->field_count; i++) {
        json_name_str(out, credential->fields[i].name);
        json_text(out, credential->fields[i].value);
    }
    json_close(out, '}');
    json_member_time(out, "created_at", credential->created_at_ms);
    json_member_time(out, "rotated_at", credential->rotated_at_ms);
    json_close(out, '}');
}

void json_tenant(struct json_out *out, const struct judge *judge, const struct tenant *tenant)
{
    json_open(out, '{');
    json_member(out, "name", str_from(tenant->name));
    json_member_usd(out, "daily_usd_cap", tenant->daily_cap);
    json_member_usd(out, "total_usd_cap", tenant->total_cap);
    uses(out, judge, &tenant->owner, tenant->daily_cap, tenant->total_cap);
    json_member_time(out, "changed_at", tenant->changed_at_ms);
    json_close(out, '}');
}

void json_hold(struct json_out *out, const struct judge *judge, const struct hold *hold)
{
    const struct message_row_hold *row = &hold->row;
    const struct key *key = keys_by_number(judge, row->key);
    char id[24];

    (void)snprintf(id, sizeof(id), "%" PRIu64, hold->number);
    json_open(out, '{');
    json_member(out, "id", str_from(id));
    json_member(out, "key", key == NULL ? STR_NONE : key_id(key));
    json_member(out, "state", str_from(hold_state_name(row->state)));
    json_member_usd(out, "held_usd", row->held);
    json_member_usd(out, "posted_usd", row->posted);
    json_member(out, "vendor", row->vendor);
    json_member(out, "operation", row->operation);
    json_member(out, "object", row->object);
    json_name(out, "amount_minor");
    json_i64(out, row->amount_minor);
    json_member(out, "currency", row->currency);
    json_member(out, "day", str_from(clock_day_text(row->day).text));
    json_member_time(out, "opened_at", row->opened_at_ms);
    json_member_time(out, "changed_at", row->changed_at_ms);
    json_member_bool(out, "estimated", row->estimated);
    json_member_bool(out, "overrun", row->overrun);
    json_close(out, '}');
}

static void stop_members(struct json_out *out, const struct stop *stop)
{
    char id[24];

    (void)snprintf(id, sizeof(id), "%" PRIu64, stop->number);
    json_member(out, "id", str_from(id));
    json_member(out, "kind", str_from(stop->kind));
    json_member(out, "value", str_from(stop->value));
    json_member(out, "reason", str_from(stop->reason));
    json_member(out, "created_by", str_from(stop->created_by));
    json_member_time(out, "created_at", stop->created_at_ms);
    json_member_time(out, "ended_at", stop->ended_at_ms);
}

void json_stop(struct json_out *out, const struct stop *stop)
{
    json_open(out, '{');
    stop_members(out, stop);
    json_close(out, '}');
}

void json_stop_added(struct json_out *out, const struct stop *stop, uint64_t live_keys)
{
    json_open(out, '{');
    stop_members(out, stop);
    json_member_u64(out, "live_keys", live_keys);
    json_close(out, '}');
}

const char *operator_role_name(enum operator_role role)
{
    static const char *const names[OPERATOR_ROLE_COUNT] = {
        [OPERATOR_NONE] = "none",
        [OPERATOR_VIEWER] = "viewer",
        [OPERATOR_ISSUER] = "issuer",
        [OPERATOR_ADMIN] = "admin",
    };
    return names[role];
}

static void bounds(struct json_out *out, const struct operator_token *token)
{
    struct arena *arena = arena_new();
    struct call_bounds it;

    json_name(out, "bounds");
    if (token->bounds_len > 0 &&
        wire_decode(&call_bounds_schema, str_of(token->bounds, token->bounds_len), arena, &it)) {
        bounds_json(out, &it);
    } else {
        json_put_null(out);
    }
    arena_free(arena);
}

void json_operator(struct json_out *out, const struct operator_token *token, struct str secret)
{
    char id[24];

    (void)snprintf(id, sizeof(id), "%" PRIu64, token->number);
    json_open(out, '{');
    json_member(out, "id", str_from(id));
    if (secret.len > 0) {
        json_member(out, "token", secret);
    }
    json_member(out, "name", str_from(token->name));
    json_member(out, "role", str_from(operator_role_name(token->role)));
    bounds(out, token);
    json_member_time(out, "created_at", token->created_at_ms);
    json_member_time(out, "ended_at", token->ended_at_ms);
    json_close(out, '}');
}

void json_price(struct json_out *out, struct str vendor, const struct pack_rate *rate,
                bool from_pack)
{
    json_open(out, '{');
    json_member(out, "vendor", vendor);
    json_member(out, "name", rate->name);
    json_member(out, "match", rate->match);
    json_member_usd(out, "price_usd", rate->price);
    json_member(out, "source", rate->source);
    json_member(out, "from", from_pack ? STR("pack") : STR("operator"));
    json_member_time(out, "as_of", rate->as_of_ms);
    json_close(out, '}');
}

void json_fx(struct json_out *out, const struct config *config)
{
    json_open(out, '{');
    json_member(out, "source", config->fx_source);
    json_member_time(out, "as_of", config->fx_as_of_ms);
    json_member_u64(out, "margin_percent", config->fx_margin_percent);
    json_name(out, "rates");
    json_open(out, '{');
    for (size_t i = 0; i < config->fx_count; i++) {
        json_name_str(out, config->fx[i].currency);
        json_usd(out, config->fx[i].nano_per_unit);
    }
    json_close(out, '}');
    json_close(out, '}');
}

/* ---- explain ---- */

static void levels(struct json_out *out, const struct judge *judge, const struct decision *decision)
{
    json_name(out, "levels");
    json_open(out, '[');
    for (size_t i = 0; i < decision->level_count; i++) {
        const struct level *level = &decision->levels[i];
        struct use use = use_of(judge, &level->owner, level->day);
        json_open(out, '{');
        json_member(out, "level", level->level == LEVEL_KEY ? STR("key") : STR("tenant"));
        json_member(out, "owner", level->name);
        json_member(out, "window", level->day == WINDOW_LIFE ? STR("total") : STR("daily"));
        json_member_usd(out, "cap_usd", level->cap);
        json_member_usd(out, "spent_usd", use.posted);
        json_member_usd(out, "held_usd", use.held);
        json_close(out, '}');
    }
    json_close(out, ']');
}

void json_decision(struct json_out *out, const struct judge *judge, const struct decision *decision)
{
    bool allowed = decision->verdict == VERDICT_ALLOWED;
    const struct pack_operation *operation = decision->match.operation;
    bool observed = allowed && decision->observed != VERDICT_ALLOWED;

    json_open(out, '{');
    json_member(out, "verdict",
                !allowed   ? STR("denied")
                : observed ? STR("observed")
                           : STR("allowed"));
    json_member(out, "reason",
                observed ? verdict_code(decision->observed) : verdict_code(decision->verdict));
    json_member_u64(out, "status", verdict_denial(decision->verdict).status);
    json_member(out, "message", allowed ? STR_NONE : str_from(decision->why.text));
    json_member(out, "vendor", decision->pack == NULL ? STR_NONE : decision->pack->vendor);
    json_member(out, "path", decision->path);
    json_member(out, "operation", operation == NULL ? STR_NONE : operation->name);
    json_member(out, "class",
                decision->pack == NULL ? STR_NONE
                                       : str_from(operation_class_name(decision->class)));
    json_member(out, "rule", decision->rule);
    json_member(out, "credential", decision->credential_name);
    json_member_bool(out, "livemode", decision->live_mode);
    json_member_usd(out, "cost_usd", decision->cost.nano);
    json_name(out, "amount_minor");
    json_i64(out, decision->cost.amount_minor);
    json_member(out, "currency", decision->cost.currency);
    json_member(out, "rate", decision->cost.rate);
    json_member_bool(out, "reads_body", decision->read_rule != PACK_NONE);
    levels(out, judge, decision);
    json_close(out, '}');
}
