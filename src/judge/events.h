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

struct events_found {
    struct str object; /* of the event that our key caused; empty: it is not on this page */
    struct str last;   /* the page's last event */
    bool more;         /* there is another page behind it */
};

/* Reads one page: the object must be of the kind, its id one that can stand in a path. */
void events_read(const struct pack_events *events, const struct message_facts *facts,
                 struct str vendor_key, struct str kind, struct events_found *ret);

#endif
