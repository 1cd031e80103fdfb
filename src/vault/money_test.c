/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests whose bodies were priced, and what the judge asks of a vendor by itself.
 */
#include "vault/testing.h"

static void test_money(void)
{
    static const char answer[] = "{\"id\":\"pi_1\",\"amount\":1000}";
    begin();
    begin_payment();
    answer_usual_blob();
    vendor_accept(false);
    const struct message_sent *sent = expect(t.judge, MESSAGE_SENT);
    CHECK(sent->grant == t.grant);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n"
               "Idempotent-Replayed: true\r\n\r\n{\"id\":\"pi_1\",");
    const struct message_body *body = expect(t.reader, MESSAGE_BODY);
    CHECK(body->request == t.grant && body->answer && body->rule == 1 && body->generation == 1);
    const struct message_body_data *data = expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(str_equal(data->bytes, STR("{\"id\":\"pi_1\",")));
    vendor_say("\"amount\":1000}");
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    const struct message_body_end *over = expect(t.reader, MESSAGE_BODY_END);
    CHECK(over->complete && over->request == t.grant);
    struct message_outcome o = outcome();
    struct digest digest = digest_of(str_from(answer));
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete && o.replayed);
    CHECK(digest_equal(&o.body_digest, &digest));
    CHECK(silent(t.gate)); /* not before it is settled */
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 200 && strcmp(header_of(head, "idempotent-replayed"), "true") == 0);
    CHECK(hears_data(answer));
    hears_end();

    /* A fresh pooled connection will do. */
    begin_payment();
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 402 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.reused && o.status == 402 && !digest_is_zero(&o.body_digest));
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("{}"));
    hears_end();
    end();
}

/* A GET of ours: the reader gets the answer, and no gate hears of it. */
static void test_fetch(void)
{
    struct message_header pinned[] = {{STR("stripe-version"), STR("2024-06-20")}};

    begin();
    struct message_grant fetch = usual_grant("GET", "/v1/charges/ch_1");
    fetch.headers = pinned;
    fetch.header_count = 1;
    fetch.answer_rule = 1;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    answer_usual_blob();
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    const struct message_body *body = expect(t.reader, MESSAGE_BODY);
    CHECK(body->request == t.grant && body->answer && body->rule == 1);
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(((const struct message_body_end *)expect(t.reader, MESSAGE_BODY_END))->complete);
    struct message_outcome o = outcome();
    CHECK(o.grant == t.grant && o.outcome == OUTCOME_ANSWERED && o.complete && o.status == 200);
    CHECK(!digest_is_zero(&o.body_digest) && silent(t.gate));

    /* What has a body, or a hold, is not ours to send. */
    fetch.grant = ++t.grant;
    fetch.method = STR("DELETE");
    tell(t.judge, MESSAGE_FETCH, &fetch);
    o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);
    fetch.grant = ++t.grant;
    fetch.method = STR("POST");
    fetch.body = BODY_LENGTH;
    fetch.content_length = 4;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    CHECK(outcome().error == UPSTREAM_GRANT);
    fetch.body = BODY_NONE;
    fetch.content_length = 0;
    fetch.grant = ++t.grant;
    fetch.method = STR("GET");
    fetch.has_hold = true;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    CHECK(outcome().error == UPSTREAM_GRANT);

    /* Too late, then too long. */
    fetch.has_hold = false;
    fetch.grant = ++t.grant;
    fetch.begin_by_ms = 100;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    CHECK(vendor_hears_head());
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_TIMEOUT);
    fetch.grant = ++t.grant;
    fetch.begin_by_ms = 5000;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 70000\r\n\r\n");
    static char much[66000];
    memset(much, 'x', sizeof(much) - 1);
    vendor_say(much);
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && !o.complete && o.error == UPSTREAM_PROTOCOL);
    CHECK(silent(t.gate));
    end();
}

/* What the judge puts into a body goes out with it; the client's body is the one compared. */
static void test_spliced_body(void)
{
    static struct message_splice splices[] = {
        {.offset = 7, .removed = 4, .bytes = {"500", 3}},
        {.offset = sizeof(PAY) - 1, .removed = 0, .bytes = {"&x=1", 4}}};
    static struct message_splice bad[][2] = {
        {{.offset = sizeof(PAY), .removed = 0, .bytes = {"a", 1}}},
        {{.offset = 7, .removed = sizeof(PAY), .bytes = {"a", 1}}},
        {{.offset = 9, .removed = 2, .bytes = {"a", 1}},
         {.offset = 7, .removed = 0, .bytes = {"b", 1}}}};

    begin();
    struct message_grant grant = money_grant(PAY);
    grant.splices = splices;
    grant.splice_count = 2;
    give(&grant);
    forward();
    send_body(PAY);
    answer_usual_blob();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head_with("Content-Length: 27\r\n"));
    CHECK(vendor_hears("amount=500&currency=usd&x=1"));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK(outcome().outcome == OUTCOME_ANSWERED);
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();

    /* Nothing was sent with it: what is put in is all of the body. */
    grant = money_grant("");
    grant.body = BODY_NONE;
    splices[1].offset = 0;
    grant.splices = &splices[1];
    grant.splice_count = 1;
    give(&grant);
    forward();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head_with("Content-Length: 4\r\n"));
    CHECK(vendor_hears("&x=1"));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK(outcome().outcome == OUTCOME_ANSWERED);
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        grant = money_grant(PAY);
        grant.splices = bad[i];
        grant.splice_count = i == 2 ? 2 : 1;
        give(&grant);
        forward();
        send_body(PAY);
        CHECK(hears_reset() == UPSTREAM_GRANT);
        struct message_outcome o = outcome();
        CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);
    }
    /* A body that is not the judged one is not changed into it. */
    grant = money_grant(PAY);
    grant.splices = splices;
    grant.splice_count = 1;
    give(&grant);
    forward();
    send_body("amount=500&currency=usdx");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);
    end();
}

static void test_wrong_body(void)
{
    begin();
    struct message_grant grant = money_grant(PAY);
    give(&grant);
    forward();
    send_body("amount=9000&currency=usd");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);
    grant = money_grant(PAY);
    give(&grant);
    forward();
    send_body("amount=1000");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);
    CHECK(!readable(t.listener, SHORT_MS) && silent(t.scribe));
    end();
}

int main(void)
{
    testing_begin();
    test_money();
    test_fetch();
    test_spliced_body();
    test_wrong_body();
    testing_end();
    return test_done();
}
