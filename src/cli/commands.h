/* SPDX-License-Identifier: Apache-2.0 */
/*
 * commands: what each file of this folder gives to the table in commands.c.
 */
#ifndef CLI_COMMANDS_H
#define CLI_COMMANDS_H

#include "cli/command.h"

#define COMMAND_OPTIONS(name)                                                                      \
    extern const struct option name[];                                                             \
    extern const size_t name##_count

COMMAND_OPTIONS(init_options);
COMMAND_OPTIONS(rekey_options);
COMMAND_OPTIONS(serve_options);
COMMAND_OPTIONS(credential_put_options);
COMMAND_OPTIONS(credential_rm_options);
COMMAND_OPTIONS(key_issue_options);
COMMAND_OPTIONS(key_list_options);
COMMAND_OPTIONS(key_revoke_options);
COMMAND_OPTIONS(key_set_options);
COMMAND_OPTIONS(env_options);
COMMAND_OPTIONS(audit_options);
COMMAND_OPTIONS(audit_verify_options);
COMMAND_OPTIONS(spend_options);
COMMAND_OPTIONS(explain_options);
COMMAND_OPTIONS(tenant_put_options);
COMMAND_OPTIONS(holds_list_options);
COMMAND_OPTIONS(holds_resolve_options);
COMMAND_OPTIONS(reconcile_options);
COMMAND_OPTIONS(token_add_options);
COMMAND_OPTIONS(stop_add_options);
COMMAND_OPTIONS(prices_put_options);
COMMAND_OPTIONS(run_options);
COMMAND_OPTIONS(ca_rotate_options);
COMMAND_OPTIONS(attach_options);
COMMAND_OPTIONS(egress_options);
COMMAND_OPTIONS(backup_options);
COMMAND_OPTIONS(json_options); /* --json alone */

command_run run_backup;
command_run run_init, run_serve, run_doctor, run_rekey;
command_run run_credential_put, run_credential_list, run_credential_show, run_credential_rm,
    run_credential_test;
command_run run_key_issue, run_key_list, run_key_show, run_key_set, run_key_revoke, run_key_pause,
    run_key_resume;
command_run run_env, run_run, run_attach, run_egress_nft, run_egress_docker, run_egress_k8s;
command_run run_audit, run_audit_verify, run_audit_head, run_spend;
command_run run_explain;
command_run run_ca_show, run_ca_export, run_ca_rotate;
command_run run_tenant_put, run_tenant_show, run_tenant_list;
command_run run_holds_list, run_holds_resolve, run_fx_put, run_clock_vouch, run_reconcile;
command_run run_token_add, run_token_list, run_token_rm;
command_run run_stop_add, run_stop_list, run_stop_rm;
command_run run_fx, run_prices_list, run_prices_put, run_vendors;

#endif
