/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/cost.h"

#include "base/clock.h"
#include "base/test.h"
#include "pack/facts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* STR() is not for static tables. */
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }
#define DOLLAR INT64_C(1000000000)
#define CENT INT64_C(10000000)
#define DAY_MS INT64_C(86400000)
#define NOW_MS (INT64_C(20780) * DAY_MS + 12 * 3600 * 1000) /* 2026-11-23T12:00:00Z */

/* ---- a small vendor ---- */

enum { READ_NOTHING, READ_MONEY, READ_ANSWER, READ_MESSAGE, READ_MAIL, READ_COUNT };
enum { AMOUNT, CURRENCY, CONFIRM };                         /* of READ_MONEY */
enum { ID, STATUS, RECEIVED, ANSWER_CURRENCY, ANSWER_SUM }; /* of READ_ANSWER */
enum { TO, SEGMENTS, MEDIA };                               /* of READ_MESSAGE */
enum { COST_CREATE, COST_PLAIN, COST_REFUND, COST_LATER, COST_MESSAGE, COST_MAIL, COST_CHECK };

static struct pack_selector money_selectors[] = {
    {SELECT_FORM, TEXT("amount")}, {SELECT_FORM, TEXT("currency")}, {SELECT_FORM, TEXT("confirm")}};
static struct pack_selector answer_selectors[] = {{SELECT_POINTER, TEXT("/id")},
                                                  {SELECT_POINTER, TEXT("/status")},
                                                  {SELECT_POINTER, TEXT("/amount_received")},
                                                  {SELECT_POINTER, TEXT("/currency")},
                                                  {SELECT_POINTER, TEXT("/amount")}};
static struct pack_selector message_selectors[] = {
    {SELECT_FORM, TEXT("To")}, {SELECT_SEGMENTS, TEXT("Body")}, {SELECT_COUNT, TEXT("MediaUrl")}};
static struct pack_selector mail_selectors[] = {
    {SELECT_COUNT, TEXT("/to")}, {SELECT_COUNT, TEXT("/cc")}, {SELECT_COUNT, TEXT("/bcc")}};
static struct str money_once[] = {TEXT("amount"), TEXT("currency"), TEXT("confirm")};
static struct pack_read reads[READ_COUNT] = {
    [READ_MONEY] = {.encoding = ENCODING_FORM,
                    .selectors = money_selectors,
                    .selector_count = COUNT(money_selectors),
                    .once = money_once,
                    .once_count = COUNT(money_once)},
    [READ_ANSWER] = {.encoding = ENCODING_JSON,
                     .selectors = answer_selectors,
                     .selector_count = COUNT(answer_selectors)},
    [READ_MESSAGE] = {.encoding = ENCODING_FORM,
                      .selectors = message_selectors,
                      .selector_count = COUNT(message_selectors)},
    [READ_MAIL] = {.encoding = ENCODING_JSON,
                   .selectors = mail_selectors,
                   .selector_count = COUNT(mail_selectors)}};

#define NO_TIMES                                                                                   \
    {                                                                                              \
        PACK_NONE, PACK_NONE, PACK_NONE, PACK_NONE                                                 \
    }
#define MINOR(m, c)                                                                                \
    {                                                                                              \
        .kind = AMOUNT_MINOR, .minor = (m), .currency = (c), .held = PACK_NONE,                    \
        .rate_by = PACK_NONE, .times = NO_TIMES                                                    \
    }
#define KIND(k)                                                                                    \
    {                                                                                              \
        .kind = (k), .minor = PACK_NONE, .currency = PACK_NONE, .held = PACK_NONE,                 \
        .rate_by = PACK_NONE, .times = NO_TIMES                                                    \
    }

static struct pack_condition is_2xx[] = {{CONDITION_STATUS, false, PACK_NONE, TEXT("2xx")}};
static struct pack_condition is_4xx[] = {{CONDITION_STATUS, false, PACK_NONE, TEXT("4xx")}};
static struct pack_condition has_succeeded[] = {
    {CONDITION_STATUS, false, PACK_NONE, TEXT("2xx")},
    {CONDITION_EQUALS, false, STATUS, TEXT("succeeded")}};
static struct pack_condition has_failed[] = {{CONDITION_STATUS, false, PACK_NONE, TEXT("2xx")},
                                             {CONDITION_EQUALS, false, STATUS, TEXT("failed")}};
static struct pack_condition has_sum[] = {{CONDITION_ABSENT, true, ANSWER_SUM, TEXT("")}};
static struct pack_condition not_confirmed[] = {{CONDITION_EQUALS, true, CONFIRM, TEXT("true")}};

static struct pack_settle create_settles[] = {
    {has_succeeded, COUNT(has_succeeded), MINOR(RECEIVED, ANSWER_CURRENCY), false},
    {is_2xx, COUNT(is_2xx), KIND(AMOUNT_KEEP), false}};
static struct pack_settle plain_settles[] = {
    {has_failed, COUNT(has_failed), KIND(AMOUNT_NONE), false},
    {is_2xx, COUNT(is_2xx), MINOR(ANSWER_SUM, ANSWER_CURRENCY), false}};
static struct pack_settle message_settles[] = {
    {is_2xx, COUNT(is_2xx), KIND(AMOUNT_RESERVED), false},
    {is_4xx, COUNT(is_4xx), KIND(AMOUNT_NONE), false}};
static struct pack_settle careless_settles[] = {
    {has_sum, COUNT(has_sum), KIND(AMOUNT_NONE), false}};

static struct pack_cost costs[] = {
    [COST_CREATE] = {.name = TEXT("open"),
                     .request_read = READ_MONEY,
                     .answer_read = READ_ANSWER,
                     .reserve = MINOR(AMOUNT, CURRENCY),
                     .object = ID,
                     .settles = create_settles,
                     .settle_count = COUNT(create_settles)},
    [COST_PLAIN] = {.name = TEXT("plain"),
                    .request_read = READ_MONEY,
                    .answer_read = READ_ANSWER,
                    .reserve = MINOR(AMOUNT, CURRENCY),
                    .object = ID,
                    .settles = plain_settles,
                    .settle_count = COUNT(plain_settles)},
    [COST_REFUND] = {.name = TEXT("refund"),
                     .request_read = READ_MONEY,
                     .answer_read = READ_ANSWER,
                     .reserve = MINOR(AMOUNT, PACK_NONE),
                     .object = ID,
                     .settles = plain_settles,
                     .settle_count = COUNT(plain_settles)},
    [COST_LATER] = {.name = TEXT("later"),
                    .request_read = PACK_NONE,
                    .answer_read = READ_ANSWER,
                    .reserve = KIND(AMOUNT_UNKNOWN),
                    .object = PACK_NONE,
                    .settles = careless_settles,
                    .settle_count = COUNT(careless_settles)},
    [COST_MESSAGE] = {.name = TEXT("message"),
                      .request_read = READ_MESSAGE,
                      .answer_read = PACK_NONE,
                      .reserve = {.at_least_one = true,
                                  .kind = AMOUNT_RATE,
                                  .rate = TEXT("sms"),
                                  .rate_by = TO,
                                  .times = {SEGMENTS, MEDIA, PACK_NONE, PACK_NONE}},
                      .object = PACK_NONE,
                      .settles = message_settles,
                      .settle_count = COUNT(message_settles)},
    [COST_MAIL] = {.name = TEXT("mail"),
                   .request_read = READ_MAIL,
                   .answer_read = PACK_NONE,
                   .reserve = {.at_least_one = true,
                               .kind = AMOUNT_RATE,
                               .rate = TEXT("email"),
                               .rate_by = PACK_NONE,
                               .times = {0, 1, 2, PACK_NONE}},
                   .object = PACK_NONE},
    [COST_CHECK] = {.name = TEXT("check"),
                    .request_read = READ_MONEY,
                    .answer_read = PACK_NONE,
                    .reserve = MINOR(AMOUNT, CURRENCY),
                    .free_if = not_confirmed,
                    .free_if_count = COUNT(not_confirmed),
                    .object = PACK_NONE},
};

static struct pack_exponent exponents[] = {{TEXT("jpy"), 0}, {TEXT("kwd"), 3}, {TEXT("isk"), 2}};
static struct pack_rate rates[] = {
    {TEXT("sms"), TEXT("*"), 150000000, TEXT("test"), 0},
    {TEXT("sms"), TEXT("+1"), 12000000, TEXT("test"), 0},
    {TEXT("sms"), TEXT("+1809"), 300000000, TEXT("test"), 0},
    {TEXT("email"), TEXT("*"), 900000, TEXT("test"), 0},
    {TEXT("call"), TEXT("+1"), 1, TEXT("test"), 0},
};
static uint64_t free_statuses[] = {400, 401, 402, 403, 404, 429};
static struct config_fx fx[] = {
    {TEXT("eur"), INT64_C(1151234567)},
    {TEXT("jpy"), INT64_C(6612345)},
    {TEXT("kwd"), INT64_C(3254000001)},
    {TEXT("isk"), INT64_C(7900000)},
};
static struct pack pack = {.vendor = TEXT("acme"),
                           .exponents = exponents,
                           .exponent_count = COUNT(exponents),
                           .rates = rates,
                           .rate_count = COUNT(rates),
                           .costs = costs,
                           .cost_count = COUNT(costs),
                           .free_statuses = free_statuses,
                           .free_status_count = COUNT(free_statuses)};
static struct config config = {.packs = &pack,
                               .pack_count = 1,
                               .reads = reads,
                               .read_count = READ_COUNT,
                               .fx = fx,
                               .fx_count = COUNT(fx),
                               .fx_as_of_ms = NOW_MS - 3 * DAY_MS,
                               .fx_margin_percent = 5};

struct asked {
    struct arena *arena;
    struct pack_operation operation;
    struct match match;
    struct message_facts facts;
    struct cost_question question;
    struct err err;
    struct cost cost;
};

static void ask(struct asked *asked, uint32_t cost, enum operation_class class, const char *body)
{
    *asked = (struct asked){.arena = arena_new()};
    asked->operation = (struct pack_operation){.name = STR("op"), .class = class, .cost = cost};
    asked->match.operation = &asked->operation;
    asked->question = (struct cost_question){.config = &config,
                                             .pack = &pack,
                                             .match = &asked->match,
                                             .method = STR("POST"),
                                             .flat_price = -1,
                                             .capped = true,
                                             .now_ms = NOW_MS,
                                             .arena = asked->arena};
    uint32_t read = cost_request_read(&pack, &asked->match);
    if (body != NULL && read != PACK_NONE) {
        facts_read(&reads[read], str_from(body), asked->arena, &asked->facts);
        asked->question.facts = &asked->facts;
    }
}

static enum cost_verdict reserve(struct asked *asked)
{
    enum cost_verdict verdict = cost_reserve(&asked->question, &asked->cost, &asked->err);

    /* Nothing but an amount sets anything aside, and every refusal has its sentence. */
    CHECK(verdict == COST_AMOUNT || asked->cost.nano == 0);
    CHECK(verdict == COST_AMOUNT || verdict == COST_NOTHING || asked->err.text[0] != '\0');
    return verdict;
}

static void done(struct asked *asked)
{
    arena_free(asked->arena);
}

/* ---- reserving ---- */

static void test_amounts(void)
{
    static const struct {
        const char *body;
        enum cost_verdict verdict;
        int64_t nano;
        const char *rate;
    } cases[] = {
        {"amount=5000&currency=usd", COST_AMOUNT, 50 * DOLLAR, ""},
        {"amount=5000&currency=USD", COST_AMOUNT, 50 * DOLLAR, ""},
        {"amount=0&currency=usd", COST_AMOUNT, 0, ""},
        {"amount=1&currency=usd", COST_AMOUNT, CENT, ""},
        /* 1.151234567 * 1.05 = 1.20879629535 dollars a euro, a cent of it rounded up */
        {"amount=1&currency=eur", COST_AMOUNT, 12087963, "fx 2026-11-20 eur"},
        {"amount=100&currency=eur", COST_AMOUNT, 1208796296, "fx 2026-11-20 eur"},
        {"amount=500&currency=jpy", COST_AMOUNT, INT64_C(3471481125), "fx 2026-11-20 jpy"},
        {"amount=1000&currency=kwd", COST_AMOUNT, INT64_C(3416700002), "fx 2026-11-20 kwd"},
        {"amount=100&currency=isk", COST_AMOUNT, 8295000, "fx 2026-11-20 isk"},
        {"amount=100000000000&currency=usd", COST_AMOUNT, COST_NANO_MAX, ""},
        /* refused */
        {"amount=100000000001&currency=usd", COST_UNKNOWN, 0, ""},
        {"amount=9223372036854775807&currency=usd", COST_UNKNOWN, 0, ""},
        {"amount=9223372036854775807&currency=jpy", COST_UNKNOWN, 0, ""},
        {"amount=5000&currency=xyz", COST_UNKNOWN, 0, ""},
        {"amount=100", COST_AMOUNT, 1208796296, "fx 2026-11-20 eur"},
        {"currency=usd", COST_UNKNOWN, 0, ""},
        {"", COST_UNKNOWN, 0, ""},
        {NULL, COST_UNKNOWN, 0, ""},
        {"amount=5e3&currency=usd", COST_AMBIGUOUS, 0, ""},
        {"amount=-5000&currency=usd", COST_AMBIGUOUS, 0, ""},
        {"amount=&currency=usd", COST_AMBIGUOUS, 0, ""},
        {"amount=50.00&currency=usd", COST_AMBIGUOUS, 0, ""},
        {"amount=9223372036854775808&currency=usd", COST_AMBIGUOUS, 0, ""},
        {"amount=5000&currency=us", COST_AMBIGUOUS, 0, ""},
        {"amount=5000&currency=dollar", COST_AMBIGUOUS, 0, ""},
        {"amount=5000&currency=us%24", COST_AMBIGUOUS, 0, ""},
        {"amount=5000&currency=840", COST_AMBIGUOUS, 0, ""},
        {"amount=5000&currency=usd&amount=1", COST_AMBIGUOUS, 0, ""},
        {"amount=5000&currency=usd&%63urrency=jpy", COST_AMBIGUOUS, 0, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        const char *what = cases[i].body == NULL ? "no body" : cases[i].body;
        ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, cases[i].body);
        CHECK_CASE(reserve(&asked) == cases[i].verdict, what);
        CHECK_CASE(asked.cost.nano == cases[i].nano, what);
        CHECK_CASE(str_equal(asked.cost.rate, str_from(cases[i].rate)), what);
        done(&asked);
    }
}

static void test_currency_is_kept(void)
{
    struct asked asked;

    ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, "amount=500&currency=JPY");
    CHECK(reserve(&asked) == COST_AMOUNT);
    CHECK(asked.cost.amount_minor == 500 && str_equal(asked.cost.currency, STR("jpy")));
    done(&asked);
}

/* A refund names no currency: the dearest one bounds it. */
static void test_dearest(void)
{
    struct config without_fx = config;
    struct asked asked;

    ask(&asked, COST_REFUND, CLASS_MONEY_OUT, "charge=ch_1&amount=1000");
    CHECK(reserve(&asked) == COST_AMOUNT);
    CHECK(asked.cost.nano == INT64_C(12087962954)); /* of euros; a dinar has 1000 */
    CHECK(str_equal(asked.cost.rate, STR("fx 2026-11-20 eur")) && asked.cost.currency.len == 0);
    without_fx.fx_count = 0;
    asked.question.config = &without_fx;
    CHECK(reserve(&asked) == COST_AMOUNT && asked.cost.nano == 10 * DOLLAR);
    struct config aged = config;
    aged.fx_as_of_ms = NOW_MS - 31 * DAY_MS;
    asked.question.config = &aged;
    CHECK(reserve(&asked) == COST_FX_STALE);
    done(&asked);
    ask(&asked, COST_REFUND, CLASS_MONEY_OUT, "charge=ch_1");
    CHECK(reserve(&asked) == COST_UNKNOWN);
    done(&asked);
    ask(&asked, COST_REFUND, CLASS_MONEY_OUT, "charge=ch_1&amount=99999999999");
    CHECK(reserve(&asked) == COST_UNKNOWN);
    done(&asked);
}

static void test_fx_age(void)
{
    static const struct {
        int64_t days;
        enum cost_verdict verdict;
        const char *rate;
    } cases[] = {
        {-2, COST_AMOUNT, "fx 2026-11-25 eur"},
        {0, COST_AMOUNT, "fx 2026-11-23 eur"},
        {7, COST_AMOUNT, "fx 2026-11-16 eur"},
        {8, COST_AMOUNT, "fx 2026-11-15 eur, 8 days old"},
        {30, COST_AMOUNT, "fx 2026-10-24 eur, 30 days old"},
        {31, COST_FX_STALE, ""},
        {4000, COST_FX_STALE, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct config aged = config;
        struct asked asked;
        aged.fx_as_of_ms = NOW_MS - cases[i].days * DAY_MS;
        ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, "amount=1&currency=eur");
        asked.question.config = &aged;
        CHECK(reserve(&asked) == cases[i].verdict);
        CHECK_CASE(str_equal(asked.cost.rate, str_from(cases[i].rate)), asked.cost.rate.data);
        done(&asked);

        ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, "amount=1&currency=usd");
        asked.question.config = &aged;
        CHECK(reserve(&asked) == COST_AMOUNT && asked.cost.nano == CENT);
        done(&asked);
    }
}

static void test_query(void)
{
    static const char *const queries[] = {
        "amount=99999", "Amount=1", "confirm=true", "currency[]=usd", "%61mount=1", "x=1;amount=1",
    };
    struct asked asked;

    for (size_t i = 0; i < COUNT(queries); i++) {
        ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, "amount=5000&currency=usd");
        asked.question.query = str_from(queries[i]);
        CHECK_CASE(reserve(&asked) == COST_AMBIGUOUS, queries[i]);
        done(&asked);
        ask(&asked, COST_CHECK, CLASS_MONEY_IN, "");
        asked.question.query = str_from(queries[i]);
        CHECK_CASE(reserve(&asked) == COST_AMBIGUOUS, queries[i]);
        done(&asked);
    }
    ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, "amount=5000&currency=usd");
    asked.question.query = STR("expand[0]=latest_charge");
    CHECK(reserve(&asked) == COST_AMOUNT);
    done(&asked);
}

static void test_free_if(void)
{
    static const struct {
        const char *body;
        enum cost_verdict verdict;
    } cases[] = {
        {"amount=1&currency=usd", COST_NOTHING},
        {"amount=1&currency=usd&confirm=false", COST_NOTHING},
        {"confirm=false", COST_NOTHING},
        {"amount=1&currency=usd&confirm=true", COST_AMOUNT},
        {"amount=1&currency=usd&confirm=True", COST_AMOUNT},
        {"amount=1&currency=usd&confirm=1", COST_AMOUNT},
        {"amount=1&currency=usd&confirm=", COST_AMOUNT},
        {"amount=1&currency=usd&confirm[]=true", COST_AMBIGUOUS},
        {"confirm=true", COST_UNKNOWN},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        ask(&asked, COST_CHECK, CLASS_MONEY_IN, cases[i].body);
        CHECK_CASE(reserve(&asked) == cases[i].verdict, cases[i].body);
        done(&asked);
    }
}

static void test_rates(void)
{
    static const struct pack_rate own[] = {{TEXT("sms"), TEXT("+1"), 7000000, TEXT("own"), 0},
                                           {TEXT("other"), TEXT("*"), 1, TEXT("own"), 0}};
    static const struct {
        uint32_t cost;
        const char *body;
        bool own;
        int64_t nano;
        const char *rate;
    } cases[] = {
        {COST_MESSAGE, "To=%2B15551234567&Body=hi", false, 12000000, "sms +1"},
        {COST_MESSAGE, "To=%2B18095551234&Body=hi", false, 300000000, "sms +1809"},
        {COST_MESSAGE, "To=%2B4479&Body=hi", false, 150000000, "sms *"},
        {COST_MESSAGE, "To=whatsapp%3A%2B15551234567&Body=hi", false, 150000000, "sms *"},
        {COST_MESSAGE, "To=15551234567&Body=hi", false, 150000000, "sms *"},
        {COST_MESSAGE, "Body=hi", false, 150000000, "sms *"},
        {COST_MESSAGE, "To=%2B1555", false, 12000000, "sms +1"},
        {COST_MESSAGE, "To=%2B1555&MediaUrl=a&MediaUrl=b&Body=x", false, 36000000, "sms +1"},
        {COST_MESSAGE, "To=%2B1555&Body=hi", true, 7000000, "sms +1, operator's price"},
        {COST_MESSAGE, "To=%2B1809555&Body=hi", true, 300000000, "sms +1809"},
        {COST_MESSAGE, "To=%2B1+(809)-555.1&Body=hi", false, 300000000, "sms +1809"},
        {COST_MESSAGE, "To=+%2B1809555&Body=hi", false, 150000000, "sms *"},
        {COST_MESSAGE, "To=%2B4479&Body=hi", true, 150000000, "sms *"},
        {COST_MAIL, "{\"to\":\"a@x.io\"}", false, 900000, "email *"},
        {COST_MAIL, "{\"to\":[\"a@x.io\",\"b@x.io, c@x.io\"],\"cc\":\"d@x.io\",\"bcc\":null}",
         false, 3600000, "email *"},
        {COST_MAIL, "{}", false, 900000, "email *"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        ask(&asked, cases[i].cost, CLASS_PAY, cases[i].body);
        asked.question.prices = cases[i].own ? own : NULL;
        asked.question.price_count = cases[i].own ? COUNT(own) : 0;
        CHECK_CASE(reserve(&asked) == COST_AMOUNT, cases[i].body);
        CHECK_CASE(asked.cost.nano == cases[i].nano, cases[i].body);
        CHECK_CASE(str_equal(asked.cost.rate, str_from(cases[i].rate)), cases[i].body);
        CHECK(asked.cost.currency.len == 0 && asked.cost.amount_minor == 0);
        done(&asked);
    }
}

static void test_rates_refused(void)
{
    struct pack bare = pack;
    struct asked asked;

    bare.rates = rates + 1; /* no "*" for sms */
    bare.rate_count = 2;
    ask(&asked, COST_MESSAGE, CLASS_PAY, "To=%2B4479&Body=hi");
    asked.question.pack = &bare;
    CHECK(reserve(&asked) == COST_UNKNOWN);
    asked.question.capped = false;
    CHECK(reserve(&asked) == COST_NOTHING);
    asked.question.capped = true;
    asked.question.flat_price = 5;
    CHECK(reserve(&asked) == COST_AMOUNT && asked.cost.nano == 5);
    done(&asked);

    ask(&asked, COST_MESSAGE, CLASS_PAY, "To=%2B1&To=%2B1809&Body=hi");
    CHECK(reserve(&asked) == COST_AMBIGUOUS);
    done(&asked);
    ask(&asked, COST_MAIL, CLASS_PAY, "{\"to\":[\"a@x.io\"]} {}");
    CHECK(reserve(&asked) == COST_AMBIGUOUS);
    done(&asked);
}

static void test_flat_and_unknown(void)
{
    static const struct {
        uint32_t cost; /* PACK_COUNT: not in the catalogue */
        enum operation_class class;
        const char *method;
        int64_t flat;
        bool capped;
        enum cost_verdict verdict;
    } cases[] = {
        /* in the catalogue, without a rule */
        {PACK_NONE, CLASS_READ, "GET", -1, true, COST_NOTHING},
        {PACK_NONE, CLASS_READ, "GET", 7, true, COST_NOTHING},
        {PACK_NONE, CLASS_WRITE, "POST", 7, true, COST_AMOUNT},
        {PACK_NONE, CLASS_ADMIN, "POST", -1, true, COST_NOTHING},
        {PACK_NONE, CLASS_UNBOUNDED, "POST", -1, true, COST_UNKNOWN},
        {PACK_NONE, CLASS_UNBOUNDED, "POST", -1, false, COST_NOTHING},
        {PACK_NONE, CLASS_UNBOUNDED, "POST", 7, true, COST_AMOUNT},
        {PACK_NONE, CLASS_PAY, "POST", -1, true, COST_UNKNOWN},
        {PACK_NONE, CLASS_PAY, "POST", 7, true, COST_AMOUNT},
        {PACK_NONE, CLASS_MONEY_OUT, "POST", 7, true, COST_UNKNOWN},
        {PACK_NONE, CLASS_MONEY_IN, "POST", 7, true, COST_UNKNOWN},
        /* with one that does not know yet */
        {COST_LATER, CLASS_PAY, "POST", -1, true, COST_UNKNOWN},
        {COST_LATER, CLASS_PAY, "POST", 7, true, COST_AMOUNT},
        {COST_LATER, CLASS_MONEY_IN, "POST", -1, true, COST_UNKNOWN},
        {COST_LATER, CLASS_MONEY_IN, "POST", 7, true, COST_UNKNOWN},
        {COST_LATER, CLASS_MONEY_IN, "POST", -1, false, COST_NOTHING},
        /* a price does not stand in for an amount */
        {COST_PLAIN, CLASS_MONEY_OUT, "POST", 7, true, COST_UNKNOWN},
        /* nor an absurd one */
        {PACK_NONE, CLASS_PAY, "POST", INT64_MAX, true, COST_UNKNOWN},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct asked asked;
        ask(&asked, cases[i].cost, cases[i].class, NULL);
        asked.question.method = str_from(cases[i].method);
        asked.question.flat_price = cases[i].flat;
        asked.question.capped = cases[i].capped;
        CHECK(reserve(&asked) == cases[i].verdict);
        CHECK(asked.cost.nano == (cases[i].verdict == COST_AMOUNT ? 7 : 0));
        done(&asked);
    }
}

static void test_unlisted_and_generic(void)
{
    static const struct {
        bool generic;
        const char *method;
        int64_t flat;
        bool capped;
        enum cost_verdict verdict;
    } cases[] = {
        {false, "GET", -1, true, COST_NOTHING},      {false, "HEAD", 7, true, COST_NOTHING},
        {false, "POST", -1, true, COST_UNKNOWN},     {false, "DELETE", -1, true, COST_UNKNOWN},
        {false, "POST", -1, false, COST_NOTHING},    {false, "POST", 7, true, COST_AMOUNT},
        {true, "POST", -1, true, COST_NOTHING},      {true, "POST", 7, true, COST_AMOUNT},
        {true, "GET", 7, true, COST_AMOUNT},         {true, "GET", -1, true, COST_NOTHING},
        {false, "PROPFIND", -1, true, COST_UNKNOWN},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct pack some = pack;
        struct asked asked;
        some.generic = cases[i].generic;
        ask(&asked, PACK_NONE, CLASS_READ, NULL);
        asked.match.operation = NULL;
        asked.question.pack = &some;
        asked.question.method = str_from(cases[i].method);
        asked.question.flat_price = cases[i].flat;
        asked.question.capped = cases[i].capped;
        CHECK_CASE(reserve(&asked) == cases[i].verdict, cases[i].method);
        CHECK(asked.cost.nano == (cases[i].verdict == COST_AMOUNT ? 7 : 0));
        CHECK(cost_request_read(&some, &asked.match) == PACK_NONE);
        CHECK(cost_answer_read(&some, &asked.match) == PACK_NONE);
        done(&asked);
    }
}

static void test_unreadable(void)
{
    static const enum facts_state states[] = {FACTS_UNREADABLE, FACTS_AMBIGUOUS, FACTS_TOO_LARGE,
                                              FACTS_CARD_DATA};

    for (size_t i = 0; i < COUNT(states); i++) {
        struct message_facts facts = {.state = states[i], .problem = STR("why")};
        struct asked asked;
        ask(&asked, COST_CHECK, CLASS_MONEY_IN, NULL);
        asked.question.facts = &facts;
        CHECK(reserve(&asked) == COST_AMBIGUOUS);
        done(&asked);
    }
}

/* ---- settling ---- */

struct settled_case {
    const char *what;
    uint32_t cost;
    const char *request;
    enum outcome outcome;
    uint32_t status;
    bool complete;
    const char *answer; /* NULL: not read */
    enum hold_state state;
    int64_t posted, held;
    const char *object;
    bool estimated, overrun;
};

static void check_settled(const struct settled_case *c)
{
    struct message_outcome outcome = {
        .outcome = c->outcome, .status = c->status, .complete = c->complete};
    struct message_facts answer = {.request = 0};
    struct settlement settled;
    struct asked asked;

    ask(&asked, c->cost, CLASS_MONEY_IN, c->request);
    CHECK_CASE(reserve(&asked) == COST_AMOUNT, c->what);
    if (c->answer != NULL) {
        facts_read(&reads[READ_ANSWER], str_from(c->answer), asked.arena, &answer);
    }
    cost_settle(&asked.question, &asked.cost, &outcome, c->answer == NULL ? NULL : &answer,
                &settled);
    CHECK_CASE(settled.state == c->state, c->what);
    CHECK_CASE(settled.posted == c->posted && settled.held == c->held, c->what);
    CHECK_CASE(str_equal(settled.object, str_from(c->object)), c->what);
    CHECK_CASE(settled.estimated == c->estimated && settled.overrun == c->overrun, c->what);
    done(&asked);
}

#define FIFTY "amount=5000&currency=usd"
#define YES OUTCOME_ANSWERED
#define D50 (50 * DOLLAR)
#define INTENT(status, received)                                                                   \
    "{\"id\":\"pi_1\",\"amount\":5000,\"amount_received\":" received                               \
    ",\"currency\":\"usd\",\"status\":\"" status "\"}"
#define MOVED(id, amount, status)                                                                  \
    "{\"id\":\"" id "\",\"amount\":" amount ",\"currency\":\"usd\",\"status\":\"" status "\"}"

static void test_golden(void)
{
    static const struct settled_case cases[] = {
        {"create 50 -> 0/50", COST_CREATE, FIFTY, YES, 200, true,
         INTENT("requires_confirmation", "0"), HOLD_HELD, 0, D50, "pi_1", false, false},
        {"create+confirm -> 50/0", COST_CREATE, FIFTY "&confirm=true", YES, 200, true,
         INTENT("succeeded", "5000"), HOLD_POSTED, D50, 0, "pi_1", false, false},
        {"create+confirm declined -> 0/0", COST_CREATE, FIFTY "&confirm=true", YES, 402, true,
         "{\"error\":{\"code\":\"card_declined\"}}", HOLD_VOIDED, 0, 0, "", false, false},
        {"create, manual capture -> 0/50", COST_CREATE, FIFTY "&confirm=true", YES, 200, true,
         INTENT("requires_capture", "0"), HOLD_HELD, 0, D50, "pi_1", false, false},
        {"refund 10 -> +10/0", COST_REFUND, "charge=ch_1&amount=1000", YES, 200, true,
         MOVED("re_1", "1000", "succeeded"), HOLD_POSTED, 10 * DOLLAR, 0, "re_1", false, false},
        {"refund that failed -> 0/0", COST_REFUND, "charge=ch_1&amount=1000", YES, 200, true,
         MOVED("re_1", "1000", "failed"), HOLD_VOIDED, 0, 0, "re_1", false, false},
        {"payout 50 -> +50/0", COST_PLAIN, FIFTY, YES, 200, true, MOVED("po_1", "5000", "pending"),
         HOLD_POSTED, D50, 0, "po_1", false, false},
        {"payout without the balance -> 0/0", COST_PLAIN, FIFTY, YES, 400, true,
         "{\"error\":{\"code\":\"balance_insufficient\"}}", HOLD_VOIDED, 0, 0, "", false, false},
        {"less than was asked", COST_PLAIN, FIFTY, YES, 200, true, MOVED("po_1", "4200", "pending"),
         HOLD_POSTED, 42 * DOLLAR, 0, "po_1", false, false},
        {"more than was asked", COST_PLAIN, FIFTY, YES, 200, true, MOVED("po_1", "5001", "pending"),
         HOLD_POSTED, D50 + CENT, 0, "po_1", false, true},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        check_settled(&cases[i]);
    }
}

static void test_no_proof(void)
{
    static const struct settled_case cases[] = {
        {"not sent", COST_PLAIN, FIFTY, OUTCOME_NOT_SENT, 0, false, NULL, HOLD_VOIDED, 0, 0, "",
         false, false},
        {"no answer", COST_PLAIN, FIFTY, OUTCOME_UNKNOWN, 0, false, NULL, HOLD_UNKNOWN, 0, D50, "",
         false, false},
        {"cut 200", COST_PLAIN, FIFTY, YES, 200, false, NULL, HOLD_UNKNOWN, 0, D50, "", false,
         false},
        {"cut 200, yet read", COST_PLAIN, FIFTY, YES, 200, false, MOVED("po_1", "1", "paid"),
         HOLD_UNKNOWN, 0, D50, "", false, false},
        {"cut 402", COST_PLAIN, FIFTY, YES, 402, false, NULL, HOLD_UNKNOWN, 0, D50, "", false,
         false},
        {"408", COST_PLAIN, FIFTY, YES, 408, true, "{}", HOLD_UNKNOWN, 0, D50, "", false, false},
        {"409", COST_PLAIN, FIFTY, YES, 409, true, "{}", HOLD_UNKNOWN, 0, D50, "", false, false},
        {"302", COST_PLAIN, FIFTY, YES, 302, true, NULL, HOLD_UNKNOWN, 0, D50, "", false, false},
        {"500", COST_PLAIN, FIFTY, YES, 500, true, "{}", HOLD_UNKNOWN, 0, D50, "", false, false},
        {"500 with an object in it", COST_PLAIN, FIFTY, YES, 500, true,
         MOVED("po_1", "0", "failed"), HOLD_UNKNOWN, 0, D50, "po_1", false, false},
        {"200, not JSON", COST_PLAIN, FIFTY, YES, 200, true, "<html>", HOLD_POSTED, D50, 0, "",
         true, false},
        {"200, not read", COST_PLAIN, FIFTY, YES, 200, true, NULL, HOLD_POSTED, D50, 0, "", true,
         false},
        {"200, read two ways", COST_PLAIN, FIFTY, YES, 200, true,
         "{\"amount\":1,\"amount\":5000,\"currency\":\"usd\",\"status\":\"x\"}", HOLD_POSTED, D50,
         0, "", true, false},
        {"200 without an amount", COST_PLAIN, FIFTY, YES, 200, true,
         "{\"id\":\"po_1\",\"currency\":\"usd\"}", HOLD_POSTED, D50, 0, "po_1", true, false},
        {"200 with an amount that is none", COST_PLAIN, FIFTY, YES, 200, true,
         MOVED("po_1", "-5000", "paid"), HOLD_POSTED, D50, 0, "po_1", true, false},
        {"200 with a text for an amount", COST_PLAIN, FIFTY, YES, 200, true,
         MOVED("po_1", "\"0\"", "paid"), HOLD_POSTED, D50, 0, "po_1", true, false},
        {"200 without a currency", COST_PLAIN, FIFTY, YES, 200, true,
         "{\"id\":\"po_1\",\"amount\":1}", HOLD_POSTED, D50, 0, "po_1", true, false},
        {"200 in an unknown currency", COST_PLAIN, FIFTY, YES, 200, true,
         "{\"id\":\"po_1\",\"amount\":1,\"currency\":\"xyz\"}", HOLD_POSTED, D50, 0, "po_1", true,
         false},
        {"kept without an id", COST_CREATE, FIFTY, YES, 200, true,
         "{\"status\":\"requires_action\"}", HOLD_POSTED, D50, 0, "", true, false},
        {"kept with an id that is none", COST_CREATE, FIFTY, YES, 200, true,
         "{\"id\":17,\"status\":\"requires_action\"}", HOLD_POSTED, D50, 0, "", true, false},
        {"kept, not read", COST_CREATE, FIFTY, YES, 200, true, NULL, HOLD_POSTED, D50, 0, "", true,
         false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        check_settled(&cases[i]);
    }
}

/* A price of ours, rules about the status alone, and rules that ask for less than they should. */
static void test_settle_prices(void)
{
    static const struct settled_case cases[] = {
        {"sent", COST_MESSAGE, "To=%2B1555&Body=hi", YES, 201, true, NULL, HOLD_POSTED, 12000000, 0,
         "", false, false},
        {"refused as 422", COST_MESSAGE, "To=%2B1555&Body=hi", YES, 422, true, NULL, HOLD_VOIDED, 0,
         0, "", false, false},
        {"500", COST_MESSAGE, "To=%2B1555&Body=hi", YES, 500, true, NULL, HOLD_UNKNOWN, 0, 12000000,
         "", false, false},
        {"no rules", COST_MAIL, "{\"to\":\"a@x.io\"}", YES, 200, true, NULL, HOLD_POSTED, 900000, 0,
         "", true, false},
    };
    struct message_outcome failed = {.outcome = YES, .status = 500, .complete = true};
    struct message_facts answer = {.request = 0};
    struct settlement settled;
    struct asked asked;

    for (size_t i = 0; i < COUNT(cases); i++) {
        check_settled(&cases[i]);
    }
    /* A rule that does not ask for the status says nothing about a 500. */
    ask(&asked, COST_LATER, CLASS_PAY, NULL);
    asked.question.flat_price = 7;
    CHECK(reserve(&asked) == COST_AMOUNT);
    facts_read(&reads[READ_ANSWER], STR("{\"amount\":1}"), asked.arena, &answer);
    cost_settle(&asked.question, &asked.cost, &failed, &answer, &settled);
    CHECK(settled.state == HOLD_UNKNOWN && settled.held == 7);
    failed.status = 200;
    cost_settle(&asked.question, &asked.cost, &failed, &answer, &settled);
    CHECK(settled.state == HOLD_VOIDED);
    /* Outside the catalogue a flat price is due for the request itself. */
    asked.match.operation = NULL;
    failed.status = 500;
    cost_settle(&asked.question, &asked.cost, &failed, NULL, &settled);
    CHECK(settled.state == HOLD_POSTED && settled.posted == 7 && !settled.estimated);
    failed.status = 404;
    cost_settle(&asked.question, &asked.cost, &failed, NULL, &settled);
    CHECK(settled.state == HOLD_VOIDED);
    done(&asked);
}

/* Money that has moved is counted at a stale rate rather than not at all. */
static void test_settle_with_stale_rate(void)
{
    struct message_outcome outcome = {.outcome = YES, .status = 200, .complete = true};
    struct message_facts answer = {.request = 0};
    struct config aged = config;
    struct settlement settled;
    struct asked asked;

    ask(&asked, COST_PLAIN, CLASS_MONEY_OUT, "amount=100&currency=eur");
    CHECK(reserve(&asked) == COST_AMOUNT);
    aged.fx_as_of_ms = NOW_MS - 100 * DAY_MS;
    asked.question.config = &aged;
    facts_read(&reads[READ_ANSWER], STR("{\"amount\":50,\"currency\":\"eur\"}"), asked.arena,
               &answer);
    cost_settle(&asked.question, &asked.cost, &outcome, &answer, &settled);
    CHECK(settled.state == HOLD_POSTED && settled.posted == 604398148 && !settled.estimated);
    done(&asked);
}

static void test_convert(void)
{
    static struct pack_exponent absurd[] = {{TEXT("eur"), 12}};
    struct pack odd = pack;
    struct cost cost = {.nano = -1};
    struct err err;
    struct cost_question question = {
        .config = &config, .pack = &pack, .now_ms = NOW_MS, .arena = arena_new()};

    CHECK(cost_convert(&question, 100, STR("Usd"), &cost, &err) == COST_AMOUNT &&
          cost.nano == DOLLAR && cost.rate.len == 0 && cost.factor == 0);
    CHECK(cost_convert(&question, -1, STR("usd"), &cost, &err) == COST_AMBIGUOUS);
    CHECK(cost_convert(&question, 1, STR(""), &cost, &err) == COST_UNKNOWN);
    CHECK(cost_convert(&question, 1, STR("us"), &cost, &err) == COST_UNKNOWN);
    CHECK(cost_convert(&question, 100, STR("EUR"), &cost, &err) == COST_AMOUNT &&
          str_equal(cost.currency, STR("eur")) && cost.factor > 0);
    odd.exponents = absurd;
    odd.exponent_count = 1;
    question.pack = &odd;
    cost.nano = -1;
    CHECK(cost_convert(&question, 1, STR("eur"), &cost, &err) == COST_UNKNOWN && cost.nano == -1);
    arena_free(question.arena);
}

/* What was set aside by a rate is settled by it, whatever the table has come to say. */
static void test_frozen(void)
{
    static struct config_fx risen[] = {{TEXT("eur"), 2 * DOLLAR}}, none[] = {{TEXT("jpy"), 1}};
    static const struct {
        const char *what;
        struct config_fx *table;
        int64_t age_days;
        bool frozen;
        enum cost_verdict verdict;
    } cases[] = {
        {"as it was", NULL, 0, true, COST_AMOUNT},
        {"risen", risen, 0, true, COST_AMOUNT},
        {"too old by now", NULL, 90, true, COST_AMOUNT},
        {"gone from the table", none, 0, true, COST_AMOUNT},
        {"risen, not frozen", risen, 0, false, COST_AMOUNT},
        {"too old, not frozen", NULL, 90, false, COST_FX_STALE},
        {"gone, not frozen", none, 0, false, COST_UNKNOWN},
    };
    struct cost first = {.nano = 0};
    struct err err;
    struct cost_question question = {
        .config = &config, .pack = &pack, .now_ms = NOW_MS, .arena = arena_new()};

    CHECK(cost_convert(&question, 1000, STR("eur"), &first, &err) == COST_AMOUNT);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct config now = config;
        struct cost cost = {.nano = 0};
        now.fx_as_of_ms = NOW_MS - cases[i].age_days * DAY_MS;
        if (cases[i].table != NULL) {
            now.fx = cases[i].table;
            now.fx_count = 1;
        }
        question.config = &now;
        question.frozen = (struct cost_frozen){.factor = 0};
        if (cases[i].frozen) {
            question.frozen = (struct cost_frozen){first.currency, first.factor};
        }
        CHECK_CASE(cost_convert(&question, 1000, STR("EUR"), &cost, &err) == cases[i].verdict,
                   cases[i].what);
        CHECK_CASE(!cases[i].frozen || (cost.nano == first.nano && cost.factor == first.factor),
                   cases[i].what);
    }
    /* It is of its own currency only, and never of dollars. */
    struct cost yen = {.nano = 0}, dollars = {.nano = 0};
    question.config = &config;
    question.frozen = (struct cost_frozen){STR("usd"), first.factor};
    CHECK(cost_convert(&question, 100, STR("usd"), &dollars, &err) == COST_AMOUNT &&
          dollars.nano == DOLLAR);
    question.frozen = (struct cost_frozen){first.currency, first.factor};
    CHECK(cost_convert(&question, 1000, STR("jpy"), &yen, &err) != COST_AMOUNT ||
          yen.factor != first.factor);
    arena_free(question.arena);
}

int main(void)
{
    test_amounts();
    test_currency_is_kept();
    test_dearest();
    test_fx_age();
    test_query();
    test_free_if();
    test_rates();
    test_rates_refused();
    test_flat_and_unknown();
    test_unlisted_and_generic();
    test_unreadable();
    test_golden();
    test_no_proof();
    test_settle_prices();
    test_settle_with_stale_rate();
    test_convert();
    test_frozen();
    return test_done();
}
