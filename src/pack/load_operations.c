/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The catalogue of a pack: names, classes, costs and paths.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pack/load_parts.h"
#include "pack/match.h"
#include "pack/redact.h"

enum { PATHS_MAX = 64 };

static int load_op(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_operation *operation = target;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &operation->name) != 0) {
        return -1;
    }
    for (size_t i = 0; i < operation->name.len; i++) {
        char c = operation->name.data[i];
        if (!(c >= 'a' && c <= 'z') && !ascii_is_digit(c) && c != '_' && c != '.') {
            return json_in_fail(in, at, "a name is made of a-z, 0-9, '_' and '.'");
        }
    }
    return 0;
}

static int load_class(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    const char *words[CLASS_COUNT];
    size_t word;

    for (int i = 0; i < CLASS_COUNT; i++) {
        words[i] = operation_class_name((enum operation_class)i);
    }
    if (json_in_word(in, at, value, words, CLASS_COUNT, &word) != 0) {
        return -1;
    }
    ((struct pack_operation *)target)->class = (enum operation_class)word;
    return 0;
}

static int load_cost_name(struct json_in *in, const struct json_place *at, json_t *value,
                          void *target)
{
    const struct pack *pack = load_context_of(in)->pack;
    struct str name;

    if (json_in_text(in, at, value, PACK_NAME_MAX, &name) != 0) {
        return -1;
    }
    for (size_t i = 0; i < pack->cost_count; i++) {
        if (str_equal(pack->costs[i].name, name)) {
            ((struct pack_operation *)target)->cost = (uint32_t)i;
            return 0;
        }
    }
    return json_in_fail(in, at, "no cost \"%.*s\" is in /costs", STR_FMT(name));
}

static int load_range(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    return json_in_bool(in, at, value, &((struct pack_operation *)target)->range_allowed);
}

static int load_idempotent(struct json_in *in, const struct json_place *at, json_t *value,
                           void *target)
{
    return json_in_bool(in, at, value, &((struct pack_operation *)target)->idempotent);
}

static int load_redact(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack_operation *operation = target;

    if (json_in_texts(in, at, value, PACK_REDACT_MAX, PACK_TEXT_MAX, &operation->redact,
                      &operation->redact_count) != 0) {
        return -1;
    }
    for (size_t i = 0; i < operation->redact_count; i++) {
        struct json_place here = {.up = at, .index = i};
        if (!redact_pointer_is_valid(operation->redact[i])) {
            return json_in_fail(in, &here, "must be a JSON pointer of at most %d segments",
                                REDACT_SEGMENTS_MAX);
        }
    }
    return 0;
}

/* ---- "[UPSTREAM] METHOD /path" ---- */

static bool is_method(struct str text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < 'A' || text.data[i] > 'Z') {
            return false;
        }
    }
    return text.len > 0 && text.len <= 16 && !str_equal(text, STR("HEAD"));
}

static int find_upstream(struct json_in *in, const struct json_place *at, struct str alias,
                         uint32_t *ret)
{
    const struct pack *pack = load_context_of(in)->pack;

    for (uint32_t i = 0; i < pack->upstream_count; i++) {
        bool wanted = alias.len == 0 ? pack->upstreams[i].is_default
                                     : str_equal(pack->upstreams[i].alias, alias);
        if (wanted) {
            *ret = i;
            return 0;
        }
    }
    return json_in_fail(in, at, "no upstream \"%.*s\" is in /upstreams", STR_FMT(alias));
}

static int add_match(struct json_in *in, const struct json_place *at, json_t *value)
{
    struct pack *pack = load_context_of(in)->pack;
    struct str text;

    if (json_in_text(in, at, value, PACK_TEXT_MAX, &text) != 0) {
        return -1;
    }
    if (pack->match_count == PACK_MATCHES_MAX) {
        return json_in_fail(in, at, "there are more than %d paths", PACK_MATCHES_MAX);
    }
    struct pack_match *match = &pack->matches[pack->match_count];
    struct str alias = STR_NONE;
    struct str path = text;
    struct str method = str_take_until(&path, ' ');
    if (!str_starts(path, STR("/"))) {
        alias = method;
        method = str_take_until(&path, ' ');
    }
    if (find_upstream(in, at, alias, &match->upstream) != 0) {
        return -1;
    }
    if ((!is_method(method) && !str_equal(method, STR("*"))) || !match_pattern_is_valid(path)) {
        return json_in_fail(in, at,
                            "must be \"[UPSTREAM] METHOD /path\", with {x} for a segment "
                            "and {x...} for the rest");
    }
    match->operation = (uint32_t)pack->operation_count;
    match->method = method;
    match->path = path;
    pack->match_count++;
    return 0;
}

static int load_match(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct json_place here = {.up = at};

    (void)target;
    if (!json_is_array(value)) {
        return add_match(in, at, value);
    }
    if (json_array_size(value) == 0 || json_array_size(value) > PATHS_MAX) {
        return json_in_fail(in, at, "must name 1 to %d paths", PATHS_MAX);
    }
    for (; here.index < json_array_size(value); here.index++) {
        if (add_match(in, &here, json_array_get(value, here.index)) != 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- what must be there once ---- */

struct key {
    struct str text;
    size_t index;
};

static int compare_keys(const void *a, const void *b)
{
    return str_compare(((const struct key *)a)->text, ((const struct key *)b)->text);
}

/* The first of two equal ones, or NULL; sorts. */
static const struct key *find_twice(struct key *keys, size_t count)
{
    qsort(keys, count, sizeof(*keys), compare_keys);
    for (size_t i = 1; i < count; i++) {
        if (str_equal(keys[i - 1].text, keys[i].text)) {
            return &keys[i];
        }
    }
    return NULL;
}

static int check_names(struct json_in *in, const struct json_place *at, const struct pack *pack)
{
    struct key *keys = mem_array(pack->operation_count + 1, sizeof(*keys));
    int result = 0;

    for (size_t i = 0; i < pack->operation_count; i++) {
        keys[i] = (struct key){pack->operations[i].name, i};
    }
    const struct key *twice = find_twice(keys, pack->operation_count);
    if (twice != NULL) {
        result = json_in_fail(in, at, "the name \"%.*s\" is there twice", STR_FMT(twice->text));
    }
    free(keys);
    return result;
}

/* "3 GET /v1/{}/x": two with the same text could not be told apart. */
static struct str erase_names(struct arena *arena, const struct pack_match *match)
{
    struct buf out;
    struct str path = match->path;

    buf_init(&out, PACK_TEXT_MAX + 64);
    (void)buf_add_u64(&out, match->upstream);
    (void)buf_addf(&out, " %.*s ", STR_FMT(match->method));
    while (path.len > 0) {
        size_t open = str_index(path, '{', 0);
        (void)buf_add_str(&out, str_slice(path, 0, open));
        path = str_slice(path, open, path.len);
        if (path.len > 0) {
            size_t close = str_index(path, '}', 0);
            bool rest = str_ends(str_slice(path, 0, close), STR("..."));
            (void)buf_add_str(&out, rest ? STR("{...}") : STR("{}"));
            path = str_slice(path, close + 1, path.len);
        }
    }
    struct str result = arena_copy(arena, buf_str(&out));
    buf_clear(&out);
    return result;
}

static int check_paths(struct json_in *in, const struct json_place *at, const struct pack *pack)
{
    struct key *keys = mem_array(pack->match_count + 1, sizeof(*keys));
    struct arena *arena = arena_new();
    int result = 0;

    for (size_t i = 0; i < pack->match_count; i++) {
        keys[i] = (struct key){erase_names(arena, &pack->matches[i]), i};
    }
    const struct key *twice = find_twice(keys, pack->match_count);
    if (twice != NULL) {
        const struct pack_match *match = &pack->matches[twice->index];
        result = json_in_fail(in, at, "the path \"%.*s %.*s\" is there twice",
                              STR_FMT(match->method), STR_FMT(match->path));
    }
    arena_free(arena);
    free(keys);
    return result;
}

/* ---- all ---- */

static int load_operation(struct json_in *in, const struct json_place *at, json_t *value,
                          struct pack *pack)
{
    static const struct json_member members[] = {
        {"op", JSON_REQUIRED, load_op},         {"class", JSON_REQUIRED, load_class},
        {"match", JSON_REQUIRED, load_match},   {"cost", JSON_OPTIONAL, load_cost_name},
        {"range", JSON_OPTIONAL, load_range},   {"idempotent", JSON_OPTIONAL, load_idempotent},
        {"redact", JSON_OPTIONAL, load_redact},
    };
    struct pack_operation *operation = &pack->operations[pack->operation_count];

    operation->cost = PACK_NONE;
    if (json_in_object(in, at, value, members, COUNT(members), operation) != 0) {
        return -1;
    }
    pack->operation_count++;
    return 0;
}

int load_operations(struct json_in *in, const struct json_place *at, json_t *value, void *target)
{
    struct pack *pack = target;
    size_t count = json_array_size(value);
    struct json_place here = {.up = at};

    if (!json_is_array(value) || count > PACK_OPERATIONS_MAX) {
        return json_in_fail(in, at, "must be an array of at most %d operations",
                            PACK_OPERATIONS_MAX);
    }
    pack->operations = arena_zeroed(in->arena, count, sizeof(struct pack_operation));
    pack->matches = mem_array(PACK_MATCHES_MAX, sizeof(struct pack_match));
    for (; here.index < count; here.index++) {
        if (load_operation(in, &here, json_array_get(value, here.index), pack) != 0) {
            break;
        }
    }
    struct pack_match *matches =
        arena_zeroed(in->arena, pack->match_count, sizeof(struct pack_match));
    memcpy(matches, pack->matches, pack->match_count * sizeof(struct pack_match));
    free(pack->matches);
    pack->matches = matches;
    if (here.index < count) {
        return -1;
    }
    return check_names(in, at, pack) != 0 ? -1 : check_paths(in, at, pack);
}
