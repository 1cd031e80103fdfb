/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pack/cost_amount.h"
#include "pack/facts.h"

struct putting {
    const struct cost_question *question;
    const struct pack_read *read;
    struct splices *splices;
    struct message_facts *facts;
    struct err *err;
};

static bool is_there(const struct message_fact *fact)
{
    return fact->kind != FACT_ABSENT && fact->kind != FACT_NULL;
}

static enum cost_verdict put_value(struct putting *putting, uint32_t selector, uint64_t value)
{
    struct arena *arena = putting->question->arena;
    struct buf digits;

    if (splice_put(putting->splices, putting->read, putting->facts, selector, value, arena,
                   putting->err) != 0) {
        return COST_AMBIGUOUS;
    }
    buf_init(&digits, 32);
    (void)buf_add_u64(&digits, value);
    putting->facts->facts[selector] =
        (struct message_fact){.kind = FACT_INTEGER,
                              .number = (int64_t)value,
                              .text = arena_copy(arena, buf_str(&digits))};
    buf_clear(&digits);
    return COST_NOTHING;
}

static enum cost_verdict put_at_most(struct putting *putting, const struct pack_put *put)
{
    struct message_fact fact = facts_get(putting->facts, put->selector);

    if (is_there(&fact) && (fact.kind != FACT_INTEGER || fact.number < 0)) {
        (void)err_set(putting->err, "%.*s is not a plain whole number",
                      STR_FMT(putting->read->selectors[put->selector].name));
        return COST_AMBIGUOUS;
    }
    return is_there(&fact) && (uint64_t)fact.number <= put->value
               ? COST_NOTHING
               : put_value(putting, put->selector, put->value);
}

static enum cost_verdict put_one(struct putting *putting, const struct pack_put *put,
                                 int64_t fetched)
{
    struct message_fact fact = facts_get(putting->facts, put->selector);

    switch (put->kind) {
    case PUT_AT_MOST:
        return put_at_most(putting, put);
    case PUT_ALWAYS:
        return put_value(putting, put->selector, put->value);
    case PUT_FETCHED:
        return fetched < 0 || is_there(&fact)
                   ? COST_NOTHING
                   : put_value(putting, put->selector, (uint64_t)fetched);
    case PUT_KIND_COUNT:
        break;
    }
    return COST_UNKNOWN;
}

enum cost_verdict cost_put(const struct cost_question *question, int64_t fetched,
                           struct splices *splices, struct message_facts *ret_facts,
                           struct err *err)
{
    const struct pack_cost *cost = cost_of(question->pack, question->match);
    const struct message_facts *facts = question->facts;
    enum cost_verdict verdict = COST_NOTHING;

    splices->count = 0;
    if (cost == NULL || cost->put_count == 0 || facts == NULL || facts->state != FACTS_OK) {
        return COST_NOTHING;
    }
    *ret_facts = *facts;
    ret_facts->facts = arena_zeroed(question->arena, facts->fact_count, sizeof(facts->facts[0]));
    memcpy(ret_facts->facts, facts->facts, facts->fact_count * sizeof(facts->facts[0]));
    struct putting putting = {.question = question,
                              .read = &question->config->reads[cost->request_read],
                              .splices = splices,
                              .facts = ret_facts,
                              .err = err};
    for (size_t i = 0; i < cost->put_count && verdict == COST_NOTHING; i++) {
        verdict = put_one(&putting, &cost->puts[i], fetched);
    }
    return verdict;
}
