/* SPDX-License-Identifier: Apache-2.0 */
/*
 * grant: where a GRANT of the judge and a FORWARD of a gate meet.
 *
 * Either may come first.  A GRANT waits until its begin_by, a FORWARD and what follows it for
 * LIMIT_PARK_MS.  The first FORWARD takes the grant away, so it is good for one request.  Only the
 * gate that it was made for may take it.  Pure: times are arguments.
 */
#ifndef VAULT_GRANT_H
#define VAULT_GRANT_H

#include "base/buf.h"
#include "base/list.h"
#include "ipc/message.h"

enum { GRANTS_PARKED_MAX = 1024 }; /* FORWARDs without a grant */

struct meeting {
    uint64_t grant;
    struct message_grant *granted; /* NULL: not here yet */
    void *gate;                    /* who forwarded; NULL: nobody yet */
    uint64_t gate_incarnation;
    struct message_header *headers; /* the gate's, free ones */
    size_t header_count;
    struct buf early; /* of the body, when FORWARD came first */
    bool ended;       /* and that was all of it */
    uint64_t due_ms;
    struct list link;
};
/* Of a FETCH, for which no gate comes. */
struct meeting *meeting_of_fetch(const struct message_grant *fetch);
void meeting_free(struct meeting *meeting); /* takes NULL too */

struct grants;

struct grants *grants_new(void);
void grants_free(struct grants *grants); /* takes NULL too */

/* Returns the meeting, now the caller's, when both are here; NULL while one is waited for.  A
 * number that is here already, or a FORWARD from another gate than the granted one, or one too many
 * waiting, sets *ret_refused and changes nothing. */
struct meeting *grants_add_grant(struct grants *grants, const struct message_grant *grant,
                                 uint64_t now_ms, bool *ret_refused);
struct meeting *grants_add_forward(struct grants *grants, void *gate, uint64_t gate_incarnation,
                                   const struct message_forward *forward, uint64_t now_ms,
                                   bool *ret_refused);

enum early { EARLY_UNKNOWN, EARLY_KEPT, EARLY_TOO_MUCH };

/* What follows a FORWARD that waits.  More than `window` bytes are too much. */
enum early grants_add_data(struct grants *grants, const void *gate, uint64_t grant,
                           struct str bytes, size_t window);
enum early grants_add_end(struct grants *grants, const void *gate, uint64_t grant);

/* Takes one out: the next that is due, or the next that fits.  NULL: none. */
struct meeting *grants_take_due(struct grants *grants, uint64_t now_ms);
struct meeting *grants_take_fit(struct grants *grants,
                                bool (*fits)(const struct meeting *meeting, const void *ctx),
                                const void *ctx);

bool grants_next_due(const struct grants *grants, uint64_t *ret_ms); /* false: none waits */

#endif
