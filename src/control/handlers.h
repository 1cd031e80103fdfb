/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handlers: what the table of routes points to.
 */
#ifndef CONTROL_HANDLERS_H
#define CONTROL_HANDLERS_H

#include "control/job.h"

/* keys.c */
route_build keys_build_issue, keys_build_filter, keys_build_patch;
job_reply keys_reply_issue, keys_reply_one;
void keys_run_env(struct job *job);

/* sandboxes.c */
void sandboxes_run_open(struct job *job);

/* credentials.c */
void credentials_run_put(struct job *job);
route_build credentials_build_remove;

/* admin.c */
route_build admin_build_tenant, admin_build_stop, admin_build_operator, admin_build_price,
    admin_build_holds;
void admin_run_health(struct job *job);
void admin_run_ready(struct job *job);
job_reply admin_reply_metrics;

/* money.c */
route_build money_build_resolve, money_build_fx;

/* vendors.c */
void vendors_run_list(struct job *job);
void vendors_run_show(struct job *job);

/* ca.c */
void ca_run(struct job *job);

/* explain.c */
void explain_run(struct job *job);

/* audit.c, spend.c */
void audit_run(struct job *job);
void spend_run(struct job *job);

#endif
