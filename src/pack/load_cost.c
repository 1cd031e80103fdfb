/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The cost rules of a pack.  Their selectors ("req:amount", "res:/status", "count:/to") become one
 * reading rule for the request and one for the answer; what is kept of them are indices.
 */
#include <string.h>

#include "base/integer.h"
#include "base/limits.h"
#include "pack/load_cost_parts.h"

enum { PRICE_DECIMALS = 9 };

struct amount_target {
    struct load_cost_target *cost;
    struct pack_amount *amount;
    bool of_answer;
};

/* ---- selectors ---- */

static bool pointer_is_valid(struct str pointer)
{
    for (size_t i = 0; i < pointer.len; i++) {
        if (pointer.data[i] == '~' &&
            (i + 1 == pointer.len || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1'))) {
            return false;
        }
    }
    return pointer.len > 1 && !str_ends(pointer, STR("/"));
}

static int parse_selector(struct json_in *in, const struct json_place *at, struct str text,
                          bool of_answer, struct pack_selector *ret)
{
    struct str name = text;
    struct str kind = str_take_until(&name, ':');
    bool pointer = name.len > 0 && name.data[0] == '/';

    if (name.len == 0 || name.len > PACK_TEXT_MAX) {
        return json_in_fail(in, at, "a selector is \"%s\"",
                            of_answer ? "res:/pointer" : "req:name, req:/pointer or count:name");
    }
    if (str_equal(kind, of_answer ? STR("res") : STR("req"))) {
        ret->kind = pointer ? SELECT_POINTER : SELECT_FORM;
    } else if (!of_answer && str_equal(kind, STR("count"))) {
        ret->kind = SELECT_COUNT;
    } else if (!of_answer && str_equal(kind, STR("segments"))) {
        ret->kind = SELECT_SEGMENTS;
    } else {
        return json_in_fail(in, at, "\"%.*s:\" cannot be asked here", STR_FMT(kind));
    }
    if (pointer && !pointer_is_valid(name)) {
        return json_in_fail(in, at, "\"%.*s\" is no JSON pointer", STR_FMT(name));
    }
    if (of_answer && !pointer) {
        return json_in_fail(in, at, "an answer is JSON: a pointer begins with \"/\"");
    }
    ret->name = name;
    return 0;
}

int load_selector_text(struct json_in *in, const struct json_place *at, struct str text,
                       bool of_answer, struct load_reading *reading, uint32_t *ret)
{
    struct pack_selector selector = {.name = text};

    if (parse_selector(in, at, text, of_answer, &selector) != 0) {
        return -1;
    }
    bool json = str_starts(selector.name, STR("/"));
    if (reading->count > 0 && reading->json != json) {
        return json_in_fail(in, at, "a body is read as JSON or as a form, not as both");
    }
    reading->json = json;
    for (size_t i = 0; i < reading->count; i++) {
        if (reading->selectors[i].kind == selector.kind &&
            str_equal(reading->selectors[i].name, selector.name)) {
            *ret = (uint32_t)i;
            return 0;
        }
    }
    if (reading->count == PACK_SELECTORS_MAX / 2) {
        return json_in_fail(in, at, "the rule reads more than %d values", PACK_SELECTORS_MAX / 2);
    }
    *ret = (uint32_t)reading->count;
    reading->selectors[reading->count++] = selector;
    return 0;
}

int load_selector(struct json_in *in, const struct json_place *at, json_t *value,
                  struct load_cost_target *cost, bool of_answer, uint32_t *ret)
{
    struct str text;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &text) != 0) {
        return -1;
    }
    return load_selector_text(in, at, text, of_answer, of_answer ? &cost->answer : &cost->request,
                              ret);
}

/* ---- conditions: "status=2xx", "res:/status=succeeded", "res:/a!=b", "req:amount absent" ---- */

static bool status_is_valid(struct str text)
{
    bool whole = text.len == 3 && text.data[0] >= '1' && text.data[0] <= '5';
    bool digits = whole && ascii_is_digit(text.data[1]) && ascii_is_digit(text.data[2]);

    return digits || (whole && text.data[1] == 'x' && text.data[2] == 'x');
}

static int parse_condition(struct json_in *in, const struct json_place *at, struct str text,
                           struct amount_target *target, struct pack_condition *ret)
{
    struct load_reading *reading =
        target->of_answer ? &target->cost->answer : &target->cost->request;

    ret->selector = PACK_NONE;
    if (str_ends(text, STR(" absent")) || str_ends(text, STR(" present"))) {
        ret->kind = CONDITION_ABSENT;
        ret->negated = str_ends(text, STR(" present"));
        return load_selector_text(in, at, str_slice(text, 0, str_index(text, ' ', 0)),
                                  target->of_answer, reading, &ret->selector);
    }
    ret->value = text;
    struct str subject = str_take_until(&ret->value, '=');
    if (subject.len == text.len || ret->value.len == 0 || ret->value.len > PACK_NAME_MAX) {
        return json_in_fail(in, at,
                            "a condition is \"x=value\", \"x!=value\", \"x absent\" or \"x "
                            "present\"");
    }
    ret->negated = str_ends(subject, STR("!"));
    subject.len -= ret->negated;
    if (!str_equal(subject, STR("status"))) {
        ret->kind = CONDITION_EQUALS;
        return load_selector_text(in, at, subject, target->of_answer, reading, &ret->selector);
    }
    ret->kind = CONDITION_STATUS;
    if (!target->of_answer || !status_is_valid(ret->value)) {
        return json_in_fail(in, at, "a status is \"2xx\" or \"402\", and only of an answer");
    }
    return 0;
}

static int load_conditions(struct json_in *in, const struct json_place *at, json_t *value,
                           struct amount_target *target, struct pack_condition **ret,
                           size_t *ret_count)
{
    struct str *texts;
    size_t count;

    if (json_in_texts(in, at, value, PACK_LIST_MAX, PACK_TEXT_MAX, &texts, &count) != 0) {
        return -1;
    }
    if (count == 0) {
        return json_in_fail(in, at, "must name a condition");
    }
    struct pack_condition *conditions = arena_zeroed(in->arena, count, sizeof(*conditions));
    for (size_t i = 0; i < count; i++) {
        struct json_place here = {.up = at, .index = i};
        if (parse_condition(in, &here, texts[i], target, &conditions[i]) != 0) {
            return -1;
        }
    }
    *ret = conditions;
    *ret_count = count;
    return 0;
}

/* ---- amounts ---- */

static int load_minor(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct amount_target *t = target;

    t->amount->kind = AMOUNT_MINOR;
    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->minor);
}

static int load_currency(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct amount_target *t = target;

    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->currency);
}

static int load_major(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct amount_target *t = target;

    t->amount->kind = AMOUNT_MAJOR;
    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->minor);
}

static int load_held(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct amount_target *t = target;

    t->amount->kind = AMOUNT_MINOR;
    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->held);
}

static int load_rate_name(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct amount_target *t = target;
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
    struct amount_target *t = target;

    return load_selector(in, at, value, t->cost, t->of_answer, &t->amount->rate_by);
}

static int load_times(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct amount_target *t = target;
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
    struct amount_target *t = target;
    uint64_t per;

    if (json_in_integer(in, at, value, 1, UINT32_MAX - 1, &per) != 0) {
        return -1;
    }
    t->amount->per = (uint32_t)per;
    return 0;
}

static int load_amount_object(struct json_in *in, const struct json_place *at, json_t *value,
                              struct amount_target *target)
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

static void clear_amount(struct pack_amount *amount)
{
    *amount = (struct pack_amount){.minor = PACK_NONE,
                                   .currency = PACK_NONE,
                                   .held = PACK_NONE,
                                   .rate_by = PACK_NONE,
                                   .times = {PACK_NONE, PACK_NONE, PACK_NONE, PACK_NONE},
                                   .at_least_one = true};
}

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
        struct amount_target amount = {cost, to, false};
        json_t *one = json_array_get(value, here.index);
        clear_amount(to);
        to->at_least_one = here.index == 0;
        if (json_object_get(one, "rate") == NULL) {
            return json_in_fail(in, &here, "must be a price: {\"rate\": ...}");
        }
        if (load_amount_object(in, &here, one, &amount) != 0) {
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
    struct amount_target amount = {cost, &cost->cost->reserve, false};
    size_t word;

    if (json_is_object(value)) {
        return load_amount_object(in, at, value, &amount);
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
    struct amount_target *t = target;
    struct pack_settle *settle =
        (struct pack_settle *)(void *)((char *)t->amount - offsetof(struct pack_settle, amount));

    return load_conditions(in, at, value, t, &settle->conditions, &settle->condition_count);
}

static int load_by_secret(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    struct amount_target *t = target;
    struct pack_settle *settle =
        (struct pack_settle *)(void *)((char *)t->amount - offsetof(struct pack_settle, amount));

    return json_in_bool(in, at, value, &settle->by_secret);
}

static int load_settle_amount(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    static const char *const words[] = {"zero", "reserved", "keep"};
    static const enum amount_kind kinds[] = {AMOUNT_NONE, AMOUNT_RESERVED, AMOUNT_KEEP};
    struct amount_target *t = target;
    size_t word;

    if (json_is_object(value)) {
        return load_amount_object(in, at, value, t);
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
        struct amount_target target = {cost, amount, true};
        clear_amount(amount);
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
    struct amount_target amount = {cost, &cost->cost->reserve, false};

    return load_conditions(in, at, value, &amount, &cost->cost->free_if,
                           &cost->cost->free_if_count);
}

static int load_unknown_if(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    struct load_cost_target *cost = target;
    struct amount_target amount = {cost, &cost->cost->reserve, false};

    return load_conditions(in, at, value, &amount, &cost->cost->unknown_if,
                           &cost->cost->unknown_if_count);
}

/* ---- values that are put into the body: {"req:TimeLimit": {"at_most": 600}} ---- */

static int load_at_most(struct json_in *in, const struct json_place *at, json_t *value,
                        void *target)
{
    struct pack_put *put = target;

    put->kind = PUT_AT_MOST;
    return json_in_integer(in, at, value, 0, INT32_MAX, &put->value);
}

static int load_always(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_put *put = target;

    put->kind = PUT_ALWAYS;
    return json_in_integer(in, at, value, 0, INT32_MAX, &put->value);
}

static int load_put_value(struct json_in *in, const struct json_place *at, json_t *value,
                          struct pack_put *put)
{
    static const struct json_member at_most[] = {{"at_most", JSON_REQUIRED, load_at_most}};
    static const struct json_member always[] = {{"always", JSON_REQUIRED, load_always}};
    static const char *const words[] = {"fetched"};
    size_t word;

    if (json_is_object(value)) {
        return json_in_object(in, at, value,
                              json_object_get(value, "always") != NULL ? always : at_most, 1, put);
    }
    put->kind = PUT_FETCHED;
    return json_in_word(in, at, value, words, 1, &word);
}

/* What is written into a body is the name as it stands here. */
static bool put_name_is_plain(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        char c = name.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && (c == '\0' || strchr("_-[]/", c) == NULL)) {
            return false;
        }
    }
    return true;
}

static int load_put(struct json_in *in, const struct json_place *at, const char *name,
                    json_t *value, struct load_cost_target *cost)
{
    struct load_reading *reading = &cost->request;
    struct pack_put *put = &cost->cost->puts[cost->cost->put_count];

    if (cost->cost->put_count == LIMIT_SPLICES) {
        return json_in_fail(in, at, "more than %d values to put in", LIMIT_SPLICES);
    }
    if (load_selector_text(in, at, arena_copy(in->arena, str_from(name)), false, reading,
                           &put->selector) != 0) {
        return -1;
    }
    const struct pack_selector *selector = &reading->selectors[put->selector];
    if ((selector->kind != SELECT_FORM && selector->kind != SELECT_POINTER) ||
        !put_name_is_plain(selector->name)) {
        return json_in_fail(in, at, "no value can be put at \"%s\"", name);
    }
    reading->places[reading->place_count++] = put->selector;
    cost->cost->put_count++;
    return load_put_value(in, at, value, put);
}

static int load_whole_if(struct json_in *in, const struct json_place *at, json_t *value,
                         void *target)
{
    struct load_cost_target *cost = target;
    struct amount_target amount = {cost, &cost->cost->reserve, false};

    return load_conditions(in, at, value, &amount, &cost->cost->whole_if,
                           &cost->cost->whole_if_count);
}

static int load_total(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_bool(in, at, value, &((struct load_cost_target *)target)->cost->total);
}

static int load_inject(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_cost_target *cost = target;
    const char *name;
    json_t *put;

    if (!json_is_object(value)) {
        return json_in_fail(in, at, "must be an object of values by selector");
    }
    cost->cost->puts = arena_zeroed(in->arena, LIMIT_SPLICES, sizeof(struct pack_put));
    json_object_foreach(value, name, put)
    {
        struct json_place here = {.up = at, .name = name};
        if (strcmp(name, "note") != 0 && load_put(in, &here, name, put, cost) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_object(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_cost_target *cost = target;

    return load_selector(in, at, value, cost, true, &cost->cost->object);
}

/* ---- reading rules ---- */

struct pack_read *load_reads(struct config *config, struct arena *arena)
{
    if (config->reads == NULL) {
        config->reads = arena_zeroed(arena, CONFIG_READS_MAX, sizeof(struct pack_read));
        config->read_count = 1; /* reads[0] reads nothing */
    }
    return config->reads;
}

uint32_t load_add_read(struct config *config, const struct pack_read *read)
{
    if (config->read_count == CONFIG_READS_MAX) {
        return PACK_NONE;
    }
    config->reads[config->read_count] = *read;
    return (uint32_t)config->read_count++;
}

/* The selectors of `reading`, then the pack's account parameters. */
static struct pack_read request_read(const struct json_in *in, const struct load_reading *reading)
{
    const struct load_context *context = load_context_of(in);
    const struct pack *pack = context->pack;
    struct pack_read read = {.encoding = reading->json ? ENCODING_JSON : ENCODING_FORM,
                             .refuse_card_data = context->refuse_card_data};
    size_t accounts = reading->json ? pack->account_pointer_count : pack->account_param_count;
    const struct str *names = reading->json ? pack->account_pointers : pack->account_params;

    read.selector_count = reading->count + accounts;
    read.selectors = arena_zeroed(in->arena, read.selector_count, sizeof(struct pack_selector));
    memcpy(read.selectors, reading->selectors, reading->count * sizeof(struct pack_selector));
    for (size_t i = 0; i < accounts; i++) {
        read.selectors[reading->count + i] =
            (struct pack_selector){reading->json ? SELECT_POINTER : SELECT_FORM, names[i]};
    }
    read.place_count = reading->place_count;
    read.places = arena_zeroed(in->arena, reading->place_count, sizeof(read.places[0]));
    memcpy(read.places, reading->places, reading->place_count * sizeof(read.places[0]));
    read.account_count = (uint32_t)accounts;
    read.account_prefix = accounts > 0 ? pack->account_prefix : STR_NONE;
    if (!reading->json) {
        read.once = context->once;
        read.once_count = context->once_count;
    }
    return read;
}

int load_answer_read(struct json_in *in, const struct json_place *at,
                     const struct load_reading *reading, uint32_t *ret)
{
    struct pack_read read = {.encoding = ENCODING_JSON, .selector_count = reading->count};

    *ret = PACK_NONE;
    if (reading->count == 0) {
        return 0;
    }
    read.selectors = arena_zeroed(in->arena, reading->count, sizeof(struct pack_selector));
    memcpy(read.selectors, reading->selectors, reading->count * sizeof(struct pack_selector));
    *ret = load_add_read(load_context_of(in)->config, &read);
    return *ret != PACK_NONE
               ? 0
               : json_in_fail(in, at, "there are more than %d reading rules", CONFIG_READS_MAX);
}

static int add_reads(struct json_in *in, const struct json_place *at,
                     struct load_cost_target *target)
{
    struct config *config = load_context_of(in)->config;
    struct pack_cost *cost = target->cost;

    cost->request_read = cost->answer_read = PACK_NONE;
    if (config->read_count + 2 > CONFIG_READS_MAX) {
        return json_in_fail(in, at, "there are more than %d reading rules", CONFIG_READS_MAX);
    }
    if (target->request.count > 0) {
        struct pack_read read = request_read(in, &target->request);
        cost->request_read = load_add_read(config, &read);
    }
    return load_answer_read(in, at, &target->answer, &cost->answer_read);
}

static int add_default_read(struct json_in *in, bool json, uint32_t *ret)
{
    struct load_context *context = load_context_of(in);
    const struct load_reading nothing = {.json = json};
    struct pack_read read = request_read(in, &nothing);

    if (read.account_count == 0 && !read.refuse_card_data) {
        return 0;
    }
    *ret = load_add_read(context->config, &read);
    return *ret != PACK_NONE
               ? 0
               : json_in_fail(in, NULL, "there are more than %d reading rules", CONFIG_READS_MAX);
}

int load_default_read(struct json_in *in)
{
    struct pack *pack = load_context_of(in)->pack;

    return add_default_read(in, false, &pack->default_read) != 0
               ? -1
               : add_default_read(in, true, &pack->default_json_read);
}

/* ---- costs and rates ---- */

static int load_cost(struct json_in *in, const struct json_place *at, json_t *value, void *element)
{
    static const struct json_member members[] = {
        {"reserve", JSON_REQUIRED, load_reserve},       {"free_if", JSON_OPTIONAL, load_free_if},
        {"unknown_if", JSON_OPTIONAL, load_unknown_if}, {"inject", JSON_OPTIONAL, load_inject},
        {"object", JSON_OPTIONAL, load_object},         {"on", JSON_OPTIONAL, load_cost_on},
        {"total", JSON_OPTIONAL, load_total},           {"whole_if", JSON_OPTIONAL, load_whole_if},
        {"fetch", JSON_OPTIONAL, load_cost_fetches},    {"settle", JSON_OPTIONAL, load_settles},
        {"of", JSON_OPTIONAL, load_cost_kind}};
    struct pack_cost *cost = element;
    struct load_cost_target target = {.cost = cost};

    cost->name = arena_copy(in->arena, str_from(at->name));
    cost->object = cost->kind = PACK_NONE;
    clear_amount(&cost->reserve);
    if (cost->name.len == 0 || cost->name.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a name has 1 to %d bytes", PACK_NAME_MAX);
    }
    if (json_in_object(in, at, value, members, sizeof(members) / sizeof(members[0]), &target) !=
        0) {
        return -1;
    }
    return add_reads(in, at, &target);
}

int load_costs(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = load_context_of(in)->pack;

    (void)target;
    return json_in_map(in, at, value, PACK_COSTS_MAX, sizeof(struct pack_cost), load_cost,
                       &pack->costs, &pack->cost_count);
}

static int load_price(struct json_in *in, const struct json_place *at, json_t *value,
                      struct pack_rate *rate)
{
    const struct load_context *context = load_context_of(in);
    struct str price;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &price) != 0) {
        return -1;
    }
    if (!int_parse_decimal(price, PRICE_DECIMALS, &rate->price)) {
        return json_in_fail(in, at, "a price is dollars as a decimal text, such as \"0.0079\"");
    }
    rate->source = context->rate_source;
    rate->as_of_ms = context->rate_as_of_ms;
    return 0;
}

static int load_rate_source(struct json_in *in, const struct json_place *at, json_t *value,
                            void *target)
{
    (void)target;
    return json_in_text(in, at, value, PACK_TEXT_MAX, &load_context_of(in)->rate_source);
}

static int load_rate_date(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    (void)target;
    return json_in_date(in, at, value, &load_context_of(in)->rate_as_of_ms);
}

static int load_rate_rows(struct json_in *in, const struct json_place *at, const char *name,
                          json_t *rows)
{
    struct pack *pack = load_context_of(in)->pack;
    const char *match;
    json_t *price;

    if (!json_is_object(rows)) {
        return json_in_fail(in, at, "must be an object of prices by prefix, \"*\" for the rest");
    }
    json_object_foreach(rows, match, price)
    {
        struct json_place here = {.up = at, .name = match};
        if (strcmp(match, "note") == 0) {
            continue;
        }
        if (pack->rate_count == PACK_RATES_MAX || strlen(match) > PACK_NAME_MAX ||
            strlen(name) > PACK_NAME_MAX || *match == '\0' || *name == '\0') {
            return json_in_fail(in, &here, "too many rates, or a name of a wrong length");
        }
        struct pack_rate *rate = &pack->rates[pack->rate_count++];
        rate->name = arena_copy(in->arena, str_from(name));
        rate->match = arena_copy(in->arena, str_from(match));
        if (load_price(in, &here, price, rate) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_rate_table(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    struct pack *pack = load_context_of(in)->pack;
    const char *name;
    json_t *rows;

    (void)target;
    if (!json_is_object(value)) {
        return json_in_fail(in, at, "must be an object of rates by name");
    }
    pack->rates = arena_zeroed(in->arena, PACK_RATES_MAX, sizeof(struct pack_rate));
    json_object_foreach(value, name, rows)
    {
        struct json_place here = {.up = at, .name = name};
        if (strcmp(name, "note") != 0 && load_rate_rows(in, &here, name, rows) != 0) {
            return -1;
        }
    }
    return 0;
}

int load_rates(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {{"source", JSON_REQUIRED, load_rate_source},
                                                 {"as_of", JSON_REQUIRED, load_rate_date},
                                                 {"usd", JSON_REQUIRED, load_rate_table}};

    return json_in_object(in, at, value, members, sizeof(members) / sizeof(members[0]), target);
}
