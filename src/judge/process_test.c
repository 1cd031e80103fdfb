/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a judge admits, forgets, remembers over its own end, and does about broken neighbours.
 */
#include "judge/testing.h"

static void test_reads_and_refusals(void)
{
    wipe_store();
    begin();
    struct issued key = issue(50);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    done(request, given.grant);
    CHECK(denied(ask(&key, "POST", "/stripe/v1/payouts", true), "endpoint_not_allowed") == 403);
    CHECK(denied(ask(&key, "GET", "/github/user", false), "vendor_mismatch") == 403);
    struct issued stranger = key;
    stranger.token.text[8] ^= 1;
    CHECK(denied(ask(&stranger, "GET", "/stripe/v1/balance", false), "unknown_key") == 401);
    /* A write waits for its intent row; a deaf scribe means no grant. */
    t.deaf = true;
    request = ask(&key, "POST", "/stripe/v1/customers", false);
    CHECK(silent(VAULT) && silent(GATE));
    t.deaf = false;
    given = granted(request);
    end();
}

/* A host before the path makes no operation unknown, and so cheap. */
static void test_other_hosts(void)
{
    struct str entries[] = {STR("POST /v1/payment_intents"), STR("/v1/*")};

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("stripe"),
                                                 .entries = entries,
                                                 .entry_count = 2,
                                                 .daily_cap = 50 * NANO_PER_USD,
                                                 .flat_price = NANO_PER_USD / 100});
    CHECK(denied(ask(&key, "POST", "/stripe/files.stripe.com/v1/payment_intents", true),
                 "endpoint_not_allowed") == 403);
    (void)ask(&key, "POST", "/stripe/api.stripe.com/v1/payment_intents", true);
    (void)expect(GATE, MESSAGE_READ_BODY);
    (void)granted(ask(&key, "GET", "/stripe/v1/unheard_of", false));
    end();
}

/* The path's account must be the credential's, also where the catalogue has no such path. */
static void test_other_accounts(void)
{
    static const char *const others[] = {"/twilio/2010-04-01/Accounts/AC2/Messages.json",
                                         "/twilio/2010-04-01/Accounts/AC2/Messages",
                                         "/twilio/2010-04-01/accounts/AC2/Messages.csv",
                                         "/twilio/verify.twilio.com/2010-04-01/Accounts/AC2/X"};
    struct str entries[] = {STR("/2010-04-01/*")};

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("twilio"),
                                                 .entries = entries,
                                                 .entry_count = 1,
                                                 .daily_cap = 50 * NANO_PER_USD,
                                                 .flat_price = MONEY_NONE});
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct message_presented presented = {.form = FORM_BASIC_PASS,
                                              .name = STR("authorization"),
                                              .value = str_from(key.token.text)};
        struct message_admit admit = {.request = ++t.next_request,
                                      .method = STR("GET"),
                                      .path = str_from(others[i]),
                                      .presented = &presented,
                                      .presented_count = 1};
        tell(GATE, MESSAGE_ADMIT, &admit);
        CHECK_CASE(denied(admit.request, "account_not_allowed") == 403, others[i]);
    }
    end();
}

/* Accounts in a query, however deep, and customers wherever they are named. */
static void test_accounts_and_customers(void)
{
    struct str entries[] = {STR("/v1/*")};
    struct str customers[] = {STR("cus_1")};
    static const char *const ours[] = {"customer", "cus_1", NULL};
    static const char *const theirs[] = {"customer", "cus_2", NULL};
    static const char *const none[] = {NULL};
    struct digest digest = digest_of(STR("x"));

    wipe_store();
    begin();
    struct issued key = issue_by((struct policy){.vendor = STR("stripe"),
                                                 .entries = entries,
                                                 .entry_count = 1,
                                                 .daily_cap = 50 * NANO_PER_USD,
                                                 .customers = customers,
                                                 .customer_count = 1,
                                                 .flat_price = MONEY_NONE});
    CHECK(denied(ask(&key, "GET", "/v1/transfers?destination=acct_1", false),
                 "account_not_allowed") == 403);
    CHECK(denied(ask(&key, "GET", "/v1/transfers?destination=+acct_1", false),
                 "account_not_allowed") == 403);
    CHECK(denied(ask(&key, "POST", "/v1/prices?transfer_data[x][account]=acct_1", false),
                 "bad_request") == 400);
    CHECK(denied(ask(&key, "GET", "/v1/charges?customer=cus_2", false), "param_not_allowed") ==
          403);
    CHECK(denied(ask(&key, "GET", "/v1/customers/cus_2", false), "param_not_allowed") == 403);
    CHECK(denied(ask(&key, "POST", "/v1/customers/cus_2", false), "param_not_allowed") == 403);
    CHECK(denied(ask(&key, "POST", "/v1/prices", false), "param_not_allowed") == 403);
    const char *const *const bodies[] = {ours, theirs, none};
    for (size_t i = 0; i < 3; i++) {
        uint64_t request = ask(&key, "POST", "/v1/setup_intents", true);
        const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);
        tell_facts(request, false, read->rule, bodies[i], &digest);
        if (i == 0) {
            (void)granted(request);
        } else {
            CHECK(denied(request, "param_not_allowed") == 403);
        }
    }
    (void)granted(ask(&key, "GET", "/v1/charges?customer=cus_1", false));
    (void)granted(ask(&key, "GET", "/v1/customers/cus_1", false));
    (void)granted(ask(&key, "POST", "/v1/customers/cus_1", false));
    (void)granted(ask(&key, "GET", "/v1/balance", false));
    end();
}

static void test_revoke(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    t.deaf = true;
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    const struct message_cut *cut = expect(VAULT, MESSAGE_REVOKE);
    CHECK(cut->key_count == 1);
    struct message_cut_done done_with = {.cut = cut->cut};
    (void)expect(GATE, MESSAGE_CUT);
    /* The token is dead at once, also while the row is not written yet. */
    CHECK(denied(ask(&key, "GET", "/stripe/v1/balance", false), "revoked_key") == 401);
    CHECK(silent(CONTROL));
    tell(VAULT, MESSAGE_REVOKED, &done_with);
    CHECK(silent(CONTROL)); /* not durable */
    t.deaf = false;
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200 && strcmp(member(reply, "status").text, "revoked") == 0);
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_REVOKED};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    CHECK(denied(request, "revoked_key") == 401);
    /* The gate did not confirm: nobody waited for it, and the parent is asked to kill it. */
    CHECK(world() == 'G');
    end();
    begin();
    key = issue(10);
    request = ask(&key, "GET", "/stripe/v1/balance", false);
    (void)granted(request);
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    CHECK(world() == 'V'); /* a silent vault */
    (void)close(t.fds[VAULT]);
    t.fds[VAULT] = -1;
    reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200);
    end();
}

/* An operator who is impatient gets no answer before the first one could have been given. */
static void test_revoke_again(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    const struct message_cut *cut = expect(VAULT, MESSAGE_REVOKE);
    struct message_cut_done done_with = {.cut = cut->cut};
    (void)expect(GATE, MESSAGE_CUT);
    tell(GATE, MESSAGE_CUT_DONE, &done_with);
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    CHECK(silent(CONTROL));
    tell(VAULT, MESSAGE_REVOKED, &done_with);
    for (int i = 0; i < 2; i++) {
        const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
        CHECK(reply->status == 200 && strcmp(member(reply, "status").text, "revoked") == 0);
    }
    struct message_outcome outcome = {
        .grant = given.grant, .outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_REVOKED};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    CHECK(denied(request, "revoked_key") == 401);
    end();
}

static void test_restart(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, "k1", "a");
    struct given given = granted(request);
    succeed(request, &given);
    request = pay(&key, "k2", "b"); /* under way when the judge dies */
    (void)granted(request);
    struct issued gone = issue(10);
    call(CALL_KEY_REVOKE, str_from(gone.id.text), NULL, NULL);
    (void)expect(CONTROL, MESSAGE_REPLY);
    end();
    begin();
    CHECK(shows(&key, "1.00", "1.00", "8.00"));
    CHECK(denied(ask(&gone, "GET", "/stripe/v1/balance", false), "revoked_key") == 401);
    call(CALL_HOLD_LIST, STR("stale"), NULL, NULL);
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(strcmp(member(reply, "state").text, "unknown") == 0);
    /* The client asks again: under the hold that is there, and the answer settles it. */
    request = pay(&key, "k2", "b");
    given = granted(request);
    CHECK(shows(&key, "1.00", "1.00", "8.00"));
    succeed(request, &given);
    CHECK(shows(&key, "2.00", "0.00", "8.00"));
    CHECK(denied(pay(&key, "k1", "c"), "idempotency_mismatch") == 422);
    end();
}

/* A full disk refuses what needs it, loses no row, and lets reads go on. */
static void test_full_disk(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t running = pay(&key, NULL, "a");
    struct given given = granted(running);
    t.full = true;
    CHECK(denied(pay(&key, "b", "b"), "ledger_unavailable") == 503);
    CHECK(denied(pay(&key, "c", "c"), "ledger_unavailable") == 503);
    uint64_t read = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given read_given = granted(read);
    struct message_outcome outcome = {
        .grant = read_given.grant, .outcome = OUTCOME_ANSWERED, .status = 200, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    done(read, read_given.grant);
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    /* The answer of the one under way waits until its settlement is written. */
    outcome = (struct message_outcome){
        .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 402, .complete = true};
    tell(VAULT, MESSAGE_OUTCOME, &outcome);
    CHECK(silent(VAULT));
    t.full = false;
    (void)expect(VAULT, MESSAGE_RELEASE);
    done(running, given.grant);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));
    uint64_t again = pay(&key, "b", "b");
    (void)granted(again);
    end();
    begin(); /* checks that no audit row is missing */
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    end();
}

/* Refusals of one key have rows up to a number, and a few more with each second. */
static void test_refusals_without_end(void)
{
    size_t rows = 0;

    wipe_store();
    begin();
    struct issued key = issue(10);
    int64_t began_ms = clock_wall_ms();
    for (int i = 0; i < 10300; i++) {
        CHECK(denied(ask(&key, "GET", "/stripe/v1/payouts", false), "endpoint_not_allowed") == 403);
    }
    int64_t seconds = (clock_wall_ms() - began_ms) / 1000;
    end();
    for (size_t i = 0; i < t.row_count; i++) {
        rows += t.rows[i].type == MESSAGE_ROW_AUDIT;
    }
    CHECK(rows >= 10000 && rows <= (size_t)(10000 + 100 * (seconds + 2) + 10));
}

/* Whoever waits for an answer waits so long at most; the money is counted when there is room. */
static void test_full_for_long(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t running = pay(&key, "k", "a");
    struct given given = granted(running);
    tell(VAULT, MESSAGE_SENT, &(struct message_sent){.grant = given.grant});
    t.full = true;
    tell(VAULT, MESSAGE_OUTCOME,
         &(struct message_outcome){
             .grant = given.grant, .outcome = OUTCOME_ANSWERED, .status = 402, .complete = true});
    CHECK(!wait_for(t.fds[GATE], LIMIT_SETTLE_WAIT_MS - 1000)); /* not at once */
    CHECK(denied(running, "outcome_unknown") == 502);
    done(running, given.grant);
    CHECK(silent(VAULT) && silent(GATE)); /* and once */
    t.full = false;
    (void)expect(VAULT, MESSAGE_RELEASE);
    CHECK(shows(&key, "0.00", "0.00", "10.00"));
    CHECK(silent(GATE));
    end();
}

static void test_impostor_gate(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = ask(&key, "GET", "/stripe/v1/balance", false);
    struct given given = granted(request);
    t.next_request--;
    (void)ask(&key, "GET", "/stripe/v1/balance", false); /* the same number again */
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    request = ask(&key, "GET", "/stripe/v1/balance", false);
    given = granted(request);
    done(request, given.grant + 1);
    CHECK(world() == 'f');
    end();
    begin();
    key = issue(10);
    request = pay(&key, NULL, "a");
    given = granted(request);
    struct message_outcome outcome = {.grant = given.grant + 5, .outcome = OUTCOME_NOT_SENT};
    tell(VAULT, MESSAGE_OUTCOME, &outcome); /* a vault may speak of its own grants only */
    CHECK(world() == 'f');
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    end();
    begin();
    key = issue(10);
    uint64_t mine = ask(&key, "POST", "/stripe/v1/payment_intents", true);
    const struct message_read_body *read = expect(GATE, MESSAGE_READ_BODY);
    struct digest digest = digest_of(STR("x"));
    uint32_t rule = read->rule;
    tell_facts(mine + 1000, false, rule, one_dollar, &digest); /* of no request: ignored */
    CHECK(silent(GATE));
    tell_facts(mine, false, 0, one_dollar, &digest); /* read by another rule */
    CHECK(denied(mine, "denied") == 403);
    end();
}

/* A peer that broke the protocol is buried as any other, when it goes. */
static void test_faulted_vault(void)
{
    wipe_store();
    begin();
    struct issued key = issue(10);
    uint64_t request = pay(&key, NULL, "a");
    (void)granted(request);
    CHECK(send(t.fds[VAULT], "\1\0\0\0\377\377\0\0\0", 9, MSG_NOSIGNAL) == 9);
    CHECK(world() == 'f');
    call(CALL_KEY_REVOKE, str_from(key.id.text), NULL, NULL);
    (void)close(t.fds[VAULT]);
    t.fds[VAULT] = -1;
    const struct message_reply *reply = expect(CONTROL, MESSAGE_REPLY);
    CHECK(reply->status == 200);
    /* It may have said SENT, which nobody read: no proof. */
    CHECK(shows(&key, "0.00", "1.00", "9.00"));
    end();
}

int main(void)
{
    testing_begin();
    test_reads_and_refusals();
    test_other_hosts();
    test_other_accounts();
    test_accounts_and_customers();
    test_revoke();
    test_revoke_again();
    test_restart();
    test_full_disk();
    test_full_for_long();
    test_refusals_without_end();
    test_impostor_gate();
    test_faulted_vault();
    testing_end();
    return test_done();
}
