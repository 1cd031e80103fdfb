/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/cost.h"

#include "base/integer.h"
#include "pack/cost_amount.h"
#include "pack/cost_object.h"
#include "pack/facts.h"

uint32_t cost_request_read(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);

    return cost == NULL ? PACK_NONE : cost->request_read;
}

uint32_t cost_answer_read(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);

    return cost == NULL ? PACK_NONE : cost->answer_read;
}

/* ---- what is set aside ---- */

static enum cost_verdict flat(const struct cost_question *question, struct cost *ret)
{
    *ret = (struct cost){.nano = question->flat_price, .rate = STR("flat price")};
    return COST_AMOUNT;
}

static bool has_flat_price(const struct cost_question *question)
{
    return question->flat_price >= 0 && question->flat_price <= COST_NANO_MAX;
}

static bool is_read(const struct cost_question *question)
{
    return str_equal(question->method, STR("GET")) || str_equal(question->method, STR("HEAD"));
}

static bool may_be_flat(enum operation_class class)
{
    return class != CLASS_MONEY_IN && class != CLASS_MONEY_OUT;
}

/* Nobody knows what it costs: refused under a cap.  `err` has the reason already. */
static enum cost_verdict unknown(const struct cost_question *question)
{
    return question->capped ? COST_UNKNOWN : COST_NOTHING;
}

static enum cost_verdict reserve_unlisted(const struct cost_question *question, struct cost *ret,
                                          struct err *err)
{
    if (is_read(question)) {
        return COST_NOTHING;
    }
    if (has_flat_price(question)) {
        return flat(question, ret);
    }
    (void)err_set(err,
                  "what this %.*s costs is not known: it is not among the operations known of "
                  "%.*s; under a cap the key must name a flat price a request",
                  STR_FMT(question->method), STR_FMT(question->pack->vendor));
    return unknown(question);
}

/* The operation costs something, and neither the pack nor the request says how much. */
static enum cost_verdict reserve_unpriced(const struct cost_question *question, struct cost *ret,
                                          struct err *err)
{
    const struct pack_operation *operation = question->match->operation;

    if (may_be_flat(operation->class) && has_flat_price(question)) {
        return flat(question, ret);
    }
    (void)err_set(err, "what %.*s costs is not known before it is done%s", STR_FMT(operation->name),
                  may_be_flat(operation->class)
                      ? "; under a cap the key must name a flat price a request"
                      : ", and so it is refused under a cap");
    return unknown(question);
}

static bool costs_by_class(enum operation_class class)
{
    return class == CLASS_PAY || class == CLASS_MONEY_IN || class == CLASS_MONEY_OUT ||
           class == CLASS_UNBOUNDED;
}

static enum cost_verdict reserve_without_rule(const struct cost_question *question,
                                              struct cost *ret, struct err *err)
{
    if (question->pack->generic) {
        return has_flat_price(question) ? flat(question, ret) : COST_NOTHING;
    }
    if (question->match->operation == NULL) {
        return reserve_unlisted(question, ret, err);
    }
    if (costs_by_class(question->match->operation->class)) {
        return reserve_unpriced(question, ret, err);
    }
    /* The vendor asks nothing for it; the key's policy may count it all the same. */
    bool counts = question->match->operation->class != CLASS_READ && has_flat_price(question);
    return counts ? flat(question, ret) : COST_NOTHING;
}

/* COST_AMOUNT when the facts may be used. */
static enum cost_verdict check_request(const struct cost_question *question,
                                       const struct pack_cost *cost, struct err *err)
{
    const struct message_facts *facts = question->facts;
    struct str name;

    if (cost->request_read < question->config->read_count && question->query.len > 0 &&
        facts_query_touches(&question->config->reads[cost->request_read], question->query,
                            question->arena, &name)) {
        (void)err_set(err,
                      "a parameter that decides what this costs stands in the query (%.*s); it "
                      "belongs into the body",
                      STR_FMT(str_slice(name, 0, 100)));
        return COST_AMBIGUOUS;
    }
    if (facts != NULL && facts->state != FACTS_OK) {
        (void)err_set(err, "the body cannot be read: %.*s", STR_FMT(facts->problem));
        return COST_AMBIGUOUS;
    }
    return COST_AMOUNT;
}

static bool all_hold(const struct pack_condition *conditions, size_t count,
                     const struct message_facts *facts)
{
    for (size_t i = 0; i < count; i++) {
        if (!cost_condition_holds(&conditions[i], 0, facts)) {
            return false;
        }
    }
    return count > 0;
}

/* All that is set aside together. */
static enum cost_verdict reserve_sum(const struct cost_question *question,
                                     const struct pack_cost *cost, struct cost *ret,
                                     struct err *err)
{
    enum cost_verdict verdict =
        cost_amount(question, &cost->reserve, cost->request_read, question->facts, true, ret, err);

    for (size_t i = 0; i < cost->more_count && verdict == COST_AMOUNT; i++) {
        struct cost more;
        verdict = cost_amount(question, &cost->more[i], cost->request_read, question->facts, true,
                              &more, err);
        if (verdict == COST_AMOUNT &&
            (!int_add(ret->nano, more.nano, &ret->nano) || ret->nano > COST_NANO_MAX)) {
            (void)err_set(err, "the amount is beyond what can be counted");
            verdict = COST_UNKNOWN;
        }
    }
    return verdict;
}

static enum cost_verdict reserve_by_rule(const struct cost_question *question,
                                         const struct pack_cost *cost, struct cost *ret,
                                         struct err *err)
{
    enum cost_verdict verdict = check_request(question, cost, err);

    if (verdict != COST_AMOUNT) {
        return verdict;
    }
    if (all_hold(cost->free_if, cost->free_if_count, question->facts)) {
        return COST_NOTHING;
    }
    if (cost_needs_object(question, cost)) {
        return cost_reserve_object(question, cost, ret, err);
    }
    bool unknown_by_rule = all_hold(cost->unknown_if, cost->unknown_if_count, question->facts);
    if (!unknown_by_rule &&
        (cost->reserve.kind == AMOUNT_RATE || cost->reserve.kind == AMOUNT_MINOR)) {
        verdict = reserve_sum(question, cost, ret, err);
    } else {
        return reserve_unpriced(question, ret, err);
    }
    if (verdict == COST_UNKNOWN && cost->reserve.kind == AMOUNT_RATE && has_flat_price(question)) {
        return flat(question, ret);
    }
    return verdict == COST_UNKNOWN ? unknown(question) : verdict;
}

enum cost_verdict cost_reserve(const struct cost_question *question, struct cost *ret,
                               struct err *err)
{
    const struct pack_cost *cost = cost_of(question->pack, question->match);
    struct cost found = {.nano = 0};

    err->text[0] = '\0';
    *ret = found;
    if (cost == NULL) {
        return reserve_without_rule(question, ret, err);
    }
    if (cost->reserve.kind == AMOUNT_NONE) {
        return COST_NOTHING;
    }
    enum cost_verdict verdict = reserve_by_rule(question, cost, &found, err);
    if (verdict == COST_AMOUNT || verdict == COST_FETCH) {
        *ret = found;
    }
    return verdict;
}

/* ---- what came of it ---- */

static void settle(struct settlement *ret, enum hold_state state, int64_t posted, int64_t held)
{
    ret->state = state;
    ret->posted = posted;
    ret->held = held;
}

static void settle_estimated(struct settlement *ret, const struct cost *reserved)
{
    settle(ret, HOLD_POSTED, reserved->nano, 0);
    ret->estimated = true;
}

static bool is_free_status(const struct pack *pack, uint32_t status)
{
    for (size_t i = 0; i < pack->free_status_count; i++) {
        if (pack->free_statuses[i] == status) {
            return true;
        }
    }
    return false;
}

/* Beside 2xx only a rule that asks for the status knows what it speaks of. */
static bool rule_holds(const struct pack_settle *rule, uint32_t status,
                       const struct message_facts *answer)
{
    bool asks_status = status / 100 == 2;

    for (size_t i = 0; i < rule->condition_count; i++) {
        const struct pack_condition *condition = &rule->conditions[i];
        bool about_status = condition->kind == CONDITION_STATUS;
        if (!about_status && answer == NULL) {
            return false;
        }
        if (!cost_condition_holds(condition, status, answer)) {
            return false;
        }
        asks_status = asks_status || about_status;
    }
    return asks_status;
}

/* The rules that apply, and the reading of the facts that they speak of. */
struct rules {
    const struct pack_settle *settles;
    size_t count;
    uint32_t read;
    bool of_object;
};

static void settle_amount(const struct cost_question *question, const struct rules *rules,
                          const struct pack_amount *amount, const struct cost *reserved,
                          const struct message_facts *answer, struct settlement *ret)
{
    struct pack_amount held = *amount;
    struct cost posted = {.nano = 0}, open = {.nano = 0};
    struct err err;

    held.minor = amount->held;
    if ((amount->minor != PACK_NONE &&
         cost_amount(question, amount, rules->read, answer, false, &posted, &err) != COST_AMOUNT) ||
        (amount->held != PACK_NONE &&
         cost_amount(question, &held, rules->read, answer, false, &open, &err) != COST_AMOUNT) ||
        (open.nano > 0 && ret->object.len == 0)) {
        settle_estimated(ret, reserved);
        return;
    }
    ret->of_object = rules->of_object;
    settle(ret,
           open.nano > 0                          ? HOLD_HELD
           : rules->of_object && posted.nano == 0 ? HOLD_VOIDED
                                                  : HOLD_POSTED,
           posted.nano, open.nano);
}

static void settle_by_rule(const struct cost_question *question, const struct rules *rules,
                           const struct pack_settle *rule, const struct cost *reserved,
                           const struct message_facts *answer, struct settlement *ret)
{
    switch (rule->amount.kind) {
    case AMOUNT_NONE:
        settle(ret, HOLD_VOIDED, 0, 0);
        return;
    case AMOUNT_RESERVED:
        settle(ret, HOLD_POSTED, reserved->nano, 0);
        return;
    case AMOUNT_KEEP:
        if (ret->object.len > 0) {
            settle(ret, HOLD_HELD, 0, reserved->nano);
        } else { /* nobody could ask the vendor about it later */
            settle_estimated(ret, reserved);
        }
        return;
    case AMOUNT_MINOR:
    case AMOUNT_MAJOR:
    case AMOUNT_RATE:
        settle_amount(question, rules, &rule->amount, reserved, answer, ret);
        return;
    case AMOUNT_OBJECT:
    case AMOUNT_UNKNOWN:
    case AMOUNT_KIND_COUNT:
        break;
    }
    settle_estimated(ret, reserved);
}

/* False: no rule speaks of this. */
static bool settle_by_rules(const struct cost_question *question, const struct rules *rules,
                            const struct cost *reserved, uint32_t status,
                            const struct message_facts *answer, struct settlement *ret)
{
    for (size_t i = 0; i < rules->count; i++) {
        if (rule_holds(&rules->settles[i], status, answer)) {
            if (rules->settles[i].by_secret && question->redacts) {
                settle(ret, HOLD_VOIDED, 0, 0);
                ret->of_object = rules->of_object;
                return true;
            }
            settle_by_rule(question, rules, &rules->settles[i], reserved, answer, ret);
            return true;
        }
    }
    return false;
}

static void settle_answered(const struct cost_question *question, const struct cost *reserved,
                            uint32_t status, const struct message_facts *answer,
                            struct settlement *ret)
{
    const struct pack_cost *cost = cost_of(question->pack, question->match);

    if (cost == NULL) { /* a flat price: the request was made, whatever came of it */
        settle(ret, HOLD_POSTED, reserved->nano, 0);
        return;
    }
    struct rules rules = {.settles = cost->settles,
                          .count = cost->settle_count,
                          .read = cost->answer_read,
                          .of_object = cost->kind < question->pack->object_count};
    if (settle_by_rules(question, &rules, reserved, status, answer, ret)) {
        return;
    }
    if (status / 100 == 2) {
        settle_estimated(ret, reserved);
    } else {
        settle(ret, HOLD_UNKNOWN, 0, reserved->nano);
    }
}

static struct str object_of(const struct cost_question *question,
                            const struct message_facts *answer)
{
    const struct pack_cost *cost = cost_of(question->pack, question->match);
    struct message_fact fact = {.kind = FACT_ABSENT};

    if (cost != NULL) {
        fact = facts_get(answer, cost->object);
    }
    if (fact.kind == FACT_TEXT && cost_is_object_id(fact.text)) {
        return fact.text;
    }
    return cost_object_acted_on(question->pack, question->match);
}

void cost_settle(const struct cost_question *question, const struct cost *reserved,
                 const struct message_outcome *outcome, const struct message_facts *answer,
                 struct settlement *ret)
{
    if (answer != NULL && answer->state != FACTS_OK) {
        answer = NULL;
    }
    *ret = (struct settlement){.state = HOLD_UNKNOWN, .held = reserved->nano};
    if (outcome->outcome == OUTCOME_NOT_SENT) {
        settle(ret, HOLD_VOIDED, 0, 0);
        return;
    }
    if (outcome->outcome != OUTCOME_ANSWERED || !outcome->complete) {
        return;
    }
    ret->object = object_of(question, answer);
    if (is_free_status(question->pack, outcome->status)) {
        settle(ret, HOLD_VOIDED, 0, 0);
        return;
    }
    settle_answered(question, reserved, outcome->status, answer, ret);
    ret->overrun = ret->posted > reserved->nano;
}

bool cost_settle_object(const struct cost_question *question, const struct pack_object *object,
                        struct str id, const struct cost *held, const struct message_facts *answer,
                        struct settlement *ret)
{
    const struct rules rules = {.settles = object->settles,
                                .count = object->settle_count,
                                .read = object->read,
                                .of_object = true};

    *ret = (struct settlement){.state = HOLD_HELD, .held = held->nano, .object = id};
    return answer != NULL && answer->state == FACTS_OK &&
           settle_by_rules(question, &rules, held, 200, answer, ret);
}
