/* SPDX-License-Identifier: Apache-2.0 */
#include "control/json_alloc.h"

#include <jansson.h>
#include <malloc.h>
#include <stddef.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/mem.h"

static void wiped_free(void *bytes)
{
    mem_wipe(bytes, malloc_usable_size(bytes)); /* 0 of NULL */
    free(bytes);
}

void json_alloc_free(void *text)
{
    json_free_t release;

    json_get_alloc_funcs(NULL, &release);
    release(text);
}

void json_alloc_setup(void)
{
    size_t seed;

    random_bytes(&seed, sizeof(seed));
    json_set_alloc_funcs(malloc, wiped_free);
    json_object_seed(seed == 0 ? 1 : seed); /* else it would open /dev/urandom when confined */
}
