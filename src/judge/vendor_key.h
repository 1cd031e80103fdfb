/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vendor_key: the idempotency key that a vendor sees.  Pure.
 *
 *     kb.<10 characters of HMAC(secret, scope)>.<tail>
 *
 * Only this server can make the mark of a scope, so two runs under one credential cannot meet; and
 * a retry says the same again.  What would be longer than the vendor takes is an HMAC of the whole.
 */
#ifndef JUDGE_VENDOR_KEY_H
#define JUDGE_VENDOR_KEY_H

#include "base/arena.h"

struct str vendor_key_make(struct arena *arena, struct str secret, struct str scope,
                           struct str tail, size_t max);

#endif
