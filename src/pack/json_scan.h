/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_scan: walks through a JSON text (RFC 8259) and refuses what two parsers might read
 * differently.  Builds no tree and takes next to no memory.
 *
 *     json_scan_begin(&scan, body, arena);
 *     while (json_scan_next(&scan, &token)) { ... }      the last one is SCAN_END or SCAN_BAD
 *
 * The whole text is one object or array.  Refused beside bad grammar: bytes that are not UTF-8, a
 * BOM, trailing data, U+0000, lone surrogates, the same member twice in one object (whatever its
 * spelling), an integer that does not fit int64, a number that may not fit a double, and more than
 * LIMIT_JSON_DEPTH levels or SCAN_MEMBERS_MAX members.  What passes, jansson reads the same.
 */
#ifndef PACK_JSON_SCAN_H
#define PACK_JSON_SCAN_H

#include "base/arena.h"
#include "base/limits.h"
#include "base/str.h"

enum { SCAN_MEMBERS_MAX = 65536, SCAN_FEW_MEMBERS = 256 };

enum scan_kind {
    SCAN_BAD, /* the scan's `fault` and `problem` say why */
    SCAN_END,
    SCAN_OBJECT,
    SCAN_OBJECT_END,
    SCAN_ARRAY,
    SCAN_ARRAY_END,
    SCAN_NAME, /* of a member; its value is next */
    SCAN_TEXT,
    SCAN_INTEGER, /* plain: an optional minus and digits, but not -0 */
    SCAN_NUMBER,  /* any other number */
    SCAN_TRUE,
    SCAN_FALSE,
    SCAN_NULL
};

struct json_token {
    enum scan_kind kind;
    struct str text; /* NAME: decoded; TEXT: still escaped; numbers: as written.  In the body or in
                      * the arena */
    bool escaped;    /* NAME, TEXT: written with a backslash somewhere */
    int64_t number;  /* INTEGER */
};

enum scan_fault {
    SCAN_FAULT_SYNTAX,
    SCAN_FAULT_DUPLICATE,
    SCAN_FAULT_NUMBER, /* one that parsers round, each in its way */
    SCAN_FAULT_LIMIT
};

struct json_scan {
    struct str body;
    size_t at;
    struct arena *arena;
    size_t depth;         /* open objects and arrays */
    uint32_t objects;     /* bit n: level n + 1 is an object */
    unsigned expect;      /* private */
    uint64_t object_seen; /* so far, to number them */
    uint64_t object[LIMIT_JSON_DEPTH];
    uint64_t *members; /* hashes of (object, name), open addressing */
    size_t member_count, member_size;
    uint64_t few[2 * SCAN_FEW_MEMBERS];
    struct str name; /* the last one */
    enum scan_fault fault;
    const char *problem;
};

void json_scan_begin(struct json_scan *scan, struct str body, struct arena *arena);

/* False with the last token, which is SCAN_END or SCAN_BAD. */
bool json_scan_next(struct json_scan *scan, struct json_token *ret);

/* The text that a TEXT token stands for.  In the arena only where it was escaped. */
struct str json_scan_text(const struct json_scan *scan, const struct json_token *token);

#endif
