/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/cost_object.h"

#include "base/buf.h"
#include "base/limits.h"
#include "pack/cost_amount.h"
#include "pack/facts.h"

bool cost_is_object_id(struct str id)
{
    for (size_t i = 0; i < id.len; i++) {
        char c = id.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '-' && c != '.') {
            return false;
        }
    }
    /* Not "." nor "..", which a vendor might take for another path. */
    return id.len > 0 && id.len <= COST_OBJECT_MAX && id.data[0] != '.';
}

struct str cost_object_acted_on(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);
    struct str id = STR_NONE;

    if (cost != NULL && cost->on.len > 0) {
        id = match_param(match, cost->on);
    }
    return cost_is_object_id(id) ? id : STR_NONE;
}

bool cost_is_total(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);

    return cost != NULL && cost->total;
}

bool cost_may_fetch(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);

    return cost != NULL && cost->fetch_count > 0;
}

bool cost_ends_object(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);

    return cost != NULL && cost->on.len > 0 && cost->reserve.kind == AMOUNT_NONE;
}

const struct pack_object *cost_object_kind(const struct pack *pack, const struct match *match)
{
    const struct pack_cost *cost = cost_of(pack, match);

    return cost != NULL && cost->kind < pack->object_count ? &pack->objects[cost->kind] : NULL;
}

/* ---- placeholders ---- */

static bool request_value(const struct cost_question *question, struct str name, struct str *ret)
{
    const struct pack_cost *cost = cost_of(question->pack, question->match);

    if (cost == NULL || cost->request_read >= question->config->read_count) {
        return false;
    }
    const struct pack_read *read = &question->config->reads[cost->request_read];
    for (uint32_t i = 0; i < read->selector_count; i++) {
        const struct pack_selector *selector = &read->selectors[i];
        bool plain = selector->kind == SELECT_FORM || selector->kind == SELECT_POINTER;
        if (plain && str_equal(selector->name, name)) {
            *ret = facts_get(question->facts, i).text;
            return true;
        }
    }
    return false;
}

/* Fills the braces of a path by `value`; every value must be an id. */
static bool fill(struct str pattern, bool (*value)(const void *ctx, struct str name, struct str *),
                 const void *ctx, struct arena *arena, struct str *ret)
{
    struct buf path;
    bool ok = true;

    buf_init(&path, LIMIT_TARGET_BYTES);
    while (pattern.len > 0 && ok) {
        size_t open = str_index(pattern, '{', 0);
        size_t close = str_index(pattern, '}', open);
        struct str filled = STR_NONE;
        ok = buf_add_str(&path, str_slice(pattern, 0, open));
        if (ok && open < pattern.len) {
            ok = value(ctx, str_slice(pattern, open + 1, close), &filled) &&
                 cost_is_object_id(filled) && buf_add_str(&path, filled);
        }
        pattern = str_slice(pattern, close < pattern.len ? close + 1 : close, pattern.len);
    }
    if (ok) {
        *ret = arena_copy(arena, buf_str(&path));
    }
    buf_clear(&path);
    return ok;
}

static bool fetch_value(const void *ctx, struct str name, struct str *ret)
{
    const struct cost_question *question = ctx;

    if (str_starts(name, STR("path:"))) {
        *ret = match_param(question->match, str_slice(name, 5, name.len));
        return true;
    }
    return request_value(question, str_slice(name, 4, name.len), ret);
}

bool cost_fetch_path(const struct cost_question *question, const struct pack_fetch *fetch,
                     struct str *ret_path)
{
    return fill(fetch->path, fetch_value, question, question->arena, ret_path);
}

struct object_values {
    struct str id;
    struct str (*field)(const void *ctx, struct str name);
    const void *ctx;
};

static bool object_value(const void *ctx, struct str name, struct str *ret)
{
    const struct object_values *values = ctx;

    *ret = str_equal(name, STR("id")) ? values->id
                                      : values->field(values->ctx, str_slice(name, 6, name.len));
    return true;
}

bool cost_object_path(const struct pack_object *object, struct str id,
                      struct str (*field)(const void *ctx, struct str name), const void *ctx,
                      struct arena *arena, struct str *ret_path)
{
    const struct object_values values = {id, field, ctx};

    return object->path.len > 0 && fill(object->path, object_value, &values, arena, ret_path);
}

bool cost_cancel_path(const struct pack_object *object, struct str id,
                      struct str (*field)(const void *ctx, struct str name), const void *ctx,
                      struct arena *arena, struct str *ret_path)
{
    const struct object_values values = {id, field, ctx};

    return object->cancel.len > 0 && fill(object->cancel, object_value, &values, arena, ret_path);
}

/* ---- what the vendor said ---- */

static bool whole_number(const struct message_facts *answer, uint32_t selector, int64_t *ret)
{
    struct message_fact fact = facts_get(answer, selector);

    *ret = fact.number;
    return fact.kind == FACT_INTEGER && fact.number >= 0;
}

bool cost_read_found(const struct pack_fetch *fetch, const struct message_facts *answer,
                     struct arena *arena, struct cost_found *ret, struct err *err)
{
    struct message_fact currency = facts_get(answer, fetch->currency);
    struct cost_found found = {.minor = 0};
    int64_t minus = 0;

    if (answer == NULL || answer->state != FACTS_OK ||
        !whole_number(answer, fetch->minor, &found.minor) ||
        (fetch->minus != PACK_NONE && !whole_number(answer, fetch->minus, &minus)) ||
        (fetch->posted != PACK_NONE && !whole_number(answer, fetch->posted, &found.posted)) ||
        currency.kind != FACT_TEXT || currency.text.len == 0) {
        (void)err_set(err, "the vendor's answer to GET %.*s does not say how much it is",
                      STR_FMT(fetch->path));
        return false;
    }
    found.minor = minus > found.minor ? 0 : found.minor - minus;
    found.currency = arena_copy(arena, currency.text);
    *ret = found;
    return true;
}

/* ---- what is set aside ---- */

static bool names_amount(const struct cost_question *question, const struct pack_cost *cost)
{
    struct message_fact fact = facts_get(question->facts, cost->reserve.minor);

    return cost->reserve.kind != AMOUNT_OBJECT && cost->reserve.minor != PACK_NONE &&
           fact.kind != FACT_ABSENT && fact.kind != FACT_NULL;
}

bool cost_needs_object(const struct cost_question *question, const struct pack_cost *cost)
{
    return cost->reserve.kind == AMOUNT_OBJECT || cost->on.len > 0 || question->found != NULL ||
           (cost->fetch_count > 0 && cost->reserve.kind == AMOUNT_MINOR &&
            !names_amount(question, cost));
}

/* The request's own amount; its currency, where it names none, is the object's. */
static enum cost_verdict own_amount(const struct cost_question *question,
                                    const struct pack_cost *cost, struct str currency,
                                    struct cost *ret, struct err *err)
{
    struct message_fact minor = facts_get(question->facts, cost->reserve.minor);
    struct message_fact named = facts_get(question->facts, cost->reserve.currency);
    bool has_currency = named.kind != FACT_ABSENT && named.kind != FACT_NULL;

    if (has_currency || minor.kind != FACT_INTEGER || currency.len == 0) {
        return cost_amount(question, &cost->reserve, cost->request_read, question->facts, true, ret,
                           err); /* with its refusals */
    }
    *ret = (struct cost){.nano = 0};
    return cost_convert(question, minor.number, currency, ret, err);
}

static bool stays_open(const struct cost_question *question, const struct pack_cost *cost)
{
    for (size_t i = 0; i < cost->whole_if_count; i++) {
        if (!cost_condition_holds(&cost->whole_if[i], 0, question->facts)) {
            return false;
        }
    }
    return cost->whole_if_count > 0;
}

static enum cost_verdict reserve_known(const struct cost_question *question,
                                       const struct pack_cost *cost, struct cost *ret,
                                       struct err *err)
{
    const struct cost_object *object = question->object;
    struct cost whole = {.nano = object->held,
                         .amount_minor = object->amount_minor,
                         .currency = object->currency,
                         .factor = question->frozen.factor};

    *ret = whole;
    if (!names_amount(question, cost)) {
        return COST_AMOUNT;
    }
    enum cost_verdict verdict = own_amount(question, cost, object->currency, ret, err);
    if (verdict == COST_AMOUNT && stays_open(question, cost) && ret->nano < object->held) {
        ret->nano = object->held;
    }
    return verdict;
}

static enum cost_verdict ask_vendor(const struct cost_question *question,
                                    const struct pack_cost *cost, struct cost *ret, struct err *err)
{
    struct str path;

    for (size_t i = 0; i < cost->fetch_count; i++) {
        if (cost_fetch_path(question, &cost->fetches[i], &path)) {
            *ret = (struct cost){.fetch = &cost->fetches[i]};
            (void)err_set(err, "what this moves is known only by asking the vendor");
            return COST_FETCH;
        }
    }
    (void)err_set(err,
                  "what %.*s would move is not known, and the request names nothing that the "
                  "vendor could be asked about",
                  STR_FMT(question->match->operation->name));
    return COST_UNKNOWN;
}

bool cost_asks_currency(const struct cost_question *question, struct cost *ret)
{
    const struct pack_cost *cost = cost_of(question->pack, question->match);
    struct err err;

    if (cost == NULL || cost->reserve.kind != AMOUNT_MINOR || question->found != NULL ||
        question->object != NULL || !names_amount(question, cost)) {
        return false;
    }
    struct message_fact named = facts_get(question->facts, cost->reserve.currency);
    return (named.kind == FACT_ABSENT || named.kind == FACT_NULL) &&
           ask_vendor(question, cost, ret, &err) == COST_FETCH;
}

static enum cost_verdict reserve_found(const struct cost_question *question,
                                       const struct pack_cost *cost, struct cost *ret,
                                       struct err *err)
{
    const struct cost_found *found = question->found;
    struct cost whole = {.found = true}, before = {.nano = 0};
    enum cost_verdict verdict = cost_convert(question, found->minor, found->currency, &whole, err);

    if (verdict == COST_AMOUNT) {
        verdict = cost_convert(question, found->posted, found->currency, &before, err);
    }
    if (verdict == COST_AMOUNT && names_amount(question, cost)) {
        verdict = own_amount(question, cost, found->currency, ret, err);
        if (verdict == COST_AMOUNT && stays_open(question, cost) && ret->nano < whole.nano) {
            ret->nano = whole.nano;
        }
    } else if (verdict == COST_AMOUNT) {
        *ret = whole;
    }
    ret->base = before.nano;
    return verdict;
}

enum cost_verdict cost_reserve_object(const struct cost_question *question,
                                      const struct pack_cost *cost, struct cost *ret,
                                      struct err *err)
{
    if (question->object != NULL) {
        return reserve_known(question, cost, ret, err);
    }
    return question->found != NULL ? reserve_found(question, cost, ret, err)
                                   : ask_vendor(question, cost, ret, err);
}
