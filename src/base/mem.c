/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *must(void *memory)
{
    if (memory == NULL) {
        (void)fputs("keybrake: out of memory\n", stderr);
        abort();
    }
    return memory;
}

void *mem_zeroed(size_t size)
{
    return must(calloc(1, size == 0 ? 1 : size));
}

void *mem_array(size_t count, size_t size)
{
    return must(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *mem_grow(void *old, size_t count, size_t size)
{
    if (size != 0 && count > SIZE_MAX / size) {
        return must(NULL);
    }
    return must(realloc(old, count * size == 0 ? 1 : count * size));
}

void *mem_copy(const void *data, size_t size)
{
    void *copy = must(malloc(size == 0 ? 1 : size));

    if (size > 0) {
        memcpy(copy, data, size);
    }
    return copy;
}

char *mem_copy_str(struct str s)
{
    char *copy = must(malloc(s.len + 1));

    if (s.len > 0) {
        memcpy(copy, s.data, s.len);
    }
    copy[s.len] = '\0';
    return copy;
}

void mem_wipe(void *data, size_t size)
{
    if (size > 0) {
        explicit_bzero(data, size);
    }
}

int mem_equal_consttime(const void *a, const void *b, size_t size)
{
    const volatile unsigned char *left = a;
    const volatile unsigned char *right = b;
    unsigned char difference = 0;

    for (size_t i = 0; i < size; i++) {
        difference = (unsigned char)(difference | (left[i] ^ right[i]));
    }
    return difference == 0;
}
