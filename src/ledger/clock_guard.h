/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock_guard: what day money counts on, when the wall clock cannot be trusted to run forward.
 *
 * A clock that jumps ahead would refill every daily cap; one that steps back would let dead keys
 * live again.  So: more than 5 minutes ahead of what the boot clock says makes the guard suspect
 * (no new day begins, money is refused) until somebody vouches for the time; the day never goes
 * back; and keys expire by the later of the two clocks.
 */
#ifndef LEDGER_CLOCK_GUARD_H
#define LEDGER_CLOCK_GUARD_H

#include <stdbool.h>
#include <stdint.h>

enum { CLOCK_JUMP_MS = 5 * 60 * 1000 };

struct clock_guard {
    int64_t base_wall_ms; /* what it was at base_boot_ms */
    uint64_t base_boot_ms;
    int64_t now_ms;    /* believed: rows are stamped with it; never goes back */
    int64_t expiry_ms; /* the latest that either clock ever said: keys expire by it */
    int64_t day;       /* the highest that began */
    bool suspect;
};

/* `newest_ms` is the highest time ever stored: an earlier wall clock stays at that. */
void clock_guard_start(struct clock_guard *guard, int64_t wall_ms, uint64_t boot_ms,
                       int64_t newest_ms);
void clock_guard_tick(struct clock_guard *guard, int64_t wall_ms, uint64_t boot_ms);

/* Somebody says that the wall clock is right. */
void clock_guard_vouch(struct clock_guard *guard, int64_t wall_ms, uint64_t boot_ms);

#endif
