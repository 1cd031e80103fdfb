/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hosts: what else than its vendor a key may reach, unseen: "pypi.org", "*.pythonhosted.org",
 * "deb.debian.org:80".  A star is one label or more; without a port it is 443; names only, since
 * what an address means depends on where one stands.
 */
#ifndef POLICY_HOSTS_H
#define POLICY_HOSTS_H

#include "base/str.h"

bool host_entry_is_valid(struct str entry);
/* `host` in any case, without a port. */
bool host_entry_has(struct str entry, struct str host, unsigned port);

#endif
