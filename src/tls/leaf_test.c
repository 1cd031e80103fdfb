/* SPDX-License-Identifier: Apache-2.0 */
/* CAs and leaves, judged by OpenSSL's own client: who verifies, for which names, and until when. */
#include "tls/leaf.h"

#include <string.h>

#include "base/clock.h"
#include "base/digest.h"
#include "base/test.h"
#include "tls/tls.h"

enum { PLAIN_MAX = 256 * 1024, DAY_MS = 24 * 3600 * 1000 };

static const struct str stripe_hosts[] = {
    {"api.stripe.com", 14}, {"files.stripe.com", 16}, {"*.twilio.com", 12}};

struct fixture {
    struct buf pem;
    struct secret key;
    struct ca *ca;
    struct leaf_key *leaf_key;
    struct buf public_key;
    struct tls_context *server, *client;
};

static void setup(struct fixture *f, const struct str *hosts, size_t count)
{
    struct ca_wish wish = {.name = "keybrake test",
                           .hosts = hosts,
                           .host_count = count,
                           .now_ms = clock_wall_ms(),
                           .days = 30};
    struct err err = {""};

    *f = (struct fixture){0};
    buf_init(&f->pem, CA_PEM_MAX);
    buf_init(&f->public_key, 1024);
    CHECK_CASE(ca_make(&wish, &f->pem, &f->key, &err) == 0, err.text);
    f->ca = ca_open(buf_str(&f->pem), str_of(f->key.data, f->key.size), &err);
    CHECK_CASE(f->ca != NULL, err.text);
    f->leaf_key = leaf_key_new();
    CHECK(leaf_key_public(f->leaf_key, &f->public_key));
    f->server = tls_context_new_leaves(&err);
    f->client = tls_context_new_client(buf_str(&f->pem), &err);
    CHECK(f->server != NULL && f->client != NULL);
}

static void teardown(struct fixture *f)
{
    tls_context_free(f->server);
    tls_context_free(f->client);
    leaf_key_free(f->leaf_key);
    ca_free(f->ca);
    secret_clear(&f->key);
    buf_clear(&f->pem);
    buf_clear(&f->public_key);
}

static struct leaf *make_leaf(struct fixture *f, const char *host, int64_t now_ms)
{
    struct err err = {""};
    struct buf der;
    struct leaf *leaf = NULL;

    buf_init(&der, LEAF_DER_MAX);
    if (ca_sign(f->ca, str_from(host), buf_str(&f->public_key), now_ms, &der, &err) == 0) {
        leaf = leaf_new(buf_str(&der), f->leaf_key, &err);
        CHECK_CASE(leaf != NULL, err.text);
    }
    buf_clear(&der);
    return leaf;
}

/* A handshake in memory: true when the client was content. */
static bool shake(struct fixture *f, const struct leaf *leaf, const char *leaf_host,
                  const char *asked, bool *ret_resumed)
{
    struct tls *server = tls_new_leaf(f->server, leaf, str_from(leaf_host));
    struct tls *client = tls_new_client(f->client, str_from(asked), 443);
    enum tls_state client_state, server_state = TLS_HANDSHAKE;
    struct buf plain;
    struct err err;

    buf_init(&plain, PLAIN_MAX);
    client_state = tls_receive(client, STR_NONE, &plain, &err);
    for (int i = 0; i < 10; i++) {
        struct str bytes = tls_output(client);
        if (bytes.len > 0 && server_state != TLS_FAILED) {
            server_state = tls_receive(server, bytes, &plain, &err);
        }
        tls_sent(client, bytes.len);
        bytes = tls_output(server);
        if (bytes.len > 0 && client_state != TLS_FAILED) {
            client_state = tls_receive(client, bytes, &plain, &err);
        }
        tls_sent(server, bytes.len);
    }
    if (ret_resumed != NULL) {
        *ret_resumed = tls_was_resumed(server);
    }
    bool open = client_state == TLS_OPEN && server_state == TLS_OPEN;
    tls_free(server);
    tls_free(client);
    buf_clear(&plain);
    return open;
}

static void test_names(void)
{
    static const struct {
        const char *host;
        bool good; /* with constraints */
    } cases[] = {
        {"api.stripe.com", true},      {"files.stripe.com", true},
        {"x.api.stripe.com", true},    {"verify.twilio.com", true},
        {"twilio.com", true},          {"stripe.com", false},
        {"evilapi.stripe.com", false}, {"api.stripe.com.evil.example", false},
        {"example.com", false},        {"localhost", false},
    };

    for (int constrained = 0; constrained < 2; constrained++) {
        struct fixture f;
        setup(&f, stripe_hosts, constrained == 0 ? 0 : 3);
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
            struct leaf *leaf = make_leaf(&f, cases[i].host, clock_wall_ms());
            bool good = constrained == 0 || cases[i].good;
            CHECK_CASE(leaf != NULL && shake(&f, leaf, cases[i].host, cases[i].host, NULL) == good,
                       cases[i].host);
            CHECK_CASE(ca_covers(buf_str(&f.pem), str_from(cases[i].host), clock_wall_ms()) == good,
                       cases[i].host);
            leaf_free(leaf);
        }
        teardown(&f);
    }
}

/* No address: a sandbox that trusts this CA trusts it for the vendors' names alone. */
static void test_addresses(void)
{
    static const char *const hosts[] = {"127.0.0.1", "::1", "203.0.113.9"};
    struct fixture f;

    for (int constrained = 0; constrained < 2; constrained++) {
        setup(&f, stripe_hosts, constrained == 0 ? 0 : 3);
        for (size_t i = 0; i < 3; i++) {
            struct leaf *leaf = make_leaf(&f, hosts[i], clock_wall_ms());
            CHECK_CASE(leaf != NULL && shake(&f, leaf, hosts[i], hosts[i], NULL) == !constrained,
                       hosts[i]);
            leaf_free(leaf);
        }
        teardown(&f);
    }
}

static void test_times(void)
{
    struct fixture f;
    int64_t now_ms = clock_wall_ms();

    setup(&f, stripe_hosts, 3);
    struct leaf *fresh = make_leaf(&f, "api.stripe.com", now_ms);
    CHECK(leaf_expires_ms(fresh) <= now_ms + (int64_t)LEAF_HOURS * 3600 * 1000);
    CHECK(leaf_expires_ms(fresh) > now_ms + (int64_t)(LEAF_HOURS - 2) * 3600 * 1000);
    struct leaf *old = make_leaf(&f, "api.stripe.com", now_ms - DAY_MS);
    CHECK(!shake(&f, old, "api.stripe.com", "api.stripe.com", NULL));
    struct leaf *late = make_leaf(&f, "api.stripe.com", now_ms + INT64_C(30) * DAY_MS - 7200000);
    CHECK(leaf_expires_ms(late) <= now_ms + INT64_C(30) * DAY_MS); /* not beyond its CA */
    CHECK(!ca_covers(buf_str(&f.pem), STR("api.stripe.com"), now_ms + INT64_C(31) * DAY_MS));
    leaf_free(fresh);
    leaf_free(old);
    leaf_free(late);
    teardown(&f);
}

/* A session of one host is not resumed for another; the client's name must be the leaf's. */
static void test_hosts_apart(void)
{
    struct fixture f;
    bool resumed = false;

    setup(&f, stripe_hosts, 3);
    struct leaf *api = make_leaf(&f, "api.stripe.com", clock_wall_ms());
    CHECK(shake(&f, api, "api.stripe.com", "api.stripe.com", &resumed) && !resumed);
    CHECK(shake(&f, api, "api.stripe.com", "api.stripe.com", &resumed) && resumed);
    /* The same ticket, shown where another host is served. */
    CHECK(!shake(&f, api, "files.stripe.com", "api.stripe.com", &resumed) && !resumed);
    CHECK(!shake(&f, api, "api.stripe.com", "files.stripe.com", &resumed));
    leaf_free(api);
    teardown(&f);
}

static void test_refusals(void)
{
    static const char *const hosts[] = {"",        "a b", "*.stripe.com", "host,DNS:evil.example",
                                        "host\nx", "-",   "host:443",     "a..b"};
    struct fixture f, other;
    struct err err;
    struct buf out;

    setup(&f, stripe_hosts, 3);
    setup(&other, NULL, 0);
    buf_init(&out, LEAF_DER_MAX);
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        CHECK_CASE(ca_sign(f.ca, str_from(hosts[i]), buf_str(&f.public_key), 0, &out, &err) < 0,
                   hosts[i]);
    }
    CHECK(ca_sign(f.ca, STR("api.stripe.com"), STR("no key"), 0, &out, &err) < 0);
    CHECK(ca_sign(f.ca, STR("api.stripe.com"), STR_NONE, 0, &out, &err) < 0);
    CHECK(buf_len(&out) == 0);
    /* Key and certificate of two. */
    CHECK(ca_open(buf_str(&f.pem), str_of(other.key.data, other.key.size), &err) == NULL);
    CHECK(ca_open(STR("no"), str_of(f.key.data, f.key.size), &err) == NULL);
    CHECK(ca_open(buf_str(&f.pem), STR("no"), &err) == NULL);
    CHECK(ca_open(buf_str(&f.pem), STR_NONE, &err) == NULL);
    /* A leaf of another key. */
    CHECK(ca_sign(f.ca, STR("api.stripe.com"), buf_str(&other.public_key), clock_wall_ms(), &out,
                  &err) == 0);
    CHECK(leaf_new(buf_str(&out), f.leaf_key, &err) == NULL);
    CHECK(leaf_new(STR("no"), f.leaf_key, &err) == NULL &&
          leaf_new(STR_NONE, f.leaf_key, &err) == NULL);
    /* No CA for what is no host. */
    struct buf pem;
    struct secret key = {0};
    buf_init(&pem, CA_PEM_MAX);
    struct str bad = STR("a b");
    struct ca_wish wish = {.name = "x", .hosts = &bad, .host_count = 1, .now_ms = 0, .days = 1};
    CHECK(ca_make(&wish, &pem, &key, &err) < 0 && key.data == NULL);
    wish = (struct ca_wish){.name = "", .now_ms = 0, .days = 1};
    CHECK(ca_make(&wish, &pem, &key, &err) < 0);
    buf_clear(&pem);
    buf_clear(&out);
    teardown(&f);
    teardown(&other);
}

static void test_in_a_buffer(void)
{
    struct ca_wish wish = {.name = "x", .now_ms = clock_wall_ms(), .days = 1};
    struct buf pem, key, small;
    struct err err;

    buf_init(&pem, CA_PEM_MAX);
    buf_init_wiped(&key, CA_KEY_MAX);
    CHECK(ca_make_plain(&wish, &pem, &key, &err) == 0);
    struct ca *ca = ca_open(buf_str(&pem), buf_str(&key), &err);
    CHECK(ca != NULL);
    ca_free(ca);
    buf_init_wiped(&small, 16);
    CHECK(ca_make_plain(&wish, &pem, &small, &err) < 0 && buf_len(&small) == 0);
    wish.name = "";
    buf_clear(&key);
    CHECK(ca_make_plain(&wish, &pem, &key, &err) < 0 && buf_len(&key) == 0);
    buf_clear(&pem);
    buf_clear(&key);
    buf_clear(&small);
}

static void test_description(void)
{
    struct fixture f;
    struct err err;
    struct buf text, hash;

    setup(&f, stripe_hosts, 3);
    buf_init(&text, 4096);
    buf_init(&hash, 128);
    CHECK(ca_describe(buf_str(&f.pem), &text, &err) == 0);
    CHECK(str_starts(buf_str(&text), STR("name keybrake test\nsha256 ")));
    CHECK(str_has(buf_str(&text),
                  STR("host api.stripe.com\nhost files.stripe.com\nhost twilio.com\n")));
    CHECK(ca_fingerprint(buf_str(&f.pem), &hash) && buf_len(&hash) == 64);
    CHECK(str_has(buf_str(&text), buf_str(&hash)));
    CHECK(ca_describe(STR("no"), &text, &err) < 0 && !ca_fingerprint(STR("no"), &hash));
    CHECK(!ca_covers(STR("no"), STR("api.stripe.com"), clock_wall_ms()));
    buf_clear(&text);
    buf_clear(&hash);
    teardown(&f);
}

int main(void)
{
    digest_setup();
    test_names();
    test_addresses();
    test_times();
    test_hosts_apart();
    test_refusals();
    test_in_a_buffer();
    test_description();
    return test_done();
}
