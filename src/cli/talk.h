/* SPDX-License-Identifier: Apache-2.0 */
/*
 * talk: what nearly every command does: one call, and its answer on the screen.
 */
#ifndef CLI_TALK_H
#define CLI_TALK_H

#include "cli/client.h"
#include "cli/print.h"

/* Makes the call and gives its JSON (NULL: no body).  EXIT_DONE, or EXIT_REFUSED after having said
 * why. */
int talk(const struct invocation *invocation, const char *method, const char *path, struct str body,
         json_t **ret_json);

/* A call whose answer is shown as an object, or as it came with --json. */
int talk_and_show(const struct invocation *invocation, const char *method, const char *path,
                  struct str body);

/* Appends one page's rows to `all`, and sets *cursor to the next (NULL at the end), a text inside
 * *page, which is the page; json_decref() that. */
int talk_page(struct client *client, const char *path, json_t *all, json_t **page,
              const char **cursor, struct err *err);

/* A listing, every page of it, up to `limit` rows (0: all).  `path` may have a query already. */
int talk_and_list(const struct invocation *invocation, const char *path, size_t limit,
                  const struct column *columns, size_t column_count);

#endif
