/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/message.h"

#include "base/limits.h"

enum {
    NAME_MAX_BYTES = 1024,
    TEXT_MAX = 16 * 1024,
    POLICY_MAX = 512 * 1024,
    SEALED_MAX = 128 * 1024,
    FILE_MAX = 256 * 1024,
    BODY_MAX = LIMIT_JUDGED_BODY_BYTES + 64 * 1024,
    FACTS_MAX = 256,
};

static const struct wire_field empty_fields[] = {WIRE_BOOL(struct message_empty, unused)};
static const struct wire_field header_fields[] = {
    WIRE_STR(struct message_header, name, NAME_MAX_BYTES),
    WIRE_STR(struct message_header, value, LIMIT_HEAD_BYTES)};
const struct wire_schema message_header_schema = WIRE_SCHEMA(struct message_header, header_fields);
static const struct wire_field channel_fields[] = {
    WIRE_ENUM(struct message_channel, peer, ROLE_COUNT),
    WIRE_U32(struct message_channel, peer_index), WIRE_U64(struct message_channel, incarnation)};
static const struct wire_field gone_fields[] = {WIRE_ENUM(struct message_gone, peer, ROLE_COUNT),
                                                WIRE_U32(struct message_gone, peer_index),
                                                WIRE_U64(struct message_gone, incarnation)};
static const struct wire_field config_fields[] = {WIRE_U64(struct message_config, generation)};
static const struct wire_field door_fields[] = {
    WIRE_U32(struct message_door, listener),
    WIRE_STR(struct message_door, address, NAME_MAX_BYTES)};
static const struct wire_field listener_fields[] = {
    WIRE_U32(struct message_listener, listener),
    WIRE_BOOL(struct message_listener, tls),
    WIRE_BOOL(struct message_listener, control),
    WIRE_BOOL(struct message_listener, unix_socket),
    WIRE_STR(struct message_listener, address, NAME_MAX_BYTES),
    WIRE_ENUM(struct message_listener, kind, LISTENER_KIND_COUNT),
    WIRE_STR(struct message_listener, session, NAME_MAX_BYTES),
    WIRE_STR(struct message_listener, ca_pem, TEXT_MAX),
    WIRE_STR(struct message_listener, ca_key, TEXT_MAX)};
static const struct wire_field session_end_fields[] = {
    WIRE_STR(struct message_session_end, session, NAME_MAX_BYTES)};
static const struct wire_field certificate_fields[] = {
    WIRE_STR(struct message_certificate, chain_pem, FILE_MAX),
    WIRE_STR(struct message_certificate, key_pem, FILE_MAX)};
static const struct wire_field ca_fields[] = {WIRE_STR(struct message_ca, file, FILE_MAX)};
static const struct wire_field resolver_fields[] = {
    WIRE_STR(struct message_resolver, resolv_conf, FILE_MAX),
    WIRE_STR(struct message_resolver, hosts, FILE_MAX)};
static const struct wire_field ping_fields[] = {WIRE_U64(struct message_ping, number)};
static const struct wire_field fault_fields[] = {WIRE_ENUM(struct message_fault, peer, ROLE_COUNT),
                                                 WIRE_U32(struct message_fault, peer_index),
                                                 WIRE_STR(struct message_fault, why, TEXT_MAX)};
static const struct wire_field compiled_fields[] = {
    WIRE_BOOL(struct message_compiled, ok), WIRE_STR(struct message_compiled, problem, TEXT_MAX),
    WIRE_STR(struct message_compiled, settings, FILE_MAX)};
static const struct wire_field presented_fields[] = {
    WIRE_ENUM(struct message_presented, form, FORM_COUNT),
    WIRE_STR(struct message_presented, name, NAME_MAX_BYTES),
    WIRE_STR(struct message_presented, value, LIMIT_HEAD_BYTES)};
static const struct wire_schema presented_schema =
    WIRE_SCHEMA(struct message_presented, presented_fields);
static const struct wire_field admit_fields[] = {
    WIRE_U64(struct message_admit, request),
    WIRE_ENUM(struct message_admit, door, DOOR_COUNT),
    WIRE_U32(struct message_admit, listener),
    WIRE_STR(struct message_admit, session, NAME_MAX_BYTES),
    WIRE_STR(struct message_admit, source, NAME_MAX_BYTES),
    WIRE_BOOL(struct message_admit, tls),
    WIRE_BOOL(struct message_admit, http10),
    WIRE_STR(struct message_admit, host, TEXT_MAX),
    WIRE_STR(struct message_admit, method, NAME_MAX_BYTES),
    WIRE_STR(struct message_admit, path, LIMIT_TARGET_BYTES),
    WIRE_STR(struct message_admit, query, LIMIT_TARGET_BYTES),
    WIRE_BOOL(struct message_admit, has_query),
    WIRE_ENUM(struct message_admit, body, BODY_KIND_COUNT),
    WIRE_U64(struct message_admit, content_length),
    WIRE_BOOL(struct message_admit, expect_continue),
    WIRE_ARRAY(struct message_admit, presented, presented_count, LIMIT_FIELDS, &presented_schema),
    WIRE_ARRAY(struct message_admit, headers, header_count, LIMIT_FIELDS, &message_header_schema)};
const struct wire_schema message_admit_schema = WIRE_SCHEMA(struct message_admit, admit_fields);
static const struct wire_field read_body_fields[] = {
    WIRE_U64(struct message_read_body, request), WIRE_U64(struct message_read_body, generation),
    WIRE_U32(struct message_read_body, rule), WIRE_U64(struct message_read_body, bytes_max)};
static const struct wire_field granted_fields[] = {
    WIRE_U64(struct message_granted, request), WIRE_U64(struct message_granted, grant),
    WIRE_U64(struct message_granted, key),
    WIRE_STR(struct message_granted, request_id, NAME_MAX_BYTES)};
static const struct wire_field answer_fields[] = {
    WIRE_U64(struct message_answer, request),
    WIRE_U32(struct message_answer, status),
    WIRE_STR(struct message_answer, reason, TEXT_MAX),
    WIRE_ARRAY(struct message_answer, headers, header_count, LIMIT_FIELDS, &message_header_schema),
    WIRE_STR(struct message_answer, body, BODY_MAX),
    WIRE_BOOL(struct message_answer, close)};
static const struct wire_field done_fields[] = {
    WIRE_U64(struct message_done, request),   WIRE_U64(struct message_done, grant),
    WIRE_U32(struct message_done, status),    WIRE_U64(struct message_done, bytes_in),
    WIRE_U64(struct message_done, bytes_out), WIRE_U64(struct message_done, first_byte_us),
    WIRE_U64(struct message_done, total_us),  WIRE_BOOL(struct message_done, client_gone)};
static const struct wire_field cut_fields[] = {
    WIRE_U64(struct message_cut, cut),
    WIRE_ARRAY(struct message_cut, keys, key_count, LIMIT_LIVE_KEYS, &wire_u64_schema)};
static const struct wire_field cut_done_fields[] = {WIRE_U64(struct message_cut_done, cut)};
static const struct wire_field gate_stats_fields[] = {
    WIRE_U64(struct message_gate_stats, connections),
    WIRE_U64(struct message_gate_stats, connections_idle),
    WIRE_U64(struct message_gate_stats, streams),
    WIRE_U64(struct message_gate_stats, buffered_bytes),
    WIRE_U64(struct message_gate_stats, queue_bytes),
    WIRE_U64(struct message_gate_stats, refused_heads)};
static const struct wire_field tunnel_fields[] = {
    WIRE_U64(struct message_tunnel, request),
    WIRE_ENUM(struct message_tunnel, door, DOOR_COUNT),
    WIRE_U32(struct message_tunnel, listener),
    WIRE_STR(struct message_tunnel, session, NAME_MAX_BYTES),
    WIRE_STR(struct message_tunnel, source, NAME_MAX_BYTES),
    WIRE_STR(struct message_tunnel, host, NAME_MAX_BYTES),
    WIRE_U32(struct message_tunnel, port),
    WIRE_ARRAY(struct message_tunnel, presented, presented_count, LIMIT_FIELDS, &presented_schema)};
static const struct wire_field tunnelled_fields[] = {
    WIRE_U64(struct message_tunnelled, request), WIRE_BOOL(struct message_tunnelled, splice),
    WIRE_U64(struct message_tunnelled, key), WIRE_U64(struct message_tunnelled, dial),
    WIRE_STR(struct message_tunnelled, request_id, NAME_MAX_BYTES)};
static const struct wire_field tunnel_done_fields[] = {
    WIRE_U64(struct message_tunnel_done, request),
    WIRE_BOOL(struct message_tunnel_done, connected),
    WIRE_STR(struct message_tunnel_done, problem, TEXT_MAX),
    WIRE_U64(struct message_tunnel_done, bytes_in),
    WIRE_U64(struct message_tunnel_done, bytes_out),
    WIRE_U64(struct message_tunnel_done, total_us)};
static const struct wire_field dial_fields[] = {WIRE_U64(struct message_dial, dial),
                                                WIRE_U32(struct message_dial, gate),
                                                WIRE_U64(struct message_dial, gate_incarnation),
                                                WIRE_STR(struct message_dial, host, NAME_MAX_BYTES),
                                                WIRE_U32(struct message_dial, port),
                                                WIRE_BOOL(struct message_dial, allow_private)};
static const struct wire_field dialled_fields[] = {
    WIRE_U64(struct message_dialled, dial), WIRE_BOOL(struct message_dialled, connected),
    WIRE_STR(struct message_dialled, problem, TEXT_MAX)};
static const struct wire_field dials_lost_fields[] = {WIRE_U64(struct message_dials_lost, dial)};
static const struct wire_field leaf_get_fields[] = {
    WIRE_U64(struct message_leaf_get, request),
    WIRE_STR(struct message_leaf_get, public_key, NAME_MAX_BYTES)};
static const struct wire_field leaf_fields[] = {
    WIRE_U64(struct message_leaf, request), WIRE_STR(struct message_leaf, host, NAME_MAX_BYTES),
    WIRE_STR(struct message_leaf, certificate, TEXT_MAX),
    WIRE_STR(struct message_leaf, problem, TEXT_MAX)};
static const struct wire_field leaf_sign_fields[] = {
    WIRE_U64(struct message_leaf_sign, request),
    WIRE_STR(struct message_leaf_sign, host, NAME_MAX_BYTES),
    WIRE_STR(struct message_leaf_sign, public_key, NAME_MAX_BYTES)};
static const struct wire_field body_fields[] = {
    WIRE_U64(struct message_body, request), WIRE_BOOL(struct message_body, answer),
    WIRE_U64(struct message_body, generation), WIRE_U32(struct message_body, rule)};
static const struct wire_field body_data_fields[] = {
    WIRE_U64(struct message_body_data, request),
    WIRE_STR(struct message_body_data, bytes, BODY_MAX)};
static const struct wire_field body_end_fields[] = {WIRE_U64(struct message_body_end, request),
                                                    WIRE_BOOL(struct message_body_end, complete)};
static const struct wire_field fact_fields[] = {
    WIRE_ENUM(struct message_fact, kind, FACT_KIND_COUNT), WIRE_I64(struct message_fact, number),
    WIRE_STR(struct message_fact, text, TEXT_MAX)};
static const struct wire_schema fact_schema = WIRE_SCHEMA(struct message_fact, fact_fields);
static const struct wire_field place_fields[] = {
    WIRE_U32(struct message_place, selector), WIRE_U64(struct message_place, offset),
    WIRE_U64(struct message_place, length), WIRE_U32(struct message_place, missing),
    WIRE_BOOL(struct message_place, occupied)};
static const struct wire_schema place_schema = WIRE_SCHEMA(struct message_place, place_fields);
static const struct wire_field facts_fields[] = {
    WIRE_U64(struct message_facts, request),
    WIRE_BOOL(struct message_facts, answer),
    WIRE_U64(struct message_facts, generation),
    WIRE_U32(struct message_facts, rule),
    WIRE_DIGEST(struct message_facts, digest),
    WIRE_U64(struct message_facts, length),
    WIRE_ENUM(struct message_facts, state, FACTS_STATE_COUNT),
    WIRE_STR(struct message_facts, problem, TEXT_MAX),
    WIRE_ARRAY(struct message_facts, facts, fact_count, FACTS_MAX, &fact_schema),
    WIRE_ARRAY(struct message_facts, places, place_count, LIMIT_SPLICES, &place_schema)};
const struct wire_schema message_facts_schema = WIRE_SCHEMA(struct message_facts, facts_fields);
static const struct wire_field splice_fields[] = {
    WIRE_U64(struct message_splice, offset), WIRE_U64(struct message_splice, removed),
    WIRE_STR(struct message_splice, bytes, LIMIT_SPLICED_BYTES)};
static const struct wire_schema splice_schema = WIRE_SCHEMA(struct message_splice, splice_fields);
static const struct wire_field grant_fields[] = {
    WIRE_U64(struct message_grant, grant),
    WIRE_U64(struct message_grant, gate_incarnation),
    WIRE_U64(struct message_grant, key),
    WIRE_U64(struct message_grant, credential),
    WIRE_U64(struct message_grant, credential_version),
    WIRE_STR(struct message_grant, credential_name, NAME_MAX_BYTES),
    WIRE_U64(struct message_grant, generation),
    WIRE_U32(struct message_grant, pack),
    WIRE_U32(struct message_grant, upstream),
    WIRE_ENUM(struct message_grant, inject, FORM_COUNT),
    WIRE_STR(struct message_grant, inject_name, NAME_MAX_BYTES),
    WIRE_STR(struct message_grant, method, NAME_MAX_BYTES),
    WIRE_STR(struct message_grant, path, LIMIT_TARGET_BYTES),
    WIRE_STR(struct message_grant, query, LIMIT_TARGET_BYTES),
    WIRE_BOOL(struct message_grant, has_query),
    WIRE_ARRAY(struct message_grant, headers, header_count, LIMIT_FIELDS, &message_header_schema),
    WIRE_ENUM(struct message_grant, body, BODY_KIND_COUNT),
    WIRE_U64(struct message_grant, content_length),
    WIRE_BOOL(struct message_grant, judged_body),
    WIRE_DIGEST(struct message_grant, body_digest),
    WIRE_U64(struct message_grant, body_length),
    WIRE_ARRAY(struct message_grant, splices, splice_count, LIMIT_SPLICES, &splice_schema),
    WIRE_BOOL(struct message_grant, has_hold),
    WIRE_BOOL(struct message_grant, retry_safe),
    WIRE_BOOL(struct message_grant, range_allowed),
    WIRE_U32(struct message_grant, answer_rule),
    WIRE_U64(struct message_grant, begin_by_ms),
    WIRE_U64(struct message_grant, first_byte_ms),
    WIRE_STR(struct message_grant, door_base, TEXT_MAX),
    WIRE_STR(struct message_grant, request_id, NAME_MAX_BYTES),
    WIRE_ARRAY(struct message_grant, redact, redact_count, LIMIT_REDACT_POINTERS,
               &wire_str_schema)};
static const struct wire_field sent_fields[] = {WIRE_U64(struct message_sent, grant)};
static const struct wire_field outcome_fields[] = {
    WIRE_U64(struct message_outcome, grant),
    WIRE_ENUM(struct message_outcome, outcome, OUTCOME_COUNT),
    WIRE_ENUM(struct message_outcome, error, UPSTREAM_ERROR_COUNT),
    WIRE_STR(struct message_outcome, detail, TEXT_MAX),
    WIRE_U32(struct message_outcome, status),
    WIRE_BOOL(struct message_outcome, complete),
    WIRE_DIGEST(struct message_outcome, body_digest),
    WIRE_U64(struct message_outcome, bytes_out),
    WIRE_U64(struct message_outcome, bytes_in),
    WIRE_STR(struct message_outcome, vendor_request_id, NAME_MAX_BYTES),
    WIRE_BOOL(struct message_outcome, replayed),
    WIRE_BOOL(struct message_outcome, retried),
    WIRE_BOOL(struct message_outcome, reused),
    WIRE_U64(struct message_outcome, first_byte_us),
    WIRE_U64(struct message_outcome, total_us),
    WIRE_U64(struct message_outcome, connect_us),
    WIRE_U64(struct message_outcome, scrubbed)};
static const struct wire_field release_fields[] = {WIRE_U64(struct message_release, grant)};
static const struct wire_field forget_credential_fields[] = {
    WIRE_U64(struct message_forget_credential, credential)};
static const struct wire_field sign_head_fields[] = {WIRE_U64(struct message_sign_head, sequence),
                                                     WIRE_DIGEST(struct message_sign_head, head),
                                                     WIRE_I64(struct message_sign_head, at_ms)};
static const struct wire_field signed_fields[] = {
    WIRE_U64(struct message_signed, sequence),
    WIRE_STR(struct message_signed, signature, NAME_MAX_BYTES),
    WIRE_STR(struct message_signed, public_key, NAME_MAX_BYTES)};
static const struct wire_field vault_stats_fields[] = {
    WIRE_U64(struct message_vault_stats, connections_busy),
    WIRE_U64(struct message_vault_stats, connections_idle),
    WIRE_U64(struct message_vault_stats, streams),
    WIRE_U64(struct message_vault_stats, queue_bytes),
    WIRE_U64(struct message_vault_stats, handshakes),
    WIRE_U64(struct message_vault_stats, resumed)};
static const struct wire_field forward_fields[] = {WIRE_U64(struct message_forward, grant),
                                                   WIRE_ARRAY(struct message_forward, headers,
                                                              header_count, LIMIT_FIELDS,
                                                              &message_header_schema)};
static const struct wire_field head_fields[] = {
    WIRE_U64(struct message_head, grant),
    WIRE_U32(struct message_head, status),
    WIRE_STR(struct message_head, reason, TEXT_MAX),
    WIRE_ARRAY(struct message_head, headers, header_count, LIMIT_FIELDS, &message_header_schema),
    WIRE_ENUM(struct message_head, body, BODY_KIND_COUNT),
    WIRE_U64(struct message_head, content_length),
    WIRE_BOOL(struct message_head, interim)};
static const struct wire_field data_fields[] = {WIRE_U64(struct message_data, grant),
                                                WIRE_STR(struct message_data, bytes, BODY_MAX)};
static const struct wire_field end_fields[] = {WIRE_U64(struct message_end, grant)};
static const struct wire_field reset_fields[] = {
    WIRE_U64(struct message_reset, grant),
    WIRE_ENUM(struct message_reset, error, UPSTREAM_ERROR_COUNT),
    WIRE_STR(struct message_reset, detail, TEXT_MAX)};
static const struct wire_field window_fields[] = {WIRE_U64(struct message_window, grant),
                                                  WIRE_U64(struct message_window, bytes)};
static const struct wire_field blob_get_fields[] = {WIRE_U64(struct message_blob_get, credential)};
static const struct wire_field blob_fields[] = {
    WIRE_U64(struct message_blob, credential), WIRE_U64(struct message_blob, version),
    WIRE_BOOL(struct message_blob, found), WIRE_STR(struct message_blob, sealed, SEALED_MAX)};
static const struct wire_field loaded_fields[] = {WIRE_U64(struct message_loaded, audit_sequence),
                                                  WIRE_DIGEST(struct message_loaded, audit_head),
                                                  WIRE_I64(struct message_loaded, newest_at_ms)};
static const struct wire_field commit_fields[] = {WIRE_U64(struct message_commit, batch),
                                                  WIRE_BOOL(struct message_commit, wait),
                                                  WIRE_BOOL(struct message_commit, again)};
static const struct wire_field committed_fields[] = {WIRE_U64(struct message_committed, batch),
                                                     WIRE_U64(struct message_committed, commit_us),
                                                     WIRE_U64(struct message_committed, rows)};
static const struct wire_field store_refused_fields[] = {
    WIRE_U64(struct message_store_refused, batch),
    WIRE_STR(struct message_store_refused, problem, TEXT_MAX)};
static const struct wire_field row_meta_fields[] = {
    WIRE_STR(struct message_row_meta, name, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_meta, value, LIMIT_HEAD_BYTES)};
static const struct wire_field row_key_fields[] = {
    WIRE_U64(struct message_row_key, key),
    WIRE_STR(struct message_row_key, id, NAME_MAX_BYTES),
    WIRE_DIGEST(struct message_row_key, token_digest),
    WIRE_STR(struct message_row_key, token_hint, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_key, policy, POLICY_MAX),
    WIRE_U64(struct message_row_key, policy_version),
    WIRE_U64(struct message_row_key, parent),
    WIRE_U64(struct message_row_key, credential),
    WIRE_ENUM(struct message_row_key, status, KEY_STATUS_COUNT),
    WIRE_I64(struct message_row_key, created_at_ms),
    WIRE_I64(struct message_row_key, expires_at_ms),
    WIRE_I64(struct message_row_key, ended_at_ms),
    WIRE_STR(struct message_row_key, created_by, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_key, label, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_key, vendor, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_key, tenant, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_key, run_id, NAME_MAX_BYTES)};
static const struct wire_field row_window_fields[] = {
    WIRE_ENUM(struct message_row_window, level, LEVEL_COUNT),
    WIRE_STR(struct message_row_window, owner, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_window, day),
    WIRE_I64(struct message_row_window, posted),
    WIRE_I64(struct message_row_window, held),
    WIRE_U32(struct message_row_window, told),
    WIRE_BOOL(struct message_row_window, overrun)};
static const struct wire_field row_hold_fields[] = {
    WIRE_U64(struct message_row_hold, hold),
    WIRE_U64(struct message_row_hold, grant),
    WIRE_U64(struct message_row_hold, key),
    WIRE_I64(struct message_row_hold, day),
    WIRE_ENUM(struct message_row_hold, state, HOLD_STATE_COUNT),
    WIRE_I64(struct message_row_hold, held),
    WIRE_I64(struct message_row_hold, posted),
    WIRE_I64(struct message_row_hold, opened_at_ms),
    WIRE_I64(struct message_row_hold, changed_at_ms),
    WIRE_BOOL(struct message_row_hold, sent),
    WIRE_STR(struct message_row_hold, vendor, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_hold, operation, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_hold, object, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_hold, currency, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_hold, amount_minor),
    WIRE_DIGEST(struct message_row_hold, idempotency),
    WIRE_BOOL(struct message_row_hold, estimated),
    WIRE_BOOL(struct message_row_hold, presumed),
    WIRE_BOOL(struct message_row_hold, overrun),
    WIRE_U64(struct message_row_hold, credential),
    WIRE_STR(struct message_row_hold, account, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_hold, vendor_key, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_hold, base),
    WIRE_I64(struct message_row_hold, rate)};
static const struct wire_field row_hold_gone_fields[] = {
    WIRE_U64(struct message_row_hold_gone, hold)};
static const struct wire_field row_idempotency_fields[] = {
    WIRE_DIGEST(struct message_row_idempotency, scope),
    WIRE_DIGEST(struct message_row_idempotency, body),
    WIRE_U64(struct message_row_idempotency, hold),
    WIRE_I64(struct message_row_idempotency, first_at_ms),
    WIRE_I64(struct message_row_idempotency, found_minor),
    WIRE_STR(struct message_row_idempotency, currency, NAME_MAX_BYTES)};
static const struct wire_field row_credential_fields[] = {
    WIRE_U64(struct message_row_credential, credential),
    WIRE_STR(struct message_row_credential, name, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_credential, vendor, NAME_MAX_BYTES),
    WIRE_U64(struct message_row_credential, version),
    WIRE_STR(struct message_row_credential, sealed, SEALED_MAX),
    WIRE_STR(struct message_row_credential, upstream, NAME_MAX_BYTES),
    WIRE_BOOL(struct message_row_credential, live_mode),
    WIRE_BOOL(struct message_row_credential, allow_private),
    WIRE_STR(struct message_row_credential, public_fields, TEXT_MAX),
    WIRE_STR(struct message_row_credential, secret_hint, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_credential, created_at_ms),
    WIRE_I64(struct message_row_credential, rotated_at_ms)};
static const struct wire_field row_credential_gone_fields[] = {
    WIRE_U64(struct message_row_credential_gone, credential)};
static const struct wire_field row_tenant_fields[] = {
    WIRE_STR(struct message_row_tenant, name, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_tenant, daily_cap), WIRE_I64(struct message_row_tenant, total_cap),
    WIRE_I64(struct message_row_tenant, changed_at_ms)};
static const struct wire_field row_stop_fields[] = {
    WIRE_U64(struct message_row_stop, stop),
    WIRE_STR(struct message_row_stop, kind, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_stop, value, LIMIT_HEAD_BYTES),
    WIRE_STR(struct message_row_stop, reason, TEXT_MAX),
    WIRE_STR(struct message_row_stop, created_by, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_stop, created_at_ms),
    WIRE_I64(struct message_row_stop, ended_at_ms)};
static const struct wire_field row_operator_fields[] = {
    WIRE_U64(struct message_row_operator, token),
    WIRE_STR(struct message_row_operator, name, NAME_MAX_BYTES),
    WIRE_DIGEST(struct message_row_operator, token_digest),
    WIRE_ENUM(struct message_row_operator, role, OPERATOR_ROLE_COUNT),
    WIRE_STR(struct message_row_operator, bounds, POLICY_MAX),
    WIRE_I64(struct message_row_operator, created_at_ms),
    WIRE_I64(struct message_row_operator, ended_at_ms)};
static const struct wire_field row_price_fields[] = {
    WIRE_STR(struct message_row_price, vendor, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_price, name, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_price, match, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_price, price),
    WIRE_STR(struct message_row_price, source, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_price, as_of_ms)};
static const struct wire_field row_audit_fields[] = {
    WIRE_U64(struct message_row_audit, sequence),
    WIRE_DIGEST(struct message_row_audit, hash),
    WIRE_ENUM(struct message_row_audit, event, AUDIT_EVENT_COUNT),
    WIRE_I64(struct message_row_audit, at_ms),
    WIRE_STR(struct message_row_audit, request_id, NAME_MAX_BYTES),
    WIRE_U64(struct message_row_audit, key),
    WIRE_STR(struct message_row_audit, vendor, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, operation, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, operation_class, NAME_MAX_BYTES),
    WIRE_BOOL(struct message_row_audit, live_mode),
    WIRE_STR(struct message_row_audit, credential, NAME_MAX_BYTES),
    WIRE_U64(struct message_row_audit, credential_version),
    WIRE_STR(struct message_row_audit, account, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, method, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, query_names, LIMIT_TARGET_BYTES),
    WIRE_STR(struct message_row_audit, verdict, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, reason, TEXT_MAX),
    WIRE_STR(struct message_row_audit, rule, TEXT_MAX),
    WIRE_U64(struct message_row_audit, policy_version),
    WIRE_U32(struct message_row_audit, status),
    WIRE_STR(struct message_row_audit, vendor_request_id, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_audit, amount_minor),
    WIRE_STR(struct message_row_audit, currency, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, rate, NAME_MAX_BYTES),
    WIRE_I64(struct message_row_audit, reserved),
    WIRE_I64(struct message_row_audit, settled),
    WIRE_U64(struct message_row_audit, hold),
    WIRE_STR(struct message_row_audit, hold_state, NAME_MAX_BYTES),
    WIRE_U64(struct message_row_audit, attempt),
    WIRE_DIGEST(struct message_row_audit, idempotency),
    WIRE_DIGEST(struct message_row_audit, body),
    WIRE_STR(struct message_row_audit, levels, TEXT_MAX),
    WIRE_STR(struct message_row_audit, door, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, actor, NAME_MAX_BYTES),
    WIRE_U64(struct message_row_audit, bytes_in),
    WIRE_U64(struct message_row_audit, bytes_out),
    WIRE_U64(struct message_row_audit, total_us),
    WIRE_U64(struct message_row_audit, upstream_us),
    WIRE_STR(struct message_row_audit, detail, TEXT_MAX),
    WIRE_DIGEST(struct message_row_audit, salt),
    WIRE_DIGEST(struct message_row_audit, personal),
    WIRE_STR(struct message_row_audit, path, LIMIT_TARGET_BYTES),
    WIRE_STR(struct message_row_audit, objects, TEXT_MAX),
    WIRE_STR(struct message_row_audit, client_run_id, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_audit, source, NAME_MAX_BYTES)};
static const struct wire_field row_head_fields[] = {
    WIRE_U64(struct message_row_head, sequence), WIRE_DIGEST(struct message_row_head, head),
    WIRE_I64(struct message_row_head, at_ms),
    WIRE_STR(struct message_row_head, signature, NAME_MAX_BYTES),
    WIRE_STR(struct message_row_head, public_key, NAME_MAX_BYTES)};
static const struct wire_field call_fields[] = {
    WIRE_U64(struct message_call, call),
    WIRE_ENUM(struct message_call, verb, CALL_VERB_COUNT),
    WIRE_BOOL(struct message_call, local),
    WIRE_DIGEST(struct message_call, token_digest),
    WIRE_BOOL(struct message_call, vault_key),
    WIRE_STR(struct message_call, actor, NAME_MAX_BYTES),
    WIRE_STR(struct message_call, id, NAME_MAX_BYTES),
    WIRE_STR(struct message_call, cursor, NAME_MAX_BYTES),
    WIRE_U64(struct message_call, limit),
    WIRE_U64(struct message_call, if_match),
    WIRE_STR(struct message_call, idempotency_key, NAME_MAX_BYTES),
    WIRE_DIGEST(struct message_call, body_digest),
    WIRE_STR(struct message_call, body, BODY_MAX)};
static const struct wire_field reply_fields[] = {
    WIRE_U64(struct message_reply, call),
    WIRE_U32(struct message_reply, status),
    WIRE_STR(struct message_reply, code, NAME_MAX_BYTES),
    WIRE_STR(struct message_reply, detail, TEXT_MAX),
    WIRE_STR(struct message_reply, json, BODY_MAX),
    WIRE_U64(struct message_reply, version)};

static const struct {
    const char *name;
    struct wire_schema schema;
} messages[MESSAGE_COUNT] = {
    [MESSAGE_CHANNEL] = {"CHANNEL", WIRE_SCHEMA(struct message_channel, channel_fields)},
    [MESSAGE_GONE] = {"GONE", WIRE_SCHEMA(struct message_gone, gone_fields)},
    [MESSAGE_CONFIG] = {"CONFIG", WIRE_SCHEMA(struct message_config, config_fields)},
    [MESSAGE_DOOR] = {"DOOR", WIRE_SCHEMA(struct message_door, door_fields)},
    [MESSAGE_LISTENER] = {"LISTENER", WIRE_SCHEMA(struct message_listener, listener_fields)},
    [MESSAGE_SESSION_END] = {"SESSION_END",
                             WIRE_SCHEMA(struct message_session_end, session_end_fields)},
    [MESSAGE_CERTIFICATE] = {"CERTIFICATE",
                             WIRE_SCHEMA(struct message_certificate, certificate_fields)},
    [MESSAGE_UNSEAL_KEY] = {"UNSEAL_KEY", WIRE_SCHEMA(struct message_empty, empty_fields)},
    [MESSAGE_CA] = {"CA", WIRE_SCHEMA(struct message_ca, ca_fields)},
    [MESSAGE_RESOLVER] = {"RESOLVER", WIRE_SCHEMA(struct message_resolver, resolver_fields)},
    [MESSAGE_START] = {"START", WIRE_SCHEMA(struct message_empty, empty_fields)},
    [MESSAGE_DRAIN] = {"DRAIN", WIRE_SCHEMA(struct message_empty, empty_fields)},
    [MESSAGE_PING] = {"PING", WIRE_SCHEMA(struct message_ping, ping_fields)},
    [MESSAGE_READY] = {"READY", WIRE_SCHEMA(struct message_empty, empty_fields)},
    [MESSAGE_PONG] = {"PONG", WIRE_SCHEMA(struct message_ping, ping_fields)},
    [MESSAGE_FAULT] = {"FAULT", WIRE_SCHEMA(struct message_fault, fault_fields)},
    [MESSAGE_KILL] = {"KILL", WIRE_SCHEMA(struct message_gone, gone_fields)},
    [MESSAGE_DRAINED] = {"DRAINED", WIRE_SCHEMA(struct message_empty, empty_fields)},
    [MESSAGE_COMPILED] = {"COMPILED", WIRE_SCHEMA(struct message_compiled, compiled_fields)},
    [MESSAGE_UNSEALED] = {"UNSEALED", WIRE_SCHEMA(struct message_compiled, compiled_fields)},
    [MESSAGE_ADMIT] = {"ADMIT", WIRE_SCHEMA(struct message_admit, admit_fields)},
    [MESSAGE_READ_BODY] = {"READ_BODY", WIRE_SCHEMA(struct message_read_body, read_body_fields)},
    [MESSAGE_GRANTED] = {"GRANTED", WIRE_SCHEMA(struct message_granted, granted_fields)},
    [MESSAGE_ANSWER] = {"ANSWER", WIRE_SCHEMA(struct message_answer, answer_fields)},
    [MESSAGE_DONE] = {"DONE", WIRE_SCHEMA(struct message_done, done_fields)},
    [MESSAGE_CUT] = {"CUT", WIRE_SCHEMA(struct message_cut, cut_fields)},
    [MESSAGE_CUT_DONE] = {"CUT_DONE", WIRE_SCHEMA(struct message_cut_done, cut_done_fields)},
    [MESSAGE_GATE_STATS] = {"GATE_STATS",
                            WIRE_SCHEMA(struct message_gate_stats, gate_stats_fields)},
    [MESSAGE_TUNNEL] = {"TUNNEL", WIRE_SCHEMA(struct message_tunnel, tunnel_fields)},
    [MESSAGE_TUNNELLED] = {"TUNNELLED", WIRE_SCHEMA(struct message_tunnelled, tunnelled_fields)},
    [MESSAGE_TUNNEL_DONE] = {"TUNNEL_DONE",
                             WIRE_SCHEMA(struct message_tunnel_done, tunnel_done_fields)},
    [MESSAGE_LEAF_GET] = {"LEAF_GET", WIRE_SCHEMA(struct message_leaf_get, leaf_get_fields)},
    [MESSAGE_LEAF] = {"LEAF", WIRE_SCHEMA(struct message_leaf, leaf_fields)},
    [MESSAGE_DIAL] = {"DIAL", WIRE_SCHEMA(struct message_dial, dial_fields)},
    [MESSAGE_DIALLED] = {"DIALLED", WIRE_SCHEMA(struct message_dialled, dialled_fields)},
    [MESSAGE_DIALS_LOST] = {"DIALS_LOST",
                            WIRE_SCHEMA(struct message_dials_lost, dials_lost_fields)},
    [MESSAGE_BODY] = {"BODY", WIRE_SCHEMA(struct message_body, body_fields)},
    [MESSAGE_BODY_DATA] = {"BODY_DATA", WIRE_SCHEMA(struct message_body_data, body_data_fields)},
    [MESSAGE_BODY_END] = {"BODY_END", WIRE_SCHEMA(struct message_body_end, body_end_fields)},
    [MESSAGE_FACTS] = {"FACTS", WIRE_SCHEMA(struct message_facts, facts_fields)},
    [MESSAGE_GRANT] = {"GRANT", WIRE_SCHEMA(struct message_grant, grant_fields)},
    [MESSAGE_FETCH] = {"FETCH", WIRE_SCHEMA(struct message_grant, grant_fields)},
    [MESSAGE_SENT] = {"SENT", WIRE_SCHEMA(struct message_sent, sent_fields)},
    [MESSAGE_OUTCOME] = {"OUTCOME", WIRE_SCHEMA(struct message_outcome, outcome_fields)},
    [MESSAGE_RELEASE] = {"RELEASE", WIRE_SCHEMA(struct message_release, release_fields)},
    [MESSAGE_REVOKE] = {"REVOKE", WIRE_SCHEMA(struct message_cut, cut_fields)},
    [MESSAGE_REVOKED] = {"REVOKED", WIRE_SCHEMA(struct message_cut_done, cut_done_fields)},
    [MESSAGE_FORGET_CREDENTIAL] = {"FORGET_CREDENTIAL",
                                   WIRE_SCHEMA(struct message_forget_credential,
                                               forget_credential_fields)},
    [MESSAGE_SIGN_HEAD] = {"SIGN_HEAD", WIRE_SCHEMA(struct message_sign_head, sign_head_fields)},
    [MESSAGE_SIGNED] = {"SIGNED", WIRE_SCHEMA(struct message_signed, signed_fields)},
    [MESSAGE_VAULT_STATS] = {"VAULT_STATS",
                             WIRE_SCHEMA(struct message_vault_stats, vault_stats_fields)},
    [MESSAGE_LEAF_SIGN] = {"LEAF_SIGN", WIRE_SCHEMA(struct message_leaf_sign, leaf_sign_fields)},
    [MESSAGE_LEAF_SIGNED] = {"LEAF_SIGNED", WIRE_SCHEMA(struct message_leaf, leaf_fields)},
    [MESSAGE_FORWARD] = {"FORWARD", WIRE_SCHEMA(struct message_forward, forward_fields)},
    [MESSAGE_HEAD] = {"HEAD", WIRE_SCHEMA(struct message_head, head_fields)},
    [MESSAGE_DATA] = {"DATA", WIRE_SCHEMA(struct message_data, data_fields)},
    [MESSAGE_END] = {"END", WIRE_SCHEMA(struct message_end, end_fields)},
    [MESSAGE_RESET] = {"RESET", WIRE_SCHEMA(struct message_reset, reset_fields)},
    [MESSAGE_WINDOW] = {"WINDOW", WIRE_SCHEMA(struct message_window, window_fields)},
    [MESSAGE_BLOB_GET] = {"BLOB_GET", WIRE_SCHEMA(struct message_blob_get, blob_get_fields)},
    [MESSAGE_BLOB] = {"BLOB", WIRE_SCHEMA(struct message_blob, blob_fields)},
    [MESSAGE_LOAD] = {"LOAD", WIRE_SCHEMA(struct message_empty, empty_fields)},
    [MESSAGE_LOADED] = {"LOADED", WIRE_SCHEMA(struct message_loaded, loaded_fields)},
    [MESSAGE_COMMIT] = {"COMMIT", WIRE_SCHEMA(struct message_commit, commit_fields)},
    [MESSAGE_COMMITTED] = {"COMMITTED", WIRE_SCHEMA(struct message_committed, committed_fields)},
    [MESSAGE_STORE_REFUSED] = {"STORE_REFUSED",
                               WIRE_SCHEMA(struct message_store_refused, store_refused_fields)},
    [MESSAGE_ROW_META] = {"ROW_META", WIRE_SCHEMA(struct message_row_meta, row_meta_fields)},
    [MESSAGE_ROW_KEY] = {"ROW_KEY", WIRE_SCHEMA(struct message_row_key, row_key_fields)},
    [MESSAGE_ROW_WINDOW] = {"ROW_WINDOW",
                            WIRE_SCHEMA(struct message_row_window, row_window_fields)},
    [MESSAGE_ROW_HOLD] = {"ROW_HOLD", WIRE_SCHEMA(struct message_row_hold, row_hold_fields)},
    [MESSAGE_ROW_HOLD_GONE] = {"ROW_HOLD_GONE",
                               WIRE_SCHEMA(struct message_row_hold_gone, row_hold_gone_fields)},
    [MESSAGE_ROW_IDEMPOTENCY] = {"ROW_IDEMPOTENCY", WIRE_SCHEMA(struct message_row_idempotency,
                                                                row_idempotency_fields)},
    [MESSAGE_ROW_CREDENTIAL] = {"ROW_CREDENTIAL",
                                WIRE_SCHEMA(struct message_row_credential, row_credential_fields)},
    [MESSAGE_ROW_CREDENTIAL_GONE] = {"ROW_CREDENTIAL_GONE",
                                     WIRE_SCHEMA(struct message_row_credential_gone,
                                                 row_credential_gone_fields)},
    [MESSAGE_ROW_TENANT] = {"ROW_TENANT",
                            WIRE_SCHEMA(struct message_row_tenant, row_tenant_fields)},
    [MESSAGE_ROW_STOP] = {"ROW_STOP", WIRE_SCHEMA(struct message_row_stop, row_stop_fields)},
    [MESSAGE_ROW_OPERATOR] = {"ROW_OPERATOR",
                              WIRE_SCHEMA(struct message_row_operator, row_operator_fields)},
    [MESSAGE_ROW_PRICE] = {"ROW_PRICE", WIRE_SCHEMA(struct message_row_price, row_price_fields)},
    [MESSAGE_ROW_AUDIT] = {"ROW_AUDIT", WIRE_SCHEMA(struct message_row_audit, row_audit_fields)},
    [MESSAGE_ROW_HEAD] = {"ROW_HEAD", WIRE_SCHEMA(struct message_row_head, row_head_fields)},
    [MESSAGE_CALL] = {"CALL", WIRE_SCHEMA(struct message_call, call_fields)},
    [MESSAGE_REPLY] = {"REPLY", WIRE_SCHEMA(struct message_reply, reply_fields)},
};

const struct wire_schema *message_schema(enum message_type type)
{
    if (type <= MESSAGE_NONE || type >= MESSAGE_COUNT) {
        return NULL;
    }
    return &messages[type].schema;
}

const char *message_name(enum message_type type)
{
    return message_schema(type) == NULL ? "?" : messages[type].name;
}

const char *role_name(enum process_role role)
{
    static const char *const names[ROLE_COUNT] = {
        [ROLE_NONE] = "none",     [ROLE_PARENT] = "parent",   [ROLE_GATE] = "gate",
        [ROLE_READER] = "reader", [ROLE_JUDGE] = "judge",     [ROLE_SCRIBE] = "scribe",
        [ROLE_VAULT] = "vault",   [ROLE_CONTROL] = "control", [ROLE_DIALER] = "dialer",
        [ROLE_CHECK] = "check",   [ROLE_UNLOCK] = "unlock",
    };
    return role < ROLE_COUNT ? names[role] : "?";
}

const char *door_name(enum door door)
{
    static const char *const names[DOOR_COUNT] = {
        [DOOR_PREFIX] = "prefix", [DOOR_CONNECT] = "connect", [DOOR_ABSOLUTE] = "absolute",
        [DOOR_SOCKS] = "socks",   [DOOR_SESSION] = "session",
    };
    return door < DOOR_COUNT ? names[door] : "?";
}
