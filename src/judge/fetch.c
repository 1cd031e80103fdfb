/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/fetch.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "judge/number.h"
#include "judge/request.h"

enum {
    FETCHES_MAX = 4096, /* under way at one time */
    HEADERS_MAX = 16,
    FACTS_LATE_MS = 1000, /* the reader has the answer already when OUTCOME comes */
};

struct fetch {
    uint64_t number; /* of the grants' row of numbers */
    struct judge *judge;
    struct peer *vault; /* NULL: it died */
    uint32_t index;     /* its and its reader's */
    struct generation *generation;
    uint32_t rule;
    struct arena *arena;
    bool has_outcome, has_facts;
    struct message_outcome outcome;
    struct message_facts facts;
    struct loop_timer timer;
    void (*done)(void *ctx, const struct fetch_answer *answer); /* NULL: dropped */
    void *ctx;
};

void fetches_init(struct judge *judge)
{
    judge->fetches = TABLE_OF(struct fetch, number);
}

/* ---- asking ---- */

static struct peer *find_vault(const struct judge *judge, const struct peer *preferred)
{
    if (preferred != NULL && !preferred->dying) {
        return judge->vaults[preferred->index];
    }
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *vault = judge->vaults[i];
        if (vault != NULL && !vault->dying && judge->readers[i] != NULL) {
            return vault;
        }
    }
    return NULL;
}

/* The pack's own headers, the pinned version among them, the account's, and our idempotency key. */
static size_t make_headers(const struct fetch_ask *ask, const struct pack *pack,
                           struct message_header *headers)
{
    size_t count = 0;

    for (size_t i = 0; i < pack->fetch_header_count && count < HEADERS_MAX - 2; i++) {
        headers[count++] = pack->fetch_headers[i];
    }
    if (ask->account.len > 0) {
        struct str value = ask->account;
        struct str name = str_take_until(&value, '=');
        headers[count++] = (struct message_header){.name = name, .value = value};
    }
    if (ask->cancel_key.len > 0 && pack->idempotency.header.len > 0) {
        headers[count++] =
            (struct message_header){.name = pack->idempotency.header, .value = ask->cancel_key};
    }
    return count;
}

static void finish(struct fetch *fetch);

static void tell(struct fetch *fetch, const struct fetch_answer *answer)
{
    void (*done)(void *ctx, const struct fetch_answer *answer) = fetch->done;

    fetch->done = NULL;
    if (done != NULL) {
        done(fetch->ctx, answer);
    }
}

/* The vault says its OUTCOME all the same, so the fetch stays until then. */
static void on_late(void *ctx)
{
    struct fetch *fetch = ctx;
    struct fetch_answer answer = {.generation = fetch->generation,
                                  .problem = STR("no answer within 5 s")};

    if (fetch->has_outcome) {
        finish(fetch);
    } else {
        tell(fetch, &answer);
    }
}

bool fetch_begin(struct judge *judge, const struct fetch_ask *ask,
                 void (*done)(void *ctx, const struct fetch_answer *answer), void *ctx,
                 struct fetch **ret)
{
    struct peer *vault = find_vault(judge, ask->vault);
    const struct config *config = ask->generation->config;
    struct message_header headers[HEADERS_MAX];

    if (vault == NULL || judge->fetches.count >= FETCHES_MAX) {
        return false;
    }
    struct fetch *fetch = mem_zeroed(sizeof(*fetch));
    fetch->number = number_take(judge, NUMBER_GRANT);
    fetch->judge = judge;
    fetch->vault = vault;
    fetch->index = vault->index;
    fetch->generation = ask->generation;
    fetch->generation->users++;
    fetch->rule = ask->rule;
    fetch->arena = arena_new();
    fetch->done = done;
    fetch->ctx = ctx;
    struct message_grant grant = {
        .grant = fetch->number,
        .credential = ask->credential->number,
        .credential_version = ask->credential->version,
        .credential_name = ask->credential->name,
        .generation = config->generation,
        .pack = ask->pack_index,
        .upstream = ask->upstream,
        .method = ask->cancel_key.len > 0 ? STR("POST") : STR("GET"),
        .path = ask->path,
        .query = ask->query,
        .has_query = ask->query.len > 0,
        .headers = headers,
        .header_count = make_headers(ask, &config->packs[ask->pack_index], headers),
        .answer_rule = ask->rule,
        .begin_by_ms = LIMIT_FETCH_MS,
        .first_byte_ms = LIMIT_FETCH_MS,
    };
    table_add(&judge->fetches, fetch);
    loop_timer_set(judge->loop, &fetch->timer, LIMIT_FETCH_MS, on_late, fetch);
    if (!channel_send(vault->channel, MESSAGE_FETCH, &grant)) {
        judge->kill_peer(judge, vault);
    }
    *ret = fetch;
    return true;
}

void fetch_drop(struct fetch *fetch)
{
    if (fetch != NULL) {
        fetch->done = NULL; /* what the vault still says of it is expected */
    }
}

/* ---- the answer ---- */

static const struct message_facts *usable(const struct fetch *fetch)
{
    const struct message_facts *facts = &fetch->facts;
    const struct config *config = fetch->generation->config;

    if (!fetch->has_facts || fetch->outcome.outcome != OUTCOME_ANSWERED ||
        !fetch->outcome.complete || facts->state != FACTS_OK || facts->rule != fetch->rule ||
        facts->generation != config->generation || facts->rule >= config->read_count ||
        facts->fact_count != config->reads[facts->rule].selector_count ||
        !digest_equal(&facts->digest, &fetch->outcome.body_digest)) {
        return NULL;
    }
    return facts;
}

static void finish(struct fetch *fetch)
{
    struct judge *judge = fetch->judge;
    struct fetch_answer answer = {.generation = fetch->generation, .facts = usable(fetch)};

    if (fetch->outcome.outcome == OUTCOME_ANSWERED && fetch->outcome.complete) {
        answer.status = fetch->outcome.status;
    } else {
        answer.problem = fetch->outcome.detail;
    }
    (void)table_remove(&judge->fetches, &fetch->number);
    loop_timer_stop(judge->loop, &fetch->timer);
    tell(fetch, &answer);
    generation_leave(judge, fetch->generation);
    arena_free(fetch->arena);
    free(fetch);
}

static bool waits_for_facts(const struct fetch *fetch)
{
    return fetch->rule != 0 && !fetch->has_facts && fetch->outcome.outcome == OUTCOME_ANSWERED &&
           fetch->outcome.complete && !digest_is_zero(&fetch->outcome.body_digest);
}

bool fetch_outcome(struct judge *judge, struct peer *vault, const struct message_outcome *outcome)
{
    struct fetch *fetch = table_find(&judge->fetches, &outcome->grant);

    if (fetch == NULL || fetch->has_outcome || fetch->vault != vault) {
        return false;
    }
    fetch->has_outcome = true;
    fetch->outcome = *outcome;
    fetch->outcome.detail = arena_copy(fetch->arena, outcome->detail);
    fetch->outcome.vendor_request_id = STR_NONE;
    if (waits_for_facts(fetch)) {
        loop_timer_set(judge->loop, &fetch->timer, FACTS_LATE_MS, on_late, fetch);
    } else {
        finish(fetch);
    }
    return true;
}

bool fetch_facts(struct judge *judge, struct peer *reader, const struct message_facts *facts)
{
    struct fetch *fetch = table_find(&judge->fetches, &facts->request);

    if (fetch == NULL) {
        return false;
    }
    if (fetch->index != reader->index || fetch->has_facts) {
        return true;
    }
    facts_copy(fetch->arena, facts, &fetch->facts);
    fetch->has_facts = true;
    if (fetch->has_outcome) {
        finish(fetch);
    }
    return true;
}

void fetch_vault_gone(struct judge *judge, const struct peer *vault)
{
    struct fetch *fetch;
    size_t at = 0;

    while ((fetch = table_next(&judge->fetches, &at)) != NULL) {
        if (fetch->vault != vault) {
            continue;
        }
        fetch->vault = NULL;
        if (fetch->has_outcome) {
            continue; /* the reader has the answer */
        }
        fetch->outcome = (struct message_outcome){
            .outcome = OUTCOME_UNKNOWN, .error = UPSTREAM_RESET, .detail = STR("the vault died")};
        finish(fetch);
        at = 0; /* the table has changed */
    }
}
