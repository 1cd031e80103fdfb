/* SPDX-License-Identifier: Apache-2.0 */
/*
 * advice: what an operator should hear about a policy that is accepted as it stands.
 *
 * A path that the vendor's pack does not have may be new at the vendor, or a typing error: it is
 * granted as it is written, and whoever wrote it is told.
 */
#ifndef POLICY_ADVICE_H
#define POLICY_ADVICE_H

#include "pack/pack.h"

/* A sentence in `ret`, or false: there is nothing to say about this entry of allowed_endpoints.  A
 * generic vendor has no catalogue to compare with. */
bool advice_on_entry(struct str text, const struct pack *pack, struct err *ret);

#endif
