/* SPDX-License-Identifier: Apache-2.0 */
/*
 * topology: which processes have a channel to which.  There are no others.
 */
#ifndef PARENT_TOPOLOGY_H
#define PARENT_TOPOLOGY_H

#include <stdbool.h>

#include "ipc/message.h"

/* In either order.  Processes of which there are many meet only their own index of each other. */
bool topology_connects(enum process_role a, uint32_t a_index, enum process_role b,
                       uint32_t b_index);

bool role_is_many(enum process_role role); /* one a gate */

/* Who meets the more hostile bytes: between two that accuse each other, the higher one goes. */
unsigned role_exposure(enum process_role role);

#endif
