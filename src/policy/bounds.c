/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/bounds.h"

#include "policy/allowlist.h"
#include "policy/usd.h"

enum { CLOCK_SLACK_MS = 1000 };

static bool has(const struct str *list, size_t count, struct str value)
{
    for (size_t i = 0; i < count; i++) {
        if (str_equal(list[i], value)) {
            return true;
        }
    }
    return false;
}

static int check_cap(const char *name, int64_t asked, int64_t bound, struct err *err)
{
    if (bound == MONEY_NONE || (asked != MONEY_NONE && asked <= bound)) {
        return 0;
    }
    struct usd_text text = usd_text(bound);
    return err_set(err, "%s is above what this token may issue: $%s", name, text.text);
}

static bool is_covered(const struct call_bounds *bounds, const struct pack *pack, struct str text)
{
    struct entry narrow;
    struct entry wide;
    struct err ignored;

    if (entry_parse(text, pack, &narrow, &ignored) < 0) {
        return false;
    }
    for (size_t i = 0; i < bounds->entry_count; i++) {
        /* Bounds may name operations of several vendors: those of others cover nothing here. */
        if (entry_parse(bounds->entries[i], pack, &wide, &ignored) == 0 &&
            entry_covers(pack, &wide, &narrow)) {
            return true;
        }
    }
    return false;
}

static int check_entries(const struct call_bounds *bounds, const struct policy *policy,
                         const struct pack *pack, struct err *err)
{
    for (size_t i = 0; bounds->entry_count > 0 && i < policy->entry_count; i++) {
        if (!is_covered(bounds, pack, policy->entries[i])) {
            return err_set(err, "'%.*s' is not among what this token may issue",
                           STR_FMT(policy->entries[i]));
        }
    }
    return 0;
}

static bool is_bounded(const struct call_bounds *bounds)
{
    return bounds->entry_count > 0 || bounds->daily_cap != MONEY_NONE ||
           bounds->total_cap != MONEY_NONE;
}

int bounds_check(const struct call_bounds *bounds, const struct policy *policy,
                 const struct pack *pack, int64_t now_ms, struct err *err)
{
    if (bounds->vendor_count > 0 && !has(bounds->vendors, bounds->vendor_count, policy->vendor)) {
        return err_set(err, "this token may not issue keys for '%.*s'", STR_FMT(policy->vendor));
    }
    if (bounds->tenant.len > 0 && !str_equal(bounds->tenant, policy->tenant)) {
        return err_set(err, "this token issues keys of tenant '%.*s' only",
                       STR_FMT(bounds->tenant));
    }
    if (!str_starts(policy->label, bounds->label_prefix)) {
        return err_set(err, "this token issues keys whose label begins with '%.*s' only",
                       STR_FMT(bounds->label_prefix));
    }
    if (bounds->ttl_max_ms > 0 && policy->expires_at_ms - now_ms > CLOCK_SLACK_MS &&
        (uint64_t)(policy->expires_at_ms - now_ms - CLOCK_SLACK_MS) > bounds->ttl_max_ms) {
        return err_set(err, "this token issues keys that live %llu s at most",
                       (unsigned long long)(bounds->ttl_max_ms / 1000));
    }
    if (policy->host_count > 0) {
        return err_set(err, "this token may not issue keys with allowed_hosts");
    }
    /* A key that only observes keeps neither its caps nor its endpoints. */
    if (policy->mode != MODE_ENFORCE && is_bounded(bounds)) {
        return err_set(err, "this token may not issue keys with mode 'observe'");
    }
    if (check_cap("daily_usd_cap", policy->daily_cap, bounds->daily_cap, err) < 0 ||
        check_cap("total_usd_cap", policy_total_cap(policy, now_ms), bounds->total_cap, err) < 0) {
        return -1;
    }
    return check_entries(bounds, policy, pack, err);
}

static void write_list(struct json_out *out, const char *name, const struct str *list, size_t count)
{
    json_name(out, name);
    json_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        json_text(out, list[i]);
    }
    json_close(out, ']');
}

void bounds_json(struct json_out *out, const struct call_bounds *bounds)
{
    json_open(out, '{');
    write_list(out, "vendors", bounds->vendors, bounds->vendor_count);
    write_list(out, "allowed_endpoints", bounds->entries, bounds->entry_count);
    json_name(out, "daily_usd_cap");
    json_usd(out, bounds->daily_cap);
    json_name(out, "total_usd_cap");
    json_usd(out, bounds->total_cap);
    json_name(out, "max_ttl_s");
    if (bounds->ttl_max_ms == 0) {
        json_put_null(out);
    } else {
        json_u64(out, bounds->ttl_max_ms / 1000);
    }
    json_name(out, "label_prefix");
    json_text_or_null(out, bounds->label_prefix);
    json_name(out, "tenant");
    json_text_or_null(out, bounds->tenant);
    json_close(out, '}');
}
