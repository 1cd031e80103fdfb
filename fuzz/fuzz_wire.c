/* SPDX-License-Identifier: Apache-2.0 */
/* Any message's payload: what decodes encodes to the same bytes again.  The first byte chooses the
 * type; past the messages come the configuration and the settings. */
#include <stdint.h>
#include <stdlib.h>

#include "base/wire.h"
#include "ipc/message.h"
#include "pack/pack.h"
#include "parent/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct wire_schema *schema_of(unsigned type)
{
    if (type == MESSAGE_COUNT) {
        return &config_schema;
    }
    if (type == MESSAGE_COUNT + 1) {
        return &settings_schema;
    }
    return message_schema((enum message_type)type);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    const struct wire_schema *schema = schema_of(data[0]);
    if (schema == NULL) {
        return -1;
    }
    struct arena *arena = arena_new();
    void *thing = arena_zeroed(arena, 1, schema->size);
    struct str bytes = str_of(data + 1, size - 1);
    if (wire_decode(schema, bytes, arena, thing)) {
        struct buf again;
        buf_init(&again, size);
        if (!wire_encode(schema, thing, &again) || !str_equal(buf_str(&again), bytes)) {
            abort();
        }
        buf_clear(&again);
    }
    arena_free(arena);
    return 0;
}
