/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/environment.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"

static char *const outside[] = {(char[]){"PATH=/opt/x:/usr/bin"},
                                (char[]){"STRIPE_SECRET_KEY=sk_live_FAKEFAKEFAKEFAKE1234"},
                                (char[]){"HOME=/home/me"},
                                (char[]){"LANG=C.UTF-8"},
                                (char[]){"SSH_AUTH_SOCK=/tmp/agent"},
                                (char[]){"LD_PRELOAD=/tmp/evil.so"},
                                (char[]){"PROJECT=blue"},
                                NULL};

static void test_what_is_taken_over(void)
{
    struct environment e;
    struct err err;

    environment_init(&e);
    CHECK(environment_basic(&e, outside, &err) == 0);
    CHECK(str_equal(environment_get(&e, STR("PATH")), STR("/opt/x:/usr/bin")));
    CHECK(str_equal(environment_get(&e, STR("LANG")), STR("C.UTF-8")));
    CHECK(str_equal(environment_get(&e, STR("HOME")), STR("/home/agent")));
    CHECK(environment_get(&e, STR("STRIPE_SECRET_KEY")).len == 0);
    CHECK(environment_get(&e, STR("SSH_AUTH_SOCK")).len == 0);
    CHECK(environment_get(&e, STR("LD_PRELOAD")).len == 0);
    CHECK(environment_get(&e, STR("PROJECT")).len == 0);
    environment_clear(&e);
    environment_init(&e);
    CHECK(environment_basic(&e, NULL, &err) == 0);
    CHECK(environment_get(&e, STR("PATH")).len > 0);
    environment_clear(&e);
}

static void test_what_is_asked_for(void)
{
    static const struct {
        const char *wish, *name, *value; /* value NULL: refused */
    } cases[] = {
        {"PROJECT", "PROJECT", "blue"},
        {"PROJECT=red", "PROJECT", "red"},
        {"EMPTY=", "EMPTY", ""},
        {"MISSING", "MISSING", ""},
        {"A=b=c", "A", "b=c"},
        {"STRIPE_SECRET_KEY", "", NULL},
        {"X=sk_test_FAKEFAKEFAKEFAKE1234", "", NULL},
        {"X=sk-ant-FAKEFAKEFAKEFAKE1234", "", NULL},
        {"X=ghp_FAKEFAKEFAKEFAKEFAKE1234", "", NULL},
        {"X=sk-FAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKEFAKE", "", NULL},
        {"X=rk_test_vk_FAKEFAKEFAKEFAKEFAKE", "X", "rk_test_vk_FAKEFAKEFAKEFAKEFAKE"},
        {"X=sk-short", "X", "sk-short"},
        {"1X=a", "", NULL},
        {"=a", "", NULL},
        {"", "", NULL},
        {"A B=c", "", NULL},
        {"A-B=c", "", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct environment e;
        struct err err = {""};
        environment_init(&e);
        int rc = environment_ask(&e, cases[i].wish, outside, &err);
        CHECK_CASE((rc == 0) == (cases[i].value != NULL), cases[i].wish);
        if (cases[i].value != NULL) {
            CHECK_CASE(
                str_equal(environment_get(&e, str_from(cases[i].name)), str_from(cases[i].value)),
                cases[i].wish);
        } else {
            CHECK_CASE(err.text[0] != '\0' && strstr(err.text, "FAKE") == NULL, cases[i].wish);
        }
        environment_clear(&e);
    }
}

static void test_set_replaces(void)
{
    struct environment e;
    struct err err;

    environment_init(&e);
    CHECK(environment_set(&e, STR("A"), STR("1"), &err) == 0);
    CHECK(environment_set(&e, STR("AB"), STR("2"), &err) == 0);
    CHECK(environment_set(&e, STR("A"), STR("333"), &err) == 0);
    CHECK(e.count == 2);
    CHECK(str_equal(environment_get(&e, STR("A")), STR("333")));
    CHECK(str_equal(environment_get(&e, STR("AB")), STR("2")));
    CHECK(str_equal(buf_str(&e.text), str_of("AB=2\0A=333\0", 11)));
    CHECK(environment_set(&e, STR("N"), str_of("a\0b", 3), &err) < 0);
    environment_clear(&e);
}

static void test_bounds(void)
{
    static char large[ENVIRONMENT_BYTES_MAX];
    struct environment e;
    struct err err;

    memset(large, 'x', sizeof(large));
    environment_init(&e);
    CHECK(environment_set(&e, STR("A"), str_of(large, sizeof(large)), &err) < 0);
    environment_clear(&e);
    environment_init(&e);
    int rc = 0;
    for (unsigned i = 0; i <= ENVIRONMENT_VARIABLES_MAX && rc == 0; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "V%u", i);
        rc = environment_set(&e, str_from(name), STR("x"), &err);
    }
    CHECK(rc < 0);
    environment_clear(&e);
}

/* The names are other programs' own: one that is written wrong here is not found by them. */
static void test_trust(void)
{
    static const char *const all[][2] = {{"SSL_CERT_FILE", "/all.pem"},
                                         {"CURL_CA_BUNDLE", "/all.pem"},
                                         {"REQUESTS_CA_BUNDLE", "/all.pem"},
                                         {"PIP_CERT", "/all.pem"},
                                         {"AWS_CA_BUNDLE", "/all.pem"},
                                         {"GIT_SSL_CAINFO", "/all.pem"},
                                         {"CARGO_HTTP_CAINFO", "/all.pem"},
                                         {"DENO_CERT", "/all.pem"},
                                         {"NIX_SSL_CERT_FILE", "/all.pem"},
                                         {"CLOUDSDK_CORE_CUSTOM_CA_CERTS_FILE", "/all.pem"},
                                         {"GRPC_DEFAULT_SSL_ROOTS_FILE_PATH", "/all.pem"},
                                         {"HTTPLIB2_CA_CERTS", "/all.pem"},
                                         {"npm_config_cafile", "/all.pem"},
                                         {"BUNDLE_SSL_CA_CERT", "/all.pem"},
                                         {"PERL_LWP_SSL_CA_FILE", "/all.pem"},
                                         {"NODE_EXTRA_CA_CERTS", "/ours.pem"},
                                         {"NODE_USE_SYSTEM_CA", "1"},
                                         {"SSL_CERT_DIR", ""}}; /* not there: it would add others */
    struct environment e;
    struct err err;

    environment_init(&e);
    CHECK(environment_trust(&e, "/all.pem", "/ours.pem", &err) == 0);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        CHECK_CASE(str_equal(environment_get(&e, str_from(all[i][0])), str_from(all[i][1])),
                   all[i][0]);
    }
    environment_clear(&e);
}

int main(void)
{
    test_what_is_taken_over();
    test_what_is_asked_for();
    test_set_replaces();
    test_bounds();
    test_trust();
    return test_done();
}
