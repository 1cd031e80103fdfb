/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gate: the process that speaks HTTP with clients.
 */
#ifndef GATE_GATE_H
#define GATE_GATE_H

int gate_main(int argc, char **argv);

#endif
