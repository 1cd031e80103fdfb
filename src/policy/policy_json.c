/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_json.h"

#include <assert.h>

#include "base/clock.h"
#include "policy/usd.h"

const char *policy_mode_name(enum policy_mode mode)
{
    return mode == MODE_OBSERVE ? "observe" : "enforce";
}

const char *token_style_name(enum token_style style)
{
    static const char *const names[TOKEN_STYLE_COUNT] = {
        [TOKEN_VK] = "vk", [TOKEN_SK] = "sk", [TOKEN_RK] = "rk"};

    assert(style < TOKEN_STYLE_COUNT);
    return names[style];
}

void json_time(struct json_out *out, int64_t wall_ms)
{
    if (wall_ms == 0) {
        json_put_null(out);
        return;
    }
    struct clock_text text = clock_rfc3339(wall_ms);
    json_text(out, str_from(text.text));
}

void json_member_usd(struct json_out *out, const char *name, int64_t nano)
{
    json_name(out, name);
    json_usd(out, nano);
}

void json_member_time(struct json_out *out, const char *name, int64_t wall_ms)
{
    json_name(out, name);
    json_time(out, wall_ms);
}

/* Zero is "no limit". */
static void write_limit(struct json_out *out, const char *name, uint64_t value)
{
    json_name(out, name);
    if (value == 0) {
        json_put_null(out);
    } else {
        json_u64(out, value);
    }
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

static void write_limits(struct json_out *out, const struct policy *policy)
{
    json_name(out, "limits");
    json_open(out, '{');
    write_limit(out, "requests_per_minute", policy->requests_per_minute);
    write_limit(out, "requests_per_day", policy->requests_per_day);
    write_limit(out, "concurrency", policy->concurrency);
    write_list(out, "sources", policy->sources, policy->source_count);
    json_close(out, '}');
}

static void write_params(struct json_out *out, const struct policy *policy)
{
    json_name(out, "params");
    json_open(out, '{');
    json_member_usd(out, "max_amount_usd", policy->max_amount);
    json_member_usd(out, "flat_price_usd", policy->flat_price);
    write_list(out, "currencies", policy->currencies, policy->currency_count);
    write_list(out, "to_prefixes", policy->to_prefixes, policy->to_prefix_count);
    write_list(out, "from_domains", policy->from_domains, policy->from_domain_count);
    write_list(out, "models", policy->models, policy->model_count);
    write_list(out, "accounts", policy->accounts, policy->account_count);
    write_list(out, "customers", policy->customers, policy->customer_count);
    json_member_bool(out, "own_objects_only", policy->own_objects_only);
    json_member(out, "client_secret", policy->redact_client_secret ? STR("redact") : STR("pass"));
    json_member(out, "on_key_end", policy->cancel_open ? STR("cancel_open") : STR("keep"));
    json_close(out, '}');
}

static void write_common(struct json_out *out, const struct policy *policy)
{
    json_member_usd(out, "daily_usd_cap", policy->daily_cap);
    json_member_usd(out, "total_usd_cap", policy->total_cap);
    write_list(out, "allowed_endpoints", policy->entries, policy->entry_count);
    if (policy->host_count > 0) {
        write_list(out, "allowed_hosts", policy->hosts, policy->host_count);
    }
    json_member_time(out, "expires_at", policy->expires_at_ms);
    write_limits(out, policy);
    write_params(out, policy);
    json_member(out, "mode", str_from(policy_mode_name(policy->mode)));
}

void policy_json_members(struct json_out *out, const struct policy *policy)
{
    json_member(out, "label", policy->label);
    json_member(out, "vendor", policy->vendor);
    json_member(out, "credential", policy->credential);
    json_member(out, "tenant", policy->tenant);
    json_member(out, "run_id", policy->run_id);
    json_member(out, "parent", policy->parent);
    json_member(out, "idempotency_scope", policy->idempotency_scope);
    write_common(out, policy);
    json_member(out, "token_style", str_from(token_style_name(policy->token_style)));
}

void policy_json_members_for_self(struct json_out *out, const struct policy *policy)
{
    json_member(out, "label", policy->label);
    json_member(out, "vendor", policy->vendor);
    json_member(out, "run_id", policy->run_id);
    write_common(out, policy);
    json_name(out, "limited_by");
    json_open(out, '[');
    if (policy->parent.len > 0) {
        json_text(out, STR("parent"));
    }
    if (policy->tenant.len > 0) {
        json_text(out, STR("tenant"));
    }
    json_close(out, ']');
}
