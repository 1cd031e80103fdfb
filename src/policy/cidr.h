/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cidr: networks that a key may be used from: "10.0.0.0/8", "192.0.2.7", "2001:db8::/32".
 *
 * IPv4 lives inside IPv6 as ::ffff:a.b.c.d, so that a client on a dual-stack socket is the same
 * client.
 */
#ifndef POLICY_CIDR_H
#define POLICY_CIDR_H

#include "base/err.h"
#include "base/str.h"

struct cidr {
    unsigned char address[16];
    unsigned bits; /* of 128 */
};

/* Bits behind the prefix must be zero: who writes 10.1.2.3/8 means one of two things. */
int cidr_parse(struct str text, struct cidr *ret, struct err *err);

/* `source` is an address as text, with or without a port; "unix" is in no network. */
bool cidr_has(const struct cidr *cidr, struct str source);

#endif
