/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/events.h"

#include <stdio.h>
#include <string.h>

#include "base/test.h"

enum { EVENTS = 3, FACTS = 1 + EVENTS * PACK_EVENT_PARTS };

static const struct pack_events list = {
    .path = {"/v1/events", 10},
    .query = {"limit=3&created[gte]={since}&created[lte]={until}", 49},
    .after = {"starting_after", 14},
    .count = EVENTS,
};

/* One event: id, idempotency key, object, kind; NULL is a value that is not there. */
struct row {
    const char *id, *key, *object, *kind;
};

static struct message_fact text(const char *s)
{
    struct message_fact fact = {.kind = FACT_NULL};

    if (s != NULL) {
        fact.kind = FACT_TEXT;
        fact.text = str_from(s);
    }
    return fact;
}

struct page {
    char seen[200]; /* "key=object/kind " of each that was visited */
    struct str last;
    bool more;
};

static void note(void *ctx, const struct event *event)
{
    struct page *page = ctx;
    size_t at = strlen(page->seen);

    (void)snprintf(page->seen + at, sizeof(page->seen) - at, "%.*s=%.*s/%.*s ", STR_FMT(event->key),
                   STR_FMT(event->object), STR_FMT(event->kind));
}

static struct page look(int more, const struct row *rows, size_t count)
{
    struct message_fact facts[FACTS] = {{.kind = FACT_ABSENT}};
    struct message_facts answer = {.state = FACTS_OK, .facts = facts, .fact_count = FACTS};
    struct page page = {.more = false};

    facts[0] = (struct message_fact){.kind = more < 0 ? FACT_ABSENT : FACT_BOOL, .number = more};
    for (size_t i = 0; i < count; i++) {
        struct message_fact *of = &facts[1 + i * PACK_EVENT_PARTS];
        of[PACK_EVENT_ID] = text(rows[i].id);
        of[PACK_EVENT_KEY] = text(rows[i].key);
        of[PACK_EVENT_OBJECT] = text(rows[i].object);
        of[PACK_EVENT_KIND] = text(rows[i].kind);
    }
    page.more = events_read(&list, &answer, note, &page, &page.last);
    return page;
}

static void test_visited(void)
{
    static const struct {
        const char *what;
        struct row rows[EVENTS];
        const char *seen;
    } cases[] = {
        {"one", {{"evt_1", "kb.x.1", "ch_1", "charge"}}, "kb.x.1=ch_1/charge "},
        {"all",
         {{"e", "a", "ch_3", "charge"}, {"f", "b", "ch_2", "refund"}, {"g", "c", "ch_1", "charge"}},
         "a=ch_3/charge b=ch_2/refund c=ch_1/charge "},
        {"one key, two objects",
         {{"e", "a", "pi_1", "payment_intent"}, {"f", "a", "ch_1", "charge"}},
         "a=pi_1/payment_intent a=ch_1/charge "},
        {"of no key", {{"evt_1", NULL, "ch_1", "charge"}, {"f", "", "ch_2", "charge"}}, ""},
        {"a path for an id", {{"evt_1", "a", "../balance", "charge"}}, ""},
        {"no id", {{"evt_1", "a", NULL, "charge"}}, ""},
        {"no kind", {{"evt_1", "a", "ch_1", NULL}}, "a=ch_1/ "},
        {"an empty page", {{NULL, NULL, NULL, NULL}}, ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct page page = look(1, cases[i].rows, EVENTS);
        CHECK_CASE(strcmp(page.seen, cases[i].seen) == 0, cases[i].what);
    }
}

static void test_more(void)
{
    static const struct row two[] = {{"evt_1", "k", "ch_1", "charge"},
                                     {"evt_2", "k", "ch_2", "charge"}};
    static const struct row bad[] = {{"a&b=c", "k", "ch_1", "charge"}};

    struct page page = look(1, two, 2);
    CHECK(page.more && str_equal(page.last, STR("evt_2")));
    CHECK(!look(0, two, 2).more && !look(-1, two, 2).more);
    CHECK(!look(1, bad, 1).more); /* it could not stand in a query */
    CHECK(!look(1, NULL, 0).more);
}

static void test_query(void)
{
    struct arena *arena = arena_new();

    CHECK(str_equal(events_query(arena, &list, 1000000, 0, STR_NONE),
                    STR("limit=3&created[gte]=999&created[lte]=1002")));
    CHECK(str_equal(events_query(arena, &list, 1000000, 5, STR("evt_2")),
                    STR("limit=3&created[gte]=940&created[lte]=1600&starting_after=evt_2")));
    arena_free(arena);
}

int main(void)
{
    test_visited();
    test_more();
    test_query();
    return test_done();
}
