/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/usd.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/integer.h"
#include "policy/policy.h"

enum { DECIMALS = 9, DECIMALS_SHOWN_MIN = 2 };

struct usd_text usd_text(int64_t nano)
{
    struct usd_text out = {""};
    /* Unsigned, so that INT64_MIN has a positive twin. */
    uint64_t amount = nano < 0 ? ~(uint64_t)nano + 1 : (uint64_t)nano;
    int len = snprintf(out.text, sizeof(out.text), "%s%" PRIu64 ".%09" PRIu64, nano < 0 ? "-" : "",
                       amount / NANO_PER_USD, amount % NANO_PER_USD);
    size_t end = (size_t)len;
    size_t shortest = end - (DECIMALS - DECIMALS_SHOWN_MIN);

    while (end > shortest && out.text[end - 1] == '0') {
        out.text[--end] = '\0';
    }
    return out;
}

bool usd_parse(struct str text, int64_t *ret_nano)
{
    return int_parse_decimal(text, DECIMALS, ret_nano);
}

void json_usd(struct json_out *out, int64_t nano)
{
    if (nano == MONEY_NONE) {
        json_put_null(out);
        return;
    }
    struct usd_text text = usd_text(nano);
    json_text(out, str_from(text.text));
}
