/* SPDX-License-Identifier: Apache-2.0 */
/* A --config file, and the same bytes as an address to listen on: what is taken must survive the
 * way to the parent, and an address must be written as it was read. */
#include <stdint.h>
#include <stdlib.h>

#include "parent/address.h"
#include "parent/settings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_file(struct str text)
{
    struct arena *arena = arena_new();
    struct settings settings;
    struct settings back;
    struct err err;
    struct buf bytes;

    settings_defaults(&settings, 4);
    buf_init(&bytes, 1 << 20);
    if (settings_load(&settings, arena, text, "f", &err) == 0 &&
        settings_finish(&settings, arena, &err) == 0 &&
        (!wire_encode(&settings_schema, &settings, &bytes) ||
         !wire_decode(&settings_schema, buf_str(&bytes), arena, &back) ||
         settings_fixed_difference(&settings, &back) != NULL)) {
        abort();
    }
    buf_clear(&bytes);
    arena_free(arena);
}

static void try_address(struct str text)
{
    struct address address;
    struct address again;
    struct err err;
    struct buf written;

    if (address_parse(text, &address, &err) < 0) {
        return;
    }
    buf_init(&written, 1000);
    if (!address_write(&address, &written) || address_parse(buf_str(&written), &again, &err) < 0 ||
        address_is_loopback(&address) != address_is_loopback(&again) ||
        address_port(&address) != address_port(&again)) {
        abort();
    }
    buf_clear(&written);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    try_file(str_of(data, size));
    try_address(str_of(data, size));
    return 0;
}
