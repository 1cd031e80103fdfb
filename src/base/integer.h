/* SPDX-License-Identifier: Apache-2.0 */
/*
 * integer: arithmetic that says when it does not fit.  The one module with compiler extensions.
 */
#ifndef BASE_INTEGER_H
#define BASE_INTEGER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

/* *ret = a + b, a - b.  False, and *ret untouched, when that does not fit. */
bool int_add(int64_t a, int64_t b, int64_t *ret);
bool int_sub(int64_t a, int64_t b, int64_t *ret);

/* *ret = a * b / c rounded up, with a 128-bit product; a, b >= 0, c > 0. */
bool int_mul_div_up(int64_t a, int64_t b, int64_t c, int64_t *ret);

/*
 * A decimal such as "50", "0.0079", "12.5" as a whole number of 10^-`decimals`.  No sign, no
 * exponent, at least one digit before the point, and at least one after it if there is one.
 * False when it has more digits after the point than `decimals`, or does not fit.
 */
bool int_parse_decimal(struct str text, unsigned decimals, int64_t *ret);

#endif
