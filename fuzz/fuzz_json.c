/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What json_scan accepts, jansson accepts, and both read the same values.
 */
#include <jansson.h>
#include <stdlib.h>

#include "base/mem.h"
#include "pack/facts.h"
#include "pack/json_scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct json_token take(struct json_scan *scan)
{
    struct json_token token;

    (void)json_scan_next(scan, &token);
    must(token.kind != SCAN_BAD);
    return token;
}

static void compare(struct json_scan *scan, const struct json_token *token, json_t *value);

static void compare_object(struct json_scan *scan, json_t *object)
{
    size_t members = 0;

    for (;;) {
        struct json_token name = take(scan);
        if (name.kind == SCAN_OBJECT_END) {
            break;
        }
        must(name.kind == SCAN_NAME);
        char *key = mem_copy_str(name.text);
        json_t *member = json_object_get(object, key);
        free(key);
        must(member != NULL);
        struct json_token value = take(scan);
        compare(scan, &value, member);
        members++;
    }
    must(members == json_object_size(object));
}

static void compare_array(struct json_scan *scan, json_t *array)
{
    for (size_t i = 0;; i++) {
        struct json_token element = take(scan);
        if (element.kind == SCAN_ARRAY_END) {
            must(i == json_array_size(array));
            return;
        }
        must(i < json_array_size(array));
        compare(scan, &element, json_array_get(array, i));
    }
}

static void compare(struct json_scan *scan, const struct json_token *token, json_t *value)
{
    switch (token->kind) {
    case SCAN_OBJECT:
        must(json_is_object(value));
        compare_object(scan, value);
        break;
    case SCAN_ARRAY:
        must(json_is_array(value));
        compare_array(scan, value);
        break;
    case SCAN_TEXT:
        must(json_is_string(value));
        must(str_equal(json_scan_text(scan, token),
                       str_of(json_string_value(value), json_string_length(value))));
        break;
    case SCAN_INTEGER:
        must(json_is_integer(value) && json_integer_value(value) == token->number);
        break;
    case SCAN_NUMBER:
        must(json_is_number(value));
        break;
    case SCAN_TRUE:
        must(json_is_true(value));
        break;
    case SCAN_FALSE:
        must(json_is_false(value));
        break;
    case SCAN_NULL:
        must(json_is_null(value));
        break;
    default:
        must(false);
    }
}

static void compare_fact(const struct message_fact *fact, json_t *value)
{
    switch (fact->kind) {
    case FACT_ABSENT:
        must(value == NULL);
        break;
    case FACT_NULL:
        must(json_is_null(value));
        break;
    case FACT_BOOL:
        must(json_is_boolean(value) && json_is_true(value) == (fact->number == 1));
        break;
    case FACT_INTEGER:
        must(json_is_integer(value) && json_integer_value(value) == fact->number);
        break;
    case FACT_TEXT:
        must(json_is_string(value) || json_is_number(value));
        must(!json_is_string(value) ||
             str_equal(fact->text, str_of(json_string_value(value), json_string_length(value))));
        break;
    default:
        must(fact->kind == FACT_NESTED && (json_is_object(value) || json_is_array(value)));
    }
}

static void check_facts(struct str body, struct arena *arena, json_t *root)
{
    struct pack_selector selectors[] = {
        {SELECT_POINTER, STR("/a")}, {SELECT_POINTER, STR("/a/b")}, {SELECT_POINTER, STR("/1")},
        {SELECT_COUNT, STR("/*/b")}, {SELECT_SEGMENTS, STR("/c")},
    };
    struct pack_read read = {.encoding = ENCODING_JSON,
                             .selectors = selectors,
                             .selector_count = sizeof(selectors) / sizeof(selectors[0]),
                             .refuse_card_data = true};
    struct message_facts facts = {.request = 0};

    facts_read(&read, body, arena, &facts);
    must(root != NULL || body.len == 0 || facts.state != FACTS_OK);
    if (root == NULL || facts.state != FACTS_OK) {
        return;
    }
    must(facts.fact_count == read.selector_count);
    compare_fact(&facts.facts[0], json_object_get(root, "a"));
    compare_fact(&facts.facts[1], json_object_get(json_object_get(root, "a"), "b"));
    compare_fact(&facts.facts[2],
                 json_is_array(root) ? json_array_get(root, 1) : json_object_get(root, "1"));
    must(facts.facts[3].kind == FACT_COUNT && facts.facts[3].number >= 0);
    must(facts.facts[4].kind == FACT_COUNT && facts.facts[4].number >= 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str body = str_of(data, size);
    struct arena *arena = arena_new();
    struct json_scan scan;
    struct json_token token;
    json_error_t error;
    json_t *root = NULL;

    json_scan_begin(&scan, body, arena);
    while (json_scan_next(&scan, &token)) {
    }
    if (token.kind == SCAN_END) {
        root = json_loadb((const char *)data, size, JSON_REJECT_DUPLICATES, &error);
        must(root != NULL);
        json_scan_begin(&scan, body, arena);
        token = take(&scan);
        compare(&scan, &token, root);
        must(take(&scan).kind == SCAN_END);
    } else {
        must(token.kind == SCAN_BAD && scan.problem != NULL);
    }
    check_facts(body, arena, root);
    json_decref(root);
    arena_free(arena);
    return 0;
}
