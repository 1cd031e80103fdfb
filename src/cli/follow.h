/* SPDX-License-Identifier: Apache-2.0 */
/*
 * follow: a listing's newest rows, and then each new one as it comes, until the program is ended.
 */
#ifndef CLI_FOLLOW_H
#define CLI_FOLLOW_H

#include "cli/talk.h"

/* `path` is /v1/audit with its filters.  The newest
 * `limit` rows first, oldest first; with --json one row a line.  Comes back when the server cannot
 * be asked or nobody reads any more: EXIT_REFUSED, having said why. */
int follow_rows(const struct invocation *invocation, const char *path, size_t limit,
                const struct column *columns, size_t column_count);

#endif
