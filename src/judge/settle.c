/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/settle.h"

#include "judge/audit.h"
#include "judge/holds.h"
#include "judge/keys.h"
#include "judge/objects.h"
#include "judge/settle_rules.h"
#include "judge/watch.h"

static const struct message_facts *usable_answer(const struct request *request)
{
    const struct message_facts *facts = &request->answer_facts;
    const struct config *config = request->decision.generation->config;

    if (!request->has_answer_facts || facts->state != FACTS_OK ||
        facts->rule != request->answer_rule || facts->generation != config->generation ||
        facts->fact_count != config->reads[facts->rule].selector_count ||
        !digest_equal(&facts->digest, &request->outcome.body_digest)) {
        return NULL;
    }
    return facts;
}

/* ---- by the object ---- */

static int64_t change_and_audit(struct judge *judge, struct hold *hold,
                                const struct hold_change *change, const char *reason)
{
    const struct key *key = keys_by_number(judge, hold->row.key);
    struct hold *copy = hold_new(&hold->row); /* the change may forget it */

    copy->row.state = change->state;
    copy->row.held = change->held;
    copy->row.posted = change->posted;
    int64_t posted = holds_change(judge, hold, change);
    audit_hold(judge, AUDIT_RESOLVED, copy, key, posted, reason);
    hold_free(copy);
    return posted;
}

bool settle_by_object(struct judge *judge, struct hold *hold, const struct settlement *settlement,
                      const char *reason)
{
    struct hold_change change = settle_object_change(&hold->row, settlement, judge->clock.now_ms);
    bool same = change.state == hold->row.state && change.posted == hold->row.posted &&
                change.held == hold->row.held;

    hold->doubt = false;
    if (same || !hold_may_move(hold->row.state, change.state)) {
        return false;
    }
    (void)change_and_audit(judge, hold, &change, reason);
    return true;
}

void settle_give_up(struct judge *judge, struct hold *hold, const char *reason)
{
    struct hold_change change = {.state = hold->row.posted > 0 ? HOLD_POSTED : HOLD_VOIDED,
                                 .posted = hold->row.posted,
                                 .at_ms = judge->clock.now_ms};

    (void)change_and_audit(judge, hold, &change, reason);
}

/* ---- a request ---- */

static void note(struct request *request, const struct hold_change *change, int64_t posted)
{
    request->hold_state = change->state;
    request->hold_object = arena_copy(request->arena, change->object);
    request->posted = posted;
}

/* Nothing came of it: what it was raised by is free again. */
static void lower(struct request *request, struct hold *hold)
{
    struct hold_change change = {.state = hold->row.state,
                                 .posted = hold->row.posted,
                                 .held = hold->row.held - request->raised,
                                 .at_ms = request->judge->clock.now_ms};

    if (request->raised > 0 && hold->row.state == HOLD_HELD && change.held >= 0) {
        (void)holds_change(request->judge, hold, &change);
    }
    request->hold_state = HOLD_HELD;
}

static void settle_under(struct request *request, struct hold *hold,
                         const struct settlement *settlement)
{
    struct judge *judge = request->judge;
    bool free = settlement->state == HOLD_VOIDED && !settlement->of_object;

    request->hold_state = hold->row.state;
    if (!request->first && request->outcome.replayed && !hold->doubt) {
        lower(request, hold); /* what was so then need not be so now */
        return;
    }
    if (free && !settle_proves_nothing(&request->outcome)) {
        lower(request, hold);
        return;
    }
    if (!settlement->of_object) {
        watch_doubt(judge, hold);
        return;
    }
    struct hold_change change = settle_object_change(&hold->row, settlement, judge->clock.now_ms);
    if (hold_may_move(hold->row.state, change.state)) {
        hold->doubt = false;
        note(request, &change, holds_change(judge, hold, &change));
    }
}

/* The acting key has it now. */
static void take_over(struct request *request, uint64_t number)
{
    struct judge *judge = request->judge;
    const struct hold *hold = holds_find(judge, number);
    const struct digest *name = &request->decision.object;
    struct hold *owner;

    while ((owner = objects_holder_but(judge, name, hold)) != NULL) {
        settle_give_up(judge, owner, "moved_by_another_key");
    }
}

static void settle_own(struct request *request, struct hold *hold,
                       const struct settlement *settlement)
{
    struct judge *judge = request->judge;
    uint64_t number = hold->number;
    struct hold_change change = {.state = settlement->state,
                                 .posted = settlement->posted,
                                 .held = hold_is_over(settlement->state) ? 0 : settlement->held,
                                 .object = str_slice(settlement->object, 0, LIMIT_LABEL_BYTES),
                                 .estimated = settlement->estimated,
                                 .at_ms = judge->clock.now_ms};

    if (settlement->of_object) {
        change = settle_object_change(&hold->row, settlement, judge->clock.now_ms);
        change.estimated = settlement->estimated;
    }
    if (change.state == HOLD_VOIDED) {
        change.posted = 0;
    }
    note(request, &change, holds_change(judge, hold, &change));
    if (request->decision.object_id.len > 0 && settlement->of_object) {
        take_over(request, number);
    }
    struct hold *held = holds_find(judge, number);
    if (request->outcome.replayed && held != NULL && held->row.state == HOLD_HELD) {
        watch_doubt(judge, held); /* an old answer: the object may be over by now */
    }
}

void settle_request(struct request *request)
{
    struct judge *judge = request->judge;
    struct hold *hold = holds_find(judge, request->hold);
    struct cost reserved = request->decision.cost;
    struct settlement settlement = {0};
    struct cost_question question = {
        .config = request->decision.generation->config,
        .pack = request->decision.pack,
        .match = &request->decision.match,
        .method = request->admit.method,
        .query = request->admit.query,
        .facts = request->has_body_facts ? &request->body_facts : NULL,
        .flat_price = MONEY_NONE,
        .redacts = key_hides_client_secret(request->decision.key),
        .now_ms = judge->clock.now_ms,
        .arena = request->arena,
    };

    if (hold == NULL || hold_is_over(hold->row.state)) {
        return;
    }
    question.frozen = holds_rate(hold);
    cost_settle(&question, &reserved, &request->outcome, usable_answer(request), &settlement);
    if (settlement.posted < 0 || settlement.held < 0) {
        settlement = (struct settlement){.state = HOLD_UNKNOWN, .held = hold->row.held};
    }
    bool tells = hold->row.state == HOLD_HELD && settlement.of_object;
    if (request->under || (!request->first && tells)) {
        settle_under(request, hold, &settlement);
        return;
    }
    if (!hold_may_move(hold->row.state, settlement.state) ||
        (settlement.state == HOLD_VOIDED && settle_proves_nothing(&request->outcome))) {
        settlement = (struct settlement){.state = HOLD_UNKNOWN, .held = hold->row.held};
    }
    if (request->first
            ? hold->row.state == HOLD_OPEN
            : settle_by_repeat(hold->row.state, &settlement, request->outcome.replayed)) {
        settle_own(request, hold, &settlement);
    }
}
