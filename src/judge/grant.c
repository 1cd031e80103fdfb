/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/grant.h"

#include <string.h>

#include "base/log.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/decide.h"
#include "judge/fetch.h"
#include "judge/holds.h"
#include "judge/keys.h"
#include "judge/metrics.h"
#include "judge/record.h"
#include "judge/request.h"
#include "judge/settle.h"
#include "judge/turn.h"
#include "judge/vendor_key.h"

enum {
    ANSWER_FACTS_MS = 3000, /* the reader has the body already when OUTCOME comes */
    SCOPE_TEXT = 1024,
};

/* ---- GRANT ---- */

bool grant_possible(const struct request *request)
{
    const struct peer *gate = request->gate;
    const struct peer *vault = gate == NULL ? NULL : request->judge->vaults[gate->index];

    return vault != NULL && !vault->dying;
}

/* The scope is the run's and the tenant's; the tail the client's key, or our request's id. */
static struct str make_vendor_key(struct request *request)
{
    const struct decision *decision = &request->decision;
    struct judge *judge = request->judge;
    struct str scope = decide_scope(decision->key);
    struct str tail =
        decision->client_key.len > 0 ? decision->client_key : str_from(request->request_id.text);
    struct buf text;

    buf_init(&text, SCOPE_TEXT);
    (void)buf_addf(&text, "%zu:", scope.len);
    (void)buf_add_str(&text, scope);
    if (decision->key->tenant != NULL) {
        (void)buf_addf(&text, "%zu:%s", strlen(decision->key->tenant->name),
                       decision->key->tenant->name);
    }
    struct str key = vendor_key_make(
        request->arena, str_of(judge->idempotency_secret, judge->idempotency_secret_len),
        buf_str(&text), tail, decision->pack->idempotency.max);
    buf_clear(&text);
    return key;
}

struct str grant_vendor_key(struct request *request)
{
    const struct decision *decision = &request->decision;
    bool wanted = decision->pack->idempotency.header.len > 0 &&
                  (decision->client_key.len > 0 ||
                   (decide_key_is_honoured(&request->admit, decision) && decision->costs));

    if (wanted && request->vendor_key.len == 0) {
        request->vendor_key = make_vendor_key(request);
    }
    return request->vendor_key;
}

/* The judged headers as they go out. */
static void judged_headers(struct request *request, struct message_grant *grant)
{
    const struct pack *pack = request->decision.pack;
    const struct message_admit *admit = &request->admit;
    struct message_header *headers =
        arena_zeroed(request->arena, admit->header_count + 2, sizeof(headers[0]));
    bool typed = request->has_body_facts; /* the body was read as what its type says */
    bool has_type = false;
    size_t count = 0;
    bool honoured = decide_key_is_honoured(admit, &request->decision);

    for (size_t i = 0; i < admit->header_count; i++) {
        const struct pack_header *judged = pack_find_header(pack, admit->headers[i].name);
        if ((judged != NULL && judged->rule != HEADER_IDEMPOTENCY &&
             !str_equal(judged->name, pack->idempotency.header)) ||
            (judged == NULL && typed && str_equal(admit->headers[i].name, STR("content-type")))) {
            headers[count++] = admit->headers[i];
            has_type = has_type || str_equal(admit->headers[i].name, STR("content-type"));
        }
    }
    if (request->decision.splice_count > 0 && !has_type) {
        /* An empty body had no type; what we put into it is a form. */
        headers[count++] = (struct message_header){
            .name = STR("content-type"), .value = STR("application/x-www-form-urlencoded")};
    }
    if (grant_vendor_key(request).len > 0) {
        headers[count++] =
            (struct message_header){.name = pack->idempotency.header, .value = request->vendor_key};
        request->retry_safe = honoured;
    }
    grant->headers = headers;
    grant->header_count = count;
}

/* Where the client reached us, for a Location that the vendor sends. */
static struct str door_base(struct request *request)
{
    const struct message_admit *admit = &request->admit;
    size_t prefix = admit->path.len - request->decision.path.len;
    struct buf text;

    if (admit->host.len == 0) {
        return STR_NONE;
    }
    if (str_equal(request->decision.path, STR("/"))) {
        prefix = admit->path.len > 1 ? admit->path.len : 0; /* "/stripe" */
        if (str_ends(admit->path, STR("/")) && prefix > 0) {
            prefix--;
        }
    }
    buf_init(&text, LIMIT_HEAD_BYTES);
    (void)buf_add_str(&text, admit->tls ? STR("https://") : STR("http://"));
    (void)buf_add_str(&text, admit->host);
    (void)buf_add_str(&text, str_slice(admit->path, 0, prefix));
    struct str copy = arena_copy(request->arena, buf_str(&text));
    buf_clear(&text);
    return copy;
}

static uint32_t answer_rule(const struct request *request)
{
    const struct decision *decision = &request->decision;
    uint32_t rule =
        !request->has_hold ? PACK_NONE : cost_answer_read(decision->pack, &decision->match);

    return rule == PACK_NONE ? 0 : rule;
}

/* What the pack says of the operation, and the key's policy or an ancestor's of every answer. */
static void redacted_places(struct request *request, struct message_grant *grant)
{
    const struct pack_operation *operation = request->decision.match.operation;
    size_t count = operation == NULL ? 0 : operation->redact_count;

    grant->redact = arena_zeroed(request->arena, count + 1, sizeof(grant->redact[0]));
    for (size_t i = 0; i < count; i++) {
        grant->redact[grant->redact_count++] = operation->redact[i];
    }
    if (key_hides_client_secret(request->decision.key)) {
        grant->redact[grant->redact_count++] = STR("/**/client_secret");
    }
}

void grant_send(struct request *request)
{
    struct judge *judge = request->judge;

    /* A repeat under a hold that was posted and forgotten has nothing to settle. */
    request->has_hold = holds_find(judge, request->hold) != NULL;
    request->answer_rule = answer_rule(request);
    const struct decision *decision = &request->decision;
    const struct message_admit *admit = &request->admit;
    const struct pack *pack = decision->pack;
    const struct pack_operation *operation = decision->match.operation;
    struct message_grant grant = {
        .grant = request->grant,
        .gate_incarnation = request->gate->incarnation,
        .key = decision->key->number,
        .credential = decision->credential,
        .credential_version = decision->credential_version,
        .credential_name = decision->credential_name,
        .generation = decision->generation->config->generation,
        .pack = decision->pack_index,
        .upstream = decision->match.upstream,
        .inject = decision->form,
        .inject_name = decision->form_name,
        .method = admit->method,
        .path = decision->path,
        .query = admit->query,
        .has_query = admit->has_query,
        .body = admit->body,
        .content_length = admit->content_length,
        .judged_body = request->has_body_facts,
        .has_hold = request->has_hold,
        .range_allowed = operation != NULL && operation->range_allowed,
        .answer_rule = request->answer_rule,
        .begin_by_ms = LIMIT_BEGIN_BY_MS,
        .first_byte_ms = pack->first_byte_ms == 0 ? LIMIT_FIRST_BYTE_MS : pack->first_byte_ms,
        .door_base = door_base(request),
        .request_id = str_from(request->request_id.text),
    };

    if (request->has_body_facts) {
        grant.body_digest = request->body_facts.digest;
        grant.body_length = request->body_facts.length;
        grant.splices = request->decision.splices;
        grant.splice_count = request->decision.splice_count;
    }
    judged_headers(request, &grant);
    redacted_places(request, &grant);
    grant.retry_safe = request->retry_safe;
    request->withheld = grant.has_hold && grant.answer_rule != 0;
    request->vault = judge->vaults[request->gate->index];
    request_move(request, REQUEST_GRANTED);
    if (request->vault == NULL || request->vault->dying) {
        /* It died while the rows were written. */
        struct message_outcome outcome = {.grant = request->grant,
                                          .outcome = OUTCOME_NOT_SENT,
                                          .error = UPSTREAM_CONNECT,
                                          .detail = STR("no vault")};
        struct message_granted granted = {.request = request->number,
                                          .grant = request->grant,
                                          .key = decision->key->number,
                                          .request_id = grant.request_id};
        (void)channel_send(request->gate->channel, MESSAGE_GRANTED, &granted);
        request->vault = NULL;
        grant_outcome(judge, NULL, &outcome);
        return;
    }
    list_add(&request->vault->grants, &request->vault_link);
    struct message_granted granted = {.request = request->number,
                                      .grant = request->grant,
                                      .key = decision->key->number,
                                      .request_id = grant.request_id};
    if (!channel_send(request->vault->channel, MESSAGE_GRANT, &grant)) {
        judge->kill_peer(judge, request->vault);
    }
    if (!channel_send(request->gate->channel, MESSAGE_GRANTED, &granted)) {
        judge->kill_peer(judge, request->gate);
    }
}

/* ---- what comes of it ---- */

void grant_sent(struct judge *judge, struct peer *vault, uint64_t number)
{
    struct request *request = request_of_grant(judge, number);

    if (request == NULL || request->vault != vault || request->has_outcome) {
        judge->fault_peer(judge, vault, "SENT without a grant");
        return;
    }
    request->sent = true;
}

static void finish(struct request *request)
{
    struct judge *judge = request->judge;
    bool read = request->decision.class == CLASS_READ && !request->decision.costs;

    if (request->state != REQUEST_ENDING || !request->has_done) {
        return;
    }
    if (read) {
        audit_over(judge, request);
    }
    metrics_done(judge->metrics, request);
    request_free(request);
}

static bool has_expired(const struct request *request)
{
    enum key_status status = KEY_ACTIVE;

    (void)key_first_inactive(request->judge, request->decision.key, &status);
    return status == KEY_EXPIRED;
}

/* Did the vault have nothing to show to the client?  Then the judge says why. */
static bool outcome_is_refusal(const struct request *request, enum verdict *ret_verdict,
                               const char **ret_why)
{
    const struct message_outcome *outcome = &request->outcome;

    if (outcome->outcome == OUTCOME_ANSWERED && outcome->status == 401) {
        *ret_verdict = VERDICT_CREDENTIAL_REJECTED;
        *ret_why = "the vendor refused the real key; an operator must put a valid one";
        return true;
    }
    if (outcome->outcome == OUTCOME_ANSWERED && outcome->error == UPSTREAM_OK) {
        return false;
    }
    switch (outcome->error) {
    case UPSTREAM_REVOKED:
        *ret_verdict = has_expired(request) ? VERDICT_EXPIRED_KEY : VERDICT_REVOKED_KEY;
        *ret_why = "this vault key ended while the request was under way";
        return true;
    case UPSTREAM_CREDENTIAL:
        *ret_verdict = VERDICT_CREDENTIAL_REJECTED;
        *ret_why = "the credential behind this vault key cannot be opened; an operator must put "
                   "it again";
        return true;
    case UPSTREAM_TIMEOUT:
        *ret_verdict = outcome->outcome == OUTCOME_NOT_SENT ? VERDICT_UPSTREAM_UNREACHABLE
                                                            : VERDICT_UPSTREAM_TIMEOUT;
        break;
    case UPSTREAM_OK:
    case UPSTREAM_RESOLVE:
    case UPSTREAM_ADDRESS:
    case UPSTREAM_CONNECT:
    case UPSTREAM_TLS:
    case UPSTREAM_RESET:
    case UPSTREAM_PROTOCOL:
    case UPSTREAM_GRANT:
    case UPSTREAM_CLIENT:
    case UPSTREAM_ERROR_COUNT:
    default:
        *ret_verdict = outcome->outcome == OUTCOME_NOT_SENT ? VERDICT_UPSTREAM_UNREACHABLE
                                                            : VERDICT_OUTCOME_UNKNOWN;
        break;
    }
    *ret_why = outcome->outcome == OUTCOME_NOT_SENT
                   ? "the vendor could not be reached; nothing was sent and nothing was charged"
                   : "the request was sent, and no usable answer came back; it may have taken "
                     "effect";
    return true;
}

/* There is an answer, and no room to write down what it cost: the client is not kept for longer.
 * What it cost is counted nevertheless, as soon as there is room. */
static void tell_unsettled(struct request *request)
{
    struct judge *judge = request->judge;

    if (!request->withheld || request->has_done || request->answered ||
        loop_now_ms(judge->loop) - request->settled_ms < LIMIT_SETTLE_WAIT_MS) {
        return;
    }
    (void)refuse(&request->decision, VERDICT_OUTCOME_UNKNOWN,
                 "the vendor has answered, but the ledger cannot be written at the moment, and no "
                 "answer about money is given before it is; the request may have taken effect");
    request_send_denial(request);
    request->decision.verdict = VERDICT_ALLOWED;
}

static void tell_client(struct request *request)
{
    enum verdict verdict = VERDICT_DENIED;
    const char *why = "";

    if (request->has_done || request->answered || !outcome_is_refusal(request, &verdict, &why)) {
        return;
    }
    if (request->outcome.detail.len > 0) {
        (void)refuse(&request->decision, verdict, "%s (%.*s)", why,
                     STR_FMT(str_slice(request->outcome.detail, 0, 200)));
    } else {
        (void)refuse(&request->decision, verdict, "%s", why);
    }
    request_send_denial(request);
    request->decision.verdict = VERDICT_ALLOWED; /* of the admission, for the audit */
}

static void on_settled(void *ctx, bool durable)
{
    struct request *request = ctx;
    struct judge *judge = request->judge;

    if (!durable) {
        /* The rows stay in the journal; the answer waits until they are written. */
        tell_unsettled(request);
        record_wait(judge, &request->waiter, on_settled, request);
        return;
    }
    struct message_release release = {.grant = request->grant};
    if (request->vault != NULL && request->withheld) {
        (void)channel_send(request->vault->channel, MESSAGE_RELEASE, &release);
    }
    tell_client(request);
    list_remove(&request->vault_link);
    request_move(request, REQUEST_ENDING);
    finish(request);
}

static void settle(struct request *request)
{
    struct judge *judge = request->judge;
    bool read = request->decision.class == CLASS_READ && !request->decision.costs;

    loop_timer_stop(judge->loop, &request->timer);
    settle_request(request);
    turns_leave(request);
    if (!read) {
        audit_over(judge, request);
    }
    if (request->has_hold) {
        request_move(request, REQUEST_RELEASE);
        request->settled_ms = loop_now_ms(judge->loop);
        record_wait(judge, &request->waiter, on_settled, request);
        return;
    }
    tell_client(request);
    list_remove(&request->vault_link);
    request_move(request, REQUEST_ENDING);
    finish(request);
}

static void no_facts_came(void *ctx)
{
    struct request *request = ctx;

    log_warn("answer-facts", "grant=%llu why=late", (unsigned long long)request->grant);
    settle(request);
}

static bool waits_for_facts(const struct request *request)
{
    const struct message_outcome *outcome = &request->outcome;

    return request->has_hold && request->answer_rule != 0 && outcome->outcome == OUTCOME_ANSWERED &&
           outcome->complete && !digest_is_zero(&outcome->body_digest) &&
           !request->has_answer_facts;
}

void grant_outcome(struct judge *judge, struct peer *vault, const struct message_outcome *outcome)
{
    struct request *request = request_of_grant(judge, outcome->grant);

    if (request == NULL && vault != NULL && fetch_outcome(judge, vault, outcome)) {
        return;
    }
    if (request == NULL || request->vault != vault || request->has_outcome ||
        request->state != REQUEST_GRANTED) {
        if (vault != NULL) {
            judge->fault_peer(judge, vault, "OUTCOME without a grant");
        }
        return;
    }
    request->outcome = *outcome;
    request->outcome.detail = arena_copy(request->arena, outcome->detail);
    request->outcome.vendor_request_id = arena_copy(request->arena, outcome->vendor_request_id);
    request->has_outcome = true;
    if (request->sent && outcome->outcome == OUTCOME_NOT_SENT) {
        /* SENT was a promise to say so before the first byte, not that it left.  The vault's word
         * that none did is still its word. */
        request->sent = false;
    }
    if (waits_for_facts(request)) {
        request_move(request, REQUEST_ANSWER);
        loop_timer_set(judge->loop, &request->timer, ANSWER_FACTS_MS, no_facts_came, request);
        return;
    }
    settle(request);
}

void grant_answer_facts(struct judge *judge, struct peer *reader, const struct message_facts *facts)
{
    struct request *request = request_of_grant(judge, facts->request);

    if (request == NULL && fetch_facts(judge, reader, facts)) {
        return;
    }
    /* A reader may say what it likes of bodies that pass through it, and of no others. */
    if (request == NULL || request->vault == NULL || request->vault->index != reader->index ||
        request->has_answer_facts || request->answer_rule == 0 ||
        (request->state != REQUEST_GRANTED && request->state != REQUEST_ANSWER)) {
        return;
    }
    facts_copy(request->arena, facts, &request->answer_facts);
    request->has_answer_facts = true;
    if (request->state == REQUEST_ANSWER) {
        settle(request);
    }
}

void grant_done(struct judge *judge, struct peer *gate, const struct message_done *done)
{
    struct request *request = request_of_gate(gate, done->request);

    if (request == NULL || request->grant != done->grant || request->has_done ||
        request->state < REQUEST_GRANTED) {
        judge->fault_peer(judge, gate, "DONE without a grant");
        return;
    }
    request->done = *done;
    request->has_done = true;
    finish(request);
}

/* ---- deaths ---- */

void grant_vault_gone(struct judge *judge, struct peer *vault)
{
    fetch_vault_gone(judge, vault);
    while (!list_empty(&vault->grants)) {
        struct request *request = LIST_THING(vault->grants.next, struct request, vault_link);
        list_remove(&request->vault_link);
        if (request->has_outcome) {
            request->vault = NULL;
            continue;
        }
        struct message_outcome outcome = {
            .grant = request->grant,
            .outcome = request->has_hold && !request->sent && !vault->unheard ? OUTCOME_NOT_SENT
                                                                              : OUTCOME_UNKNOWN,
            .error = UPSTREAM_RESET,
            .detail = STR("the vault died")};
        request->vault = NULL;
        grant_outcome(judge, NULL, &outcome);
    }
}

void grant_gate_gone(struct judge *judge, struct peer *gate)
{
    struct request *request;
    size_t at = 0;

    while ((request = table_next(&gate->requests, &at)) != NULL) {
        (void)table_remove(&gate->requests, &request->number);
        at = 0; /* the table has changed */
        request->gate = NULL;
        if (request->state == REQUEST_BODY || request->state == REQUEST_WAIT) {
            request_free(request);
        } else if (request->state >= REQUEST_GRANTED) {
            request->done = (struct message_done){
                .client_gone = true, .total_us = loop_now_us(judge->loop) - request->at_us};
            request->has_done = true;
            finish(request);
        }
    }
}
