/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print: answers for people, or with --json as they came.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>

struct column {
    const char *title;
    const char *field; /* of each row; "a.b" reaches inside; "a|b": b where a is null */
};
enum { PRINT_COLUMNS_MAX = 16 };

/* A table of the rows, as wide as its texts; "nothing" when there is none. */
void print_table(const json_t *rows, const struct column *columns, size_t column_count);

/* The same for rows that come in pieces: `widths` has an entry for each column, 0 at first, and
 * only grows; the titles are printed once. */
void print_more(const json_t *rows, const struct column *columns, size_t column_count,
                size_t *widths);

/* "name: value" lines, nested objects indented. */
void print_object(const json_t *object);

/* What the server has to say about a policy that it took, on standard error. */
void print_warnings(const json_t *key);

void print_json(const json_t *value); /* indented, keys as they came */

#endif
