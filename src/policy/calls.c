/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/calls.h"

#include "base/limits.h"

enum {
    SEALED_BYTES_MAX = 128 * 1024, /* as in ROW_CREDENTIAL */
    FIELDS_JSON_MAX = 16 * 1024,
    CA_PEM_MAX = 64 * 1024,
    URL_MAX = 1024,
    REASON_MAX = 1024,
    FIELD_MAX_COUNT = 16,
    HOSTS_MAX = 64,
};

static const struct wire_field patch_fields[] = {
    WIRE_U64(struct call_patch, named), WIRE_STRUCT(struct call_patch, policy, &policy_schema)};
const struct wire_schema call_patch_schema = WIRE_SCHEMA(struct call_patch, patch_fields);

static const struct wire_field key_filter_fields[] = {
    WIRE_STR(struct call_key_filter, label_prefix, LIMIT_LABEL_BYTES),
    WIRE_STR(struct call_key_filter, vendor, LIMIT_NAME_BYTES),
    WIRE_STR(struct call_key_filter, tenant, LIMIT_NAME_BYTES),
    WIRE_STR(struct call_key_filter, status, LIMIT_NAME_BYTES),
    WIRE_STR(struct call_key_filter, run_id, LIMIT_LABEL_BYTES)};
const struct wire_schema call_key_filter_schema =
    WIRE_SCHEMA(struct call_key_filter, key_filter_fields);

static const struct wire_field credential_fields[] = {
    WIRE_STR(struct call_credential, name, LIMIT_NAME_BYTES),
    WIRE_STR(struct call_credential, vendor, LIMIT_NAME_BYTES),
    WIRE_U64(struct call_credential, version),
    WIRE_STR(struct call_credential, sealed, SEALED_BYTES_MAX),
    WIRE_STR(struct call_credential, upstream, URL_MAX),
    WIRE_BOOL(struct call_credential, live_mode),
    WIRE_BOOL(struct call_credential, allow_private),
    WIRE_STR(struct call_credential, public_fields, FIELDS_JSON_MAX),
    WIRE_STR(struct call_credential, secret_hint, LIMIT_NAME_BYTES),
    WIRE_STR(struct call_credential, account_mark, FIELDS_JSON_MAX),
    WIRE_BOOL(struct call_credential, new_account),
    WIRE_BOOL(struct call_credential, force)};
const struct wire_schema call_credential_schema =
    WIRE_SCHEMA(struct call_credential, credential_fields);

static const struct wire_field tenant_fields[] = {WIRE_I64(struct call_tenant, daily_cap),
                                                  WIRE_I64(struct call_tenant, total_cap)};
const struct wire_schema call_tenant_schema = WIRE_SCHEMA(struct call_tenant, tenant_fields);

static const struct wire_field resolve_fields[] = {
    WIRE_BOOL(struct call_resolve, posted), WIRE_I64(struct call_resolve, amount),
    WIRE_STR(struct call_resolve, row, LIMIT_HEAD_BYTES),
    WIRE_STR(struct call_resolve, note, LIMIT_LABEL_BYTES)};
const struct wire_schema call_resolve_schema = WIRE_SCHEMA(struct call_resolve, resolve_fields);

static const struct wire_field fx_rate_fields[] = {
    WIRE_STR(struct call_fx_rate, currency, LIMIT_NAME_BYTES),
    WIRE_I64(struct call_fx_rate, nano_per_unit)};
static const struct wire_schema fx_rate_schema = WIRE_SCHEMA(struct call_fx_rate, fx_rate_fields);
static const struct wire_field fx_fields[] = {
    WIRE_STR(struct call_fx, source, LIMIT_LABEL_BYTES), WIRE_I64(struct call_fx, as_of_ms),
    WIRE_U32(struct call_fx, margin_percent),
    WIRE_ARRAY(struct call_fx, rates, rate_count, CALL_FX_RATES_MAX, &fx_rate_schema)};
const struct wire_schema call_fx_schema = WIRE_SCHEMA(struct call_fx, fx_fields);

static const struct wire_field stop_fields[] = {
    WIRE_STR(struct call_stop, kind, LIMIT_NAME_BYTES),
    WIRE_STR(struct call_stop, value, LIMIT_LABEL_BYTES),
    WIRE_STR(struct call_stop, reason, REASON_MAX)};
const struct wire_schema call_stop_schema = WIRE_SCHEMA(struct call_stop, stop_fields);

static const struct wire_field bounds_fields[] = {
    WIRE_ARRAY(struct call_bounds, vendors, vendor_count, LIMIT_LIST_VALUES, &wire_str_schema),
    WIRE_ARRAY(struct call_bounds, entries, entry_count, LIMIT_ALLOWLIST_ENTRIES, &wire_str_schema),
    WIRE_I64(struct call_bounds, daily_cap),
    WIRE_I64(struct call_bounds, total_cap),
    WIRE_U64(struct call_bounds, ttl_max_ms),
    WIRE_STR(struct call_bounds, label_prefix, LIMIT_LABEL_BYTES),
    WIRE_STR(struct call_bounds, tenant, LIMIT_NAME_BYTES)};
const struct wire_schema call_bounds_schema = WIRE_SCHEMA(struct call_bounds, bounds_fields);

static const struct wire_field operator_fields[] = {
    WIRE_STR(struct call_operator, name, LIMIT_NAME_BYTES),
    WIRE_ENUM(struct call_operator, role, OPERATOR_ROLE_COUNT),
    WIRE_STR(struct call_operator, bounds, FIELDS_JSON_MAX)};
const struct wire_schema call_operator_schema = WIRE_SCHEMA(struct call_operator, operator_fields);

static const struct wire_field explain_facts_fields[] = {
    WIRE_STRUCT(struct call_explain_facts, admit, &message_admit_schema),
    WIRE_STRUCT(struct call_explain_facts, facts, &message_facts_schema)};
const struct wire_schema call_explain_facts_schema =
    WIRE_SCHEMA(struct call_explain_facts, explain_facts_fields);

static const struct wire_field session_fields[] = {
    WIRE_ARRAY(struct call_session, policies, policy_count, LIMIT_SESSION_KEYS, &policy_schema)};
const struct wire_schema call_session_schema = WIRE_SCHEMA(struct call_session, session_fields);
static const struct wire_field session_end_fields[] = {
    WIRE_STR(struct call_session_end, reason, LIMIT_LABEL_BYTES)};
const struct wire_schema call_session_end_schema =
    WIRE_SCHEMA(struct call_session_end, session_end_fields);

static const struct wire_field sealed_field_fields[] = {
    WIRE_STR(struct sealed_field, name, LIMIT_NAME_BYTES),
    WIRE_STR(struct sealed_field, value, LIMIT_SECRET_BYTES_MAX)};
static const struct wire_schema sealed_field_schema =
    WIRE_SCHEMA(struct sealed_field, sealed_field_fields);
static const struct wire_field sealed_fields[] = {
    WIRE_STR(struct sealed_credential, name, LIMIT_NAME_BYTES),
    WIRE_STR(struct sealed_credential, vendor, LIMIT_NAME_BYTES),
    WIRE_U64(struct sealed_credential, version),
    WIRE_ARRAY(struct sealed_credential, fields, field_count, FIELD_MAX_COUNT,
               &sealed_field_schema),
    WIRE_ARRAY(struct sealed_credential, secret_fields, secret_field_count, FIELD_MAX_COUNT,
               &wire_str_schema),
    WIRE_ARRAY(struct sealed_credential, hosts, host_count, HOSTS_MAX, &wire_str_schema),
    WIRE_STR(struct sealed_credential, upstream, URL_MAX),
    WIRE_STR(struct sealed_credential, ca_pem, CA_PEM_MAX),
    WIRE_BOOL(struct sealed_credential, allow_private)};
const struct wire_schema sealed_credential_schema =
    WIRE_SCHEMA(struct sealed_credential, sealed_fields);
