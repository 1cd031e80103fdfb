/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/print.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/str.h"
#include "cli/plain.h"

enum { CELL_MAX = 60, CELL_LIST_MAX = 64 * 1024 };

static const json_t *reach_one(const json_t *row, struct str rest)
{
    while (rest.len > 0 && row != NULL) {
        struct str step = str_take_until(&rest, '.');
        char *name = mem_copy_str(step);
        row = json_object_get(row, name);
        free(name);
    }
    return row;
}

static const json_t *reach(const json_t *row, const char *field)
{
    struct str rest = str_from(field);
    const json_t *found = NULL;

    while (rest.len > 0 && (found == NULL || json_is_null(found))) {
        found = reach_one(row, str_take_until(&rest, '|'));
    }
    return found;
}

static char *cell_of(const json_t *value);

/* A list as its values, "-" when it has none. */
static char *cell_of_list(const json_t *list)
{
    struct buf out;
    size_t at;
    json_t *value;

    buf_init(&out, CELL_LIST_MAX);
    json_array_foreach(list, at, value)
    {
        char *text = cell_of(value);
        (void)buf_addf(&out, "%s%s", at == 0 ? "" : ", ", text);
        free(text);
    }
    char *joined = mem_copy_str(buf_len(&out) == 0 ? STR("-") : buf_str(&out));
    buf_clear(&out);
    return joined;
}

/* A value as one short text; free() it. */
static char *cell_of(const json_t *value)
{
    char *text = NULL;

    if (json_is_string(value)) {
        text = mem_copy_str(str_from(json_string_value(value)));
    } else if (value == NULL || json_is_null(value)) {
        text = mem_copy_str(STR("-"));
    } else if (json_is_array(value)) {
        text = cell_of_list(value);
    } else {
        char *dump = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
        text = mem_copy_str(str_from(dump));
        free(dump);
    }
    if (strlen(text) > CELL_MAX) {
        memcpy(text + CELL_MAX - 3, "...", 4);
    }
    plain_text(text);
    return text;
}

static void measure(const json_t *rows, const struct column *columns, size_t column_count,
                    size_t *widths)
{
    size_t at;
    json_t *row;

    for (size_t c = 0; c < column_count; c++) {
        widths[c] = strlen(columns[c].title) > widths[c] ? strlen(columns[c].title) : widths[c];
        json_array_foreach(rows, at, row)
        {
            char *text = cell_of(reach(row, columns[c].field));
            widths[c] = strlen(text) > widths[c] ? strlen(text) : widths[c];
            free(text);
        }
    }
}

/* The last cell of a line has nothing behind it, not even blanks. */
static void print_cell(const char *text, size_t width, bool last)
{
    (void)printf("%-*s%s", last ? 0 : (int)width, text, last ? "\n" : "  ");
}

void print_more(const json_t *rows, const struct column *columns, size_t column_count,
                size_t *widths)
{
    bool first = widths[0] == 0;
    size_t at;
    json_t *row;

    measure(rows, columns, column_count, widths);
    for (size_t c = 0; first && c < column_count; c++) {
        print_cell(columns[c].title, widths[c], c + 1 == column_count);
    }
    json_array_foreach(rows, at, row)
    {
        for (size_t c = 0; c < column_count; c++) {
            char *text = cell_of(reach(row, columns[c].field));
            print_cell(text, widths[c], c + 1 == column_count);
            free(text);
        }
    }
}

void print_table(const json_t *rows, const struct column *columns, size_t column_count)
{
    size_t widths[PRINT_COLUMNS_MAX] = {0};

    if (json_array_size(rows) == 0) {
        (void)puts("nothing");
        return;
    }
    print_more(rows, columns, column_count, widths);
}

static bool holds_objects(const json_t *list)
{
    return json_is_array(list) && json_is_object(json_array_get(list, 0));
}

/* An object as one line: "a=1 b=two". */
static void print_on_a_line(const json_t *object)
{
    const char *name;
    json_t *value;
    const char *separator = "";

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        char *text = cell_of(value);
        (void)printf("%s%s=%s", separator, name, text);
        free(text);
        separator = " ";
    }
    (void)putchar('\n');
}

static void print_list(const json_t *list, int depth)
{
    size_t at;
    json_t *value;

    json_array_foreach(list, at, value)
    {
        (void)printf("%*s- ", depth * 2, "");
        print_on_a_line(value);
    }
}

static void print_indented(const json_t *object, int depth)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)(uintptr_t)object, name, value)
    {
        if (json_is_object(value)) {
            (void)printf("%*s%s:\n", depth * 2, "", name);
            print_indented(value, depth + 1);
        } else if (holds_objects(value)) {
            (void)printf("%*s%s:\n", depth * 2, "", name);
            print_list(value, depth + 1);
        } else if (json_is_string(value)) {
            char *text = mem_copy_str(str_from(json_string_value(value)));
            plain_text(text);
            (void)printf("%*s%s: %s\n", depth * 2, "", name, text);
            free(text);
        } else {
            char *text = plain_json(value, JSON_COMPACT);
            (void)printf("%*s%s: %s\n", depth * 2, "", name, text);
            free(text);
        }
    }
}

void print_object(const json_t *object)
{
    print_indented(object, 0);
}

void print_json(const json_t *value)
{
    char *text = plain_json(value, JSON_INDENT(2));

    (void)puts(text);
    free(text);
}

void print_warnings(const json_t *key)
{
    size_t at;
    json_t *text;

    json_array_foreach(json_object_get(key, "warnings"), at, text)
    {
        char *plain = mem_copy_str(str_from(json_string_value(text)));
        plain_text(plain);
        (void)fprintf(stderr, "keybrake: note: %s\n", plain);
        free(plain);
    }
}
