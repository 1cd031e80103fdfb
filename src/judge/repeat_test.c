/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that come again, and those before which the vendor is asked.
 */
#include "judge/testing.h"

static void test_repeats(void)
{
    wipe_store();
    begin();
    struct issued key = issue(2);
    uint64_t request = pay(&key, "again", "body");
    struct given first = granted(request);
    CHECK(strncmp(first.key, "kb.", 3) == 0 && strstr(first.key, ".again") != NULL);
    uint64_t waiting = pay(&key, "again", "body");
    CHECK(silent(GATE) && silent(VAULT)); /* until the first has its answer */
    CHECK(denied(pay(&key, "again", "another body"), "idempotency_mismatch") == 422);
    succeed(request, &first);
    request = waiting;
    struct given second = granted(request);
    CHECK(strcmp(first.key, second.key) == 0);
    CHECK(shows(&key, "1.00", "0.00", "1.00")); /* nothing more is set aside */
    struct message_outcome outcome = {
        .grant = second.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    done(request, second.grant);
    request = pay(&key, "other", "body");
    (void)granted(request);
    CHECK(denied(pay(&key, "third", "body"), "cap_exceeded") == 429);
    end();
}

/* A repeat is free only at the account that has seen the first. */
static void test_repeats_of_another_account(void)
{
    static const char *const steps[] = {"rotated", "the other mode", "removed and put again"};

    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, "again", "body");
    struct given given = granted(request);
    succeed(request, &given);
    for (size_t i = 0; i < 3; i++) {
        struct call_credential put = {.name = STR("stripe"),
                                      .vendor = STR("stripe"),
                                      .version = i < 2 ? 2 + i : 1,
                                      .sealed = STR("x"),
                                      .live_mode = i > 0,
                                      .account_mark = STR("{}"),
                                      .public_fields = STR("{}"),
                                      .new_account = i > 0};
        struct call_credential force = {.force = true};
        if (i == 2) {
            call(CALL_CREDENTIAL_REMOVE, STR("stripe"), &call_credential_schema, &force);
            CHECK(((const struct message_reply *)expect(CONTROL, MESSAGE_REPLY))->status == 200);
            (void)expect(VAULT, MESSAGE_FORGET_CREDENTIAL);
        }
        call(CALL_CREDENTIAL_PUT, STR("stripe"), &call_credential_schema, &put);
        const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
        CHECK_CASE(reply->status / 100 == 2, reply->detail.data);
        (void)expect(VAULT, MESSAGE_FORGET_CREDENTIAL);
        if (i == 2) { /* the key's own is gone */
            key = issue(10);
        }
        request = pay(&key, "again", "body");
        given = granted(request);
        CHECK_CASE(shows(&key, i == 2 ? "0.00" : "1.00", i == 0 ? "0.00" : "1.00",
                         i == 0 || i == 2 ? "9.00" : "8.00"),
                   steps[i]);
        struct message_outcome outcome = {
            .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 402, .complete = true};
        tell(VAULT, MESSAGE_OUTCOME, &outcome);
        if (i > 0) {
            (void)expect(VAULT, MESSAGE_RELEASE);
        }
        done(request, given.grant);
    }
    end();
}

/* A vendor that takes no notice of the key does each request, so each is charged. */
static void test_repeats_not_honoured(void)
{
    wipe_store();
    begin();
    struct issued key = issue_priced(2, NANO_PER_USD);
    for (int i = 0; i < 2; i++) {
        uint64_t request = ask_keyed(&key, "DELETE", "/stripe/v1/customers/cus_1", false, "again");
        struct given given = granted(request);
        CHECK(shows(&key, i == 0 ? "0.00" : "1.00", "1.00", i == 0 ? "1.00" : "0.00"));
        struct message_outcome outcome = {
            .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
        tell(VAULT, MESSAGE_OUTCOME, &outcome);
        done(request, given.grant);
    }
    CHECK(denied(ask_keyed(&key, "DELETE", "/stripe/v1/customers/cus_1", false, "again"),
                 "cap_exceeded") == 429);
    end();
}

/* The first attempt broke without an answer, the second was refused: nobody knows of the first. */
static void test_refused_at_the_second_attempt(void)
{
    static const struct {
        uint32_t status;
        bool retried, replayed, voided;
    } rows[] = {{429, true, false, false},
                {402, true, false, false},
                {402, true, true, true},
                {429, false, false, true}};

    wipe_store();
    begin();
    struct issued key = issue(50);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t request = pay(&key, NULL, "a");
        struct given given = granted(request);
        struct message_outcome outcome = {.grant = given.grant,
                                          .outcome = OUTCOME_ANSWERED,
                                          .status = rows[i].status,
                                          .complete = true,
                                          .retried = rows[i].retried,
                                          .replayed = rows[i].replayed};
        tell(VAULT, MESSAGE_SENT, &(struct message_sent){.grant = given.grant});
        tell(VAULT, MESSAGE_OUTCOME, &outcome);
        (void)expect(VAULT, MESSAGE_RELEASE);
        done(request, given.grant);
        call(CALL_HOLD_LIST, STR("stale"), NULL, NULL);
        const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
        CHECK((strcmp(member(reply, "state").text, "unknown") == 0) != rows[i].voided);
        end();
        wipe_store();
        begin();
        key = issue(50);
    }
    end();
}

static const char *const three_dollars[] = {"amount_to_capture", "300", NULL};

static uint64_t capture(const struct issued *key)
{
    struct digest digest = digest_of(STR("capture"));
    uint64_t request =
        ask_keyed(key, "POST", "/stripe/v1/payment_intents/pi_9/capture", true, NULL);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);

    tell_facts(request, false, read->rule, three_dollars, &digest);
    return request;
}

/* The vendor's word about the intent; `told` is what the reader says its digest is. */
static void answer_fetch(uint32_t status, struct str told)
{
    static const char *const intent[] = {
        "/amount_capturable", "300", "/amount_received", "0", "/currency", "usd", NULL};
    const struct message_grant *fetch = expect(VAULT, MESSAGE_FETCH);
    uint64_t number = fetch->grant;
    uint32_t rule = fetch->answer_rule;
    struct digest digest = digest_of(told);
    struct message_outcome outcome = {.grant = number,
                                      .outcome = OUTCOME_ANSWERED,
                                      .status = status,
                                      .complete = true,
                                      .body_digest = digest_of(STR("intent"))};

    CHECK(str_equal(fetch->method, STR("GET")) && fetch->body == BODY_NONE && !fetch->has_hold);
    CHECK(str_equal(fetch->path, STR("/v1/payment_intents/pi_9")) && fetch->key == 0);
    CHECK(fetch->header_count == 1 && str_equal(fetch->headers[0].name, STR("stripe-version")));
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    tell_facts(number, true, rule, intent, &digest);
}

static void test_asked_first(void)
{
    static const char *const captured[] = {
        "/status", "succeeded", "/amount_received", "300", "/id", "pi_9", "/currency", "usd", NULL};

    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = capture(&key);
    answer_fetch(403, STR("intent"));
    CHECK(denied(request, "cost_unknown") == 403);
    request = capture(&key);
    answer_fetch(200, STR("what the reader made of it"));
    CHECK(denied(request, "cost_unknown") == 403);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));

    request = capture(&key);
    uint64_t next = capture(&key); /* the same object: it waits */
    answer_fetch(200, STR("intent"));
    struct given given = granted(request);
    CHECK(shows(&key, "0.00", "3.00", "7.00"));
    CHECK(silent(GATE));
    struct digest digest = digest_of(STR("answer"));
    struct message_outcome outcome = {.grant = given.grant,
                                      .outcome = OUTCOME_ANSWERED,
                                      .status = 200,
                                      .complete = true,
                                      .body_digest = digest};
    tell(VAULT, MESSAGE_SENT, &(struct message_sent){.grant = given.grant});
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    tell_facts(given.grant, true, given.answer_rule, captured, &digest);
    /* The one that waited asks anew, since nothing is held for it any more. */
    answer_fetch(404, STR("intent"));
    CHECK(denied(next, "cost_unknown") == 403);
    CHECK(shows(&key, "3.00", "0.00", "7.00"));
    end();
}

int main(void)
{
    testing_begin();
    test_repeats();
    test_asked_first();
    test_repeats_of_another_account();
    test_repeats_not_honoured();
    test_refused_at_the_second_attempt();
    testing_end();
    return test_done();
}
