/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/names.h"

#include <stdbool.h>
#include <string.h>

#include "base/test.h"

enum { HEAD = 12 };

struct question {
    unsigned char bytes[600];
    size_t len;
};

static struct question ask(const char *name, unsigned type)
{
    struct question q = {.bytes = {0x12, 0x34, 0x01, 0, 0, 1}, .len = HEAD};

    while (*name != '\0') {
        size_t label = strcspn(name, ".");
        q.bytes[q.len++] = (unsigned char)label;
        memcpy(q.bytes + q.len, name, label);
        q.len += label;
        name += label + (name[label] == '.' ? 1 : 0);
    }
    q.bytes[q.len++] = 0;
    q.bytes[q.len++] = (unsigned char)(type >> 8);
    q.bytes[q.len++] = (unsigned char)type;
    q.bytes[q.len++] = 0;
    q.bytes[q.len++] = 1;
    return q;
}

static unsigned code_of(const unsigned char *answer)
{
    return answer[3] & 15u;
}

static uint32_t address_of(const char *name)
{
    struct question q = ask(name, 1);
    unsigned char answer[NAMES_ANSWER_MAX];
    size_t len = names_answer(q.bytes, q.len, answer);

    CHECK_CASE(len == q.len + 16 && answer[7] == 1 && code_of(answer) == 0, name);
    const unsigned char *at = answer + len - 4;
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void test_addresses(void)
{
    uint32_t stripe = address_of("api.stripe.com");

    CHECK(stripe >> 17 == 0xc6120000 >> 17);
    CHECK(address_of("API.Stripe.COM") == stripe); /* 0x20 mixing is answered as asked */
    CHECK(address_of("api.openai.com") != stripe);
    CHECK(address_of("localhost") == 0x7f000001);
    CHECK(address_of("a.localhost") == 0x7f000001);
    CHECK(address_of(NAMES_DOOR) == 0xc6120001);
    CHECK(address_of("a") >> 17 == 0xc6120000 >> 17);
    CHECK(address_of("metadata.google.internal") != 0xc6120001);
}

static void test_the_question_comes_back(void)
{
    struct question q = ask("aPi.StRiPe.com", 1);
    unsigned char answer[NAMES_ANSWER_MAX];

    CHECK(names_answer(q.bytes, q.len, answer) > q.len);
    CHECK(memcmp(answer + HEAD, q.bytes + HEAD, q.len - HEAD) == 0);
    CHECK(answer[0] == 0x12 && answer[1] == 0x34 && answer[2] == 0x81 && answer[3] == 0x80);
}

static void test_other_types(void)
{
    static const unsigned types[] = {28, 5, 6, 12, 15, 16, 33, 65, 255, 0, 65535};

    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct question q = ask("api.stripe.com", types[i]);
        unsigned char answer[NAMES_ANSWER_MAX];
        /* The name exists, and has nothing of that type. */
        CHECK(names_answer(q.bytes, q.len, answer) == q.len);
        CHECK(code_of(answer) == 0 && answer[7] == 0);
    }
}

static void test_an_edns_record_is_passed_over(void)
{
    struct question q = ask("api.stripe.com", 1);
    unsigned char answer[NAMES_ANSWER_MAX];
    static const unsigned char opt[11] = {0, 0, 41, 4, 0xd0};
    size_t plain = q.len;

    memcpy(q.bytes + q.len, opt, sizeof(opt));
    q.len += sizeof(opt);
    q.bytes[11] = 1;
    CHECK(names_answer(q.bytes, q.len, answer) == plain + 16 && answer[11] == 0);
}

static void test_the_longest_name(void)
{
    char name[256];
    struct question q;
    unsigned char answer[NAMES_ANSWER_MAX];

    memset(name, 'a', sizeof(name));
    name[63] = name[127] = name[191] = '.';
    name[253] = '\0'; /* 61 in the last: 255 on the wire */
    q = ask(name, 1);
    CHECK(names_answer(q.bytes, q.len, answer) == q.len + 16);
    name[253] = 'a';
    name[254] = '\0';
    q = ask(name, 1);
    CHECK(names_answer(q.bytes, q.len, answer) == HEAD && code_of(answer) == 1);
}

static void test_refused(void)
{
    static const struct {
        const char *name;
        size_t at;
        unsigned char value;
        unsigned code; /* 16: no answer at all */
    } cases[] = {
        {"an answer is no question", 2, 0x81, 16},
        {"another opcode", 2, 0x29, 4},
        {"no question", 5, 0, 1},
        {"two questions", 5, 2, 1},
        {"with an answer", 7, 1, 1},
        {"with an authority", 9, 1, 1},
        {"two others", 11, 2, 1},
        {"a pointer", HEAD, 0xc0, 1},
        {"a label too long", HEAD, 64, 1},
        {"a label beyond the end", HEAD + 4, 60, 1},
        {"chaos class", HEAD + 16 + 3, 3, 5},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct question q = ask("api.stripe.com", 1);
        unsigned char answer[NAMES_ANSWER_MAX];
        q.bytes[cases[i].at] = cases[i].value;
        size_t len = names_answer(q.bytes, q.len, answer);
        CHECK_CASE(cases[i].code == 16 ? len == 0 : len >= HEAD && code_of(answer) == cases[i].code,
                   cases[i].name);
    }
}

static void test_every_beginning(void)
{
    struct question q = ask("api.stripe.com", 1);
    unsigned char answer[NAMES_ANSWER_MAX];

    for (size_t len = 0; len < q.len; len++) {
        size_t got = names_answer(q.bytes, len, answer);
        CHECK(len < HEAD ? got == 0 : got == HEAD && code_of(answer) == 1);
    }
    q.len++; /* something behind the question that nothing announced */
    CHECK(names_answer(q.bytes, q.len, answer) == HEAD && code_of(answer) == 1);
}

int main(void)
{
    test_addresses();
    test_the_question_comes_back();
    test_other_types();
    test_an_edns_record_is_passed_over();
    test_the_longest_name();
    test_refused();
    test_every_beginning();
    return test_done();
}
