/* SPDX-License-Identifier: Apache-2.0 */
/*
 * address: where to listen, as text: "127.0.0.1:8787", "[::1]:80", "unix:/run/x".  Numbers only:
 * a name would have to be looked up, and might come to mean something else.
 */
#ifndef PARENT_ADDRESS_H
#define PARENT_ADDRESS_H

#include <sys/socket.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"

struct address {
    struct sockaddr_storage storage;
    socklen_t size;
};

int address_parse(struct str text, struct address *ret_address, struct err *err);
bool address_is_unix(const struct address *address);
bool address_is_loopback(const struct address *address); /* or unix: this machine only */
uint16_t address_port(const struct address *address);    /* 0 of a unix one */
void address_set_port(struct address *address, uint16_t port);
bool address_write(const struct address *address, struct buf *out); /* as parsed */

#endif
