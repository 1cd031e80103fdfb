/* SPDX-License-Identifier: Apache-2.0 */
#include "control/api.h"

#include "control/json_alloc.h"
#include "control/testing.h"
#include "policy/policy_parse.h"
#include "policy/token.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TOKEN "kbo_Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3Ab3zZ2y4ZC4"
#define VAULT_KEY "vk_0000000000000000000000000000000049wGMy"
#define POLICY                                                                                     \
    "{\"label\":\"a\",\"vendor\":\"shop\",\"daily_usd_cap\":5,"                                    \
    "\"allowed_endpoints\":[\"/v1/charges\"]}"

static struct buf scratch;

/* A request with these header lines (each with its line end) and body. */
static struct str request(const char *line, const char *headers, const char *body)
{
    buf_cut(&scratch, 0);
    (void)buf_addf(&scratch, "%s HTTP/1.1\r\nHost: localhost:8788\r\n%s", line, headers);
    if (body != NULL) {
        (void)buf_addf(&scratch, "Content-Length: %zu\r\n", strlen(body));
    }
    (void)buf_addf(&scratch, "\r\n%s", body == NULL ? "" : body);
    return buf_str(&scratch);
}

static void test_calls(void)
{
    static const struct {
        const char *line, *body;
        enum call_verb verb;
        const char *id;
    } cases[] = {
        {"POST /v1/keys", POLICY, CALL_KEY_ISSUE, ""},
        {"POST /vault/keys", POLICY, CALL_KEY_ISSUE, ""},
        {"GET /v1/keys", NULL, CALL_KEY_LIST, ""},
        {"GET /v1/keys?limit=1000&cursor=x&label=a%2Fb&status=active", NULL, CALL_KEY_LIST, ""},
        {"GET /v1/keys/key_1", NULL, CALL_KEY_GET, "key_1"},
        {"GET /vault/keys/key_1", NULL, CALL_KEY_GET, "key_1"},
        {"PATCH /v1/keys/key_1", "{\"daily_usd_cap\":3}", CALL_KEY_PATCH, "key_1"},
        {"DELETE /v1/keys/key_1", NULL, CALL_KEY_REVOKE, "key_1"},
        {"DELETE /vault/keys/key_1", NULL, CALL_KEY_REVOKE, "key_1"},
        {"DELETE /v1/keys/self", NULL, CALL_KEY_REVOKE, "self"},
        {"POST /v1/keys/key_1/pause", NULL, CALL_KEY_PAUSE, "key_1"},
        {"POST /v1/keys/key_1/resume", "{}", CALL_KEY_RESUME, "key_1"},
        {"GET /v1/self", NULL, CALL_KEY_GET, "self"},
        {"GET /v1/credentials", NULL, CALL_CREDENTIAL_LIST, ""},
        {"GET /v1/credentials/a%20b", NULL, CALL_CREDENTIAL_GET, "a b"},
        {"DELETE /v1/credentials/shop?force=true", NULL, CALL_CREDENTIAL_REMOVE, "shop"},
        {"GET /v1/vendors", NULL, CALL_AUTHORISE, "vendors"},
        {"GET /v1/vendors/shop", NULL, CALL_AUTHORISE, "vendors"},
        {"GET /v1/prices", NULL, CALL_PRICE_LIST, ""},
        {"PUT /v1/prices", "{\"vendor\":\"shop\",\"name\":\"sms\",\"price_usd\":\"0.0079\"}",
         CALL_PRICE_PUT, ""},
        {"GET /v1/fx", NULL, CALL_FX_GET, ""},
        {"GET /v1/tenants", NULL, CALL_TENANT_LIST, ""},
        {"GET /v1/tenants/acme", NULL, CALL_TENANT_GET, "acme"},
        {"PUT /v1/tenants/acme", "{\"daily_usd_cap\":null}", CALL_TENANT_PUT, "acme"},
        {"GET /v1/holds", NULL, CALL_HOLD_LIST, ""},
        {"GET /v1/holds?stale=true", NULL, CALL_HOLD_LIST, "stale"},
        {"POST /v1/stops", "{\"kind\":\"all\",\"reason\":\"x\"}", CALL_STOP_ADD, ""},
        {"POST /v1/stops", "{\"kind\":\"tenant\",\"value\":\"acme\"}", CALL_STOP_ADD, ""},
        {"GET /v1/stops", NULL, CALL_STOP_LIST, ""},
        {"DELETE /v1/stops/stop_1", NULL, CALL_STOP_REMOVE, "stop_1"},
        {"POST /v1/tokens", "{\"name\":\"x\",\"role\":\"viewer\"}", CALL_OPERATOR_ADD, ""},
        {"POST /v1/tokens",
         "{\"name\":\"x\",\"role\":\"issuer\",\"bounds\":{\"daily_usd_cap\":10}}",
         CALL_OPERATOR_ADD, ""},
        {"GET /v1/tokens", NULL, CALL_OPERATOR_LIST, ""},
        {"DELETE /v1/tokens/4", NULL, CALL_OPERATOR_REMOVE, "4"},
        {"GET /readyz", NULL, CALL_READY, ""},
        {"GET /metrics", NULL, CALL_METRICS, ""},
        {"POST /v1/explain", "{\"key\":\"key_1\",\"method\":\"GET\",\"path\":\"/v1/x\"}",
         CALL_EXPLAIN, "key_1"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        testing_ask(&t, NULL, LISTEN_UNIX, request(cases[i].line, "", cases[i].body), 1, NULL, 0);
        CHECK_CASE(testing_status(&t) == 200, cases[i].line);
        CHECK_CASE(t.call_count == 1, cases[i].line);
        CHECK_CASE(t.calls[0].call.verb == cases[i].verb, cases[i].line);
        CHECK_CASE(str_equal(t.calls[0].call.id, str_from(cases[i].id)), cases[i].line);
        CHECK_CASE(t.calls[0].call.local && !t.calls[0].call.vault_key, cases[i].line);
        CHECK_CASE(str_starts(t.calls[0].call.actor, STR("uid ")), cases[i].line);
        testing_end(&t);
    }
}

static void test_refusals(void)
{
    static const struct {
        unsigned status;
        const char *line, *headers, *body, *says;
    } cases[] = {
        {404, "GET /", "", NULL, "not_found"},
        {404, "GET /v1/nothing", "", NULL, "not_found"},
        {404, "GET /v1/keys/", "", NULL, "not_found"},
        {404, "GET /vault/credentials", "", NULL, "not_found"},
        {405, "PUT /v1/keys", "", "{}", "allow: POST, GET, HEAD"},
        {405, "OPTIONS /v1/keys", "", NULL, "allow: "},
        {405, "DELETE /healthz", "", NULL, "allow: GET, HEAD"},
        {400, "GET /v1/keys?surprise=1", "", NULL, "surprise"},
        {400, "GET /v1/keys?limit=0", "", NULL, "limit"},
        {400, "GET /v1/keys?limit=1001", "", NULL, "limit"},
        {400, "GET /v1/keys?limit=x", "", NULL, "limit"},
        {400, "GET /v1/keys?limit=1&limit=1", "", NULL, "twice"},
        {400, "GET /v1/keys?label=%zz", "", NULL, "encoded"},
        {400, "GET /v1/keys?label=%0a", "", NULL, "encoded"},
        {400, "GET /v1/keys?status=odd", "", NULL, "status"},
        {400, "GET /v1/self?x=1", "", NULL, "'x'"},
        {400, "POST /v1/keys", "", NULL, "missing"},
        {400, "POST /v1/keys", "", "{not json", "not JSON"},
        {400, "POST /v1/keys", "", "[]", "object"},
        {400, "POST /v1/keys", "", "{\"vendor\":\"shop\",\"vendor\":\"x\"}", "not JSON"},
        {400, "POST /v1/keys", "", "{}", "vendor"},
        {400, "POST /v1/keys", "",
         "{\"vendor\":\"shop\",\"daily_usd_cap\":5,\"allowed_endpoints\":[\"charges.creat\"]}",
         "charges.create"},
        {400, "POST /v1/keys", "",
         "{\"vendor\":\"shop\",\"daily_usd_cap\":5,\"allowed_endpoints\":[\"/v1/charges\"],"
         "\"expires_in\":\"30d\"}",
         "may live"},
        {400, "POST /v1/keys", "Idempotency-Key: \r\n", POLICY, "Idempotency-Key"},
        {400, "POST /v1/keys", "Idempotency-Key: a\r\nIdempotency-Key: b\r\n", POLICY, "twice"},
        {400, "PATCH /v1/keys/k", "", "{\"vendor\":\"any\"}", "never changes"},
        {400, "PATCH /v1/keys/k", "If-Match: abc\r\n", "{\"daily_usd_cap\":1}", "If-Match"},
        {400, "POST /v1/keys/k/pause", "", "{\"x\":1}", "no body"},
        {400, "DELETE /v1/credentials/shop?force=yes", "", NULL, "force"},
        {400, "DELETE /v1/credentials/a%2Fb", "", NULL, "name"},
        {400, "PUT /v1/tenants/t", "", "{}", "daily_usd_cap"},
        {400, "PUT /v1/tenants/t", "", "{\"daily_usd_cap\":1,\"x\":1}", "'x'"},
        {400, "PUT /v1/prices", "", "{\"vendor\":\"nobody\",\"name\":\"a\",\"price_usd\":1}",
         "nobody"},
        {400, "PUT /v1/prices", "", "{\"vendor\":\"shop\",\"name\":\"a\"}", "price_usd"},
        {400, "GET /v1/holds?stale=maybe", "", NULL, "stale"},
        {400, "POST /v1/stops", "", "{\"kind\":\"everything\"}", "kind"},
        {400, "POST /v1/stops", "", "{\"kind\":\"vendor\"}", "value"},
        {400, "POST /v1/stops", "", "{\"kind\":\"all\",\"value\":\"x\"}", "value"},
        {400, "POST /v1/tokens", "", "{\"name\":\"x\",\"role\":\"king\"}", "role"},
        {400, "POST /v1/tokens", "", "{\"role\":\"admin\"}", "name"},
        {400, "POST /v1/tokens", "", "{\"name\":\"x\",\"role\":\"admin\",\"bounds\":{}}", "issuer"},
        {400, "GET /v1/audit?verdict=maybe", "", NULL, "verdict"},
        {400, "GET /v1/audit?since=soon", "", NULL, "since"},
        {400, "GET /v1/audit?format=xml", "", NULL, "format"},
        {400, "GET /v1/audit?cursor=7", "", NULL, "cursor"},
        {400, "GET /v1/audit?event=none", "", NULL, "event"},
        {400, "GET /v1/spend?group_by=mood", "", NULL, "group_by"},
        {400, "GET /v1/spend?cursor=a1", "", NULL, "cursor"},
        {400, "POST /v1/explain", "", "{\"method\":\"GET\",\"path\":\"/\"}", "key"},
        {400, "POST /v1/explain", "", "{\"key\":\"k\",\"method\":\"GET\",\"path\":\"/a/../b\"}",
         "bad_request"},
        {400, "POST /v1/explain", "",
         "{\"key\":\"k\",\"method\":\"GET\",\"path\":\"/a\",\"headers\":{\"a b\":\"c\"}}",
         "header"},
        {400, "GET /v1/keys/key_1/env?for=mars", "", NULL, "for"},
        {503, "GET /v1/audit", "", NULL, "database"},
        {503, "GET /v1/spend", "", NULL, "database"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        testing_ask(&t, NULL, LISTEN_UNIX, request(cases[i].line, cases[i].headers, cases[i].body),
                    1, NULL, 0);
        CHECK_CASE(testing_status(&t) == cases[i].status, cases[i].line);
        CHECK_CASE(testing_says(&t, cases[i].says), cases[i].line);
        CHECK_CASE(testing_says(&t, "application/problem+json"), cases[i].line);
        CHECK_CASE(t.call_count == (cases[i].status == 503 ? 1 : 0), cases[i].line);
        testing_end(&t);
    }
}

/* On a port a bearer token must come, and the host must be ours. */
static void test_who_asks(void)
{
    static const struct {
        unsigned status;
        const char *line, *headers, *says;
        bool vault_key;
    } cases[] = {
        {200, "GET /v1/keys", "Authorization: Bearer " TOKEN "\r\n", "200", false},
        {200, "GET /v1/keys", "authorization: bearer " TOKEN "\r\n", "200", false},
        {200, "GET /v1/self", "Authorization: Bearer " VAULT_KEY "\r\n", "200", true},
        {200, "DELETE /v1/keys/self", "Authorization: Bearer " VAULT_KEY "\r\n", "200", true},
        {200, "DELETE /v1/keys/key_1", "Authorization: Bearer " VAULT_KEY "\r\n", "200", true},
        {200, "GET /healthz", "", "ok", false},
        {200, "GET /readyz", "", "200", false},
        {401, "GET /v1/keys", "", "missing_token", false},
        {401, "GET /metrics", "", "missing_token", false},
        {401, "GET /v1/keys", "Authorization: Bearer nonsense\r\n", "unknown_token", false},
        {401, "GET /v1/keys", "Authorization: Bearer " TOKEN "x\r\n", "unknown_token", false},
        {401, "GET /v1/keys", "Authorization: Basic " TOKEN "\r\n", "unknown_token", false},
        {400, "GET /v1/keys",
         "Authorization: Bearer " TOKEN "\r\nAuthorization: Bearer " TOKEN "\r\n", "bad_request",
         false},
        {403, "GET /v1/keys", "Authorization: Bearer " VAULT_KEY "\r\n", "forbidden", false},
        {403, "GET /metrics", "Authorization: Bearer " VAULT_KEY "\r\n", "forbidden", false},
        {403, "GET /v1/keys", "Origin: http://evil.example\r\nAuthorization: Bearer " TOKEN "\r\n",
         "other sites", false},
        {200, "GET /v1/keys",
         "Origin: http://localhost:8788\r\nAuthorization: Bearer " TOKEN "\r\n", "200", false},
        {403, "GET /v1/keys", "Origin: null\r\nAuthorization: Bearer " TOKEN "\r\n", "other sites",
         false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        struct digest digest = digest_of(cases[i].vault_key ? STR(VAULT_KEY) : STR(TOKEN));
        testing_ask(&t, NULL, LISTEN_PLAIN, request(cases[i].line, cases[i].headers, NULL), 1, NULL,
                    0);
        CHECK_CASE(testing_status(&t) == cases[i].status, cases[i].headers);
        CHECK_CASE(testing_says(&t, cases[i].says), cases[i].headers);
        CHECK_CASE(!testing_says(&t, "ccess-control"), cases[i].headers);
        if (t.call_count == 1 && cases[i].headers[0] != '\0') {
            CHECK_CASE(!t.calls[0].call.local, cases[i].line);
            CHECK_CASE(digest_equal(&t.calls[0].call.token_digest, &digest), cases[i].line);
            CHECK_CASE(t.calls[0].call.vault_key == cases[i].vault_key, cases[i].line);
        }
        CHECK_CASE(cases[i].status != 401 || testing_says(&t, "www-authenticate: Bearer"),
                   cases[i].line);
        testing_end(&t);
    }
}

static void test_hosts(void)
{
    static const struct {
        unsigned status;
        const char *host;
    } cases[] = {
        {200, "localhost"},           {200, "localhost:8788"},   {200, "127.0.0.1:8788"},
        {200, "127.1.2.3"},           {200, "[::1]:8788"},       {200, "broker.example"},
        {200, "BROKER.example:80"},   {200, "x.localhost:1"},    {403, "evil.example"},
        {403, "evil.example:8788"},   {403, "127.evil.example"}, {403, "localhost.evil.example"},
        {403, "broker.example.evil"}, {403, "10.0.0.1"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        buf_cut(&scratch, 0);
        (void)buf_addf(&scratch,
                       "GET /v1/keys HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer " TOKEN
                       "\r\n\r\n",
                       cases[i].host);
        testing_ask(&t, NULL, LISTEN_PLAIN, buf_str(&scratch), 1, NULL, 0);
        CHECK_CASE(testing_status(&t) == cases[i].status, cases[i].host);
        testing_end(&t);
    }
}

/* ---- what is said to the judge, and what it says ---- */

static void test_issue(void)
{
    static const struct testing_reply replies[] = {
        {.status = 201,
         .json = "{\"id\":\"key_1\",\"token\":\"" VAULT_KEY "\",\"vendor\":\"shop\","
                 "\"credential\":null,\"label\":\"a\"}",
         .version = 1},
        {.status = 200, .json = "{\"public_fields\":{\"account\":\"AC7\"}}"}};
    static const struct testing_reply gone[] = {
        {.status = 201,
         .json = "{\"id\":\"key_1\",\"token\":\"" VAULT_KEY "\",\"vendor\":\"shop\"}"},
        {.status = 404, .code = "not_found", .detail = "gone"}};
    struct testing t;
    struct policy policy;

    testing_ask(&t, NULL, LISTEN_PLAIN,
                request("POST /v1/keys",
                        "Authorization: Bearer " TOKEN "\r\nIdempotency-Key: again\r\n", POLICY),
                1, replies, 2);
    CHECK(testing_status(&t) == 201 && t.call_count == 2);
    CHECK(wire_decode(&policy_schema, t.calls[0].call.body, t.arena, &policy));
    CHECK(str_equal(policy.label, STR("a")) && policy.daily_cap == 5 * INT64_C(1000000000));
    CHECK(str_equal(t.calls[0].call.idempotency_key, STR("again")));
    struct digest body = digest_of(STR(POLICY));
    CHECK(digest_equal(&t.calls[0].call.body_digest, &body));
    CHECK(t.calls[1].call.verb == CALL_CREDENTIAL_GET &&
          str_equal(t.calls[1].call.id, STR("shop")) && t.calls[1].call.local);
    CHECK(testing_says(&t, ",\"env\":{\"SHOP_KEY\":\"" VAULT_KEY
                           "\",\"SHOP_BASE\":\"https://broker.example/shop/v1\","
                           "\"SHOP_ACCOUNT\":\"AC7\"}}"));
    CHECK(testing_says(&t, "etag: \"1\"") && testing_says(&t, "cache-control: no-store"));
    CHECK(!testing_says(&t, "vault_key"));
    testing_end(&t);

    testing_ask(&t, NULL, LISTEN_UNIX, request("POST /vault/keys", "", POLICY), 1, gone, 2);
    CHECK(testing_status(&t) == 201);
    CHECK(testing_says(&t, "\"key_id\":\"key_1\",\"vault_key\":\"" VAULT_KEY "\""));
    CHECK(testing_says(&t, "\"SHOP_KEY\"") && !testing_says(&t, "SHOP_ACCOUNT"));
    testing_end(&t);
}

static void test_replies(void)
{
    static const struct {
        struct testing_reply reply;
        unsigned status;
        const char *says;
    } cases[] = {
        {{.status = 200, .json = "{\"a\":1}"}, 200, "{\"a\":1}"},
        {{.status = 200, .json = "{}", .version = 12}, 200, "etag: \"12\""},
        {{.status = 200, .json = ""}, 204, "204"},
        {{.status = 404, .code = "no_such_key", .detail = "there is \"none\""},
         404,
         "{\"type\":\"urn:keybrake:no_such_key\",\"title\":\"Not Found\",\"status\":404,"
         "\"detail\":\"there is \\\"none\\\"\",\"code\":\"no_such_key\"}"},
        {{.status = 412, .code = "changed", .detail = "x"}, 412, "Precondition"},
        {{.status = 503, .code = "ledger_unavailable", .detail = "x"}, 503, "retry-after: 1"},
        {{.status = 401, .code = "unknown_token", .detail = "x"}, 401, "www-authenticate"},
        {{.status = 7, .json = "{}"}, 500, "internal"},
        {{.silent = true}, 503, "restarting"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        testing_ask(&t, NULL, LISTEN_UNIX, request("GET /v1/keys/key_1", "", NULL), 1,
                    &cases[i].reply, 1);
        CHECK_CASE(testing_status(&t) == cases[i].status, cases[i].says);
        CHECK_CASE(testing_says(&t, cases[i].says), cases[i].says);
        testing_end(&t);
    }
}

static void test_patch_and_pages(void)
{
    struct testing t;
    struct call_patch patch;
    struct call_key_filter filter;

    testing_ask(&t, NULL, LISTEN_UNIX,
                request("PATCH /v1/keys/key_1", "If-Match: \"3\"\r\n",
                        "{\"limits\":{\"concurrency\":2},\"total_usd_cap\":null}"),
                1, NULL, 0);
    CHECK(t.calls[0].call.if_match == 3);
    CHECK(wire_decode(&call_patch_schema, t.calls[0].call.body, t.arena, &patch));
    CHECK(patch.named == (POLICY_FIELD(FIELD_CONCURRENCY) | POLICY_FIELD(FIELD_TOTAL_CAP)));
    CHECK(patch.policy.concurrency == 2 && patch.policy.total_cap == MONEY_NONE);
    testing_end(&t);

    testing_ask(&t, NULL, LISTEN_UNIX,
                request("GET /v1/keys?limit=7&cursor=abc&label=a%2F+b&run_id=r", "", NULL), 1, NULL,
                0);
    CHECK(t.calls[0].call.limit == 7 && str_equal(t.calls[0].call.cursor, STR("abc")));
    CHECK(wire_decode(&call_key_filter_schema, t.calls[0].call.body, t.arena, &filter));
    CHECK(str_equal(filter.label_prefix, STR("a/ b")) && str_equal(filter.run_id, STR("r")));
    testing_end(&t);

    testing_ask(&t, NULL, LISTEN_UNIX, request("GET /v1/keys", "", NULL), 1, NULL, 0);
    CHECK(t.calls[0].call.limit == 100 && t.calls[0].call.cursor.len == 0);
    testing_end(&t);
}

static void test_env(void)
{
    static const struct testing_reply replies[] = {
        {.status = 200, .json = "{\"id\":\"key_1\",\"vendor\":\"shop\",\"credential\":\"c\"}"},
        {.status = 200, .json = "{\"public_fields\":{\"account\":\"AC7\"}}"}};
    struct testing t;

    testing_ask(&t, NULL, LISTEN_UNIX, request("GET /v1/keys/key_1/env?for=docker", "", NULL), 1,
                replies, 2);
    CHECK(testing_status(&t) == 200 && str_equal(t.calls[1].call.id, STR("c")));
    CHECK(testing_says(&t, "\"SHOP_KEY\":\"${token}\"") && testing_says(&t, "\"AC7\""));
    testing_end(&t);
}

static void test_vendors(void)
{
    struct testing t;

    testing_ask(&t, NULL, LISTEN_UNIX, request("GET /v1/vendors", "", NULL), 1, NULL, 0);
    CHECK(testing_says(&t, "{\"data\":[{\"vendor\":\"shop\",\"revision\":\"2026-11-23\","
                           "\"operation_count\":8},{\"vendor\":\"any\""));
    CHECK(testing_says(&t, "\"next_cursor\":null}"));
    testing_end(&t);
    testing_ask(&t, NULL, LISTEN_UNIX, request("GET /v1/vendors/shop", "", NULL), 1, NULL, 0);
    CHECK(testing_says(&t, "{\"name\":\"charges.create\",\"class\":\"write\","
                           "\"only_by_name\":false,\"costs\":false,"
                           "\"endpoints\":[\"POST /v1/charges\"]}"));
    testing_end(&t);
    testing_ask(&t, NULL, LISTEN_UNIX, request("GET /v1/vendors/nobody", "", NULL), 1, NULL, 0);
    CHECK(testing_status(&t) == 404);
    testing_end(&t);
}

static void test_explain(void)
{
    static const struct testing_reply replies[] = {
        {.status = 100, .code = "read_body", .version = 0},
        {.status = 200, .json = "{\"verdict\":\"allowed\"}"}};
    static const struct testing_reply beyond[] = {
        {.status = 100, .code = "read_body", .version = 4000000000}};
    const char *body = "{\"key_id\":\"key_1\",\"method\":\"POST\",\"path\":\"/v1/charges?x=1\","
                       "\"headers\":{\"Content-Type\":\"text/plain\",\"Authorization\":\"no\"},"
                       "\"body\":\"amount=5\"}";
    struct testing t;
    struct message_admit admit;
    struct call_explain_facts facts;
    struct digest digest = digest_of(STR("amount=5"));

    testing_ask(&t, NULL, LISTEN_UNIX, request("POST /v1/explain", "", body), 1, replies, 2);
    CHECK(testing_status(&t) == 200 && t.call_count == 2);
    CHECK(wire_decode(&message_admit_schema, t.calls[0].call.body, t.arena, &admit));
    CHECK(str_equal(admit.path, STR("/v1/charges")) && str_equal(admit.query, STR("x=1")));
    CHECK(admit.header_count == 1 && str_equal(admit.headers[0].name, STR("content-type")));
    CHECK(admit.body == BODY_LENGTH && admit.content_length == 8 && admit.presented_count == 0);
    CHECK(t.calls[1].call.verb == CALL_EXPLAIN_FACTS);
    CHECK(wire_decode(&call_explain_facts_schema, t.calls[1].call.body, t.arena, &facts));
    CHECK(facts.facts.generation == 7 && facts.facts.length == 8 &&
          digest_equal(&facts.facts.digest, &digest));
    testing_end(&t);
    testing_ask(&t, NULL, LISTEN_UNIX, request("POST /v1/explain", "", body), 1, beyond, 1);
    CHECK(testing_status(&t) == 503);
    testing_end(&t);
}

int main(void)
{
    digest_setup();
    json_alloc_setup();
    buf_init(&scratch, TESTING_MAX);
    test_calls();
    test_refusals();
    test_who_asks();
    test_hosts();
    test_issue();
    test_replies();
    test_patch_and_pages();
    test_env();
    test_vendors();
    test_explain();
    buf_clear(&scratch);
    return test_done();
}
