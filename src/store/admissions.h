/* SPDX-License-Identifier: Apache-2.0 */
/*
 * admissions: was every amount that was admitted within its caps?
 *
 *     posted + held + asked <= cap        at each admission, on every level
 *
 * The judge asserts it in memory.  Here it is read once more from the rows: each admission's row in
 * the audit says, of every level, what its cap was and what was spent and held then, with what it
 * asked for.  Reads beside a running server, and changes nothing.
 */
#ifndef STORE_ADMISSIONS_H
#define STORE_ADMISSIONS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

struct admissions_report {
    uint64_t checked;    /* rows of admissions that asked for money */
    uint64_t over;       /* above a cap */
    uint64_t unreadable; /* that do not say so in the way they are written */
    uint64_t first;      /* sequence of the lowest of these two; 0: there is none */
    bool complete;       /* all of the audit; else the newest `rows_max` rows */
};

/* The newest rows, as many as that.  -1 when the database cannot be read. */
int admissions_check(const char *data_dir, uint64_t rows_max, struct admissions_report *ret,
                     struct err *err);

enum admission { ADMISSION_WITHIN, ADMISSION_OVER, ADMISSION_UNREADABLE };

/* "key key_x day cap 50.00 spent 20.00 held 30.00; tenant acme life cap none spent 7.00 held 0.00"
 */
enum admission admission_look(struct str levels);

#endif
