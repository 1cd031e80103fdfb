/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vault between gate and judge: grants and who may use them, streams, signatures.
 */
#include "ledger/chain.h"
#include "vault/testing.h"

static void test_read(void)
{
    begin();
    struct message_header judged[] = {{STR("stripe-version"), STR("2024-06-20")}};
    struct message_header free[] = {
        {STR("user-agent"), STR("test/1")},
        {STR("authorization"), STR("Bearer vk_x")},
        {STR("x-api-key"), STR("vk_x")},
        {STR("X_Api-Key"), STR("vk_x")},
        {STR("host"), STR("evil")},
        {STR("content-length"), STR("5")},
        {STR("transfer_encoding"), STR("chunked")},
        {STR("stripe-version"), STR("evil")},
        {STR("stripe_account"), STR("acct_evil")},
        {STR("idempotency-key"), STR("evil")},
        {STR("cookie"), STR("a=b")},
        {STR("x-forwarded-for"), STR("1.2.3.4")},
        {STR("x-http-method-override"), STR("DELETE")},
        {STR("accept-encoding"), STR("br")},
        {STR("range"), STR("bytes=0-1")},
        {STR("x-stripe-client-user-agent"), STR("{}")},
        {STR("x-agent-run-id"), STR("r1")},
        {STR("connection"), STR("close")},
        {STR("x-other"), STR("stays")},
    };
    struct message_grant grant = usual_grant("GET", "/v1/charges");
    grant.query = STR("limit=3&expand[]=data");
    grant.has_query = true;
    grant.headers = judged;
    grant.header_count = 1;
    give(&grant);
    struct message_forward message = {
        .grant = t.grant, .headers = free, .header_count = sizeof(free) / sizeof(free[0])};
    tell(t.gate, MESSAGE_FORWARD, &message);
    answer_usual_blob();
    vendor_accept(false);
    char wanted[1024];
    (void)snprintf(wanted, sizeof(wanted),
                   "GET /v1/charges?limit=3&expand[]=data HTTP/1.1\r\n"
                   "Host: 127.0.0.1:%u\r\n"
                   "stripe-version: 2024-06-20\r\n"
                   "user-agent: test/1\r\n"
                   "x-other: stays\r\n"
                   "Via: 1.1 keybrake\r\n"
                   "Accept-Encoding: identity\r\n"
                   "Authorization: Bearer " REAL "\r\n"
                   "\r\n",
                   t.port);
    CHECK(vendor_hears(wanted));
    CHECK(buf_len(&t.got) == 0);
    vendor_say(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
        "Set-Cookie: a=b\r\nAlt-Svc: h3\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
        "Keybrake-Denied: no\r\nRequest-Id: req_vendor\r\nX-Kept: yes\r\n\r\n{\"id\":\"ch\"}\n");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 200 && head->grant == t.grant && !head->interim);
    CHECK(head->body == BODY_LENGTH && head->content_length == 12);
    CHECK(header_of(head, "set-cookie") == NULL && header_of(head, "alt-svc") == NULL);
    CHECK(header_of(head, "x-hop") == NULL && header_of(head, "connection") == NULL);
    CHECK(header_of(head, "keybrake-denied") == NULL && header_of(head, "content-length") == NULL);
    CHECK(strcmp(header_of(head, "x-kept"), "yes") == 0);
    CHECK(head->header_count == 3);
    CHECK(hears_data("{\"id\":\"ch\"}\n"));
    hears_end();
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete && o.status == 200 && o.grant == t.grant);
    CHECK(str_equal(o.vendor_request_id, STR("req_vendor")) && o.bytes_in == 12 && !o.reused);
    CHECK(o.error == UPSTREAM_OK && digest_is_zero(&o.body_digest) && o.scrubbed == 0);

    /* The second one goes over the same connection, without asking the scribe. */
    small_talk();
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 204 No Content\r\n\r\n");
    head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 204 && head->body == BODY_NONE);
    hears_end();
    CHECK(outcome().reused);
    CHECK(silent(t.scribe) && silent(t.gate) && silent(t.reader));
    end();
}

static void test_forward_first(void)
{
    begin();
    struct message_grant grant = usual_grant("POST", "/v1/customers");
    grant.body = BODY_LENGTH;
    grant.content_length = 3;
    forward();
    send_body("a=b");
    CHECK(silent(t.gate));
    give(&grant);
    answer_usual_blob();
    vendor_accept(false);
    CHECK(vendor_hears_head());
    CHECK(vendor_hears("a=b"));
    vendor_say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->body == BODY_CHUNKED);
    CHECK(hears_data("ok"));
    hears_end();
    CHECK(outcome().bytes_out == 3);

    /* The same grant again: it has been used. */
    forward();
    CHECK(silent(t.gate)); /* parked */
    usleep(1000 * LIMIT_PARK_MS);
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(silent(t.judge));
    end();
}

static void test_refused_grants(void)
{
    begin_talked();
    /* Another life of the gate may not take it. */
    struct message_grant grant = usual_grant("GET", "/v1/x");
    grant.gate_incarnation = GATE_LIFE + 1;
    grant.begin_by_ms = 100;
    give(&grant);
    usleep(20 * 1000);
    forward();
    CHECK(hears_reset() == UPSTREAM_GRANT);
    struct message_outcome o = outcome(); /* nobody came for it */
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);

    /* One from before the gate's birth. */
    grant = usual_grant("GET", "/v1/x");
    grant.gate_incarnation = GATE_LIFE - 1;
    give(&grant);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    /* An unknown configuration, upstream, body. */
    grant = usual_grant("GET", "/v1/x");
    grant.generation = 9;
    give(&grant);
    forward();
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().error == UPSTREAM_GRANT);
    grant = usual_grant("GET", "/v1/x y");
    give(&grant);
    forward();
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);
    grant = usual_grant("POST", "/v1/x");
    grant.body = BODY_LENGTH;
    grant.content_length = 3;
    give(&grant);
    forward();
    send_body("abcd");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    o = outcome();
    CHECK(o.error == UPSTREAM_GRANT && o.outcome != OUTCOME_ANSWERED);
    end();
}

static void test_streams(void)
{
    enum { UP = 200 * 1000, DOWN = 300 * 1000 };
    static char piece[LIMIT_STREAM_WINDOW_BYTES];
    static char block[100000];
    uint64_t credit = LIMIT_STREAM_WINDOW_BYTES, sent = 0, got = 0, largest = 0;

    begin_talked();
    memset(piece, 'u', sizeof(piece));
    memset(block, 'd', sizeof(block));
    struct message_grant grant = usual_grant("POST", "/v1/files");
    grant.body = BODY_LENGTH;
    grant.content_length = UP;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    while (sent < UP) {
        size_t step = UP - sent < sizeof(piece) ? (size_t)(UP - sent) : sizeof(piece);
        if (step > credit) {
            step = (size_t)credit;
        }
        struct message_data data = {.grant = t.grant, .bytes = str_of(piece, step)};
        tell(t.gate, MESSAGE_DATA, &data);
        sent += step;
        credit -= step;
        while (credit == 0 && sent < UP) {
            const struct message_window *window = expect(t.gate, MESSAGE_WINDOW);
            credit += window->bytes;
            largest = credit > largest ? credit : largest;
        }
        while (buf_len(&t.got) < sent && vendor_read()) {
        }
    }
    CHECK(largest > LIMIT_STREAM_WINDOW_BYTES);
    tell(t.gate, MESSAGE_END, &(struct message_end){.grant = t.grant});
    CHECK(buf_len(&t.got) == UP);
    buf_cut(&t.got, 0);
    while (readable(t.gate, SHORT_MS)) {
        (void)expect(t.gate, MESSAGE_WINDOW);
    }

    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
    for (int i = 0; i < DOWN / (int)sizeof(block); i++) {
        CHECK(send(t.vendor, block, sizeof(block), 0) == (ssize_t)sizeof(block));
    }
    (void)expect(t.gate, MESSAGE_HEAD);
    for (size_t unacknowledged = 0; got < DOWN;) {
        const struct message_data *data = expect(t.gate, MESSAGE_DATA);
        got += data->bytes.len;
        unacknowledged += data->bytes.len;
        CHECK(unacknowledged <= LIMIT_STREAM_WINDOW_BYTES);
        if (unacknowledged == LIMIT_STREAM_WINDOW_BYTES) {
            CHECK(got > LIMIT_STREAM_WINDOW_BYTES || silent(t.gate));
            struct message_window window = {.grant = t.grant, .bytes = unacknowledged};
            tell(t.gate, MESSAGE_WINDOW, &window);
            unacknowledged = 0;
        }
    }
    CHECK(got == DOWN);
    hears_end();
    struct message_outcome o = outcome();
    CHECK(o.bytes_in == DOWN && o.bytes_out == UP && o.complete);
    small_talk();
    end();
}

static void test_gate_breaks_rules(void)
{
    static char too_much[LIMIT_STREAM_WINDOW_BYTES + 1];

    begin_talked();
    struct message_grant grant = usual_grant("POST", "/v1/files");
    grant.body = BODY_CHUNKED;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    memset(too_much, 'x', sizeof(too_much));
    struct message_data data = {.grant = t.grant, .bytes = str_of(too_much, sizeof(too_much))};
    tell(t.gate, MESSAGE_DATA, &data);
    CHECK(outcome().error == UPSTREAM_CLIENT);
    char byte;
    CHECK(readable(t.gate, WAIT_MS) && recv(t.gate, &byte, 1, 0) == 0); /* cut off */
    end();
}

static void test_sign(void)
{
    begin();
    struct message_sign_head head = {.sequence = 12, .head = digest_of(STR("x")), .at_ms = 1700};
    tell(t.judge, MESSAGE_SIGN_HEAD, &head);
    const struct message_signed *answer = expect(t.judge, MESSAGE_SIGNED);
    CHECK(answer->sequence == 12 && answer->signature.len == crypto_sign_BYTES);
    CHECK(chain_signature_is_good(12, &head.head, 1700, answer->signature, answer->public_key));
    CHECK(memcmp(answer->public_key.data, t.key.sign_public, 32) == 0);
    end();
}

int main(void)
{
    testing_begin();
    test_read();
    test_forward_first();
    test_refused_grants();
    test_streams();
    test_gate_breaks_rules();
    test_sign();
    testing_end();
    return test_done();
}
