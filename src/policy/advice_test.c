/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/advice.h"

#include "base/test.h"
#include "policy/testing.h"

static struct config config;

static const struct pack *pack_of(const char *vendor)
{
    return &config.packs[config_find_pack(&config, str_from(vendor))];
}

static void test_nothing_to_say(void)
{
    static const char *const entries[] = {
        "/v1/charges",
        "POST /v1/charges",
        "/v1/charges/*",
        "/v1/charges/ch_1",
        "/v1/charges/ch_1/capture",
        "/v1/charges/*/capture",
        "/v1/files/a/b/c",
        "/v1/*",
        "/*",
        "GET /*",
        "/*/charges",
        "charges.create",
        "charges.*",
        "not an entry",
        "",
    };
    struct err err;

    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        CHECK_CASE(!advice_on_entry(str_from(entries[i]), pack_of("shop"), &err), entries[i]);
    }
    CHECK(!advice_on_entry(STR("/whatever/there/is"), pack_of("any"), &err));
}

static void test_what_is_not_there(void)
{
    static const struct {
        const char *entry, *nearest;
    } cases[] = {
        {"/v1/charge", "'/v1/charges'"},
        {"/v2/charges", "'/v1/charges'"},
        {"/charges", "known here"},
        {"/v1/charge/*", "'/v1/charges/{id}'"},
        {"/v1/charges/*/captured", "'/v1/charges/{id}/capture'"},
        {"PATCH /v1/charges", "'/v1/charges'"},
        {"FOO /v1/charges", "'/v1/charges'"},
        {"/v1/files", "known here"},
        {"/zzzzzzzzzzzzzzzzzzzzzzzz", "known here"},
    };
    struct err err;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        bool said = advice_on_entry(str_from(cases[i].entry), pack_of("shop"), &err);
        CHECK_CASE(said && str_has(str_from(err.text), str_from(cases[i].nearest)), cases[i].entry);
    }
}

int main(void)
{
    struct arena *arena = arena_new();

    testing_config(&config, arena);
    test_nothing_to_say();
    test_what_is_not_there();
    arena_free(arena);
    return test_done();
}
