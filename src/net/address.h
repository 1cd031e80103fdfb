/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: which addresses are never dialled, whatever name led there.
 *
 * Only global unicast passes: no loopback, private, link-local, shared, multicast or reserved
 * range, and none of the IPv6 forms that carry an IPv4 address inside (mapped, compatible, 6to4,
 * Teredo); NAT64's well-known prefix is judged by the address inside it.  Metadata services are
 * refused always.
 */
#ifndef NET_ADDRESS_H
#define NET_ADDRESS_H

#include <stdbool.h>
#include <sys/socket.h>

/* NULL when it may be dialled, else what it is ("a loopback address").  `allow_private` lets pass
 * loopback, private, shared and unique local ones, and nothing more. */
const char *address_refused(const struct sockaddr *address, bool allow_private);

bool address_is_local(const struct sockaddr *address);

#endif
