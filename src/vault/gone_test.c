/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Somebody goes: the vendor's connection, the client, the key.
 */
#include "vault/testing.h"

static void test_retry(void)
{
    begin_talked();
    /* A reused connection that ends without a byte: a read goes again, once. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    struct message_outcome o = outcome();
    CHECK(o.retried && o.complete);

    /* A payment does not, unless the vendor knows its key. */
    begin_payment();
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.reused && !o.retried);

    /* A new connection that ends is not retried either. */
    struct message_grant grant = money_grant(PAY);
    grant.retry_safe = true;
    give(&grant);
    forward();
    send_body(PAY);
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    CHECK(outcome().outcome == OUTCOME_UNKNOWN);

    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    CHECK(outcome().complete);
    grant = money_grant(PAY);
    grant.retry_safe = true;
    give(&grant);
    forward();
    send_body(PAY);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_accept(false);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    o = outcome(); /* and no second SENT */
    CHECK(o.retried && o.outcome == OUTCOME_ANSWERED);
    end();
}

static void test_client_gone(void)
{
    begin_talked();
    /* A read: the vendor's connection is reset. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    tell(t.gate, MESSAGE_RESET, &(struct message_reset){.grant = t.grant});
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_CLIENT);
    CHECK(vendor_hears_end() == 1);

    /* A payment that was fully sent: read to its end, and settled. */
    begin_payment();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    tell(t.gate, MESSAGE_RESET, &(struct message_reset){.grant = t.grant});
    CHECK(silent(t.judge));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete && !digest_is_zero(&o.body_digest));
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    CHECK(silent(t.gate));

    /* The gate dies: the same, and what it had not forwarded is not sent. */
    begin_payment();
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    uint64_t paying = t.grant;
    struct message_grant waiting = usual_grant("GET", "/v1/x");
    give(&waiting);
    usleep(20 * 1000);
    (void)close(t.gate);
    o = outcome();
    CHECK(o.grant == t.grant && o.outcome == OUTCOME_NOT_SENT);
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.grant == paying && o.outcome == OUTCOME_ANSWERED && o.complete);
    t.gate = dup(t.stop);
    end();
}

static void revoke_key(void)
{
    uint64_t keys[] = {99, KEY, 1};
    struct message_cut cut = {.cut = 4, .keys = keys, .key_count = 3};
    tell(t.judge, MESSAGE_REVOKE, &cut);
}

static void revoked(void)
{
    const struct message_cut_done *done = expect(t.judge, MESSAGE_REVOKED);
    CHECK(done->cut == 4);
}

static void test_revoke(void)
{
    begin_talked();
    /* A grant that waits. */
    struct message_grant grant = usual_grant("GET", "/v1/x");
    give(&grant);
    revoke_key();
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_REVOKED);
    revoked();

    /* A read that waits for its answer. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    revoke_key();
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_REVOKED);
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    CHECK(vendor_hears_end() == 1);

    /* A live stream. */
    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hello"));
    revoke_key();
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && !o.complete && o.error == UPSTREAM_REVOKED);
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    CHECK(vendor_hears_end() == 1);

    /* A payment that was fully sent is settled; the client does not get its answer. */
    begin_payment();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    revoke_key();
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete);
    CHECK(silent(t.gate));

    /* An upload of another kind that is half sent. */
    grant = usual_grant("POST", "/v1/x");
    grant.body = BODY_CHUNKED;
    grant.has_hold = true;
    give(&grant);
    forward();
    struct message_data data = {.grant = t.grant, .bytes = STR("half")};
    tell(t.gate, MESSAGE_DATA, &data);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears("4\r\nhalf\r\n"));
    revoke_key();
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_REVOKED);
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    CHECK(vendor_hears_end() == 1);
    end();
}

int main(void)
{
    testing_begin();
    test_retry();
    test_client_gone();
    test_revoke();
    testing_end();
    return test_done();
}
