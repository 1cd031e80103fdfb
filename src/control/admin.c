/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants, stops, operators' tokens, prices, holds, and how the server is. */
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "control/handlers.h"
#include "control/members.h"
#include "policy/policy_parse.h"

enum { REASON_BYTES_MAX = 1024 };

struct text_member {
    const char *name;
    size_t max;
    struct str *ret;
    bool required;
};

static int read_texts(json_t *json, const struct text_member *members, size_t count,
                      struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        const json_t *value = json_object_get(json, members[i].name);
        bool given = value != NULL && !json_is_null(value);
        if (given && !json_is_string(value)) {
            return err_set(err, "%s is not a text", members[i].name);
        }
        *members[i].ret = json_str(value);
        if (members[i].required && members[i].ret->len == 0) {
            return err_set(err, "%s is missing", members[i].name);
        }
        if (members[i].ret->len > members[i].max) {
            return err_set(err, "%s is longer than %zu bytes", members[i].name, members[i].max);
        }
    }
    return 0;
}

int admin_build_tenant(struct job *job, struct message_call *call, struct buf *body,
                       struct err *err)
{
    static const char *const known[] = {"daily_usd_cap", "total_usd_cap", NULL};
    struct call_tenant tenant = {.daily_cap = MONEY_NONE, .total_cap = MONEY_NONE};
    const json_t *daily = json_object_get(job->json, "daily_usd_cap");
    const json_t *total = json_object_get(job->json, "total_usd_cap");

    (void)call;
    if (job->id.len > LIMIT_NAME_BYTES) {
        return err_set(err, "a tenant's name has at most %d bytes", LIMIT_NAME_BYTES);
    }
    if (members_known(job->json, known, err) < 0) {
        return -1;
    }
    if (daily == NULL) {
        return err_set(err, "daily_usd_cap is missing: give dollars a day, or null for no cap");
    }
    if (policy_parse_usd(daily, "daily_usd_cap", &tenant.daily_cap, err) < 0 ||
        (total != NULL && policy_parse_usd(total, "total_usd_cap", &tenant.total_cap, err) < 0)) {
        return -1;
    }
    return job_encode(&call_tenant_schema, &tenant, body, err);
}

int admin_build_stop(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    static const char *const known[] = {"kind", "value", "reason", NULL};
    static const char *const kinds[] = {"all", "vendor", "tenant", "label_prefix"};
    struct call_stop stop = {0};
    const struct text_member members[] = {{"kind", LIMIT_NAME_BYTES, &stop.kind, true},
                                          {"value", LIMIT_LABEL_BYTES, &stop.value, false},
                                          {"reason", REASON_BYTES_MAX, &stop.reason, false}};

    (void)call;
    if (members_known(job->json, known, err) < 0 ||
        read_texts(job->json, members, sizeof(members) / sizeof(members[0]), err) < 0) {
        return -1;
    }
    bool known_kind = false;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        known_kind = known_kind || str_equal(stop.kind, str_from(kinds[i]));
    }
    if (!known_kind) {
        return err_set(err, "kind is one of: all, vendor, tenant, label_prefix");
    }
    if (str_equal(stop.kind, STR("all")) != (stop.value.len == 0)) {
        return err_set(err, "value says which %.*s to stop; with kind all there is none",
                       STR_FMT(stop.kind));
    }
    return job_encode(&call_stop_schema, &stop, body, err);
}

static int read_bounds(struct job *job, struct call_operator *made, struct buf *wire,
                       struct err *err)
{
    struct call_bounds bounds;
    json_t *value = json_object_get(job->json, "bounds");

    if (value == NULL || json_is_null(value)) {
        return 0;
    }
    if (made->role != OPERATOR_ISSUER) {
        return err_set(err, "bounds are for an issuer only");
    }
    if (policy_parse_bounds(value, job->arena, &bounds, err) < 0 ||
        job_encode(&call_bounds_schema, &bounds, wire, err) < 0) {
        return -1;
    }
    made->bounds = buf_str(wire);
    return 0;
}

int admin_build_operator(struct job *job, struct message_call *call, struct buf *body,
                         struct err *err)
{
    static const char *const known[] = {"name", "role", "bounds", NULL};
    static const char *const roles[OPERATOR_ROLE_COUNT] = {
        [OPERATOR_VIEWER] = "viewer", [OPERATOR_ISSUER] = "issuer", [OPERATOR_ADMIN] = "admin"};
    struct call_operator made = {0};
    struct str role = {0};
    struct buf wire;
    const struct text_member members[] = {{"name", LIMIT_NAME_BYTES, &made.name, true},
                                          {"role", LIMIT_NAME_BYTES, &role, true}};

    (void)call;
    if (members_known(job->json, known, err) < 0 ||
        read_texts(job->json, members, sizeof(members) / sizeof(members[0]), err) < 0) {
        return -1;
    }
    for (int i = OPERATOR_VIEWER; i < OPERATOR_ROLE_COUNT; i++) {
        if (str_equal(role, str_from(roles[i]))) {
            made.role = (enum operator_role)i;
        }
    }
    if (made.role == OPERATOR_NONE) {
        return err_set(err, "role is one of: admin, issuer, viewer");
    }
    buf_init(&wire, 64 * 1024);
    int rc = read_bounds(job, &made, &wire, err);
    if (rc == 0) {
        rc = job_encode(&call_operator_schema, &made, body, err);
    }
    buf_clear(&wire);
    return rc;
}

int admin_build_price(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    static const char *const known[] = {"vendor", "name",  "match", "price_usd",
                                        "source", "as_of", NULL};
    struct message_row_price price = {.as_of_ms = clock_wall_ms()};
    struct str as_of = {0};
    const struct text_member members[] = {{"vendor", LIMIT_NAME_BYTES, &price.vendor, true},
                                          {"name", LIMIT_NAME_BYTES, &price.name, true},
                                          {"match", LIMIT_NAME_BYTES, &price.match, false},
                                          {"source", LIMIT_LABEL_BYTES, &price.source, false},
                                          {"as_of", LIMIT_NAME_BYTES, &as_of, false}};
    const json_t *amount = json_object_get(job->json, "price_usd");

    (void)call;
    if (members_known(job->json, known, err) < 0 ||
        read_texts(job->json, members, sizeof(members) / sizeof(members[0]), err) < 0) {
        return -1;
    }
    if (amount == NULL || json_is_null(amount)) {
        return err_set(err, "price_usd is missing");
    }
    if (policy_parse_usd(amount, "price_usd", &price.price, err) < 0) {
        return -1;
    }
    if (as_of.len > 0 && !clock_parse_rfc3339(as_of, &price.as_of_ms)) {
        return err_set(err, "as_of is not a time such as 2026-11-24T00:00:00Z");
    }
    if (config_find_pack(job->api->config, price.vendor) == PACK_NONE) {
        return policy_unknown_vendor(job->api->config, price.vendor, err);
    }
    if (price.match.len == 0) {
        price.match = STR("*");
    }
    return job_encode(message_schema(MESSAGE_ROW_PRICE), &price, body, err);
}

int admin_build_holds(struct job *job, struct message_call *call, struct buf *body, struct err *err)
{
    struct str stale = job_argument(job, "stale");

    (void)body;
    if (job_has_argument(job, "stale") && !str_equal(stale, STR("true")) &&
        !str_equal(stale, STR("false"))) {
        return err_set(err, "stale is true or false");
    }
    /* The id says which: of one key, and only those whose outcome is unknown. */
    call->id = str_equal(stale, STR("true")) ? STR("stale") : job_argument(job, "key");
    return 0;
}

void admin_run_health(struct job *job)
{
    job_answer_json(job, 200, STR("{\"status\":\"ok\"}"));
}

void admin_run_ready(struct job *job)
{
    struct message_call call = job_ask(job, CALL_READY, STR_NONE);

    if (!api_is_ready(job->api)) {
        job_refuse(job, 503, "ledger_unavailable", "the server is starting");
        return;
    }
    job_call(job, &call, job_relay);
}

void admin_reply_metrics(struct job *job, const struct message_reply *reply)
{
    struct answer answer = {.status = 200,
                            .content_type = STR("text/plain; version=0.0.4; charset=utf-8"),
                            .body = reply->json};

    if (!job_failed(job, reply)) {
        job_answer(job, &answer);
    }
}
