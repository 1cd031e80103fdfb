/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/money.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/integer.h"

enum { DIGITS = 9, DIGITS_SHOWN_MIN = 2 };

struct money_text money_text(int64_t nano)
{
    struct money_text out = {""};
    uint64_t size = nano < 0 ? 0 - (uint64_t)nano : (uint64_t)nano;
    uint64_t whole = size / (uint64_t)MONEY_DOLLAR;
    uint64_t rest = size % (uint64_t)MONEY_DOLLAR;

    int len = snprintf(out.text, sizeof(out.text), "%s%" PRIu64 ".%0*" PRIu64, nano < 0 ? "-" : "",
                       whole, DIGITS, rest);
    for (int shown = DIGITS; shown > DIGITS_SHOWN_MIN && out.text[len - 1] == '0'; shown--) {
        out.text[--len] = '\0';
    }
    return out;
}

bool money_parse(struct str text, int64_t *ret_nano)
{
    return int_parse_decimal(text, DIGITS, ret_nano);
}
