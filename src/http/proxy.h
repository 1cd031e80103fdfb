/* SPDX-License-Identifier: Apache-2.0 */
/*
 * proxy: the head that a load balancer puts before a connection, so that we learn whose it is
 * (PROXY protocol, version 2: 16 bytes, addresses, and typed values that we check and forget).
 *
 *     size_t more = proxy_missing(bytes);       0: parse; else read so many more, and no further
 *     if (proxy_parse(bytes, &head) < 0)        it lies, or is a version or kind that we refuse
 *
 * Only TCP over IPv4 and IPv6 is taken, and LOCAL, which is the balancer's own connection.  What
 * leaves the client's address unsaid is refused: a key may be bound to it.
 */
#ifndef HTTP_PROXY_H
#define HTTP_PROXY_H

#include <stdbool.h>

#include "base/str.h"

enum { PROXY_HEAD_BYTES = 16, PROXY_ADDRESS_BYTES = 46 };

struct proxy_head {
    bool local;                        /* the balancer's own: its address stands */
    char address[PROXY_ADDRESS_BYTES]; /* the client's, as text; IPv4 inside IPv6 as IPv4 */
};

/* How many bytes of the head are still to come, as far as can be told; 0 also when it is bad. */
size_t proxy_missing(struct str bytes);

/* `bytes` is the whole head.  -1: it is not one that we take. */
int proxy_parse(struct str bytes, struct proxy_head *ret);

#endif
