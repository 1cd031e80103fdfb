/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that are put into the body: {"req:TimeLimit": {"at_most": 600}}.
 */
#include <string.h>

#include "pack/load_cost_parts.h"

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

int load_puts(struct json_in *in, const struct json_place *at, json_t *value, void *target)
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
