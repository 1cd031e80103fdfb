/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/admission.h"

#include "judge/audit.h"
#include "judge/book.h"
#include "judge/decide.h"
#include "judge/fetch.h"
#include "judge/grant.h"
#include "judge/holds.h"
#include "judge/metrics.h"
#include "judge/number.h"
#include "judge/record.h"
#include "judge/request.h"
#include "judge/self.h"
#include "judge/sessions.h"
#include "judge/turn.h"
#include "pack/cost_object.h"

static void deny(struct request *request, enum verdict verdict, const char *why)
{
    (void)refuse(&request->decision, verdict, "%s", why);
    request_deny(request);
}

/* ---- the rows of an admission ---- */

/* Taken back: nobody was granted anything. */
static void take_back(struct request *request, enum verdict verdict, const char *why)
{
    struct judge *judge = request->judge;
    struct hold *hold = holds_find(judge, request->hold);

    turns_leave(request);
    if (hold != NULL && request->under) {
        struct hold_change change = {.state = HOLD_HELD,
                                     .posted = hold->row.posted,
                                     .held = hold->row.held - request->raised,
                                     .at_ms = judge->clock.now_ms};
        if (request->raised > 0 && hold->row.state == HOLD_HELD && change.held >= 0) {
            (void)holds_change(judge, hold, &change);
        }
    } else if (hold != NULL && request->first) {
        struct hold_change change = {.state = HOLD_VOIDED, .at_ms = judge->clock.now_ms};
        request->hold_state = HOLD_VOIDED;
        (void)holds_change(judge, hold, &change);
    }
    request->outcome = (struct message_outcome){
        .outcome = OUTCOME_NOT_SENT, .error = UPSTREAM_GRANT, .detail = str_from(why)};
    audit_over(judge, request);
    (void)refuse(&request->decision, verdict, "%s", why);
    metrics_verdict(judge->metrics, &request->decision);
    request_send_denial(request);
    request_free(request);
}

static void on_durable(void *ctx, bool durable)
{
    struct request *request = ctx;

    if (!durable) {
        take_back(request, VERDICT_LEDGER_UNAVAILABLE,
                  "the ledger could not be written in time; nothing was forwarded");
    } else if (request->gate == NULL || request->gate->dying) {
        take_back(request, VERDICT_DENIED, "the client left before anything was forwarded");
    } else if (!decide_lives(request->judge, &request->decision)) {
        /* It ended while the rows were written. */
        struct err why = request->decision.why;
        take_back(request, request->decision.verdict, why.text);
    } else {
        grant_send(request);
    }
}

static void write_record(struct judge *judge, const struct request *request)
{
    const struct decision *decision = &request->decision;

    if (digest_is_zero(&decision->scope)) {
        return;
    }
    const struct record *old = table_find(&judge->records.table, &decision->scope);
    uint64_t old_hold = old == NULL ? 0 : old->hold;
    bool same_record = decision->repeat == REPEAT_VOIDED && old != NULL;
    struct message_row_idempotency row = {
        .scope = decision->scope,
        .body = request->has_body_facts ? request->body_facts.digest : (struct digest){{0}},
        .hold = request->hold,
        .first_at_ms = same_record ? old->first_at_ms : judge->clock.now_ms,
        .found_minor = decision->has_found ? decision->found.minor : 0,
        .currency = decision->has_found ? decision->found.currency : STR_NONE};
    records_put(&judge->records, &row);
    record_row(judge, MESSAGE_ROW_IDEMPOTENCY, &row);
    if (old_hold != 0) {
        holds_record_gone(judge, old_hold);
    }
}

/* The hold that pays for it: the one it repeats, that of its object, or a new one. */
static void choose_hold(struct request *request)
{
    struct judge *judge = request->judge;
    const struct decision *decision = &request->decision;

    request->first = decision->repeat != REPEAT_SAME;
    if (!request->first && !decide_repeats_on_object(decision)) {
        request->hold = decision->repeat_hold;
    } else if (decision->under) {
        struct hold *hold = holds_find(judge, decision->object_hold);
        struct hold_change change = {.state = HOLD_HELD,
                                     .posted = hold->row.posted,
                                     .held = hold->row.held + decision->need,
                                     .admitted = true,
                                     .at_ms = judge->clock.now_ms};
        request->hold = hold->number;
        request->under = true;
        request->raised = decision->need;
        if (decision->need > 0) {
            (void)holds_change(judge, hold, &change);
        }
        if (request->first) {
            write_record(judge, request);
        }
    } else {
        request->hold =
            holds_open(judge, decision, request->grant, grant_vendor_key(request))->number;
        write_record(judge, request);
    }
    const struct hold *hold = holds_find(judge, request->hold);
    request->hold_state = hold == NULL ? HOLD_POSTED : hold->row.state;
}

static void take_turns(struct request *request)
{
    const struct decision *decision = &request->decision;

    if (decision->object_id.len > 0) {
        turn_take(request, &decision->object);
    }
    if (!digest_is_zero(&decision->scope) &&
        !turn_is_taken(request->judge, &decision->scope, request)) {
        turn_take(request, &decision->scope);
    }
}

static void proceed(struct request *request)
{
    struct judge *judge = request->judge;
    struct decision *decision = &request->decision;
    bool read = decision->class == CLASS_READ && !decision->costs;

    if (!grant_possible(request)) {
        deny(request, VERDICT_UPSTREAM_UNREACHABLE,
             "the process that speaks with the vendor is starting again; nothing was forwarded");
        return;
    }
    if (!record_has_room(judge, !read)) {
        deny(request, VERDICT_LEDGER_UNAVAILABLE,
             "the ledger cannot be written at the moment; nothing was forwarded");
        return;
    }
    request->grant = number_take(judge, NUMBER_GRANT);
    table_add(&judge->grants, request);
    metrics_verdict(judge->metrics, decision);
    if (read) {
        grant_send(request);
        return;
    }
    if (decision->costs) {
        take_turns(request);
        choose_hold(request);
    }
    audit_intent(judge, request);
    request_move(request, REQUEST_DURABLE);
    record_wait(judge, &request->waiter, on_durable, request);
}

/* ---- those that wait ---- */

static void weigh(struct request *request);

static void on_turn(struct request *request, bool late)
{
    if (late) {
        request_deny(request); /* as it was refused when it began to wait */
    } else {
        weigh(request);
    }
}

static void cannot_ask(struct request *request, const struct fetch_answer *answer)
{
    struct decision *decision = &request->decision;
    struct str path = str_slice(decision->fetch_path, 0, 200);

    if (answer->status == 401 || answer->status == 403) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN,
                     "what this moves must be asked of %.*s, which answered %u to GET %.*s: the "
                     "stored credential lacks the permission to read that; an operator can grant "
                     "it, or the request can name the amount",
                     STR_FMT(decision->pack->vendor), answer->status, STR_FMT(path));
    } else if (answer->status == 404) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN,
                     "what this moves is not known: %.*s knows nothing at %.*s",
                     STR_FMT(decision->pack->vendor), STR_FMT(path));
    } else if (answer->status != 0) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN,
                     "what this moves is not known: %.*s answered %u to GET %.*s",
                     STR_FMT(decision->pack->vendor), answer->status, STR_FMT(path));
    } else {
        (void)refuse(decision, VERDICT_COST_UNKNOWN,
                     "what this moves is not known: %.*s could not be asked for %.*s (%.*s)",
                     STR_FMT(decision->pack->vendor), STR_FMT(path),
                     STR_FMT(str_slice(answer->problem, 0, 200)));
    }
    request_deny(request);
}

static void on_fetched(void *ctx, const struct fetch_answer *answer)
{
    struct request *request = ctx;
    struct decision *decision = &request->decision;
    struct err why = {""};

    request->fetch = NULL;
    if (answer->status != 200) {
        cannot_ask(request, answer);
    } else if (!cost_read_found(decision->fetch, answer->facts, request->arena, &decision->found,
                                &why)) {
        (void)refuse(decision, VERDICT_COST_UNKNOWN, "%s", why.text);
        request_deny(request);
    } else {
        decision->has_found = true;
        weigh(request);
    }
}

static void ask_vendor(struct request *request)
{
    struct judge *judge = request->judge;
    struct decision *decision = &request->decision;
    const struct peer *vault = judge->vaults[request->gate->index];
    struct fetch_ask ask = {.generation = decision->generation,
                            .pack_index = decision->pack_index,
                            .upstream = decision->match.upstream,
                            .credential = book_credential(judge, decision->credential),
                            .path = decision->fetch_path,
                            .query = decision->fetch->query,
                            .account = decision->account_header,
                            .rule = decision->fetch->read,
                            .vault = vault};

    turn_take(request, &decision->object);
    request_move(request, REQUEST_WAIT);
    if (ask.credential == NULL || !fetch_begin(judge, &ask, on_fetched, request, &request->fetch)) {
        deny(request, VERDICT_COST_UNKNOWN,
             "what this moves must be asked of the vendor, and that cannot be done at the moment");
    }
}

/* Decides, and goes on, waits or refuses. */
static void weigh(struct request *request)
{
    struct judge *judge = request->judge;
    struct decision *decision = &request->decision;

    decision->asker = request;
    enum verdict verdict =
        decide_body(judge, &request->admit, request->has_body_facts ? &request->body_facts : NULL,
                    request->arena, decision);
    if (verdict == VERDICT_ALLOWED) {
        proceed(request);
    } else if (decision->delay == DELAY_FETCH) {
        ask_vendor(request);
    } else if (decision->delay == DELAY_TURN && turn_wait(request, &decision->wait_for, on_turn)) {
        request_move(request, REQUEST_WAIT);
    } else {
        request_deny(request);
    }
}

/* ---- ADMIT ---- */

static void ask_for_body(struct request *request)
{
    struct message_read_body ask = {.request = request->number,
                                    .generation = request->decision.generation->config->generation,
                                    .rule = request->decision.read_rule,
                                    .bytes_max = LIMIT_JUDGED_BODY_BYTES};

    request_move(request, REQUEST_BODY);
    if (!channel_send(request->gate->channel, MESSAGE_READ_BODY, &ask)) {
        request->judge->kill_peer(request->judge, request->gate);
    }
}

static void keep_form(struct request *request)
{
    request->admit.presented = NULL;
    request->admit.presented_count = 0;
    request->decision.form_name = arena_copy(request->arena, request->decision.form_name);
}

void admission_request(struct judge *judge, struct peer *gate, const struct message_admit *admit)
{
    if (request_of_gate(gate, admit->request) != NULL) {
        judge->fault_peer(judge, gate, "ADMIT with the number of an open request");
        return;
    }
    if (admit->path.len == 0 || admit->path.data[0] != '/') {
        judge->fault_peer(judge, gate, "ADMIT with a path that is none");
        return;
    }
    bool full = gate->requests.count >= LIMIT_OPEN_ADMISSIONS_A_GATE;
    struct request *request = request_new(judge, gate, admit);
    size_t count;

    request->client_run_id = admit_header(&request->admit, STR("x-agent-run-id"), &count);
    /* The credentials are looked at in the message and not copied. */
    request->admit.presented = admit->presented;
    request->admit.presented_count = admit->presented_count;
    if (full) {
        request->decision.observed = VERDICT_ALLOWED;
        deny(request, VERDICT_LIMIT_REACHED, "too many requests wait at one time");
        return;
    }
    if (self_is_for_us(admit->path)) {
        self_answer(request);
        return;
    }
    enum verdict verdict =
        decide_head(judge, &request->admit, NULL, request->arena, &request->decision);
    keep_form(request);
    if (verdict == VERDICT_ALLOWED && !sessions_at_gate(request->decision.key, gate->index)) {
        /* It cannot have come from there: that gate never had the session's sockets. */
        deny(request, VERDICT_WRONG_SESSION, "this sandbox has ended, or is not at this gate");
        return;
    }
    if (verdict != VERDICT_ALLOWED) {
        request_deny(request);
        return;
    }
    request_begin(request);
    if (request->decision.read_rule != PACK_NONE) {
        ask_for_body(request);
        return;
    }
    weigh(request);
}

void admission_facts(struct judge *judge, struct request *request,
                     const struct message_facts *facts)
{
    (void)judge;
    facts_copy(request->arena, facts, &request->body_facts);
    request->has_body_facts = true;
    weigh(request);
}

/* ---- those that end early ---- */

void admission_abandoned(struct judge *judge, struct peer *gate, uint64_t number)
{
    struct request *request = request_of_gate(gate, number);

    (void)judge;
    if (request == NULL) {
        return; /* our ANSWER was on its way */
    }
    switch (request->state) {
    case REQUEST_BODY:
    case REQUEST_WAIT:
        request_free(request);
        break;
    case REQUEST_DURABLE: /* its rows are under way: taken back when they are durable */
        (void)table_remove(&gate->requests, &request->number);
        request->gate = NULL;
        break;
    case REQUEST_NEW:
    case REQUEST_GRANTED:
    case REQUEST_ANSWER:
    case REQUEST_RELEASE:
    case REQUEST_ENDING:
    case REQUEST_STATE_COUNT:
    default:
        /* GRANTED is on its way, or there: the gate says DONE once more, with the grant. */
        break;
    }
}

void admission_cut(struct judge *judge, struct key *key)
{
    struct list *next;

    for (struct list *at = key->requests.next; at != &key->requests; at = next) {
        struct request *request = LIST_THING(at, struct request, key_link);
        next = at->next;
        if (request->state == REQUEST_BODY || request->state == REQUEST_WAIT) {
            if (decide_lives(judge, &request->decision)) {
                (void)refuse(&request->decision, VERDICT_REVOKED_KEY, "this vault key has ended");
            }
            request_deny(request);
        }
    }
}

void admission_reader_gone(struct judge *judge, uint32_t index)
{
    struct peer *gate = judge->gates[index];
    struct request *request;

    for (;;) {
        size_t at = 0;
        while (gate != NULL && (request = table_next(&gate->requests, &at)) != NULL) {
            if (request->state == REQUEST_BODY) {
                break;
            }
        }
        if (gate == NULL || request == NULL) {
            return;
        }
        deny(request, VERDICT_LEDGER_UNAVAILABLE,
             "the process that reads bodies is starting again; nothing was forwarded");
    }
}
