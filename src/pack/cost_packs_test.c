/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The packs that come with the binary: what requests as the SDKs send them cost.
 */
#include "base/buf.h"
#include "base/integer.h"
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
        {"stripe", "/v1/credit_notes", "invoice=in_1&amount=1000", COST_AMOUNT, -1},
        {"stripe", "/v1/charges/ch_1/refund", "amount=1000", COST_AMOUNT, -1},
        {"stripe", "/v1/charges/ch_1/refunds", "amount=1000", COST_AMOUNT, -1},
        {"stripe", "/v1/application_fees/fee_1/refunds", "amount=1000", COST_AMOUNT, -1},
        {"stripe", "/v1/transfers/tr_1/reversals", "amount=1000", COST_NOTHING, 0},
        {"stripe", "/v1/topups", "amount=1000&currency=usd", COST_AMOUNT, 10 * DOLLAR},
        {"stripe", "/v1/treasury/outbound_payments",
         "amount=1000&currency=usd&financial_account=fa_1", COST_AMOUNT, 10 * DOLLAR},
        {"stripe", "/v1/treasury/outbound_transfers", "amount=1000&currency=usd", COST_AMOUNT,
         10 * DOLLAR},
        {"stripe", "/v1/treasury/inbound_transfers", "amount=1000&currency=usd", COST_AMOUNT,
         10 * DOLLAR},
        {"stripe", "/v2/money_management/payout_intents",
         "{\"amount\":{\"value\":1000,\"currency\":\"usd\"}}", COST_AMOUNT, 10 * DOLLAR},
        {"stripe", "/v2/money_management/inbound_transfers",
         "{\"amount\":{\"value\":1000,\"currency\":\"usd\"}}", COST_AMOUNT, 10 * DOLLAR},
        {"stripe", "/v1/invoiceitems", "customer=cus_1&amount=1000&currency=usd", COST_NOTHING, 0},
        {"stripe", "/v1/subscriptions", "customer=cus_1", COST_UNKNOWN, 0},
        {"stripe", "/v1/checkout/sessions", "mode=payment", COST_UNKNOWN, 0},
        {"stripe", "/v1/disputes/dp_1/close", "", COST_UNKNOWN, 0},
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
        {"stripe", "/v1/credit_notes", "invoice=in_1&refund_amount=1000", COST_FETCH, 0},
        {"stripe", "/v1/credit_notes", "invoice=in_1&amount=1e3", COST_AMBIGUOUS, 0},
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

/* ---- Twilio, by the lengths that its documentation gives ---- */

#define MESSAGES "/2010-04-01/Accounts/AC00000000000000000000000000000000/Messages.json"

static void add_times(struct buf *out, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++) {
        (void)buf_add_str(out, str_from(text));
    }
}

static void test_segments(const struct config *config)
{
    static const struct {
        const char *text;
        size_t times;
        const char *then;
        int64_t segments;
    } cases[] = {
        {"a", 1, "", 1},
        {"a", 160, "", 1}, /* GSM-7: 160 alone, then 153 each */
        {"a", 161, "", 2},
        {"a", 306, "", 2},
        {"a", 307, "", 3},
        {"a", 459, "", 3},
        {"a", 460, "", 4},
        {"%C3%A9", 160, "", 1},   /* e acute is of GSM-7 */
        {"%E2%82%AC", 80, "", 1}, /* the extension table: two units each */
        {"%E2%82%AC", 81, "", 2},
        {"%5B", 80, "", 1},
        {"%5B", 80, "a", 2},
        {"a", 152, "%E2%82%ACaaaaaaa", 2}, /* no character is split between two segments */
        {"%D1%8F", 70, "", 1},             /* UCS-2: 70 alone, then 67 each */
        {"%D1%8F", 71, "", 2},
        {"%D1%8F", 134, "", 2},
        {"%D1%8F", 135, "", 3},
        {"%60", 70, "", 1}, /* a backquote is not of GSM-7 */
        {"%60", 71, "", 2},
        {"a", 70, "%D1%8F", 2},
        {"%F0%9F%98%80", 35, "", 1}, /* two units of UTF-16 each */
        {"%F0%9F%98%80", 36, "", 2},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        struct buf body;
        buf_init(&body, 64 * 1024);
        (void)buf_add_str(&body, STR("To=%2B14155551212&From=%2B14155550000&Body="));
        add_times(&body, cases[i].text, cases[i].times);
        (void)buf_add_str(&body, str_from(cases[i].then));
        (void)buf_add_char(&body, '\0');
        CHECK(ask(&asked, config, "twilio", MESSAGES, buf_str(&body).data) == COST_AMOUNT);
        CHECK_CASE(asked.cost.nano == cases[i].segments * 12000000, cases[i].text);
        arena_free(asked.arena);
        buf_clear(&body);
    }
}

static void test_messages(const struct config *config)
{
    static const struct {
        const char *path, *body;
        enum cost_verdict verdict;
        int64_t nano;
    } cases[] = {
        {MESSAGES, "To=%2B447700900000&Body=hi", COST_AMOUNT, 56000000},
        {MESSAGES, "To=%2B18765551212&Body=hi", COST_AMOUNT, 150000000},
        {MESSAGES, "To=%2B1+(876)+555-1212&Body=hi", COST_AMOUNT, 150000000},
        {MESSAGES, "To=whatsapp%3A%2B14155551212&Body=hi", COST_AMOUNT, 150000000},
        {MESSAGES, "To=14155551212&Body=hi", COST_AMOUNT, 150000000},
        /* a text and two pictures; a picture alone */
        {MESSAGES, "To=%2B14155551212&Body=hi&MediaUrl=a&MediaUrl=b", COST_AMOUNT,
         12000000 + 2 * 32000000},
        {MESSAGES, "To=%2B14155551212&MediaUrl[0]=a", COST_AMOUNT, 12000000 + 32000000},
        {MESSAGES, "To=%2B14155551212&ContentSid=HX1", COST_UNKNOWN, 0},
        {MESSAGES, "To=%2B14155551212&contentsid=HX1", COST_AMBIGUOUS, 0},
        {MESSAGES, "To=%2B14155551212&To=%2B18765551212&Body=hi", COST_AMBIGUOUS, 0},
        {MESSAGES, "to=%2B18765551212&To=%2B14155551212&Body=hi", COST_AMBIGUOUS, 0},
        {MESSAGES, "To=%2B14155551212&Body=%FF", COST_AMBIGUOUS, 0},
        {"/2010-04-01/Accounts/AC00000000000000000000000000000000/Calls.json",
         "To=%2B14155551212&Url=u", COST_UNKNOWN, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        CHECK_CASE(ask(&asked, config, "twilio", cases[i].path, cases[i].body) == cases[i].verdict,
                   cases[i].body);
        CHECK_CASE(asked.cost.nano == cases[i].nano, cases[i].body);
        arena_free(asked.arena);
    }
}

/* ---- Resend: $0.90 a thousand, each address ---- */

static void test_mails(const struct config *config)
{
    static const struct {
        const char *path, *body;
        int64_t mails;
    } cases[] = {
        {"/emails", "{\"to\":\"a@x.io\"}", 1},
        {"/emails", "{\"to\":[\"a@x.io\",\"b@x.io\"]}", 2},
        {"/emails", "{\"to\":\"a@x.io, b@x.io\"}", 2},
        {"/emails", "{\"to\":\"\\\"Doe, J.\\\" <a@x.io>\"}", 1},
        {"/emails", "{\"to\":[\"a@x.io\"],\"cc\":\"b@x.io\",\"bcc\":[\"c@x.io\",\"d@x.io\"]}", 4},
        {"/emails", "{\"to\":[\"a@x.io\"],\"cc\":null,\"bcc\":[]}", 1},
        {"/emails", "{\"to\":[]}", 1},
        {"/emails/batch", "[{\"to\":\"a@x.io\"}]", 1},
        {"/emails/batch",
         "[{\"to\":\"a@x.io\"},{\"to\":[\"b@x.io\",\"c@x.io\"],\"bcc\":\"d@x.io\"}]", 4},
        {"/emails/batch", "[]", 1},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        CHECK_CASE(ask(&asked, config, "resend", cases[i].path, cases[i].body) == COST_AMOUNT,
                   cases[i].body);
        CHECK_CASE(asked.cost.nano == cases[i].mails * 900000, cases[i].body);
        arena_free(asked.arena);
    }
}

/* ---- Stripe: what a request says of itself, by currency ---- */

static void test_currencies(const struct config *config)
{
    static const struct {
        const char *body;
        const char *usd_per_unit; /* of the table that comes with the packs */
        int64_t units_nano;       /* major units, in 1e-9 */
    } cases[] = {
        {"amount=5000&currency=eur", "1.1650", INT64_C(50000000000)},
        {"amount=5000&currency=EUR", "1.1650", INT64_C(50000000000)},
        {"amount=5000&currency=krw", NULL, INT64_C(5000000000000)},  /* no decimals */
        {"amount=5000&currency=bhd", "2.6525", INT64_C(5000000000)}, /* three */
        {"amount=5000&currency=isk", NULL, INT64_C(50000000000)},    /* as if it had two */
        {"amount=5000&currency=huf", "0.00302", INT64_C(50000000000)},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        int64_t rate = 0, expected = 0;
        CHECK_CASE(ask(&asked, config, "stripe", "/v1/charges", cases[i].body) == COST_AMOUNT,
                   cases[i].body);
        if (cases[i].usd_per_unit != NULL) {
            /* with the margin of 5 %, and rounded up once */
            CHECK(int_parse_decimal(str_from(cases[i].usd_per_unit), 9, &rate));
            CHECK(int_mul_div_up(cases[i].units_nano / 1000, rate * 105, INT64_C(100000000),
                                 &expected));
            CHECK_CASE(asked.cost.nano == expected, cases[i].body);
        }
        CHECK_CASE(asked.cost.nano > 0, cases[i].body);
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
    test_segments(&config);
    test_messages(&config);
    test_mails(&config);
    test_currencies(&config);
    test_settle(&config);
    arena_free(arena);
    return test_done();
}
