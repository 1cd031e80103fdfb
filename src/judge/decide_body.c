/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "judge/book.h"
#include "judge/decide_parts.h"
#include "judge/holds.h"
#include "judge/keys.h"
#include "judge/objects.h"
#include "judge/params.h"
#include "judge/turn.h"
#include "pack/cost_object.h"
#include "policy/usd.h"

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
    int64_t found = question->found == NULL ? -1 : question->found->minor;
    enum cost_verdict verdict = cost_put(question, found, &splices, changed, &why);

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

static struct digest scope_of(const struct judge *judge, const struct message_admit *admit,
                              const struct decision *decision)
{
    const struct credential *credential = book_credential(judge, decision->credential);

    return scope_digest(admit, decision, decide_scope(decision->key),
                        credential == NULL ? STR_NONE : credential->public_fields);
}

static bool must_wait(struct judge *judge, const struct digest *name, struct decision *decision,
                      const char *why)
{
    if (!turn_is_taken(judge, name, decision->asker)) {
        return false;
    }
    decision->delay = DELAY_TURN;
    decision->wait_for = *name;
    (void)refuse(decision, VERDICT_IN_FLIGHT, "%s", why);
    return true;
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
    decision->scope = scope_of(judge, admit, decision);
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
        if (!must_wait(judge, &decision->scope, decision,
                       "the first request with this idempotency key has no answer yet")) {
            (void)refuse(decision, VERDICT_IN_FLIGHT,
                         "the first request with this idempotency key has no answer yet");
        }
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

/* ---- an object at the vendor ---- */

/* "stripe-account=acct_1": whose object it is. */
static struct str account_header(const struct message_admit *admit, const struct pack *pack,
                                 struct arena *arena)
{
    for (size_t i = 0; i < admit->header_count; i++) {
        const struct message_header *header = &admit->headers[i];
        const struct pack_header *judged = pack_find_header(pack, header->name);
        if (judged != NULL && judged->rule == HEADER_ACCOUNTS) {
            struct buf text;
            buf_init(&text, LIMIT_HEAD_BYTES);
            (void)buf_addf(&text, "%.*s=%.*s", STR_FMT(header->name), STR_FMT(header->value));
            struct str copy = arena_copy(arena, buf_str(&text));
            buf_clear(&text);
            return copy;
        }
    }
    return STR_NONE;
}

/* Made by a key of the same tenant and scope: a sandbox that died and got a new key goes on with
 * what it began. */
static bool is_own(const struct judge *judge, const struct key *key, const struct hold *hold)
{
    const struct key *owner = keys_by_number(judge, hold->row.key);

    return owner != NULL && owner->tenant == key->tenant &&
           (owner == key || str_equal(decide_scope(owner), decide_scope(key)));
}

static bool may_touch(const struct judge *judge, const struct hold *holder,
                      struct decision *decision)
{
    for (struct key *key = decision->key; key != NULL; key = key->parent) {
        const struct rules *rules = key_rules(key);
        if (rules != NULL && !rules->policy.own_objects_only) {
            continue;
        }
        if (holder == NULL || !is_own(judge, decision->key, holder)) {
            (void)refuse(decision, VERDICT_OBJECT_NOT_YOURS,
                         "%.*s was not made with a key of this run, and own_objects_only is set: "
                         "this key may act on its own objects only",
                         STR_FMT(str_slice(decision->object_id, 0, 64)));
            return false;
        }
    }
    return true;
}

/* The object in the path, whose turn it is, and the hold that has it. */
static bool find_object(struct judge *judge, const struct message_admit *admit, struct arena *arena,
                        struct decision *decision, struct cost_object *ret,
                        const struct hold **ret_holder)
{
    *ret_holder = NULL;
    decision->delay = DELAY_NONE;
    decision->under = false;
    decision->object_hold = 0;
    decision->object_id = cost_object_acted_on(decision->pack, &decision->match);
    decision->account_header = account_header(admit, decision->pack, arena);
    if (decision->object_id.len == 0) {
        return true;
    }
    decision->object = object_name(decision->pack->vendor, decision->credential,
                                   decision->account_header, decision->object_id);
    if (must_wait(judge, &decision->object, decision,
                  "another request that changes this object has no answer yet")) {
        return false;
    }
    const struct hold *holder = objects_holder(judge, &decision->object);
    const struct hold *any = objects_holder_but(judge, &decision->object, NULL);
    if (any != NULL && !may_touch(judge, any, decision)) {
        return false;
    }
    if (holder != NULL) {
        decision->object_hold = holder->number;
        *ret = (struct cost_object){.held = holder->row.held,
                                    .amount_minor = holder->row.amount_minor,
                                    .currency = arena_copy(arena, holder->row.currency)};
        *ret_holder = holder;
    }
    return true;
}

/* The key that moves the money pays.  Its own hold of today is used, and raised where that is not
 * enough; else it reserves in full, and the other hold is given up when it has succeeded. */
static void choose_hold(const struct judge *judge, const struct hold *holder,
                        struct decision *decision)
{
    int64_t nano = decision->cost.nano;

    decision->need = nano;
    if (holder == NULL) {
        return;
    }
    const struct message_row_hold *row = &holder->row;
    int64_t has = row->held;
    if (cost_is_total(decision->pack, &decision->match)) {
        has += row->posted + row->base;
    }
    int64_t need = nano > has ? nano - has : 0;
    bool own = row->key == decision->key->number && (need == 0 || row->day == judge->clock.day);
    if (own || nano == 0) {
        decision->under = true;
        decision->need = need;
    }
}

/* ---- the vendor must be asked ---- */

/* What the vendor said the first time is in the record, so that the same bytes go out again. */
static bool recall_found(struct judge *judge, const struct message_admit *admit,
                         const struct message_facts *facts, struct arena *arena,
                         struct decision *decision)
{
    const struct record *record;
    static const struct digest none;
    struct digest body = facts == NULL ? none : facts->digest;

    if (!cost_may_fetch(decision->pack, &decision->match) || decision->client_key.len == 0 ||
        !decide_key_is_honoured(admit, decision)) {
        return false;
    }
    struct digest scope = scope_of(judge, admit, decision);
    enum repeat repeat =
        records_look(&judge->records, &scope, &body, judge->clock.now_ms,
                     decision->pack->idempotency.window_ms, hold_state_of, judge, &record);
    if ((repeat != REPEAT_SAME && repeat != REPEAT_VOIDED) || record->currency[0] == '\0') {
        return false;
    }
    decision->found = (struct cost_found){
        .minor = record->found_minor, .currency = arena_copy(arena, str_from(record->currency))};
    return true;
}

static bool fetch_wanted(struct judge *judge, const struct message_admit *admit,
                         const struct message_facts *facts, const struct cost_question *question,
                         struct decision *decision)
{
    decision->costs = true;
    decision->fetch = decision->cost.fetch;
    decision->cost = (struct cost){.nano = 0};
    if (!cost_fetch_path(question, decision->fetch, &decision->fetch_path)) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN, "what this moves cannot be asked for");
        return false;
    }
    if (!repeat_allowed(judge, admit, facts, decision)) {
        return false;
    }
    if (decision->repeat == REPEAT_SAME) {
        return true; /* the first one needed no asking, and nothing more is charged */
    }
    if (decision->object_id.len > 0 && objects_holder_but(judge, &decision->object, NULL) == NULL &&
        !may_touch(judge, NULL, decision)) {
        return false;
    }
    if (decision->object_id.len == 0) {
        decision->object = object_name(decision->pack->vendor, decision->credential,
                                       decision->account_header, decision->fetch_path);
    }
    if (must_wait(judge, &decision->object, decision,
                  "another request about the same object has no answer yet")) {
        return false;
    }
    decision->delay = DELAY_FETCH;
    (void)refuse(decision, VERDICT_COST_UNKNOWN,
                 "what this moves is not in the request; the vendor is asked first, by GET %.*s",
                 STR_FMT(str_slice(decision->fetch_path, 0, 200)));
    return false;
}

/* Of whoever has the object: all that is ever said of it counts by one rate. */
static struct cost_frozen frozen_rate(const struct judge *judge, const struct decision *decision,
                                      struct arena *arena)
{
    const struct hold *hold =
        decision->object_id.len == 0 ? NULL : objects_holder_but(judge, &decision->object, NULL);
    struct cost_frozen frozen = {.factor = 0};

    if (hold != NULL) {
        frozen = holds_rate(hold);
        frozen.currency = arena_copy(arena, frozen.currency);
    }
    return frozen;
}

static bool cost_known(struct judge *judge, const struct message_admit *admit,
                       const struct message_facts *facts, struct arena *arena,
                       struct decision *decision)
{
    struct cost_object object;
    const struct hold *holder;

    if (!find_object(judge, admit, arena, decision, &object, &holder)) {
        return false;
    }
    bool recalled = recall_found(judge, admit, facts, arena, decision);
    const struct price_list *prices = book_prices(judge, decision->key->vendor);
    struct cost_question question = {
        .config = decision->generation->config,
        .pack = decision->pack,
        .match = &decision->match,
        .method = admit->method,
        .query = admit->query,
        .facts = facts,
        .flat_price = decide_flat_price(decision),
        .capped = decide_is_capped(decision),
        .prices = prices == NULL ? NULL : prices->rates,
        .price_count = prices == NULL ? 0 : prices->count,
        .object = holder == NULL || recalled ? NULL : &object,
        .found = recalled || (decision->has_found && holder == NULL) ? &decision->found : NULL,
        .frozen = frozen_rate(judge, decision, arena),
        .now_ms = judge->clock.now_ms,
        .arena = arena};
    struct message_facts changed;
    struct err why = {""};

    if (!put_values(&question, &changed, decision)) {
        return false;
    }
    enum cost_verdict verdict = cost_reserve(&question, &decision->cost, &why);
    if (verdict == COST_FX_STALE ||
        (verdict == COST_AMOUNT &&
         windows_fits(&judge->windows, decision->levels, decision->level_count,
                      decision->cost.nano) < decision->level_count)) {
        struct cost asked; /* it may be less in the currency that it is in */
        if (cost_asks_currency(&question, &asked)) {
            decision->cost = asked;
            verdict = COST_FETCH;
        }
    }
    if (verdict == COST_FETCH) {
        return fetch_wanted(judge, admit, facts, &question, decision);
    }
    decision->costs = verdict == COST_AMOUNT &&
                      (decision->cost.nano > 0 || holder != NULL || question.found != NULL);
    if (verdict == COST_NOTHING && holder != NULL &&
        cost_ends_object(decision->pack, &decision->match)) {
        decision->costs = true; /* it moves nothing, but what is held may be free afterwards */
    } else if (verdict != COST_NOTHING && verdict != COST_AMOUNT) {
        return cost_refused(verdict, &why, decision);
    }
    if (decision->cost.nano < 0) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN, "the amount is negative");
        return false;
    }
    choose_hold(judge, holder, decision);
    return true;
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
                 usd_text(spent).text, usd_text(held).text, usd_text(decision->need).text, resets);
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

/* The first attempt may never have reached the vendor, and what it asked for been given back. */
bool decide_repeats_on_object(const struct decision *decision)
{
    return decision->under && decision->repeat_hold == decision->object_hold;
}

static bool fits(struct judge *judge, struct decision *decision)
{
    if (!decision->costs ||
        (decision->repeat == REPEAT_SAME && !decide_repeats_on_object(decision))) {
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
        windows_fits(&judge->windows, decision->levels, decision->level_count, decision->need);
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
    if (!decide_lives(judge, decision) || !decide_credential_there(judge, arena, decision)) {
        return decision->verdict;
    }
    decision->level_count = key_levels(decision->key, judge->clock.day, decision->levels);
    if (!decide_allowed(admit, arena, decision)) {
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
