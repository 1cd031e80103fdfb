/* SPDX-License-Identifier: Apache-2.0 */
/*
 * database: the store's file, opened for reading when it is first needed.
 */
#ifndef CONTROL_DATABASE_H
#define CONTROL_DATABASE_H

#include "control/job.h"

/* The vault's public key: what credentials are sealed with. */
int database_vault_key(struct api *api, unsigned char *key, size_t size, struct err *err);

void database_close(struct database *database); /* takes NULL too */

#endif
