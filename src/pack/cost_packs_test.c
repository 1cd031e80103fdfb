/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packs that come with the binary: what requests as the SDKs send them cost.
 */
#include "base/test.h"
#include "pack/cost.h"
#include "pack/facts.h"
#include "pack/load.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define DOLLAR INT64_C(1000000000)
#define CENT INT64_C(10000000)

struct asked {
    struct arena *arena;
    struct match match;
    struct message_facts facts;
    struct cost_question question;
    struct cost cost;
    struct err err;
};

static enum cost_verdict ask(struct asked *asked, const struct config *config, const char *vendor,
                             const char *path, const char *body)
{
    const struct pack *pack = &config->packs[config_find_pack(config, str_from(vendor))];

    *asked = (struct asked){.arena = arena_new()};
    (void)match_find(pack, PACK_NONE, STR("POST"), str_from(path), &asked->match);
    asked->question = (struct cost_question){.config = config,
                                             .pack = pack,
                                             .match = &asked->match,
                                             .method = STR("POST"),
                                             .flat_price = -1,
                                             .capped = true,
                                             .now_ms = config->fx_as_of_ms,
                                             .arena = asked->arena};
    uint32_t read = cost_request_read(pack, &asked->match);
    if (read != PACK_NONE) {
        facts_read(&config->reads[read], str_from(body), asked->arena, &asked->facts);
        asked->question.facts = &asked->facts;
    }
    return cost_reserve(&asked->question, &asked->cost, &asked->err);
}

static void test_reserve(const struct config *config)
{
    static const struct {
        const char *vendor, *path, *body;
        enum cost_verdict verdict;
        int64_t nano; /* -1: more than nothing */
    } cases[] = {
        {"stripe", "/v1/payment_intents",
         "amount=5000&currency=usd&metadata[a]=b%20c&payment_method_types[0]=card"
         "&transfer_data[destination]=acct_1",
         COST_AMOUNT, 50 * DOLLAR},
        {"stripe", "/v1/payment_intents", "amount=5000&currency=usd&expand[0]=latest_charge",
         COST_AMOUNT, 50 * DOLLAR},
        {"stripe", "/v1/payment_intents", "amount=100&currency=jpy", COST_AMOUNT, -1},
        {"stripe", "/v1/payouts", "amount=5000&currency=usd", COST_AMOUNT, 50 * DOLLAR},
        {"stripe", "/v1/transfers", "amount=400&currency=usd&destination=acct_1", COST_AMOUNT,
         4 * DOLLAR},
        {"stripe", "/v1/refunds", "charge=ch_1&amount=1000", COST_AMOUNT, -1},
        {"stripe", "/v2/money_management/outbound_payments",
         "{\"from\":{\"financial_account\":\"fa_1\",\"currency\":\"usd\"},"
         "\"to\":{\"recipient\":\"acct_1\"},\"amount\":{\"value\":1000,\"currency\":\"usd\"}}",
         COST_AMOUNT, 10 * DOLLAR},
        {"stripe", "/v1/customers", "email=a%40x.io", COST_NOTHING, 0},
        {"stripe", "/v1/payment_intents/pi_1", "description=x", COST_NOTHING, 0},
        {"resend", "/emails",
         "{\"from\": \"a@x.io\", \"to\": [\"b@x.io\"], \"subject\": \"s\", \"html\": \"h\"}",
         COST_AMOUNT, 900000},
        {"resend", "/emails", "{\"to\":[\"b@x.io\",\"c@x.io\"],\"bcc\":\"d@x.io, e@x.io\"}",
         COST_AMOUNT, 3600000},
        {"resend", "/emails/batch", "[{\"to\":\"b@x.io\"},{\"to\":[\"c@x.io\"],\"cc\":\"d@x.io\"}]",
         COST_AMOUNT, 2700000},
        /* refused */
        {"stripe", "/v1/payment_intents", "amount=1&amount=5000&currency=usd", COST_AMBIGUOUS, 0},
        {"stripe", "/v1/payment_intents", "%61mount=5000&currency=usd", COST_AMBIGUOUS, 0},
        {"stripe", "/v1/payment_intents", "amount[]=5000&currency=usd", COST_AMBIGUOUS, 0},
        {"stripe", "/v1/payment_intents", "amount=1e3&currency=usd", COST_AMBIGUOUS, 0},
        {"stripe", "/v1/payment_intents", "amount=1&currency=usd&card[number]=4242", COST_AMBIGUOUS,
         0},
        {"stripe", "/v1/payment_intents", "{\"amount\":1,\"currency\":\"usd\"}", COST_AMBIGUOUS, 0},
        {"stripe", "/v1/payment_intents", "currency=usd", COST_UNKNOWN, 0},
        {"stripe", "/v1/payment_intents", "amount=1&currency=zzz", COST_UNKNOWN, 0},
        {"stripe", "/v1/payment_intents/pi_1/confirm", "", COST_FETCH, 0},
        {"stripe", "/v1/payment_intents/pi_1/capture", "", COST_FETCH, 0},
        {"stripe", "/v1/refunds", "charge=ch_1", COST_FETCH, 0},
        {"stripe", "/v1/no_such_thing", "amount=1", COST_UNKNOWN, 0},
        {"stripe", "/v2/money_management/outbound_payments",
         "{\"amount\":{\"value\":1,\"value\":1000,\"currency\":\"usd\"}}", COST_AMBIGUOUS, 0},
        {"stripe", "/v2/money_management/outbound_payments",
         "{\"amount\":{\"value\":\"1000\",\"currency\":\"usd\"}}", COST_AMBIGUOUS, 0},
        {"resend", "/emails", "{\"to\":[\"b@x.io\"],\"to\":[]}", COST_AMBIGUOUS, 0},
        {"resend", "/emails", "to=b@x.io", COST_AMBIGUOUS, 0},
        {"openai", "/v1/chat/completions", "{\"model\":\"gpt-x\"}", COST_UNKNOWN, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        enum cost_verdict verdict =
            ask(&asked, config, cases[i].vendor, cases[i].path, cases[i].body);
        CHECK_CASE(verdict == cases[i].verdict, cases[i].body);
        CHECK_CASE(cases[i].nano == -1 ? asked.cost.nano > 0 : asked.cost.nano == cases[i].nano,
                   cases[i].body);
        arena_free(asked.arena);
    }
}

static void test_settle(const struct config *config)
{
    static const struct {
        const char *path, *body;
        uint32_t status;
        const char *answer;
        enum hold_state state;
        int64_t posted, held;
    } cases[] = {
        {"/v1/payment_intents", "amount=5000&currency=usd", 200,
         "{\"id\":\"pi_1\",\"amount\":5000,\"amount_received\":0,\"currency\":\"usd\","
         "\"status\":\"requires_confirmation\"}",
         HOLD_HELD, 0, 50 * DOLLAR},
        {"/v1/payment_intents", "amount=5000&currency=usd&confirm=true", 200,
         "{\"id\":\"pi_1\",\"amount\":5000,\"amount_received\":5000,\"currency\":\"usd\","
         "\"status\":\"succeeded\"}",
         HOLD_POSTED, 50 * DOLLAR, 0},
        {"/v1/payment_intents", "amount=5000&currency=usd&confirm=true", 402,
         "{\"error\":{\"code\":\"card_declined\",\"payment_intent\":{\"id\":\"pi_1\"}}}",
         HOLD_VOIDED, 0, 0},
        {"/v1/payment_intents", "amount=5000&currency=usd", 500, "{}", HOLD_UNKNOWN, 0,
         50 * DOLLAR},
        {"/v1/refunds", "charge=ch_1&amount=1000", 200,
         "{\"id\":\"re_1\",\"amount\":1000,\"currency\":\"usd\",\"status\":\"succeeded\"}",
         HOLD_POSTED, 10 * DOLLAR, 0},
        {"/v1/payouts", "amount=5000&currency=usd", 200,
         "{\"id\":\"po_1\",\"amount\":5000,\"currency\":\"usd\",\"status\":\"pending\"}",
         HOLD_POSTED, 50 * DOLLAR, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message_outcome outcome = {
            .outcome = OUTCOME_ANSWERED, .status = cases[i].status, .complete = true};
        struct message_facts answer = {.request = 0};
        struct settlement settled;
        struct asked asked;
        CHECK_CASE(ask(&asked, config, "stripe", cases[i].path, cases[i].body) == COST_AMOUNT,
                   cases[i].body);
        uint32_t read = cost_answer_read(asked.question.pack, &asked.match);
        CHECK(read != PACK_NONE);
        facts_read(&config->reads[read], str_from(cases[i].answer), asked.arena, &answer);
        cost_settle(&asked.question, &asked.cost, &outcome, &answer, &settled);
        CHECK_CASE(settled.state == cases[i].state, cases[i].answer);
        CHECK_CASE(settled.posted == cases[i].posted && settled.held == cases[i].held,
                   cases[i].answer);
        CHECK_CASE(!settled.estimated && !settled.overrun, cases[i].answer);
        arena_free(asked.arena);
    }
}

int main(void)
{
    struct config config = {.packs = NULL};
    struct arena *arena = arena_new();
    struct err err = {""};

    CHECK_CASE(load_builtin_packs(&config, arena, &err) == 0, err.text);
    CHECK_CASE(config_finish(&config, arena, &err) == 0, err.text);
    test_reserve(&config);
    test_settle(&config);
    arena_free(arena);
    return test_done();
}
