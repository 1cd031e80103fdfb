/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/policy_options.h"

#include <string.h>

#include "base/str.h"

void write_text_option(const struct invocation *invocation, struct json_out *out,
                       const char *option, const char *member)
{
    const char *value = option_value(invocation, option);

    if (value != NULL) {
        json_name(out, member);
        json_text(out, str_from(value));
    }
}

void write_usd_option(const struct invocation *invocation, struct json_out *out, const char *option,
                      const char *member)
{
    const char *value = option_value(invocation, option);

    if (value == NULL) {
        return;
    }
    json_name(out, member);
    if (strcmp(value, "none") == 0) {
        json_put_null(out);
    } else {
        json_text(out, str_from(value));
    }
}

void write_list_option(const struct invocation *invocation, struct json_out *out,
                       const char *option, const char *member)
{
    size_t count = option_count(invocation, option);

    if (count == 0) {
        return;
    }
    json_name(out, member);
    json_open(out, '[');
    for (size_t i = 0; i < count; i++) {
        json_text(out, str_from(option_nth(invocation, option, i)));
    }
    json_close(out, ']');
}

/* A whole number goes as a number, anything else as a text, for the server to refuse by name. */
static void write_number_option(const struct invocation *invocation, struct json_out *out,
                                const char *option, const char *member)
{
    const char *value = option_value(invocation, option);
    uint64_t number;

    if (value == NULL) {
        return;
    }
    json_name(out, member);
    if (str_to_u64(str_from(value), &number)) {
        json_u64(out, number);
    } else {
        json_text(out, str_from(value));
    }
}

/* "yes" and "no"; anything else goes as it is, for the server to refuse by name. */
static void write_bool_option(const struct invocation *invocation, struct json_out *out,
                              const char *option, const char *member)
{
    const char *value = option_value(invocation, option);

    if (value == NULL) {
        return;
    }
    json_name(out, member);
    if (strcmp(value, "yes") == 0 || strcmp(value, "no") == 0) {
        json_bool(out, strcmp(value, "yes") == 0);
    } else {
        json_text(out, str_from(value));
    }
}

static bool any_given(const struct invocation *invocation, const char *const *options)
{
    for (; *options != NULL; options++) {
        if (option_given(invocation, *options)) {
            return true;
        }
    }
    return false;
}

static void write_limits(const struct invocation *invocation, struct json_out *out)
{
    static const char *const options[] = {"requests-per-minute", "requests-per-day", "concurrency",
                                          "source", NULL};

    if (!any_given(invocation, options)) {
        return;
    }
    json_name(out, "limits");
    json_open(out, '{');
    write_number_option(invocation, out, "requests-per-minute", "requests_per_minute");
    write_number_option(invocation, out, "requests-per-day", "requests_per_day");
    write_number_option(invocation, out, "concurrency", "concurrency");
    write_list_option(invocation, out, "source", "sources");
    json_close(out, '}');
}

static void write_params(const struct invocation *invocation, struct json_out *out)
{
    static const char *const options[] = {
        "flat-price", "max-amount", "currency",         "to-prefix",     "from-domain", "model",
        "account",    "customer",   "own-objects-only", "client-secret", NULL};

    if (!any_given(invocation, options)) {
        return;
    }
    json_name(out, "params");
    json_open(out, '{');
    write_usd_option(invocation, out, "flat-price", "flat_price_usd");
    write_usd_option(invocation, out, "max-amount", "max_amount_usd");
    write_list_option(invocation, out, "currency", "currencies");
    write_list_option(invocation, out, "to-prefix", "to_prefixes");
    write_list_option(invocation, out, "from-domain", "from_domains");
    write_list_option(invocation, out, "model", "models");
    write_list_option(invocation, out, "account", "accounts");
    write_list_option(invocation, out, "customer", "customers");
    write_bool_option(invocation, out, "own-objects-only", "own_objects_only");
    write_text_option(invocation, out, "client-secret", "client_secret");
    json_close(out, '}');
}

void policy_options_write(const struct invocation *invocation, struct json_out *out)
{
    write_usd_option(invocation, out, "cap", "daily_usd_cap");
    write_usd_option(invocation, out, "total-cap", "total_usd_cap");
    write_list_option(invocation, out, "allow", "allowed_endpoints");
    write_list_option(invocation, out, "allow-host", "allowed_hosts");
    write_text_option(invocation, out, "ttl", "expires_in");
    write_text_option(invocation, out, "expires-at", "expires_at");
    write_text_option(invocation, out, "mode", "mode");
    write_limits(invocation, out);
    write_params(invocation, out);
}
