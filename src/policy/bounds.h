/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bounds: what an issuer may hand out at most.
 */
#ifndef POLICY_BOUNDS_H
#define POLICY_BOUNDS_H

#include "base/json_out.h"
#include "policy/calls.h"

/* 0 when the key lies within them; -1 with what does not. */
int bounds_check(const struct call_bounds *bounds, const struct policy *policy,
                 const struct pack *pack, int64_t now_ms, struct err *err);

void bounds_json(struct json_out *out, const struct call_bounds *bounds); /* an object */

#endif
