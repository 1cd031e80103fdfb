/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/buf.h"
#include "pack/facts_read.h"
#include "pack/form.h"
#include "pack/utf8.h"

/* A key that matters. */
struct wanted {
    struct str name, fold;
    const struct pack_selector *selector; /* NULL: it only has to stand once */
    struct message_fact *fact;
    bool seen;
    bool related; /* a key above or below it was seen: amount[x] beside amount */
};

struct form_reader {
    struct facts_reading *reading;
    struct wanted *wanted;
    size_t count;
};

static void want(struct form_reader *reader, struct str name)
{
    reader->wanted[reader->count++] =
        (struct wanted){.name = name, .fold = form_fold(name, reader->reading->arena)};
}

static void want_all(struct form_reader *reader)
{
    const struct pack_read *read = reader->reading->read;

    reader->wanted = arena_zeroed(reader->reading->arena, read->selector_count + read->once_count,
                                  sizeof(*reader->wanted));
    for (size_t i = 0; i < read->selector_count; i++) {
        if (!facts_is_pointer(&read->selectors[i])) {
            want(reader, read->selectors[i].name);
            struct wanted *wanted = &reader->wanted[reader->count - 1];
            wanted->selector = &read->selectors[i];
            wanted->fact = &reader->reading->ret->facts[i];
        }
    }
    for (size_t i = 0; i < read->once_count; i++) {
        want(reader, read->once[i]);
    }
}

/* ---- one pair ---- */

static void read_value(struct message_fact *fact, struct str value)
{
    uint64_t number;
    bool integer = str_to_u64(value, &number) && number <= INT64_MAX;

    fact->kind = integer ? FACT_INTEGER : FACT_TEXT;
    fact->number = integer ? (int64_t)number : 0;
}

static bool take_wanted(struct form_reader *reader, struct wanted *wanted,
                        const struct form_pair *pair)
{
    struct facts_reading *reading = reader->reading;

    if (wanted->selector != NULL && facts_is_counter(wanted->selector)) {
        return !utf8_is_valid(pair->value)
                   ? facts_fail(reading, FACTS_AMBIGUOUS, wanted->name, "not UTF-8")
                   : facts_count_text(wanted->selector, wanted->fact, pair->value);
    }
    if (!pair->plain || !str_equal(pair->name, wanted->name)) {
        return facts_fail(reading, FACTS_AMBIGUOUS, wanted->name,
                          "stands there in another spelling");
    }
    if (wanted->seen) {
        return facts_fail(reading, FACTS_AMBIGUOUS, wanted->name, "stands there twice");
    }
    wanted->seen = true;
    if (!pair->has_value || str_index(pair->value, '\0', 0) < pair->value.len ||
        !utf8_is_valid(pair->value)) {
        return facts_fail(reading, FACTS_AMBIGUOUS, wanted->name, "has no plain value");
    }
    if (wanted->selector == NULL) {
        return true;
    }
    read_value(wanted->fact, pair->value);
    return facts_set_text(reading, wanted->fact, pair->value) ||
           facts_fail(reading, FACTS_TOO_LARGE, wanted->name, "too long");
}

/* card[number], payment_method_data[card][number], source[cvc]; not metadata[number], nor the
 * number of an invoice. */
static bool is_card_data(const struct form_pair *pair)
{
    struct str rest = str_slice(pair->fold, 1, pair->fold.len);
    size_t parts = 0;
    struct str last = STR_NONE;

    while (rest.len > 0) {
        last = str_take_until(&rest, '/');
        if (str_equal(last, STR("metadata"))) {
            return false;
        }
        parts++;
    }
    return parts > 1 && facts_is_card_field(last);
}

static bool is_in_metadata(struct str fold)
{
    struct str rest = str_slice(fold, 1, fold.len);

    while (rest.len > 0) {
        if (str_equal(str_take_until(&rest, '/'), STR("metadata"))) {
            return true;
        }
    }
    return false;
}

/* payment_intent_data[on_behalf_of]=acct_1, phases[3][transfer_data][destination]=...: an account
 * where nobody compares it with those that the key may act for. */
static bool hides_account(const struct form_reader *reader, const struct form_pair *pair)
{
    const struct pack_read *read = reader->reading->read;
    struct str value = str_trim(pair->value);
    struct str start = str_slice(value, 0, read->account_prefix.len);

    if (read->account_prefix.len == 0 || !str_equal_nocase(start, read->account_prefix) ||
        is_in_metadata(pair->fold)) {
        return false;
    }
    for (size_t i = read->selector_count - read->account_count; i < read->selector_count; i++) {
        if (str_equal(form_fold(read->selectors[i].name, reader->reading->arena), pair->fold)) {
            return false;
        }
    }
    return true;
}

static bool take_pair(struct form_reader *reader, const struct form_pair *pair)
{
    if (hides_account(reader, pair)) {
        return facts_fail(reader->reading, FACTS_AMBIGUOUS, str_slice(pair->name, 0, 100),
                          "names an account in a place that is not checked");
    }
    if (reader->reading->read->refuse_card_data && is_card_data(pair)) {
        return facts_fail(reader->reading, FACTS_CARD_DATA, STR_NONE, "card data");
    }
    if (str_equal_nocase(pair->name, STR("_method"))) {
        return facts_fail(reader->reading, FACTS_AMBIGUOUS, STR("_method"), "another method");
    }
    for (size_t i = 0; i < reader->count; i++) {
        struct wanted *wanted = &reader->wanted[i];
        if (str_equal(wanted->fold, pair->fold)) {
            if (!take_wanted(reader, wanted, pair)) {
                return false;
            }
        } else if (form_fold_within(wanted->fold, pair->fold)) {
            wanted->related = true;
        }
    }
    return true;
}

/* ---- all of them ---- */

static bool take_pairs(struct form_reader *reader, struct str text)
{
    struct form_scan scan;
    struct form_pair pair;

    form_begin(&scan, text, reader->reading->arena);
    while (form_next(&scan, &pair)) {
        if (!take_pair(reader, &pair)) {
            return false;
        }
    }
    if (scan.problem != NULL) {
        return facts_fail(reader->reading, scan.too_many ? FACTS_TOO_LARGE : FACTS_AMBIGUOUS,
                          STR_NONE, scan.problem);
    }
    for (size_t i = 0; i < reader->count; i++) {
        if (reader->wanted[i].seen && reader->wanted[i].related) {
            return facts_fail(reader->reading, FACTS_AMBIGUOUS, reader->wanted[i].name,
                              "stands there as a value and as a group");
        }
    }
    return true;
}

void facts_read_form(struct facts_reading *reading, struct str body)
{
    struct form_reader reader = {.reading = reading};

    if (str_starts(body, STR("{"))) {
        (void)facts_fail(reading, FACTS_UNREADABLE, STR_NONE, "JSON where a form is expected");
        return;
    }
    want_all(&reader);
    (void)take_pairs(&reader, body);
}

/* ---- queries ---- */

bool facts_query_value(struct str query, struct str name, struct arena *arena,
                       struct str *ret_value, bool *ret_twice)
{
    struct pack_selector selector = {.kind = SELECT_FORM, .name = name};
    struct pack_read read = {
        .encoding = ENCODING_FORM, .selectors = &selector, .selector_count = 1};
    struct message_fact fact = {.kind = FACT_ABSENT};
    struct message_facts facts = {.state = FACTS_OK, .facts = &fact, .fact_count = 1};
    struct facts_reading reading = {.read = &read, .arena = arena, .ret = &facts};
    struct form_reader reader = {.reading = &reading};

    want_all(&reader);
    *ret_twice = !take_pairs(&reader, query);
    if (fact.kind == FACT_ABSENT) {
        return false;
    }
    *ret_value = fact.text;
    return true;
}

/* "/amount/value" as it would stand in a query: amount[value]. */
static struct str pointer_as_key(struct str pointer, struct arena *arena)
{
    struct str rest = str_slice(pointer, 1, pointer.len);
    struct buf text;

    buf_init(&text, 2 * pointer.len + 2);
    (void)buf_add_str(&text, str_take_until(&rest, '/'));
    while (rest.len > 0) {
        (void)buf_add_char(&text, '[');
        (void)buf_add_str(&text, str_take_until(&rest, '/'));
        (void)buf_add_char(&text, ']');
    }
    struct str key = arena_copy(arena, buf_str(&text));
    buf_clear(&text);
    return key;
}

static void want_pointers(struct form_reader *reader)
{
    const struct pack_read *read = reader->reading->read;
    struct wanted *all =
        arena_zeroed(reader->reading->arena, reader->count + read->selector_count, sizeof(*all));

    memcpy(all, reader->wanted, reader->count * sizeof(*all));
    reader->wanted = all;
    for (size_t i = 0; i < read->selector_count; i++) {
        struct str name = read->selectors[i].name;
        if (facts_is_pointer(&read->selectors[i]) && name.len > 1) {
            want(reader, pointer_as_key(name, reader->reading->arena));
        }
    }
}

bool facts_query_touches(const struct pack_read *read, struct str query, struct arena *arena,
                         struct str *ret_name)
{
    struct message_facts facts = {.state = FACTS_OK};
    struct facts_reading reading = {.read = read, .arena = arena, .ret = &facts};
    struct form_reader reader = {.reading = &reading};

    facts.facts = arena_zeroed(arena, read->selector_count, sizeof(*facts.facts));
    want_all(&reader);
    want_pointers(&reader);
    if (!take_pairs(&reader, query)) {
        *ret_name = facts.problem;
        return true;
    }
    for (size_t i = 0; i < reader.count; i++) {
        const struct wanted *wanted = &reader.wanted[i];
        bool counted = wanted->fact != NULL && wanted->fact->number > 0;
        if (wanted->seen || wanted->related || counted) {
            *ret_name = wanted->name;
            return true;
        }
    }
    return false;
}

bool facts_query_hides_account(const struct pack *pack, struct str query, struct arena *arena)
{
    struct pack_read read = {.encoding = ENCODING_FORM,
                             .account_prefix = pack->account_prefix,
                             .account_count = (uint32_t)pack->account_param_count,
                             .selector_count = pack->account_param_count};
    struct message_facts facts = {.state = FACTS_OK};
    struct facts_reading reading = {.read = &read, .arena = arena, .ret = &facts};
    struct form_reader reader = {.reading = &reading};

    read.selectors = arena_zeroed(arena, read.selector_count, sizeof(*read.selectors));
    facts.facts = arena_zeroed(arena, read.selector_count, sizeof(*facts.facts));
    for (size_t i = 0; i < read.selector_count; i++) {
        read.selectors[i] = (struct pack_selector){SELECT_FORM, pack->account_params[i]};
    }
    want_all(&reader);
    return !take_pairs(&reader, query);
}
