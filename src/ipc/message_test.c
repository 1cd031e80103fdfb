/* SPDX-License-Identifier: Apache-2.0 */
/* Every type has a name and a schema that fits its struct, whatever is in it. */
#include "ipc/message.h"

#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"
#include "ipc/filled.h"

enum { ENCODED_MAX = 64 * 1024 * 1024 };

static size_t depth_of(const struct wire_schema *schema)
{
    size_t deepest = 0;

    for (size_t i = 0; i < schema->count; i++) {
        if (schema->fields[i].sub != NULL) {
            size_t depth = depth_of(schema->fields[i].sub);
            deepest = depth > deepest ? depth : deepest;
        }
    }
    return deepest + 1;
}

static size_t size_of(const struct wire_field *field)
{
    switch (field->kind) {
    case WIRE_KIND_BOOL:
        return sizeof(bool);
    case WIRE_KIND_ENUM:
        return sizeof(int);
    case WIRE_KIND_U32:
        return sizeof(uint32_t);
    case WIRE_KIND_U64:
    case WIRE_KIND_I64:
        return sizeof(uint64_t);
    case WIRE_KIND_STR:
        return sizeof(struct str);
    case WIRE_KIND_DIGEST:
        return sizeof(struct digest);
    case WIRE_KIND_STRUCT:
        return field->sub->size;
    case WIRE_KIND_ARRAY:
        return sizeof(void *);
    }
    return 0;
}

/* Fields lie in the struct, do not overlap, and all of the struct but padding is told: a field
 * that somebody adds and forgets in the table is found by the gap. */
static void check_schema(const struct wire_schema *schema)
{
    unsigned char *covered = mem_zeroed(schema->size);
    size_t gap = 0;

    for (size_t i = 0; i < schema->count; i++) {
        const struct wire_field *field = &schema->fields[i];
        size_t size = size_of(field);
        CHECK_CASE(field->offset + size <= schema->size, schema->name);
        for (size_t k = 0; k < size && field->offset + k < schema->size; k++) {
            CHECK_CASE(covered[field->offset + k] == 0, schema->name);
            covered[field->offset + k] = 1;
        }
        if (field->kind == WIRE_KIND_ARRAY) {
            memset(covered + field->count_offset, 1, sizeof(size_t));
            check_schema(field->sub);
        } else if (field->kind == WIRE_KIND_STRUCT) {
            check_schema(field->sub);
        }
    }
    for (size_t i = 0; i < schema->size; i++) {
        gap = covered[i] != 0 ? 0 : gap + 1;
        CHECK_CASE(gap < 8, schema->name);
    }
    free(covered);
}

static void check_round_trip(const struct wire_schema *schema, size_t text_max, bool filled)
{
    struct arena *arena = arena_new();
    unsigned char *thing = arena_zeroed(arena, 1, schema->size);
    unsigned char *back = arena_zeroed(arena, 1, schema->size);
    struct buf first;
    struct buf second;

    if (filled) {
        fill(schema, thing, arena, text_max);
    }
    buf_init(&first, ENCODED_MAX);
    buf_init(&second, ENCODED_MAX);
    CHECK_CASE(wire_encode(schema, thing, &first), schema->name);
    CHECK_CASE(wire_decode(schema, buf_str(&first), arena, back), schema->name);
    CHECK_CASE(wire_encode(schema, back, &second), schema->name);
    CHECK_CASE(str_equal(buf_str(&first), buf_str(&second)), schema->name);
    for (size_t cut = 0; cut < buf_len(&first); cut += 1 + buf_len(&first) / 64) {
        CHECK_CASE(!wire_decode(schema, str_slice(buf_str(&first), 0, cut), arena, back),
                   schema->name);
    }
    (void)buf_add_char(&first, 'x');
    CHECK_CASE(!wire_decode(schema, buf_str(&first), arena, back), schema->name);
    buf_clear(&first);
    buf_clear(&second);
    arena_free(arena);
}

static void test_types(void)
{
    for (int type = MESSAGE_NONE + 1; type < MESSAGE_COUNT; type++) {
        const struct wire_schema *schema = message_schema((enum message_type)type);
        const char *name = message_name((enum message_type)type);
        CHECK_CASE(schema != NULL && schema->size > 0 && schema->count > 0, name);
        CHECK(name != NULL && name[0] != '?');
        for (int other = type + 1; other < MESSAGE_COUNT; other++) {
            CHECK_CASE(strcmp(name, message_name((enum message_type)other)) != 0, name);
        }
        if (schema == NULL) {
            continue;
        }
        CHECK_CASE(depth_of(schema) < 6, name);
        check_schema(schema);
        check_round_trip(schema, 0, false);
        check_round_trip(schema, 10, true);
        check_round_trip(schema, SIZE_MAX, true);
    }
    CHECK(message_schema(MESSAGE_NONE) == NULL);
    CHECK(message_schema(MESSAGE_COUNT) == NULL);
    CHECK(message_schema((enum message_type) - 1) == NULL);
    CHECK(strcmp(message_name(MESSAGE_COUNT), "?") == 0);
}

static void test_roles(void)
{
    for (int role = ROLE_NONE; role < ROLE_COUNT; role++) {
        CHECK(role_name((enum process_role)role)[0] != '?');
    }
    CHECK(strcmp(role_name(ROLE_COUNT), "?") == 0);
    CHECK(strcmp(role_name(ROLE_VAULT), "vault") == 0);
    for (unsigned door = 0; door < DOOR_COUNT; door++) {
        CHECK(door_name((enum door)door)[0] != '?');
    }
    CHECK(strcmp(door_name(DOOR_COUNT), "?") == 0);
    CHECK(strcmp(door_name(DOOR_SOCKS), "socks") == 0);
}

int main(void)
{
    test_types();
    test_roles();
    return test_done();
}
