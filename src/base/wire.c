/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wire.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

/* Arrays inside arrays inside ... : the schemas nest this deep at most, by construction. */
static const struct wire_field str_fields[] = {
    {.name = "text", .kind = WIRE_KIND_STR, .offset = 0, .max = 65536}};
static const struct wire_field u64_fields[] = {
    {.name = "number", .kind = WIRE_KIND_U64, .offset = 0}};
const struct wire_schema wire_str_schema = {"str", sizeof(struct str), 1, str_fields};
const struct wire_schema wire_u64_schema = {"u64", sizeof(uint64_t), 1, u64_fields};

/*
 * The writer's place in `out`.  `end` is where its memory or its maximum ends, whichever comes
 * first, so that one comparison is all that is checked before a field is written.
 */
struct writer {
    struct buf *out;
    unsigned char *at, *end;
};

static void start_writing(struct writer *writer, struct buf *out)
{
    *writer = (struct writer){.out = out};
    if (out->data != NULL) {
        size_t more = out->max - buf_len(out);
        writer->at = out->data + out->end;
        writer->end = writer->at + (more < out->size - out->end ? more : out->size - out->end);
    }
}

static void stop_writing(struct writer *writer)
{
    if (writer->at != NULL) {
        writer->out->end = (size_t)(writer->at - writer->out->data);
    }
}

/* False at the buffer's maximum. */
static bool grow(struct writer *writer, size_t len)
{
    stop_writing(writer);
    if (buf_room(writer->out, len) == NULL) {
        return false;
    }
    start_writing(writer, writer->out);
    assert(writer->at != NULL);
    return true;
}

static inline bool make_room(struct writer *writer, size_t len)
{
    return (size_t)(writer->end - writer->at) >= len || grow(writer, len);
}

static inline void put(struct writer *writer, const void *bytes, size_t size)
{
    assert(writer->at != NULL); /* room was made */
    memcpy(writer->at, bytes, size);
    writer->at += size;
}

static inline void put_u32(struct writer *writer, uint32_t value)
{
    value = htole32(value);
    put(writer, &value, sizeof(value));
}

static bool put_fields(const struct wire_schema *schema, const unsigned char *thing,
                       struct writer *writer);

static bool put_array(const struct wire_field *field, const unsigned char *thing,
                      struct writer *writer)
{
    const unsigned char *elements;
    size_t count;

    memcpy(&elements, thing + field->offset, sizeof(elements));
    memcpy(&count, thing + field->count_offset, sizeof(count));
    if (count > field->max || !make_room(writer, sizeof(uint32_t))) {
        return false;
    }
    put_u32(writer, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        if (!put_fields(field->sub, elements + i * field->sub->size, writer)) {
            return false;
        }
    }
    return true;
}

static inline bool put_str(const struct wire_field *field, const unsigned char *at,
                           struct writer *writer)
{
    struct str text;

    memcpy(&text, at, sizeof(text));
    if (text.len > field->max || !make_room(writer, sizeof(uint32_t) + text.len)) {
        return false;
    }
    put_u32(writer, (uint32_t)text.len);
    if (text.len > 0) {
        put(writer, text.data, text.len);
    }
    return true;
}

static inline bool put_enum(const struct wire_field *field, const unsigned char *at,
                            struct writer *writer)
{
    int value;

    memcpy(&value, at, sizeof(value));
    if (value < 0 || (size_t)value >= field->max || !make_room(writer, 1)) {
        return false;
    }
    *writer->at++ = (unsigned char)value;
    return true;
}

static inline bool put_bool(const unsigned char *at, struct writer *writer)
{
    bool flag;

    memcpy(&flag, at, sizeof(flag));
    if (!make_room(writer, 1)) {
        return false;
    }
    *writer->at++ = flag;
    return true;
}

static inline bool put_number(const unsigned char *at, size_t size, struct writer *writer)
{
    uint64_t u64;
    uint32_t u32;

    if (!make_room(writer, size)) {
        return false;
    }
    if (size == sizeof(u32)) {
        memcpy(&u32, at, sizeof(u32));
        put_u32(writer, u32);
    } else {
        memcpy(&u64, at, sizeof(u64));
        u64 = htole64(u64);
        put(writer, &u64, sizeof(u64));
    }
    return true;
}

static bool put_field(const struct wire_field *field, const unsigned char *thing,
                      struct writer *writer)
{
    const unsigned char *at = thing + field->offset;

    switch (field->kind) {
    case WIRE_KIND_BOOL:
        return put_bool(at, writer);
    case WIRE_KIND_ENUM:
        return put_enum(field, at, writer);
    case WIRE_KIND_U32:
        return put_number(at, sizeof(uint32_t), writer);
    case WIRE_KIND_U64:
    case WIRE_KIND_I64:
        return put_number(at, sizeof(uint64_t), writer);
    case WIRE_KIND_STR:
        return put_str(field, at, writer);
    case WIRE_KIND_DIGEST:
        if (!make_room(writer, DIGEST_SIZE)) {
            return false;
        }
        put(writer, at, DIGEST_SIZE);
        return true;
    case WIRE_KIND_STRUCT:
        return put_fields(field->sub, at, writer);
    case WIRE_KIND_ARRAY:
        return put_array(field, thing, writer);
    }
    return false;
}

static bool put_fields(const struct wire_schema *schema, const unsigned char *thing,
                       struct writer *writer)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (!put_field(&schema->fields[i], thing, writer)) {
            return false;
        }
    }
    return true;
}

bool wire_encode(const struct wire_schema *schema, const void *thing, struct buf *out)
{
    struct writer writer;

    start_writing(&writer, out);
    bool fits = put_fields(schema, thing, &writer);
    stop_writing(&writer);
    return fits;
}

static inline bool get_number(struct str *in, size_t size, uint64_t *ret)
{
    uint64_t value = 0; /* little-endian until it is returned */

    if (in->len < size) {
        return false;
    }
    memcpy(&value, in->data, size);
    in->data += size;
    in->len -= size;
    *ret = le64toh(value);
    return true;
}

static bool get_fields(const struct wire_schema *schema, struct str *in, struct arena *arena,
                       unsigned char *thing);

static bool get_array(const struct wire_field *field, struct str *in, struct arena *arena,
                      unsigned char *thing)
{
    uint64_t number;
    unsigned char *elements = NULL;

    /* An element takes at least one byte, so a count above the bytes left is a lie: it must not
     * make us allocate. */
    if (!get_number(in, 4, &number) || number > field->max || number > in->len) {
        return false;
    }
    size_t count = (size_t)number;
    if (count > 0) {
        elements = arena_zeroed(arena, count, field->sub->size);
    }
    for (size_t i = 0; i < count; i++) {
        if (!get_fields(field->sub, in, arena, elements + i * field->sub->size)) {
            return false;
        }
    }
    memcpy(thing + field->offset, &elements, sizeof(elements));
    memcpy(thing + field->count_offset, &count, sizeof(count));
    return true;
}

static bool get_str(const struct wire_field *field, struct str *in, unsigned char *at)
{
    uint64_t len;

    if (!get_number(in, 4, &len) || len > field->max || len > in->len) {
        return false;
    }
    struct str text = len == 0 ? STR_NONE : str_of(in->data, (size_t)len);
    in->data += len;
    in->len -= (size_t)len;
    memcpy(at, &text, sizeof(text));
    return true;
}

static bool get_field(const struct wire_field *field, struct str *in, struct arena *arena,
                      unsigned char *thing)
{
    unsigned char *at = thing + field->offset;
    uint64_t number = 0;
    uint32_t u32;
    int small;
    bool flag;

    switch (field->kind) {
    case WIRE_KIND_BOOL:
        if (!get_number(in, 1, &number) || number > 1) {
            return false;
        }
        flag = number == 1;
        memcpy(at, &flag, sizeof(flag));
        return true;
    case WIRE_KIND_ENUM:
        if (!get_number(in, 1, &number) || number >= field->max) {
            return false;
        }
        small = (int)number;
        memcpy(at, &small, sizeof(small));
        return true;
    case WIRE_KIND_U32:
        if (!get_number(in, 4, &number)) {
            return false;
        }
        u32 = (uint32_t)number;
        memcpy(at, &u32, sizeof(u32));
        return true;
    case WIRE_KIND_U64:
    case WIRE_KIND_I64:
        if (!get_number(in, 8, &number)) {
            return false;
        }
        memcpy(at, &number, sizeof(number));
        return true;
    case WIRE_KIND_STR:
        return get_str(field, in, at);
    case WIRE_KIND_DIGEST:
        if (in->len < DIGEST_SIZE) {
            return false;
        }
        memcpy(at, in->data, DIGEST_SIZE);
        in->data += DIGEST_SIZE;
        in->len -= DIGEST_SIZE;
        return true;
    case WIRE_KIND_STRUCT:
        return get_fields(field->sub, in, arena, at);
    case WIRE_KIND_ARRAY:
        return get_array(field, in, arena, thing);
    }
    return false;
}

static bool get_fields(const struct wire_schema *schema, struct str *in, struct arena *arena,
                       unsigned char *thing)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (!get_field(&schema->fields[i], in, arena, thing)) {
            return false;
        }
    }
    return true;
}

bool wire_decode(const struct wire_schema *schema, struct str bytes, struct arena *arena,
                 void *ret_thing)
{
    memset(ret_thing, 0, schema->size);
    return get_fields(schema, &bytes, arena, ret_thing) && bytes.len == 0;
}
