/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/settings.h"

#include <string.h>

#include "base/limits.h"
#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* "name=value name=value" on top of the defaults. */
static int apply(struct settings *settings, struct arena *arena, const char *text, struct err *err)
{
    struct str rest = str_from(text);

    settings_defaults(settings, 8);
    while (rest.len > 0) {
        struct str value = str_take_until(&rest, ' ');
        struct str name = str_take_until(&value, '=');
        if (settings_set(settings, arena, name, value, err) < 0) {
            return -1;
        }
    }
    return settings_finish(settings, arena, err);
}

static void test_rules(void)
{
    static const struct {
        const char *text, *problem; /* NULL: good */
    } cases[] = {
        {"", NULL},
        {"listen=127.0.0.1:1 listen=[::1]:2 listen=unix:/run/x", NULL},
        {"listen=0.0.0.0:1", "--insecure-listen"},
        {"listen=127.0.0.1:1 listen=[::]:1", "--insecure-listen"},
        {"listen=0.0.0.0:1 insecure-listen=yes", NULL},
        {"listen=0.0.0.0:1 insecure-listen=no", "--insecure-listen"},
        {"listen=0.0.0.0:1 tls-cert=/c tls-key=/k", NULL},
        {"listen=0.0.0.0:1 tls-cert=/c", "go together"},
        {"tls-key=/k", "go together"},
        {"control=0.0.0.0:1", "--insecure-listen"},
        {"proxy-from=10.0.0.0/8 proxy-from=2001:db8::7", NULL},
        {"proxy-from=10.0.0.1/8", "bits set behind its prefix"},
        {"proxy-from=balancer", "proxy-from: 'balancer' is not an address"},
        {"proxy-from=10.0.0.0/33", "prefix length"},
        {"control=0.0.0.0:1 tls-cert=/c tls-key=/k", NULL},
        {"control=unix:/x", "ADDR:PORT"},
        {"control=here", "not an address"},
        {"listen=here:80", "not an address"},
        {"gates=1", NULL},
        {"gates=0", "from 1 to 64"},
        {"gates=65", "from 1 to 64"},
        {"gates=two", "from 1 to 64"},
        {"ttl-max=2h", NULL},
        {"ttl-max=0s", "a time such as"},
        {"ttl-max=2", "a time such as"},
        {"memory=64M", NULL},
        {"memory=67108864", NULL},
        {"memory=1g", NULL},
        {"memory=63M", "at least 64M"},
        {"memory=2T", "at least 64M"},
        {"memory=99999999999999G", "at least 64M"},
        {"memory=M", "at least 64M"},
        {"self_revoke=no", NULL},
        {"forward=no", NULL},
        {"forward=perhaps", "yes or no"},
        {"self-revoke=maybe", "yes or no"},
        {"public-url=https://x", NULL},
        {"public-url=ftp://x", "starts with http"},
        {"nonsense=1", "no setting 'nonsense'"},
        {"config=x", "no setting 'config'"},
        {"user=nobody packs=/p", NULL},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct settings settings;
        struct err err = {""};
        int rc = apply(&settings, arena, cases[i].text, &err);
        CHECK_CASE((rc == 0) == (cases[i].problem == NULL), cases[i].text);
        CHECK_CASE(rc == 0 || strstr(err.text, cases[i].problem) != NULL, err.text);
        arena_free(arena);
    }
}

static void test_values(void)
{
    struct arena *arena = arena_new();
    struct settings settings;
    struct err err;

    CHECK(apply(&settings, arena, "", &err) == 0);
    CHECK(settings.gates == 4 && settings.self_revoke && !settings.insecure_listen);
    CHECK(settings.listen_count == 1 && str_equal(settings.listen[0], STR("127.0.0.1:8787")));
    CHECK(settings.ttl_max_ms == LIMIT_TTL_MAX_MS && settings.memory_bytes == 0);
    CHECK(!settings_door_tls(&settings, settings.listen[0]) && !settings_control_tls(&settings));
    settings_defaults(&settings, 1);
    CHECK(settings.gates == 1);
    settings_defaults(&settings, 1000);
    CHECK(settings.gates == SETTINGS_GATES_MAX);
    CHECK(apply(&settings, arena,
                "listen=127.0.0.1:1 listen=unix:/x tls-cert=/c tls-key=/k memory=2G ttl_max=1d",
                &err) == 0);
    CHECK(settings.listen_count == 2 && settings.memory_bytes == 2ull << 30);
    CHECK(settings_door_tls(&settings, settings.listen[0]));
    CHECK(!settings_door_tls(&settings, settings.listen[1]) && !settings_control_tls(&settings));
    CHECK(apply(&settings, arena, "control=10.0.0.1:1 tls-cert=/c tls-key=/k", &err) == 0);
    CHECK(settings_control_tls(&settings));
    CHECK(settings_is_flag(STR("insecure_listen")) && !settings_is_flag(STR("gates")));
    CHECK(settings_has(STR("ttl-max")) && settings_has(STR("ttl_max")) && !settings_has(STR("")));
    settings_defaults(&settings, 2);
    for (int i = 0; i < SETTINGS_LISTEN_MAX; i++) {
        CHECK(settings_set(&settings, arena, STR("listen"), STR("127.0.0.1:1"), &err) == 0);
    }
    CHECK(settings_set(&settings, arena, STR("listen"), STR("127.0.0.1:1"), &err) == -1);
    for (int i = 0; i < LIMIT_PROXY_NETWORKS; i++) {
        CHECK(settings_set(&settings, arena, STR("proxy_from"), STR("10.0.0.0/8"), &err) == 0);
    }
    CHECK(settings_set(&settings, arena, STR("proxy_from"), STR("10.0.0.0/8"), &err) == -1);
    arena_free(arena);
}

static void test_files(void)
{
    static const struct {
        const char *json, *problem;
    } cases[] = {
        {"{}", NULL},
        {"{\"note\": [1], \"gates\": 2, \"listen\": [\"127.0.0.1:1\", \"unix:/x\"]}", NULL},
        {"{\"listen\": \"127.0.0.1:1\", \"insecure_listen\": true, \"memory\": \"1G\"}", NULL},
        {"{\"proxy-from\": [\"10.0.0.0/8\", \"192.0.2.1\"]}", NULL},
        {"{\"proxy-from\": [1]}", "list of addresses"},
        {"{\"proxy-from\": [\"x\"]}", "not an address"},
        {"", "f: line"},
        {"{", "f: line"},
        {"[]", "a JSON object"},
        {"{} x", "f: line"},
        {"{\"gates\": 2, \"gates\": 3}", "f: line"},
        {"{\"gates\": \"2\"}", NULL},
        {"{\"gates\": 2.5}", "wrong type"},
        {"{\"gates\": -1}", "wrong type"},
        {"{\"gates\": null}", "wrong type"},
        {"{\"gates\": [2]}", "wrong type"},
        {"{\"gate\": 2}", "no setting 'gate'"},
        {"{\"listen\": [1]}", "list of addresses"},
        {"{\"listen\": [\"x\"]}", "not an address"},
        {"{\"insecure_listen\": 1}", "yes or no"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct settings settings;
        struct err err = {""};
        settings_defaults(&settings, 2);
        int rc = settings_load(&settings, arena, str_from(cases[i].json), "f", &err);
        CHECK_CASE((rc == 0) == (cases[i].problem == NULL), cases[i].json);
        CHECK_CASE(rc == 0 || strstr(err.text, cases[i].problem) != NULL, err.text);
        CHECK_CASE(rc == 0 || strncmp(err.text, "f: ", 3) == 0, err.text);
        arena_free(arena);
    }
}

static void test_wire(void)
{
    struct arena *arena = arena_new();
    struct settings settings;
    struct settings back;
    struct err err;
    struct buf bytes;

    CHECK(apply(&settings, arena, "listen=127.0.0.1:1 user=nobody gates=3", &err) == 0);
    buf_init(&bytes, 10000);
    CHECK(wire_encode(&settings_schema, &settings, &bytes));
    CHECK(wire_decode(&settings_schema, buf_str(&bytes), arena, &back));
    CHECK(settings_fixed_difference(&settings, &back) == NULL);
    CHECK(back.gates == 3 && str_equal(back.user, STR("nobody")));
    buf_clear(&bytes);
    arena_free(arena);
}

static void test_difference(void)
{
    static const struct {
        const char *a, *b, *differs;
    } cases[] = {
        {"", "", NULL},
        {"", "ttl-max=1h", NULL},
        {"", "public-url=http://x", NULL},
        {"tls-cert=/a tls-key=/b", "tls-cert=/c tls-key=/d", NULL},
        {"", "tls-cert=/c tls-key=/d", "tls-cert"},
        {"", "gates=7", "gates"},
        {"", "control=127.0.0.1:9", "control"},
        {"", "user=x", "user"},
        {"", "listen=127.0.0.1:9", "listen"},
        {"listen=127.0.0.1:9", "listen=127.0.0.1:9 listen=127.0.0.1:10", "listen"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct settings a;
        struct settings b;
        struct err err;
        CHECK(apply(&a, arena, cases[i].a, &err) == 0 && apply(&b, arena, cases[i].b, &err) == 0);
        const char *differs = settings_fixed_difference(&a, &b);
        CHECK_CASE((differs == NULL) == (cases[i].differs == NULL), cases[i].b);
        CHECK_CASE(differs == NULL || strcmp(differs, cases[i].differs) == 0, cases[i].b);
        arena_free(arena);
    }
}

int main(void)
{
    test_rules();
    test_values();
    test_files();
    test_wire();
    test_difference();
    return test_done();
}
