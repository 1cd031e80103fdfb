/* SPDX-License-Identifier: Apache-2.0 */
#include "control/handlers.h"

static const char *const key_queries[] = {"label",  "vendor", "tenant",          "status",
                                          "run_id", "run",    "agent_run_label", NULL};
static const char *const env_queries[] = {"for", NULL};
static const char *const remove_queries[] = {"force", NULL};
static const char *const hold_queries[] = {"stale", "key", NULL};
static const char *const audit_queries[] = {"key",    "label",   "run",   "tenant",
                                            "vendor", "verdict", "event", "since",
                                            "until",  "format",  NULL};
static const char *const spend_queries[] = {"key",   "label", "run",      "tenant", "vendor",
                                            "since", "until", "group_by", "format", NULL};

static const struct route routes[] = {
    {"POST", "/v1/keys", CALL_KEY_ISSUE, ROUTE_BODY, keys_build_issue, keys_reply_issue, NULL,
     env_queries},
    {"GET", "/v1/keys", CALL_KEY_LIST, ROUTE_PAGED, keys_build_filter, NULL, NULL, key_queries},
    {"GET", "/v1/keys/{id}", CALL_KEY_GET, ROUTE_VAULT_KEY, NULL, keys_reply_one, NULL, NULL},
    {"PATCH", "/v1/keys/{id}", CALL_KEY_PATCH, ROUTE_BODY, keys_build_patch, keys_reply_one, NULL,
     NULL},
    {"DELETE", "/v1/keys/{id}", CALL_KEY_REVOKE, ROUTE_VAULT_KEY, NULL, keys_reply_one, NULL, NULL},
    {"POST", "/v1/keys/{id}/pause", CALL_KEY_PAUSE, 0, NULL, keys_reply_one, NULL, NULL},
    {"POST", "/v1/keys/{id}/resume", CALL_KEY_RESUME, 0, NULL, keys_reply_one, NULL, NULL},
    {"GET", "/v1/keys/{id}/env", CALL_KEY_GET, 0, NULL, NULL, keys_run_env, env_queries},
    {"GET", "/v1/self", CALL_KEY_GET, ROUTE_VAULT_KEY | ROUTE_SELF, NULL, NULL, NULL, NULL},

    {"POST", "/v1/sessions", CALL_SESSION_OPEN, ROUTE_BODY, NULL, NULL, sandboxes_run_open, NULL},

    {"GET", "/v1/credentials", CALL_CREDENTIAL_LIST, ROUTE_PAGED, NULL, NULL, NULL, NULL},
    {"GET", "/v1/credentials/{id}", CALL_CREDENTIAL_GET, 0, NULL, NULL, NULL, NULL},
    {"PUT", "/v1/credentials/{id}", CALL_CREDENTIAL_PUT, ROUTE_BODY, NULL, NULL,
     credentials_run_put, NULL},
    {"POST", "/v1/credentials/{id}/test", CALL_CREDENTIAL_TEST, 0, NULL, NULL, NULL, NULL},
    {"DELETE", "/v1/credentials/{id}", CALL_CREDENTIAL_REMOVE, ROUTE_BODY_MAY,
     credentials_build_remove, NULL, NULL, remove_queries},

    {"GET", "/v1/vendors", CALL_AUTHORISE, 0, NULL, NULL, vendors_run_list, NULL},
    {"GET", "/v1/vendors/{id}", CALL_AUTHORISE, 0, NULL, NULL, vendors_run_show, NULL},
    {"GET", "/v1/ca", CALL_AUTHORISE, 0, NULL, NULL, ca_run, NULL},
    {"GET", "/v1/prices", CALL_PRICE_LIST, ROUTE_PAGED, NULL, NULL, NULL, NULL},
    {"PUT", "/v1/prices", CALL_PRICE_PUT, ROUTE_BODY, admin_build_price, NULL, NULL, NULL},
    {"GET", "/v1/fx", CALL_FX_GET, 0, NULL, NULL, NULL, NULL},
    {"PUT", "/v1/fx", CALL_FX_PUT, ROUTE_BODY, money_build_fx, NULL, NULL, NULL},
    {"POST", "/v1/clock/vouch", CALL_CLOCK_VOUCH, 0, NULL, NULL, NULL, NULL},

    {"GET", "/v1/tenants", CALL_TENANT_LIST, ROUTE_PAGED, NULL, NULL, NULL, NULL},
    {"GET", "/v1/tenants/{id}", CALL_TENANT_GET, 0, NULL, NULL, NULL, NULL},
    {"PUT", "/v1/tenants/{id}", CALL_TENANT_PUT, ROUTE_BODY, admin_build_tenant, NULL, NULL, NULL},

    {"GET", "/v1/holds", CALL_HOLD_LIST, ROUTE_PAGED, admin_build_holds, NULL, NULL, hold_queries},
    {"POST", "/v1/holds/{id}/resolve", CALL_HOLD_RESOLVE, ROUTE_BODY, money_build_resolve, NULL,
     NULL, NULL},
    {"GET", "/v1/audit", CALL_AUTHORISE, ROUTE_PAGED, NULL, NULL, audit_run, audit_queries},
    {"GET", "/v1/spend", CALL_AUTHORISE, ROUTE_PAGED, NULL, NULL, spend_run, spend_queries},
    {"POST", "/v1/explain", CALL_EXPLAIN, ROUTE_BODY, NULL, NULL, explain_run, NULL},

    {"POST", "/v1/stops", CALL_STOP_ADD, ROUTE_BODY, admin_build_stop, NULL, NULL, NULL},
    {"GET", "/v1/stops", CALL_STOP_LIST, ROUTE_PAGED, NULL, NULL, NULL, NULL},
    {"DELETE", "/v1/stops/{id}", CALL_STOP_REMOVE, 0, NULL, NULL, NULL, NULL},

    {"POST", "/v1/tokens", CALL_OPERATOR_ADD, ROUTE_BODY, admin_build_operator, NULL, NULL, NULL},
    {"GET", "/v1/tokens", CALL_OPERATOR_LIST, ROUTE_PAGED, NULL, NULL, NULL, NULL},
    {"DELETE", "/v1/tokens/{id}", CALL_OPERATOR_REMOVE, 0, NULL, NULL, NULL, NULL},

    {"GET", "/healthz", CALL_NONE, ROUTE_OPEN, NULL, NULL, admin_run_health, NULL},
    {"GET", "/readyz", CALL_READY, ROUTE_OPEN, NULL, NULL, admin_run_ready, NULL},
    {"GET", "/metrics", CALL_METRICS, 0, NULL, admin_reply_metrics, NULL, NULL},
};

static bool path_fits(struct str pattern, struct str path, struct str *ret_id)
{
    if (str_ends(path, STR("/")) && path.len > 1) {
        return false;
    }
    while (pattern.len > 0 || path.len > 0) {
        if (pattern.len == 0 || path.len == 0) {
            return false;
        }
        struct str want = str_take_until(&pattern, '/');
        struct str have = str_take_until(&path, '/');
        if (str_equal(want, STR("{id}"))) {
            if (have.len == 0) {
                return false;
            }
            *ret_id = have;
        } else if (!str_equal(want, have)) {
            return false;
        }
    }
    return true;
}

static void allow(struct buf *out, struct str method)
{
    if (buf_len(out) > 0) {
        (void)buf_add_str(out, STR(", "));
    }
    (void)buf_add_str(out, method);
    if (str_equal(method, STR("GET"))) {
        (void)buf_add_str(out, STR(", HEAD"));
    }
}

enum route_result route_find(struct str method, struct str path, const struct route **ret_route,
                             struct str *ret_id, struct buf *ret_allow)
{
    struct str wanted = str_equal(method, STR("HEAD")) ? STR("GET") : method;
    struct str id = STR_NONE;

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++) {
        if (!path_fits(str_from(routes[i].pattern), path, &id)) {
            continue;
        }
        if (str_equal(wanted, str_from(routes[i].method))) {
            *ret_route = &routes[i];
            *ret_id = id;
            return ROUTE_FOUND;
        }
        allow(ret_allow, str_from(routes[i].method));
    }
    return buf_len(ret_allow) > 0 ? ROUTE_OTHER_METHOD : ROUTE_NOT_FOUND;
}
