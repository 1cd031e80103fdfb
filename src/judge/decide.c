/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/decide.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "http/url.h"
#include "judge/book.h"
#include "judge/keys.h"
#include "judge/params.h"
#include "judge/plain.h"
#include "policy/usd.h"

enum verdict refuse(struct decision *decision, enum verdict verdict, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    (void)vsnprintf(decision->why.text, sizeof(decision->why.text), format, args);
    va_end(args);
    decision->verdict = verdict;
    return verdict;
}

struct str admit_header(const struct message_admit *admit, struct str name, size_t *ret_count)
{
    struct str value = STR_NONE;

    *ret_count = 0;
    for (size_t i = 0; i < admit->header_count; i++) {
        if (str_equal(admit->headers[i].name, name)) {
            value = admit->headers[i].value;
            (*ret_count)++;
        }
    }
    return value;
}

bool decide_key_is_honoured(const struct message_admit *admit, const struct decision *decision)
{
    const struct pack_idempotency *idempotency = &decision->pack->idempotency;
    const struct pack_operation *operation = decision->match.operation;

    return idempotency->header.len > 0 &&
           ((idempotency->every_post && str_equal(admit->method, STR("POST"))) ||
            (operation != NULL && operation->idempotent));
}

struct str decide_scope(const struct key *key)
{
    if (key->scope.len > 0) {
        return key->scope;
    }
    for (const struct key *at = key; at != NULL; at = at->parent) {
        if (at->run_id.len > 0) {
            return at->run_id;
        }
    }
    return key->label.len > 0 ? key->label : key_id(key);
}

/* ---- where to, and who ---- */

/* At a door where the host is the vendor's own: its pack, and which of the vendor's hosts. */
static void find_vendor_of_host(const struct message_admit *admit, struct decision *decision)
{
    const struct config *config = decision->generation->config;
    struct str host;
    unsigned port;

    decision->path = admit->path;
    if (url_split_authority(admit->host, &host, &port)) {
        decision->pack_index = config_find_host(config, host, &decision->upstream);
    }
    if (decision->pack_index != PACK_NONE) {
        decision->pack = &config->packs[decision->pack_index];
        decision->vendor_asked = decision->pack->vendor;
    }
}

/* The vendor that the path's first segment or the host's first label names, if it is loaded. */
static void find_vendor(const struct message_admit *admit, struct decision *decision)
{
    const struct config *config = decision->generation->config;

    if (admit->door != DOOR_PREFIX) {
        find_vendor_of_host(admit, decision);
        return;
    }
    struct str rest = str_slice(admit->path, 1, admit->path.len);
    struct str first = str_take_until(&rest, '/');
    uint32_t pack = config_find_pack(config, first);

    decision->path = admit->path;
    if (pack != PACK_NONE) {
        size_t prefix = 1 + first.len;
        decision->path =
            admit->path.len > prefix ? str_slice(admit->path, prefix, admit->path.len) : STR("/");
    } else {
        struct str host = admit->host;
        first = str_take_until(&host, '.');
        pack = host.len > 0 ? config_find_pack(config, first) : PACK_NONE;
    }
    if (pack != PACK_NONE) {
        decision->vendor_asked = config->packs[pack].vendor;
        decision->pack_index = pack;
        decision->pack = &config->packs[pack];
    }
}

static bool accepts(const struct pack *pack, const struct message_presented *presented)
{
    for (size_t i = 0; i < pack->accept_count; i++) {
        if (pack->accepts[i].form == presented->form &&
            (presented->form != FORM_HEADER || str_equal(pack->accepts[i].name, presented->name))) {
            return true;
        }
    }
    return false;
}

/* The one vault key among what was presented in forms that count.  The other half of a Basic pair
 * may be anything (Twilio's SDKs put an account there). */
static bool find_token(const struct message_admit *admit, struct decision *decision,
                       const struct message_presented **ret)
{
    const struct message_presented *other = NULL;
    bool any = false;
    bool stranger = false;

    *ret = NULL;
    for (size_t i = 0; i < admit->presented_count; i++) {
        const struct message_presented *it = &admit->presented[i];
        bool accepted = decision->pack == NULL || accepts(decision->pack, it);
        bool ours = token_check(it->value);
        if (it->value.len == 0 || (!accepted && !ours)) {
            continue;
        }
        any = true;
        if (!ours) {
            stranger = stranger || (it->form != FORM_BASIC_USER && it->form != FORM_BASIC_PASS);
        } else if (!accepted) { /* not where it counts, but it may contradict the one that does */
            other = it;
        } else if (*ret == NULL) {
            *ret = it;
        } else if (!str_equal((*ret)->value, it->value)) {
            stranger = true;
        }
    }
    if (*ret != NULL && (stranger || (other != NULL && !str_equal(other->value, (*ret)->value)))) {
        (void)refuse(decision, VERDICT_BAD_REQUEST,
                     "the request carries two different credentials; send the vault key alone");
        return false;
    }
    if (*ret == NULL && any) {
        (void)refuse(decision, VERDICT_UNKNOWN_KEY,
                     "the credential sent is not a vault key of this server; real keys are not "
                     "taken here, ask your operator for a vault key");
    } else if (*ret == NULL) {
        (void)refuse(decision, VERDICT_MISSING_KEY,
                     "no vault key was sent; put it where the vendor's key would be");
    }
    return *ret != NULL;
}

bool decide_find_key(struct judge *judge, const struct message_admit *admit,
                     struct decision *decision)
{
    const struct message_presented *token;

    if (!find_token(admit, decision, &token)) {
        return false;
    }
    struct digest digest = digest_of(token->value);
    decision->key = keys_by_token(judge, &digest);
    if (decision->key == NULL) {
        (void)refuse(decision, VERDICT_UNKNOWN_KEY,
                     "this vault key is not known here; it may have ended long ago");
        return false;
    }
    decision->form = token->form;
    decision->form_name = token->name;
    return true;
}

/* A credential that brings its own upstream makes that one a host of its vendor. */
static bool is_own_upstream(const struct judge *judge, const struct key *key,
                            const struct message_admit *admit)
{
    const struct credential *credential = key->credential == 0
                                              ? book_default_credential(judge, key->vendor)
                                              : book_credential(judge, key->credential);
    struct str host;
    struct url url;
    struct err err;
    unsigned port;

    return credential != NULL && credential->upstream.len > 0 &&
           url_split_authority(admit->host, &host, &port) &&
           url_parse_base(credential->upstream, &url, &err) == 0 &&
           str_equal_nocase(url.host, host);
}

static bool host_is_served(const struct judge *judge, const struct message_admit *admit,
                           struct decision *decision)
{
    if (admit->door == DOOR_PREFIX || decision->pack != NULL ||
        is_own_upstream(judge, decision->key, admit)) {
        return true;
    }
    (void)refuse(decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                 "%.*s is no host of %.*s, and this vault key is for nothing else",
                 STR_FMT(str_slice(admit->host, 0, 200)), STR_FMT(decision->key->vendor));
    return false;
}

static bool find_pack(const struct judge *judge, const struct message_admit *admit,
                      struct decision *decision)
{
    const struct config *config = decision->generation->config;
    const struct key *key = decision->key;

    if (decision->pack != NULL && !str_equal(decision->pack->vendor, key->vendor)) {
        (void)refuse(decision, VERDICT_VENDOR_MISMATCH,
                     "the request is for %.*s; this vault key is for %.*s",
                     STR_FMT(decision->pack->vendor), STR_FMT(key->vendor));
        return false;
    }
    if (!host_is_served(judge, admit, decision)) {
        return false;
    }
    if (decision->pack == NULL) {
        decision->pack_index = config_find_pack(config, key->vendor);
        if (decision->pack_index == PACK_NONE) {
            (void)refuse(decision, VERDICT_VENDOR_MISMATCH,
                         "the vendor %.*s is not loaded on this server", STR_FMT(key->vendor));
            return false;
        }
        decision->pack = &config->packs[decision->pack_index];
        struct message_presented form = {.form = decision->form, .name = decision->form_name};
        if (admit->presented_count > 0 && !accepts(decision->pack, &form)) {
            (void)refuse(decision, VERDICT_MISSING_KEY,
                         "%.*s does not take a key in this place; put the vault key where the "
                         "vendor's key would be",
                         STR_FMT(key->vendor));
            return false;
        }
    }
    return true;
}

/* ---- is the key alive ---- */

static bool key_lives(struct judge *judge, struct decision *decision)
{
    enum key_status status;
    const struct key *ended = key_first_inactive(judge, decision->key, &status);
    const char *whose = ended == decision->key ? "this vault key" : "a parent of this vault key";

    if (ended == NULL) {
        return true;
    }
    switch (status) {
    case KEY_PAUSED:
        (void)refuse(decision, VERDICT_PAUSED_KEY, "%s is paused; an operator can resume it",
                     whose);
        break;
    case KEY_EXPIRED:
        (void)refuse(decision, VERDICT_EXPIRED_KEY, "%s expired at %s; ask for a new one", whose,
                     clock_rfc3339(ended->expires_at_ms).text);
        break;
    case KEY_REVOKED:
    default:
        (void)refuse(decision, VERDICT_REVOKED_KEY, "%s was revoked; ask for a new one", whose);
        break;
    }
    return false;
}

bool decide_source(const struct message_admit *admit, struct decision *decision)
{
    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        bool found = rules != NULL && rules->policy.source_count == 0;
        for (size_t i = 0; rules != NULL && i < rules->policy.source_count; i++) {
            found = found || cidr_has(&rules->sources[i], admit->source);
        }
        if (!found) {
            (void)refuse(decision, VERDICT_WRONG_SESSION,
                         "this vault key may not be used from %.*s",
                         STR_FMT(str_slice(admit->source, 0, 64)));
            return false;
        }
    }
    return true;
}

static bool not_stopped(struct judge *judge, struct decision *decision)
{
    const struct stop *stop = book_stop_for(judge, decision->key);

    if (stop != NULL) {
        (void)refuse(decision, VERDICT_STOPPED, "an operator has stopped this: %s",
                     stop->reason[0] == '\0' ? "no reason was given" : stop->reason);
        return false;
    }
    return true;
}

bool decide_lives(struct judge *judge, struct decision *decision)
{
    return key_lives(judge, decision) && not_stopped(judge, decision);
}

/* ---- may it go there ---- */

static bool route(const struct message_admit *admit, struct decision *decision)
{
    const struct pack *pack = decision->pack;
    const char *why = NULL;

    if (!url_path_is_plain(decision->path, &why) ||
        (admit->has_query && !url_query_is_plain(admit->query, &why))) {
        (void)refuse(decision, VERDICT_BAD_REQUEST, "the target is ambiguous: %s", why);
        return false;
    }
    /* Where the host was named already, the path names none. */
    uint32_t upstream =
        admit->door == DOOR_PREFIX ? pack_take_host(pack, &decision->path) : decision->upstream;
    (void)match_find(pack, upstream, admit->method, decision->path, &decision->match);
    const struct pack_operation *operation = decision->match.operation;
    bool read = str_equal(admit->method, STR("GET")) || str_equal(admit->method, STR("HEAD"));
    decision->class = operation != NULL ? operation->class : read ? CLASS_READ : CLASS_WRITE;
    if (decision->match.upstream < pack->upstream_count &&
        !pack->upstreams[decision->match.upstream].allowed) {
        (void)refuse(decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                     "%.*s %.*s goes to a host of %.*s that keybrake does not serve",
                     STR_FMT(admit->method), STR_FMT(str_slice(decision->path, 0, 200)),
                     STR_FMT(pack->vendor));
        return false;
    }
    if (operation == NULL && match_is_known(pack, admit->method, decision->path)) {
        (void)refuse(decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                     "%.*s %.*s belongs to another host of %.*s; ask for it without a host",
                     STR_FMT(admit->method), STR_FMT(str_slice(decision->path, 0, 200)),
                     STR_FMT(pack->vendor));
        return false;
    }
    return true;
}

static bool credential_there(struct judge *judge, struct arena *arena, struct decision *decision)
{
    const struct credential *credential =
        decision->key->credential == 0 ? book_default_credential(judge, decision->key->vendor)
                                       : book_credential(judge, decision->key->credential);

    if (credential != NULL && str_equal(credential->vendor, decision->key->vendor)) {
        decision->credential = credential->number;
        decision->credential_version = credential->version;
        decision->credential_name = arena_copy(arena, credential->name);
        decision->live_mode = credential->live_mode;
    } else {
        decision->credential = 0;
        (void)refuse(decision, VERDICT_CREDENTIAL_REJECTED,
                     "the credential behind this vault key is not stored any more; an operator "
                     "must put it again");
    }
    return decision->credential != 0;
}

/* A path that names an account must name the credential's own. */
static bool bound_params_match(struct judge *judge, struct decision *decision)
{
    const struct credential *credential = book_credential(judge, decision->credential);

    for (size_t i = 0; i < decision->pack->bound_param_count; i++) {
        const struct pack_bound_param *bound = &decision->pack->bound_params[i];
        struct str own = credential_field(credential, bound->field);
        struct str asked = match_param(&decision->match, bound->param);
        bool other = asked.len > 0
                         ? !str_equal(asked, own)
                         : match_names_other(decision->pack, decision->path, bound->param, own);
        if (other) {
            (void)refuse(decision, VERDICT_ACCOUNT_NOT_ALLOWED,
                         "%.*s in the path is not the account of this vault key's credential",
                         STR_FMT(asked.len > 0 ? str_slice(asked, 0, 64) : bound->param));
            return false;
        }
    }
    return true;
}

static bool is_capped(const struct decision *decision)
{
    for (size_t i = 0; i < decision->level_count; i++) {
        if (decision->levels[i].cap != MONEY_NONE) {
            return true;
        }
    }
    return false;
}

static int64_t flat_price(const struct decision *decision)
{
    const struct rules *rules = key_rules(decision->key);

    return rules == NULL ? MONEY_NONE : rules->policy.flat_price;
}

static bool list_allows(struct key *key, const struct request_facts *facts, struct arena *arena,
                        struct decision *decision)
{
    const struct rules *rules = key_rules(key);
    const struct entry *entry = NULL;
    struct str method = facts->method;
    struct str path = str_slice(facts->path, 0, 200);

    if (rules == NULL) {
        (void)refuse(decision, VERDICT_DENIED, "the policy of this vault key cannot be read");
        return false;
    }
    enum allow_result result =
        allowlist_check(rules->entries, rules->policy.entry_count, facts, &entry);
    if (entry != NULL && key == decision->key) {
        decision->rule = arena_copy(arena, entry->text); /* the policy may change */
    }
    if (result == ALLOW_GRANTED) {
        return true;
    }
    if (result == ALLOW_COST_UNKNOWN) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN,
                     "nobody knows what %.*s %.*s costs, and this key has a cap; its policy can "
                     "name a flat_price_usd",
                     STR_FMT(method), STR_FMT(path));
        return observe_relaxes(decision, key, VERDICT_COST_UNKNOWN);
    }
    const struct pack_operation *operation = decision->match.operation;
    if (operation != NULL) {
        (void)refuse(decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                     "%.*s %.*s (%.*s, class %s) is not in allowed_endpoints of this vault key; "
                     "an operator can add %s%.*s",
                     STR_FMT(method), STR_FMT(path), STR_FMT(operation->name),
                     operation_class_name(operation->class),
                     operation_class_is_guarded(operation->class) ? "its name, " : "",
                     STR_FMT(operation->name));
    } else {
        (void)refuse(decision, VERDICT_ENDPOINT_NOT_ALLOWED,
                     "%.*s %.*s is not in allowed_endpoints of this vault key", STR_FMT(method),
                     STR_FMT(path));
    }
    return match_guarded(decision->pack, decision->path) == NULL &&
           observe_relaxes(decision, key, VERDICT_ENDPOINT_NOT_ALLOWED);
}

static bool allowed(const struct message_admit *admit, struct arena *arena,
                    struct decision *decision)
{
    struct request_facts facts = {.method = admit->method,
                                  .path = decision->path,
                                  .pack = decision->pack,
                                  .match = &decision->match,
                                  .has_flat_price = flat_price(decision) != MONEY_NONE,
                                  .capped = is_capped(decision)};

    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        if (!list_allows(key, &facts, arena, decision)) {
            return false;
        }
    }
    return true;
}

static bool rates_allow(struct judge *judge, struct decision *decision)
{
    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules == NULL) {
            return false;
        }
        struct rate_limits limits = {.per_minute = rules->policy.requests_per_minute,
                                     .per_day = rules->policy.requests_per_day,
                                     .at_once = rules->policy.concurrency};
        switch (rate_check(&key->rate, &limits, judge->clock.now_ms, judge->clock.day,
                           &decision->retry_after_s)) {
        case RATE_OK:
            break;
        case RATE_DAY:
            (void)refuse(decision, VERDICT_DAY_LIMITED,
                         "this vault key has had its %llu requests of today; more at %s",
                         (unsigned long long)limits.per_day,
                         clock_rfc3339(clock_day_start_ms(judge->clock.day + 1)).text);
            return false;
        case RATE_AT_ONCE:
            (void)refuse(decision, VERDICT_RATE_LIMITED,
                         "this vault key may have %llu requests under way at one time",
                         (unsigned long long)limits.at_once);
            return false;
        case RATE_MINUTE:
        default:
            (void)refuse(decision, VERDICT_RATE_LIMITED,
                         "this vault key may send %llu requests a minute",
                         (unsigned long long)limits.per_minute);
            return false;
        }
    }
    return true;
}

/* ---- the body and the idempotency key ---- */

static bool find_client_key(const struct message_admit *admit, struct decision *decision)
{
    const struct pack_idempotency *idempotency = &decision->pack->idempotency;
    size_t count = 0;

    if (idempotency->header.len == 0) {
        return true;
    }
    decision->client_key = admit_header(admit, idempotency->header, &count);
    if (count > 1 || decision->client_key.len > LIMIT_IDEMPOTENCY_KEY_BYTES) {
        (void)refuse(decision, VERDICT_BAD_REQUEST, "%.*s must stand once, with at most %d bytes",
                     STR_FMT(idempotency->header), LIMIT_IDEMPOTENCY_KEY_BYTES);
        return false;
    }
    return true;
}

static bool choose_body_rule(const struct message_admit *admit, struct decision *decision)
{
    const struct pack *pack = decision->pack;

    decision->read_rule = cost_request_read(pack, &decision->match);
    if (decision->read_rule == PACK_NONE && admit->body != BODY_NONE &&
        (pack->account_param_count > 0 || params_need_body(decision->key))) {
        enum body_encoding encoding = pack_encoding_of(pack, decision->path);
        decision->read_rule = encoding == ENCODING_FORM   ? pack->default_read
                              : encoding == ENCODING_JSON ? pack->default_json_read
                                                          : PACK_NONE;
    }
    if (decision->read_rule == 0) {
        decision->read_rule = PACK_NONE;
    }
    if (decision->read_rule != PACK_NONE && !plain_body_type(admit, decision)) {
        return false;
    }
    if (decision->read_rule != PACK_NONE && admit->body == BODY_LENGTH &&
        admit->content_length > LIMIT_JUDGED_BODY_BYTES) {
        (void)refuse(decision, VERDICT_TOO_LARGE,
                     "a body that keybrake must read may have 1 MiB at most");
        return false;
    }
    return true;
}

enum verdict decide_head(struct judge *judge, const struct message_admit *admit, struct key *as,
                         struct arena *arena, struct decision *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->observed = VERDICT_ALLOWED;
    ret->pack_index = ret->upstream = ret->read_rule = PACK_NONE;
    ret->generation = judge->generation;
    ret->key = as;
    if (judge->generation == NULL || !judge->ready) {
        return refuse(ret, VERDICT_LEDGER_UNAVAILABLE, "the server is starting");
    }
    find_vendor(admit, ret);
    if ((as == NULL && !decide_find_key(judge, admit, ret)) || !find_pack(judge, admit, ret) ||
        !decide_lives(judge, ret) || !decide_source(admit, ret) ||
        !credential_there(judge, arena, ret) || !route(admit, ret)) {
        return ret->verdict;
    }
    ret->level_count = key_levels(ret->key, judge->clock.day, ret->levels);
    if (!plain_method(admit, arena, ret) || !bound_params_match(judge, ret) ||
        !params_accounts_in_head(admit, arena, ret) || !allowed(admit, arena, ret) ||
        !find_client_key(admit, ret) || !choose_body_rule(admit, ret) || !rates_allow(judge, ret)) {
        return ret->verdict;
    }
    ret->verdict = VERDICT_ALLOWED;
    return VERDICT_ALLOWED;
}

/* ---- the second half: what does it cost ---- */

static bool facts_are_good(const struct message_facts *facts, struct decision *decision)
{
    const struct config *config = decision->generation->config;

    if (facts->rule != decision->read_rule || facts->generation != config->generation ||
        (facts->state == FACTS_OK &&
         facts->fact_count != config->reads[decision->read_rule].selector_count)) {
        (void)refuse(decision, VERDICT_DENIED, "the body was not read by the rule that applies");
        return false;
    }
    switch (facts->state) {
    case FACTS_OK:
        return true;
    case FACTS_CARD_DATA:
        (void)refuse(decision, VERDICT_CARD_DATA_REFUSED,
                     "the body holds card data; use the vendor's tokens instead");
        return false;
    case FACTS_TOO_LARGE:
        (void)refuse(decision, VERDICT_TOO_LARGE,
                     "a body that keybrake must read may have 1 MiB at most, and few parts (%.*s)",
                     STR_FMT(str_slice(facts->problem, 0, 200)));
        return false;
    case FACTS_AMBIGUOUS:
    case FACTS_UNREADABLE:
    default:
        (void)refuse(decision, VERDICT_BAD_REQUEST, "the body cannot be read with certainty: %.*s",
                     STR_FMT(str_slice(facts->problem, 0, 200)));
        return false;
    }
}

static bool cost_refused(enum cost_verdict verdict, const struct err *why,
                         struct decision *decision)
{
    static const enum verdict verdicts[] = {
        [COST_UNKNOWN] = VERDICT_COST_UNKNOWN,
        [COST_AMBIGUOUS] = VERDICT_BAD_REQUEST,
        [COST_FX_STALE] = VERDICT_FX_STALE,
        [COST_FETCH] = VERDICT_COST_UNKNOWN,
    };

    (void)refuse(decision, verdicts[verdict], "%s", why->text);
    return false;
}

/* The values that go into the body; then question->facts are those of the body with them. */
static bool put_values(struct cost_question *question, struct message_facts *changed,
                       struct decision *decision)
{
    struct splices splices;
    struct err why = {""};
    enum cost_verdict verdict = cost_put(question, -1, &splices, changed, &why);

    decision->splice_count = 0;
    if (verdict != COST_NOTHING) {
        return cost_refused(verdict, &why, decision);
    }
    if (splices.count > 0) {
        question->facts = changed;
        decision->splices = arena_zeroed(question->arena, splices.count, sizeof(splices.list[0]));
        memcpy(decision->splices, splices.list, splices.count * sizeof(splices.list[0]));
        decision->splice_count = splices.count;
    }
    return true;
}

static bool cost_known(struct judge *judge, const struct message_admit *admit,
                       const struct message_facts *facts, struct arena *arena,
                       struct decision *decision)
{
    const struct price_list *prices = book_prices(judge, decision->key->vendor);
    struct cost_question question = {.config = decision->generation->config,
                                     .pack = decision->pack,
                                     .match = &decision->match,
                                     .method = admit->method,
                                     .query = admit->query,
                                     .facts = facts,
                                     .flat_price = flat_price(decision),
                                     .capped = is_capped(decision),
                                     .prices = prices == NULL ? NULL : prices->rates,
                                     .price_count = prices == NULL ? 0 : prices->count,
                                     .now_ms = judge->clock.now_ms,
                                     .arena = arena};
    struct message_facts changed;
    struct err why = {""};

    if (!put_values(&question, &changed, decision)) {
        return false;
    }
    enum cost_verdict verdict = cost_reserve(&question, &decision->cost, &why);
    if (verdict == COST_NOTHING) {
        return true;
    }
    if (verdict != COST_AMOUNT) {
        return cost_refused(verdict, &why, decision);
    }
    decision->costs = decision->cost.nano > 0;
    if (decision->cost.nano < 0) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN, "the amount is negative");
        return false;
    }
    return true;
}

static bool hold_state_of(const void *ctx, uint64_t number, enum hold_state *ret)
{
    const struct judge *judge = ctx;
    const struct hold *hold = table_find(&judge->holds, &number);

    if (hold == NULL) {
        return false;
    }
    *ret = hold->row.state;
    return true;
}

/* The digest of all that makes two requests "the same", each part with its length. */
static struct digest scope_digest(const struct message_admit *admit,
                                  const struct decision *decision, struct str scope,
                                  struct str public_fields)
{
    /* By number too: another account that is stored under the name, or the other mode of this one,
     * has never seen the vendor's side of these repeats. */
    uint64_t credential = decision->credential;
    const struct str texts[] = {
        decision->key->tenant == NULL ? STR_NONE : str_from(decision->key->tenant->name),
        scope,
        decision->credential_name,
        str_of(&credential, sizeof(credential)),
        decision->live_mode ? STR("live") : STR("test"),
        public_fields,
        decision->account,
        admit->method,
        decision->path,
        admit->query,
        decision->client_key};
    enum { COUNT = sizeof(texts) / sizeof(texts[0]) };
    uint32_t lengths[COUNT];
    struct str parts[2 * COUNT];

    for (size_t i = 0; i < COUNT; i++) {
        lengths[i] = (uint32_t)texts[i].len;
        parts[2 * i] = str_of(&lengths[i], sizeof(lengths[i]));
        parts[2 * i + 1] = texts[i];
    }
    return digest_of_parts(parts, 2 * COUNT);
}

/* False: refused.  A repeat that goes under the hold that is there is charged nothing more. */
static bool repeat_allowed(struct judge *judge, const struct message_admit *admit,
                           const struct message_facts *facts, struct decision *decision)
{
    const struct record *record = NULL;
    struct digest body = {{0}};

    if (facts != NULL) {
        body = facts->digest;
    }
    decision->repeat = REPEAT_NEW;
    /* Where the vendor takes no notice of the key each request is done, and each is charged. */
    if (!decision->costs || decision->client_key.len == 0 ||
        !decide_key_is_honoured(admit, decision)) {
        return true;
    }
    const struct credential *credential = book_credential(judge, decision->credential);
    decision->scope = scope_digest(admit, decision, decide_scope(decision->key),
                                   credential == NULL ? STR_NONE : credential->public_fields);
    decision->repeat =
        records_look(&judge->records, &decision->scope, &body, judge->clock.now_ms,
                     decision->pack->idempotency.window_ms, hold_state_of, judge, &record);
    switch (decision->repeat) {
    case REPEAT_NEW:
    case REPEAT_VOIDED:
        return true;
    case REPEAT_SAME:
        decision->repeat_hold = record->hold;
        return true;
    case REPEAT_IN_FLIGHT:
        (void)refuse(decision, VERDICT_IN_FLIGHT,
                     "the first request with this idempotency key has no answer yet");
        return false;
    case REPEAT_FULL:
        (void)refuse(decision, VERDICT_LIMIT_REACHED,
                     "too many idempotency keys are remembered on this server");
        return false;
    case REPEAT_MISMATCH:
    default:
        (void)refuse(decision, VERDICT_IDEMPOTENCY_MISMATCH,
                     "this idempotency key was used with another body; use a new one");
        return false;
    }
}

static void explain_cap(const struct judge *judge, struct decision *decision,
                        const struct level *level)
{
    const struct window *window = windows_find(&judge->windows, &level->owner, level->day);
    int64_t spent = window == NULL ? 0 : window->posted;
    int64_t held = window == NULL ? 0 : window->held;

    if (!digest_equal(&level->owner, &decision->key->owner)) {
        /* What others may spend is not for this sandbox to know. */
        (void)refuse(decision, VERDICT_CAP_EXCEEDED,
                     "the %s cap of the %s that this vault key belongs to does not leave $%s",
                     level->day == WINDOW_LIFE ? "total" : "daily",
                     level->level == LEVEL_TENANT ? "tenant" : "parent key",
                     usd_text(decision->cost.nano).text);
        return;
    }
    char resets[80] = "";
    if (level->day != WINDOW_LIFE) {
        (void)snprintf(resets, sizeof(resets), "; resets at %s",
                       clock_rfc3339(clock_day_start_ms(level->day + 1)).text);
    }
    (void)refuse(decision, VERDICT_CAP_EXCEEDED,
                 "the %s cap would be passed: of $%s: $%s spent, $%s held; asked $%s%s",
                 level->day == WINDOW_LIFE ? "total" : "daily", usd_text(level->cap).text,
                 usd_text(spent).text, usd_text(held).text, usd_text(decision->cost.nano).text,
                 resets);
}

static struct key *key_of_level(struct decision *decision, const struct level *level)
{
    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        if (digest_equal(&key->owner, &level->owner)) {
            return key;
        }
    }
    return NULL;
}

static bool fits(struct judge *judge, struct decision *decision)
{
    if (!decision->costs || decision->repeat == REPEAT_SAME) {
        return true;
    }
    if (judge->clock.suspect) {
        (void)refuse(decision, VERDICT_CLOCK_SUSPECT,
                     "the server's clock has jumped; money waits until an operator has looked");
        return false;
    }
    if (judge->open_holds >= LIMIT_OPEN_HOLDS ||
        decision->key->open_holds >= LIMIT_OPEN_HOLDS_A_KEY) {
        (void)refuse(decision, VERDICT_LIMIT_REACHED, "too many amounts are held at one time");
        return false;
    }
    size_t refused =
        windows_fits(&judge->windows, decision->levels, decision->level_count, decision->cost.nano);
    if (refused == decision->level_count) {
        return true;
    }
    explain_cap(judge, decision, &decision->levels[refused]);
    /* A key that only observes has no cap here; the shadow window takes any amount. */
    const struct key *full = key_of_level(decision, &decision->levels[refused]);
    assert(full == NULL || full->mode != MODE_OBSERVE);
    return false;
}

/* What observe mode would have refused: the key's own caps, held against its shadow. */
static void note_shadow(struct judge *judge, struct decision *decision)
{
    const struct key *key = decision->key;
    struct level own[] = {
        {.owner = key->shadow_owner, .day = judge->clock.day, .cap = key->daily_cap},
        {.owner = key->shadow_owner, .day = WINDOW_LIFE, .cap = key->total_cap}};

    if (key->mode == MODE_OBSERVE && decision->costs &&
        windows_fits(&judge->windows, own, 2, decision->cost.nano) < 2) {
        (void)observe_relaxes(decision, key, VERDICT_CAP_EXCEEDED);
    }
}

enum verdict decide_body(struct judge *judge, const struct message_admit *admit,
                         const struct message_facts *facts, struct arena *arena,
                         struct decision *decision)
{
    /* A body may have taken its time: the key may have died or changed, midnight passed. */
    decision->verdict = VERDICT_DENIED;
    if (!decide_lives(judge, decision) || !credential_there(judge, arena, decision)) {
        return decision->verdict;
    }
    decision->level_count = key_levels(decision->key, judge->clock.day, decision->levels);
    if (!allowed(admit, arena, decision)) {
        return decision->verdict;
    }
    if (facts != NULL &&
        (!facts_are_good(facts, decision) || !params_accounts_in_body(facts, decision))) {
        return decision->verdict;
    }
    if (!cost_known(judge, admit, facts, arena, decision) ||
        !params_allow(admit, facts, arena, decision) ||
        !repeat_allowed(judge, admit, facts, decision) || !fits(judge, decision)) {
        if (decision->verdict == VERDICT_ALLOWED) { /* never pass on a bug of ours */
            decision->verdict = VERDICT_DENIED;
        }
        return decision->verdict;
    }
    note_shadow(judge, decision);
    decision->verdict = VERDICT_ALLOWED;
    return VERDICT_ALLOWED;
}
