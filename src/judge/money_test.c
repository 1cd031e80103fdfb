/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Money: caps to the cent, holds and settlements, rates, and the clock that opens a new day.
 */
#include <sys/timex.h>

#include "judge/testing.h"

static void test_race_to_the_cent(void)
{
    enum { RACERS = 64, CAP = 50 };
    struct digest digest = digest_of(STR("body"));
    uint64_t requests[RACERS];
    unsigned grants = 0;
    unsigned refusals = 0;

    wipe_store();
    begin();
    struct issued key = issue(CAP);
    for (int i = 0; i < RACERS; i++) {
        requests[i] = ask(&key, "POST", "/stripe/v1/payment_intents", true);
    }
    for (int i = 0; i < RACERS; i++) {
        const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);
        tell_facts(requests[RACERS - 1 - i], false, read->rule, one_dollar, &digest);
    }
    for (int i = 0; i < RACERS; i++) {
        enum message_type type = next(GATE);
        grants += type == MESSAGE_GRANTED;
        refusals += type == MESSAGE_ANSWER;
    }
    CHECK(grants == CAP && refusals == RACERS - CAP);
    CHECK(shows(&key, "0.00", "50.00", "0.00"));
    end();
}

static void test_money(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, NULL, "a");
    struct given given = granted(request);
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    succeed(request, &given);
    CHECK(shows(&key, "1.00", "0.00", "9.00"));
    /* Nothing was sent: voided, and the judge tells the client. */
    request = pay(&key, NULL, "b");
    given = granted(request);
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_NOT_SENT, .error = UPSTREAM_CONNECT};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    (void)expect(VAULT, MESSAGE_RELEASE);
    CHECK(denied(request, "upstream_unreachable") == 502);
    done(request, given.grant);
    CHECK(shows(&key, "1.00", "0.00", "9.00"));
    /* False facts about the answer count for nothing: the whole amount is posted or stays. */
    request = pay(&key, NULL, "c");
    given = granted(request);
    outcome = (struct message_outcome){.grant = given.grant,
                                       .outcome = OUTCOME_ANSWERED,
                                       .status = 200,
                                       .complete = true,
                                       .body_digest = digest_of(STR("true answer"))};
    static const char *const lie[] = {"/status", "canceled", NULL};
    struct digest other = digest_of(STR("another"));
    tell_facts(given.grant, true, given.answer_rule, lie, &other);
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    (void)expect(VAULT, MESSAGE_RELEASE);
    done(request, given.grant);
    call(CALL_KEY_GET, str_from(key.id.text), NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(strcmp(member(reply, "remaining_usd").text, "8.00") == 0);
    /* A vault that dies after SENT leaves an unknown outcome; before it, proof. */
    uint64_t sent_request = pay(&key, NULL, "d");
    given = granted(sent_request);
    uint64_t unsent_request = pay(&key, NULL, "e");
    (void)granted(unsent_request);
    struct message_sent sent = {.grant = given.grant};
    tell(VAULT, MESSAGE_SENT, &sent);
    (void)close(t.fds[VAULT]);
    t.fds[VAULT] = -1;
    bool unknown = false;
    bool unreachable = false;
    for (int i = 0; i < 2; i++) {
        const struct message_answer *answer = expect(GATE, MESSAGE_ANSWER);
        struct str body = answer->body;
        unknown =
            unknown || (answer->request == sent_request && str_has(body, STR("outcome_unknown")));
        unreachable = unreachable || (answer->request == unsent_request &&
                                      str_has(body, STR("upstream_unreachable")));
    }
    CHECK(unknown && unreachable);
    call(CALL_KEY_GET, str_from(key.id.text), NULL, NULL);
    reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(strcmp(member(reply, "remaining_usd").text, "7.00") == 0);
    end();
}

/* What is read as it stands may not be decoded by the vendor. */
static void test_coded_body(void)
{
    wipe_store();
    begin();
    struct issued key = issue(50);
    struct message_presented presented = {
        .form = FORM_BEARER, .name = STR("authorization"), .value = str_from(key.token.text)};
    struct message_header headers[] = {
        {STR("content-type"), STR("application/x-www-form-urlencoded")},
        {STR("content-encoding"), STR("deflate")}};
    struct message_admit admit = {.request = ++t.next_request,
                                  .method = STR("POST"),
                                  .path = STR("/stripe/v1/payment_intents"),
                                  .body = BODY_LENGTH,
                                  .content_length = 20,
                                  .presented = &presented,
                                  .presented_count = 1,
                                  .headers = headers,
                                  .header_count = 2};
    tell(GATE, MESSAGE_ADMIT, &admit);
    CHECK(denied(admit.request, "bad_request") == 400);
    admit.request = ++t.next_request;
    headers[1].value = STR("identity");
    tell(GATE, MESSAGE_ADMIT, &admit);
    (void)expect(GATE, MESSAGE_READ_BODY);
    end();
}

static bool system_is_synchronised(void)
{
    struct timex asked = {.modes = 0};

    return adjtimex(&asked) != TIME_ERROR && (asked.status & STA_UNSYNC) == 0;
}

/* A clock that jumped ahead would refill every cap: no money moves until somebody vouches for it.
 */
static void test_clock(void)
{
    if (system_is_synchronised()) {
        (void)printf("skipped: this system vouches for its time by itself\n");
        return;
    }
    wipe_store();
    t.jump_ms = 6 * 60 * 1000;
    begin();
    struct issued key = issue(10);
    CHECK(denied(pay(&key, NULL, "a"), "clock_suspect") == 503);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));
    uint64_t read = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(read); /* what costs nothing goes on */
    done(read, given.grant);
    call(CALL_CLOCK_VOUCH, STR_NONE, NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200 && str_has(reply->json, STR("\"was_suspect\":true")));
    uint64_t request = pay(&key, NULL, "b");
    given = granted(request);
    succeed(request, &given);
    CHECK(shows(&key, "1.00", "0.00", "9.00"));
    end();
    /* Less than five minutes is no jump. */
    wipe_store();
    t.jump_ms = 4 * 60 * 1000;
    begin();
    key = issue(10);
    request = pay(&key, NULL, "a");
    given = granted(request);
    succeed(request, &given);
    end();
    t.jump_ms = 0;
}

/* One dollar's worth of cents in another currency, with rates so many days old. */
static void pay_in_euros(const struct issued *key, const char *denial)
{
    static const char *const euros[] = {"amount", "100", "currency", "eur", NULL};
    struct digest digest = digest_of(STR("eur"));
    uint64_t request = ask_keyed(key, "POST", "/stripe/v1/payment_intents", true, NULL);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);

    tell_facts(request, false, read->rule, euros, &digest);
    if (denial != NULL) {
        CHECK(denied(request, denial) == 403);
    } else {
        struct given given = granted(request);
        succeed(request, &given);
    }
}

static void test_old_rates(void)
{
    static const struct {
        int64_t days;
        const char *denial;
    } cases[] = {{0, NULL}, {30, NULL}, {31, "fx_stale"}, {4000, "fx_stale"}};
    int64_t before = t.config->fx_as_of_ms;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        t.config->fx_as_of_ms = clock_wall_ms() - cases[i].days * 86400000;
        wipe_store();
        begin();
        struct issued key = issue(10);
        pay_in_euros(&key, cases[i].denial);
        uint64_t request = pay(&key, NULL, "usd"); /* dollars need no rate */
        struct given given = granted(request);
        succeed(request, &given);
        end();
    }
    t.config->fx_as_of_ms = before;
}

int main(void)
{
    testing_begin();
    test_race_to_the_cent();
    test_money();
    test_clock();
    test_old_rates();
    test_coded_body();
    testing_end();
    return test_done();
}
