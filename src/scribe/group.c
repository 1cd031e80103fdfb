/* SPDX-License-Identifier: Apache-2.0 */
#include "scribe/group.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

enum { BATCHES_MAX = 4096 }; /* in one group; then it goes at once */

struct group {
    struct loop *loop;
    struct store *store;
    struct group_events events;
    void *ctx;
    struct loop_hook turn;
    struct loop_timer timer;
    uint64_t batches[BATCHES_MAX]; /* complete, in the open transaction */
    size_t batch_count;
    uint64_t rows;         /* of these batches */
    uint64_t partial_rows; /* of the batch that is coming in */
    bool due;              /* goes at the next end of a batch */
    bool bad;              /* the batch that is coming in cannot be stored: `problem` */
    bool refusing;         /* until a COMMIT with `again` */
    bool broken;
    struct err problem;
    struct err first; /* why the refusing began: what follows from it is refused for that, too */
};

struct group *group_new(struct loop *loop, struct store *store, const struct group_events *events,
                        void *ctx)
{
    struct group *group = mem_zeroed(sizeof(*group));

    group->loop = loop;
    group->store = store;
    group->events = *events;
    group->ctx = ctx;
    return group;
}

void group_free(struct group *group)
{
    if (group == NULL) {
        return;
    }
    loop_hook_stop(&group->turn);
    loop_timer_stop(group->loop, &group->timer);
    free(group);
}

bool group_is_idle(const struct group *group)
{
    return group->batch_count == 0 && group->partial_rows == 0;
}

static void refuse(struct group *group, uint64_t batch)
{
    struct message_store_refused refused = {.batch = batch, .problem = str_from(group->first.text)};

    group->events.refused(group->ctx, &refused);
}

static void forget(struct group *group)
{
    group->batch_count = 0;
    group->rows = 0;
    group->due = false;
    loop_timer_stop(group->loop, &group->timer);
    loop_hook_stop(&group->turn);
}

/* A store call did not work.  Nothing of the open transaction is stored then. */
static void fail(struct group *group, enum store_result result)
{
    if (result == STORE_BROKEN) {
        group->broken = true;
        group->events.broken(group->ctx, group->problem.text);
        return;
    }
    store_rollback(group->store);
    if (!group->refusing) {
        group->first = group->problem;
    }
    group->refusing = true;
    for (size_t i = 0; i < group->batch_count; i++) {
        refuse(group, group->batches[i]);
    }
    forget(group);
}

static void write_group(struct group *group)
{
    uint64_t start_us = clock_boot_us();
    enum store_result result = store_commit(group->store, &group->problem);

    if (result != STORE_DONE) {
        fail(group, result);
        return;
    }
    struct message_committed committed = {.batch = group->batches[group->batch_count - 1],
                                          .commit_us = clock_boot_us() - start_us,
                                          .rows = group->rows};
    forget(group);
    group->events.committed(group->ctx, &committed);
}

static void on_due(void *ctx)
{
    struct group *group = ctx;

    if (group->broken || group->batch_count == 0) {
        return;
    }
    if (group->partial_rows > 0) {
        group->due = true; /* its COMMIT is on the way */
        return;
    }
    write_group(group);
}

void group_row(struct group *group, enum message_type type, const void *row, struct str written)
{
    if (group->broken) {
        return;
    }
    group->partial_rows++;
    if (group->bad) {
        return;
    }
    enum store_result result = store_put_written(group->store, type, row, written, &group->problem);
    if (result != STORE_DONE) {
        group->bad = true;
        fail(group, result);
    }
}

static void schedule(struct group *group, bool wait)
{
    if (group->due || group->rows >= GROUP_ROWS || group->batch_count == BATCHES_MAX) {
        write_group(group);
    } else if (wait) {
        loop_at_turn_end(group->loop, &group->turn, on_due, group);
    } else if (group->timer.place == 0) {
        loop_timer_set(group->loop, &group->timer, GROUP_DELAY_MS, on_due, group);
    }
}

void group_commit(struct group *group, const struct message_commit *commit)
{
    uint64_t rows = group->partial_rows;
    bool bad = group->bad;

    if (group->broken) {
        return;
    }
    group->partial_rows = 0;
    group->bad = false;
    if (bad && commit->again) {
        group->first = group->problem;
    }
    if (bad || (group->refusing && !commit->again)) {
        /* While refusing no batch is pending, so this takes back the rows of this one only. */
        store_rollback(group->store);
        refuse(group, commit->batch);
        return;
    }
    group->refusing = false;
    group->batches[group->batch_count++] = commit->batch;
    group->rows += rows;
    schedule(group, commit->wait);
}

void group_end(struct group *group)
{
    if (group->broken) {
        return;
    }
    if (group->partial_rows == 0 && group->batch_count > 0) {
        write_group(group);
        return;
    }
    /* Nobody was told that any of it is stored. */
    store_rollback(group->store);
    forget(group);
    group->partial_rows = 0;
    group->bad = false;
}
