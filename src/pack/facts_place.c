/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where values stand in a body, or could be put.  The body has been read: what is ambiguous never
 * comes here, and so a name is found once or not at all.
 */
#include "pack/facts_read.h"
#include "pack/form.h"
#include "pack/json_scan.h"

static void add(struct facts_reading *reading, const struct message_place *place)
{
    struct message_facts *ret = reading->ret;

    ret->places[ret->place_count++] = *place;
}

/* ---- forms ---- */

/* Beside a group of its name, amount[x], a value would be ambiguous. */
static bool has_relatives(struct facts_reading *reading, struct str name, struct str body)
{
    struct str fold = form_fold(name, reading->arena);
    struct form_scan scan;
    struct form_pair pair;

    form_begin(&scan, body, reading->arena);
    while (form_next(&scan, &pair)) {
        if (form_fold_within(fold, pair.fold)) {
            return true;
        }
    }
    return false;
}

static bool is_named(struct facts_reading *reading, struct str pair, struct str name)
{
    struct form_scan scan;
    struct form_pair one;

    form_begin(&scan, pair, reading->arena);
    return form_next(&scan, &one) && one.has_value && str_equal(one.name, name);
}

static void find_in_form(struct facts_reading *reading, uint32_t selector, struct str body)
{
    struct str name = reading->read->selectors[selector].name;
    struct message_place place = {.selector = selector, .offset = body.len, .missing = 1};
    size_t end;

    if (has_relatives(reading, name, body)) {
        return;
    }
    place.occupied = body.len > 0 && !str_ends(body, STR("&"));
    for (size_t at = 0; at < body.len; at = end + 1) {
        end = str_index(body, '&', at);
        struct str pair = str_slice(body, at, end);
        if (pair.len > 0 && is_named(reading, pair, name)) {
            place.missing = 0;
            place.offset = at + str_index(pair, '=', 0) + 1;
            place.length = end - place.offset;
        }
    }
    add(reading, &place);
}

/* ---- JSON ---- */

struct walk {
    struct json_scan scan;
    struct str body;
    struct str rest; /* of the pointer: the steps that were not met yet */
    size_t met;      /* steps */
    struct message_place place;
};

static bool is_white(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static uint32_t steps_in(struct str pointer)
{
    uint32_t steps = 0;

    for (size_t i = 0; i < pointer.len; i++) {
        steps += pointer.data[i] == '/';
    }
    return steps;
}

/* An object has been opened in which the next step may be: a member could be put at its front. */
static void enter(struct walk *walk)
{
    size_t at = walk->scan.at;

    walk->place.offset = at;
    walk->place.missing = steps_in(walk->rest);
    while (at < walk->body.len && is_white(walk->body.data[at])) {
        at++;
    }
    walk->place.occupied = at < walk->body.len && walk->body.data[at] != '}';
}

/* The value of the last step. */
static void take(struct walk *walk, const struct json_token *token)
{
    static const struct {
        enum scan_kind kind;
        size_t length;
    } words[] = {{SCAN_TRUE, 4}, {SCAN_FALSE, 5}, {SCAN_NULL, 4}};
    size_t length = token->text.len + (token->kind == SCAN_TEXT ? 2 : 0); /* the quotes */

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        length = token->kind == words[i].kind ? words[i].length : length;
    }
    walk->place.missing = 0;
    walk->place.length = length;
    walk->place.offset = walk->scan.at - length;
}

/* False when there is no place: what stands on the way is no object. */
static bool follow(struct walk *walk)
{
    struct json_token token;
    bool named = false; /* the next value is that of the step */

    while (json_scan_next(&walk->scan, &token)) {
        if (walk->scan.depth < walk->met) {
            break; /* the object has been left: what is named so in another is another thing */
        }
        if (token.kind == SCAN_NAME && walk->scan.depth == walk->met) {
            struct str rest = str_slice(walk->rest, 1, walk->rest.len);
            named = str_equal(token.text, str_take_until(&rest, '/'));
            continue;
        }
        if (!named && walk->met > 0) {
            continue;
        }
        if (named) {
            walk->rest = str_slice(walk->rest, 1, walk->rest.len);
            walk->rest = str_slice(walk->rest, str_index(walk->rest, '/', 0), walk->rest.len);
            if (walk->rest.len == 0) {
                take(walk, &token);
                return token.kind != SCAN_OBJECT && token.kind != SCAN_ARRAY;
            }
        }
        if (token.kind != SCAN_OBJECT) {
            return false;
        }
        named = false;
        walk->met++;
        enter(walk);
    }
    return walk->met > 0;
}

static void find_in_json(struct facts_reading *reading, uint32_t selector, struct str body)
{
    struct walk walk = {.body = body, .rest = reading->read->selectors[selector].name};

    walk.place.selector = selector;
    json_scan_begin(&walk.scan, body, reading->arena);
    if (follow(&walk)) {
        add(reading, &walk.place);
    }
}

void facts_find_places(struct facts_reading *reading, struct str body)
{
    const struct pack_read *read = reading->read;
    struct message_facts *ret = reading->ret;

    ret->places = arena_zeroed(reading->arena, read->place_count, sizeof(*ret->places));
    for (size_t i = 0; i < read->place_count; i++) {
        uint32_t selector = (uint32_t)read->places[i];
        if (read->encoding == ENCODING_JSON) {
            find_in_json(reading, selector, body);
        } else {
            find_in_form(reading, selector, body);
        }
    }
}
