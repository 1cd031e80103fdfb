/* SPDX-License-Identifier: Apache-2.0 */
/* With the pack of Stripe that we ship: its objects and what it must be asked first. */
#include "pack/cost_object.h"

#include <string.h>

#include "base/test.h"
#include "pack/facts.h"
#include "pack/load.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DOLLAR INT64_C(1000000000)

static struct {
    struct arena *arena;
    struct config config;
    const struct pack *pack;
    struct match match;
    struct message_facts facts;
    struct cost_question question;
    struct err err;
    struct cost cost;
} t;

static void ask(const char *path, const char *body)
{
    CHECK_CASE(match_find(t.pack, PACK_NONE, STR("POST"), str_from(path), &t.match), path);
    t.question = (struct cost_question){.config = &t.config,
                                        .pack = t.pack,
                                        .match = &t.match,
                                        .method = STR("POST"),
                                        .facts = &t.facts,
                                        .flat_price = -1,
                                        .capped = true,
                                        .now_ms = t.config.fx_as_of_ms,
                                        .arena = t.arena};
    facts_read(&t.config.reads[cost_request_read(t.pack, &t.match)], str_from(body), t.arena,
               &t.facts);
}

static enum cost_verdict reserve(void)
{
    return cost_reserve(&t.question, &t.cost, &t.err);
}

static void test_ids(void)
{
    static const char *const good[] = {"pi_1", "SM0aF", "a-b_c.d", "1"};
    static const char *const bad[] = {"",    ".",     "..",  ".a",  "a/b",
                                      "a b", "a%2fb", "a?b", "a\n", "{x}"};
    char longest[COST_OBJECT_MAX + 2];

    for (size_t i = 0; i < COUNT(good); i++) {
        CHECK_CASE(cost_is_object_id(str_from(good[i])), good[i]);
    }
    for (size_t i = 0; i < COUNT(bad); i++) {
        CHECK_CASE(!cost_is_object_id(str_from(bad[i])), bad[i]);
    }
    memset(longest, 'a', sizeof(longest));
    CHECK(cost_is_object_id(str_of(longest, COST_OBJECT_MAX)));
    CHECK(!cost_is_object_id(str_of(longest, COST_OBJECT_MAX + 1)));
}

static void test_where_to_ask(void)
{
    static const struct {
        const char *path, *body, *get; /* NULL: nothing to ask, and refused */
    } cases[] = {
        {"/v1/payment_intents/pi_1/confirm", "", "/v1/payment_intents/pi_1"},
        {"/v1/payment_intents/pi_1/capture", "amount_to_capture=5", "/v1/payment_intents/pi_1"},
        {"/v1/payment_intents/pi_1", "amount=700", "/v1/payment_intents/pi_1"},
        {"/v1/refunds", "charge=ch_1", "/v1/charges/ch_1"},
        {"/v1/refunds", "payment_intent=pi_9", "/v1/payment_intents/pi_9"},
        {"/v1/charges/ch_2/refund", "", "/v1/charges/ch_2"},
        {"/v1/charges/ch_2/capture", "", "/v1/charges/ch_2"},
        {"/v1/invoices/in_1/pay", "", "/v1/invoices/in_1"},
        {"/v1/transfers", "currency=usd&source_transaction=ch_3", "/v1/charges/ch_3"},
        {"/v1/credit_notes", "invoice=in_1&lines[0][id]=il_1", "/v1/invoices/in_1"},
        {"/v1/credit_notes", "lines[0][id]=il_1", NULL},
        {"/v1/refunds", "", NULL},
        {"/v1/refunds", "charge=..%2Fx", NULL},
        {"/v1/refunds", "charge=", NULL},
        {"/v1/transfers", "currency=usd&destination=acct_1", NULL},
    };
    struct str path;

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask(cases[i].path, cases[i].body);
        enum cost_verdict verdict = reserve();
        if (cases[i].get == NULL) {
            CHECK_CASE(verdict == COST_UNKNOWN && t.err.text[0] != '\0', cases[i].body);
            continue;
        }
        CHECK_CASE(verdict == COST_FETCH && cost_fetch_path(&t.question, t.cost.fetch, &path) &&
                       str_equal(path, str_from(cases[i].get)),
                   cases[i].path);
    }
    static const struct {
        const char *path, *body, *get; /* in which currency? */
    } currencies[] = {
        {"/v1/refunds", "charge=ch_1&amount=500", "/v1/charges/ch_1"},
        {"/v1/credit_notes", "invoice=in_1&amount=500", "/v1/invoices/in_1"},
        {"/v1/refunds", "charge=ch_1&amount=500&currency=eur", NULL},
        {"/v1/refunds", "charge=ch_1", NULL}, /* it is asked anyway */
        {"/v1/refunds", "amount=500", NULL},
        {"/v1/payouts", "amount=500", NULL},
    };
    for (size_t i = 0; i < COUNT(currencies); i++) {
        struct cost asked;
        struct str get = STR_NONE;
        ask(currencies[i].path, currencies[i].body);
        bool asks = cost_asks_currency(&t.question, &asked);
        CHECK_CASE(asks == (currencies[i].get != NULL), currencies[i].body);
        CHECK_CASE(!asks || (cost_fetch_path(&t.question, asked.fetch, &get) &&
                             str_equal(get, str_from(currencies[i].get))),
                   currencies[i].body);
    }
    ask("/v1/refunds", "charge=ch_1&amount=500"); /* it names the amount: nobody is asked */
    CHECK(reserve() == COST_AMOUNT && t.cost.nano >= 5 * DOLLAR);
}

static void test_what_was_found(void)
{
    static const struct {
        const char *path, *body;
        struct cost_found found;
        int64_t nano, base;
    } cases[] = {
        {"/v1/payment_intents/pi_1/confirm", "", {5000, 0, {"usd", 3}}, 50 * DOLLAR, 0},
        {"/v1/payment_intents/pi_1/capture",
         "",
         {3000, 2000, {"usd", 3}},
         30 * DOLLAR,
         20 * DOLLAR},
        {"/v1/payment_intents/pi_1/capture",
         "amount_to_capture=1000",
         {3000, 0, {"usd", 3}},
         10 * DOLLAR,
         0},
        {"/v1/payment_intents/pi_1/capture",
         "amount_to_capture=1000&final_capture=false",
         {3000, 0, {"usd", 3}},
         30 * DOLLAR,
         0},
        {"/v1/refunds", "charge=ch_1", {700, 0, {"USD", 3}}, 7 * DOLLAR, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask(cases[i].path, cases[i].body);
        t.question.found = &cases[i].found;
        CHECK_CASE(reserve() == COST_AMOUNT && t.cost.nano == cases[i].nano &&
                       t.cost.base == cases[i].base,
                   cases[i].body);
    }
    struct cost_found unknown = {.minor = 5, .currency = STR("zzz")};
    ask("/v1/payment_intents/pi_1/confirm", "");
    t.question.found = &unknown;
    CHECK(reserve() == COST_UNKNOWN);
}

static void test_what_is_held(void)
{
    const struct cost_object held = {.held = 50 * DOLLAR, .currency = STR("usd")};
    static const struct {
        const char *path, *body;
        int64_t nano;
    } cases[] = {
        {"/v1/payment_intents/pi_1/confirm", "", 50 * DOLLAR},
        {"/v1/payment_intents/pi_1/capture", "", 50 * DOLLAR},
        {"/v1/payment_intents/pi_1/capture", "amount_to_capture=3000", 30 * DOLLAR},
        {"/v1/payment_intents/pi_1/capture", "amount_to_capture=2000&final_capture=false",
         50 * DOLLAR},
        {"/v1/payment_intents/pi_1/increment_authorization", "amount=8000", 80 * DOLLAR},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        ask(cases[i].path, cases[i].body);
        t.question.object = &held;
        CHECK_CASE(reserve() == COST_AMOUNT && t.cost.nano == cases[i].nano, cases[i].body);
    }
    ask("/v1/payment_intents/pi_1/capture", "amount_to_capture=1e3");
    t.question.object = &held;
    CHECK(reserve() == COST_AMBIGUOUS);
}

static void test_states(void)
{
    static const struct {
        const char *answer;
        bool redacts;
        enum hold_state state;
        int64_t posted, held;
    } cases[] = {
        {"{\"id\":\"pi_1\",\"status\":\"requires_confirmation\",\"amount\":5000,"
         "\"amount_received\":0,\"currency\":\"usd\"}",
         false, HOLD_HELD, 0, 50 * DOLLAR},
        {"{\"id\":\"pi_1\",\"status\":\"requires_confirmation\",\"amount\":5000,"
         "\"amount_received\":0,\"currency\":\"usd\"}",
         true, HOLD_VOIDED, 0, 0},
        {"{\"id\":\"pi_1\",\"status\":\"requires_action\",\"amount\":5000,\"amount_received\":0,"
         "\"currency\":\"usd\"}",
         true, HOLD_HELD, 0, 50 * DOLLAR},
        {"{\"id\":\"pi_1\",\"status\":\"requires_capture\",\"amount\":5000,\"amount_received\":"
         "2000,"
         "\"amount_capturable\":3000,\"currency\":\"usd\"}",
         false, HOLD_HELD, 20 * DOLLAR, 30 * DOLLAR},
        {"{\"id\":\"pi_1\",\"status\":\"succeeded\",\"amount\":5000,\"amount_received\":5000,"
         "\"currency\":\"usd\"}",
         false, HOLD_POSTED, 50 * DOLLAR, 0},
        {"{\"id\":\"pi_1\",\"status\":\"canceled\",\"amount\":5000,\"amount_received\":0,"
         "\"currency\":\"usd\"}",
         false, HOLD_VOIDED, 0, 0},
        {"{\"id\":\"pi_1\",\"status\":\"canceled\",\"amount\":5000,\"amount_received\":2000,"
         "\"currency\":\"usd\"}",
         false, HOLD_POSTED, 20 * DOLLAR, 0},
    };
    struct cost held = {.nano = 50 * DOLLAR};
    struct settlement settlement;

    ask("/v1/payment_intents/pi_1/confirm", "");
    const struct pack_object *kind = cost_object_kind(t.pack, &t.match);
    CHECK(kind != NULL && str_equal(kind->name, STR("payment_intent")));
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message_facts answer;
        facts_read(&t.config.reads[kind->read], str_from(cases[i].answer), t.arena, &answer);
        t.question.redacts = cases[i].redacts;
        CHECK_CASE(cost_settle_object(&t.question, kind, STR("pi_1"), &held, &answer, &settlement),
                   cases[i].answer);
        CHECK_CASE(settlement.state == cases[i].state && settlement.posted == cases[i].posted &&
                       settlement.held == cases[i].held && settlement.of_object,
                   cases[i].answer);
    }
    CHECK(!cost_settle_object(&t.question, kind, STR("pi_1"), &held, NULL, &settlement));
    CHECK(settlement.state == HOLD_HELD && settlement.held == 50 * DOLLAR);
}

static struct str field(const void *ctx, struct str name)
{
    (void)ctx;
    return str_equal(name, STR("account_sid")) ? STR("AC1") : STR_NONE;
}

static void test_paths_of_objects(void)
{
    const struct pack *twilio = &t.config.packs[config_find_pack(&t.config, STR("twilio"))];
    struct str path;

    CHECK(cost_object_path(&twilio->objects[0], STR("SM1"), field, NULL, t.arena, &path) &&
          str_equal(path, STR("/2010-04-01/Accounts/AC1/Messages/SM1.json")));
    CHECK(!cost_object_path(&twilio->objects[0], STR("../x"), field, NULL, t.arena, &path));
    CHECK(!cost_object_path(&twilio->objects[0], STR_NONE, field, NULL, t.arena, &path));
}

static void test_answers_that_do_not_say(void)
{
    static const char *const answers[] = {
        "{}",
        "{\"amount_captured\":500,\"currency\":\"usd\"}",
        "{\"amount_captured\":500,\"amount_refunded\":-1,\"currency\":\"usd\"}",
        "{\"amount_captured\":\"500\",\"amount_refunded\":0,\"currency\":\"usd\"}",
        "{\"amount_captured\":500,\"amount_refunded\":0}",
        "{\"amount_captured\":500,\"amount_refunded\":0,\"currency\":7}",
        "[1]",
        "not json",
    };
    struct cost_found found;

    ask("/v1/refunds", "charge=ch_1");
    CHECK(reserve() == COST_FETCH);
    const struct pack_fetch *fetch = t.cost.fetch;
    for (size_t i = 0; i < COUNT(answers); i++) {
        struct message_facts facts;
        facts_read(&t.config.reads[fetch->read], str_from(answers[i]), t.arena, &facts);
        t.err.text[0] = '\0';
        CHECK_CASE(!cost_read_found(fetch, &facts, t.arena, &found, &t.err) &&
                       t.err.text[0] != '\0',
                   answers[i]);
    }
    struct message_facts good;
    facts_read(&t.config.reads[fetch->read],
               STR("{\"amount_captured\":500,\"amount_refunded\":120,\"currency\":\"usd\"}"),
               t.arena, &good);
    CHECK(cost_read_found(fetch, &good, t.arena, &found, &t.err) && found.minor == 380);
    facts_read(&t.config.reads[fetch->read],
               STR("{\"amount_captured\":500,\"amount_refunded\":900,\"currency\":\"usd\"}"),
               t.arena, &good);
    CHECK(cost_read_found(fetch, &good, t.arena, &found, &t.err) && found.minor == 0);
}

int main(void)
{
    t.arena = arena_new();
    CHECK_CASE(load_builtin_packs(&t.config, t.arena, &t.err) == 0 &&
                   config_finish(&t.config, t.arena, &t.err) == 0,
               t.err.text);
    t.pack = &t.config.packs[config_find_pack(&t.config, STR("stripe"))];
    test_ids();
    test_where_to_ask();
    test_what_was_found();
    test_what_is_held();
    test_states();
    test_paths_of_objects();
    test_answers_that_do_not_say();
    arena_free(t.arena);
    return test_done();
}
