/* SPDX-License-Identifier: Apache-2.0 */
/*
 * hello: the name that a client asks for, read from its first flight (RFC 8446 4.1.2, RFC 6066 3)
 * before anybody answers it.
 *
 * Nothing is consumed: what was looked at goes to OpenSSL, or to another host, as it came.  Strict
 * in what it reads: lengths that disagree, a second server_name, a name that is none, are refused.
 */
#ifndef TLS_HELLO_H
#define TLS_HELLO_H

#include <stdbool.h>

#include "base/str.h"

enum {
    HELLO_BYTES_MAX = 16 * 1024, /* of the message; its records may add a few */
    HELLO_HOST_MAX = 253,
};

enum hello_result { HELLO_BAD, HELLO_MORE, HELLO_OK };

struct hello {
    char host[HELLO_HOST_MAX + 1]; /* lower case; empty: it named none */
};

/* True of the first byte of any TLS connection. */
bool hello_begins(struct str bytes);

/* HELLO_BAD: *ret_why says why (static). */
enum hello_result hello_read(struct str bytes, struct hello *ret, const char **ret_why);

#endif
