/* SPDX-License-Identifier: Apache-2.0 */
/*
 * group: the batches that go to the disk together.
 *
 * A batch is the rows up to a COMMIT; it is stored whole or not at all.  All batches that arrive in
 * one loop turn share one transaction and one fsync.  It is made at the turn's end when somebody
 * waits for one of them, else within 100 ms or 2048 rows; and only between two batches, so that no
 * part of one is ever on the disk alone.
 *
 *     rows of 7 | COMMIT 7 | rows of 8 | COMMIT 8 | rows of 9 ...      9 is not complete: the group
 *     ~~~~~~~~~~~~~~ one group ~~~~~~~~~~~~~~~~~~                      waits for its COMMIT
 *
 * When there is no room, every batch of the group is refused, and every later one too, until one
 * comes with `again`.
 */
#ifndef SCRIBE_GROUP_H
#define SCRIBE_GROUP_H

#include <stdbool.h>

#include "ipc/message.h"
#include "os/loop.h"
#include "store/store.h"

struct group;

struct group_events {
    void (*committed)(void *ctx, const struct message_committed *committed);
    void (*refused)(void *ctx, const struct message_store_refused *refused);
    void (*broken)(void *ctx, const char *why); /* for good; called once */
};

enum { GROUP_ROWS = 2048, GROUP_DELAY_MS = 100 };

struct group *group_new(struct loop *loop, struct store *store, const struct group_events *events,
                        void *ctx);
void group_free(struct group *group); /* takes NULL too */

/* `written` is the message as it came. */
void group_row(struct group *group, enum message_type type, const void *row, struct str written);
void group_commit(struct group *group, const struct message_commit *commit);

/* No more will come: stores what is complete, forgets what is not. */
void group_end(struct group *group);
bool group_is_idle(const struct group *group); /* nothing is on its way to the disk */

#endif
