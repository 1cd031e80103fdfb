/* SPDX-License-Identifier: Apache-2.0 */
/*
 * plain: text from elsewhere on its way to a terminal.
 *
 * Labels, paths and vendors' words may hold what a terminal obeys (control characters, those of
 * C1 among them, which UTF-8 hides in two bytes) or what shows a reader another text than there is
 * (overrides of direction, line separators).  None of it is printed.
 */
#ifndef CLI_PLAIN_H
#define CLI_PLAIN_H

#include <jansson.h>

/* In place: '?' for each such character, and for each byte that is no UTF-8. */
void plain_text(char *text);

/* json_dumps() with such characters written as \uXXXX; free() it.  Never NULL. */
char *plain_json(const json_t *value, size_t flags);

#endif
