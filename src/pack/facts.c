/* SPDX-License-Identifier: Apache-2.0 */
#include "pack/facts.h"

#include "pack/count.h"
#include "pack/facts_read.h"

_Static_assert(FACTS_SELECTORS_MAX <= 64, "the JSON reader has a bit a selector");

bool facts_fail(struct facts_reading *reading, enum facts_state state, struct str name,
                const char *why)
{
    struct str reason = str_from(why);
    struct buf text;

    reading->ret->state = state;
    if (name.len == 0) {
        reading->ret->problem = reason;
        return false;
    }
    buf_init(&text, name.len + 2 + reason.len);
    (void)buf_add_str(&text, name);
    (void)buf_add_str(&text, STR(": "));
    (void)buf_add_str(&text, reason);
    reading->ret->problem = arena_copy(reading->arena, buf_str(&text));
    buf_clear(&text);
    return false;
}

bool facts_set_text(struct facts_reading *reading, struct message_fact *fact, struct str text)
{
    reading->text_bytes += text.len;
    fact->text = text;
    return text.len <= FACTS_TEXT_MAX && reading->text_bytes <= FACTS_TEXTS_MAX;
}

bool facts_is_counter(const struct pack_selector *selector)
{
    return selector->kind == SELECT_COUNT || selector->kind == SELECT_SEGMENTS;
}

bool facts_is_pointer(const struct pack_selector *selector)
{
    if (facts_is_counter(selector)) {
        return selector->name.len == 0 || selector->name.data[0] == '/';
    }
    return selector->kind == SELECT_POINTER;
}

bool facts_count_text(const struct pack_selector *selector, struct message_fact *fact,
                      struct str text)
{
    if (!facts_is_counter(selector)) {
        return false;
    }
    fact->number += selector->kind == SELECT_COUNT ? count_addresses(text) : count_segments(text);
    return true;
}

bool facts_is_card_field(struct str name)
{
    return str_equal_nocase(name, STR("number")) || str_equal_nocase(name, STR("cvc")) ||
           str_equal_nocase(name, STR("cvv"));
}

static void start(struct facts_reading *reading)
{
    const struct pack_read *read = reading->read;
    struct message_facts *ret = reading->ret;

    ret->state = FACTS_OK;
    ret->problem = STR_NONE;
    ret->fact_count = read->selector_count;
    ret->places = NULL;
    ret->place_count = 0;
    ret->facts = arena_zeroed(reading->arena, read->selector_count, sizeof(*ret->facts));
    for (size_t i = 0; i < read->selector_count; i++) {
        if (facts_is_counter(&read->selectors[i])) {
            ret->facts[i].kind = FACT_COUNT;
        }
    }
}

static bool needs_nothing(const struct pack_read *read)
{
    return read->selector_count == 0 && read->once_count == 0 && !read->refuse_card_data &&
           read->account_prefix.len == 0;
}

static struct str trim_front(struct str body)
{
    while (body.len > 0 && (body.data[0] == ' ' || body.data[0] == '\t' || body.data[0] == '\r' ||
                            body.data[0] == '\n')) {
        body = str_slice(body, 1, body.len);
    }
    return body;
}

static bool looks_like_json(struct str body)
{
    body = trim_front(body);
    return str_starts(body, STR("{")) || str_starts(body, STR("["));
}

static enum body_encoding guess(struct str body)
{
    if (looks_like_json(body)) {
        return ENCODING_JSON;
    }
    return str_starts(body, STR("--")) ? ENCODING_MULTIPART : ENCODING_FORM;
}

static void read_as(struct facts_reading *reading, enum body_encoding encoding, struct str body)
{
    if (reading->read->selector_count > FACTS_SELECTORS_MAX) {
        (void)facts_fail(reading, FACTS_UNREADABLE, STR_NONE, "more selectors than can be read");
    } else if (encoding == ENCODING_FORM) {
        facts_read_form(reading, body);
    } else if (encoding == ENCODING_JSON) {
        facts_read_json(reading, body);
    } else {
        (void)facts_fail(reading, FACTS_UNREADABLE, STR_NONE, "multipart bodies are not read");
    }
}

void facts_read(const struct pack_read *read, struct str body, struct arena *arena,
                struct message_facts *ret)
{
    struct facts_reading reading = {.read = read, .arena = arena, .ret = ret};
    enum body_encoding encoding = read->encoding == ENCODING_ANY ? guess(body) : read->encoding;

    start(&reading);
    if (body.len > 0 && !needs_nothing(read)) {
        read_as(&reading, encoding, body);
    }
    if (ret->state == FACTS_OK && read->place_count > 0) {
        facts_find_places(&reading, body);
    }
    if (ret->state != FACTS_OK) { /* what was read until then is worth nothing */
        ret->facts = NULL;
        ret->fact_count = 0;
    }
}

struct message_fact facts_get(const struct message_facts *facts, uint32_t selector)
{
    if (facts == NULL || facts->state != FACTS_OK || selector >= facts->fact_count) {
        return (struct message_fact){.kind = FACT_ABSENT};
    }
    return facts->facts[selector];
}
