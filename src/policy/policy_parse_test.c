/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy_parse.h"

#include <string.h>

#include "base/test.h"
#include "policy/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW INT64_C(1795737600000) /* 2026-11-27T00:00:00Z */
#define USD INT64_C(1000000000)

static struct config config;
static struct arena *arena;

static int parse(const char *text, struct policy *ret, struct err *err)
{
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

    CHECK_CASE(json != NULL, text);
    int rc = policy_parse(json, &config, NOW, arena, ret, err);
    json_decref(json);
    return rc;
}

static void test_money(void)
{
    static const struct {
        const char *json;
        int64_t nano; /* -2: refused */
    } cases[] = {
        {"50", 50 * USD},
        {"0", 0},
        {"null", MONEY_NONE},
        {"\"50\"", 50 * USD},
        {"\"0.000000001\"", 1},
        {"\"12.345678901\"", 12345678901},
        {"0.1", USD / 10},
        {"12.34", 1234 * USD / 100},
        {"50.0", 50 * USD},
        {"0.123456", 123456000},
        {"1e2", 100 * USD},
        {"9223372036", INT64_C(9223372036) * USD},
        {"0.1234567", -2},
        {"0.0000001", -2}, /* printed as 1e-07 */
        {"1e300", -2},
        {"-1", -2},
        {"-0.5", -2},
        {"9223372037", -2},
        {"99999999999999", -2},
        {"\"0.0000000001\"", -2},
        {"\"1e3\"", -2},
        {"\"\"", -2},
        {"\"-1\"", -2},
        {"\" 1\"", -2},
        {"\"$5\"", -2},
        {"true", -2},
        {"[]", -2},
        {"{}", -2},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        json_t *json = json_loads(cases[i].json, JSON_DECODE_ANY, NULL);
        struct err err = {""};
        int64_t nano = -2;
        int rc = policy_parse_usd(json, "daily_usd_cap", &nano, &err);
        CHECK_CASE((rc == 0) == (cases[i].nano != -2), cases[i].json);
        CHECK_CASE(rc < 0 || nano == cases[i].nano, cases[i].json);
        CHECK_CASE((rc < 0) == (err.text[0] != '\0'), cases[i].json);
        json_decref(json);
    }
}

#define REQUIRED "\"vendor\":\"shop\",\"daily_usd_cap\":50,\"allowed_endpoints\":[\"/v1/charges\"]"

static void test_whole(void)
{
    struct policy p;
    struct err err = {""};

    CHECK(
        parse("{\"label\":\"a\",\"run_id\":\"r\",\"credential\":\"c\",\"idempotency_scope\":\"s\","
              "\"parent\":\"key_0123456789abcdef\",\"total_usd_cap\":\"70.5\","
              "\"expires_in\":\"30m\",\"mode\":\"observe\",\"token_style\":\"rk\","
              "\"limits\":{\"requests_per_minute\":60,\"requests_per_day\":1000,"
              "\"concurrency\":4,\"sources\":[\"10.0.0.0/8\"]},"
              "\"allowed_hosts\":[\"pypi.org\"],"
              "\"params\":{\"max_amount_usd\":20,\"flat_price_usd\":\"0.01\","
              "\"currencies\":[\"usd\"],\"to_prefixes\":[\"+49\"],\"from_domains\":[\"a.b\"],"
              "\"models\":[\"m\"],\"accounts\":[\"acct_1\"],\"customers\":[\"cus_1\"],"
              "\"own_objects_only\":false,\"client_secret\":\"pass\"}," REQUIRED "}",
              &p, &err) == 0);
    CHECK(str_equal(p.label, STR("a")) && str_equal(p.run_id, STR("r")) &&
          str_equal(p.credential, STR("c")) && str_equal(p.idempotency_scope, STR("s")));
    CHECK(p.daily_cap == 50 * USD && p.total_cap == 70 * USD + USD / 2 && p.total_cap_given);
    CHECK(p.expires_at_ms == NOW + 30 * 60000 && p.mode == MODE_OBSERVE &&
          p.token_style == TOKEN_RK);
    CHECK(p.requests_per_minute == 60 && p.requests_per_day == 1000 && p.concurrency == 4);
    CHECK(p.host_count == 1 && str_equal(p.hosts[0], STR("pypi.org")));
    CHECK(p.source_count == 1 && p.currency_count == 1 && p.to_prefix_count == 1 &&
          p.from_domain_count == 1 && p.model_count == 1 && p.account_count == 1 &&
          p.customer_count == 1);
    CHECK(p.max_amount == 20 * USD && p.flat_price == USD / 100);
    CHECK(p.entry_count == 1 && str_equal(p.entries[0], STR("/v1/charges")));
}

static void test_defaults_and_spellings(void)
{
    struct policy p;
    struct err err = {""};

    CHECK(parse("{" REQUIRED "}", &p, &err) == 0);
    CHECK(p.expires_at_ms == NOW + 3600000 && !p.total_cap_given && p.total_cap == MONEY_NONE);
    CHECK(p.flat_price == MONEY_NONE && p.max_amount == MONEY_NONE && p.mode == MODE_ENFORCE &&
          p.token_style == TOKEN_VK && !p.own_objects_only && p.requests_per_minute == 0);
    CHECK(parse("{\"agent_run_label\":\"x\"," REQUIRED "}", &p, &err) == 0 &&
          str_equal(p.label, STR("x")));
    CHECK(parse("{\"tenant\":\"acme\"," REQUIRED "}", &p, &err) == 0 && p.own_objects_only);
    CHECK(parse("{\"tenant\":\"acme\",\"params\":{\"own_objects_only\":null}," REQUIRED "}", &p,
                &err) == 0 &&
          p.own_objects_only);
    CHECK(parse("{\"tenant\":\"acme\",\"params\":{\"own_objects_only\":false}," REQUIRED "}", &p,
                &err) == 0 &&
          !p.own_objects_only);
    CHECK(parse("{\"params\":{\"own_objects_only\":true,\"client_secret\":\"redact\"}," REQUIRED
                "}",
                &p, &err) == 0 &&
          p.own_objects_only && p.redact_client_secret && !p.cancel_open);
    CHECK(parse("{\"params\":{\"on_key_end\":\"cancel_open\"}," REQUIRED "}", &p, &err) == 0 &&
          p.cancel_open);
    CHECK(parse("{\"params\":{\"on_key_end\":\"keep\"}," REQUIRED "}", &p, &err) == 0 &&
          !p.cancel_open);
    CHECK(parse("{\"total_usd_cap\":null," REQUIRED "}", &p, &err) == 0 && p.total_cap_given &&
          p.total_cap == MONEY_NONE);
    CHECK(parse("{\"expires_at\":\"2026-11-27T02:00:00+01:00\"," REQUIRED "}", &p, &err) == 0 &&
          p.expires_at_ms == NOW + 3600000);
    CHECK(parse("{\"label\":null,\"limits\":null,\"params\":{}," REQUIRED "}", &p, &err) == 0);
}

static void test_refusals(void)
{
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"[]", "object"},
        {"{}", "vendor"},
        {"{\"vendor\":\"shop\",\"daily_usd_cap\":1}", "allowed_endpoints"},
        {"{\"vendor\":\"shop\",\"allowed_endpoints\":[\"/v1\"]}", "daily_usd_cap"},
        {"{\"daily_usd_cap\":1,\"allowed_endpoints\":[\"/v1\"]}", "vendor"},
        {"{\"surprise\":1," REQUIRED "}", "surprise"},
        {"{\"label\":\"a\",\"agent_run_label\":\"b\"," REQUIRED "}", "agent_run_label"},
        {"{\"label\":7," REQUIRED "}", "label"},
        {"{\"expires_in\":\"30m\",\"expires_at\":\"2026-11-27T02:00:00Z\"," REQUIRED "}", "both"},
        {"{\"expires_in\":\"1 week\"," REQUIRED "}", "expires_in"},
        {"{\"expires_in\":1800," REQUIRED "}", "expires_in"},
        {"{\"expires_in\":\"999999999999999d\"," REQUIRED "}", "expires_in"},
        {"{\"expires_at\":\"tomorrow\"," REQUIRED "}", "expires_at"},
        {"{\"mode\":\"off\"," REQUIRED "}", "mode"},
        {"{\"token_style\":\"pk\"," REQUIRED "}", "token_style"},
        {"{\"limits\":{\"surprise\":1}," REQUIRED "}", "limits.surprise"},
        {"{\"limits\":{\"concurrency\":0}," REQUIRED "}", "concurrency"},
        {"{\"limits\":{\"concurrency\":1.5}," REQUIRED "}", "concurrency"},
        {"{\"limits\":[]," REQUIRED "}", "limits"},
        {"{\"params\":{\"surprise\":1}," REQUIRED "}", "params.surprise"},
        {"{\"params\":{\"models\":\"m\"}," REQUIRED "}", "models"},
        {"{\"params\":{\"models\":[1]}," REQUIRED "}", "models"},
        {"{\"params\":{\"client_secret\":\"hide\"}," REQUIRED "}", "client_secret"},
        {"{\"params\":{\"own_objects_only\":1}," REQUIRED "}", "own_objects_only"},
        {"{\"params\":{\"on_key_end\":\"cancel\"}," REQUIRED "}", "on_key_end"},
        {"{\"params\":{\"on_key_end\":true}," REQUIRED "}", "on_key_end"},
        {"{\"vendor\":\"shop\",\"daily_usd_cap\":1,\"allowed_endpoints\":\"/v1\"}",
         "allowed_endpoints"},
        {"{\"vendor\":\"shop\",\"daily_usd_cap\":\"a lot\",\"allowed_endpoints\":[\"/v1\"]}",
         "daily_usd_cap"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct policy p;
        struct err err = {""};
        CHECK_CASE(parse(cases[i].json, &p, &err) == -1, cases[i].json);
        CHECK_CASE(str_has(str_from(err.text), str_from(cases[i].says)), err.text);
    }
}

static int parse_patch(const char *text, struct call_patch *ret, struct err *err)
{
    json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    int rc = policy_parse_patch(json, NOW, arena, ret, err);

    json_decref(json);
    return rc;
}

static void test_patches(void)
{
    static const char *const bad[] = {
        "{}",
        "{\"vendor\":\"shop\"}",
        "{\"label\":\"x\"}",
        "{\"agent_run_label\":\"x\"}",
        "{\"credential\":\"x\"}",
        "{\"parent\":null}",
        "{\"tenant\":\"x\"}",
        "{\"run_id\":\"x\"}",
        "{\"idempotency_scope\":\"x\"}",
        "{\"token_style\":\"sk\"}",
        "{\"surprise\":1}",
        "{\"daily_usd_cap\":-1}",
    };
    struct call_patch patch;
    struct err err = {""};

    for (size_t i = 0; i < COUNT(bad); i++) {
        CHECK_CASE(parse_patch(bad[i], &patch, &err) == -1, bad[i]);
    }
    CHECK(parse_patch("{\"daily_usd_cap\":9}", &patch, &err) == 0 &&
          patch.named == POLICY_FIELD(FIELD_DAILY_CAP) && patch.policy.daily_cap == 9 * USD);
    CHECK(parse_patch("{\"limits\":{\"concurrency\":2}}", &patch, &err) == 0 &&
          patch.named == POLICY_FIELD(FIELD_CONCURRENCY) && patch.policy.concurrency == 2);
    CHECK(parse_patch("{\"limits\":null}", &patch, &err) == 0 &&
          patch.named ==
              (POLICY_FIELD(FIELD_REQUESTS_PER_MINUTE) | POLICY_FIELD(FIELD_REQUESTS_PER_DAY) |
               POLICY_FIELD(FIELD_CONCURRENCY) | POLICY_FIELD(FIELD_SOURCES)));
    CHECK(parse_patch("{\"params\":{\"models\":null,\"max_amount_usd\":null}}", &patch, &err) ==
              0 &&
          patch.named == (POLICY_FIELD(FIELD_MODELS) | POLICY_FIELD(FIELD_MAX_AMOUNT)) &&
          patch.policy.model_count == 0 && patch.policy.max_amount == MONEY_NONE);
    CHECK(parse_patch("{\"expires_in\":\"5m\",\"mode\":\"enforce\"}", &patch, &err) == 0 &&
          patch.named == (POLICY_FIELD(FIELD_EXPIRES) | POLICY_FIELD(FIELD_MODE)) &&
          patch.policy.expires_at_ms == NOW + 300000);
}

static void test_bounds(void)
{
    struct call_bounds bounds;
    struct err err = {""};
    json_t *json = json_loads("{\"vendors\":[\"shop\"],\"allowed_endpoints\":[\"/v1/*\"],"
                              "\"daily_usd_cap\":10,\"max_ttl\":\"30m\",\"label_prefix\":\"a/\","
                              "\"tenant\":\"t\"}",
                              0, NULL);

    CHECK(policy_parse_bounds(json, arena, &bounds, &err) == 0);
    CHECK(bounds.vendor_count == 1 && bounds.entry_count == 1 && bounds.daily_cap == 10 * USD &&
          bounds.total_cap == MONEY_NONE && bounds.ttl_max_ms == 1800000 &&
          str_equal(bounds.label_prefix, STR("a/")) && str_equal(bounds.tenant, STR("t")));
    json_object_set_new(json, "surprise", json_true());
    CHECK(policy_parse_bounds(json, arena, &bounds, &err) == -1);
    json_decref(json);
}

int main(void)
{
    arena = arena_new();
    testing_config(&config, arena);
    test_money();
    test_whole();
    test_defaults_and_spellings();
    test_refusals();
    test_patches();
    test_bounds();
    arena_free(arena);
    return test_done();
}
