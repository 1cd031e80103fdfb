/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tunnels: to vendors' hosts and to others, and the certificates that are shown in them.
 */
#include "judge/testing.h"

static uint64_t open_tunnel(const struct issued *key, const char *host, uint32_t port)
{
    struct message_presented presented = {.form = FORM_BASIC_PASS,
                                          .name = STR("proxy-authorization"),
                                          .value = str_from(key == NULL ? "" : key->token.text)};
    struct message_tunnel ask = {.request = ++t.next_request,
                                 .door = DOOR_CONNECT,
                                 .source = STR("192.0.2.1"),
                                 .host = str_from(host),
                                 .port = port,
                                 .presented = &presented,
                                 .presented_count = key == NULL ? 0 : 1};

    tell(GATE, MESSAGE_TUNNEL, &ask);
    return ask.request;
}

static void test_tunnels(void)
{
    static const struct {
        const char *host;
        uint32_t port;
        bool opens;
    } cases[] = {
        {"api.stripe.com", 443, true},   {"api.stripe.com", 80, true},
        {"files.stripe.com", 443, true}, {"connect.stripe.com", 443, true},
        {"api.github.com", 443, true},   {"api.stripe.com", 22, false},
        {"stripe.com", 443, false},      {"api.stripe.com.evil.example", 443, false},
        {"evil.example", 443, false},    {"127.0.0.1", 443, false},
        {"169.254.169.254", 80, false},  {"::1", 443, false},
    };

    wipe_store();
    begin();
    struct issued key = issue(10);
    struct issued stranger = {0};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t request = open_tunnel(&key, cases[i].host, cases[i].port);
        if (!cases[i].opens) {
            CHECK_CASE(denied(request, "endpoint_not_allowed") == 403, cases[i].host);
            continue;
        }
        const struct message_tunnelled *yes = expect(GATE, MESSAGE_TUNNELLED);
        CHECK_CASE(yes->request == request && !yes->splice && yes->key != 0, cases[i].host);
        tell(GATE, MESSAGE_TUNNEL_DONE, &(struct message_tunnel_done){.request = request});
    }
    CHECK(denied(open_tunnel(NULL, "api.stripe.com", 443), "missing_key") == 407);
    memcpy(stranger.token.text, "nobody", 7);
    CHECK(denied(open_tunnel(&stranger, "api.stripe.com", 443), "unknown_key") == 407);
    end();
}

/* What a dialer was asked for dies with it, and every gate is told so. */
static void test_lost_dials(void)
{
    struct str entries[] = {STR("/v1/balance")};
    struct str hosts[] = {STR("example.org")};

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("stripe"),
                                                 .entries = entries,
                                                 .entry_count = 1,
                                                 .hosts = hosts,
                                                 .host_count = 1,
                                                 .daily_cap = NANO_PER_USD,
                                                 .flat_price = MONEY_NONE});
    uint64_t last = 0;
    for (int i = 0; i < 2; i++) {
        (void)open_tunnel(&key, "example.org", 443);
        const struct message_dial *dial = expect(DIALER, MESSAGE_DIAL);
        CHECK(dial->dial > last && str_equal(dial->host, STR("example.org")));
        last = dial->dial;
        const struct message_tunnelled *yes = expect(GATE, MESSAGE_TUNNELLED);
        CHECK(yes->splice && yes->dial == last);
    }
    (void)close(t.fds[DIALER]);
    t.fds[DIALER] = -1;
    const struct message_dials_lost *lost = expect(GATE, MESSAGE_DIALS_LOST);
    CHECK(lost->dial == last);
    CHECK(denied(open_tunnel(&key, "example.org", 443), "upstream_unreachable") == 502);
    end();
}

/* The gate gives its key; the host is the judge's own word. */
static void test_leaves(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    tell(GATE, MESSAGE_LEAF_GET,
         &(struct message_leaf_get){.request = request, .public_key = STR("key")});
    const struct message_leaf_sign *sign = expect(VAULT, MESSAGE_LEAF_SIGN);
    CHECK(sign->request == request && str_equal(sign->host, STR("api.stripe.com")) &&
          str_equal(sign->public_key, STR("key")));
    struct message_leaf leaf = {
        .request = request, .host = STR("evil.example"), .certificate = STR("c")};
    tell(VAULT, MESSAGE_LEAF_SIGNED, &leaf); /* of another host: it is not passed on */
    CHECK(silent(GATE));
    leaf.host = STR("api.stripe.com");
    tell(VAULT, MESSAGE_LEAF_SIGNED, &leaf);
    const struct message_leaf *told = expect(GATE, MESSAGE_LEAF);
    CHECK(told->request == request && str_equal(told->certificate, STR("c")));
    end();
}

static void test_impostor_tunnels(void)
{
    struct issued key;
    uint64_t request;

    wipe_store();
    begin();
    key = issue(10);
    tell(GATE, MESSAGE_LEAF_GET, &(struct message_leaf_get){.request = 77, .public_key = STR("k")});
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    request = open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    tell(GATE, MESSAGE_TUNNEL_DONE, &(struct message_tunnel_done){.request = request});
    tell(GATE, MESSAGE_TUNNEL_DONE, &(struct message_tunnel_done){.request = request});
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    (void)open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    t.next_request--;
    (void)open_tunnel(&key, "files.stripe.com", 443); /* the same number again */
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    (void)open_tunnel(&key, "", 443);
    CHECK(world() == 'f');
    end();
    /* One that its client left before our word was read is over by DONE. */
    begin();
    key = issue(10);
    request = open_tunnel(&key, "api.stripe.com", 443);
    (void)expect(GATE, MESSAGE_TUNNELLED);
    done(request, 0);
    tell(GATE, MESSAGE_LEAF_GET,
         &(struct message_leaf_get){.request = request, .public_key = STR("k")});
    CHECK(world() == 'f');
    end();
}

int main(void)
{
    testing_begin();
    test_tunnels();
    test_lost_dials();
    test_leaves();
    test_impostor_tunnels();
    testing_end();
    return test_done();
}
