/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Each pointer is a small automaton.  Bit n of its mask at a level: the names on the way down to
 * here fit its first n segments.
 */
#include "pack/redact.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pack/json_scan.h"

enum { INTEGER_DIGITS_MAX = 18 }; /* any more, and not all parsers have room */

_Static_assert(REDACT_SEGMENTS_MAX < 32, "a mask has a bit a segment, and one for the end");

struct place {
    struct str segments[REDACT_SEGMENTS_MAX];
    unsigned count;
};

struct level {
    bool is_array;
    bool hidden; /* all below is to be overwritten */
    uint64_t index;
    uint32_t masks[REDACT_POINTERS_MAX];
};

struct redaction {
    struct place places[REDACT_POINTERS_MAX];
    size_t place_count;
    struct level levels[LIMIT_JSON_DEPTH + 2]; /* [0]: above the whole text */
    size_t depth; /* open objects and arrays; levels[depth + 1] is of the value at hand */
    uint64_t hits;
};

/* ---- pointers ---- */

static bool is_any_depth(struct str segment)
{
    return str_equal(segment, STR("**"));
}

static bool take_place(struct str pointer, struct place *ret)
{
    *ret = (struct place){.count = 0};
    if (!str_starts(pointer, STR("/"))) {
        return false;
    }
    struct str rest = str_slice(pointer, 1, pointer.len);
    for (;;) {
        bool last = str_index(rest, '/', 0) == rest.len;
        if (ret->count == REDACT_SEGMENTS_MAX) {
            return false;
        }
        ret->segments[ret->count++] = str_take_until(&rest, '/');
        if (last) {
            break;
        }
    }
    for (size_t i = 0; i < pointer.len; i++) {
        if (pointer.data[i] == '~' &&
            (i + 1 == pointer.len || (pointer.data[i + 1] != '0' && pointer.data[i + 1] != '1'))) {
            return false;
        }
    }
    return true;
}

bool redact_pointer_is_valid(struct str pointer)
{
    struct place place;

    return take_place(pointer, &place);
}

/* `segment` with ~1 for a slash and ~0 for a tilde. */
static bool segment_is(struct str segment, struct str name)
{
    size_t at = 0;

    if (str_equal(segment, STR("*"))) {
        return true;
    }
    for (size_t i = 0; i < segment.len; i++, at++) {
        char c = segment.data[i];
        if (c == '~') {
            c = segment.data[++i] == '1' ? '/' : '~';
        }
        if (at == name.len || name.data[at] != c) {
            return false;
        }
    }
    return at == name.len;
}

/* `**` stands for no level too. */
static uint32_t reach(const struct place *place, uint32_t mask)
{
    for (unsigned i = 0; i < place->count; i++) {
        if ((mask >> i & 1) != 0 && is_any_depth(place->segments[i])) {
            mask |= UINT32_C(1) << (i + 1);
        }
    }
    return mask;
}

static uint32_t step(const struct place *place, uint32_t mask, struct str name)
{
    uint32_t next = 0;

    for (unsigned i = 0; i < place->count; i++) {
        if ((mask >> i & 1) == 0) {
            continue;
        }
        if (is_any_depth(place->segments[i])) {
            next |= UINT32_C(1) << i;
        } else if (segment_is(place->segments[i], name)) {
            next |= UINT32_C(1) << (i + 1);
        }
    }
    return reach(place, next);
}

/* ---- the walk ---- */

/* Into `below`: what holds for the value of this name. */
static void descend(struct redaction *redaction, struct str name)
{
    const struct level *here = &redaction->levels[redaction->depth];
    struct level *below = &redaction->levels[redaction->depth + 1];

    below->hidden = here->hidden;
    for (size_t i = 0; i < redaction->place_count; i++) {
        const struct place *place = &redaction->places[i];
        below->masks[i] = step(place, here->masks[i], name);
        if ((below->masks[i] >> place->count & 1) != 0) {
            below->hidden = true;
        }
    }
}

static void descend_to_element(struct redaction *redaction)
{
    struct level *here = &redaction->levels[redaction->depth];
    char number[24];

    (void)snprintf(number, sizeof(number), "%llu", (unsigned long long)here->index++);
    descend(redaction, str_from(number));
}

static void open_level(struct redaction *redaction, bool is_array)
{
    redaction->depth++;
    redaction->levels[redaction->depth].is_array = is_array;
    redaction->levels[redaction->depth].index = 0;
}

static void hide(struct redaction *redaction, unsigned char *body, struct str all,
                 const struct json_token *token)
{
    if (token->text.len > 0) {
        unsigned char *at = body + (token->text.data - all.data);
        memset(at, token->kind == SCAN_TEXT ? '*' : '1', token->text.len);
        if (token->kind != SCAN_TEXT && token->text.len > INTEGER_DIGITS_MAX) {
            at[1] = '.'; /* or some parser would find the integer too large */
        }
    }
    redaction->hits++;
}

static void take_value(struct redaction *redaction, unsigned char *body, struct str all,
                       const struct json_token *token)
{
    /* Of a member, descend() was called at its name.  Level 0 holds the whole text. */
    if (redaction->depth > 0 && redaction->levels[redaction->depth].is_array) {
        descend_to_element(redaction);
    }
    bool hidden = redaction->levels[redaction->depth + 1].hidden;
    switch (token->kind) {
    case SCAN_OBJECT:
    case SCAN_ARRAY:
        open_level(redaction, token->kind == SCAN_ARRAY);
        break;
    case SCAN_TEXT:
    case SCAN_INTEGER:
    case SCAN_NUMBER:
        if (hidden) {
            hide(redaction, body, all, token);
        }
        break;
    case SCAN_BAD:
    case SCAN_END:
    case SCAN_OBJECT_END:
    case SCAN_ARRAY_END:
    case SCAN_NAME:
    case SCAN_TRUE:
    case SCAN_FALSE:
    case SCAN_NULL:
    default:
        break;
    }
}

static int walk(struct redaction *redaction, unsigned char *body, struct str all,
                struct arena *arena, struct err *err)
{
    struct json_scan scan;
    struct json_token token;

    json_scan_begin(&scan, all, arena);
    while (json_scan_next(&scan, &token)) {
        if (token.kind == SCAN_NAME) {
            descend(redaction, token.text);
        } else if (token.kind == SCAN_OBJECT_END || token.kind == SCAN_ARRAY_END) {
            redaction->depth--;
        } else {
            take_value(redaction, body, all, &token);
        }
    }
    return token.kind == SCAN_END ? 0 : err_set(err, "%s", scan.problem);
}

int redact_json(unsigned char *body, size_t len, const struct str *pointers, size_t count,
                uint64_t *ret_hits, struct err *err)
{
    if (len == 0) {
        *ret_hits = 0;
        return 0;
    }
    struct redaction *redaction = mem_zeroed(sizeof(*redaction));
    struct arena *arena = arena_new();
    int rc = -1;

    for (size_t i = 0; i < count; i++) {
        if (i == REDACT_POINTERS_MAX || !take_place(pointers[i], &redaction->places[i])) {
            err_set(err, "a pointer that nothing can follow");
            goto out;
        }
        /* The whole text is what no segment leads to. */
        redaction->levels[1].masks[i] = reach(&redaction->places[i], 1);
        redaction->levels[1].hidden |=
            (redaction->levels[1].masks[i] >> redaction->places[i].count & 1) != 0;
    }
    redaction->place_count = count;
    rc = walk(redaction, body, str_of(body, len), arena, err);
    if (rc == 0) {
        *ret_hits = redaction->hits;
    }
out:
    arena_wipe(arena); /* names only, but of an answer that has secrets */
    arena_free(arena);
    free(redaction);
    return rc;
}
