/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How much: {"minor": ..., "currency": ...}, {"rate": ..., "by": ...} and their like.
 */
#include "pack/load_cost_parts.h"

static int load_minor(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_amount_target *t = target;

    t->amount->kind = AMOUNT_MINOR;
    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->minor);
}

static int load_currency(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct load_amount_target *t = target;

    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->currency);
}

static int load_major(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_amount_target *t = target;

    t->amount->kind = AMOUNT_MAJOR;
    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->minor);
}

static int load_held(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_amount_target *t = target;

    t->amount->kind = AMOUNT_MINOR;
    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->held);
}

static int load_rate_name(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct load_amount_target *t = target;
    const struct pack *pack = load_context_of(in)->pack;

    t->amount->kind = AMOUNT_RATE;
    if (json_in_text(in, at, value, PACK_NAME_MAX, &t->amount->rate) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->rate_count; i++) {
        if (str_equal(pack->rates[i].name, t->amount->rate)) {
            return 0;
        }
    }
    return json_in_fail(in, at, "no rate \"%.*s\" is in /rates", STR_FMT(t->amount->rate));
}

static int load_rate_by(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct load_amount_target *t = target;

    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->rate_by);
}

static int load_times(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_amount_target *t = target;
    size_t max = sizeof(t->amount->times) / sizeof(t->amount->times[0]);
    struct json_place here = {.up = at};

    if (!json_is_array(value) || json_array_size(value) == 0 || json_array_size(value) > max) {
        return json_in_fail(in, at, "must be an array of 1 to %zu selectors", max);
    }
    for (; here.index < json_array_size(value); here.index++) {
        if (load_selector(in, &here, json_array_get(value, here.index), t->cost, t->of_answer,
                          &t->amount->times[here.index]) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_per(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_amount_target *t = target;
    uint64_t per;

    if (json_in_integer(in, at, value, 1, UINT32_MAX - 1, &per) != 0) {
        return -1;
    }
    t->amount->per = (uint32_t)per;
    return 0;
}

int load_amount(struct json_in *in, const struct json_place *at, json_t *value,
                struct load_amount_target *target)
{
    static const struct json_member minor[] = {{"minor", JSON_REQUIRED, load_minor},
                                               {"currency", JSON_REQUIRED, load_currency}};
    static const struct json_member rate[] = {{"rate", JSON_REQUIRED, load_rate_name},
                                              {"by", JSON_OPTIONAL, load_rate_by},
                                              {"times", JSON_OPTIONAL, load_times},
                                              {"per", JSON_OPTIONAL, load_per}};

    static const struct json_member major[] = {{"major", JSON_REQUIRED, load_major},
                                               {"currency", JSON_REQUIRED, load_currency}};
    static const struct json_member object[] = {{"minor", JSON_OPTIONAL, load_minor},
                                                {"held", JSON_REQUIRED, load_held},
                                                {"currency", JSON_REQUIRED, load_currency}};

    if (target->of_answer && json_object_get(value, "major") != NULL) {
        return json_in_object(in, at, value, major, sizeof(major) / sizeof(major[0]), target);
    }
    if (target->of_answer && json_object_get(value, "held") != NULL) {
        return json_in_object(in, at, value, object, sizeof(object) / sizeof(object[0]), target);
    }
    if (json_object_get(value, "rate") != NULL) {
        return json_in_object(in, at, value, rate, sizeof(rate) / sizeof(rate[0]), target);
    }
    return json_in_object(in, at, value, minor, sizeof(minor) / sizeof(minor[0]), target);
}

void load_no_amount(struct pack_amount *amount)
{
    *amount = (struct pack_amount){.minor = PACK_NONE,
                                   .currency = PACK_NONE,
                                   .held = PACK_NONE,
                                   .rate_by = PACK_NONE,
                                   .times = {PACK_NONE, PACK_NONE, PACK_NONE, PACK_NONE},
                                   .at_least_one = true};
}
