/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Selectors are matched while the text is walked through: level n keeps, as bits, those whose first
 * n - 1 steps have led into the object or array that is open there.
 */
#include "pack/facts_read.h"
#include "pack/json_scan.h"

enum { NAME_SHOWN = 100 };

struct pointer {
    struct str *steps;
    size_t count;
};

struct level {
    uint64_t led;      /* selectors whose next step is looked for here */
    uint64_t counting; /* selectors that count the elements of this array */
    uint64_t index;    /* of the next element */
    size_t names;      /* members on the way here */
    bool array, metadata;
};

struct json_reader {
    struct facts_reading *reading;
    struct json_scan scan;
    struct pointer pointers[FACTS_SELECTORS_MAX];
    struct level levels[LIMIT_JSON_DEPTH + 1]; /* 0 is around the whole */
    uint64_t led;                              /* to the value that comes next */
    uint64_t counting;                         /* by the array which it is an element of */
    bool named, metadata;                      /* it is a member's; the member is "metadata" */
};

/* ---- pointers ---- */

static struct str decode_step(struct str step, struct arena *arena)
{
    char *out = arena_zeroed(arena, step.len + 1, 1);
    size_t len = 0;

    for (size_t i = 0; i < step.len; i++) {
        char c = step.data[i];
        if (c == '~' && i + 1 < step.len) {
            i++;
            if (step.data[i] == '1') {
                c = '/';
            }
        }
        out[len++] = c;
    }
    return (struct str){out, len};
}

static struct pointer parse_pointer(struct str text, struct arena *arena)
{
    struct pointer pointer = {NULL, 0};
    size_t most = 0;

    for (size_t i = 0; i < text.len; i++) {
        most += text.data[i] == '/';
    }
    pointer.steps = arena_zeroed(arena, most, sizeof(*pointer.steps));
    struct str rest = str_slice(text, 1, text.len);
    while (pointer.count < most) {
        pointer.steps[pointer.count++] = decode_step(str_take_until(&rest, '/'), arena);
    }
    return pointer;
}

static bool is_any(struct str step)
{
    return str_equal(step, STR("*"));
}

static uint64_t bit(size_t i)
{
    return UINT64_C(1) << i;
}

/* ---- values ---- */

static const struct pack_selector *selector_of(const struct json_reader *reader, size_t i)
{
    return &reader->reading->read->selectors[i];
}

static bool fail(struct json_reader *reader, size_t i, enum facts_state state, const char *why)
{
    return facts_fail(reader->reading, state, selector_of(reader, i)->name, why);
}

static struct message_fact fact_of(const struct json_reader *reader, const struct json_token *token)
{
    struct message_fact fact = {.kind = FACT_NESTED};

    switch (token->kind) {
    case SCAN_TEXT:
        fact.kind = FACT_TEXT;
        fact.text = json_scan_text(&reader->scan, token);
        break;
    case SCAN_INTEGER:
        fact.kind = FACT_INTEGER;
        fact.number = token->number;
        fact.text = token->text;
        break;
    case SCAN_NUMBER:
        fact.kind = FACT_TEXT;
        fact.text = token->text;
        break;
    case SCAN_TRUE:
    case SCAN_FALSE:
        fact.kind = FACT_BOOL;
        fact.number = token->kind == SCAN_TRUE;
        break;
    case SCAN_NULL:
        fact.kind = FACT_NULL;
        break;
    default:
        break;
    }
    return fact;
}

static bool same_fact(const struct message_fact *a, const struct message_fact *b)
{
    return a->kind == b->kind && a->kind != FACT_NESTED && a->number == b->number &&
           str_equal(a->text, b->text);
}

static bool take_value(struct json_reader *reader, size_t i, const struct json_token *token)
{
    struct message_fact *fact = &reader->reading->ret->facts[i];
    struct message_fact found = fact_of(reader, token);

    if (fact->kind != FACT_ABSENT) {
        return same_fact(fact, &found) ||
               fail(reader, i, FACTS_AMBIGUOUS, "has several values that are not alike");
    }
    *fact = found;
    return facts_set_text(reader->reading, fact, found.text) ||
           fail(reader, i, FACTS_TOO_LARGE, "too long");
}

static bool take_count(struct json_reader *reader, size_t i, const struct json_token *token,
                       bool element)
{
    struct message_fact *fact = &reader->reading->ret->facts[i];

    switch (token->kind) {
    case SCAN_TEXT:
        return facts_count_text(selector_of(reader, i), fact, json_scan_text(&reader->scan, token));
    case SCAN_NULL:
        return true;
    case SCAN_ARRAY:
        if (element) {
            return fail(reader, i, FACTS_AMBIGUOUS, "is a list of lists");
        }
        return true; /* its elements will count */
    default:
        fact->number++;
        return true;
    }
}

/* Selectors that end here take the value; the others are led on into it. */
static bool take_led(struct json_reader *reader, const struct json_token *token, size_t steps,
                     struct level *inner)
{
    for (size_t i = 0; i < reader->reading->read->selector_count; i++) {
        bool led = (reader->led & bit(i)) != 0, element = (reader->counting & bit(i)) != 0;
        bool ends = led && reader->pointers[i].count == steps;
        bool counter = facts_is_counter(selector_of(reader, i));

        if (led && !ends) {
            inner->led |= bit(i);
        }
        if (element || (ends && counter)) {
            if (!take_count(reader, i, token, element)) {
                return false;
            }
            inner->counting |= !element && token->kind == SCAN_ARRAY ? bit(i) : 0;
        } else if (ends && !take_value(reader, i, token)) {
            return false;
        }
    }
    return true;
}

/* Does a selector of an account end here? */
static bool is_account(const struct json_reader *reader, size_t steps)
{
    const struct pack_read *read = reader->reading->read;

    for (size_t i = read->selector_count - read->account_count; i < read->selector_count; i++) {
        if ((reader->led & bit(i)) != 0 && reader->pointers[i].count == steps) {
            return true;
        }
    }
    return false;
}

/* An account where nobody compares it with those that the key may act for. */
static bool hides_account(const struct json_reader *reader, const struct json_token *token,
                          size_t steps, bool metadata)
{
    struct str prefix = reader->reading->read->account_prefix;

    if (prefix.len == 0 || token->kind != SCAN_TEXT || metadata || is_account(reader, steps)) {
        return false;
    }
    struct str value = str_trim(json_scan_text(&reader->scan, token));
    return str_equal_nocase(str_slice(value, 0, prefix.len), prefix);
}

/* ---- the walk ---- */

static bool is_index(struct str step, uint64_t index)
{
    uint64_t number;

    return str_to_u64(step, &number) && number == index;
}

/* The next value is an element of the array at `level`. */
static void lead_to_element(struct json_reader *reader, struct level *level, size_t steps)
{
    reader->led = 0;
    for (size_t i = 0; level->led != 0 && i < reader->reading->read->selector_count; i++) {
        if ((level->led & bit(i)) != 0) {
            struct str step = reader->pointers[i].steps[steps];
            reader->led |= is_any(step) || is_index(step, level->index) ? bit(i) : 0;
        }
    }
    reader->counting = level->counting;
    reader->named = reader->metadata = false;
    level->index++;
}

static bool take_name(struct json_reader *reader, const struct level *level, size_t steps,
                      const struct json_token *token)
{
    reader->led = 0;
    for (size_t i = 0; level->led != 0 && i < reader->reading->read->selector_count; i++) {
        if ((level->led & bit(i)) == 0) {
            continue;
        }
        struct str step = reader->pointers[i].steps[steps];
        bool same = str_equal(step, token->text);
        if (same ? token->escaped : !is_any(step) && str_equal_nocase(step, token->text)) {
            return fail(reader, i, FACTS_AMBIGUOUS, "stands there in another spelling");
        }
        reader->led |= same || is_any(step) ? bit(i) : 0;
    }
    reader->counting = 0;
    reader->named = true;
    reader->metadata = str_equal(token->text, STR("metadata"));
    if (reader->reading->read->refuse_card_data && level->names > 0 && !level->metadata &&
        facts_is_card_field(token->text)) {
        return facts_fail(reader->reading, FACTS_CARD_DATA, STR_NONE, "card data");
    }
    return true;
}

static bool take_token(struct json_reader *reader, const struct json_token *token)
{
    bool opens = token->kind == SCAN_OBJECT || token->kind == SCAN_ARRAY;
    size_t depth = reader->scan.depth - (opens ? 1 : 0); /* levels around this value */
    struct level *around = &reader->levels[depth];
    struct level inner = {.led = 0};

    if (token->kind == SCAN_OBJECT_END || token->kind == SCAN_ARRAY_END) {
        return true;
    }
    if (token->kind == SCAN_NAME) {
        return take_name(reader, around, depth - 1, token);
    }
    if (around->array) {
        lead_to_element(reader, around, depth - 1);
    }
    if (hides_account(reader, token, depth, around->metadata || reader->metadata)) {
        return facts_fail(reader->reading, FACTS_AMBIGUOUS,
                          str_slice(reader->scan.name, 0, NAME_SHOWN),
                          "names an account in a place that is not checked");
    }
    if ((reader->led | reader->counting) != 0 && !take_led(reader, token, depth, &inner)) {
        return false;
    }
    if (opens) {
        inner.array = token->kind == SCAN_ARRAY;
        inner.names = around->names + (reader->named ? 1 : 0);
        inner.metadata = around->metadata || reader->metadata;
        reader->levels[depth + 1] = inner;
    }
    return true;
}

static enum facts_state state_of(enum scan_fault fault)
{
    switch (fault) {
    case SCAN_FAULT_DUPLICATE:
    case SCAN_FAULT_NUMBER:
        return FACTS_AMBIGUOUS;
    case SCAN_FAULT_LIMIT:
        return FACTS_TOO_LARGE;
    case SCAN_FAULT_SYNTAX:
        break;
    }
    return FACTS_UNREADABLE;
}

void facts_read_json(struct facts_reading *reading, struct str body)
{
    struct json_reader reader;
    struct json_token token;

    reader.reading = reading;
    reader.led = reader.counting = 0;
    reader.named = reader.metadata = false;
    reader.levels[0] = (struct level){.led = 0};
    for (size_t i = 0; i < reading->read->selector_count; i++) {
        if (facts_is_pointer(&reading->read->selectors[i])) {
            reader.pointers[i] = parse_pointer(reading->read->selectors[i].name, reading->arena);
            reader.led |= bit(i);
        }
    }
    json_scan_begin(&reader.scan, body, reading->arena);
    while (json_scan_next(&reader.scan, &token)) {
        if (!take_token(&reader, &token)) {
            return;
        }
    }
    if (token.kind == SCAN_BAD) {
        enum scan_fault fault = reader.scan.fault;
        bool of_name = fault == SCAN_FAULT_DUPLICATE || fault == SCAN_FAULT_NUMBER;
        struct str name = str_slice(reader.scan.name, 0, NAME_SHOWN);
        (void)facts_fail(reading, state_of(fault), of_name && name.len > 0 ? name : STR("JSON"),
                         reader.scan.problem);
    }
}
