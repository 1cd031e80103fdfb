/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What of a message a cost rule names: selectors ("req:amount", "res:/status", "count:/to"), which
 * become one reading rule for the request and one for the answer, and conditions on them.
 */
#include <string.h>

#include "base/limits.h"
#include "pack/load_cost_parts.h"

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
                           struct load_amount_target *target, struct pack_condition *ret)
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

int load_conditions(struct json_in *in, const struct json_place *at, json_t *value,
                    struct load_amount_target *target, struct pack_condition **ret,
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
