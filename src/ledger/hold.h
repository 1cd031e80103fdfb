/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hold: money set aside for one request before it is forwarded.
 *
 *     OPEN --> POSTED | VOIDED | HELD | UNKNOWN       the answer came, or nobody knows
 *     UNKNOWN --> POSTED | VOIDED | HELD              somebody found out, or the deadline passed
 *     HELD --> HELD | POSTED | VOIDED                 an object open at the vendor
 *
 * POSTED and VOIDED are ends.  The mover keeps the windows in step: for every hold and every level
 * of it, what the windows have held is the sum of what their holds hold.
 */
#ifndef LEDGER_HOLD_H
#define LEDGER_HOLD_H

#include "base/list.h"
#include "ledger/window.h"

enum { HOLD_UNKNOWN_MS = 24 * 3600 * 1000 }; /* then it is posted, as presumed */

struct hold {
    uint64_t number;             /* = row.hold, for the table */
    struct message_row_hold row; /* its strings are owned */
    struct list link;            /* the owner's */
    struct list object_link;     /* among those of its object, while it is open */
    bool doubt;                  /* HELD, and what a later request did to its object is not known */
};

const char *hold_state_name(enum hold_state state);
bool hold_is_over(enum hold_state state); /* POSTED, VOIDED */

/* Deep copy of the row. */
struct hold *hold_new(const struct message_row_hold *row);
void hold_free(struct hold *hold); /* takes NULL too */

bool hold_may_move(enum hold_state from, enum hold_state to);

void hold_name_object(struct hold *hold, struct str object); /* copied */

/* Where a hold goes, and what it is worth then. */
struct hold_change {
    enum hold_state state;
    int64_t posted; /* in all under this hold */
    int64_t held;   /* still set aside; 0 in POSTED and VOIDED */
    struct str object;
    bool estimated, presumed;
    bool admitted; /* more is held because a request for more was admitted: no overrun */
    int64_t at_ms;
};

/* The one mover: state, amounts and windows together.  The change must be one that
 * hold_may_move() allows (asserted).  More posted than ever was held marks hold and windows
 * overrun; that is returned. */
bool hold_move(struct hold *hold, struct windows *windows, const struct level *levels, size_t count,
               const struct hold_change *change);

#endif
