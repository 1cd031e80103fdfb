/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "policy/allowlist.h"
#include "policy/cidr.h"
#include "policy/hosts.h"
#include "policy/token.h"

enum { DAY_MS = 24 * 3600 * 1000 };

enum {
    VALUE_BYTES_MAX = 255,     /* of a list of strings */
    CLOCK_SLACK_MS = 1000,     /* between control, which reads the clock first, and the judge */
    RATE_MAX = 1000 * 1000000, /* requests per minute, per day, at once */
    OLDEST_FIELDS = 28,        /* of the first policies that were stored */
};

static const struct wire_field policy_fields[] = {
    WIRE_STR(struct policy, label, LIMIT_LABEL_BYTES),
    WIRE_STR(struct policy, vendor, LIMIT_NAME_BYTES),
    WIRE_STR(struct policy, credential, LIMIT_NAME_BYTES),
    WIRE_STR(struct policy, tenant, LIMIT_NAME_BYTES),
    WIRE_STR(struct policy, run_id, LIMIT_LABEL_BYTES),
    WIRE_STR(struct policy, parent, LIMIT_NAME_BYTES),
    WIRE_STR(struct policy, idempotency_scope, LIMIT_LABEL_BYTES),
    WIRE_STR(struct policy, session, LIMIT_NAME_BYTES),
    WIRE_I64(struct policy, daily_cap),
    WIRE_I64(struct policy, total_cap),
    WIRE_BOOL(struct policy, total_cap_given),
    WIRE_ARRAY(struct policy, entries, entry_count, LIMIT_ALLOWLIST_ENTRIES, &wire_str_schema),
    WIRE_I64(struct policy, expires_at_ms),
    WIRE_U64(struct policy, requests_per_minute),
    WIRE_U64(struct policy, requests_per_day),
    WIRE_U64(struct policy, concurrency),
    WIRE_ENUM(struct policy, mode, MODE_COUNT),
    WIRE_ENUM(struct policy, token_style, TOKEN_STYLE_COUNT),
    WIRE_I64(struct policy, flat_price),
    WIRE_BOOL(struct policy, own_objects_only),
    WIRE_BOOL(struct policy, redact_client_secret),
    WIRE_I64(struct policy, max_amount),
    WIRE_ARRAY(struct policy, currencies, currency_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, to_prefixes, to_prefix_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, from_domains, from_domain_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, models, model_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, accounts, account_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, customers, customer_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, sources, source_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct policy, hosts, host_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_BOOL(struct policy, cancel_open)};
const struct wire_schema policy_schema = WIRE_SCHEMA(struct policy, policy_fields);

bool policy_decode(struct str bytes, struct arena *arena, struct policy *ret)
{
    struct wire_schema schema = policy_schema;

    for (; schema.count >= OLDEST_FIELDS; schema.count--) {
        *ret = (struct policy){0};
        if (wire_decode(&schema, bytes, arena, ret)) {
            return true;
        }
    }
    return false;
}

/* ---- checking ---- */

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if ((unsigned char)s.data[i] < 0x20 || s.data[i] == 0x7f) {
            return false;
        }
    }
    return true;
}

static bool is_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (c == '\0' || strchr("_-.@:", c) == NULL)) {
            return false;
        }
    }
    return true;
}

static int check_texts(const struct policy *policy, struct err *err)
{
    const struct {
        const char *name;
        struct str value;
        size_t max;
        bool is_name;
    } texts[] = {
        {"label", policy->label, LIMIT_LABEL_BYTES, false},
        {"run_id", policy->run_id, LIMIT_LABEL_BYTES, false},
        {"idempotency_scope", policy->idempotency_scope, LIMIT_LABEL_BYTES, false},
        {"credential", policy->credential, LIMIT_NAME_BYTES, true},
        {"tenant", policy->tenant, LIMIT_NAME_BYTES, true},
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (texts[i].value.len > texts[i].max) {
            return err_set(err, "%s is longer than %zu bytes", texts[i].name, texts[i].max);
        }
        if (texts[i].is_name ? !is_name(texts[i].value) : !is_text(texts[i].value)) {
            return err_set(err, "%s has characters that may not stand there; it is made of %s",
                           texts[i].name,
                           texts[i].is_name ? "letters, digits and _ - . @ :"
                                            : "anything but control characters");
        }
    }
    if (policy->parent.len > 0 && !name_check(policy->parent, "key_")) {
        return err_set(err, "parent is not the id of a key");
    }
    return 0;
}

static int check_money(const struct policy *policy, struct err *err)
{
    const struct {
        const char *name;
        int64_t value;
    } amounts[] = {
        {"daily_usd_cap", policy->daily_cap},
        {"total_usd_cap", policy->total_cap},
        {"flat_price_usd", policy->flat_price},
        {"max_amount_usd", policy->max_amount},
    };

    for (size_t i = 0; i < sizeof(amounts) / sizeof(amounts[0]); i++) {
        if (amounts[i].value < 0 && amounts[i].value != MONEY_NONE) {
            return err_set(err, "%s is negative", amounts[i].name);
        }
    }
    if (policy->requests_per_minute > RATE_MAX || policy->requests_per_day > RATE_MAX ||
        policy->concurrency > RATE_MAX) {
        return err_set(err, "a limit on requests is above %d", RATE_MAX);
    }
    return 0;
}

/* An exact path of which only guarded operations would come grants nothing: say so now. */
static int check_not_guarded(const struct pack *pack, const struct entry *entry, struct err *err)
{
    static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
    const struct pack_operation *guarded = NULL;

    if (entry->kind != ENTRY_PATH || str_ends(entry->name, STR("/*"))) {
        return 0;
    }
    for (uint32_t i = 0; i < pack->upstream_count; i++) {
        for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]); k++) {
            struct str method = str_from(methods[k]);
            struct match match = {0};
            if ((entry->method.len > 0 && !str_equal(entry->method, method)) ||
                !match_find(pack, i, method, entry->name, &match) || match.operation == NULL) {
                continue;
            }
            if (!operation_class_is_guarded(match.operation->class)) {
                return 0;
            }
            guarded = match.operation;
        }
    }
    if (guarded == NULL) {
        return 0;
    }
    return err_set(err, "'%.*s' is of class %s, which is granted only by its name: '%.*s'",
                   STR_FMT(entry->text), operation_class_name(guarded->class),
                   STR_FMT(guarded->name));
}

static int check_entries(const struct policy *policy, const struct pack *pack, struct err *err)
{
    struct entry entry;

    if (policy->entry_count == 0) {
        return err_set(err, "allowed_endpoints is empty, so the key could do nothing; name at "
                            "least one endpoint");
    }
    if (policy->entry_count > LIMIT_ALLOWLIST_ENTRIES) {
        return err_set(err, "allowed_endpoints has more than %d entries", LIMIT_ALLOWLIST_ENTRIES);
    }
    for (size_t i = 0; i < policy->entry_count; i++) {
        if (entry_parse(policy->entries[i], pack, &entry, err) < 0 ||
            check_not_guarded(pack, &entry, err) < 0) {
            return err_prefix(err, "allowed_endpoints");
        }
    }
    return 0;
}

/* A duration as people say it: 86400 s is 24 h. */
static uint64_t in_largest_unit(uint64_t ms, const char **ret_unit)
{
    uint64_t seconds = ms / 1000;

    *ret_unit = seconds % 3600 == 0 ? "h" : seconds % 60 == 0 ? "min" : "s";
    return seconds % 3600 == 0 ? seconds / 3600 : seconds % 60 == 0 ? seconds / 60 : seconds;
}

static int check_expiry(const struct policy *policy, const struct config *config, int64_t now_ms,
                        struct err *err)
{
    const char *unit;

    if (policy->expires_at_ms <= now_ms) {
        return err_set(err, "the key would already have expired");
    }
    if ((uint64_t)(policy->expires_at_ms - now_ms) > config->ttl_max_ms + CLOCK_SLACK_MS) {
        uint64_t most = in_largest_unit(config->ttl_max_ms, &unit);
        return err_set(err, "a key may live %llu %s at most on this server (serve --ttl-max)",
                       (unsigned long long)most, unit);
    }
    return 0;
}

static bool is_currency(struct str s)
{
    return s.len == 3 && s.data[0] >= 'a' && s.data[0] <= 'z' && s.data[1] >= 'a' &&
           s.data[1] <= 'z' && s.data[2] >= 'a' && s.data[2] <= 'z';
}

static bool any_value(struct str s)
{
    return is_text(s);
}

static bool is_network(struct str s)
{
    struct cidr cidr;
    struct err err;

    return cidr_parse(s, &cidr, &err) == 0;
}

struct list_field {
    const char *name;
    enum policy_field field;
    size_t offset, count_offset;
    bool (*is_good)(struct str value);
    const char *form; /* of a value, for the refusal */
};
#define LIST_FIELD(n, f, list, counter, good, text)                                                \
    {                                                                                              \
        (n), (f), offsetof(struct policy, list), offsetof(struct policy, counter), (good), (text)  \
    }
static const struct list_field list_fields[] = {
    LIST_FIELD("currencies", FIELD_CURRENCIES, currencies, currency_count, is_currency,
               "three small letters"),
    LIST_FIELD("to_prefixes", FIELD_TO_PREFIXES, to_prefixes, to_prefix_count, any_value, "text"),
    LIST_FIELD("from_domains", FIELD_FROM_DOMAINS, from_domains, from_domain_count, any_value,
               "a domain"),
    LIST_FIELD("models", FIELD_MODELS, models, model_count, any_value, "a model's name"),
    LIST_FIELD("accounts", FIELD_ACCOUNTS, accounts, account_count, any_value, "an account id"),
    LIST_FIELD("customers", FIELD_CUSTOMERS, customers, customer_count, any_value, "a customer id"),
    LIST_FIELD("sources", FIELD_SOURCES, sources, source_count, is_network,
               "an address or a network such as 10.0.0.0/8"),
    LIST_FIELD("allowed_hosts", FIELD_HOSTS, hosts, host_count, host_entry_is_valid,
               "a host such as pypi.org, *.pythonhosted.org or deb.debian.org:80"),
    LIST_FIELD("allowed_endpoints", FIELD_ENTRIES, entries, entry_count, NULL, NULL),
};
enum { LIST_FIELD_COUNT = sizeof(list_fields) / sizeof(list_fields[0]) };

static struct str *list_get(const struct policy *policy, const struct list_field *field,
                            size_t *ret_count)
{
    struct str *list;

    memcpy(&list, (const char *)policy + field->offset, sizeof(list));
    memcpy(ret_count, (const char *)policy + field->count_offset, sizeof(*ret_count));
    return list;
}

static void list_set(struct policy *policy, const struct list_field *field, struct str *list,
                     size_t count)
{
    memcpy((char *)policy + field->offset, &list, sizeof(list));
    memcpy((char *)policy + field->count_offset, &count, sizeof(count));
}

static int check_lists(const struct policy *policy, struct err *err)
{
    for (size_t i = 0; i < LIST_FIELD_COUNT; i++) {
        const struct list_field *field = &list_fields[i];
        size_t count;
        const struct str *list = list_get(policy, field, &count);

        if (field->is_good == NULL) {
            continue; /* the entries: checked by themselves */
        }
        if (count > LIMIT_LIST_VALUES) {
            return err_set(err, "%s has more than %d values", field->name, LIMIT_LIST_VALUES);
        }
        for (size_t k = 0; k < count; k++) {
            if (list[k].len == 0 || list[k].len > VALUE_BYTES_MAX || !field->is_good(list[k])) {
                return err_set(err, "%s: '%.*s' is not %s", field->name, STR_FMT(list[k]),
                               field->form);
            }
        }
    }
    return 0;
}

int policy_unknown_vendor(const struct config *config, struct str vendor, struct err *err)
{
    char names[ERR_TEXT_SIZE / 2] = "";
    size_t len = 0;

    for (size_t i = 0; i < config->pack_count && len < sizeof(names) - 1; i++) {
        int wrote = snprintf(names + len, sizeof(names) - len, "%s%.*s", i == 0 ? "" : ", ",
                             STR_FMT(config->packs[i].vendor));
        len += wrote > 0 ? (size_t)wrote : 0;
    }
    return err_set(err, "vendor '%.*s' is not known here; there are: %s",
                   STR_FMT(str_slice(vendor, 0, LIMIT_NAME_BYTES)), names);
}

int policy_check(const struct policy *policy, const struct config *config, int64_t now_ms,
                 struct err *err)
{
    uint32_t pack = config_find_pack(config, policy->vendor);

    if (pack == PACK_NONE) {
        return policy->vendor.len == 0 ? err_set(err, "vendor is missing; a key is for one vendor")
                                       : policy_unknown_vendor(config, policy->vendor, err);
    }
    if (check_texts(policy, err) < 0 || check_money(policy, err) < 0 ||
        check_entries(policy, &config->packs[pack], err) < 0 || check_lists(policy, err) < 0) {
        return -1;
    }
    return check_expiry(policy, config, now_ms, err);
}

/* ---- copying ---- */

static void list_copy(struct arena *arena, struct policy *policy, const struct list_field *field)
{
    size_t count;
    const struct str *from = list_get(policy, field, &count);
    struct str *to = count == 0 ? NULL : arena_zeroed(arena, count, sizeof(*to));

    for (size_t i = 0; i < count; i++) {
        to[i] = arena_copy(arena, from[i]);
    }
    list_set(policy, field, to, count);
}

struct policy *policy_copy(struct arena *arena, const struct policy *policy)
{
    struct policy *copy = arena_zeroed(arena, 1, sizeof(*copy));
    struct str *const texts[] = {
        &copy->label,  &copy->vendor, &copy->credential,        &copy->tenant,
        &copy->run_id, &copy->parent, &copy->idempotency_scope, &copy->session};

    *copy = *policy;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        *texts[i] = texts[i]->len == 0 ? STR_NONE : arena_copy(arena, *texts[i]);
    }
    for (size_t i = 0; i < LIST_FIELD_COUNT; i++) {
        list_copy(arena, copy, &list_fields[i]);
    }
    return copy;
}

static void take_scalar(struct policy *to, const struct policy *from, enum policy_field field)
{
    switch (field) {
    case FIELD_DAILY_CAP:
        to->daily_cap = from->daily_cap;
        break;
    case FIELD_TOTAL_CAP:
        to->total_cap = from->total_cap;
        to->total_cap_given = from->total_cap_given;
        break;
    case FIELD_EXPIRES:
        to->expires_at_ms = from->expires_at_ms;
        break;
    case FIELD_MODE:
        to->mode = from->mode;
        break;
    case FIELD_REQUESTS_PER_MINUTE:
        to->requests_per_minute = from->requests_per_minute;
        break;
    case FIELD_REQUESTS_PER_DAY:
        to->requests_per_day = from->requests_per_day;
        break;
    case FIELD_CONCURRENCY:
        to->concurrency = from->concurrency;
        break;
    case FIELD_FLAT_PRICE:
        to->flat_price = from->flat_price;
        break;
    case FIELD_MAX_AMOUNT:
        to->max_amount = from->max_amount;
        break;
    case FIELD_OWN_OBJECTS_ONLY:
        to->own_objects_only = from->own_objects_only;
        break;
    case FIELD_REDACT_CLIENT_SECRET:
        to->redact_client_secret = from->redact_client_secret;
        break;
    case FIELD_CANCEL_OPEN:
        to->cancel_open = from->cancel_open;
        break;
    default:
        break; /* a list */
    }
}

struct policy *policy_patched(struct arena *arena, const struct policy *policy,
                              const struct policy *change, uint64_t named)
{
    struct policy mixed = *policy;

    for (unsigned field = 0; field < FIELD_COUNT; field++) {
        if ((named & POLICY_FIELD(field)) != 0) {
            take_scalar(&mixed, change, field);
        }
    }
    for (size_t i = 0; i < LIST_FIELD_COUNT; i++) {
        if ((named & POLICY_FIELD(list_fields[i].field)) != 0) {
            size_t count;
            struct str *list = list_get(change, &list_fields[i], &count);
            list_set(&mixed, &list_fields[i], list, count);
        }
    }
    return policy_copy(arena, &mixed);
}

/* ---- comparing ---- */

static bool money_is_narrower(int64_t next, int64_t old)
{
    return old == MONEY_NONE || (next != MONEY_NONE && next <= old);
}

static bool limit_is_narrower(uint64_t next, uint64_t old)
{
    return old == 0 || (next != 0 && next <= old);
}

int64_t policy_total_cap(const struct policy *policy, int64_t created_at_ms)
{
    if (policy->total_cap_given) {
        return policy->total_cap;
    }
    return policy->expires_at_ms - created_at_ms <= DAY_MS ? policy->daily_cap : MONEY_NONE;
}

static bool list_has(const struct str *list, size_t count, struct str value)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(list[i], value)) {
            return true;
        }
    }
    return false;
}

static bool list_is_narrower(const struct policy *next, const struct policy *old,
                             const struct list_field *field)
{
    size_t next_count;
    size_t old_count;
    const struct str *next_list = list_get(next, field, &next_count);
    const struct str *old_list = list_get(old, field, &old_count);
    /* No list of accounts or hosts: none allowed. */
    bool empty_is_all = field->field != FIELD_ACCOUNTS && field->field != FIELD_HOSTS;

    if (empty_is_all && (old_count == 0 || next_count == 0)) {
        return old_count == 0;
    }
    for (size_t i = 0; i < next_count; i++) {
        if (!list_has(old_list, old_count, next_list[i])) {
            return false;
        }
    }
    return true;
}

static bool entry_is_covered(struct str text, const struct policy *old, const struct pack *pack)
{
    struct entry narrow;
    struct entry wide;
    struct err err;

    if (entry_parse(text, pack, &narrow, &err) < 0) {
        return false;
    }
    for (size_t i = 0; i < old->entry_count; i++) {
        if (entry_parse(old->entries[i], pack, &wide, &err) == 0 &&
            entry_covers(pack, &wide, &narrow)) {
            return true;
        }
    }
    return false;
}

static bool entries_are_narrower(const struct policy *next, const struct policy *old,
                                 const struct pack *pack)
{
    for (size_t i = 0; i < next->entry_count; i++) {
        if (!entry_is_covered(next->entries[i], old, pack)) {
            return false;
        }
    }
    return true;
}

bool policy_is_narrower(const struct policy *next, const struct policy *old, int64_t created_at_ms,
                        const struct pack *pack, const char **ret_field)
{
    int64_t next_total = policy_total_cap(next, created_at_ms);
    int64_t old_total = policy_total_cap(old, created_at_ms);
    const struct {
        const char *name;
        bool holds;
    } fields[] = {
        {"daily_usd_cap", money_is_narrower(next->daily_cap, old->daily_cap)},
        {"total_usd_cap", money_is_narrower(next_total, old_total)},
        {"expires_at", next->expires_at_ms <= old->expires_at_ms},
        {"mode", next->mode == MODE_ENFORCE || next->mode == old->mode},
        {"requests_per_minute",
         limit_is_narrower(next->requests_per_minute, old->requests_per_minute)},
        {"requests_per_day", limit_is_narrower(next->requests_per_day, old->requests_per_day)},
        {"concurrency", limit_is_narrower(next->concurrency, old->concurrency)},
        /* A price makes uncatalogued calls possible, and another one counts otherwise. */
        {"flat_price_usd", next->flat_price == old->flat_price},
        {"max_amount_usd", money_is_narrower(next->max_amount, old->max_amount)},
        {"own_objects_only", next->own_objects_only || !old->own_objects_only},
        {"client_secret", next->redact_client_secret || !old->redact_client_secret},
        {"on_key_end", next->cancel_open || !old->cancel_open},
        {"allowed_endpoints", entries_are_narrower(next, old, pack)},
    };

    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        if (!fields[i].holds) {
            *ret_field = fields[i].name;
            return false;
        }
    }
    for (size_t i = 0; i < LIST_FIELD_COUNT; i++) {
        if (list_fields[i].field != FIELD_ENTRIES &&
            !list_is_narrower(next, old, &list_fields[i])) {
            *ret_field = list_fields[i].name;
            return false;
        }
    }
    return true;
}
