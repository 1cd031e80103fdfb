/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/decide.h"

#include <assert.h>
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "http/url.h"
#include "judge/book.h"
#include "judge/decide_parts.h"
#include "judge/door.h"
#include "judge/keys.h"
#include "judge/params.h"
#include "judge/plain.h"
#include "judge/sessions.h"
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

    decision->at_base = door_is_base(config, admit);
    if (!decision->at_base) {
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
    if (!sessions_allow(decision->key, admit->session, decision)) {
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
    if (decision->at_base || decision->pack != NULL ||
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
        decision->at_base ? pack_take_host(pack, &decision->path) : decision->upstream;
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

bool decide_credential_there(struct judge *judge, struct arena *arena, struct decision *decision)
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

bool decide_is_capped(const struct decision *decision)
{
    for (size_t i = 0; i < decision->level_count; i++) {
        if (decision->levels[i].cap != MONEY_NONE) {
            return true;
        }
    }
    return false;
}

int64_t decide_flat_price(const struct decision *decision)
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
                     "%.*s %.*s is not in allowed_endpoints of this vault key%s%.*s%s",
                     STR_FMT(method), STR_FMT(path),
                     decision->pack->generic ? "" : "; it is no operation of ",
                     STR_FMT(decision->pack->generic ? STR_NONE : decision->pack->vendor),
                     decision->pack->generic ? "" : " that is known here");
    }
    return match_guarded(decision->pack, decision->path) == NULL &&
           observe_relaxes(decision, key, VERDICT_ENDPOINT_NOT_ALLOWED);
}

bool decide_allowed(const struct message_admit *admit, struct arena *arena,
                    struct decision *decision)
{
    struct request_facts facts = {.method = admit->method,
                                  .path = decision->path,
                                  .pack = decision->pack,
                                  .match = &decision->match,
                                  .has_flat_price = decide_flat_price(decision) != MONEY_NONE,
                                  .capped = decide_is_capped(decision)};

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
        /* Of its children's requests a parent has as many as there are children. */
        if (key == decision->key &&
            (limits.at_once == 0 || limits.at_once > LIMIT_REQUESTS_A_KEY)) {
            limits.at_once = LIMIT_REQUESTS_A_KEY;
        }
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
    if (as == NULL && !ret->at_base && ret->pack == NULL && admit->presented_count == 0) {
        return refuse(ret, VERDICT_ENDPOINT_NOT_ALLOWED,
                      "%.*s cannot be reached from here: it is no host of a vendor that is served, "
                      "and no policy names it (--allow-host)",
                      STR_FMT(str_slice(admit->host, 0, 200)));
    }
    if ((as == NULL && !decide_find_key(judge, admit, ret)) || !find_pack(judge, admit, ret) ||
        !decide_lives(judge, ret) || !decide_source(admit, ret) ||
        !decide_credential_there(judge, arena, ret) || !route(admit, ret)) {
        return ret->verdict;
    }
    ret->level_count = key_levels(ret->key, judge->clock.day, ret->levels);
    if (!plain_method(admit, arena, ret) || !bound_params_match(judge, ret) ||
        !params_credential_headers(judge, admit, ret) ||
        !params_accounts_in_head(admit, arena, ret) || !decide_allowed(admit, arena, ret) ||
        !find_client_key(admit, ret) || !choose_body_rule(admit, ret) || !rates_allow(judge, ret)) {
        return ret->verdict;
    }
    ret->verdict = VERDICT_ALLOWED;
    return VERDICT_ALLOWED;
}
