/* SPDX-License-Identifier: Apache-2.0 */
/*
 * money: nano-dollars as people write them.
 */
#ifndef LEDGER_MONEY_H
#define LEDGER_MONEY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

#define MONEY_DOLLAR INT64_C(1000000000)

enum { MONEY_TEXT_SIZE = 32 };
struct money_text {
    char text[MONEY_TEXT_SIZE];
};

/* "20.00", "0.0079", "-1.50": at least two digits after the point, at most nine. */
struct money_text money_text(int64_t nano);

/* "20", "20.00", "0.000000001"; no sign.  False when it is none, or does not fit. */
bool money_parse(struct str text, int64_t *ret_nano);

#endif
