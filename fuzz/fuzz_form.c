/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Of a form that is read, servers of four habits find the same amount: those that take the first or
 * the last of equal keys, separate at ';' too, do not mind case, or drop brackets and indices.
 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "pack/facts.h"
#include "pack/form.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

struct habit {
    bool first, semicolon, any_case, no_brackets;
};

/* Percent-decoding as lenient servers do it: what is none stays as it is. */
static struct str decode(struct str raw, struct arena *arena)
{
    char *out = arena_zeroed(arena, raw.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int high = i + 2 < raw.len ? ascii_hex_value(raw.data[i + 1]) : -1;
        int low = i + 2 < raw.len ? ascii_hex_value(raw.data[i + 2]) : -1;
        if (raw.data[i] == '%' && high >= 0 && low >= 0) {
            out[len++] = (char)(high * 16 + low);
            i += 2;
        } else {
            out[len++] = raw.data[i] == '+' ? ' ' : raw.data[i];
        }
    }
    return (struct str){out, len};
}

static bool is_one_of(const char *set, char c)
{
    return c != '\0' && strchr(set, c) != NULL;
}

/* The first part of a name that has no other: [amount], amount], amount[], amount[0]. */
static struct str without_brackets(struct str name)
{
    bool index = false;
    size_t from = 0;

    while (from < name.len && is_one_of("[] ", name.data[from])) {
        from++;
    }
    size_t to = from;
    while (to < name.len && !is_one_of("[] ", name.data[to])) {
        to++;
    }
    for (size_t i = to; i < name.len; i++) {
        if (!is_one_of("[] ", name.data[i]) && !(index && ascii_is_digit(name.data[i]))) {
            return name;
        }
        index = name.data[i] == '[' || (index && ascii_is_digit(name.data[i]));
    }
    return str_slice(name, from, to);
}

static bool is_amount(struct str name, struct habit habit)
{
    if (habit.no_brackets) {
        name = without_brackets(name);
    }
    return habit.any_case ? str_equal_nocase(name, STR("amount")) : str_equal(name, STR("amount"));
}

static bool find(struct str body, struct habit habit, struct arena *arena, struct str *ret)
{
    bool found = false;

    while (body.len > 0) {
        size_t ampersand = str_index(body, '&', 0), semicolon = str_index(body, ';', 0);
        size_t end = habit.semicolon && semicolon < ampersand ? semicolon : ampersand;
        struct str value = str_slice(body, 0, end);
        body = str_slice(body, end + 1, body.len);
        struct str name = decode(str_take_until(&value, '='), arena);
        if (is_amount(name, habit) && !(habit.first && found)) {
            *ret = decode(value, arena);
            found = true;
        }
    }
    return found;
}

static void check_habit(struct str body, const struct message_fact *fact, struct habit habit,
                        struct arena *arena)
{
    struct str value = STR_NONE;
    bool found = find(body, habit, arena, &value);

    must(found == (fact->kind != FACT_ABSENT));
    must(!found || str_equal(value, fact->text));
}

static void check_facts(struct str body, struct arena *arena)
{
    static const struct habit habits[] = {{false, false, false, false}, {true, false, false, false},
                                          {false, true, false, false},  {false, false, true, false},
                                          {false, false, false, true},  {true, true, true, true}};
    struct pack_selector selectors[] = {{SELECT_FORM, STR("amount")},
                                        {SELECT_COUNT, STR("to")},
                                        {SELECT_SEGMENTS, STR("Body")},
                                        {SELECT_FORM, STR("a[b]")}};
    struct str once[] = {STR("currency")};
    struct pack_read read = {.encoding = ENCODING_FORM,
                             .selectors = selectors,
                             .selector_count = 4,
                             .once = once,
                             .once_count = 1,
                             .refuse_card_data = true};
    struct message_facts facts = {.request = 0};

    facts_read(&read, body, arena, &facts);
    if (facts.state != FACTS_OK) {
        must(facts.fact_count == 0 && facts.problem.len > 0);
        return;
    }
    for (size_t i = 0; i < sizeof(habits) / sizeof(habits[0]); i++) {
        check_habit(body, &facts.facts[0], habits[i], arena);
    }
    must(facts.facts[0].kind == FACT_ABSENT ||
         facts_query_touches(&read, body, arena, &(struct str){NULL, 0}));
}

static void check_pairs(struct str body, struct arena *arena)
{
    struct form_scan scan;
    struct form_pair pair;
    size_t pairs = 0;

    form_begin(&scan, body, arena);
    while (form_next(&scan, &pair)) {
        must(++pairs <= FORM_PAIRS_MAX);
        struct str fold = form_fold(pair.name, arena);
        must(str_equal(fold, pair.fold));
        must(pair.name.len + pair.value.len <= body.len);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena *arena = arena_new();
    struct str body = str_of(data, size), value;
    bool twice;

    check_pairs(body, arena);
    check_facts(body, arena);
    (void)facts_query_value(body, STR("destination"), arena, &value, &twice);
    arena_free(arena);
    return 0;
}
