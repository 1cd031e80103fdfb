/* SPDX-License-Identifier: Apache-2.0 */
/*
 * host: whether a request means us, against DNS rebinding: a page in the operator's browser may
 * reach a loopback port under a name of its own, and then Host and Origin tell.
 */
#ifndef CONTROL_HOST_H
#define CONTROL_HOST_H

#include "base/err.h"
#include "http/head.h"
#include "pack/pack.h"

/* Loopback names and addresses, the listeners' own, and the public URL's.  `config` may be NULL. */
bool host_is_ours(const struct config *config, const struct http_head *head, struct err *err);

bool host_is_loopback(struct str host); /* without a port */

/* The door's base URL, as a sandbox reaches it: the public URL, or of the first door. */
struct str host_public_url(const struct config *config, struct arena *arena);

#endif
