/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: pointers on the first line, separated by spaces, then a body.  What is redacted has the
 * same length and is still JSON that jansson reads; what a pointer without stars finds there is a
 * text of stars, a number of ones, or nothing that could be secret.
 */
#include <assert.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pack/redact.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void assert_hidden(json_t *value)
{
    const char *name;
    json_t *below;
    size_t i;

    if (json_is_string(value)) {
        const char *text = json_string_value(value);
        assert(strspn(text, "*") == json_string_length(value));
    } else if (json_is_integer(value)) {
        for (json_int_t n = json_integer_value(value); n != 0; n /= 10) {
            assert(n % 10 == 1);
        }
    } else if (json_is_real(value)) {
        assert(json_real_value(value) > 1.1 && json_real_value(value) < 1.2);
    } else if (json_is_object(value)) {
        json_object_foreach(value, name, below)
        {
            assert_hidden(below);
        }
    } else {
        json_array_foreach(value, i, below)
        {
            assert_hidden(below);
        }
    }
}

static void assert_place(json_t *root, struct str pointer)
{
    json_t *at = root;

    if (memchr(pointer.data, '*', pointer.len) != NULL ||
        memchr(pointer.data, '~', pointer.len) != NULL ||
        memchr(pointer.data, '\0', pointer.len) != NULL) {
        return;
    }
    struct str rest = str_slice(pointer, 1, pointer.len);
    bool last = false;
    while (at != NULL && !last) {
        last = str_index(rest, '/', 0) == rest.len;
        char *name = mem_copy_str(str_take_until(&rest, '/'));
        at = json_is_object(at) ? json_object_get(at, name) : NULL;
        free(name);
    }
    if (at != NULL) {
        assert_hidden(at);
    }
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct str pointers[REDACT_POINTERS_MAX];
    struct str body = str_of(data, size);
    struct str line = str_take_until(&body, '\n');
    size_t count = 0;
    uint64_t hits;
    struct err err;

    while (line.len > 0 && count < REDACT_POINTERS_MAX) {
        struct str pointer = str_take_until(&line, ' ');
        if (redact_pointer_is_valid(pointer)) {
            pointers[count++] = pointer;
        }
    }
    unsigned char *copy = mem_copy(body.data, body.len);
    if (redact_json(copy, body.len, pointers, count, &hits, &err) == 0 && body.len > 0) {
        json_error_t error;
        json_t *root = json_loadb((const char *)copy, body.len, JSON_REJECT_DUPLICATES, &error);
        assert(root != NULL);
        assert(hits > 0 || memcmp(copy, body.data, body.len) == 0);
        for (size_t i = 0; i < count; i++) {
            assert_place(root, pointers[i]);
        }
        json_decref(root);
    }
    free(copy);
    return 0;
}
