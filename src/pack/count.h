/* SPDX-License-Identifier: Apache-2.0 */
/*
 * count: what messages are paid by, as an upper bound.
 */
#ifndef PACK_COUNT_H
#define PACK_COUNT_H

#include "base/str.h"

/*
 * How many addresses a list of them may be: parts between commas that stand outside quotes, angle
 * brackets and comments (RFC 5322), but as many as there are '@' at least.  When a quote or bracket
 * stays open every comma counts.  0 for blank text.
 */
int64_t count_addresses(struct str text);

/*
 * How many segments an SMS is: 160 GSM-7 characters or 70 UTF-16 units make one, each further one
 * has room for 153 or 67; a character of two units is not cut.  `text` is UTF-8.  0 for none.
 */
int64_t count_segments(struct str text);

#endif
