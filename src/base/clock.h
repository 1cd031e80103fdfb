/* SPDX-License-Identifier: Apache-2.0 */
/*
 * clock: what time it is.  Pure modules take times as arguments; only loops ask here.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#include "base/str.h"

uint64_t clock_boot_ms(void); /* CLOCK_BOOTTIME: never steps, counts while suspended */
uint64_t clock_boot_us(void);
int64_t clock_wall_ms(void); /* UTC since 1970 */

enum { CLOCK_TEXT_SIZE = 32 };
struct clock_text {
    char text[CLOCK_TEXT_SIZE];
};
struct clock_text clock_rfc3339(int64_t wall_ms); /* 2026-11-23T09:20:50Z; with .123 if not whole */
bool clock_parse_rfc3339(struct str s, int64_t *ret_wall_ms); /* Z or +hh:mm */

int64_t clock_day(int64_t wall_ms); /* days since 1970, UTC */
int64_t clock_day_start_ms(int64_t day);
struct clock_text clock_day_text(int64_t day); /* 2026-11-23 */

/* "30s", "12m", "2h", "1d": one whole number and one unit. */
bool clock_parse_duration(struct str s, uint64_t *ret_ms);

#endif
