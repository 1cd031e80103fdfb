/* SPDX-License-Identifier: Apache-2.0 */
#include "reader/bodies.h"

#include "base/mem.h"
#include "base/test.h"

struct bench {
    struct bodies bodies;
    size_t total;
    struct arena *arena;
    struct body *body;
};

static void set_up(struct bench *bench)
{
    *bench = (struct bench){.arena = arena_new()};
    bodies_init(&bench->bodies, &bench->total);
}

static void tear_down(struct bench *bench)
{
    bodies_clear(&bench->bodies);
    CHECK(bench->total == 0 && bench->bodies.table.count == 0);
    arena_free(bench->arena);
}

static const char *begin(struct bench *bench, uint64_t request)
{
    struct message_body message = {.request = request, .generation = 3, .rule = 1};
    return bodies_begin(&bench->bodies, &message);
}

static const char *add(struct bench *bench, uint64_t request, struct str bytes)
{
    struct message_body_data message = {.request = request, .bytes = bytes};
    return bodies_add(&bench->bodies, &message);
}

static const char *end(struct bench *bench, uint64_t request, bool complete)
{
    struct message_body_end message = {.request = request, .complete = complete};
    return bodies_end(&bench->bodies, &message, &bench->body);
}

static struct message_facts facts_of(struct bench *bench, bool has_rule)
{
    static struct pack_selector selectors[] = {{SELECT_FORM, {"amount", 6}}};
    static const struct pack_read read = {
        .encoding = ENCODING_FORM, .selectors = selectors, .selector_count = 1};
    struct message_facts facts;

    body_facts(bench->body, has_rule ? &read : NULL, bench->arena, &facts);
    CHECK(facts.request == 7 && facts.generation == 3 && facts.rule == 1 && !facts.answer);
    return facts;
}

static bool digest_is(const struct message_facts *facts, struct str bytes)
{
    struct digest digest = digest_of(bytes);
    return digest_equal(&facts->digest, &digest) && facts->length == bytes.len;
}

static void test_pieces(void)
{
    struct bench bench;

    set_up(&bench);
    CHECK(begin(&bench, 7) == NULL && begin(&bench, 8) == NULL);
    CHECK(add(&bench, 7, STR("amo")) == NULL);
    CHECK(add(&bench, 8, STR("amount=9")) == NULL);
    CHECK(add(&bench, 7, STR("")) == NULL);
    CHECK(add(&bench, 7, STR("unt=50")) == NULL);
    CHECK(bench.total == 17);
    CHECK(end(&bench, 7, true) == NULL && bench.body != NULL);
    struct message_facts facts = facts_of(&bench, true);
    CHECK(facts.state == FACTS_OK && facts.fact_count == 1 && facts.facts[0].number == 50);
    CHECK(digest_is(&facts, STR("amount=50")));
    bodies_forget(&bench.bodies, bench.body);
    CHECK(bench.total == 8);
    tear_down(&bench);
}

static void test_not_read(void)
{
    static const struct {
        bool complete, has_rule;
        enum facts_state state;
    } cases[] = {
        {true, true, FACTS_OK},
        {true, false, FACTS_UNREADABLE},
        {false, true, FACTS_UNREADABLE},
        {false, false, FACTS_UNREADABLE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct bench bench;
        set_up(&bench);
        CHECK(begin(&bench, 7) == NULL && add(&bench, 7, STR("amount=50")) == NULL);
        CHECK(end(&bench, 7, cases[i].complete) == NULL);
        struct message_facts facts = facts_of(&bench, cases[i].has_rule);
        CHECK(facts.state == cases[i].state && digest_is(&facts, STR("amount=50")));
        CHECK((facts.state == FACTS_OK) == (facts.fact_count == 1));
        tear_down(&bench);
    }
}

static void test_wrong(void)
{
    struct bench bench;

    set_up(&bench);
    CHECK(add(&bench, 7, STR("x")) != NULL);
    CHECK(end(&bench, 7, true) != NULL);
    CHECK(begin(&bench, 7) == NULL);
    CHECK(begin(&bench, 7) != NULL);
    CHECK(end(&bench, 7, true) == NULL);
    CHECK(add(&bench, 7, STR("x")) != NULL);
    CHECK(end(&bench, 7, true) != NULL);
    CHECK(begin(&bench, 7) != NULL);
    bodies_forget(&bench.bodies, bench.body);
    CHECK(begin(&bench, 7) == NULL);
    tear_down(&bench);
}

static void test_too_large(void)
{
    static const struct {
        size_t length;
        enum facts_state state;
    } cases[] = {
        {LIMIT_JUDGED_BODY_BYTES, FACTS_AMBIGUOUS}, /* its bytes are no text; but it is read */
        {LIMIT_JUDGED_BODY_BYTES + 1, FACTS_TOO_LARGE},
        {3 * LIMIT_JUDGED_BODY_BYTES + 5, FACTS_TOO_LARGE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *bytes = mem_zeroed(cases[i].length);
        struct bench bench;
        set_up(&bench);
        CHECK(begin(&bench, 7) == NULL);
        for (size_t at = 0; at < cases[i].length; at += 100000) {
            struct str all = str_of(bytes, cases[i].length);
            CHECK(add(&bench, 7, str_slice(all, at, at + 100000)) == NULL);
        }
        CHECK(end(&bench, 7, true) == NULL);
        struct message_facts facts = facts_of(&bench, true);
        CHECK(facts.state == cases[i].state && digest_is(&facts, str_of(bytes, cases[i].length)));
        tear_down(&bench);
        free(bytes);
    }
}

/* All of them together have a bound too: what comes above it is digested only. */
static void test_bounds(void)
{
    static char megabyte[LIMIT_JUDGED_BODY_BYTES];
    struct bench bench;
    uint64_t most = BODIES_BYTES_MAX / sizeof(megabyte);

    set_up(&bench);
    for (uint64_t i = 100; i < 100 + most; i++) {
        CHECK(begin(&bench, i) == NULL &&
              add(&bench, i, str_of(megabyte, sizeof(megabyte))) == NULL);
    }
    CHECK(bench.total == BODIES_BYTES_MAX);
    CHECK(begin(&bench, 7) == NULL && add(&bench, 7, STR("amount=50")) == NULL);
    CHECK(bench.total == BODIES_BYTES_MAX && end(&bench, 7, true) == NULL);
    struct message_facts facts = facts_of(&bench, true);
    CHECK(facts.state == FACTS_TOO_LARGE && digest_is(&facts, STR("amount=50")));
    tear_down(&bench);

    set_up(&bench);
    for (uint64_t i = 0; i < BODIES_MAX; i++) {
        CHECK(begin(&bench, i) == NULL);
    }
    CHECK(begin(&bench, BODIES_MAX) != NULL);
    tear_down(&bench);
}

int main(void)
{
    test_pieces();
    test_not_read();
    test_wrong();
    test_too_large();
    test_bounds();
    return test_done();
}
