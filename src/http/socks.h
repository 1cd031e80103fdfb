/* SPDX-License-Identifier: Apache-2.0 */
/*
 * socks: SOCKS5 (RFC 1928) with user and password (RFC 1929), the server's side.
 *
 * Bytes in, structs out; no I/O.  Only CONNECT; names as in a URL, addresses as text.
 */
#ifndef HTTP_SOCKS_H
#define HTTP_SOCKS_H

#include <stdbool.h>

#include "base/str.h"

enum {
    SOCKS_VERSION = 5,
    SOCKS_HOST_MAX = 255,
    SOCKS_BYTES_MAX = 513, /* the longest of the three messages: a password */
    SOCKS_REPLY_BYTES = 10,
};

enum socks_result { SOCKS_BAD, SOCKS_MORE, SOCKS_OK };

/* What a reply says (RFC 1928 6). */
enum socks_reply {
    SOCKS_GRANTED = 0,
    SOCKS_FAILURE = 1,
    SOCKS_NOT_ALLOWED = 2,
    SOCKS_HOST_UNREACHABLE = 4,
    SOCKS_NO_SUCH_COMMAND = 7,
    SOCKS_NO_SUCH_ADDRESS = 8,
};

struct socks_greeting {
    bool password, none; /* methods that the client can do */
};

struct socks_request {
    bool is_connect;
    bool is_name;
    char host[SOCKS_HOST_MAX + 1]; /* lower case; empty: an address type or a name that is none */
    unsigned port;
};

/* SOCKS_OK: *ret_used bytes were it.  SOCKS_BAD: nothing can be answered but a close. */
enum socks_result socks_read_greeting(struct str bytes, struct socks_greeting *ret,
                                      size_t *ret_used);
enum socks_result socks_read_password(struct str bytes, struct str *ret_user,
                                      struct str *ret_password, size_t *ret_used);
enum socks_result socks_read_request(struct str bytes, struct socks_request *ret, size_t *ret_used);

/* With the address that we connect from left open. */
void socks_write_reply(enum socks_reply reply, unsigned char out[SOCKS_REPLY_BYTES]);

#endif
