/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The patterns of a pack as a tree, a level a segment:
 *
 *     v1 -+- charges -+- (POST charges.create, GET charges.list)
 *         |           +- {id} -+- (GET charges.retrieve, POST charges.update)
 *         |                    +- capture --- (POST charges.capture)
 *         +- ...
 *
 * The literal children of a node are sorted, so that a look-up costs a few comparisons a segment.
 * All ways that fit are walked, and the best is kept: the tree is a few hundred nodes in all.
 */
#include "pack/match.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

enum { SEGMENTS_MAX = 16, FOLDED_PATH_MAX = LIMIT_TARGET_BYTES };

/* In the order in which they are tried. */
enum segment_kind { SEGMENT_LITERAL, SEGMENT_PARAM, SEGMENT_REST, SEGMENT_END };

struct segment {
    enum segment_kind kind;
    struct str name; /* of a parameter */
    struct str text; /* the literal, or what stands behind the parameter: "{Sid}.json" */
};

struct pattern {
    const struct pack_match *match;
    struct segment segments[SEGMENTS_MAX + 1]; /* the last is SEGMENT_END, or SEGMENT_REST */
};

struct node {
    struct str text;
    struct node *literals; /* sorted by text */
    size_t literal_count;
    struct node *params; /* the longest text first */
    size_t param_count;
    const struct pack_match **here; /* the path ends here */
    size_t here_count;
    const struct pack_match **rest; /* one or more segments follow */
    size_t rest_count;
};

struct match_index {
    struct node *upstreams; /* as many as the pack has */
    struct node guarded;    /* folded, of all upstreams */
    uint32_t default_upstream;
};

/* ---- patterns ---- */

static bool parse_segment(struct str text, bool last, struct segment *ret)
{
    if (text.len == 0) {
        return false;
    }
    if (text.data[0] != '{') {
        *ret = (struct segment){.kind = SEGMENT_LITERAL, .text = text};
        return str_index(text, '{', 0) == text.len && str_index(text, '}', 0) == text.len;
    }
    size_t end = str_index(text, '}', 0);
    if (end == text.len) {
        return false;
    }
    struct str name = str_slice(text, 1, end);
    struct str behind = str_slice(text, end + 1, text.len);
    bool rest = str_ends(name, STR("..."));
    if (rest) {
        name = str_slice(name, 0, name.len - 3);
    }
    *ret =
        (struct segment){.kind = rest ? SEGMENT_REST : SEGMENT_PARAM, .name = name, .text = behind};
    return name.len > 0 && str_index(behind, '{', 0) == behind.len && (!rest || last) &&
           (!rest || behind.len == 0);
}

static bool parse_pattern(struct str path, struct pattern *pattern)
{
    size_t count = 0;
    size_t params = 0;

    if (path.len == 0 || path.data[0] != '/') {
        return false;
    }
    struct str left = str_slice(path, 1, path.len);
    while (left.len > 0) {
        bool last = str_index(left, '/', 0) == left.len;
        struct segment *segment = &pattern->segments[count];
        if (count == SEGMENTS_MAX || str_ends(left, STR("/")) ||
            !parse_segment(str_take_until(&left, '/'), last, segment)) {
            return false;
        }
        count++;
        params += segment->kind != SEGMENT_LITERAL;
        if (segment->kind == SEGMENT_REST) {
            return params <= MATCH_PARAMS_MAX;
        }
    }
    pattern->segments[count] = (struct segment){.kind = SEGMENT_END};
    return params <= MATCH_PARAMS_MAX;
}

bool match_pattern_is_valid(struct str path)
{
    struct pattern pattern;

    return parse_pattern(path, &pattern);
}

static int compare_segments(const struct segment *a, const struct segment *b)
{
    if (a->kind != b->kind) {
        return a->kind < b->kind ? -1 : 1;
    }
    if (a->kind == SEGMENT_PARAM && a->text.len != b->text.len) {
        return a->text.len > b->text.len ? -1 : 1;
    }
    return a->kind == SEGMENT_LITERAL || a->kind == SEGMENT_PARAM ? str_compare(a->text, b->text)
                                                                  : 0;
}

static int compare_patterns(const void *left, const void *right)
{
    const struct pattern *a = left;
    const struct pattern *b = right;

    for (size_t i = 0;; i++) {
        int order = compare_segments(&a->segments[i], &b->segments[i]);
        if (order != 0) {
            return order;
        }
        if (a->segments[i].kind >= SEGMENT_REST) {
            return str_compare(a->match->method, b->match->method);
        }
    }
}

/* ---- the tree ---- */

/* How many patterns from the front have the same segment at `depth`. */
static size_t run_length(const struct pattern *patterns, size_t count, size_t depth)
{
    size_t run = 1;

    while (run < count &&
           compare_segments(&patterns[0].segments[depth], &patterns[run].segments[depth]) == 0) {
        run++;
    }
    return run;
}

static size_t count_runs(const struct pattern *patterns, size_t count, size_t depth,
                         enum segment_kind kind)
{
    size_t runs = 0;

    for (size_t i = 0; i < count; i += run_length(patterns + i, count - i, depth)) {
        runs += patterns[i].segments[depth].kind == kind;
    }
    return runs;
}

static const struct pack_match **matches_of(const struct pattern *patterns, size_t count,
                                            struct arena *arena)
{
    const struct pack_match **matches = arena_zeroed(arena, count, sizeof(struct pack_match *));

    for (size_t i = 0; i < count; i++) {
        matches[i] = patterns[i].match;
    }
    return matches;
}

/* `patterns` are sorted, and have the same segments before `depth`. */
static void grow(struct node *node, const struct pattern *patterns, size_t count, size_t depth,
                 struct arena *arena)
{
    node->literals = arena_zeroed(arena, count_runs(patterns, count, depth, SEGMENT_LITERAL),
                                  sizeof(struct node));
    node->params =
        arena_zeroed(arena, count_runs(patterns, count, depth, SEGMENT_PARAM), sizeof(struct node));
    while (count > 0) {
        const struct segment *segment = &patterns[0].segments[depth];
        size_t run = run_length(patterns, count, depth);
        if (segment->kind == SEGMENT_END) {
            node->here = matches_of(patterns, run, arena);
            node->here_count = run;
        } else if (segment->kind == SEGMENT_REST) {
            node->rest = matches_of(patterns, run, arena);
            node->rest_count = run;
        } else {
            struct node *child = segment->kind == SEGMENT_LITERAL
                                     ? &node->literals[node->literal_count++]
                                     : &node->params[node->param_count++];
            child->text = segment->text;
            grow(child, patterns, run, depth + 1, arena);
        }
        patterns += run;
        count -= run;
    }
}

/* ---- folding ---- */

static struct str without_slash(struct str path)
{
    return path.len > 1 && str_ends(path, STR("/")) ? str_slice(path, 0, path.len - 1) : path;
}

/* Lower case, without a final slash; `folded` has room for it. */
static struct str fold_path(struct str path, char *folded)
{
    for (size_t i = 0; i < path.len; i++) {
        folded[i] = ascii_lower(path.data[i]);
    }
    return without_slash(str_of(folded, path.len));
}

/* As a server may read a request's path that decodes before it looks for '?' and '#', and does
 * not mind what stands behind a name. */
static struct str fold_request(struct str path, char *folded)
{
    size_t len = 0;

    for (size_t i = 0; i < path.len; i++) {
        char c = path.data[i];
        int high = c == '%' && i + 2 < path.len ? ascii_hex_value(path.data[i + 1]) : -1;
        int low = high >= 0 ? ascii_hex_value(path.data[i + 2]) : -1;
        if (low >= 0) {
            c = (char)(high << 4 | low);
            i += 2;
        }
        if (c == '?' || c == '#') {
            break;
        }
        folded[len++] = ascii_lower(c);
    }
    while (len > 1 && memchr(" ./", folded[len - 1], 3) != NULL) {
        len--;
    }
    return str_of(folded, len);
}

/* A folded path without a known ending: "/accounts.json" is "/accounts". */
static struct str without_ending(struct str folded)
{
    static const char *const endings[] = {".json", ".xml", ".csv"};

    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        if (str_ends(folded, str_from(endings[i]))) {
            return without_slash(str_slice(folded, 0, folded.len - strlen(endings[i])));
        }
    }
    return folded;
}

static bool is_guarded(const struct pack *pack, const struct pack_match *match)
{
    return operation_class_is_guarded(pack->operations[match->operation].class);
}

/* ---- building ---- */

static bool build_upstream(const struct pack *pack, uint32_t upstream, struct pattern *patterns,
                           struct node *root, struct arena *arena)
{
    size_t count = 0;

    for (size_t i = 0; i < pack->match_count; i++) {
        if (pack->matches[i].upstream != upstream) {
            continue;
        }
        if (!parse_pattern(pack->matches[i].path, &patterns[count])) {
            return false;
        }
        patterns[count++].match = &pack->matches[i];
    }
    qsort(patterns, count, sizeof(*patterns), compare_patterns);
    grow(root, patterns, count, 0, arena);
    return true;
}

static bool build_guarded(const struct pack *pack, struct pattern *patterns, struct node *root,
                          struct arena *arena)
{
    size_t count = 0;

    for (size_t i = 0; i < pack->match_count; i++) {
        struct str path = pack->matches[i].path;
        if (!is_guarded(pack, &pack->matches[i])) {
            continue;
        }
        path = without_ending(fold_path(path, arena_zeroed(arena, path.len + 1, 1)));
        if (!parse_pattern(path, &patterns[count])) {
            return false;
        }
        patterns[count++].match = &pack->matches[i];
    }
    qsort(patterns, count, sizeof(*patterns), compare_patterns);
    grow(root, patterns, count, 0, arena);
    return true;
}

const struct match_index *match_index_new(const struct pack *pack, struct arena *arena)
{
    struct match_index *index = arena_zeroed(arena, 1, sizeof(*index));
    struct pattern *patterns = mem_array(pack->match_count + 1, sizeof(*patterns));
    bool ok = true;

    index->upstreams = arena_zeroed(arena, pack->upstream_count, sizeof(struct node));
    for (uint32_t i = 0; i < pack->upstream_count; i++) {
        if (pack->upstreams[i].is_default) {
            index->default_upstream = i;
        }
        ok = ok && build_upstream(pack, i, patterns, &index->upstreams[i], arena);
    }
    ok = ok && build_guarded(pack, patterns, &index->guarded, arena);
    free(patterns);
    return ok ? index : NULL;
}

/* ---- finding ---- */

struct search {
    struct str method; /* empty: any */
    const struct pack_match *best;
    unsigned score;
};

/* One literal segment weighs more than all that may be worth less. */
enum { WORTH_WHOLE = 1, WORTH_BEHIND = 2, WORTH_LITERAL = 64 };

static const struct pack_match *choose(const struct pack_match *const *matches, size_t count,
                                       struct str method)
{
    const struct pack_match *any = NULL;

    for (size_t i = 0; i < count; i++) {
        if (method.len == 0 || str_equal(matches[i]->method, method)) {
            return matches[i];
        }
        if (str_equal(matches[i]->method, STR("*"))) {
            any = matches[i];
        }
    }
    return any;
}

static void consider(struct search *search, const struct pack_match *const *matches, size_t count,
                     unsigned score)
{
    const struct pack_match *match = choose(matches, count, search->method);

    if (match != NULL && (search->best == NULL || score > search->score)) {
        search->best = match;
        search->score = score;
    }
}

static const struct node *find_literal(const struct node *node, struct str text)
{
    size_t low = 0;
    size_t high = node->literal_count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        int order = str_compare(text, node->literals[middle].text);
        if (order == 0) {
            return &node->literals[middle];
        }
        if (order < 0) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return NULL;
}

/* No empty segment in what `{x...}` would take. */
static bool is_whole(struct str left)
{
    return left.len > 0 && left.data[0] != '/' && !str_ends(left, STR("/")) &&
           !str_has(left, STR("//"));
}

/* `left` is what follows the slash; `ended` when there was none. */
static void walk(const struct node *node, struct str left, bool ended, unsigned score,
                 struct search *search)
{
    if (ended) {
        consider(search, node->here, node->here_count, score + WORTH_WHOLE);
        return;
    }
    struct str behind = left;
    bool last = str_index(left, '/', 0) == left.len;
    struct str segment = str_take_until(&behind, '/');
    const struct node *literal = find_literal(node, segment);
    if (literal != NULL) {
        walk(literal, behind, last, score + WORTH_LITERAL, search);
    }
    for (size_t i = 0; i < node->param_count; i++) {
        struct str text = node->params[i].text;
        if (segment.len > text.len && str_ends(segment, text)) {
            walk(&node->params[i], behind, last, score + (text.len > 0 ? WORTH_BEHIND : 0), search);
        }
    }
    if (node->rest_count > 0 && is_whole(left)) {
        consider(search, node->rest, node->rest_count, score);
    }
}

static const struct pack_match *find(const struct node *root, struct str method, struct str path)
{
    struct search search = {.method = method};

    if (path.len == 0 || path.data[0] != '/') {
        return NULL;
    }
    walk(root, str_slice(path, 1, path.len), path.len == 1, 0, &search);
    return search.best;
}

static void take_params(struct str pattern, struct str path, struct match *match)
{
    struct pattern parsed;

    if (!parse_pattern(pattern, &parsed)) {
        return;
    }
    struct str left = str_slice(path, 1, path.len);
    for (const struct segment *s = parsed.segments; s->kind != SEGMENT_END; s++) {
        struct str value = s->kind == SEGMENT_REST ? left : str_take_until(&left, '/');
        if (s->kind != SEGMENT_LITERAL) {
            value = str_slice(value, 0, value.len - s->text.len);
            match->params[match->param_count++] = (struct match_param){s->name, value};
        }
        if (s->kind == SEGMENT_REST) {
            break;
        }
    }
}

/* The match in the default upstream, else the only one among the others. */
static const struct pack_match *find_anywhere(const struct pack *pack, struct str method,
                                              struct str path)
{
    const struct match_index *index = pack->index;
    const struct pack_match *found = find(&index->upstreams[index->default_upstream], method, path);

    if (found != NULL) {
        return found;
    }
    for (size_t i = 0; i < pack->upstream_count; i++) {
        const struct pack_match *other =
            pack->upstreams[i].allowed ? find(&index->upstreams[i], method, path) : NULL;
        if (other != NULL && found != NULL) {
            return NULL;
        }
        found = other != NULL ? other : found;
    }
    return found;
}

bool match_find(const struct pack *pack, uint32_t upstream, struct str method, struct str path,
                struct match *ret)
{
    struct str as = str_equal(method, STR("HEAD")) ? STR("GET") : method;
    const struct pack_match *found;

    ret->operation = NULL;
    ret->param_count = 0;
    ret->upstream = pack->index->default_upstream;
    if (upstream == PACK_NONE) {
        found = find_anywhere(pack, as, path);
    } else {
        ret->upstream = upstream;
        found = find(&pack->index->upstreams[upstream], as, path);
    }
    if (found == NULL || as.len == 0) {
        return false;
    }
    ret->operation = &pack->operations[found->operation];
    ret->upstream = found->upstream;
    take_params(found->path, path, ret);
    return true;
}

struct str match_param(const struct match *match, struct str name)
{
    for (size_t i = 0; i < match->param_count; i++) {
        if (str_equal(match->params[i].name, name)) {
            return match->params[i].value;
        }
    }
    return STR_NONE;
}

static const struct pack_match *find_guarded(const struct pack *pack, struct str folded)
{
    const struct pack_match *found = find(&pack->index->guarded, STR_NONE, folded);

    return found != NULL ? found : find(&pack->index->guarded, STR_NONE, without_ending(folded));
}

const struct pack_operation *match_guarded(const struct pack *pack, struct str path)
{
    char folded[FOLDED_PATH_MAX];

    if (path.len > sizeof(folded)) {
        return NULL;
    }
    const struct pack_match *found = find_guarded(pack, fold_path(path, folded));
    if (found == NULL) {
        found = find_guarded(pack, fold_request(path, folded));
    }
    return found == NULL ? NULL : &pack->operations[found->operation];
}

bool match_is_known(const struct pack *pack, struct str method, struct str path)
{
    struct str as = str_equal(method, STR("HEAD")) ? STR("GET") : method;

    for (size_t i = 0; i < pack->upstream_count; i++) {
        if (find(&pack->index->upstreams[i], as, path) != NULL) {
            return true;
        }
    }
    return false;
}

/* Without an ending that the pattern has there, or that some server takes for one. */
static struct str plain_value(struct str have, struct str behind)
{
    static const char *const endings[] = {".json", ".xml", ".csv", ".html"};

    if (behind.len > 0 && str_ends(have, behind)) {
        return str_slice(have, 0, have.len - behind.len);
    }
    for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
        size_t len = strlen(endings[i]);
        if (have.len > len &&
            str_equal_nocase(str_slice(have, have.len - len, have.len), str_from(endings[i]))) {
            return str_slice(have, 0, have.len - len);
        }
    }
    return have;
}

/* What `path` has where `pattern` has `param`; empty when it does not begin like it. */
static struct str value_at(const struct pattern *pattern, struct str path, struct str param)
{
    struct str left = str_slice(path, 1, path.len);

    for (const struct segment *s = pattern->segments; s->kind < SEGMENT_REST && left.len > 0; s++) {
        struct str have = str_take_until(&left, '/');
        if (s->kind == SEGMENT_PARAM && str_equal(s->name, param)) {
            return plain_value(have, s->text);
        }
        if (s->kind == SEGMENT_LITERAL && !str_equal_nocase(s->text, have)) {
            break;
        }
    }
    return STR_NONE;
}

bool match_names_other(const struct pack *pack, struct str path, struct str param,
                       struct str expected)
{
    struct pattern pattern;

    for (size_t i = 0; i < pack->match_count; i++) {
        if (!parse_pattern(pack->matches[i].path, &pattern)) {
            continue;
        }
        struct str value = value_at(&pattern, path, param);
        if (value.len > 0 && !str_equal(value, expected)) {
            return true;
        }
    }
    return false;
}
