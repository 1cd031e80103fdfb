/* SPDX-License-Identifier: Apache-2.0 */
/*
 * events: a vendor's list of what happened lately, in which a request of ours is found by the
 * idempotency key that went out with it.  Pure.
 */
#ifndef JUDGE_EVENTS_H
#define JUDGE_EVENTS_H

#include "base/arena.h"
#include "ipc/message.h"
#include "pack/pack.h"

/* The query for the seconds around `opened_at_ms`, the wider the more `looks` there were; behind
 * the event `after`, unless that is empty. */
struct str events_query(struct arena *arena, const struct pack_events *events, int64_t opened_at_ms,
                        unsigned looks, struct str after);

/* One that a request with an idempotency key caused.  The object's id can stand in a path. */
struct event {
    struct str key, object, kind;
};

/* Visits those of one page.  True when there is another page behind it: after *ret_last. */
bool events_read(const struct pack_events *events, const struct message_facts *facts,
                 void (*visit)(void *ctx, const struct event *event), void *ctx,
                 struct str *ret_last);

#endif
