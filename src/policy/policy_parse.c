/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_parse.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/integer.h"
#include "base/limits.h"
#include "policy/usd.h"

enum { FRACTION_DECIMALS = 6, FRACTION_DIGITS = 15 };

struct reading {
    struct arena *arena;
    struct policy *policy;
    int64_t now_ms;
    uint64_t named;
    bool has_expiry, has_own_objects;
    struct err *err;
};

typedef int read_member(struct reading *reading, const char *name, json_t *value);

struct member {
    const char *name;
    const char *alias; /* the other published spelling */
    read_member *read;
    size_t offset, count_offset; /* in struct policy, for the readers that need no more */
    size_t max;
    enum policy_field field;
    bool may_change;
};

/* ---- values ---- */

int policy_parse_usd(const json_t *value, const char *name, int64_t *ret_nano, struct err *err)
{
    char digits[64];

    if (json_is_null(value)) {
        *ret_nano = MONEY_NONE;
        return 0;
    }
    if (json_is_integer(value)) {
        (void)snprintf(digits, sizeof(digits), "%lld", (long long)json_integer_value(value));
        if (usd_parse(str_from(digits), ret_nano)) {
            return 0;
        }
    } else if (json_is_real(value)) {
        (void)snprintf(digits, sizeof(digits), "%.*g", FRACTION_DIGITS, json_real_value(value));
        if (int_parse_decimal(str_from(digits), FRACTION_DECIMALS, ret_nano)) {
            int64_t micro = *ret_nano;
            if (int_mul_div_up(micro, NANO_PER_USD / 1000000, 1, ret_nano)) {
                return 0;
            }
        }
        return err_set(err,
                       "%s: a JSON fraction has at most %d decimals here; write the amount as a "
                       "text, such as \"0.0000001\"",
                       name, FRACTION_DECIMALS);
    } else if (json_is_string(value)) {
        if (usd_parse(str_of(json_string_value(value), json_string_length(value)), ret_nano)) {
            return 0;
        }
    }
    return err_set(err,
                   "%s is not an amount of dollars: a whole number, or a text such as \"12.50\" "
                   "with at most 9 decimals",
                   name);
}

static int read_usd(struct reading *reading, const char *name, json_t *value, size_t offset)
{
    int64_t nano;

    if (policy_parse_usd(value, name, &nano, reading->err) < 0) {
        return -1;
    }
    memcpy((char *)reading->policy + offset, &nano, sizeof(nano));
    return 0;
}

static int take_text(struct reading *reading, const char *name, const json_t *value, size_t max,
                     struct str *ret)
{
    if (json_is_null(value)) {
        *ret = STR_NONE;
        return 0;
    }
    if (!json_is_string(value)) {
        return err_set(reading->err, "%s is not a text", name);
    }
    struct str text = str_of(json_string_value(value), json_string_length(value));
    if (text.len > max) {
        return err_set(reading->err, "%s is longer than %zu bytes", name, max);
    }
    *ret = text.len == 0 ? STR_NONE : arena_copy(reading->arena, text);
    return 0;
}

static int take_list(struct reading *reading, const char *name, json_t *value, size_t max,
                     size_t text_max, struct str **ret_list, size_t *ret_count)
{
    size_t count = json_array_size(value);

    if (json_is_null(value)) {
        *ret_list = NULL;
        *ret_count = 0;
        return 0;
    }
    if (!json_is_array(value)) {
        return err_set(reading->err, "%s is not a list of texts", name);
    }
    if (count > max) {
        return err_set(reading->err, "%s has more than %zu entries", name, max);
    }
    struct str *list = count == 0 ? NULL : arena_zeroed(reading->arena, count, sizeof(*list));
    for (size_t i = 0; i < count; i++) {
        const json_t *element = json_array_get(value, i);
        if (!json_is_string(element)) {
            return err_set(reading->err, "%s: entry %zu is not a text", name, i + 1);
        }
        if (take_text(reading, name, element, text_max, &list[i]) < 0) {
            return -1;
        }
    }
    *ret_list = list;
    *ret_count = count;
    return 0;
}

static int read_policy_list(struct reading *reading, const char *name, json_t *value,
                            const struct member *member, size_t text_max)
{
    struct str *list;
    size_t count;

    if (take_list(reading, name, value, member->max, text_max, &list, &count) < 0) {
        return -1;
    }
    memcpy((char *)reading->policy + member->offset, &list, sizeof(list));
    memcpy((char *)reading->policy + member->count_offset, &count, sizeof(count));
    return 0;
}

/* ---- members that need a word of their own ---- */

static int read_total_cap(struct reading *reading, const char *name, json_t *value)
{
    reading->policy->total_cap_given = true;
    return policy_parse_usd(value, name, &reading->policy->total_cap, reading->err);
}

static int set_expiry(struct reading *reading, const char *name, int64_t at_ms)
{
    if (reading->has_expiry) {
        return err_set(reading->err, "%s: give expires_in or expires_at, not both", name);
    }
    reading->has_expiry = true;
    reading->policy->expires_at_ms = at_ms;
    return 0;
}

static int read_expires_in(struct reading *reading, const char *name, json_t *value)
{
    uint64_t after_ms;
    int64_t at_ms;

    if (!json_is_string(value) ||
        !clock_parse_duration(str_of(json_string_value(value), json_string_length(value)),
                              &after_ms) ||
        !int_add(reading->now_ms, (int64_t)after_ms, &at_ms)) {
        return err_set(reading->err, "%s is not a duration such as 30s, 12m, 2h or 1d", name);
    }
    return set_expiry(reading, name, at_ms);
}

static int read_expires_at(struct reading *reading, const char *name, json_t *value)
{
    int64_t at_ms;

    if (!json_is_string(value) ||
        !clock_parse_rfc3339(str_of(json_string_value(value), json_string_length(value)), &at_ms)) {
        return err_set(reading->err, "%s is not a time such as 2026-11-24T00:00:00Z", name);
    }
    return set_expiry(reading, name, at_ms);
}

static int read_choice(struct reading *reading, const char *name, const json_t *value,
                       const char *const *choices, size_t count, int *ret)
{
    char all[128] = "";
    size_t len = 0;

    if (json_is_null(value)) {
        *ret = 0;
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        if (json_is_string(value) && strcmp(json_string_value(value), choices[i]) == 0) {
            *ret = (int)i;
            return 0;
        }
        int wrote = snprintf(all + len, sizeof(all) - len, "%s%s", i == 0 ? "" : ", ", choices[i]);
        len += wrote > 0 && (size_t)wrote < sizeof(all) - len ? (size_t)wrote : 0;
    }
    return err_set(reading->err, "%s is one of: %s", name, all);
}

static int read_mode(struct reading *reading, const char *name, json_t *value)
{
    static const char *const choices[MODE_COUNT] = {
        [MODE_ENFORCE] = "enforce", [MODE_OBSERVE] = "observe"};
    int choice = 0;

    if (read_choice(reading, name, value, choices, MODE_COUNT, &choice) < 0) {
        return -1;
    }
    reading->policy->mode = (enum policy_mode)choice;
    return 0;
}

static int read_token_style(struct reading *reading, const char *name, json_t *value)
{
    static const char *const choices[TOKEN_STYLE_COUNT] = {
        [TOKEN_VK] = "vk", [TOKEN_SK] = "sk", [TOKEN_RK] = "rk"};
    int choice = TOKEN_VK;

    if (read_choice(reading, name, value, choices, TOKEN_STYLE_COUNT, &choice) < 0) {
        return -1;
    }
    reading->policy->token_style = (enum token_style)choice;
    return 0;
}

static int read_client_secret(struct reading *reading, const char *name, json_t *value)
{
    static const char *const choices[] = {"pass", "redact"};
    int choice = 0;

    if (read_choice(reading, name, value, choices, 2, &choice) < 0) {
        return -1;
    }
    reading->policy->redact_client_secret = choice == 1;
    return 0;
}

static int read_on_key_end(struct reading *reading, const char *name, json_t *value)
{
    static const char *const choices[] = {"keep", "cancel_open"};
    int choice = 0;

    if (read_choice(reading, name, value, choices, 2, &choice) < 0) {
        return -1;
    }
    reading->policy->cancel_open = choice == 1;
    return 0;
}

static int read_own_objects(struct reading *reading, const char *name, json_t *value)
{
    if (!json_is_boolean(value) && !json_is_null(value)) {
        return err_set(reading->err, "%s is true or false", name);
    }
    reading->policy->own_objects_only = json_is_true(value);
    reading->has_own_objects = json_is_boolean(value);
    return 0;
}

/* ---- the tables ---- */

enum { VALUE_BYTES = 255 };

static read_member read_limits, read_params;
#define AT(field) .offset = offsetof(struct policy, field)
#define LIST_AT(field, counter) AT(field), .count_offset = offsetof(struct policy, counter)
#define CHANGES(f) .field = (f), .may_change = true

/* Without a reader of its own, a member with a count is a list, with a maximum a text; else an
 * amount, or, in limits, a number. */
static const struct member members[] = {
    {.name = "label", .alias = "agent_run_label", AT(label), .max = LIMIT_LABEL_BYTES},
    {.name = "vendor", AT(vendor), .max = LIMIT_NAME_BYTES},
    {.name = "credential", AT(credential), .max = LIMIT_NAME_BYTES},
    {.name = "tenant", AT(tenant), .max = LIMIT_NAME_BYTES},
    {.name = "run_id", .alias = "agent_run_id", AT(run_id), .max = LIMIT_LABEL_BYTES},
    {.name = "parent", AT(parent), .max = LIMIT_NAME_BYTES},
    {.name = "idempotency_scope", AT(idempotency_scope), .max = LIMIT_LABEL_BYTES},
    {.name = "daily_usd_cap", AT(daily_cap), CHANGES(FIELD_DAILY_CAP)},
    {.name = "total_usd_cap", .read = read_total_cap, CHANGES(FIELD_TOTAL_CAP)},
    {.name = "allowed_endpoints",
     LIST_AT(entries, entry_count),
     .max = LIMIT_ALLOWLIST_ENTRIES,
     CHANGES(FIELD_ENTRIES)},
    {.name = "allowed_hosts",
     LIST_AT(hosts, host_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_HOSTS)},
    {.name = "expires_in", .read = read_expires_in, CHANGES(FIELD_EXPIRES)},
    {.name = "expires_at", .read = read_expires_at, CHANGES(FIELD_EXPIRES)},
    {.name = "mode", .read = read_mode, CHANGES(FIELD_MODE)},
    {.name = "token_style", .read = read_token_style},
    {.name = "limits", .read = read_limits, CHANGES(FIELD_COUNT)},
    {.name = "params", .read = read_params, CHANGES(FIELD_COUNT)},
};

static const struct member limit_members[] = {
    {.name = "requests_per_minute", AT(requests_per_minute), CHANGES(FIELD_REQUESTS_PER_MINUTE)},
    {.name = "requests_per_day", AT(requests_per_day), CHANGES(FIELD_REQUESTS_PER_DAY)},
    {.name = "concurrency", AT(concurrency), CHANGES(FIELD_CONCURRENCY)},
    {.name = "sources",
     LIST_AT(sources, source_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_SOURCES)},
};

static const struct member param_members[] = {
    {.name = "max_amount_usd", AT(max_amount), CHANGES(FIELD_MAX_AMOUNT)},
    {.name = "flat_price_usd", AT(flat_price), CHANGES(FIELD_FLAT_PRICE)},
    {.name = "currencies",
     LIST_AT(currencies, currency_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_CURRENCIES)},
    {.name = "to_prefixes",
     LIST_AT(to_prefixes, to_prefix_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_TO_PREFIXES)},
    {.name = "from_domains",
     LIST_AT(from_domains, from_domain_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_FROM_DOMAINS)},
    {.name = "models",
     LIST_AT(models, model_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_MODELS)},
    {.name = "accounts",
     LIST_AT(accounts, account_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_ACCOUNTS)},
    {.name = "customers",
     LIST_AT(customers, customer_count),
     .max = LIMIT_LIST_VALUES,
     CHANGES(FIELD_CUSTOMERS)},
    {.name = "own_objects_only", .read = read_own_objects, CHANGES(FIELD_OWN_OBJECTS_ONLY)},
    {.name = "client_secret", .read = read_client_secret, CHANGES(FIELD_REDACT_CLIENT_SECRET)},
    {.name = "on_key_end", .read = read_on_key_end, CHANGES(FIELD_CANCEL_OPEN)},
};

static bool member_is(const struct member *member, const char *name)
{
    return strcmp(member->name, name) == 0 ||
           (member->alias != NULL && strcmp(member->alias, name) == 0);
}

static int read_limit(struct reading *reading, const char *name, const json_t *value,
                      const struct member *member)
{
    uint64_t limit = 0;

    if (!json_is_null(value)) {
        if (!json_is_integer(value) || json_integer_value(value) < 1) {
            return err_set(reading->err, "%s is not a whole number of at least 1; null lifts it",
                           name);
        }
        limit = (uint64_t)json_integer_value(value);
    }
    memcpy((char *)reading->policy + member->offset, &limit, sizeof(limit));
    return 0;
}

static int read_one(struct reading *reading, const struct member *member, const char *name,
                    json_t *value, bool numbers)
{
    struct str text;

    if (member->may_change && member->field < FIELD_COUNT) {
        reading->named |= POLICY_FIELD(member->field);
    }
    if (member->read != NULL) {
        return member->read(reading, name, value);
    }
    if (member->count_offset != 0) {
        return read_policy_list(reading, name, value, member,
                                member->field == FIELD_ENTRIES ? LIMIT_ENTRY_BYTES : VALUE_BYTES);
    }
    if (member->max == 0) {
        return numbers ? read_limit(reading, name, value, member)
                       : read_usd(reading, name, value, member->offset);
    }
    if (take_text(reading, name, value, member->max, &text) < 0) {
        return -1;
    }
    memcpy((char *)reading->policy + member->offset, &text, sizeof(text));
    return 0;
}

static const struct member *find_member(const struct member *table, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++) {
        if (member_is(&table[i], name)) {
            return &table[i];
        }
    }
    return NULL;
}

static int read_group(struct reading *reading, const char *group, json_t *value,
                      const struct member *table, size_t count, bool numbers)
{
    const char *key;
    json_t *inner;
    char name[64];

    if (json_is_null(value)) { /* all of the group, back to the default */
        for (size_t i = 0; i < count; i++) {
            if (read_one(reading, &table[i], table[i].name, value, numbers) < 0) {
                return -1;
            }
        }
        return 0;
    }
    if (!json_is_object(value)) {
        return err_set(reading->err, "%s is not an object", group);
    }
    json_object_foreach(value, key, inner)
    {
        const struct member *member = find_member(table, count, key);
        if (member == NULL) {
            return err_set(reading->err, "%s.%.64s is not known", group, key);
        }
        (void)snprintf(name, sizeof(name), "%s.%s", group, member->name);
        if (read_one(reading, member, name, inner, numbers) < 0) {
            return -1;
        }
    }
    return 0;
}

static int read_limits(struct reading *reading, const char *name, json_t *value)
{
    return read_group(reading, name, value, limit_members,
                      sizeof(limit_members) / sizeof(limit_members[0]), true);
}

static int read_params(struct reading *reading, const char *name, json_t *value)
{
    return read_group(reading, name, value, param_members,
                      sizeof(param_members) / sizeof(param_members[0]), false);
}

/* ---- the whole ---- */

static int read_body(struct reading *reading, json_t *body, bool patch)
{
    const char *key;
    json_t *value;

    if (!json_is_object(body)) {
        return err_set(reading->err, "the body is not a JSON object");
    }
    json_object_foreach(body, key, value)
    {
        const struct member *member =
            find_member(members, sizeof(members) / sizeof(members[0]), key);
        if (member == NULL) {
            return err_set(reading->err, "'%.64s' is not known here", key);
        }
        if (member->alias != NULL && json_object_get(body, member->name) != NULL &&
            json_object_get(body, member->alias) != NULL) {
            return err_set(reading->err, "%s and %s mean the same; give one", member->name,
                           member->alias);
        }
        if (patch && !member->may_change) {
            return err_set(reading->err, "%s never changes; issue another key", key);
        }
        if (read_one(reading, member, key, value, false) < 0) {
            return -1;
        }
    }
    return 0;
}

static void set_defaults(struct policy *policy)
{
    *policy = (struct policy){.daily_cap = MONEY_NONE,
                              .total_cap = MONEY_NONE,
                              .flat_price = MONEY_NONE,
                              .max_amount = MONEY_NONE};
}

static int check_required(json_t *body, struct err *err)
{
    static const struct {
        const char *name, *why;
    } required[] = {
        {"vendor", "vendor is missing: a key is for one vendor"},
        {"allowed_endpoints", "allowed_endpoints is missing: name what the key may call, such as "
                              "[\"/v1/payment_intents\", \"charges.create\"]"},
        {"daily_usd_cap", "daily_usd_cap is missing: give dollars a day, or null for no cap"},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (json_object_get(body, required[i].name) == NULL) {
            return err_set(err, "%s", required[i].why);
        }
    }
    return 0;
}

int policy_parse(json_t *body, const struct config *config, int64_t now_ms, struct arena *arena,
                 struct policy *ret, struct err *err)
{
    struct policy policy;
    struct reading reading = {.arena = arena, .policy = &policy, .now_ms = now_ms, .err = err};

    set_defaults(&policy);
    if (read_body(&reading, body, false) < 0 || check_required(body, err) < 0) {
        return -1;
    }
    if (!reading.has_expiry) {
        uint64_t ttl_ms = config->ttl_default_ms < config->ttl_max_ms ? config->ttl_default_ms
                                                                      : config->ttl_max_ms;
        policy.expires_at_ms = now_ms + (int64_t)ttl_ms;
    }
    if (!reading.has_own_objects) {
        /* Tenants share a vendor's account; none is to touch what another has made. */
        policy.own_objects_only = policy.tenant.len > 0;
    }
    *ret = policy;
    return 0;
}

int policy_parse_patch(json_t *body, int64_t now_ms, struct arena *arena, struct call_patch *ret,
                       struct err *err)
{
    struct call_patch patch = {0};
    struct reading reading = {
        .arena = arena, .policy = &patch.policy, .now_ms = now_ms, .err = err};

    set_defaults(&patch.policy);
    if (read_body(&reading, body, true) < 0) {
        return -1;
    }
    if (reading.named == 0) {
        return err_set(err, "the body names nothing to change");
    }
    patch.named = reading.named;
    *ret = patch;
    return 0;
}

/* ---- bounds ---- */

static int read_bound(struct reading *reading, struct call_bounds *bounds, const char *key,
                      json_t *value)
{
    if (strcmp(key, "vendors") == 0) {
        return take_list(reading, key, value, LIMIT_LIST_VALUES, LIMIT_NAME_BYTES, &bounds->vendors,
                         &bounds->vendor_count);
    }
    if (strcmp(key, "allowed_endpoints") == 0) {
        return take_list(reading, key, value, LIMIT_ALLOWLIST_ENTRIES, LIMIT_ENTRY_BYTES,
                         &bounds->entries, &bounds->entry_count);
    }
    if (strcmp(key, "daily_usd_cap") == 0) {
        return policy_parse_usd(value, key, &bounds->daily_cap, reading->err);
    }
    if (strcmp(key, "total_usd_cap") == 0) {
        return policy_parse_usd(value, key, &bounds->total_cap, reading->err);
    }
    if (strcmp(key, "max_ttl") == 0) {
        if (!json_is_string(value) ||
            !clock_parse_duration(str_of(json_string_value(value), json_string_length(value)),
                                  &bounds->ttl_max_ms) ||
            bounds->ttl_max_ms == 0) {
            return err_set(reading->err, "max_ttl is not a duration such as 30m or 2h");
        }
        return 0;
    }
    if (strcmp(key, "label_prefix") == 0) {
        return take_text(reading, key, value, LIMIT_LABEL_BYTES, &bounds->label_prefix);
    }
    if (strcmp(key, "tenant") == 0) {
        return take_text(reading, key, value, LIMIT_NAME_BYTES, &bounds->tenant);
    }
    return err_set(reading->err, "bounds.%.64s is not known", key);
}

int policy_parse_bounds(json_t *body, struct arena *arena, struct call_bounds *ret, struct err *err)
{
    struct call_bounds bounds = {.daily_cap = MONEY_NONE, .total_cap = MONEY_NONE};
    struct reading reading = {.arena = arena, .err = err};
    const char *key;
    json_t *value;

    if (!json_is_object(body)) {
        return err_set(err, "bounds is not an object");
    }
    json_object_foreach(body, key, value)
    {
        if (read_bound(&reading, &bounds, key, value) < 0) {
            return -1;
        }
    }
    *ret = bounds;
    return 0;
}
