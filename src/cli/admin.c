/* SPDX-License-Identifier: Apache-2.0 */
/* tenant, holds, token, stop, fx, prices, vendors: the API calls of the same names */
#include "cli/commands.h"
#include "cli/policy_options.h"
#include "cli/talk.h"

#include <stdio.h>

#include "base/limits.h"

const struct option tenant_put_options[] = {
    {"cap", "USD|none", "dollars a day over all its keys", false, true},
    {"total-cap", "USD|none", "dollars in all", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t tenant_put_options_count = sizeof(tenant_put_options) / sizeof(tenant_put_options[0]);

const struct option holds_list_options[] = {
    {"stale", NULL, "only those whose outcome is unknown", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t holds_list_options_count = sizeof(holds_list_options) / sizeof(holds_list_options[0]);

const struct option token_add_options[] = {
    {"role", "ROLE", "admin, issuer (keys only) or viewer", false, true},
    {"name", "TEXT", "whose it is", false, true},
    {"bounds", "JSON", "issuer: the most that it may issue", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t token_add_options_count = sizeof(token_add_options) / sizeof(token_add_options[0]);

const struct option stop_add_options[] = {
    {"reason", "TEXT", "why, for the audit", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t stop_add_options_count = sizeof(stop_add_options) / sizeof(stop_add_options[0]);

const struct option prices_put_options[] = {
    {"source", "TEXT", "where the price is from", false, false},
    {"json", NULL, "print JSON", false, false},
};
const size_t prices_put_options_count = sizeof(prices_put_options) / sizeof(prices_put_options[0]);

/* METHOD {path}[/{argument 0}], without a body. */
static int call_path(const struct invocation *invocation, const char *method, const char *path)
{
    struct buf full;

    buf_init(&full, 4096);
    (void)buf_add_str(&full, str_from(path));
    if (argument_nth(invocation, 0) != NULL) {
        client_add_segment(&full, argument_nth(invocation, 0));
    }
    (void)buf_add_char(&full, '\0');
    int rc = talk_and_show(invocation, method, buf_str(&full).data, STR_NONE);
    buf_clear(&full);
    return rc;
}

/* ---- tenant ---- */

int run_tenant_put(const struct invocation *invocation)
{
    struct buf body;
    struct buf path;

    buf_init(&body, 4096);
    buf_init(&path, 4096);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    write_usd_option(invocation, &out, "cap", "daily_usd_cap");
    write_usd_option(invocation, &out, "total-cap", "total_usd_cap");
    json_close(&out, '}');
    (void)buf_add_str(&path, STR("/v1/tenants"));
    client_add_segment(&path, argument_nth(invocation, 0));
    (void)buf_add_char(&path, '\0');
    int rc = talk_and_show(invocation, "PUT", buf_str(&path).data, buf_str(&body));
    buf_clear(&body);
    buf_clear(&path);
    return rc;
}

int run_tenant_show(const struct invocation *invocation)
{
    return call_path(invocation, "GET", "/v1/tenants");
}

int run_tenant_list(const struct invocation *invocation)
{
    static const struct column columns[] = {{"NAME", "name"},
                                            {"CAP", "daily_usd_cap"},
                                            {"SPENT", "spent_usd"},
                                            {"HELD", "held_usd"},
                                            {"LEFT", "remaining_usd"}};

    return talk_and_list(invocation, "/v1/tenants", 0, columns,
                         sizeof(columns) / sizeof(columns[0]));
}

/* ---- holds ---- */

int run_holds_list(const struct invocation *invocation)
{
    static const struct column columns[] = {
        {"ID", "id"},         {"KEY", "key"},          {"STATE", "state"},
        {"HELD", "held_usd"}, {"SPENT", "posted_usd"}, {"OPERATION", "operation"},
        {"OBJECT", "object"}, {"SINCE", "opened_at"}};

    return talk_and_list(invocation,
                         option_given(invocation, "stale") ? "/v1/holds?stale=true" : "/v1/holds",
                         0, columns, sizeof(columns) / sizeof(columns[0]));
}

/* ---- token ---- */

int run_token_add(const struct invocation *invocation)
{
    struct buf body;

    buf_init(&body, LIMIT_API_BODY_BYTES);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    write_text_option(invocation, &out, "role", "role");
    write_text_option(invocation, &out, "name", "name");
    if (option_given(invocation, "bounds")) {
        json_name(&out, "bounds");
        json_raw(&out, str_from(option_value(invocation, "bounds")));
    }
    json_close(&out, '}');
    int rc = talk_and_show(invocation, "POST", "/v1/tokens", buf_str(&body));
    buf_clear(&body);
    return rc;
}

int run_token_list(const struct invocation *invocation)
{
    static const struct column columns[] = {
        {"ID", "id"}, {"NAME", "name"}, {"ROLE", "role"}, {"MADE", "created_at"}};

    return talk_and_list(invocation, "/v1/tokens", 0, columns,
                         sizeof(columns) / sizeof(columns[0]));
}

int run_token_rm(const struct invocation *invocation)
{
    return call_path(invocation, "DELETE", "/v1/tokens");
}

/* ---- stop ---- */

int run_stop_add(const struct invocation *invocation)
{
    struct buf body;

    buf_init(&body, 4096);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    json_name(&out, "kind");
    json_text(&out, str_from(argument_nth(invocation, 0)));
    if (argument_nth(invocation, 1) != NULL) {
        json_name(&out, "value");
        json_text(&out, str_from(argument_nth(invocation, 1)));
    }
    write_text_option(invocation, &out, "reason", "reason");
    json_close(&out, '}');
    int rc = talk_and_show(invocation, "POST", "/v1/stops", buf_str(&body));
    buf_clear(&body);
    return rc;
}

int run_stop_list(const struct invocation *invocation)
{
    static const struct column columns[] = {{"ID", "id"},
                                            {"KIND", "kind"},
                                            {"VALUE", "value"},
                                            {"REASON", "reason"},
                                            {"SINCE", "created_at"}};

    return talk_and_list(invocation, "/v1/stops", 0, columns, sizeof(columns) / sizeof(columns[0]));
}

int run_stop_rm(const struct invocation *invocation)
{
    return call_path(invocation, "DELETE", "/v1/stops");
}

/* ---- fx, prices, vendors ---- */

int run_fx(const struct invocation *invocation)
{
    return call_path(invocation, "GET", "/v1/fx");
}

int run_prices_list(const struct invocation *invocation)
{
    static const struct column columns[] = {{"VENDOR", "vendor"}, {"NAME", "name"},
                                            {"FOR", "match"},     {"USD", "price_usd"},
                                            {"SOURCE", "source"}, {"AS OF", "as_of"}};

    return talk_and_list(invocation, "/v1/prices", 0, columns,
                         sizeof(columns) / sizeof(columns[0]));
}

int run_prices_put(const struct invocation *invocation)
{
    static const char *const members[] = {"vendor", "name", "match", "price_usd"};
    struct buf body;

    buf_init(&body, 4096);
    struct json_out out = json_begin(&body);
    json_open(&out, '{');
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        json_name(&out, members[i]);
        json_text(&out, str_from(argument_nth(invocation, i)));
    }
    write_text_option(invocation, &out, "source", "source");
    json_close(&out, '}');
    int rc = talk_and_show(invocation, "PUT", "/v1/prices", buf_str(&body));
    buf_clear(&body);
    return rc;
}

int run_vendors(const struct invocation *invocation)
{
    static const struct column columns[] = {
        {"VENDOR", "vendor"}, {"REVISION", "revision"}, {"OPERATIONS", "operation_count"}};

    if (argument_nth(invocation, 0) != NULL) {
        return call_path(invocation, "GET", "/v1/vendors");
    }
    return talk_and_list(invocation, "/v1/vendors", 0, columns,
                         sizeof(columns) / sizeof(columns[0]));
}
