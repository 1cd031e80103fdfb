/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usd: nano-dollars as people and JSON see them: "50.00", "0.0079", "12.5" becomes "12.50".
 */
#ifndef POLICY_USD_H
#define POLICY_USD_H

#include "base/json_out.h"
#include "base/str.h"

#define NANO_PER_USD INT64_C(1000000000)

enum { USD_TEXT_SIZE = 32 };
struct usd_text {
    char text[USD_TEXT_SIZE];
};

/* At least two decimals, at most nine, no zero behind the second. */
struct usd_text usd_text(int64_t nano);

/* A decimal with up to 9 decimals; not negative. */
bool usd_parse(struct str text, int64_t *ret_nano);

/* A JSON string; MONEY_NONE (-1) is null.  Other negative amounts keep their sign. */
void json_usd(struct json_out *out, int64_t nano);

#endif
