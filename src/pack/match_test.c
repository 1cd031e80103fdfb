/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/match.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/test.h"
#include "pack/load.h"

/* ---- a small pack of our own ---- */

static const char head[] =
    "{\"pack\": 1, \"vendor\": \"acme\", \"revision\": \"1\","
    "\"upstreams\": {\"api\": {\"base\": \"https://api.acme.test\", \"default\": true,"
    "                          \"hosts\": [\"api.acme.test\"]},"
    "  \"files\": {\"base\": \"https://files.acme.test\", \"hosts\": [\"files.acme.test\"]},"
    "  \"more\": {\"base\": \"https://more.acme.test\", \"hosts\": [\"*.more.acme.test\"]},"
    "  \"shut\": {\"base\": \"https://shut.acme.test\", \"hosts\": [\"*.acme.test\"],"
    "             \"allow\": false}},"
    "\"credential\": {\"fields\": {\"key\": {\"secret\": true, \"required\": true}},"
    "  \"accept\": [\"bearer\"], \"inject\": \"bearer\"},"
    "\"operations\": [";

static const char *const operations[] = {
    "{\"op\": \"list\",    \"class\": \"read\",  \"match\": \"GET /v1/things\"}",
    "{\"op\": \"create\",  \"class\": \"write\", \"match\": \"POST /v1/things\"}",
    "{\"op\": \"get\",     \"class\": \"read\",  \"match\": \"GET /v1/things/{id}\"}",
    "{\"op\": \"search\",  \"class\": \"read\",  \"match\": \"GET /v1/things/search\"}",
    "{\"op\": \"file\",    \"class\": \"read\",  \"match\": \"GET /v1/things/{id}.json\"}",
    "{\"op\": \"do\",      \"class\": \"write\", \"match\": \"POST /v1/things/{id}/do\"}",
    "{\"op\": \"parts\",   \"class\": \"read\",  \"match\": \"GET /v1/{kind}/{id}/parts\"}",
    "{\"op\": \"tree\",    \"class\": \"read\",  \"match\": \"GET /v1/trees/{path...}\"}",
    "{\"op\": \"any\",     \"class\": \"read\",  \"match\": \"GET /v1/trees/{id}\"}",
    "{\"op\": \"all\",     \"class\": \"admin\", \"match\": \"* /v1/admin/{rest...}\"}",
    "{\"op\": \"one\",     \"class\": \"admin\", \"match\": \"DELETE /v1/admin/{rest...}\"}",
    "{\"op\": \"deep\",    \"class\": \"read\",  \"match\": \"GET /v1/{a}/x/{b}\"}",
    "{\"op\": \"left\",    \"class\": \"read\",  \"match\": \"GET /v1/w/{a}/{b}\"}",
    "{\"op\": \"root\",    \"class\": \"read\",  \"match\": \"GET /\"}",
    "{\"op\": \"keys\",    \"class\": \"mint\",  \"match\": \"POST /V1/Things/{id}/Keys.json\"}",
    "{\"op\": \"upload\",  \"class\": \"write\", \"match\": \"files POST /v1/files\"}",
    "{\"op\": \"both1\",   \"class\": \"write\", \"match\": \"files POST /v1/both\"}",
    "{\"op\": \"both2\",   \"class\": \"write\", \"match\": \"more POST /v1/both\"}",
    "{\"op\": \"own\",     \"class\": \"read\",  \"match\": \"more GET /v1/things\"}",
    "{\"op\": \"shut\",    \"class\": \"read\",  \"match\": \"shut GET /v1/shut\"}",
};

static bool load(struct config *config, struct arena *arena)
{
    struct buf text;
    struct err err = {.text = ""};

    buf_init(&text, 65536);
    (void)buf_add_str(&text, str_from(head));
    for (size_t i = 0; i < sizeof(operations) / sizeof(operations[0]); i++) {
        (void)buf_addf(&text, "%s%s", i == 0 ? "" : ",", operations[i]);
    }
    (void)buf_add_str(&text, STR("]}"));
    bool ok = load_pack(config, arena, buf_str(&text), "acme.json", &err) == 0 &&
              config_finish(config, arena, &err) == 0;
    CHECK_CASE(ok, err.text);
    buf_clear(&text);
    return ok;
}

static const struct {
    const char *method, *path;
    const char *operation; /* NULL: none */
} finds[] = {
    {"GET", "/v1/things", "list"},
    {"HEAD", "/v1/things", "list"},
    {"POST", "/v1/things", "create"},
    {"PUT", "/v1/things", NULL},
    {"get", "/v1/things", NULL},
    {"", "/v1/things", NULL},
    {"GET", "/v1/things/", NULL},
    {"GET", "/v1/things//", NULL},
    {"GET", "v1/things", NULL},
    {"GET", "", NULL},
    {"GET", "//v1/things", NULL},
    {"GET", "/v1", NULL},
    {"GET", "/v1/thing", NULL},
    {"GET", "/v1/thingsx", NULL},
    {"GET", "/V1/things", NULL},
    {"GET", "/v1/things?x=1", NULL},
    {"GET", "/v1/things/7", "get"},
    {"GET", "/v1/things/search", "search"},
    {"GET", "/v1/things/searches", "get"},
    {"GET", "/v1/things/7.json", "file"},
    {"GET", "/v1/things/.json", "get"},
    {"GET", "/v1/things/7/do", NULL},
    {"POST", "/v1/things/7/do", "do"},
    {"POST", "/v1/things//do", NULL},
    {"GET", "/v1/things/7/parts", "parts"},
    {"GET", "/v1/other/7/parts", "parts"},
    {"GET", "/v1/trees/7", "any"},
    {"GET", "/v1/trees/7/8", "tree"},
    {"GET", "/v1/trees/7/8/9", "tree"},
    {"GET", "/v1/trees/7/", NULL},
    {"GET", "/v1/trees/7//9", NULL},
    {"GET", "/v1/trees/", NULL},
    {"GET", "/v1/trees", NULL},
    {"GET", "/v1/admin/x", "all"},
    {"PATCH", "/v1/admin/x/y/z", "all"},
    {"DELETE", "/v1/admin/x", "one"},
    {"POST", "/v1/admin", NULL},
    {"GET", "/v1/q/x/1", "deep"},
    {"GET", "/v1/w/q/1", "left"},
    {"GET", "/", "root"},
    {"POST", "/", NULL},
    {"POST", "/v1/files", "upload"},
    {"POST", "/v1/both", NULL},
    {"GET", "/v1/shut", NULL},
};

static void check_finds(const struct pack *pack)
{
    struct match match;

    for (size_t i = 0; i < sizeof(finds) / sizeof(finds[0]); i++) {
        bool found =
            match_find(pack, PACK_NONE, str_from(finds[i].method), str_from(finds[i].path), &match);
        CHECK_CASE(found == (finds[i].operation != NULL), finds[i].path);
        CHECK_CASE(!found || finds[i].operation == NULL ||
                       str_equal(match.operation->name, str_from(finds[i].operation)),
                   finds[i].path);
        CHECK_CASE(found || (match.operation == NULL && match.param_count == 0), finds[i].path);
    }
}

static void check_tie(const struct pack *pack)
{
    struct match match;

    /* GET /v1/{a}/x/{b} and GET /v1/w/{a}/{b} have two literals each: the left one decides. */
    CHECK(match_find(pack, PACK_NONE, STR("GET"), STR("/v1/w/x/1"), &match));
    CHECK(match.operation != NULL && str_equal(match.operation->name, STR("left")));
}

static void check_params(const struct pack *pack)
{
    struct match match;

    CHECK(match_find(pack, PACK_NONE, STR("GET"), STR("/v1/a%20b/7/parts"), &match));
    CHECK(match.param_count == 2);
    CHECK(str_equal(match_param(&match, STR("kind")), STR("a%20b")));
    CHECK(str_equal(match_param(&match, STR("id")), STR("7")));
    CHECK(match_param(&match, STR("nothing")).len == 0);
    CHECK(match_find(pack, PACK_NONE, STR("GET"), STR("/v1/trees/a/b/c"), &match));
    CHECK(str_equal(match_param(&match, STR("path")), STR("a/b/c")));
    CHECK(match_find(pack, PACK_NONE, STR("GET"), STR("/v1/things/AC1.json"), &match));
    CHECK(str_equal(match_param(&match, STR("id")), STR("AC1")));
}

static void check_upstreams(const struct pack *pack)
{
    struct match match;

    CHECK(match_find(pack, PACK_NONE, STR("POST"), STR("/v1/files"), &match));
    CHECK(match.upstream == 1);
    CHECK(!match_find(pack, 0, STR("POST"), STR("/v1/files"), &match));
    CHECK(match.upstream == 0);
    CHECK(match_find(pack, 2, STR("POST"), STR("/v1/both"), &match));
    CHECK(str_equal(match.operation->name, STR("both2")));
    CHECK(match_find(pack, 2, STR("GET"), STR("/v1/things"), &match));
    CHECK(str_equal(match.operation->name, STR("own")));
    CHECK(match_find(pack, 3, STR("GET"), STR("/v1/shut"), &match));
    CHECK(!match_find(pack, 3, STR("GET"), STR("/v1/things"), &match));
    CHECK(match.upstream == 3);
}

static const struct {
    const char *path, *operation;
} guarded[] = {
    {"/v1/things/7/keys", "keys"},
    {"/v1/things/7/keys/", "keys"},
    {"/v1/things/7/KEYS.XML", "keys"},
    {"/V1/THINGS/7/keys.csv", "keys"},
    {"/v1/admin/x", "all"},
    {"/v1/admin/.csv", "all"},
    {"/v1/things/7/keys/.json", "keys"},
    {"/v1/things/7/keys%3fx", "keys"},
    {"/v1/things/7/keys%23/more", "keys"},
    {"/v1/things/7/keys%20", "keys"},
    {"/v1/things/7/keys.", "keys"},
    {"/v1/things/7/keys.json%3F", "keys"},
    {"/v1/things/7%3f/keys", "keys"}, /* as it is: of a thing named "7?" */
    {"/v1/admin/%3fx", "all"},
    {"/V1/admin/%3Fx", "all"},
    {"/v1/admin/%23", "all"},
    {"/v1/admin%3f/x", NULL},
    {"/V1/Admin/x/y", "all"},
    {"/v1/things/7", NULL},
    {"/v1/things/7/keys/8", NULL},
    {"/v1/things/7/keys.txt", NULL},
    {"/v1/things//keys", NULL},
    {"/", NULL},
    {"", NULL},
};

static void check_guarded(const struct pack *pack)
{
    static const char letters[LIMIT_TARGET_BYTES + 1] = {'/'};

    for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
        const struct pack_operation *operation = match_guarded(pack, str_from(guarded[i].path));
        CHECK_CASE((operation == NULL) == (guarded[i].operation == NULL), guarded[i].path);
        CHECK_CASE(operation == NULL || guarded[i].operation == NULL ||
                       str_equal(operation->name, str_from(guarded[i].operation)),
                   guarded[i].path);
    }
    CHECK(match_guarded(pack, str_of(letters, sizeof(letters))) == NULL);
}

/* ---- patterns ---- */

static const struct {
    const char *path;
    bool valid;
} patterns[] = {
    {"/", true},
    {"/v1", true},
    {"/v1/{id}", true},
    {"/{id}/{rest...}", true},
    {"/{Sid}.json", true},
    {"/{x}:run", true},
    {"", false},
    {"v1", false},
    {"//", false},
    {"/v1/", false},
    {"/v1//x", false},
    {"/{}", false},
    {"/{x", false},
    {"/x}", false},
    {"/a{x}", false},
    {"/{x}{y}", false},
    {"/{...}", false},
    {"/{x...}/y", false},
    {"/{x...}.json", false},
    {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}", true},
    {"/{a}/{b}/{c}/{d}/{e}/{f}/{g}/{h}/{i}/{j}/{k}/{l}/{m}", false},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16", true},
    {"/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17", false},
};

static void check_patterns(void)
{
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        CHECK_CASE(match_pattern_is_valid(str_from(patterns[i].path)) == patterns[i].valid,
                   patterns[i].path);
    }
}

/* ---- the packs that we ship ---- */

static const struct {
    const char *vendor, *method, *path, *operation;
    enum operation_class class;
} shipped[] = {
    {"stripe", "POST", "/v1/payment_intents", "payment_intents.create", CLASS_MONEY_IN},
    {"stripe", "POST", "/v1/payment_intents/pi_1", "payment_intents.update", CLASS_MONEY_IN},
    {"stripe", "POST", "/v1/payment_intents/pi_1/confirm", "payment_intents.confirm",
     CLASS_MONEY_IN},
    {"stripe", "GET", "/v1/payment_intents/search", "payment_intents.search", CLASS_READ},
    {"stripe", "POST", "/v1/charges/ch_1/refund", "refunds.create", CLASS_MONEY_OUT},
    {"stripe", "POST", "/v1/charges/ch_1/refunds", "refunds.create", CLASS_MONEY_OUT},
    {"stripe", "POST", "/v1/application_fees/fee_1/refund", "application_fees.create_refund",
     CLASS_MONEY_OUT},
    {"stripe", "POST", "/v1/payouts", "payouts.create", CLASS_MONEY_OUT},
    {"stripe", "POST", "/v1/transfers", "transfers.create", CLASS_MONEY_OUT},
    {"stripe", "POST", "/v1/topups", "topups.create", CLASS_MONEY_IN},
    {"stripe", "POST", "/v1/invoices/in_1/pay", "invoices.pay", CLASS_MONEY_IN},
    {"stripe", "POST", "/v1/subscriptions", "subscriptions.create", CLASS_UNBOUNDED},
    {"stripe", "POST", "/v1/customers/cus_1/subscriptions", "subscriptions.create",
     CLASS_UNBOUNDED},
    {"stripe", "POST", "/v1/checkout/sessions", "checkout.sessions.create", CLASS_UNBOUNDED},
    {"stripe", "POST", "/v1/disputes/dp_1/close", "disputes.close", CLASS_UNBOUNDED},
    {"stripe", "POST", "/v1/ephemeral_keys", "ephemeral_keys.create", CLASS_MINT},
    {"stripe", "POST", "/v1/webhook_endpoints", "webhook_endpoints.create", CLASS_MINT},
    {"stripe", "GET", "/v1/apps/secrets/find", "apps.secrets.find", CLASS_MINT},
    {"stripe", "GET", "/v1/issuing/cards/ic_1", "issuing.cards.retrieve", CLASS_MINT},
    {"stripe", "POST", "/v1/accounts", "accounts.create", CLASS_ADMIN},
    {"stripe", "GET", "/v1/account", "accounts.retrieve_current", CLASS_READ},
    {"stripe", "POST", "/v2/money_management/payout_intents/p/confirm",
     "v2.money_management.payout_intents.confirm", CLASS_MONEY_OUT},
    {"stripe", "GET", "/v1/balance", "balance.retrieve", CLASS_READ},
    {"stripe", "POST", "/v1/nothing", NULL, CLASS_READ},
    {"twilio", "POST", "/2010-04-01/Accounts/AC1/Messages.json", "messages.create", CLASS_PAY},
    {"twilio", "GET", "/2010-04-01/Accounts/AC1.json", "accounts.fetch", CLASS_MINT},
    {"twilio", "GET", "/2010-04-01/Accounts.json", "accounts.list", CLASS_MINT},
    {"twilio", "POST", "/2010-04-01/Accounts/AC1/Keys.json", "keys.create", CLASS_MINT},
    {"twilio", "POST", "/2010-04-01/Accounts/AC1/IncomingPhoneNumbers/Local.json",
     "incoming_phone_numbers.local.create", CLASS_UNBOUNDED},
    {"twilio", "POST", "/v2/Services/VA1/VerificationCheck",
     "verify.services.verification_check.create", CLASS_WRITE},
    {"twilio", "GET", "/v2/PhoneNumbers/%2B1555", "lookups.phone_numbers.fetch", CLASS_PAY},
    {"resend", "POST", "/emails", "emails.send", CLASS_PAY},
    {"resend", "POST", "/emails/batch", "batch.send", CLASS_PAY},
    {"resend", "POST", "/api-keys", "api_keys.create", CLASS_MINT},
    {"resend", "POST", "/broadcasts/b/send", "broadcasts.send", CLASS_UNBOUNDED},
    {"openai", "POST", "/v1/chat/completions", "chat.completions.create", CLASS_PAY},
    {"openai", "POST", "/v1/responses", "responses.create", CLASS_PAY},
    {"openai", "POST", "/v1/responses/input_tokens", "responses.input_tokens.count", CLASS_WRITE},
    {"openai", "POST", "/v1/batches", "batches.create", CLASS_UNBOUNDED},
    {"openai", "POST", "/v1/realtime/client_secrets", "realtime.client_secrets.create", CLASS_MINT},
    {"openai", "POST", "/v1/organization/brand_new", "admin.organization.other", CLASS_ADMIN},
    {"anthropic", "POST", "/v1/messages", "messages.create", CLASS_PAY},
    {"anthropic", "POST", "/v1/messages/batches", "messages.batches.create", CLASS_UNBOUNDED},
    {"anthropic", "PUT", "/v1/oauth/token", "oauth.other", CLASS_MINT},
    {"github", "POST", "/repos/o/r/issues", "issues.create", CLASS_WRITE},
    {"github", "PUT", "/repos/o/r/contents/a/b/c.txt", "repos.create_or_update_file_contents",
     CLASS_WRITE},
    {"github", "GET", "/repos/o/r/contents", "repos.get_content", CLASS_READ},
    {"github", "DELETE", "/repos/o/r", "repos.delete", CLASS_ADMIN},
    {"github", "PUT", "/repos/o/r/actions/secrets/S", "actions.create_or_update_repo_secret",
     CLASS_MINT},
    {"github", "POST", "/repos/o/r/releases/1/assets", "repos.upload_release_asset", CLASS_WRITE},
    {"github", "POST", "/graphql", "graphql", CLASS_ADMIN},
    {"generic", "GET", "/a/b", "read", CLASS_READ},
    {"generic", "HEAD", "/", "read", CLASS_READ},
    {"generic", "PURGE", "/a/b", "write", CLASS_WRITE},
};

static void check_shipped(const struct config *config)
{
    struct match match;

    for (size_t i = 0; i < sizeof(shipped) / sizeof(shipped[0]); i++) {
        uint32_t pack = config_find_pack(config, str_from(shipped[i].vendor));
        CHECK_CASE(pack != PACK_NONE, shipped[i].vendor);
        bool found = pack != PACK_NONE &&
                     match_find(&config->packs[pack], PACK_NONE, str_from(shipped[i].method),
                                str_from(shipped[i].path), &match);
        CHECK_CASE(found == (shipped[i].operation != NULL), shipped[i].path);
        if (found && shipped[i].operation != NULL) {
            CHECK_CASE(str_equal(match.operation->name, str_from(shipped[i].operation)),
                       shipped[i].path);
            CHECK_CASE(match.operation->class == shipped[i].class, shipped[i].path);
        }
    }
}

/* Every path of every pack must lead back to its own operation. */
static void check_reachable(const struct config *config)
{
    struct match match;

    for (size_t i = 0; i < config->pack_count; i++) {
        const struct pack *pack = &config->packs[i];
        for (size_t k = 0; k < pack->match_count; k++) {
            const struct pack_match *m = &pack->matches[k];
            struct str method = str_equal(m->method, STR("*")) ? STR("XYZ") : m->method;
            bool found = match_find(pack, m->upstream, method, m->path, &match);
            CHECK_CASE(found && match.operation == &pack->operations[m->operation], m->path.data);
        }
    }
}

/* Named with another host a known operation is still known. */
static void check_known(const struct pack *pack)
{
    CHECK(match_is_known(pack, STR("POST"), STR("/v1/files")));
    CHECK(match_is_known(pack, STR("POST"), STR("/v1/both")));
    CHECK(match_is_known(pack, STR("HEAD"), STR("/v1/things")));
    CHECK(!match_is_known(pack, STR("PUT"), STR("/v1/things")));
    CHECK(!match_is_known(pack, STR("POST"), STR("/v1/file")));
}

static void check_names_other(const struct pack *twilio)
{
    static const struct {
        const char *path;
        bool other;
    } rows[] = {
        {"/2010-04-01/Accounts/AC1/Messages.json", false},
        {"/2010-04-01/Accounts/AC2/Messages.json", true},
        {"/2010-04-01/Accounts/AC2/Messages", true}, /* not in the catalogue */
        {"/2010-04-01/Accounts/AC2/Messages/", true},
        {"/2010-04-01/accounts/AC2/Whatever.csv", true},
        {"/2010-04-01/Accounts/AC1/Whatever", false},
        {"/2010-04-01/Accounts/AC2.json", true},
        {"/2010-04-01/Accounts/AC2.xml", true},
        {"/2010-04-01/Accounts/AC2", true},
        {"/2010-04-01/Accounts/AC1.JSON", false},
        {"/2010-04-01/Accounts.json", false},
        {"/v2/Services/AC2", false},
        {"/", false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        CHECK_CASE(match_names_other(twilio, str_from(rows[i].path), STR("AccountSid"),
                                     STR("AC1")) == rows[i].other,
                   rows[i].path);
    }
}

int main(void)
{
    struct arena *arena = arena_new();
    struct config acme = {.packs = NULL};
    struct config builtin = {.packs = NULL};
    struct err err = {.text = ""};

    check_patterns();
    if (load(&acme, arena)) {
        check_finds(&acme.packs[0]);
        check_tie(&acme.packs[0]);
        check_params(&acme.packs[0]);
        check_upstreams(&acme.packs[0]);
        check_guarded(&acme.packs[0]);
        check_known(&acme.packs[0]);
    }
    bool loaded =
        load_builtin_packs(&builtin, arena, &err) == 0 && config_finish(&builtin, arena, &err) == 0;
    CHECK_CASE(loaded, err.text);
    if (loaded) {
        check_shipped(&builtin);
        check_reachable(&builtin);
        check_names_other(&builtin.packs[config_find_pack(&builtin, STR("twilio"))]);
    }
    arena_free(arena);
    return test_done();
}
