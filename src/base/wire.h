/* SPDX-License-Identifier: Apache-2.0 */
/*
 * wire: structs as bytes and back, by a table that names each field.
 *
 * Every message between processes, the compiled configuration, stored policies and hashed audit
 * rows are written this way, so that there is one encoder and one decoder to get right.
 *
 *     struct point { uint64_t x; struct str name; };
 *     static const struct wire_field point_fields[] = {
 *         WIRE_U64(struct point, x), WIRE_STR(struct point, name, 100)};
 *     const struct wire_schema point_schema = WIRE_SCHEMA(struct point, point_fields);
 *
 * Format: the fields in the order of the table, numbers little-endian; bool and enum one byte;
 * str a u32 length and the bytes; array a u32 count and the elements.  Decoding checks every
 * length, count, bool and enum against the table, and that nothing is left over.
 */
#ifndef BASE_WIRE_H
#define BASE_WIRE_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/str.h"

enum wire_kind {
    WIRE_KIND_BOOL,   /* bool */
    WIRE_KIND_ENUM,   /* an enum (as int), below `max` */
    WIRE_KIND_U32,    /* uint32_t */
    WIRE_KIND_U64,    /* uint64_t */
    WIRE_KIND_I64,    /* int64_t */
    WIRE_KIND_STR,    /* struct str, at most `max` bytes */
    WIRE_KIND_DIGEST, /* struct digest */
    WIRE_KIND_STRUCT, /* a struct in place, by `sub` */
    WIRE_KIND_ARRAY,  /* a pointer to elements by `sub`, and a size_t count; at most `max` */
};

struct wire_schema;

struct wire_field {
    const char *name;
    enum wire_kind kind;
    size_t offset;
    size_t count_offset;
    size_t max;
    const struct wire_schema *sub;
};

struct wire_schema {
    const char *name;
    size_t size; /* of the struct */
    size_t count;
    const struct wire_field *fields;
};

#define WIRE_FIELD(type, field, k, m, s, co)                                                       \
    {                                                                                              \
        .name = #field, .kind = (k), .offset = offsetof(type, field), .max = (m), .sub = (s),      \
        .count_offset = (co)                                                                       \
    }
#define WIRE_BOOL(type, field) WIRE_FIELD(type, field, WIRE_KIND_BOOL, 0, NULL, 0)
#define WIRE_ENUM(type, field, count) WIRE_FIELD(type, field, WIRE_KIND_ENUM, count, NULL, 0)
#define WIRE_U32(type, field) WIRE_FIELD(type, field, WIRE_KIND_U32, 0, NULL, 0)
#define WIRE_U64(type, field) WIRE_FIELD(type, field, WIRE_KIND_U64, 0, NULL, 0)
#define WIRE_I64(type, field) WIRE_FIELD(type, field, WIRE_KIND_I64, 0, NULL, 0)
#define WIRE_STR(type, field, max) WIRE_FIELD(type, field, WIRE_KIND_STR, max, NULL, 0)
#define WIRE_DIGEST(type, field) WIRE_FIELD(type, field, WIRE_KIND_DIGEST, 0, NULL, 0)
#define WIRE_STRUCT(type, field, sub) WIRE_FIELD(type, field, WIRE_KIND_STRUCT, 0, sub, 0)
/* The count is a size_t field named `counter`. */
#define WIRE_ARRAY(type, field, counter, max, sub)                                                 \
    WIRE_FIELD(type, field, WIRE_KIND_ARRAY, max, sub, offsetof(type, counter))
#define WIRE_SCHEMA(type, table)                                                                   \
    {                                                                                              \
        .name = #type, .size = sizeof(type), .count = sizeof(table) / sizeof((table)[0]),          \
        .fields = (table)                                                                          \
    }

/* A schema for arrays of plain strings, and one for arrays of numbers. */
extern const struct wire_schema wire_str_schema; /* elements are struct str, at most 64 KiB each */
extern const struct wire_schema wire_u64_schema; /* elements are uint64_t */

/* Appends `thing`.  False when `out` is full, or when a field is above its own maximum (which is
 * then a fault of the writer: asserted in the sender). */
bool wire_encode(const struct wire_schema *schema, const void *thing, struct buf *out);

/* Fills *ret_thing (schema->size bytes).  Strings point into `bytes`; arrays are in `arena`.
 * False when the bytes are not exactly one thing of this schema; *ret_thing is then unusable. */
bool wire_decode(const struct wire_schema *schema, struct str bytes, struct arena *arena,
                 void *ret_thing);

#endif
