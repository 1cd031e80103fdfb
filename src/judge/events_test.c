/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/events.h"

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
struct event {
    const char *id, *key, *object, *kind;
};

static struct message_fact text(const char *s)
{
    return s == NULL ? (struct message_fact){.kind = FACT_NULL}
                     : (struct message_fact){.kind = FACT_TEXT, .text = str_from(s)};
}

static struct events_found look(int more, const struct event *events, size_t count)
{
    struct message_fact facts[FACTS] = {{.kind = FACT_ABSENT}};
    struct message_facts page = {.state = FACTS_OK, .facts = facts, .fact_count = FACTS};
    struct events_found found;

    facts[0] = (struct message_fact){.kind = more < 0 ? FACT_ABSENT : FACT_BOOL, .number = more};
    for (size_t i = 0; i < count; i++) {
        struct message_fact *of = &facts[1 + i * PACK_EVENT_PARTS];
        of[PACK_EVENT_ID] = text(events[i].id);
        of[PACK_EVENT_KEY] = text(events[i].key);
        of[PACK_EVENT_OBJECT] = text(events[i].object);
        of[PACK_EVENT_KIND] = text(events[i].kind);
    }
    events_read(&list, &page, STR("kb.x.1"), STR("charge"), &found);
    return found;
}

static void test_found(void)
{
    static const struct {
        const char *what;
        struct event events[EVENTS];
        const char *object; /* NULL: not found */
    } cases[] = {
        {"ours", {{"evt_1", "kb.x.1", "ch_1", "charge"}}, "ch_1"},
        {"the last",
         {{"e", NULL, "ch_3", "charge"},
          {"f", "k", "ch_2", "charge"},
          {"g", "kb.x.1", "ch_1", "charge"}},
         "ch_1"},
        {"another's", {{"evt_1", "kb.x.2", "ch_1", "charge"}}, NULL},
        {"its beginning", {{"evt_1", "kb.x.", "ch_1", "charge"}}, NULL},
        {"of no key", {{"evt_1", NULL, "ch_1", "charge"}}, NULL},
        {"of another kind", {{"evt_1", "kb.x.1", "py_1", "payment_intent"}}, NULL},
        {"of another kind first",
         {{"e", "kb.x.1", "pi_1", "payment_intent"}, {"f", "kb.x.1", "ch_1", "charge"}},
         "ch_1"},
        {"a path for an id", {{"evt_1", "kb.x.1", "../balance", "charge"}}, NULL},
        {"no id", {{"evt_1", "kb.x.1", NULL, "charge"}}, NULL},
        {"an empty page", {{NULL, NULL, NULL, NULL}}, NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct events_found found = look(1, cases[i].events, EVENTS);
        CHECK_CASE(cases[i].object == NULL ? found.object.len == 0
                                           : str_equal(found.object, str_from(cases[i].object)),
                   cases[i].what);
    }
}

static void test_more(void)
{
    static const struct event two[] = {{"evt_1", "k", "ch_1", "charge"},
                                       {"evt_2", "k", "ch_2", "charge"}};
    static const struct event bad[] = {{"a&b=c", "k", "ch_1", "charge"}};

    struct events_found found = look(1, two, 2);
    CHECK(found.more && str_equal(found.last, STR("evt_2")) && found.object.len == 0);
    CHECK(!look(0, two, 2).more && !look(-1, two, 2).more);
    CHECK(!look(1, bad, 1).more); /* it could not stand in a query */
    CHECK(!look(1, NULL, 0).more);
}

static void test_no_key_finds_nothing(void)
{
    struct message_fact facts[FACTS] = {{.kind = FACT_ABSENT}};
    struct message_facts page = {.facts = facts, .fact_count = FACTS};
    struct events_found found;

    facts[1 + PACK_EVENT_KEY] = text("");
    facts[1 + PACK_EVENT_OBJECT] = text("ch_1");
    facts[1 + PACK_EVENT_KIND] = text("charge");
    events_read(&list, &page, STR_NONE, STR("charge"), &found);
    CHECK(found.object.len == 0);
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
    test_found();
    test_more();
    test_no_key_finds_nothing();
    test_query();
    return test_done();
}
