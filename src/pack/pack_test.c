/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/pack.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/test.h"
#include "pack/facts.h"
#include "pack/load.h"
#include "pack/match.h"

static int memfd_of(struct str bytes, int seals)
{
    int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK(fd >= 0);
    CHECK(write(fd, bytes.data, bytes.len) == (ssize_t)bytes.len);
    CHECK(seals == 0 || fcntl(fd, F_ADD_SEALS, seals) == 0);
    return fd;
}

enum { SEALS = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL };

static struct config *open_bytes(struct str bytes, int seals)
{
    struct err err = {.text = ""};
    struct config *config = config_open(memfd_of(bytes, seals), 7, &err);

    CHECK_CASE(config != NULL || err.text[0] != '\0', "a refusal says why");
    return config;
}

/* ---- there and back ---- */

static void check_round_trip(const struct config *before, struct str bytes)
{
    struct config *after = open_bytes(bytes, SEALS);
    struct buf again;

    CHECK(after != NULL);
    if (after == NULL) {
        return;
    }
    buf_init(&again, CONFIG_BYTES_MAX);
    CHECK(after->generation == 7);
    CHECK(after->pack_count == before->pack_count);
    CHECK(wire_encode(&config_schema, after, &again));
    CHECK(str_equal(buf_str(&again), bytes));
    struct match match;
    uint32_t stripe = config_find_pack(after, STR("stripe"));
    CHECK(stripe != PACK_NONE &&
          match_find(&after->packs[stripe], PACK_NONE, STR("POST"), STR("/v1/refunds"), &match));
    CHECK(config_find_pack(after, STR("nobody")) == PACK_NONE);
    CHECK(config_find_pack(after, STR("")) == PACK_NONE);
    buf_clear(&again);
    config_free(after);
    config_free(NULL);
}

static void check_refusals(struct str bytes)
{
    CHECK(open_bytes(bytes, 0) == NULL);             /* not sealed */
    CHECK(open_bytes(bytes, F_SEAL_WRITE) == NULL);  /* may still shrink under us */
    CHECK(open_bytes(bytes, F_SEAL_SHRINK) == NULL); /* may still change */
    CHECK(open_bytes(STR_NONE, SEALS) == NULL);
    CHECK(open_bytes(str_slice(bytes, 0, bytes.len - 1), SEALS) == NULL);
    CHECK(open_bytes(str_slice(bytes, 1, bytes.len), SEALS) == NULL);
    struct err err;
    CHECK(config_open(-1, 1, &err) == NULL);
}

/* ---- indices ---- */

enum broken {
    WHOLE,
    NO_READS,
    NO_UPSTREAM,
    DEFAULT_READ,
    OPERATION_COST,
    MATCH_OPERATION,
    MATCH_UPSTREAM,
    MATCH_PATH,
    COST_READ,
    COST_OBJECT,
    COST_KIND,
    OBJECT_READ,
    FETCH_READ,
    FETCH_SELECTOR,
    EVENTS_COUNT,
    AMOUNT_SELECTOR,
    AMOUNT_TIMES,
    AMOUNT_WITHOUT_CURRENCY,
    FREE_IF_SELECTOR,
    SETTLE_SELECTOR,
    STATUS_WITH_SELECTOR,
    READ_ACCOUNTS,
    BROKEN_COUNT
};

/* The smallest configuration that has one of each; then one number of it is wrong. */
static bool finishes(enum broken broken)
{
    struct pack_selector selector = {SELECT_FORM, STR("amount")};
    struct pack_read reads[2] = {{.encoding = ENCODING_ANY},
                                 {.encoding = ENCODING_FORM,
                                  .selectors = &selector,
                                  .selector_count = 1,
                                  .account_count = broken == READ_ACCOUNTS ? 2 : 1}};
    struct pack_condition free_if = {.kind = broken == STATUS_WITH_SELECTOR ? CONDITION_STATUS
                                                                            : CONDITION_ABSENT,
                                     .selector = broken == FREE_IF_SELECTOR ? 1 : 0};
    struct pack_settle settle = {.amount = {.kind = AMOUNT_MINOR,
                                            .minor = broken == SETTLE_SELECTOR ? 9 : 0,
                                            .currency = 0,
                                            .held = PACK_NONE,
                                            .rate_by = PACK_NONE,
                                            .times = {PACK_NONE, PACK_NONE, PACK_NONE, PACK_NONE}}};
    struct pack_object object = {
        .read = broken == OBJECT_READ ? 2 : 1, .settles = &settle, .settle_count = 1};
    struct pack_fetch fetch = {.read = broken == FETCH_READ ? 0 : 1,
                               .minor = broken == FETCH_SELECTOR ? 1 : 0,
                               .minus = PACK_NONE,
                               .posted = PACK_NONE};
    struct pack_events events = {
        .path = STR("/e"), .read = 1, .count = broken == EVENTS_COUNT ? 1 : 0};
    struct pack_cost cost = {
        .request_read = broken == COST_READ ? 2 : 1,
        .answer_read = 1,
        .reserve = {.kind = AMOUNT_MINOR,
                    .minor = broken == AMOUNT_SELECTOR ? 1 : 0,
                    .currency = broken == AMOUNT_WITHOUT_CURRENCY ? PACK_NONE : 0,
                    .held = PACK_NONE,
                    .rate_by = PACK_NONE,
                    .times = {PACK_NONE, PACK_NONE, PACK_NONE,
                              broken == AMOUNT_TIMES ? 1 : PACK_NONE}},
        .free_if = &free_if,
        .free_if_count = 1,
        .object = broken == COST_OBJECT ? 1 : PACK_NONE,
        .kind = broken == COST_KIND ? 1 : 0,
        .fetches = &fetch,
        .fetch_count = 1,
        .settles = &settle,
        .settle_count = 1};
    struct pack_operation operation = {.name = STR("x.y"),
                                       .cost = broken == OPERATION_COST ? 1 : 0};
    struct pack_match match = {.operation = broken == MATCH_OPERATION ? 1 : 0,
                               .upstream = broken == MATCH_UPSTREAM ? 1 : 0,
                               .method = STR("GET"),
                               .path = broken == MATCH_PATH ? STR("/a//b") : STR("/a/b")};
    struct pack_upstream upstream = {.alias = STR("api"), .is_default = true, .allowed = true};
    struct pack pack = {.vendor = STR("v"),
                        .upstreams = &upstream,
                        .upstream_count = broken == NO_UPSTREAM ? 0 : 1,
                        .default_read = broken == DEFAULT_READ ? 2 : PACK_NONE,
                        .operations = &operation,
                        .operation_count = 1,
                        .matches = &match,
                        .match_count = 1,
                        .objects = &object,
                        .object_count = 1,
                        .events = events,
                        .costs = &cost,
                        .cost_count = 1};
    struct config config = {
        .packs = &pack, .pack_count = 1, .reads = reads, .read_count = broken == NO_READS ? 0 : 2};
    struct arena *arena = arena_new();
    struct err err;
    bool ok = config_finish(&config, arena, &err) == 0;

    arena_free(arena);
    return ok;
}

static void check_indices(void)
{
    for (int i = 0; i < BROKEN_COUNT; i++) {
        char number[16];
        (void)snprintf(number, sizeof(number), "broken %d", i);
        CHECK_CASE(finishes((enum broken)i) == (i == WHOLE), number);
    }
}

/* ---- looking up ---- */

static const struct {
    const char *name;
    bool secret;
} headers[] = {
    {"authorization", true},
    {"Authorization", true},
    {"AUTHORIZATION", true},
    {"Proxy-Authorization", true},
    {"x-api-key", true},
    {"X_API_KEY", true},
    {"xApiKey", true},
    {"api-key", true},
    {"x-goog-api-key", true},
    {"X-Auth-Token", true},
    {"x-access-token", true},
    {"x-amz-security-token", true},
    {"private-token", true},
    {"content-type", false},
    {"authorizations", false},
    {"x-api", false},
    {"stripe-account", false},
    {"idempotency-key", false},
    {"", false},
    {"-_-", false},
    {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
};

static void check_headers(const struct config *config)
{
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
        CHECK_CASE(header_is_credential(config, str_from(headers[i].name)) == headers[i].secret,
                   headers[i].name);
    }
}

static const struct {
    const char *asked, *nearest;
} names[] = {
    {"refund.create", "refunds.create"},
    {"payment_intent.create", "payment_intents.create"},
    {"payment_intents.craete", "payment_intents.create"},
    {"charges.lst", "charges.list"},
    {"charges.list", "charges.list"},
    {"zzzzzzzz", ""},
    {"x", ""},
    {"", ""},
};

static void check_nearest(const struct pack *stripe)
{
    char huge[200];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        CHECK_CASE(str_equal(pack_nearest_operation(stripe, str_from(names[i].asked)),
                             str_from(names[i].nearest)),
                   names[i].asked);
    }
    memset(huge, 'a', sizeof(huge));
    CHECK(pack_nearest_operation(stripe, str_of(huge, sizeof(huge))).len == 0);
    CHECK(pack_find_operation(stripe, STR("refunds.create")) != PACK_NONE);
    CHECK(pack_find_operation(stripe, STR("refunds.creat")) == PACK_NONE);
    CHECK(pack_find_operation(stripe, STR("")) == PACK_NONE);
}

static void check_small_things(const struct pack *stripe, const struct pack *generic)
{
    const struct pack_header *account = pack_find_header(stripe, STR("stripe-account"));
    const struct pack_header *key = pack_find_header(stripe, STR("idempotency-key"));

    CHECK(account != NULL && account->rule == HEADER_ACCOUNTS);
    CHECK(key != NULL && key->rule == HEADER_IDEMPOTENCY);
    CHECK(pack_find_header(stripe, STR("accept")) == NULL);
    CHECK(pack_encoding_of(stripe, STR("/v1/charges")) == ENCODING_FORM);
    CHECK(pack_encoding_of(stripe, STR("/v1/files")) == ENCODING_MULTIPART);
    CHECK(pack_encoding_of(stripe, STR("/v2/core/events")) == ENCODING_JSON);
    CHECK(pack_encoding_of(stripe, STR("/")) == ENCODING_ANY);
    CHECK(pack_encoding_of(generic, STR("/x")) == ENCODING_ANY);
    CHECK(stripe->default_read != PACK_NONE && generic->default_read == PACK_NONE);
    for (int i = 0; i < CLASS_COUNT; i++) {
        enum operation_class class = (enum operation_class)i;
        bool named = class == CLASS_UNBOUNDED || class == CLASS_MINT || class == CLASS_ADMIN;
        CHECK(operation_class_is_guarded(class) == named);
        CHECK(strlen(operation_class_name(class)) > 2);
    }
    CHECK(strcmp(operation_class_name(CLASS_COUNT), "?") == 0);
}

static const struct {
    const char *path, *alias, *rest; /* alias NULL: none */
} hosts[] = {
    {"/verify.twilio.com/v2/Services", "verify", "/v2/Services"},
    {"/API.twilio.com/2010-04-01/Accounts.json", "api", "/2010-04-01/Accounts.json"},
    {"/api.twilio.com", "api", "/"},
    {"/chat.twilio.com/v1/x", "other", "/v1/x"},
    {"/twilio.com/v1/x", NULL, "/twilio.com/v1/x"},
    {"/api.twilio.com.evil.test/x", NULL, "/api.twilio.com.evil.test/x"},
    {"/evil.test/x", NULL, "/evil.test/x"},
    {"/v2/Services", NULL, "/v2/Services"},
    {"/", NULL, "/"},
    {"", NULL, ""},
};

static void check_hosts(const struct pack *twilio)
{
    for (size_t i = 0; i < sizeof(hosts) / sizeof(hosts[0]); i++) {
        struct str path = str_from(hosts[i].path);
        uint32_t upstream = pack_take_host(twilio, &path);
        CHECK_CASE((upstream == PACK_NONE) == (hosts[i].alias == NULL), hosts[i].path);
        CHECK_CASE(str_equal(path, str_from(hosts[i].rest)), hosts[i].path);
        CHECK_CASE(upstream == PACK_NONE || hosts[i].alias == NULL ||
                       str_equal(twilio->upstreams[upstream].alias, str_from(hosts[i].alias)),
                   hosts[i].path);
    }
}

/* An account under a key that nobody compares with the key's accounts is not passed over. */
static void check_hidden_accounts(const struct config *config, const struct pack *stripe,
                                  struct arena *arena)
{
    static const struct {
        const char *body;
        bool hidden;
    } rows[] = {
        {"on_behalf_of=acct_1", false},
        {"payment_intent_data[transfer_data][destination]=acct_1", false},
        {"phases[0][transfer_data][destination]=acct_1", true},
        {"invoice_settings[issuer][account]=acct_1", true},
        {"default_settings%5Bon_behalf_of%5D=acct_1", true},
        {"default_settings[on_behalf_of]=+acct_1", true},
        {"default_settings[on_behalf_of]=Acct_1", true},
        {"metadata[theirs]=acct_1", false},
        {"items[0][metadata][x]=acct_1", false},
        {"description=an+acct_1", false},
        {"amount=100&currency=usd", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct message_facts facts = {0};
        struct str body = str_from(rows[i].body);
        facts_read(&config->reads[stripe->default_read], body, arena, &facts);
        CHECK_CASE((facts.state == FACTS_AMBIGUOUS) == rows[i].hidden, rows[i].body);
        CHECK_CASE(facts_query_hides_account(stripe, body, arena) == rows[i].hidden, rows[i].body);
    }
}

int main(void)
{
    struct arena *arena = arena_new();
    struct config config = {.packs = NULL};
    struct err err = {.text = ""};
    struct buf bytes;

    check_indices();
    bool loaded =
        load_builtin_packs(&config, arena, &err) == 0 && config_finish(&config, arena, &err) == 0;
    CHECK_CASE(loaded, err.text);
    if (loaded) {
        buf_init(&bytes, CONFIG_BYTES_MAX);
        CHECK(wire_encode(&config_schema, &config, &bytes));
        check_round_trip(&config, buf_str(&bytes));
        check_refusals(buf_str(&bytes));
        buf_clear(&bytes);
        const struct pack *stripe = &config.packs[config_find_pack(&config, STR("stripe"))];
        check_headers(&config);
        check_nearest(stripe);
        check_small_things(stripe, &config.packs[config_find_pack(&config, STR("generic"))]);
        check_hidden_accounts(&config, stripe, arena);
        check_hosts(&config.packs[config_find_pack(&config, STR("twilio"))]);
    }
    arena_free(arena);
    return test_done();
}
