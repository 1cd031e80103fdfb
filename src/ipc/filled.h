/* SPDX-License-Identifier: Apache-2.0 */
/*
 * filled: something of any schema with a value in each field; for tests and seeds.
 */
#ifndef IPC_FILLED_H
#define IPC_FILLED_H

#include <string.h>

#include "base/wire.h"

enum { FILLED_ELEMENTS = 2 }; /* of each array */

/* Numbers get bytes that are all different from zero, enums their last value.  Texts are as long
 * as the schema allows, but no longer than `text_max`, and zeroes; they and arrays are in `arena`.
 */
static inline void fill(const struct wire_schema *schema, unsigned char *thing, struct arena *arena,
                        size_t text_max)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct wire_field *field = &schema->fields[i];
        unsigned char *at = thing + field->offset;
        size_t count = field->max < FILLED_ELEMENTS ? field->max : FILLED_ELEMENTS;
        size_t len = field->max < text_max ? field->max : text_max;
        int last = (int)field->max - 1;
        struct str text;
        unsigned char *elements;

        switch (field->kind) {
        case WIRE_KIND_BOOL:
            memset(at, 1, 1);
            break;
        case WIRE_KIND_ENUM:
            memcpy(at, &last, sizeof(last));
            break;
        case WIRE_KIND_U32:
            memset(at, 0xa5, sizeof(uint32_t));
            break;
        case WIRE_KIND_U64:
        case WIRE_KIND_I64:
            memset(at, 0xa5, sizeof(uint64_t));
            break;
        case WIRE_KIND_DIGEST:
            memset(at, 0xa5, sizeof(struct digest));
            break;
        case WIRE_KIND_STR:
            text = str_of(arena_zeroed(arena, len + 1, 1), len);
            memcpy(at, &text, sizeof(text));
            break;
        case WIRE_KIND_STRUCT:
            fill(field->sub, at, arena, text_max);
            break;
        case WIRE_KIND_ARRAY:
            elements = arena_zeroed(arena, count, field->sub->size);
            for (size_t k = 0; k < count; k++) {
                fill(field->sub, elements + k * field->sub->size, arena, text_max);
            }
            memcpy(at, &elements, sizeof(elements));
            memcpy(thing + field->count_offset, &count, sizeof(count));
            break;
        }
    }
}

#endif
