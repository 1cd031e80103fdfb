/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/allowlist.h"

#include "base/test.h"
#include "policy/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct config config;

static const struct pack *pack_of(const char *vendor)
{
    return &config.packs[config_find_pack(&config, str_from(vendor))];
}

static void test_entries(void)
{
    static const struct {
        enum entry_kind kind;
        const char *text, *method, *name;
    } good[] = {
        {ENTRY_PATH, "/v1/charges", "", "/v1/charges"},
        {ENTRY_PATH, "/v1/charges/*", "", "/v1/charges/*"},
        {ENTRY_PATH, "/v1/*/capture", "", "/v1/*/capture"},
        {ENTRY_PATH, "/*", "", "/*"},
        {ENTRY_PATH, "POST /v1/refunds", "POST", "/v1/refunds"},
        {ENTRY_PATH, "GET /", "GET", "/"},
        {ENTRY_OPERATION, "charges.create", "", "charges.create"},
        {ENTRY_OPERATION, "api_keys.create", "", "api_keys.create"},
        {ENTRY_OPERATION_PREFIX, "charges.*", "", "charges."},
    };
    static const char *const bad[] = {
        "",
        "*",
        "**",
        "charges",
        "charges.creat",
        "charge.*",
        "charges.",
        "charges*",
        ".create",
        "api_keys.*", /* only guarded ones: it would grant nothing */
        "/v1/charges?limit=1",
        "/v1/char*",
        "/v1/**",
        "/v1//charges",
        "/v1/../x",
        "/v1/%2e%2e",
        "/v1/a%2fb",
        "/v1/a;b",
        "v1/charges",
        "post /v1/charges",
        "POST  /v1/charges",
        "POST v1/charges",
        "POST /v1/charges ",
        " /v1/charges",
        "POST",
        "* /v1/charges",
        "HEAD /v1/charges",
        "/v1/a b",
        "https://api.shop.example/v1/charges",
    };

    for (size_t i = 0; i < COUNT(good); i++) {
        struct entry entry;
        struct err err = {""};
        CHECK_CASE(entry_parse(str_from(good[i].text), pack_of("shop"), &entry, &err) == 0,
                   err.text);
        CHECK_CASE(entry.kind == good[i].kind, good[i].text);
        CHECK_CASE(str_equal(entry.method, str_from(good[i].method)), good[i].text);
        CHECK_CASE(str_equal(entry.name, str_from(good[i].name)), good[i].text);
        CHECK_CASE(str_equal(entry.text, str_from(good[i].text)), good[i].text);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct entry entry;
        struct err err = {""};
        CHECK_CASE(entry_parse(str_from(bad[i]), pack_of("shop"), &entry, &err) == -1 &&
                       err.text[0] != '\0',
                   bad[i]);
    }
    struct entry entry;
    struct err err = {""};
    CHECK(entry_parse(STR("charges.creat"), pack_of("shop"), &entry, &err) == -1 &&
          str_has(str_from(err.text), STR("charges.create")));
    CHECK(entry_parse(STR("nothing.known"), NULL, &entry, &err) == 0);
}

static enum allow_result judge(const char *vendor, const char *entry_text, const char *method,
                               const char *path, bool priced, bool capped, bool *ret_named)
{
    struct entry entry;
    struct err err = {""};
    struct match match = {0};
    const struct entry *hit = &entry;
    const struct pack *pack = pack_of(vendor);
    bool parsed = entry_parse(str_from(entry_text), pack, &entry, &err) == 0;

    CHECK_CASE(parsed, entry_text);
    (void)match_find(pack, PACK_NONE, str_from(method), str_from(path), &match);
    struct request_facts request = {.method = str_from(method),
                                    .path = str_from(path),
                                    .pack = pack,
                                    .match = &match,
                                    .has_flat_price = priced,
                                    .capped = capped};
    enum allow_result result = allowlist_check(&entry, 1, &request, &hit);
    *ret_named = hit == &entry;
    return result;
}

static void test_requests(void)
{
    enum { NO = ALLOW_DENIED, YES = ALLOW_GRANTED, PRICE = ALLOW_COST_UNKNOWN };
    static const struct {
        int want;
        const char *vendor, *entry, *method, *path;
        bool priced, capped;
    } cases[] = {
        /* catalogued */
        {YES, "shop", "/v1/charges", "POST", "/v1/charges", false, true},
        {YES, "shop", "/v1/charges", "GET", "/v1/charges", false, true},
        {YES, "shop", "POST /v1/charges", "POST", "/v1/charges", false, true},
        {NO, "shop", "POST /v1/charges", "GET", "/v1/charges", false, true},
        {YES, "shop", "GET /v1/charges", "HEAD", "/v1/charges", false, true},
        {NO, "shop", "/v1/charges", "POST", "/v1/charges/ch_1/capture", false, true},
        {YES, "shop", "/v1/charges/*", "POST", "/v1/charges/ch_1/capture", false, true},
        {NO, "shop", "/v1/charges/*", "POST", "/v1/charges", false, true},
        {YES, "shop", "/v1/charges/*/capture", "POST", "/v1/charges/ch_1/capture", false, true},
        {NO, "shop", "/v1/charges/*/capture", "GET", "/v1/charges/ch_1", false, true},
        {YES, "shop", "/*", "POST", "/v1/charges", false, true},
        {YES, "shop", "charges.create", "POST", "/v1/charges", false, true},
        {NO, "shop", "charges.create", "GET", "/v1/charges", false, true},
        {YES, "shop", "charges.*", "GET", "/v1/charges/ch_1", false, true},
        {NO, "shop", "files.*", "GET", "/v1/charges/ch_1", false, true},
        {YES, "shop", "files.read", "GET", "/v1/files/a/b/c", false, true},
        /* guarded: by the full name only */
        {YES, "shop", "api_keys.create", "POST", "/v1/api_keys", false, true},
        {NO, "shop", "/v1/api_keys", "POST", "/v1/api_keys", false, true},
        {NO, "shop", "POST /v1/api_keys", "POST", "/v1/api_keys", false, true},
        {NO, "shop", "/*", "POST", "/v1/api_keys", false, true},
        {NO, "shop", "charges.*", "POST", "/v1/charges/export", false, true},
        {YES, "shop", "charges.export", "POST", "/v1/charges/export", false, true},
        {NO, "shop", "/*", "DELETE", "/v1/api_keys/k1", false, true},
        {YES, "shop", "api_keys.delete", "DELETE", "/v1/api_keys/k1", false, true},
        /* not in the catalogue: GET is a read, unless some server takes it for a guarded one */
        {YES, "shop", "/*", "GET", "/v1/unknown", false, true},
        {YES, "shop", "/v1/unknown", "HEAD", "/v1/unknown", false, true},
        {NO, "shop", "/v1/other", "GET", "/v1/unknown", false, true},
        {NO, "shop", "/*", "GET", "/v1/api_keys", false, true},
        {NO, "shop", "/*", "GET", "/v1/API_Keys", false, true},
        {NO, "shop", "/*", "GET", "/v1/api_keys.json", false, true},
        {NO, "shop", "/*", "GET", "/v1/api_keys/", false, true},
        {NO, "shop", "api_keys.create", "GET", "/v1/api_keys", false, true},
        /* another method: an exact METHOD /path, and a price under a cap */
        {NO, "shop", "/*", "POST", "/v1/unknown", false, false},
        {NO, "shop", "/v1/unknown", "POST", "/v1/unknown", false, false},
        {NO, "shop", "POST /v1/*", "POST", "/v1/unknown", true, true},
        {PRICE, "shop", "POST /v1/unknown", "POST", "/v1/unknown", false, true},
        {YES, "shop", "POST /v1/unknown", "POST", "/v1/unknown", true, true},
        {YES, "shop", "POST /v1/unknown", "POST", "/v1/unknown", false, false},
        {NO, "shop", "PUT /v1/api_keys", "PUT", "/v1/api_keys", true, false},
        {NO, "shop", "POST /v1/Charges", "POST", "/v1/charges", false, false},
        /* a generic vendor */
        {YES, "any", "/v1/things/*", "GET", "/v1/things/1", false, true},
        {YES, "any", "/v1/things", "POST", "/v1/things", false, true},
        {NO, "any", "GET /v1/things", "POST", "/v1/things", false, true},
        {YES, "any", "/*", "DELETE", "/v1/things/1", false, true},
        /* ends of paths */
        {NO, "any", "/v1/*", "GET", "/v1/", false, true},
        {NO, "any", "/v1/*", "GET", "/v1", false, true},
        {NO, "any", "/v1", "GET", "/v1/", false, true},
        {YES, "any", "/v1/", "GET", "/v1/", false, true},
        {YES, "any", "/v1/*", "GET", "/v1/a/", false, true},
        {NO, "any", "/v1/*/x", "GET", "/v1//x", false, true},
        {NO, "any", "/a/*/c/*", "GET", "/a/b/c", false, true},
        {YES, "any", "/a/*/c/*", "GET", "/a/b/c/d/e", false, true},
        {NO, "any", "/a/*/c/*", "GET", "/a/b/b/c/d", false, true},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        char what[200];
        bool named = false;
        (void)snprintf(what, sizeof(what), "%s: %s %s", cases[i].entry, cases[i].method,
                       cases[i].path);
        int got = (int)judge(cases[i].vendor, cases[i].entry, cases[i].method, cases[i].path,
                             cases[i].priced, cases[i].capped, &named);
        CHECK_CASE(got == cases[i].want, what);
        CHECK_CASE(named == (got != ALLOW_DENIED), what);
    }
}

static void test_empty_list_denies(void)
{
    struct match match = {0};
    const struct entry *hit;
    struct request_facts request = {
        .method = STR("GET"), .path = STR("/v1/charges"), .pack = pack_of("shop"), .match = &match};

    CHECK(allowlist_check(NULL, 0, &request, &hit) == ALLOW_DENIED && hit == NULL);
    request.match = NULL;
    CHECK(allowlist_check(NULL, 0, &request, &hit) == ALLOW_DENIED && hit == NULL);
}

static void test_covering(void)
{
    static const struct {
        bool covers;
        const char *wide, *narrow;
    } cases[] = {
        {true, "/v1/charges", "/v1/charges"},
        {true, "/v1/charges", "GET /v1/charges"},
        {true, "/v1/charges", "POST /v1/charges"},
        {false, "GET /v1/charges", "/v1/charges"},
        {true, "/v1/*", "/v1/charges"},
        {true, "/v1/*", "/v1/charges/*"},
        {true, "/v1/*", "/v1/*"},
        {false, "/v1/*/capture", "/v1/*"},
        {true, "/v1/charges/*", "/v1/charges/*/capture"},
        {false, "/v1/charges/*/capture", "/v1/charges/*"},
        {true, "/v1/charges/*/capture", "/v1/charges/ch_1/capture"},
        {false, "/v1/charges", "/v1/*"},
        {true, "/*", "/v1/charges"},
        /* an exact METHOD /path of the unknown grants more than a pattern over it */
        {false, "/v1/*", "POST /v1/unknown"},
        {true, "/v1/*", "GET /v1/unknown"},
        {true, "POST /v1/unknown", "POST /v1/unknown"},
        /* operations */
        {true, "charges.*", "charges.create"},
        {false, "charges.*", "charges.export"},
        {true, "charges.export", "charges.export"},
        {false, "charges.create", "charges.*"},
        {true, "/v1/*", "charges.create"},
        {true, "/v1/*", "charges.*"},
        {true, "/v1/charges/*", "charges.capture"},
        {false, "/v1/charges/*", "charges.*"},
        {false, "GET /v1/*", "charges.create"},
        {false, "/v1/*", "api_keys.create"},
        {false, "/v1/files/*/x", "files.read"},
        {true, "/v1/files/*", "files.read"},
        {false, "charges.create", "/v1/charges"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct entry wide;
        struct entry narrow;
        struct err err = {""};
        char what[200];
        (void)snprintf(what, sizeof(what), "%s over %s", cases[i].wide, cases[i].narrow);
        CHECK_CASE(entry_parse(str_from(cases[i].wide), pack_of("shop"), &wide, &err) == 0 &&
                       entry_parse(str_from(cases[i].narrow), pack_of("shop"), &narrow, &err) == 0,
                   err.text);
        CHECK_CASE(entry_covers(pack_of("shop"), &wide, &narrow) == cases[i].covers, what);
    }
}

int main(void)
{
    struct arena *arena = arena_new();

    testing_config(&config, arena);
    test_entries();
    test_requests();
    test_empty_list_denies();
    test_covering();
    arena_free(arena);
    return test_done();
}
