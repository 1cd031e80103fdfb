/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value that is put into a body is there afterwards, and nothing else has changed.  First byte:
 * 0 a form, else JSON.
 */
#include <stdint.h>
#include <stdlib.h>

#include "pack/facts.h"
#include "pack/splice.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { VALUE = 4711, SELECTORS = 3 };

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static bool same(const struct message_fact *a, const struct message_fact *b)
{
    return a->kind == b->kind && a->number == b->number && str_equal(a->text, b->text);
}

static void check(const struct pack_read *read, struct str body, struct arena *arena)
{
    struct message_facts before = {.length = body.len}, after = {0};
    struct splices splices = {.count = 0};
    struct err err;
    struct buf out;
    bool put[SELECTORS] = {false};

    facts_read(read, body, arena, &before);
    if (before.state != FACTS_OK) {
        return;
    }
    for (uint32_t i = 0; i < SELECTORS - 1; i++) {
        put[i] = splice_put(&splices, read, &before, i, VALUE, arena, &err) == 0;
    }
    must(splices_are_valid(splices.list, splices.count, body.len));
    buf_init(&out, body.len + LIMIT_SPLICED_BYTES);
    must(splices_apply(splices.list, splices.count, body, &out));
    must(buf_len(&out) == splices_length(splices.list, splices.count, body.len));
    facts_read(read, buf_str(&out), arena, &after);
    must(after.state == FACTS_OK);
    for (size_t i = 0; i < SELECTORS; i++) {
        bool is_value = after.facts[i].kind == FACT_INTEGER && after.facts[i].number == VALUE;
        must(put[i] ? is_value : same(&before.facts[i], &after.facts[i]));
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct pack_selector keys[SELECTORS] = {
        {SELECT_FORM, {"amount", 6}}, {SELECT_FORM, {"a[b]", 4}}, {SELECT_FORM, {"other", 5}}};
    static struct pack_selector pointers[SELECTORS] = {{SELECT_POINTER, {"/amount", 7}},
                                                       {SELECT_POINTER, {"/a/b/c", 6}},
                                                       {SELECT_POINTER, {"/other", 6}}};
    static uint64_t places[] = {0, 1};
    struct pack_read read = {.encoding = ENCODING_FORM,
                             .selectors = keys,
                             .selector_count = SELECTORS,
                             .places = places,
                             .place_count = 2};
    struct arena *arena;

    if (size == 0) {
        return 0;
    }
    if (data[0] != 0) {
        read.encoding = ENCODING_JSON;
        read.selectors = pointers;
    }
    arena = arena_new();
    check(&read, str_of(data + 1, size - 1), arena);
    arena_free(arena);
    return 0;
}
