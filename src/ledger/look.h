/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look: when a vendor is asked about money that is not over.  Pure.
 *
 *     urgent   nobody knows what came of it, or an object is to be cancelled: 1 s, 2, 5, 10 ... 1 h
 *     else     an object is open at the vendor: 5 min, 1 h, then every 6 h
 */
#ifndef LEDGER_LOOK_H
#define LEDGER_LOOK_H

#include <stdbool.h>
#include <stdint.h>

/* Before the next look, when there were `looks` since it came to its present state. */
uint64_t look_wait_ms(bool urgent, unsigned looks);

/* After a start: what came to its state `age_ms` ago.  What was due while the server was away is
 * looked at soon, but not all at once: `number` spreads it. */
uint64_t look_first_ms(bool urgent, int64_t age_ms, uint64_t number);

/* No later than when its estimate is posted: `left_ms` until then, which may be over. */
uint64_t look_before_ms(uint64_t wait_ms, int64_t left_ms);

/* In which seconds around the request its event is looked for: closely at first, since an account
 * may have thousands a minute; then as far as clocks and queues may be apart. */
void look_events_span(int64_t opened_at_ms, unsigned looks, int64_t *ret_since, int64_t *ret_until);

#endif
