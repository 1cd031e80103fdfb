/* SPDX-License-Identifier: Apache-2.0 */
/* Every command, in the order of the help.  A command's options stand in its own file. */
#include "cli/commands.h"

#include <stdio.h>

#include "cli/help.h"

static const struct option no_options[1];
static const size_t no_options_count;

static int run_version(const struct invocation *invocation)
{
    (void)invocation;
    (void)puts("keybrake 0.1");
    return EXIT_DONE;
}

static int run_man(const struct invocation *invocation)
{
    (void)invocation;
    help_print_manual();
    return EXIT_DONE;
}

#define OPTIONS(table) table, &table##_count

const struct command commands[] = {
    {"init", "", "make the data directory, its keys and the administrator's token", run_init,
     OPTIONS(init_options)},
    {"serve", "", "run the broker", run_serve, OPTIONS(serve_options)},
    {"credential put", "NAME", "store a real key (read from standard input), or rotate it",
     run_credential_put, OPTIONS(credential_put_options)},
    {"credential list", "", "what is stored; never the secrets", run_credential_list,
     OPTIONS(json_options)},
    {"credential show", "NAME", "one of them", run_credential_show, OPTIONS(json_options)},
    {"credential test", "NAME", "ask the vendor whether it is good, and may read what is needed",
     run_credential_test, OPTIONS(json_options)},
    {"credential rm", "NAME", "forget a real key", run_credential_rm,
     OPTIONS(credential_rm_options)},
    {"key issue", "", "make a vault key for a sandbox", run_key_issue, OPTIONS(key_issue_options)},
    {"key list", "", "the vault keys, newest first", run_key_list, OPTIONS(key_list_options)},
    {"key show", "ID", "a key's policy, and what it spent", run_key_show, OPTIONS(json_options)},
    {"key set", "ID", "change a key's policy", run_key_set, OPTIONS(key_set_options)},
    {"key revoke", "[ID...]", "end keys, at once and for good", run_key_revoke,
     OPTIONS(key_revoke_options)},
    {"key pause", "ID", "refuse a key's requests until it is resumed", run_key_pause,
     OPTIONS(json_options)},
    {"key resume", "ID", "end a pause", run_key_resume, OPTIONS(json_options)},
    {"run", "-- COMMAND...",
     "run a command in a sandbox that reaches the vendors through keybrake only", run_run,
     OPTIONS(run_options)},
    {"attach", "", "give a container that has no network its doors", run_attach,
     OPTIONS(attach_options)},
    {"egress nft", "", "nftables rules that leave a sandbox no way out but keybrake",
     run_egress_nft, OPTIONS(egress_options)},
    {"egress docker", "", "the same as a docker network", run_egress_docker,
     OPTIONS(egress_options)},
    {"egress k8s", "", "the same as a Kubernetes NetworkPolicy", run_egress_k8s,
     OPTIONS(egress_options)},
    {"env", "ID", "the variables that a sandbox needs", run_env, OPTIONS(env_options)},
    {"audit", "", "what happened, newest first", run_audit, OPTIONS(audit_options)},
    {"audit verify", "", "prove that no row was changed, removed or moved", run_audit_verify,
     OPTIONS(audit_verify_options)},
    {"audit head", "", "the chain's end, to be noted down elsewhere", run_audit_head,
     OPTIONS(no_options)},
    {"spend", "", "what was spent, summed", run_spend, OPTIONS(spend_options)},
    {"explain", "METHOD PATH", "what would happen to a request, and which rule says so",
     run_explain, OPTIONS(explain_options)},
    {"tenant put", "NAME", "a budget over all keys of a tenant", run_tenant_put,
     OPTIONS(tenant_put_options)},
    {"tenant show", "NAME", "a tenant's budget and spend", run_tenant_show, OPTIONS(json_options)},
    {"tenant list", "", "all tenants", run_tenant_list, OPTIONS(json_options)},
    {"holds list", "", "money set aside and not yet settled", run_holds_list,
     OPTIONS(holds_list_options)},
    {"holds resolve", "ID STATE [AMOUNT]",
     "say what became of one: posted AMOUNT (dollars, in all), or voided", run_holds_resolve,
     OPTIONS(holds_resolve_options)},
    {"reconcile", "", "compare what the vendor says happened with what was counted", run_reconcile,
     OPTIONS(reconcile_options)},
    {"token add", "", "make an operator's token", run_token_add, OPTIONS(token_add_options)},
    {"token list", "", "operators' tokens", run_token_list, OPTIONS(json_options)},
    {"token rm", "ID", "end an operator's token", run_token_rm, OPTIONS(json_options)},
    {"stop add", "KIND [VALUE]", "kill switch: all, vendor V, tenant T, label_prefix P",
     run_stop_add, OPTIONS(stop_add_options)},
    {"stop list", "", "the stops that are on", run_stop_list, OPTIONS(json_options)},
    {"stop rm", "ID", "lift a stop", run_stop_rm, OPTIONS(json_options)},
    {"prices list", "", "what a unit of what costs", run_prices_list, OPTIONS(json_options)},
    {"prices put", "VENDOR NAME FOR USD", "set a price of your own", run_prices_put,
     OPTIONS(prices_put_options)},
    {"fx", "", "the exchange rates in use", run_fx, OPTIONS(json_options)},
    {"fx put", "FILE", "exchange rates of your own, as JSON ('-': standard input)", run_fx_put,
     OPTIONS(json_options)},
    {"clock vouch", "", "say that the wall clock is right, when keybrake suspects it",
     run_clock_vouch, OPTIONS(json_options)},
    {"vendors", "[VENDOR]", "the vendors known, or one with its operations", run_vendors,
     OPTIONS(json_options)},
    {"rekey", "", "put everything sealed under a new vault key (while no server runs)", run_rekey,
     OPTIONS(rekey_options)},
    {"ca show", "", "the CA whose certificates sandboxes see behind the forward proxy", run_ca_show,
     OPTIONS(json_options)},
    {"ca export", "FILE", "its certificate, for sandboxes to trust (- is standard output)",
     run_ca_export, OPTIONS(no_options)},
    {"ca rotate", "", "make another one", run_ca_rotate, OPTIONS(ca_rotate_options)},
    {"doctor", "", "what works here, what does not, and how to mend it", run_doctor,
     OPTIONS(json_options)},
    {"backup", "DIR", "a copy of the data directory, beside a running server", run_backup,
     OPTIONS(backup_options)},
    {"man", "", "print the manual page (keybrake man | man -l -)", run_man, OPTIONS(no_options)},
    {"version", "", "print the version", run_version, OPTIONS(no_options)},
};
const size_t command_count = sizeof(commands) / sizeof(commands[0]);
