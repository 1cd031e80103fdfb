/* SPDX-License-Identifier: Apache-2.0 */
/*
 * attach: the doors of an existing container that was started without a network.
 *
 * A helper process steps into the network namespace of the container's process, makes there what
 * network.h makes, hands the sockets out, and stays to answer for names.  Nothing of the container
 * is changed but its loopback: no image, no volume, no process.
 */
#ifndef SANDBOX_ATTACH_H
#define SANDBOX_ATTACH_H

#include "sandbox/sandbox.h"

/* sandbox_sockets(), sandbox_kill() and sandbox_wait() go on with it.  Refuses a namespace that is
 * our own, or that has any interface but loopback. */
int attach_start(struct sandbox *sandbox, pid_t target, const struct sandbox_plan *plan,
                 struct err *err);

/* What this machine lets us make, found by making it: TIER_NONE with the reason in `err`. */
enum sandbox_tier sandbox_probe(struct err *err);

#endif
