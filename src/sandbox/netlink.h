/* SPDX-License-Identifier: Apache-2.0 */
/*
 * netlink: messages to the kernel's network configuration, written by hand.
 *
 * A netlink message is a header, a fixed struct of its family, and attributes which may nest.  Some
 * twenty messages are all that a sandbox needs; a library for them would be larger than this.
 */
#ifndef SANDBOX_NETLINK_H
#define SANDBOX_NETLINK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { NETLINK_BYTES_MAX = 8192 };

/* Any number of messages on their way out. */
struct netlink {
    size_t len;
    size_t message; /* where the open message begins */
    uint32_t sequence;
    _Alignas(4) unsigned char bytes[NETLINK_BYTES_MAX];
};

/* Begins a message; `head` is the fixed struct behind its header. */
void netlink_begin(struct netlink *out, uint16_t type, uint16_t flags, const void *head,
                   size_t head_len);
void netlink_end(struct netlink *out);

void netlink_add(struct netlink *out, uint16_t type, const void *data, size_t len);
void netlink_add_text(struct netlink *out, uint16_t type, const char *text); /* with its NUL */
void netlink_add_u32(struct netlink *out, uint16_t type, uint32_t value);
void netlink_add_be32(struct netlink *out, uint16_t type, uint32_t value);
size_t netlink_open(struct netlink *out, uint16_t type); /* nested: until netlink_close() */
void netlink_close(struct netlink *out, size_t at);

/* Sends all that is there over a fresh socket of `protocol` (NETLINK_ROUTE, NETLINK_NETFILTER), and
 * waits for `acks` acknowledgements.  0, or -1 with errno set and the reason in `err`. */
int netlink_talk(const struct netlink *out, int protocol, unsigned acks, const char *what,
                 struct err *err);

#endif
