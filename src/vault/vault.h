/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault: the process that holds the credentials and talks to the vendors.
 */
#ifndef VAULT_VAULT_H
#define VAULT_VAULT_H

#include "base/err.h"
#include "ipc/child.h"

int vault_main(int argc, char **argv);

/* The same without a process around it, for tests: everything but confinement and the parent's
 * channel.  NULL with the reason. */
struct vault;
struct vault *vault_new(struct loop *loop, uint32_t index, struct err *err);
void vault_free(struct vault *vault);          /* takes NULL too */
const struct child_events *vault_events(void); /* their ctx is the vault */

#endif
