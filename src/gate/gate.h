/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate: the process that speaks HTTP with clients.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

#include "os/confine.h"

extern const struct confine gate_confine; /* what it may do, and nothing else */

int gate_main(int argc, char **argv);

#endif
