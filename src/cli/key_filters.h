/* SPDX-License-Identifier: Apache-2.0 */
/*
 * key_filters: which keys `key list` shows, and which ones `key revoke` ends.
 */
#ifndef CLI_KEY_FILTERS_H
#define CLI_KEY_FILTERS_H

#include "base/buf.h"
#include "cli/command.h"

/* clang-format off */
#define KEY_FILTERS \
    {"label", "PREFIX", "only labels that begin so", false, false}, \
    {"vendor", "VENDOR", "only of this vendor", false, false}, \
    {"tenant", "NAME", "only of this tenant", false, false}, \
    {"run", "ID", "only of this run", false, false}
/* clang-format on */

/* Appends them to the query of GET /v1/keys. */
void key_filters_add(const struct invocation *invocation, struct buf *path);

#endif
