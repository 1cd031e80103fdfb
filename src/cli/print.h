/* SPDX-License-Identifier: Apache-2.0 */
/*
 * print: answers for people, or with --json as they came.
 */
#ifndef CLI_PRINT_H
#define CLI_PRINT_H

#include <jansson.h>

struct column {
    const char *title;
    const char *field; /* of each row; "a.b" reaches inside */
};

/* A table of the rows, as wide as its texts; "nothing" when there is none. */
void print_table(const json_t *rows, const struct column *columns, size_t column_count);

/* "name: value" lines, nested objects indented. */
void print_object(const json_t *object);

void print_json(const json_t *value); /* indented, keys as they came */

#endif
