/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/allowlist.h"

#include "base/limits.h"
#include "http/url.h"

/* ---- parsing ---- */

static bool is_method(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (s.data[i] < 'A' || s.data[i] > 'Z') {
            return false;
        }
    }
    return s.len > 0 && s.len <= 16;
}

static bool is_operation_name(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '_' && c != '-' && c != '.') {
            return false;
        }
    }
    return s.len > 0 && s.data[0] != '.' && !str_ends(s, STR(".")) && !str_has(s, STR(".."));
}

/* "*" stands only for a whole segment; inside one it would look like a pattern and match nothing.
 */
static bool stars_are_segments(struct str path)
{
    while (path.len > 0) {
        struct str segment = str_take_until(&path, '/');
        if (str_has(segment, STR("*")) && segment.len != 1) {
            return false;
        }
    }
    return true;
}

static int parse_path(struct str text, struct entry *entry, struct err *err)
{
    const char *why = NULL;
    struct str path = entry->name;

    if (str_has(path, STR("?"))) {
        return err_set(err, "'%.*s': an entry has no query; write the path alone", STR_FMT(text));
    }
    if (!stars_are_segments(path)) {
        return err_set(err, "'%.*s': '*' stands only for a whole segment, as in /v1/charges/*",
                       STR_FMT(text));
    }
    if (!url_path_is_plain(path, &why)) {
        return err_set(err, "'%.*s': %s", STR_FMT(text), why);
    }
    if (str_equal(entry->method, STR("HEAD"))) {
        return err_set(err, "'%.*s': HEAD is judged as GET; write GET", STR_FMT(text));
    }
    return 0;
}

static bool prefix_has_operation(const struct pack *pack, struct str prefix, bool *ret_unguarded)
{
    bool found = false;

    for (size_t i = 0; i < pack->operation_count; i++) {
        if (str_starts(pack->operations[i].name, prefix)) {
            found = true;
            *ret_unguarded =
                *ret_unguarded || !operation_class_is_guarded(pack->operations[i].class);
        }
    }
    return found;
}

static int unknown_operation(const struct pack *pack, struct str text, struct err *err)
{
    struct str near = pack_nearest_operation(pack, text);

    if (near.len == 0) {
        return err_set(err, "'%.*s' is no operation of %.*s; see GET /v1/vendors/%.*s",
                       STR_FMT(text), STR_FMT(pack->vendor), STR_FMT(pack->vendor));
    }
    return err_set(err, "'%.*s' is no operation of %.*s; the nearest is '%.*s'", STR_FMT(text),
                   STR_FMT(pack->vendor), STR_FMT(near));
}

static int parse_operation(struct str text, const struct pack *pack, struct entry *entry,
                           struct err *err)
{
    bool unguarded = false;

    if (str_ends(text, STR(".*"))) {
        entry->kind = ENTRY_OPERATION_PREFIX;
        entry->name = str_slice(text, 0, text.len - 1);
    }
    struct str name = entry->kind == ENTRY_OPERATION ? text : str_slice(text, 0, text.len - 2);
    if (!is_operation_name(name)) {
        return err_set(err,
                       "'%.*s' is not a path (/v1/charges), a method and a path (GET /v1/charges) "
                       "or an operation (charges.create, charges.*)",
                       STR_FMT(text));
    }
    if (pack == NULL) {
        return 0;
    }
    if (entry->kind == ENTRY_OPERATION) {
        return pack_find_operation(pack, name) == PACK_NONE ? unknown_operation(pack, text, err)
                                                            : 0;
    }
    if (!prefix_has_operation(pack, entry->name, &unguarded)) {
        return unknown_operation(pack, text, err);
    }
    if (!unguarded) {
        return err_set(err, "'%.*s' names only operations that are granted by their full names",
                       STR_FMT(text));
    }
    return 0;
}

int entry_parse(struct str text, const struct pack *pack, struct entry *ret, struct err *err)
{
    struct entry entry = {.kind = ENTRY_OPERATION, .text = text, .name = text};
    size_t space = str_index(text, ' ', 0);

    if (text.len == 0) {
        return err_set(err, "an entry of the allowlist is empty");
    }
    if (text.len > LIMIT_ENTRY_BYTES) {
        return err_set(err, "an entry of the allowlist is longer than %d bytes", LIMIT_ENTRY_BYTES);
    }
    if (space < text.len) {
        entry.method = str_slice(text, 0, space);
        entry.name = str_slice(text, space + 1, text.len);
        if (!is_method(entry.method) || !str_starts(entry.name, STR("/"))) {
            return err_set(err,
                           "'%.*s': write METHOD /path with one space between, as in "
                           "POST /v1/refunds",
                           STR_FMT(text));
        }
    }
    int rc;
    if (str_starts(entry.name, STR("/"))) {
        entry.kind = ENTRY_PATH;
        rc = parse_path(text, &entry, err);
    } else {
        rc = parse_operation(text, pack, &entry, err);
    }
    if (rc == 0) {
        *ret = entry;
    }
    return rc;
}

/* ---- judging ---- */

/* Both begin with '/'. */
static bool path_matches(struct str pattern, struct str path)
{
    pattern = str_slice(pattern, 1, pattern.len);
    path = str_slice(path, 1, path.len);
    for (;;) {
        bool pattern_last = str_index(pattern, '/', 0) == pattern.len;
        bool path_last = str_index(path, '/', 0) == path.len;
        struct str want = str_take_until(&pattern, '/');
        struct str have = str_take_until(&path, '/');
        bool star = str_equal(want, STR("*"));

        if (star ? have.len == 0 : !str_equal(want, have)) {
            return false;
        }
        if (pattern_last && star) {
            return true; /* one or more */
        }
        if (pattern_last || path_last) {
            return pattern_last && path_last;
        }
    }
}

static bool entry_is_exact(const struct entry *entry)
{
    return entry->method.len > 0 && !str_has(entry->name, STR("*"));
}

static bool path_entry_matches(const struct entry *entry, struct str method, struct str path)
{
    return entry->kind == ENTRY_PATH &&
           (entry->method.len == 0 || str_equal(entry->method, method)) &&
           path_matches(entry->name, path);
}

static bool entry_matches_operation(const struct entry *entry,
                                    const struct pack_operation *operation, struct str method,
                                    struct str path)
{
    bool guarded = operation_class_is_guarded(operation->class);

    switch (entry->kind) {
    case ENTRY_OPERATION:
        return str_equal(entry->name, operation->name);
    case ENTRY_OPERATION_PREFIX:
        return !guarded && str_starts(operation->name, entry->name);
    case ENTRY_PATH:
        return !guarded && path_entry_matches(entry, method, path);
    }
    return false;
}

static enum allow_result check_uncatalogued(const struct entry *entries, size_t count,
                                            const struct request_facts *request, struct str method,
                                            const struct entry **ret_entry)
{
    bool read = str_equal(method, STR("GET"));

    /* A path that some server might take for a guarded operation, whatever the method. */
    if (match_guarded(request->pack, request->path) != NULL) {
        return ALLOW_DENIED;
    }
    for (size_t i = 0; i < count; i++) {
        const struct entry *entry = &entries[i];
        if (!path_entry_matches(entry, method, request->path) ||
            (!read && !request->pack->generic && !entry_is_exact(entry))) {
            continue;
        }
        *ret_entry = entry;
        /* A generic vendor's calls cost nothing unless the policy names a price. */
        bool priced = read || request->pack->generic || request->has_flat_price;
        return priced || !request->capped ? ALLOW_GRANTED : ALLOW_COST_UNKNOWN;
    }
    return ALLOW_DENIED;
}

enum allow_result allowlist_check(const struct entry *entries, size_t count,
                                  const struct request_facts *request,
                                  const struct entry **ret_entry)
{
    const struct pack_operation *operation =
        request->match == NULL ? NULL : request->match->operation;
    struct str method = str_equal(request->method, STR("HEAD")) ? STR("GET") : request->method;

    *ret_entry = NULL;
    if (operation == NULL) {
        return check_uncatalogued(entries, count, request, method, ret_entry);
    }
    for (size_t i = 0; i < count; i++) {
        if (entry_matches_operation(&entries[i], operation, method, request->path)) {
            *ret_entry = &entries[i];
            return ALLOW_GRANTED;
        }
    }
    return ALLOW_DENIED;
}

/* ---- comparing ---- */

/* Segments of `narrow` may also be a template's: {x} is one, {x...} is one or more. */
static bool segment_goes_on(struct str segment)
{
    return str_equal(segment, STR("*")) || str_ends(segment, STR("...}"));
}

static bool pattern_covers(struct str wide, struct str narrow)
{
    wide = str_slice(wide, 1, wide.len);
    narrow = str_slice(narrow, 1, narrow.len);
    for (;;) {
        bool wide_last = str_index(wide, '/', 0) == wide.len;
        bool narrow_last = str_index(narrow, '/', 0) == narrow.len;
        struct str w = str_take_until(&wide, '/');
        struct str n = str_take_until(&narrow, '/');
        bool star = str_equal(w, STR("*"));

        if (star ? n.len == 0 : !str_equal(w, n)) {
            return false;
        }
        if (wide_last && star) {
            return true;
        }
        if (narrow_last && segment_goes_on(n)) {
            return false; /* `narrow` goes deeper than `wide` */
        }
        if (wide_last || narrow_last) {
            return wide_last && narrow_last;
        }
    }
}

/* An exact `METHOD /path` also grants what the catalogue does not have; a wider path does not. */
static bool catalogue_has(const struct pack *pack, const struct entry *entry)
{
    struct match match;

    for (uint32_t i = 0; i < pack->upstream_count; i++) {
        if (match_find(pack, i, entry->method, entry->name, &match)) {
            return true;
        }
    }
    return pack->generic || str_equal(entry->method, STR("GET"));
}

static bool path_covers_path(const struct pack *pack, const struct entry *wide,
                             const struct entry *narrow)
{
    return (wide->method.len == 0 || str_equal(wide->method, narrow->method)) &&
           pattern_covers(wide->name, narrow->name) &&
           (entry_is_exact(wide) || !entry_is_exact(narrow) || catalogue_has(pack, narrow));
}

static bool path_covers_operation(const struct pack *pack, const struct entry *wide,
                                  uint32_t operation)
{
    bool found = false;

    if (operation_class_is_guarded(pack->operations[operation].class)) {
        return false;
    }
    for (size_t i = 0; i < pack->match_count; i++) {
        const struct pack_match *match = &pack->matches[i];
        if (match->operation != operation) {
            continue;
        }
        if ((wide->method.len > 0 && !str_equal(wide->method, match->method)) ||
            !pattern_covers(wide->name, match->path)) {
            return false;
        }
        found = true;
    }
    return found;
}

static bool covers_operation(const struct pack *pack, const struct entry *wide, uint32_t operation)
{
    const struct pack_operation *it = &pack->operations[operation];

    switch (wide->kind) {
    case ENTRY_OPERATION:
        return str_equal(wide->name, it->name);
    case ENTRY_OPERATION_PREFIX:
        return !operation_class_is_guarded(it->class) && str_starts(it->name, wide->name);
    case ENTRY_PATH:
        return path_covers_operation(pack, wide, operation);
    }
    return false;
}

/* Of what `narrow` grants, that is all of its prefix but the guarded ones. */
static bool covers_prefix(const struct pack *pack, const struct entry *wide,
                          const struct entry *narrow)
{
    if (wide->kind == ENTRY_OPERATION_PREFIX && str_starts(narrow->name, wide->name)) {
        return true;
    }
    for (uint32_t i = 0; i < pack->operation_count; i++) {
        const struct pack_operation *it = &pack->operations[i];
        if (str_starts(it->name, narrow->name) && !operation_class_is_guarded(it->class) &&
            !covers_operation(pack, wide, i)) {
            return false;
        }
    }
    return true;
}

bool entry_covers(const struct pack *pack, const struct entry *wide, const struct entry *narrow)
{
    uint32_t operation;

    if (str_equal(wide->text, narrow->text)) {
        return true;
    }
    switch (narrow->kind) {
    case ENTRY_OPERATION:
        operation = pack_find_operation(pack, narrow->name);
        return operation != PACK_NONE && covers_operation(pack, wide, operation);
    case ENTRY_OPERATION_PREFIX:
        return covers_prefix(pack, wide, narrow);
    case ENTRY_PATH:
        return wide->kind == ENTRY_PATH && path_covers_path(pack, wide, narrow);
    }
    return false;
}
