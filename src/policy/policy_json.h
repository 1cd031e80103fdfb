/* SPDX-License-Identifier: Apache-2.0 */
/*
 * policy_json: a policy in the words of the control API.
 */
#ifndef POLICY_POLICY_JSON_H
#define POLICY_POLICY_JSON_H

#include "base/json_out.h"
#include "policy/policy.h"

/* The members, into an object that the caller has open, so that it may add its own: label, vendor,
 * credential, tenant, run_id, parent, idempotency_scope, daily_usd_cap, total_usd_cap,
 * allowed_endpoints, expires_at, limits, params, mode, token_style. */
void policy_json_members(struct json_out *out, const struct policy *policy);

/* For a holder of the key: of parent and tenant only that they limit ("limited_by"). */
void policy_json_members_for_self(struct json_out *out, const struct policy *policy);

const char *policy_mode_name(enum policy_mode mode);
const char *token_style_name(enum token_style style);

void json_time(struct json_out *out, int64_t wall_ms); /* RFC 3339, or null for 0 */

/* Members, beside those of json_out.h: an amount of dollars, a time. */
void json_member_usd(struct json_out *out, const char *name, int64_t nano);
void json_member_time(struct json_out *out, const char *name, int64_t wall_ms);

#endif
