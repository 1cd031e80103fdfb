/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The way to the vendor: its credential, its address, its certificate.
 */
#include "vault/testing.h"

static void test_credentials(void)
{
    begin();
    /* To a private address, in the clear, of another version, or none. */
    ask("/v1/x");
    answer_blob(REAL, base_url("https", "127.0.0.1"), false, "");
    CHECK(hears_reset() == UPSTREAM_ADDRESS);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_ADDRESS);
    CHECK(!readable(t.listener, SHORT_MS));

    struct message_forget_credential forget = {.credential = CREDENTIAL};
    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    ask("/v1/x");
    answer_blob(REAL, base_url("http", "127.0.0.1"), false, "");
    CHECK(hears_reset() == UPSTREAM_CREDENTIAL);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    ask("/v1/x");
    (void)expect(t.scribe, MESSAGE_BLOB_GET);
    struct message_blob none = {.credential = CREDENTIAL};
    tell(t.scribe, MESSAGE_BLOB, &none);
    CHECK(hears_reset() == UPSTREAM_CREDENTIAL);
    CHECK(outcome().error == UPSTREAM_CREDENTIAL);

    ask("/v1/x");
    (void)expect(t.scribe, MESSAGE_BLOB_GET);
    struct message_blob forged = {.credential = CREDENTIAL,
                                  .version = version,
                                  .found = true,
                                  .sealed =
                                      STR("not a sealed box, but long enough to look like one")};
    tell(t.scribe, MESSAGE_BLOB, &forged);
    CHECK(hears_reset() == UPSTREAM_CREDENTIAL);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    struct message_grant grant = usual_grant("GET", "/v1/x");
    grant.credential_version = 2;
    give(&grant);
    forward();
    answer_usual_blob();
    /* Rotated this moment: nothing is wrong with it, and the client is told to ask again. */
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    /* A name of the hosts file; rotation ends the use of what was there. */
    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    ask("/v1/x");
    answer_blob(REAL, base_url("http", "api.test"), true, "");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    CHECK(outcome().complete);
    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    CHECK(vendor_hears_end() >= 0);
    version = 2;
    ask("/v1/x");
    answer_blob("sk_test_ROTATEDROTATED01", base_url("http", "api.test"), true, "");
    vendor_accept(false);
    CHECK(vendor_hears("GET /v1/x HTTP/1.1\r\nHost: api.test:"));
    CHECK(vendor_hears_head());
    version = 1;
    end();
}

static void test_unreachable(void)
{
    begin();
    (void)close(t.listener);
    ask("/v1/x");
    answer_usual_blob();
    CHECK(hears_reset() == UPSTREAM_CONNECT);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_CONNECT);
    t.listener = dup(t.stop);
    end();
}

static void test_tls(void)
{
    struct message_forget_credential forget = {.credential = CREDENTIAL};

    begin();
    ask("/v1/x");
    answer_blob(REAL, base_url("https", "api.test"), true, t.ca_pem);
    vendor_accept(true);
    CHECK(vendor_hears("GET /v1/x HTTP/1.1\r\nHost: api.test:"));
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hello"));
    hears_end();
    CHECK(!outcome().reused);
    small_talk();

    /* EOF without close_notify on a body that only the close ends. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.0 200 OK\r\n\r\nhalf");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("half"));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    CHECK(!outcome().complete);

    /* With it, it is whole. */
    ask("/v1/x");
    vendor_accept(true);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.0 200 OK\r\n\r\nall");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("all"));
    tls_close(t.tls);
    vendor_flush();
    hears_end();
    CHECK(outcome().complete);

    /* A name that the certificate does not bear; a CA that is not trusted. */
    for (int i = 0; i < 2; i++) {
        tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
        ask("/v1/x");
        answer_blob(REAL, base_url("https", i == 0 ? "a.test" : "api.test"), true,
                    i == 0 ? t.ca_pem : "");
        vendor_accept(true);
        while (vendor_read()) {
        }
        CHECK(hears_reset() == UPSTREAM_TLS);
        struct message_outcome o = outcome();
        CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_TLS);
        CHECK(buf_len(&t.got) == 0);
    }
    end();
}

int main(void)
{
    testing_begin();
    test_credentials();
    test_unreachable();
    test_tls();
    testing_end();
    return test_done();
}
