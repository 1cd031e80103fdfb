/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The compiled configuration on the wire.  The maxima here are the limits of docs/packs.md; the
 * loader refuses what is above them, with the place in the file.
 */
#include "base/limits.h"
#include "pack/pack.h"

#define S(type, field, max) WIRE_STR(struct type, field, max)
#define A(type, field, counter, max, sub) WIRE_ARRAY(struct type, field, counter, max, sub)

static const struct wire_field upstream_fields[] = {
    S(pack_upstream, alias, PACK_NAME_MAX),
    WIRE_BOOL(struct pack_upstream, tls),
    S(pack_upstream, host, PACK_HOST_MAX),
    WIRE_U32(struct pack_upstream, port),
    S(pack_upstream, prefix, PACK_TEXT_MAX),
    A(pack_upstream, hosts, host_count, PACK_LIST_MAX, &wire_str_schema),
    WIRE_BOOL(struct pack_upstream, is_default),
    WIRE_BOOL(struct pack_upstream, allowed)};
static const struct wire_schema upstream_schema =
    WIRE_SCHEMA(struct pack_upstream, upstream_fields);

static const struct wire_field accept_fields[] = {WIRE_ENUM(struct pack_accept, form, FORM_COUNT),
                                                  S(pack_accept, name, PACK_NAME_MAX)};
static const struct wire_schema accept_schema = WIRE_SCHEMA(struct pack_accept, accept_fields);

static const struct wire_field field_fields[] = {
    S(pack_field, name, PACK_NAME_MAX), WIRE_BOOL(struct pack_field, secret),
    WIRE_BOOL(struct pack_field, required),
    A(pack_field, prefixes, prefix_count, PACK_LIST_MAX, &wire_str_schema)};
static const struct wire_schema field_schema = WIRE_SCHEMA(struct pack_field, field_fields);

static const struct wire_field inject_fields[] = {
    WIRE_ENUM(struct pack_inject, kind, INJECT_COUNT), S(pack_inject, header, PACK_NAME_MAX),
    S(pack_inject, secret_field, PACK_NAME_MAX),
    A(pack_inject, user_fields, user_field_count, PACK_LIST_MAX, &wire_str_schema),
    S(pack_inject, user_literal, PACK_NAME_MAX)};
static const struct wire_schema inject_schema = WIRE_SCHEMA(struct pack_inject, inject_fields);

static const struct wire_field set_header_fields[] = {S(pack_set_header, name, PACK_NAME_MAX),
                                                      S(pack_set_header, field, PACK_NAME_MAX)};
static const struct wire_schema set_header_schema =
    WIRE_SCHEMA(struct pack_set_header, set_header_fields);

static const struct wire_field bound_param_fields[] = {S(pack_bound_param, param, PACK_NAME_MAX),
                                                       S(pack_bound_param, field, PACK_NAME_MAX)};
static const struct wire_schema bound_param_schema =
    WIRE_SCHEMA(struct pack_bound_param, bound_param_fields);

static const struct wire_field encoding_fields[] = {
    S(pack_encoding, prefix, PACK_TEXT_MAX),
    WIRE_ENUM(struct pack_encoding, encoding, ENCODING_COUNT)};
static const struct wire_schema encoding_schema =
    WIRE_SCHEMA(struct pack_encoding, encoding_fields);

static const struct wire_field header_fields[] = {
    S(pack_header, name, PACK_NAME_MAX), WIRE_ENUM(struct pack_header, rule, HEADER_RULE_COUNT)};
static const struct wire_schema header_schema = WIRE_SCHEMA(struct pack_header, header_fields);

static const struct wire_field idempotency_fields[] = {
    S(pack_idempotency, header, PACK_NAME_MAX), WIRE_U64(struct pack_idempotency, max),
    WIRE_U64(struct pack_idempotency, window_ms), S(pack_idempotency, replay_header, PACK_NAME_MAX),
    WIRE_BOOL(struct pack_idempotency, every_post)};
static const struct wire_schema idempotency_schema =
    WIRE_SCHEMA(struct pack_idempotency, idempotency_fields);

static const struct wire_field exponent_fields[] = {S(pack_exponent, currency, PACK_NAME_MAX),
                                                    WIRE_U32(struct pack_exponent, digits)};
static const struct wire_schema exponent_schema =
    WIRE_SCHEMA(struct pack_exponent, exponent_fields);

static const struct wire_field rate_fields[] = {
    S(pack_rate, name, PACK_NAME_MAX), S(pack_rate, match, PACK_NAME_MAX),
    WIRE_I64(struct pack_rate, price), S(pack_rate, source, PACK_TEXT_MAX),
    WIRE_I64(struct pack_rate, as_of_ms)};
static const struct wire_schema rate_schema = WIRE_SCHEMA(struct pack_rate, rate_fields);

static const struct wire_field operation_fields[] = {
    S(pack_operation, name, PACK_NAME_MAX),
    WIRE_ENUM(struct pack_operation, class, CLASS_COUNT),
    WIRE_U32(struct pack_operation, cost),
    WIRE_BOOL(struct pack_operation, range_allowed),
    WIRE_BOOL(struct pack_operation, idempotent),
    A(pack_operation, redact, redact_count, PACK_REDACT_MAX, &wire_str_schema)};
static const struct wire_schema operation_schema =
    WIRE_SCHEMA(struct pack_operation, operation_fields);

static const struct wire_field match_fields[] = {
    WIRE_U32(struct pack_match, operation), WIRE_U32(struct pack_match, upstream),
    S(pack_match, method, PACK_NAME_MAX), S(pack_match, path, PACK_TEXT_MAX)};
static const struct wire_schema match_schema = WIRE_SCHEMA(struct pack_match, match_fields);

static const struct wire_field amount_fields[] = {
    WIRE_ENUM(struct pack_amount, kind, AMOUNT_KIND_COUNT),
    WIRE_U32(struct pack_amount, minor),
    WIRE_U32(struct pack_amount, currency),
    WIRE_U32(struct pack_amount, held),
    S(pack_amount, rate, PACK_NAME_MAX),
    WIRE_U32(struct pack_amount, rate_by),
    WIRE_U32(struct pack_amount, times[0]),
    WIRE_U32(struct pack_amount, times[1]),
    WIRE_U32(struct pack_amount, times[2]),
    WIRE_U32(struct pack_amount, times[3]),
    WIRE_BOOL(struct pack_amount, at_least_one),
    WIRE_U32(struct pack_amount, per)};
static const struct wire_schema amount_schema = WIRE_SCHEMA(struct pack_amount, amount_fields);

static const struct wire_field condition_fields[] = {
    WIRE_ENUM(struct pack_condition, kind, CONDITION_KIND_COUNT),
    WIRE_BOOL(struct pack_condition, negated), WIRE_U32(struct pack_condition, selector),
    S(pack_condition, value, PACK_NAME_MAX)};
static const struct wire_schema condition_schema =
    WIRE_SCHEMA(struct pack_condition, condition_fields);

static const struct wire_field put_fields[] = {WIRE_ENUM(struct pack_put, kind, PUT_KIND_COUNT),
                                               WIRE_U32(struct pack_put, selector),
                                               WIRE_U64(struct pack_put, value)};
static const struct wire_schema put_schema = WIRE_SCHEMA(struct pack_put, put_fields);

static const struct wire_field settle_fields[] = {
    A(pack_settle, conditions, condition_count, PACK_LIST_MAX, &condition_schema),
    WIRE_STRUCT(struct pack_settle, amount, &amount_schema),
    WIRE_BOOL(struct pack_settle, by_secret)};
static const struct wire_schema settle_schema = WIRE_SCHEMA(struct pack_settle, settle_fields);

static const struct wire_field fetch_fields[] = {
    S(pack_fetch, path, PACK_TEXT_MAX),   S(pack_fetch, query, PACK_TEXT_MAX),
    WIRE_U32(struct pack_fetch, read),    WIRE_U32(struct pack_fetch, minor),
    WIRE_U32(struct pack_fetch, minus),   WIRE_U32(struct pack_fetch, posted),
    WIRE_U32(struct pack_fetch, currency)};
static const struct wire_schema fetch_schema = WIRE_SCHEMA(struct pack_fetch, fetch_fields);

static const struct wire_field object_fields[] = {
    S(pack_object, name, PACK_NAME_MAX),
    S(pack_object, path, PACK_TEXT_MAX),
    S(pack_object, cancel, PACK_TEXT_MAX),
    WIRE_U32(struct pack_object, read),
    A(pack_object, settles, settle_count, PACK_LIST_MAX, &settle_schema),
    WIRE_U64(struct pack_object, estimate_ms)};
static const struct wire_schema object_schema = WIRE_SCHEMA(struct pack_object, object_fields);

static const struct wire_field events_fields[] = {
    S(pack_events, path, PACK_TEXT_MAX), S(pack_events, query, PACK_TEXT_MAX),
    S(pack_events, after, PACK_NAME_MAX), WIRE_U32(struct pack_events, read),
    WIRE_U32(struct pack_events, count)};
static const struct wire_schema events_schema = WIRE_SCHEMA(struct pack_events, events_fields);

static const struct wire_field cost_fields[] = {
    S(pack_cost, name, PACK_NAME_MAX),
    WIRE_U32(struct pack_cost, request_read),
    WIRE_U32(struct pack_cost, answer_read),
    WIRE_STRUCT(struct pack_cost, reserve, &amount_schema),
    A(pack_cost, more, more_count, PACK_AMOUNTS_MAX - 1, &amount_schema),
    A(pack_cost, free_if, free_if_count, PACK_LIST_MAX, &condition_schema),
    A(pack_cost, unknown_if, unknown_if_count, PACK_LIST_MAX, &condition_schema),
    A(pack_cost, puts, put_count, LIMIT_SPLICES, &put_schema),
    WIRE_U32(struct pack_cost, object),
    WIRE_U32(struct pack_cost, kind),
    S(pack_cost, on, PACK_NAME_MAX),
    WIRE_BOOL(struct pack_cost, total),
    A(pack_cost, whole_if, whole_if_count, PACK_LIST_MAX, &condition_schema),
    A(pack_cost, fetches, fetch_count, PACK_LIST_MAX, &fetch_schema),
    A(pack_cost, settles, settle_count, PACK_LIST_MAX, &settle_schema)};
static const struct wire_schema cost_schema = WIRE_SCHEMA(struct pack_cost, cost_fields);

static const struct wire_field status_fields[] = {S(pack_status, code, PACK_NAME_MAX),
                                                  WIRE_U32(struct pack_status, status)};
static const struct wire_schema status_schema = WIRE_SCHEMA(struct pack_status, status_fields);

static const struct wire_field type_fields[] = {S(pack_type, code, PACK_NAME_MAX),
                                                S(pack_type, type, PACK_NAME_MAX)};
static const struct wire_schema type_schema = WIRE_SCHEMA(struct pack_type, type_fields);

static const struct wire_field deny_fields[] = {
    A(pack_deny, statuses, status_count, PACK_LIST_MAX, &status_schema),
    A(pack_deny, headers, header_count, PACK_LIST_MAX, &message_header_schema),
    S(pack_deny, content_type, PACK_NAME_MAX), S(pack_deny, body, PACK_BODY_MAX),
    A(pack_deny, types, type_count, PACK_LIST_MAX, &type_schema)};
static const struct wire_schema deny_schema = WIRE_SCHEMA(struct pack_deny, deny_fields);

static const struct wire_field env_fields[] = {S(pack_env, name, PACK_NAME_MAX),
                                               S(pack_env, value, PACK_TEXT_MAX)};
static const struct wire_schema env_schema = WIRE_SCHEMA(struct pack_env, env_fields);

static const struct wire_field pack_fields[] = {
    S(pack, vendor, PACK_NAME_MAX),
    S(pack, revision, PACK_NAME_MAX),
    WIRE_BOOL(struct pack, generic),
    A(pack, upstreams, upstream_count, PACK_LIST_MAX, &upstream_schema),
    A(pack, accepts, accept_count, PACK_LIST_MAX, &accept_schema),
    A(pack, fields, field_count, PACK_LIST_MAX, &field_schema),
    S(pack, check, PACK_TEXT_MAX),
    S(pack, live_mark, PACK_NAME_MAX),
    S(pack, test_mark, PACK_NAME_MAX),
    WIRE_STRUCT(struct pack, inject, &inject_schema),
    A(pack, set_headers, set_header_count, PACK_LIST_MAX, &set_header_schema),
    A(pack, bound_params, bound_param_count, PACK_LIST_MAX, &bound_param_schema),
    A(pack, encodings, encoding_count, PACK_LIST_MAX, &encoding_schema),
    A(pack, headers, header_count, PACK_LIST_MAX, &header_schema),
    A(pack, fetch_headers, fetch_header_count, PACK_LIST_MAX, &message_header_schema),
    A(pack, drop_headers, drop_header_count, PACK_LIST_MAX, &wire_str_schema),
    A(pack, account_params, account_param_count, PACK_LIST_MAX, &wire_str_schema),
    S(pack, account_prefix, PACK_NAME_MAX),
    A(pack, account_pointers, account_pointer_count, PACK_LIST_MAX, &wire_str_schema),
    WIRE_U32(struct pack, default_read),
    WIRE_U32(struct pack, default_json_read),
    WIRE_STRUCT(struct pack, idempotency, &idempotency_schema),
    A(pack, exponents, exponent_count, PACK_EXPONENTS_MAX, &exponent_schema),
    A(pack, rates, rate_count, PACK_RATES_MAX, &rate_schema),
    A(pack, operations, operation_count, PACK_OPERATIONS_MAX, &operation_schema),
    A(pack, matches, match_count, PACK_MATCHES_MAX, &match_schema),
    A(pack, objects, object_count, PACK_OBJECTS_MAX, &object_schema),
    WIRE_STRUCT(struct pack, events, &events_schema),
    A(pack, costs, cost_count, PACK_COSTS_MAX, &cost_schema),
    A(pack, free_statuses, free_status_count, PACK_LIST_MAX, &wire_u64_schema),
    WIRE_STRUCT(struct pack, deny, &deny_schema),
    WIRE_BOOL(struct pack, retry_unknown),
    S(pack, request_id_header, PACK_NAME_MAX),
    WIRE_U64(struct pack, first_byte_ms),
    A(pack, env, env_count, PACK_LIST_MAX, &env_schema)};
static const struct wire_schema pack_schema = WIRE_SCHEMA(struct pack, pack_fields);

static const struct wire_field selector_fields[] = {
    WIRE_ENUM(struct pack_selector, kind, SELECT_KIND_COUNT),
    S(pack_selector, name, PACK_TEXT_MAX)};
static const struct wire_schema selector_schema =
    WIRE_SCHEMA(struct pack_selector, selector_fields);

static const struct wire_field read_fields[] = {
    WIRE_ENUM(struct pack_read, encoding, ENCODING_COUNT),
    A(pack_read, selectors, selector_count, PACK_SELECTORS_MAX, &selector_schema),
    WIRE_U32(struct pack_read, account_count),
    A(pack_read, once, once_count, PACK_LIST_MAX, &wire_str_schema),
    A(pack_read, places, place_count, LIMIT_SPLICES, &wire_u64_schema),
    WIRE_BOOL(struct pack_read, refuse_card_data),
    S(pack_read, account_prefix, PACK_NAME_MAX)};
static const struct wire_schema read_schema = WIRE_SCHEMA(struct pack_read, read_fields);

static const struct wire_field fx_fields[] = {S(config_fx, currency, PACK_NAME_MAX),
                                              WIRE_I64(struct config_fx, nano_per_unit)};
static const struct wire_schema fx_schema = WIRE_SCHEMA(struct config_fx, fx_fields);

static const struct wire_field listener_fields[] = {S(config_listener, address, PACK_HOST_MAX),
                                                    WIRE_BOOL(struct config_listener, tls),
                                                    WIRE_BOOL(struct config_listener, control)};
static const struct wire_schema listener_schema =
    WIRE_SCHEMA(struct config_listener, listener_fields);

static const struct wire_field config_fields[] = {
    A(config, packs, pack_count, CONFIG_PACKS_MAX, &pack_schema),
    A(config, reads, read_count, CONFIG_READS_MAX, &read_schema),
    A(config, fx, fx_count, CONFIG_FX_MAX, &fx_schema),
    WIRE_I64(struct config, fx_as_of_ms),
    S(config, fx_source, PACK_TEXT_MAX),
    WIRE_U32(struct config, fx_margin_percent),
    A(config, listeners, listener_count, CONFIG_LISTENERS_MAX, &listener_schema),
    S(config, public_url, PACK_TEXT_MAX),
    A(config, proxy_from, proxy_from_count, LIMIT_PROXY_NETWORKS, &wire_str_schema),
    WIRE_U64(struct config, ttl_default_ms),
    WIRE_U64(struct config, ttl_max_ms),
    WIRE_BOOL(struct config, self_revoke),
    WIRE_BOOL(struct config, dial_private),
    WIRE_U64(struct config, memory_bytes),
    WIRE_U32(struct config, gates)};
const struct wire_schema config_schema = WIRE_SCHEMA(struct config, config_fields);
