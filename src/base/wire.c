/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wire.h"

#include <string.h>

/* Arrays inside arrays inside ... : the schemas nest this deep at most, by construction. */
static const struct wire_field str_fields[] = {
    {.name = "text", .kind = WIRE_KIND_STR, .offset = 0, .max = 65536}};
static const struct wire_field u64_fields[] = {
    {.name = "number", .kind = WIRE_KIND_U64, .offset = 0}};
const struct wire_schema wire_str_schema = {"str", sizeof(struct str), 1, str_fields};
const struct wire_schema wire_u64_schema = {"u64", sizeof(uint64_t), 1, u64_fields};

static void put_number(struct buf *out, uint64_t value, size_t size)
{
    unsigned char bytes[8];

    for (size_t i = 0; i < size; i++) {
        bytes[i] = (unsigned char)(value >> (8 * i));
    }
    (void)buf_add(out, bytes, size);
}

static bool put_fields(const struct wire_schema *schema, const unsigned char *thing,
                       struct buf *out);

static bool put_array(const struct wire_field *field, const unsigned char *thing, struct buf *out)
{
    const unsigned char *elements;
    size_t count;

    memcpy(&elements, thing + field->offset, sizeof(elements));
    memcpy(&count, thing + field->count_offset, sizeof(count));
    if (count > field->max) {
        return false;
    }
    put_number(out, count, 4);
    for (size_t i = 0; i < count; i++) {
        if (!put_fields(field->sub, elements + i * field->sub->size, out)) {
            return false;
        }
    }
    return true;
}

static bool put_field(const struct wire_field *field, const unsigned char *thing, struct buf *out)
{
    const unsigned char *at = thing + field->offset;
    uint64_t u64;
    uint32_t u32;
    int small;
    bool flag;
    struct str text;

    switch (field->kind) {
    case WIRE_KIND_BOOL:
        memcpy(&flag, at, sizeof(flag));
        put_number(out, flag, 1);
        return true;
    case WIRE_KIND_ENUM:
        memcpy(&small, at, sizeof(small));
        put_number(out, (uint64_t)small, 1);
        return small >= 0 && (size_t)small < field->max;
    case WIRE_KIND_U32:
        memcpy(&u32, at, sizeof(u32));
        put_number(out, u32, 4);
        return true;
    case WIRE_KIND_U64:
    case WIRE_KIND_I64:
        memcpy(&u64, at, sizeof(u64));
        put_number(out, u64, 8);
        return true;
    case WIRE_KIND_STR:
        memcpy(&text, at, sizeof(text));
        put_number(out, text.len, 4);
        (void)buf_add_str(out, text);
        return text.len <= field->max;
    case WIRE_KIND_DIGEST:
        (void)buf_add(out, at, DIGEST_SIZE);
        return true;
    case WIRE_KIND_STRUCT:
        return put_fields(field->sub, at, out);
    case WIRE_KIND_ARRAY:
        return put_array(field, thing, out);
    }
    return false;
}

static bool put_fields(const struct wire_schema *schema, const unsigned char *thing,
                       struct buf *out)
{
    for (size_t i = 0; i < schema->count; i++) {
        if (!put_field(&schema->fields[i], thing, out)) {
            return false;
        }
    }
    return !out->overflow;
}

bool wire_encode(const struct wire_schema *schema, const void *thing, struct buf *out)
{
    return put_fields(schema, thing, out);
}

static bool get_number(struct str *in, size_t size, uint64_t *ret)
{
    uint64_t value = 0;

    if (in->len < size) {
        return false;
    }
    for (size_t i = 0; i < size; i++) {
        value |= (uint64_t)(unsigned char)in->data[i] << (8 * i);
    }
    in->data += size;
    in->len -= size;
    *ret = value;
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
