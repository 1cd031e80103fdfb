/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects at a vendor for which money is held, and how the vendor is asked about them.
 */
#include <stdarg.h>
#include <string.h>

#include "base/clock.h"
#include "http/url.h"
#include "pack/load_cost_parts.h"

enum { FETCHES_MAX = 8 };

/* ---- paths with placeholders ---- */

/* What stands between braces must begin with one of `kinds`, each of which ends in ':' or is the
 * whole.  Values of the request's body are added to what is read of it. */
static int check_placeholders(struct json_in *in, const struct json_place *at, struct str text,
                              const char *const *kinds, struct load_cost_target *cost)
{
    for (size_t i = str_index(text, '{', 0); i < text.len; i = str_index(text, '{', i + 1)) {
        size_t end = str_index(text, '}', i);
        struct str inside = str_slice(text, i + 1, end);
        bool known = false;
        for (size_t k = 0; kinds[k] != NULL; k++) {
            struct str kind = str_from(kinds[k]);
            known = known ||
                    (str_ends(kind, STR(":")) ? str_starts(inside, kind) && inside.len > kind.len
                                              : str_equal(inside, kind));
        }
        if (end == text.len || !known) {
            return json_in_fail(in, at, "\"{%.*s}\" is nothing that can be put here",
                                STR_FMT(inside));
        }
        uint32_t selector;
        if (cost != NULL && str_starts(inside, STR("req:")) &&
            load_selector_text(in, at, inside, false, &cost->request, &selector) != 0) {
            return -1;
        }
    }
    return 0;
}

static int load_path(struct json_in *in, const struct json_place *at, json_t *value,
                     const char *const *kinds, struct load_cost_target *cost, struct str *ret_path,
                     struct str *ret_query)
{
    struct str text;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &text) != 0 ||
        check_placeholders(in, at, text, kinds, cost) != 0) {
        return -1;
    }
    *ret_query = text;
    *ret_path = str_take_until(ret_query, '?');
    if (!str_starts(*ret_path, STR("/")) || str_index(text, ' ', 0) < text.len) {
        return json_in_fail(in, at, "is asked for by GET: a path that begins with \"/\"");
    }
    return 0;
}

/* ---- a cost's fetch ---- */

struct fetch_target {
    struct pack_fetch *fetch;
    struct load_cost_target *cost;
    struct load_cost_target reading; /* of its own answer */
};

static int load_fetch_get(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    static const char *const kinds[] = {"path:", "req:", NULL};
    struct fetch_target *t = target;

    return load_path(in, at, value, kinds, t->cost, &t->fetch->path, &t->fetch->query);
}

#define LOADS(name, member)                                                                        \
    static int name(struct json_in *in, const struct json_place *at, json_t *value, void *target)  \
    {                                                                                              \
        struct fetch_target *t = target;                                                           \
                                                                                                   \
        return load_selector(in, at, value, &t->reading, true, &t->fetch->member);                 \
    }
LOADS(load_fetch_minor, minor)
LOADS(load_fetch_minus, minus)
LOADS(load_fetch_posted, posted)
LOADS(load_fetch_currency, currency)
#undef LOADS

static int load_fetch(struct json_in *in, const struct json_place *at, json_t *value,
                      struct load_cost_target *cost, struct pack_fetch *fetch)
{
    static const struct json_member members[] = {{"get", JSON_REQUIRED, load_fetch_get},
                                                 {"minor", JSON_REQUIRED, load_fetch_minor},
                                                 {"minus", JSON_OPTIONAL, load_fetch_minus},
                                                 {"posted", JSON_OPTIONAL, load_fetch_posted},
                                                 {"currency", JSON_REQUIRED, load_fetch_currency}};
    struct fetch_target target = {.fetch = fetch, .cost = cost};

    fetch->minus = fetch->posted = PACK_NONE;
    if (json_in_object(in, at, value, members, COUNT(members), &target) != 0) {
        return -1;
    }
    return load_answer_read(in, at, &target.reading.answer, &fetch->read);
}

int load_cost_fetches(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct load_cost_target *cost = target;
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value) || count == 0 || count > FETCHES_MAX) {
        return json_in_fail(in, at, "must be an array of 1 to %d ways to ask", FETCHES_MAX);
    }
    cost->cost->fetches = arena_zeroed(in->arena, count, sizeof(struct pack_fetch));
    cost->cost->fetch_count = count;
    for (; here.index < count; here.index++) {
        if (load_fetch(in, &here, json_array_get(value, here.index), cost,
                       &cost->cost->fetches[here.index]) != 0) {
            return -1;
        }
    }
    return 0;
}

int load_cost_on(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX,
                        &((struct load_cost_target *)target)->cost->on);
}

/* ---- kinds of objects ---- */

static int load_object_path(struct json_in *in, const struct json_place *at, json_t *value,
                            struct str *ret)
{
    static const char *const kinds[] = {"id", "field:", NULL};
    struct str query;

    if (load_path(in, at, value, kinds, NULL, ret, &query) != 0) {
        return -1;
    }
    return query.len == 0 ? 0 : json_in_fail(in, at, "an object is asked for without a query");
}

static int load_object_get(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    return load_object_path(in, at, value, &((struct pack_object *)target)->path);
}

static int load_object_cancel(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    return load_object_path(in, at, value, &((struct pack_object *)target)->cancel);
}

static int load_object_states(struct json_in *in, const struct json_place *at, json_t *value,
                              void *target)
{
    struct pack_object *object = target;
    struct load_cost_target reading = {.cost = NULL};

    if (load_settle_rules(in, at, value, &reading, &object->settles, &object->settle_count) != 0) {
        return -1;
    }
    return load_answer_read(in, at, &reading.answer, &object->read);
}

static int load_object_estimate(struct json_in *in, const struct json_place *at, json_t *value,
                                void *target)
{
    struct str text;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &text) != 0) {
        return -1;
    }
    return clock_parse_duration(text, &((struct pack_object *)target)->estimate_ms)
               ? 0
               : json_in_fail(in, at, "must be a duration such as \"24h\"");
}

static int load_object(struct json_in *in, const struct json_place *at, json_t *value,
                       void *element)
{
    static const struct json_member members[] = {
        {"get", JSON_REQUIRED, load_object_get},
        {"cancel", JSON_OPTIONAL, load_object_cancel},
        {"states", JSON_REQUIRED, load_object_states},
        {"estimate_after", JSON_OPTIONAL, load_object_estimate}};
    struct pack_object *object = element;

    object->name = arena_copy(in->arena, str_from(at->name));
    object->read = PACK_NONE;
    if (object->name.len == 0 || object->name.len > PACK_NAME_MAX) {
        return json_in_fail(in, at, "a name has 1 to %d bytes", PACK_NAME_MAX);
    }
    return json_in_object(in, at, value, members, COUNT(members), object);
}

int load_objects(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;

    load_context_of(in)->objects = value;
    return json_in_map(in, at, value, PACK_OBJECTS_MAX, sizeof(struct pack_object), load_object,
                       &pack->objects, &pack->object_count);
}

/* The states of the kind are rules of the cost too, behind its own. */
int load_cost_kind(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    const struct load_context *context = load_context_of(in);
    const struct pack *pack = context->pack;
    struct load_cost_target *cost = target;
    struct str name;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &name) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < pack->object_count; i++) {
        if (str_equal(pack->objects[i].name, name)) {
            const char *key = arena_copy(in->arena, name).data;
            json_t *states = json_object_get(json_object_get(context->objects, key), "states");
            cost->cost->kind = i;
            return load_settle_rules(in, at, states, cost, &cost->cost->settles,
                                     &cost->cost->settle_count);
        }
    }
    return json_in_fail(in, at, "no kind \"%.*s\" is in /objects", STR_FMT(name));
}

/* ---- the list of what happened ---- */

struct events_target {
    struct pack_events *events;
    struct str list, more, parts[PACK_EVENT_PARTS];
};

static int load_events_get(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    static const char *const kinds[] = {"since", "until", NULL};
    struct events_target *t = target;

    return load_path(in, at, value, kinds, NULL, &t->events->path, &t->events->query);
}

static int load_events_after(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    return json_in_text(in, at, value, PACK_NAME_MAX,
                        &((struct events_target *)target)->events->after);
}

static int load_events_count(struct json_in *in, const struct json_place *at, json_t *value,
                             void *target)
{
    uint64_t count;

    if (json_in_integer(in, at, value, 1, PACK_EVENTS_MAX, &count) != 0) {
        return -1;
    }
    ((struct events_target *)target)->events->count = (uint32_t)count;
    return 0;
}

static int load_pointer(struct json_in *in, const struct json_place *at, json_t *value,
                        struct str *ret)
{
    if (json_in_text(in, at, value, PACK_NAME_MAX, ret) != 0) {
        return -1;
    }
    return str_starts(*ret, STR("/")) ? 0 : json_in_fail(in, at, "a pointer begins with \"/\"");
}

#define LOADS(name, member)                                                                        \
    static int name(struct json_in *in, const struct json_place *at, json_t *value, void *target)  \
    {                                                                                              \
        return load_pointer(in, at, value, &((struct events_target *)target)->member);             \
    }
LOADS(load_events_list, list)
LOADS(load_events_more, more)
LOADS(load_events_id, parts[PACK_EVENT_ID])
LOADS(load_events_key, parts[PACK_EVENT_KEY])
LOADS(load_events_object, parts[PACK_EVENT_OBJECT])
LOADS(load_events_kind, parts[PACK_EVENT_KIND])
#undef LOADS

static struct str format(struct arena *arena, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static struct str format(struct arena *arena, const char *format, ...)
{
    char text[3 * PACK_NAME_MAX];
    va_list args;

    va_start(args, format);
    (void)vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return arena_copy(arena, str_from(text));
}

/* Selectors that are alike become one, so each must be another. */
static int add_pointer(struct json_in *in, const struct json_place *at, struct load_reading *all,
                       struct str pointer)
{
    struct str text = format(in->arena, "res:%.*s", STR_FMT(pointer));
    size_t before = all->count;
    uint32_t index;

    if (load_selector_text(in, at, text, true, all, &index) != 0) {
        return -1;
    }
    return all->count > before ? 0 : json_in_fail(in, at, "two parts of an event are the same");
}

int load_events(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    static const struct json_member members[] = {
        {"get", JSON_REQUIRED, load_events_get},     {"after", JSON_REQUIRED, load_events_after},
        {"count", JSON_REQUIRED, load_events_count}, {"list", JSON_REQUIRED, load_events_list},
        {"more", JSON_REQUIRED, load_events_more},   {"id", JSON_REQUIRED, load_events_id},
        {"key", JSON_REQUIRED, load_events_key},     {"object", JSON_REQUIRED, load_events_object},
        {"kind", JSON_REQUIRED, load_events_kind}};
    struct pack *pack = target;
    struct events_target events = {.events = &pack->events};
    struct load_reading all = {.count = 0};

    if (json_in_object(in, at, value, members, COUNT(members), &events) != 0 ||
        add_pointer(in, at, &all, events.more) != 0) {
        return -1;
    }
    for (uint32_t i = 0; i < pack->events.count; i++) {
        for (size_t k = 0; k < PACK_EVENT_PARTS; k++) {
            struct str pointer =
                format(in->arena, "%.*s/%u%.*s", STR_FMT(events.list), i, STR_FMT(events.parts[k]));
            if (add_pointer(in, at, &all, pointer) != 0) {
                return -1;
            }
        }
    }
    return load_answer_read(in, at, &all, &pack->events.read);
}
