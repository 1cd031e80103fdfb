/* SPDX-License-Identifier: Apache-2.0 */
/*
 * network: the inside of an empty network namespace.
 *
 * There is one interface, lo, and every address of the world is local on it.  Whatever a program
 * dials therefore arrives at a socket of ours that was made in here, or is refused at once:
 *
 *     connect(203.0.113.9:5432) -> local route -> nft redirect -> 127.0.0.1:CAPTURE -> the gate
 *     udp or tcp port 53        -> local route -> nft redirect -> 127.0.0.1:53      -> names.h
 *     connect(127.0.0.1:8000)   -> the program's own server
 *     anything else             -> nobody listens: refused
 *
 * Without nft the capturing sockets listen on ports 80 and 443 (and those asked for) of every
 * address instead; other ports are refused.
 */
#ifndef SANDBOX_NETWORK_H
#define SANDBOX_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { NETWORK_PORTS_MAX = 16, NETWORK_CAPTURES_MAX = NETWORK_PORTS_MAX };

struct network {
    bool redirect;                      /* every TCP port is caught; else only `ports` */
    int captures[NETWORK_CAPTURES_MAX]; /* listening; for the gate */
    size_t capture_count;
    int names_udp, names_tcp; /* port 53; -1: none */
};

/* In the calling thread's network namespace, which must be new and its own.  `ports` are those to
 * listen on where there is no redirect.  On failure nothing is left open. */
int network_make(struct network *network, bool may_redirect, const uint16_t *ports,
                 size_t port_count, struct err *err);
void network_close(struct network *network);

#endif
