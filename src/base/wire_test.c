/* SPDX-License-Identifier: Apache-2.0 */
#include "base/wire.h"

#include <stdlib.h>
#include <string.h>

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

enum colour { RED, GREEN, BLUE, COLOUR_COUNT };

struct part {
    struct str name;
    uint64_t weight;
};

struct thing {
    bool flag;
    enum colour colour;
    uint32_t small;
    uint64_t large;
    int64_t negative;
    struct str text;
    struct digest digest;
    struct part inner;
    struct part *parts;
    size_t part_count;
    uint64_t *numbers;
    size_t number_count;
    struct str *words;
    size_t word_count;
};

static const struct wire_field part_fields[] = {WIRE_STR(struct part, name, 8),
                                                WIRE_U64(struct part, weight)};
static const struct wire_schema part_schema = WIRE_SCHEMA(struct part, part_fields);
static const struct wire_field thing_fields[] = {
    WIRE_BOOL(struct thing, flag),
    WIRE_ENUM(struct thing, colour, COLOUR_COUNT),
    WIRE_U32(struct thing, small),
    WIRE_U64(struct thing, large),
    WIRE_I64(struct thing, negative),
    WIRE_STR(struct thing, text, 16),
    WIRE_DIGEST(struct thing, digest),
    WIRE_STRUCT(struct thing, inner, &part_schema),
    WIRE_ARRAY(struct thing, parts, part_count, 3, &part_schema),
    WIRE_ARRAY(struct thing, numbers, number_count, 4, &wire_u64_schema),
    WIRE_ARRAY(struct thing, words, word_count, 4, &wire_str_schema)};
static const struct wire_schema thing_schema = WIRE_SCHEMA(struct thing, thing_fields);

static struct part parts[] = {{{NULL, 0}, 1}, {{"two", 3}, 2}, {{"eight888", 8}, 3}};
static uint64_t numbers[] = {1, UINT64_MAX};
static struct str words[] = {{"a", 1}, {NULL, 0}, {"bcd", 3}};

static struct thing sample(void)
{
    struct thing thing = {.flag = true,
                          .colour = BLUE,
                          .small = UINT32_MAX,
                          .large = UINT64_MAX - 1,
                          .negative = INT64_MIN,
                          .text = STR("0123456789abcdef"),
                          .inner = {STR("x"), 9},
                          .parts = parts,
                          .part_count = COUNT(parts),
                          .numbers = numbers,
                          .number_count = COUNT(numbers),
                          .words = words,
                          .word_count = COUNT(words)};
    memset(thing.digest.bytes, 0xd1, DIGEST_SIZE);
    return thing;
}

static struct buf encoded(const struct thing *thing)
{
    struct buf bytes;

    buf_init(&bytes, 4096);
    CHECK(wire_encode(&thing_schema, thing, &bytes));
    return bytes;
}

static bool decodes(struct str bytes)
{
    struct arena *arena = arena_new();
    struct thing thing;
    /* A copy of just the size, so that a sanitizer sees every byte read beyond it. */
    char *exact = malloc(bytes.len == 0 ? 1 : bytes.len);

    if (bytes.len > 0) {
        memcpy(exact, bytes.data, bytes.len);
    }
    bool right = wire_decode(&thing_schema, str_of(exact, bytes.len), arena, &thing);
    if (right) {
        struct buf again;
        buf_init(&again, 4096);
        CHECK(wire_encode(&thing_schema, &thing, &again));
        CHECK(str_equal(buf_str(&again), bytes)); /* one way to write a thing, no other */
        buf_clear(&again);
    }
    free(exact);
    arena_free(arena);
    return right;
}

static void test_round_trip(void)
{
    struct thing thing = sample();
    struct buf bytes = encoded(&thing);
    struct arena *arena = arena_new();
    struct thing back;

    CHECK(wire_decode(&thing_schema, buf_str(&bytes), arena, &back));
    CHECK(back.flag && back.colour == BLUE && back.small == UINT32_MAX);
    CHECK(back.large == UINT64_MAX - 1 && back.negative == INT64_MIN);
    CHECK(str_equal(back.text, thing.text) && digest_equal(&back.digest, &thing.digest));
    CHECK(str_equal(back.inner.name, STR("x")) && back.inner.weight == 9);
    CHECK(back.part_count == 3 && str_equal(back.parts[2].name, STR("eight888")));
    CHECK(back.number_count == 2 && back.numbers[1] == UINT64_MAX);
    CHECK(back.word_count == 3 && back.words[1].len == 0 && str_equal(back.words[2], STR("bcd")));
    arena_free(arena);
    buf_clear(&bytes);
    struct thing zero = {.colour = RED};
    bytes = encoded(&zero);
    CHECK(decodes(buf_str(&bytes)));
    buf_clear(&bytes);
}

/* The bytes themselves are a contract: stored rows and hashes are made of them. */
static void test_format(void)
{
    struct part part = {STR("ab"), 0x0102};
    struct buf bytes;

    buf_init(&bytes, 100);
    CHECK(wire_encode(&part_schema, &part, &bytes));
    CHECK(str_equal(buf_str(&bytes), STR("\2\0\0\0ab\2\1\0\0\0\0\0\0")));
    buf_clear(&bytes);
}

/* Every cut, every byte changed to every value that could matter, and something left over. */
static void test_hostile(void)
{
    static const unsigned char values[] = {0, 1, 2, 3, 4, 16, 17, 127, 128, 255};
    struct thing thing = sample();
    struct buf bytes = encoded(&thing);
    struct str whole = buf_str(&bytes);

    CHECK(decodes(whole));
    for (size_t len = 0; len < whole.len; len++) {
        CHECK(!decodes(str_slice(whole, 0, len)));
    }
    for (size_t at = 0; at < whole.len; at++) {
        unsigned char before = bytes.data[at];
        for (size_t i = 0; i < COUNT(values); i++) {
            bytes.data[at] = values[i];
            (void)decodes(buf_str(&bytes));
        }
        bytes.data[at] = before;
    }
    CHECK(buf_add_char(&bytes, '\0') && !decodes(buf_str(&bytes)));
    buf_clear(&bytes);
}

static void test_refusals(void)
{
    static const struct {
        const char *name;
        size_t offset;
        const char *bytes;
        size_t len;
    } cases[] = {
        {"a bool of 2", 0, "\2", 1},
        {"an enum too high", 1, "\3", 1},
        {"a text above its maximum", 22, "\21", 1},
        {"a text of 4 GiB", 22, "\377\377\377\377", 4},
    };
    struct thing thing = sample();

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = encoded(&thing);
        memcpy(bytes.data + cases[i].offset, cases[i].bytes, cases[i].len);
        CHECK_CASE(!decodes(buf_str(&bytes)), cases[i].name);
        buf_clear(&bytes);
    }
}

/* A peer whose tables allow more than ours. */
static void test_maxima(void)
{
    struct wire_field loose_fields[COUNT(thing_fields)];
    struct wire_schema loose = thing_schema;
    struct part many[] = {{{NULL, 0}, 1}, {{NULL, 0}, 2}, {{NULL, 0}, 3}, {{NULL, 0}, 4}};
    struct str long_text = STR("0123456789abcdefX");

    memcpy(loose_fields, thing_fields, sizeof(loose_fields));
    for (size_t i = 0; i < COUNT(loose_fields); i++) {
        loose_fields[i].max = 100;
    }
    loose.fields = loose_fields;
    for (int what = 0; what < 4; what++) {
        struct thing thing = sample();
        struct buf bytes;
        thing.parts = what == 1 ? many : thing.parts;
        thing.part_count = what == 1 ? COUNT(many) : thing.part_count;
        thing.text = what == 2 ? long_text : thing.text;
        thing.colour = what == 3 ? COLOUR_COUNT : thing.colour;
        buf_init(&bytes, 4096);
        CHECK(wire_encode(&loose, &thing, &bytes));
        CHECK(decodes(buf_str(&bytes)) == (what == 0));
        buf_clear(&bytes);
    }
}

/* What a sender may not say either. */
static void test_encode_refusals(void)
{
    struct buf bytes;
    struct thing thing;

    buf_init(&bytes, 4096);
    thing = sample();
    thing.text = STR("0123456789abcdefX");
    CHECK(!wire_encode(&thing_schema, &thing, &bytes));
    thing = sample();
    thing.part_count = 4;
    CHECK(!wire_encode(&thing_schema, &thing, &bytes));
    thing = sample();
    thing.colour = COLOUR_COUNT;
    CHECK(!wire_encode(&thing_schema, &thing, &bytes));
    buf_clear(&bytes);
    buf_init(&bytes, 50);
    thing = sample();
    CHECK(!wire_encode(&thing_schema, &thing, &bytes) && bytes.overflow);
    buf_clear(&bytes);
}

int main(void)
{
    test_round_trip();
    test_format();
    test_hostile();
    test_refusals();
    test_maxima();
    test_encode_refusals();
    return test_done();
}
