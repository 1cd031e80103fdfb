/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_parse: an operator's JSON as a policy or as a change of one.
 *
 * Unknown members are refused, and so is a member in both of its spellings.  What is read is in
 * `arena`.  Only the form is checked here; policy_check() does the rest.
 */
#ifndef POLICY_POLICY_PARSE_H
#define POLICY_POLICY_PARSE_H

#include <jansson.h>

#include "policy/calls.h"

/* A whole policy.  vendor, allowed_endpoints and daily_usd_cap (a number or an explicit null) must
 * be there; without an expiry the key lives config->ttl_default_ms. */
int policy_parse(json_t *body, const struct config *config, int64_t now_ms, struct arena *arena,
                 struct policy *ret, struct err *err);

/* A merge patch (RFC 7396): null takes a member back to its default. */
int policy_parse_patch(json_t *body, int64_t now_ms, struct arena *arena, struct call_patch *ret,
                       struct err *err);

/* { vendors[], allowed_endpoints[], daily_usd_cap, total_usd_cap, max_ttl, label_prefix, tenant }
 */
int policy_parse_bounds(json_t *body, struct arena *arena, struct call_bounds *ret,
                        struct err *err);

/* Dollars in: a whole number, a text with up to 9 decimals, or a fraction that has at most 6 when
 * printed with 15 digits.  null is MONEY_NONE. */
int policy_parse_usd(const json_t *value, const char *name, int64_t *ret_nano, struct err *err);

#endif
