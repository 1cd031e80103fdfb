/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/policy.h"

#include <string.h>

#include "base/test.h"
#include "policy/bounds.h"
#include "policy/policy_json.h"
#include "policy/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define NOW INT64_C(1795737600000) /* 2026-11-27T00:00:00Z */
#define HOUR INT64_C(3600000)
#define USD INT64_C(1000000000)

static struct config config;
static struct arena *arena;
static struct str two_entries[] = {{"/v1/charges", 11}, {"charges.create", 14}};

static struct policy good_policy(void)
{
    return (struct policy){.label = STR("run/1"),
                           .vendor = STR("shop"),
                           .daily_cap = 50 * USD,
                           .total_cap = MONEY_NONE,
                           .entries = two_entries,
                           .entry_count = 2,
                           .expires_at_ms = NOW + HOUR,
                           .flat_price = MONEY_NONE,
                           .max_amount = MONEY_NONE};
}

static struct str *list(const char *one)
{
    struct str *values = arena_zeroed(arena, 1, sizeof(*values));

    values[0] = str_from(one);
    return values;
}

static bool passes(const struct policy *policy)
{
    struct err err = {""};
    int rc = policy_check(policy, &config, NOW, &err);

    CHECK((rc == 0) == (err.text[0] == '\0'));
    return rc == 0;
}

static void test_good(void)
{
    struct policy p = good_policy();

    CHECK(passes(&p));
    p.daily_cap = MONEY_NONE;
    CHECK(passes(&p));
    p.daily_cap = 0;
    CHECK(passes(&p));
    p.label = p.run_id = STR_NONE;
    CHECK(passes(&p));
    p.parent = STR("key_0123456789abcdef");
    CHECK(passes(&p));
    p.expires_at_ms = NOW + 24 * HOUR;
    CHECK(passes(&p));
    p.currencies = list("eur");
    p.currency_count = 1;
    p.sources = list("10.0.0.0/8");
    p.source_count = 1;
    CHECK(passes(&p));
}

/* Each changes one thing of a good policy. */
static void bad_vendor(struct policy *p)
{
    p->vendor = STR("nobody");
}
static void no_vendor(struct policy *p)
{
    p->vendor = STR_NONE;
}
static void no_entries(struct policy *p)
{
    p->entry_count = 0;
}
static void bad_entry(struct policy *p)
{
    p->entries = list("charges.creat"), p->entry_count = 1;
}
static void guarded_path(struct policy *p)
{
    p->entries = list("POST /v1/api_keys"), p->entry_count = 1;
}
static void guarded_any(struct policy *p)
{
    p->entries = list("/v1/api_keys"), p->entry_count = 1;
}
static void guarded_star(struct policy *p)
{
    p->entries = list("DELETE /v1/api_keys/*"), p->entry_count = 1;
}
static void negative_cap(struct policy *p)
{
    p->daily_cap = -2;
}
static void negative_total(struct policy *p)
{
    p->total_cap = INT64_MIN;
}
static void negative_price(struct policy *p)
{
    p->flat_price = -2;
}
static void past(struct policy *p)
{
    p->expires_at_ms = NOW;
}
static void far(struct policy *p)
{
    p->expires_at_ms = NOW + 24 * HOUR + 1001;
}
static void farther(struct policy *p)
{
    p->expires_at_ms = INT64_MAX;
}
static void label_control(struct policy *p)
{
    p->label = STR("a\nb");
}
static void tenant_space(struct policy *p)
{
    p->tenant = STR("a b");
}
static void tenant_slash(struct policy *p)
{
    p->tenant = STR("a/b");
}
static void bad_parent(struct policy *p)
{
    p->parent = STR("key_short");
}
static void bad_currency(struct policy *p)
{
    p->currencies = list("EUR"), p->currency_count = 1;
}
static void long_currency(struct policy *p)
{
    p->currencies = list("euro"), p->currency_count = 1;
}
static void bad_source(struct policy *p)
{
    p->sources = list("10.0.0.1/8"), p->source_count = 1;
}
static void empty_value(struct policy *p)
{
    p->models = list(""), p->model_count = 1;
}
static void bad_host(struct policy *p)
{
    p->hosts = list("10.0.0.1"), p->host_count = 1;
}
static void huge_rate(struct policy *p)
{
    p->requests_per_minute = UINT64_MAX;
}

static void test_bad(void)
{
    static const struct {
        const char *name;
        void (*spoil)(struct policy *p);
    } cases[] = {
        {"bad_vendor", bad_vendor},
        {"no_vendor", no_vendor},
        {"no_entries", no_entries},
        {"bad_entry", bad_entry},
        {"guarded_path", guarded_path},
        {"guarded_any", guarded_any},
        {"negative_cap", negative_cap},
        {"negative_total", negative_total},
        {"negative_price", negative_price},
        {"past", past},
        {"far", far},
        {"farther", farther},
        {"label_control", label_control},
        {"tenant_space", tenant_space},
        {"tenant_slash", tenant_slash},
        {"bad_parent", bad_parent},
        {"bad_currency", bad_currency},
        {"long_currency", long_currency},
        {"bad_source", bad_source},
        {"empty_value", empty_value},
        {"bad_host", bad_host},
        {"huge_rate", huge_rate},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct policy p = good_policy();
        cases[i].spoil(&p);
        CHECK_CASE(!passes(&p), cases[i].name);
    }
    struct policy star = good_policy(); /* deeper paths may be others: not for us to refuse */
    guarded_star(&star);
    CHECK(passes(&star));
}

static void test_wire_and_copy(void)
{
    struct policy p = good_policy();
    struct policy back;
    struct buf one;
    struct buf two;

    p.accounts = list("acct_1");
    p.account_count = 1;
    p.token_style = TOKEN_RK;
    buf_init(&one, 100000);
    buf_init(&two, 100000);
    CHECK(wire_encode(&policy_schema, &p, &one));
    CHECK(wire_decode(&policy_schema, buf_str(&one), arena, &back));
    const struct policy *copy = policy_copy(arena, &back);
    CHECK(copy->entries != back.entries && copy->label.data != back.label.data);
    CHECK(wire_encode(&policy_schema, copy, &two));
    CHECK(str_equal(buf_str(&one), buf_str(&two)));
    /* As older servers stored it: nothing of the key's end; no list of hosts, which is a count of
     * zero. */
    struct str older = str_slice(buf_str(&one), 0, buf_len(&one) - 1);
    back.cancel_open = true;
    CHECK(policy_decode(older, arena, &back) && !back.cancel_open);
    older = str_slice(older, 0, older.len - 4);
    back.host_count = 7;
    CHECK(policy_decode(older, arena, &back) && back.host_count == 0 &&
          back.token_style == TOKEN_RK);
    CHECK(policy_decode(buf_str(&one), arena, &back));
    CHECK(!policy_decode(str_slice(older, 0, older.len - 1), arena, &back));
    CHECK(!policy_decode(STR_NONE, arena, &back));
    buf_clear(&one);
    buf_clear(&two);
}

static void test_patch(void)
{
    struct policy old = good_policy();
    struct policy change = {.daily_cap = 9 * USD,
                            .total_cap = MONEY_NONE,
                            .total_cap_given = true,
                            .requests_per_minute = 5,
                            .requests_per_day = 7,
                            .entries = list("charges.list"),
                            .entry_count = 1,
                            .models = NULL};
    old.concurrency = 3;
    old.models = list("m");
    old.model_count = 1;
    uint64_t named = POLICY_FIELD(FIELD_DAILY_CAP) | POLICY_FIELD(FIELD_REQUESTS_PER_MINUTE) |
                     POLICY_FIELD(FIELD_ENTRIES) | POLICY_FIELD(FIELD_MODELS);
    const struct policy *next = policy_patched(arena, &old, &change, named);

    CHECK(next->daily_cap == 9 * USD && next->requests_per_minute == 5);
    CHECK(next->requests_per_day == 0 && next->concurrency == 3 && !next->total_cap_given);
    CHECK(next->entry_count == 1 && str_equal(next->entries[0], STR("charges.list")));
    CHECK(next->model_count == 0 && str_equal(next->label, old.label));
    CHECK(next->expires_at_ms == old.expires_at_ms);
    next = policy_patched(arena, &old, &change, 0);
    CHECK(next->daily_cap == old.daily_cap && next->entry_count == 2 && next->model_count == 1);
    next = policy_patched(arena, &old, &change, POLICY_FIELD(FIELD_COUNT) - 1);
    CHECK(next->daily_cap == 9 * USD && next->total_cap_given && next->requests_per_day == 7 &&
          next->concurrency == 0 && str_equal(next->vendor, STR("shop")));
}

static bool narrower(const struct policy *next, const struct policy *old)
{
    const struct pack *pack = &config.packs[config_find_pack(&config, STR("shop"))];
    const char *field = NULL;
    bool holds = policy_is_narrower(next, old, NOW, pack, &field);

    CHECK(holds == (field == NULL));
    return holds;
}

static void test_narrowing(void)
{
    struct policy old = good_policy();
    struct policy next = old;

    CHECK(narrower(&next, &old));
    next.daily_cap = 1;
    next.expires_at_ms--;
    next.requests_per_minute = 9;
    next.currencies = list("usd");
    next.currency_count = 1;
    next.entry_count = 1;
    next.own_objects_only = true;
    CHECK(narrower(&next, &old));
    CHECK(!narrower(&old, &next));

    const struct {
        const char *name;
        struct policy policy;
    } wider[] = {
        {"cap", {.daily_cap = 51 * USD}},
        {"no cap", {.daily_cap = MONEY_NONE}},
    };
    for (size_t i = 0; i < COUNT(wider); i++) {
        next = old;
        next.daily_cap = wider[i].policy.daily_cap;
        CHECK_CASE(!narrower(&next, &old), wider[i].name);
    }
    next = old;
    next.expires_at_ms++;
    CHECK(!narrower(&next, &old));
    next = old;
    next.mode = MODE_OBSERVE;
    CHECK(!narrower(&next, &old));
    next = old;
    next.entries = list("/v1/*");
    next.entry_count = 1;
    CHECK(!narrower(&next, &old));
    next = old;
    next.total_cap_given = true; /* an explicit null lifts what the rule would have given */
    CHECK(!narrower(&next, &old));
    next.total_cap = 3 * USD;
    CHECK(narrower(&next, &old));
    next.total_cap = 51 * USD; /* above the daily one, which the rule made the total */
    CHECK(!narrower(&next, &old));
    old.expires_at_ms = next.expires_at_ms = NOW + 25 * HOUR; /* now it made none */
    CHECK(narrower(&next, &old));
    CHECK(!narrower(&old, &next));
    next = old;
    next.expires_at_ms = NOW + HOUR;
    CHECK(narrower(&next, &old));
    old = good_policy();
    next = old;
    next.accounts = list("acct_1"); /* no list of accounts is none: one is more */
    next.account_count = 1;
    CHECK(!narrower(&next, &old));
    CHECK(narrower(&old, &next));
    next = old;
    next.cancel_open = true; /* an issuer may make it stricter, and not take that back */
    CHECK(narrower(&next, &old));
    CHECK(!narrower(&old, &next));
    next = old;
    next.hosts = list("pypi.org"); /* no list of hosts is none too */
    next.host_count = 1;
    CHECK(!narrower(&next, &old));
    CHECK(narrower(&old, &next));
    next = old;
    next.flat_price = USD;
    CHECK(!narrower(&next, &old));
    old.concurrency = 2;
    next = old;
    next.concurrency = 0;
    CHECK(!narrower(&next, &old));
    old.customers = list("cus_1");
    old.customer_count = 1;
    next = old;
    next.customer_count = 0;
    CHECK(!narrower(&next, &old));
    next.customers = list("cus_2");
    next.customer_count = 1;
    CHECK(!narrower(&next, &old));
}

static void test_bounds(void)
{
    const struct pack *pack = &config.packs[config_find_pack(&config, STR("shop"))];
    struct call_bounds none = {.daily_cap = MONEY_NONE, .total_cap = MONEY_NONE};
    struct policy p = good_policy();
    struct err err = {""};

    CHECK(bounds_check(&none, &p, pack, NOW, &err) == 0);
    struct call_bounds b = none;
    b.daily_cap = 50 * USD;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    b.daily_cap--;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b = none;
    b.total_cap = 10 * USD;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b.total_cap = 50 * USD;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    p.expires_at_ms = NOW + 48 * HOUR; /* two days: twice as much, unless it says otherwise */
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    p.total_cap_given = true;
    p.total_cap = 50 * USD;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    p = good_policy();
    p.mode = MODE_OBSERVE; /* which keeps neither caps nor endpoints */
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b = none;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    b.daily_cap = 100 * USD;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b = none;
    b.entries = list("/v1/*");
    b.entry_count = 1;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    p.mode = MODE_ENFORCE;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    b = none;
    b.vendors = list("other");
    b.vendor_count = 1;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b.vendors = list("shop");
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    b.entries = list("/v1/*");
    b.entry_count = 1;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    b.entries = list("charges.list");
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b = none;
    b.ttl_max_ms = (uint64_t)HOUR;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    CHECK(bounds_check(&b, &p, pack, NOW - 2000, &err) == -1);
    b = none;
    b.label_prefix = STR("run/");
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    p.hosts = list("pypi.org");
    p.host_count = 1;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    p.host_count = 0;
    b.label_prefix = STR("job/");
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    b = none;
    b.tenant = STR("acme");
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
    p.tenant = STR("acme");
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == 0);
    p.daily_cap = MONEY_NONE;
    b.daily_cap = 5;
    CHECK(bounds_check(&b, &p, pack, NOW, &err) == -1);
}

static void test_json(void)
{
    struct policy p = good_policy();
    struct buf text;

    buf_init(&text, 10000);
    struct json_out out = json_begin(&text);
    json_open(&out, '{');
    policy_json_members(&out, &p);
    json_close(&out, '}');
    CHECK(str_has(buf_str(&text), STR("\"daily_usd_cap\":\"50.00\",\"total_usd_cap\":null")));
    CHECK(str_has(buf_str(&text), STR("\"allowed_endpoints\":[\"/v1/charges\",")));
    CHECK(str_has(buf_str(&text), STR("\"expires_at\":\"2026-11-27T01:00:00Z\"")));
    CHECK(str_has(buf_str(&text), STR("\"mode\":\"enforce\",\"token_style\":\"vk\"}")));
    buf_cut(&text, 0);
    p.tenant = STR("acme");
    p.parent = STR("key_0123456789abcdef");
    out = json_begin(&text);
    json_open(&out, '{');
    policy_json_members_for_self(&out, &p);
    json_close(&out, '}');
    CHECK(!str_has(buf_str(&text), STR("acme")) && !str_has(buf_str(&text), STR("key_0")));
    CHECK(str_has(buf_str(&text), STR("\"limited_by\":[\"parent\",\"tenant\"]")));
    buf_clear(&text);
}

int main(void)
{
    arena = arena_new();
    testing_config(&config, arena);
    test_good();
    test_bad();
    test_wire_and_copy();
    test_patch();
    test_narrowing();
    test_bounds();
    test_json();
    arena_free(arena);
    return test_done();
}
