/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/facts.h"

#include <string.h>

#include "base/buf.h"
#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* The first selector's fact, as text: "absent", "null", "true", "i5000", "t5000", "#3", "{}"; or
 * the state: "ambiguous", ... */
static struct str show(const struct message_facts *facts, struct arena *arena)
{
    static const char *const states[] = {"unreadable", "ambiguous", "too large", "card"};
    struct message_fact fact = facts_get(facts, 0);
    struct buf out;

    if (facts->state != FACTS_OK) {
        CHECK(facts->fact_count == 0 && facts->problem.len > 0);
        return str_from(states[facts->state]);
    }
    buf_init(&out, 1024);
    switch (fact.kind) {
    case FACT_NULL:
        (void)buf_add_str(&out, STR("null"));
        break;
    case FACT_BOOL:
        (void)buf_add_str(&out, fact.number == 1 ? STR("true") : STR("false"));
        break;
    case FACT_INTEGER:
        (void)buf_addf(&out, "i%lld", (long long)fact.number);
        break;
    case FACT_TEXT:
        (void)buf_addf(&out, "t%.*s", STR_FMT(fact.text));
        break;
    case FACT_COUNT:
        (void)buf_addf(&out, "#%lld", (long long)fact.number);
        break;
    case FACT_NESTED:
        (void)buf_add_str(&out, STR("{}"));
        break;
    default:
        (void)buf_add_str(&out, STR("absent"));
    }
    struct str text = arena_copy(arena, buf_str(&out));
    buf_clear(&out);
    return text;
}

struct one {
    const char *name, *body, *expected;
};

static void check_each(enum body_encoding encoding, enum selector_kind kind,
                       const struct one *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct arena *arena = arena_new();
        struct pack_selector selector = {kind, str_from(cases[i].name)};
        struct pack_read read = {.encoding = encoding,
                                 .selectors = &selector,
                                 .selector_count = 1,
                                 .refuse_card_data = true};
        struct message_facts facts = {.request = 7};

        facts_read(&read, str_from(cases[i].body), arena, &facts);
        struct str shown = show(&facts, arena);
        CHECK_CASE(str_equal(shown, str_from(cases[i].expected)), cases[i].body);
        CHECK(facts.request == 7);
        arena_free(arena);
    }
}

static void test_form(void)
{
    static const struct one cases[] = {
        {"amount", "amount=5000&currency=usd", "i5000"},
        {"amount", "currency=usd&amount=5000", "i5000"},
        {"amount", "amount=%35000", "i5000"},
        {"amount", "amount=0", "i0"},
        {"amount", "&&amount=1&", "i1"},
        {"amount", "amount=9223372036854775807", "i9223372036854775807"},
        {"amount", "currency=usd", "absent"},
        {"amount", "", "absent"},
        {"amount", "amounts=1&xamount=2&amount_to_capture=3&metadata[amount]=4", "absent"},
        {"amount", "description=amount%3D7%26amount%3D8&x=%00", "absent"},
        {"currency", "currency=USD&amount=1", "tUSD"},
        {"a b", "x=1", "absent"},
        {"Body", "Body=hi+there%21", "thi there!"},
        {"transfer_data[destination]", "transfer_data[destination]=acct_1", "tacct_1"},
        {"transfer_data[destination]", "transfer_data%5Bdestination%5d=acct_1", "tacct_1"},
        {"amount_details[tax][total]", "amount_details[tax][total]=12", "i12"},
        /* no amounts */
        {"amount", "amount=1e3", "t1e3"},
        {"amount", "amount=%2B5000", "t+5000"},
        {"amount", "amount=-5000", "t-5000"},
        {"amount", "amount=05000", "t05000"},
        {"amount", "amount=+5000", "t 5000"},
        {"amount", "amount=5000%20", "t5000 "},
        {"amount", "amount=5000.0", "t5000.0"},
        {"amount", "amount=5,000", "t5,000"},
        {"amount", "amount=0x10", "t0x10"},
        {"amount", "amount=", "t"},
        {"amount", "amount=9223372036854775808", "t9223372036854775808"},
        {"amount", "amount=%EF%BC%95", "t\xef\xbc\x95"},
        /* what two servers may read differently */
        {"amount", "amount=10&amount=99999", "ambiguous"},
        {"amount", "amount=10&amount=10", "ambiguous"},
        {"amount", "amount=10&AMOUNT=99999", "ambiguous"},
        {"amount", "Amount=10", "ambiguous"},
        {"amount", "%61mount=10", "ambiguous"},
        {"amount", "amount=10&%61mount=10", "ambiguous"},
        {"amount", "amount[]=1", "ambiguous"},
        {"amount", "amount[0]=1", "ambiguous"},
        {"amount", "amount%5B%5D=1", "ambiguous"},
        {"amount", "[amount]=1", "ambiguous"},
        {"amount", "amount]=1", "ambiguous"},
        {"amount", "amount[=1", "ambiguous"},
        {"amount", "[[amount=1", "ambiguous"},
        {"amount", "amount=1&amount[x]=2", "ambiguous"},
        {"amount", "amount[x]=2&amount=1", "ambiguous"},
        {"amount", "amount[x]=2", "absent"},
        {"amount", "+amount=1", "ambiguous"},
        {"amount", " amount=1", "ambiguous"},
        {"amount", "x=1& amount=1", "ambiguous"},
        {"amount", "amount+=1", "ambiguous"},
        {"amount", "amount%20=1", "ambiguous"},
        {"amount", "amount%00=1", "ambiguous"},
        {"amount", "amount%00x=1", "ambiguous"},
        {"amount", "amount.=1", "ambiguous"},
        {"amount_to_capture", "amount-to-capture=1", "ambiguous"},
        {"amount_to_capture", "amount.to.capture=1", "ambiguous"},
        {"amount_to_capture", "amount+to+capture=1", "ambiguous"},
        {"a[b]", "a[b]=1&a[0][b]=2", "ambiguous"},
        {"a[b]", "a[b]=1&a=2", "ambiguous"},
        {"a[b]", "a[b][]=2", "ambiguous"},
        {"a[b]", "a[[b]]=2", "ambiguous"},
        {"a[b]", "a]b[=2", "ambiguous"},
        {"amount", "amount", "ambiguous"},
        {"amount", "amount=1%00", "ambiguous"},
        {"amount", "amount=%ff", "ambiguous"},
        {"amount", "x=1;amount=2", "ambiguous"},
        {"amount", "amount=1;x=2", "ambiguous"},
        {"amount", "description=a;amount=2&amount=1", "ambiguous"},
        {"amount", "amount=1&x=%", "ambiguous"},
        {"amount", "amount=1&x=%4", "ambiguous"},
        {"amount", "amount=1&x=%zz", "ambiguous"},
        {"amount", "amount=1&%zz=1", "ambiguous"},
        {"amount", "amount=1&%ff=1", "ambiguous"},
        {"amount", "amount=1\r\n", "ambiguous"},
        {"amount", "amount=1&x=\x01", "ambiguous"},
        {"amount", "amount=1&_method=delete", "ambiguous"},
        {"amount", "amount=1&%5Fmethod=delete", "ambiguous"},
        {"amount", "amount=1&method=instant", "i1"},
        {"amount", "--b\r\nContent-Disposition: form-data; name=\"amount\"\r\n\r\n1\r\n--b--",
         "ambiguous"},
        {"amount", "{\"amount\":1}", "unreadable"},
        /* card data */
        {"amount", "amount=1&card[number]=4242424242424242", "card"},
        {"amount", "payment_method_data[card][number]=4242424242424242", "card"},
        {"amount", "payment_method_data%5Bcard%5D%5B%6Eumber%5D=4242424242424242", "card"},
        {"amount", "source[number]=4242424242424242", "card"},
        {"amount", "external_account[number]=4242424242424242", "card"},
        {"amount", "sources[0][NUMBER]=4242424242424242", "card"},
        {"amount", "card[cvc]=123", "card"},
        {"amount", "card[[cvc]]=123", "card"},
        {"amount", "amount=1&metadata[number]=4&number=INV-1", "i1"},
        {"amount", "amount=1&metadata[card][number]=4&card[exp_year]=2030", "i1"},
        {"amount", "amount=1&bank_account[account_number]=000123456789", "i1"},
    };
    check_each(ENCODING_FORM, SELECT_FORM, cases, COUNT(cases));
}

static void test_form_counts(void)
{
    static const struct one counts[] = {
        {"MediaUrl", "To=%2B1555&MediaUrl=http://a&MediaUrl=http://b", "#2"},
        {"MediaUrl", "MediaUrl[]=http://a&mediaurl[1]=http://b&MediaUrl[2]=c", "#3"},
        {"MediaUrl", "To=%2B1555", "#0"},
        {"MediaUrl", "", "#0"},
        {"to", "to=a@x.io,b@x.io&to=c@x.io", "#3"},
        {"to", "to=%ff", "ambiguous"},
        {"to", "to=a;to=b", "ambiguous"},
    };
    static const struct one segments[] = {
        {"Body", "Body=hi+there", "#1"},
        {"Body", "To=%2B1555", "#0"},
        {"Body", "Body=", "#0"},
        {"Body", "Body=%ff", "ambiguous"},
    };
    check_each(ENCODING_FORM, SELECT_COUNT, counts, COUNT(counts));
    check_each(ENCODING_FORM, SELECT_SEGMENTS, segments, COUNT(segments));
}

static void test_json(void)
{
    static const struct one cases[] = {
        {"/amount", "{\"amount\":5000,\"currency\":\"usd\"}", "i5000"},
        {"/amount", "{\"x\":{\"amount\":1},\"amount\":2,\"y\":[{\"amount\":3}]}", "i2"},
        {"/amount/value", "{\"from\":{},\"amount\":{\"value\":1000,\"currency\":\"usd\"}}",
         "i1000"},
        {"/a/1/b", "{\"a\":[{\"b\":1},{\"b\":2},{\"b\":3}]}", "i2"},
        {"/a/1", "{\"a\":{\"1\":\"x\"}}", "tx"},
        {"/a~1b/c~0d", "{\"a/b\":{\"c~d\":true}}", "true"},
        {"/", "{\"\":false}", "false"},
        {"", "{\"a\":1}", "{}"},
        {"/price", "{\"price\":null}", "null"},
        {"/price", "{\"price\":\"-0.00750\"}", "t-0.00750"},
        {"/id", "{\"id\":\"pi_\\u0031\"}", "tpi_1"},
        {"/id", "{\"other\":1}", "absent"},
        {"/id", "[{\"id\":1}]", "absent"},
        {"/id/x", "{\"id\":1}", "absent"},
        {"/id", "", "absent"},
        {"/charge", "{\"charge\":{\"id\":1}}", "{}"},
        {"/charge", "{\"charge\":[]}", "{}"},
        {"/*/from", "[{\"from\":\"a@x\"},{\"from\":\"a@x\"}]", "ta@x"},
        {"/*/from", "[{\"to\":\"a@x\"},{\"from\":\"a@x\"}]", "ta@x"},
        {"/*/from", "[{\"from\":\"a@x\"},{\"from\":\"b@x\"}]", "ambiguous"},
        {"/*/from", "[{\"from\":\"1\"},{\"from\":1}]", "ambiguous"},
        {"/*/from", "[{\"from\":{}},{\"from\":{}}]", "ambiguous"},
        /* no amounts */
        {"/amount", "{\"amount\":1e5}", "t1e5"},
        {"/amount", "{\"amount\":10.0}", "t10.0"},
        {"/amount", "{\"amount\":-0}", "t-0"},
        {"/amount", "{\"amount\":\"5000\"}", "t5000"},
        {"/amount", "{\"amount\":true}", "true"},
        {"/amount", "{\"amount\":-5000}", "i-5000"},
        {"/amount", "{\"amount\":[5000]}", "{}"},
        /* what two parsers may read differently */
        {"/max_tokens", "{\"max_tokens\":10,\"max_tokens\":99999}", "ambiguous"},
        {"/max_tokens", "{\"MAX_TOKENS\":10,\"max_tokens\":99999}", "ambiguous"},
        {"/max_tokens", "{\"MAX_TOKENS\":10}", "ambiguous"},
        {"/max_tokens", "{\"max\\u005ftokens\":10}", "ambiguous"},
        {"/max_tokens", "{\"x\":{\"y\":1,\"y\":2},\"max_tokens\":10}", "ambiguous"},
        {"/max_tokens", "{\"max_tokens\":10,\"x\":\"\\u0041\",\"\\u0042\":1}", "i10"},
        {"/a/b", "{\"a\":{\"b\":1},\"A\":{\"b\":2}}", "ambiguous"},
        {"/a/b", "{\"c\":{\"B\":1},\"a\":{\"b\":1}}", "i1"},
        {"/max_tokens", "{\"max_tokens\":99999999999999999999}", "ambiguous"},
        {"/max_tokens", "{\"max_tokens\":10} trailing", "unreadable"},
        {"/max_tokens", "{\"max_tokens\":10}{\"max_tokens\":99}", "unreadable"},
        {"/max_tokens", "{\"max_tokens\":010}", "unreadable"},
        {"/max_tokens", "{\"max_tokens\":10,}", "unreadable"},
        {"/max_tokens", "{/*c*/\"max_tokens\":10}", "unreadable"},
        {"/max_tokens", "{\"max_tokens\":NaN}", "unreadable"},
        {"/max_tokens", "\xef\xbb\xbf{\"max_tokens\":10}", "unreadable"},
        {"/max_tokens", "max_tokens=10", "unreadable"},
        {"/max_tokens", "\x1f\x8b\x08", "unreadable"},
        /* card data */
        {"/a", "{\"card\":{\"number\":\"4242424242424242\"}}", "card"},
        {"/a", "{\"x\":[{\"card\":{\"exp\":1,\"CVC\":\"1\"}}]}", "card"},
        {"/a", "{\"card\":{\"n\\u0075mber\":\"4242424242424242\"}}", "card"},
        {"/a", "{\"number\":\"INV-1\",\"a\":1}", "i1"},
        {"/a", "{\"metadata\":{\"number\":1,\"card\":{\"number\":1}},\"a\":1}", "i1"},
    };
    check_each(ENCODING_JSON, SELECT_POINTER, cases, COUNT(cases));
}

static void test_json_counts(void)
{
    static const struct one counts[] = {
        {"/to", "{\"to\":\"a@x.io\"}", "#1"},
        {"/to", "{\"to\":\"a@x.io, b@x.io\"}", "#2"},
        {"/to", "{\"to\":[\"a@x.io\",\"b@x.io, c@x.io\"]}", "#3"},
        {"/to", "{\"to\":[]}", "#0"},
        {"/to", "{\"to\":null}", "#0"},
        {"/to", "{\"to\":{\"email\":\"a@x.io\"}}", "#1"},
        {"/to", "{\"to\":7}", "#1"},
        {"/to", "{\"cc\":[\"a@x.io\"]}", "#0"},
        {"/to", "{\"to\":[{\"email\":\"a@x.io\"},{\"email\":\"b@x.io\",\"x\":[1,2]},null]}", "#2"},
        {"/to", "{\"to\":[[\"a@x.io\"]]}", "ambiguous"},
        {"/to", "{\"to\":[],\"To\":[\"a@x.io\"]}", "ambiguous"},
        {"/*/to", "[{\"to\":\"a@x.io\"},{\"to\":[\"b@x.io\",\"c@x.io\"]},{\"x\":1}]", "#3"},
        {"/*/to", "{\"a\":{\"to\":\"a@x.io\"},\"b\":{\"to\":\"b@x.io\"}}", "#2"},
        {"/personalizations/*/to",
         "{\"personalizations\":[{\"to\":[{\"email\":\"a\"}]},"
         "{\"to\":[{\"email\":\"b\"},{\"email\":\"c\"}]}]}",
         "#3"},
        {"", "[{},{},{}]", "#3"},
        {"", "{\"a\":1}", "#1"},
        {"to", "{\"to\":[\"a\",\"b\"]}", "#0"},
    };
    static const struct one segments[] = {
        {"/body", "{\"body\":\"hi\"}", "#1"},
        {"/body", "{\"body\":[\"hi\",\"there\"]}", "#2"},
        {"/body", "{}", "#0"},
    };
    check_each(ENCODING_JSON, SELECT_COUNT, counts, COUNT(counts));
    check_each(ENCODING_JSON, SELECT_SEGMENTS, segments, COUNT(segments));
}

static void test_any(void)
{
    static const struct one form[] = {
        {"a", "a=1", "i1"},
        {"a", "--b\r\n", "unreadable"},
        {"a", " {\"a\":1}", "absent"},
    };
    static const struct one json[] = {
        {"/a", "{\"a\":1}", "i1"},
        {"/a", " \n[1]", "absent"},
        {"/a", "a=1", "absent"},
        {"/a", "{a=1", "unreadable"},
    };
    static const struct one multipart[] = {{"a", "--b\r\n\r\n--b--", "unreadable"}};
    check_each(ENCODING_ANY, SELECT_FORM, form, COUNT(form));
    check_each(ENCODING_ANY, SELECT_POINTER, json, COUNT(json));
    check_each(ENCODING_MULTIPART, SELECT_FORM, multipart, COUNT(multipart));
}

/* What only has to stand once is refused when it does not, and gives no fact. */
static void test_once(void)
{
    static const struct {
        enum facts_state state;
        const char *body;
    } cases[] = {
        {FACTS_OK, "amount=1&confirm=true"},
        {FACTS_OK, "amount=1&confirmation_method=manual"},
        {FACTS_AMBIGUOUS, "amount=1&confirm=false&confirm=true"},
        {FACTS_AMBIGUOUS, "amount=1&c%6Fnfirm=true"},
        {FACTS_AMBIGUOUS, "amount=1&confirm[]=true"},
        {FACTS_AMBIGUOUS, "amount=1&CONFIRM=true"},
        {FACTS_AMBIGUOUS, "amount=1&amount[value]=2"},
        {FACTS_CARD_DATA, "amount=1&card[number]=4242"},
    };
    struct pack_selector selectors[] = {{SELECT_FORM, STR("amount")},
                                        {SELECT_POINTER, STR("/amount")}};
    struct str once[] = {STR("amount"), STR("confirm"), STR("amount[value]")};
    struct pack_read read = {.encoding = ENCODING_FORM,
                             .selectors = selectors,
                             .selector_count = 2,
                             .once = once,
                             .once_count = 3,
                             .refuse_card_data = true};

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct message_facts facts = {.request = 0};
        facts_read(&read, str_from(cases[i].body), arena, &facts);
        CHECK_CASE(facts.state == cases[i].state, cases[i].body);
        CHECK(facts.state != FACTS_OK || facts.fact_count == 2);
        CHECK(facts_get(&facts, 1).kind == FACT_ABSENT);
        CHECK(facts_get(&facts, PACK_NONE).kind == FACT_ABSENT);
        arena_free(arena);
    }
    CHECK(facts_get(NULL, 0).kind == FACT_ABSENT);
}

/* A rule that asks for nothing is content with any bytes. */
static void test_nothing_asked(void)
{
    struct pack_read read = {.encoding = ENCODING_JSON};
    struct message_facts facts = {.request = 0};
    struct arena *arena = arena_new();

    facts_read(&read, STR("\x01 no JSON"), arena, &facts);
    CHECK(facts.state == FACTS_OK && facts.fact_count == 0);
    read.encoding = ENCODING_MULTIPART;
    facts_read(&read, STR("--b"), arena, &facts);
    CHECK(facts.state == FACTS_OK);
    arena_free(arena);
}

static void test_limits(void)
{
    struct pack_selector selector = {SELECT_FORM, STR("x")};
    struct pack_read read = {
        .encoding = ENCODING_FORM, .selectors = &selector, .selector_count = 1};
    static const struct {
        size_t pairs, value;
        enum facts_state state;
    } cases[] = {
        {4096, 1, FACTS_OK},
        {4097, 1, FACTS_TOO_LARGE},
        {1, FACTS_TEXT_MAX, FACTS_OK},
        {1, FACTS_TEXT_MAX + 1, FACTS_TOO_LARGE},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct message_facts facts = {.request = 0};
        struct arena *arena = arena_new();
        struct buf body;

        buf_init(&body, 1024 * 1024);
        (void)buf_add_str(&body, STR("x="));
        memset(buf_room(&body, cases[i].value), 'y', cases[i].value);
        buf_added(&body, cases[i].value);
        for (size_t n = 1; n < cases[i].pairs; n++) {
            (void)buf_add_str(&body, STR("&a=b"));
        }
        facts_read(&read, buf_str(&body), arena, &facts);
        CHECK(facts.state == cases[i].state);
        buf_clear(&body);
        arena_free(arena);
    }
    read.selector_count = FACTS_SELECTORS_MAX + 1;
    struct pack_selector many[FACTS_SELECTORS_MAX + 1] = {{SELECT_FORM, STR_NONE}};
    struct message_facts facts = {.request = 0};
    struct arena *arena = arena_new();
    read.selectors = many;
    facts_read(&read, STR("x=1"), arena, &facts);
    CHECK(facts.state == FACTS_UNREADABLE && facts.fact_count == 0);
    arena_free(arena);
}

static void test_query(void)
{
    static const struct {
        const char *query, *value; /* NULL: not there */
        bool twice;
    } cases[] = {
        {"", NULL, false},
        {"x=1", NULL, false},
        {"destination=acct_1", "acct_1", false},
        {"a=1&destination=acct%5F1&", "acct_1", false},
        {"destination=acct_1&destination=acct_2", "acct_1", true},
        {"destination=acct_1&Destination=acct_2", "acct_1", true},
        {"d%65stination=acct_1", NULL, true},
        {"destination[]=acct_1", NULL, true},
        {"destination=acct_1&x=%zz", "acct_1", true},
        {"x=1;destination=acct_1", NULL, true},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct str value = STR_NONE;
        bool twice = !cases[i].twice;
        bool there =
            facts_query_value(str_from(cases[i].query), STR("destination"), arena, &value, &twice);
        CHECK_CASE(there == (cases[i].value != NULL), cases[i].query);
        CHECK_CASE(!there || str_equal(value, str_from(cases[i].value)), cases[i].query);
        CHECK_CASE(twice == cases[i].twice, cases[i].query);
        arena_free(arena);
    }
}

static void test_query_touches(void)
{
    static const struct {
        const char *query;
        const char *form, *json; /* what is named; NULL: touches nothing */
    } cases[] = {
        {"", NULL, NULL},
        {"expand[0]=latest_charge&limit=3", NULL, NULL},
        {"amount=99999", "amount", "amount[value]"},
        {"x=1&Amount=99999", "amount: stands there in another spelling", "amount[value]"},
        {"amount[]=99999", "amount: stands there in another spelling", "amount[value]"},
        {"amount[x]=99999", "amount", NULL},
        {"amount[value]=99999", "amount", "amount[value]"},
        {"amount[VALUE]=99999", "amount", "amount[value]: stands there in another spelling"},
        {"%61mount=99999", "amount: stands there in another spelling", "amount[value]"},
        {"confirm=true", "confirm", NULL},
        {"To=1", "to", "to: stands there in another spelling"},
        {"a;amount=1", "a ';' that is not percent-encoded", "a ';' that is not percent-encoded"},
        {"x=%", "bad percent-encoding", "bad percent-encoding"},
    };
    struct pack_selector selectors[] = {{SELECT_FORM, STR("amount")}, {SELECT_COUNT, STR("to")}};
    struct pack_selector pointers[] = {{SELECT_POINTER, STR("/amount/value")},
                                       {SELECT_COUNT, STR("/to")}};
    struct str once[] = {STR("confirm")};
    struct pack_read form = {.encoding = ENCODING_FORM,
                             .selectors = selectors,
                             .selector_count = 2,
                             .once = once,
                             .once_count = 1};
    struct pack_read json = {.encoding = ENCODING_JSON, .selectors = pointers, .selector_count = 2};

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct str query = str_from(cases[i].query), name = STR_NONE;
        bool touches = facts_query_touches(&form, query, arena, &name);
        CHECK_CASE(touches == (cases[i].form != NULL), cases[i].query);
        CHECK_CASE(!touches || str_equal(name, str_from(cases[i].form)), cases[i].query);
        touches = facts_query_touches(&json, query, arena, &name);
        CHECK_CASE(touches == (cases[i].json != NULL), cases[i].query);
        CHECK_CASE(!touches || str_equal(name, str_from(cases[i].json)), cases[i].query);
        arena_free(arena);
    }
}

static void test_json_names(void)
{
    static const struct {
        const char *body, *problem; /* NULL: it is read */
    } cases[] = {
        {"{\"account\":\"acct_1\",\"x\":1}", NULL},
        {"{\"account\":\"acct_1\",\"metadata\":{\"a\":\"acct_2\"}}", NULL},
        {"{\"metadata\":\"acct_2\"}", NULL},
        {"{\"acct_1\":1}", NULL},
        {"{\"x\":\"an acct_1\"}", NULL},
        {"{\"x\":\"acct_1\"}", "x: names an account in a place that is not checked"},
        {"{\"x\":{\"account\":\"acct_1\"}}",
         "account: names an account in a place that is not checked"},
        {"{\"x\":[1,\" Acct_1\"]}", "x: names an account in a place that is not checked"},
        {"{\"x\":\"\\u0061cct_1\"}", "x: names an account in a place that is not checked"},
        {"[\"acct_1\"]", "names an account in a place that is not checked"},
        {"{\"value\":1,\"value\":2}", "value: the same member twice in one object"},
        {"{\"v\\u0061lue\":1,\"value\":2}", "value: the same member twice in one object"},
        {"{\"value\":99999999999999999999}", "value: an integer too large"},
        {"{\"value\":1e999}", "value: a number too large or small"},
        {"{\"value\":1}}", "JSON: something behind the end"},
    };
    struct pack_selector account = {SELECT_POINTER, STR("/account")};
    struct pack_read read = {.encoding = ENCODING_JSON,
                             .selectors = &account,
                             .selector_count = 1,
                             .account_count = 1,
                             .account_prefix = STR("acct_")};

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena *arena = arena_new();
        struct message_facts facts = {0};
        facts_read(&read, str_from(cases[i].body), arena, &facts);
        CHECK_CASE((facts.state == FACTS_OK) == (cases[i].problem == NULL), cases[i].body);
        CHECK_CASE(cases[i].problem == NULL || facts.state != FACTS_TOO_LARGE, cases[i].body);
        CHECK_CASE(str_equal(facts.problem, str_from(cases[i].problem)), cases[i].body);
        arena_free(arena);
    }
}

int main(void)
{
    test_form();
    test_form_counts();
    test_json();
    test_json_counts();
    test_any();
    test_once();
    test_nothing_asked();
    test_limits();
    test_query();
    test_query_touches();
    test_json_names();
    return test_done();
}
