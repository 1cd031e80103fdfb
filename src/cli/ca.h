/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca: making the exported CA, for init and serve.
 */
#ifndef CLI_CA_H
#define CLI_CA_H

#include "base/err.h"

/* Makes DIR/vault/ca, for the hosts of the packs that are built in. */
int ca_init(const char *directory, const unsigned char *box_public, struct err *err);
/* The same for a data directory of an older keybrake, which has none.  Says on stderr what is
 * wrong: a server without one serves its base URLs all the same. */
void ca_ensure(const char *directory);

#endif
