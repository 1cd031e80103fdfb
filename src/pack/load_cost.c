/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost rules of a pack: what is set aside, what it is settled with, what is free.
 */
#include <string.h>

#include "pack/load_cost_parts.h"

/* Several prices that are set aside together. */
static int load_prices(struct json_in *in, const struct json_place *at, json_t *value,
                       struct load_cost_target *cost)
{
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (count < 2 || count > PACK_AMOUNTS_MAX) {
        return json_in_fail(in, at, "must be an array of 2 to %d prices", PACK_AMOUNTS_MAX);
    }
    cost->cost->more = arena_zeroed(in->arena, count - 1, sizeof(struct pack_amount));
    cost->cost->more_count = count - 1;
    for (; here.index < count; here.index++) {
        struct pack_amount *to =
            here.index == 0 ? &cost->cost->reserve : &cost->cost->more[here.index - 1];
        struct load_amount_target amount = {cost, to, false};
        json_t *one = json_array_get(value, here.index);
        load_no_amount(to);
        to->at_least_one = here.index == 0;
        if (json_object_get(one, "rate") == NULL) {
            return json_in_fail(in, &here, "must be a price: {\"rate\": ...}");
        }
        if (load_amount(in, &here, one, &amount) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_reserve(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    static const char *const words[] = {"none", "unknown", "object"};
    static const enum amount_kind kinds[] = {AMOUNT_NONE, AMOUNT_UNKNOWN, AMOUNT_OBJECT};
    struct load_cost_target *cost = target;
    struct load_amount_target amount = {cost, &cost->cost->reserve, false};
    size_t word;

    if (json_is_object(value)) {
        return load_amount(in, at, value, &amount);
    }
    if (json_is_array(value)) {
        return load_prices(in, at, value, cost);
    }
    if (json_in_word(in, at, value, words, 3, &word) != 0) {
        return -1;
    }
    amount.amount->kind = kinds[word];
    return 0;
}

static int load_settle_if(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct load_amount_target *t = target;
    struct pack_settle *settle =
        (struct pack_settle *)(void *)((char *)t->amount - offsetof(struct pack_settle, amount));

    return load_conditions(in, at, value, t, &settle->conditions, &settle->condition_count);
}

static int load_by_secret(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct load_amount_target *t = target;
    struct pack_settle *settle =
        (struct pack_settle *)(void *)((char *)t->amount - offsetof(struct pack_settle, amount));

    return json_in_bool(in, at, value, &settle->by_secret);
}

static int load_settle_amount(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    static const char *const words[] = {"zero", "reserved", "keep"};
    static const enum amount_kind kinds[] = {AMOUNT_NONE, AMOUNT_RESERVED, AMOUNT_KEEP};
    struct load_amount_target *t = target;
    size_t word;

    if (json_is_object(value)) {
        return load_amount(in, at, value, t);
    }
    if (json_in_word(in, at, value, words, 3, &word) != 0) {
        return -1;
    }
    t->amount->kind = kinds[word];
    return 0;
}

int load_settle_rules(struct json_in *in, const struct json_place *at, json_t *value,
                      struct load_cost_target *cost, struct pack_settle **rules, size_t *rule_count)
{
    static const struct json_member members[] = {{"if", JSON_REQUIRED, load_settle_if},
                                                 {"amount", JSON_REQUIRED, load_settle_amount},
                                                 {"by_secret", JSON_OPTIONAL, load_by_secret}};
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value) || count == 0 || *rule_count + count > PACK_LIST_MAX) {
        return json_in_fail(in, at, "must be an array of 1 to %d rules", PACK_LIST_MAX);
    }
    struct pack_settle *all = arena_zeroed(in->arena, *rule_count + count, sizeof(*all));
    if (*rule_count > 0) {
        memcpy(all, *rules, *rule_count * sizeof(*all));
    }
    for (; here.index < count; here.index++) {
        struct pack_amount *amount = &all[*rule_count + here.index].amount;
        struct load_amount_target target = {cost, amount, true};
        load_no_amount(amount);
        if (json_in_object(in, &here, json_array_get(value, here.index), members, 3, &target) !=
            0) {
            return -1;
        }
    }
    *rules = all;
    *rule_count += count;
    return 0;
}

static int load_settles(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct load_cost_target *cost = target;

    return load_settle_rules(in, at, value, cost, &cost->cost->settles, &cost->cost->settle_count);
}

static int load_free_if(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct load_cost_target *cost = target;
    struct load_amount_target amount = {cost, &cost->cost->reserve, false};

    return load_conditions(in, at, value, &amount, &cost->cost->free_if,
                           &cost->cost->free_if_count);
}

static int load_unknown_if(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    struct load_cost_target *cost = target;
    struct load_amount_target amount = {cost, &cost->cost->reserve, false};

    return load_conditions(in, at, value, &amount, &cost->cost->unknown_if,
                           &cost->cost->unknown_if_count);
}

static int load_whole_if(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct load_cost_target *cost = target;
    struct load_amount_target amount = {cost, &cost->cost->reserve, false};

    return load_conditions(in, at, value, &amount, &cost->cost->whole_if,
                           &cost->cost->whole_if_count);
}

static int load_total(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_bool(in, at, value, &((struct load_cost_target *)target)->cost->total);
}

static int load_object(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_cost_target *cost = target;

    return load_selector(in, at, value, cost, true, &cost->cost->object);
}

static int load_cost(struct json_in *in, const struct json_place *at, json_t *value, void *element)
{
    static const struct json_member members[] = {
        {"reserve", JSON_REQUIRED, load_reserve},       {"free_if", JSON_OPTIONAL, load_free_if},
        {"unknown_if", JSON_OPTIONAL, load_unknown_if}, {"inject", JSON_OPTIONAL, load_puts},
        {"object", JSON_OPTIONAL, load_object},         {"on", JSON_OPTIONAL, load_cost_on},
        {"total", JSON_OPTIONAL, load_total},           {"whole_if", JSON_OPTIONAL, load_whole_if},
        {"fetch", JSON_OPTIONAL, load_cost_fetches},    {"settle", JSON_OPTIONAL, load_settles},
        {"of", JSON_OPTIONAL, load_cost_kind}};
    struct pack_cost *cost = element;
    struct load_cost_target target = {.cost = cost};

    cost->name = arena_copy(in->arena, str_from(at->name));
    cost->object = cost->kind = PACK_NONE;
    load_no_amount(&cost->reserve);
    if (cost->name.len == 0 || cost->name.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a name has 1 to %d bytes", PACK_NAME_MAX);
    }
    if (json_in_object(in, at, value, members, sizeof(members) / sizeof(members[0]), &target) !=
        0) {
        return -1;
    }
    return load_cost_reads(in, at, &target);
}

int load_costs(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = load_context_of(in)->pack;

    (void)target;
    return json_in_map(in, at, value, PACK_COSTS_MAX, sizeof(struct pack_cost), load_cost,
                       &pack->costs, &pack->cost_count);
}
