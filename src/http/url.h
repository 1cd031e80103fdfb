/* SPDX-License-Identifier: Apache-2.0 */
/*
 * url: paths, hosts and base URLs (RFC 3986), refusing what two parsers might read in two ways.
 */
#ifndef HTTP_URL_H
#define HTTP_URL_H

#include "base/err.h"
#include "base/str.h"

/* A path that every server reads alike: begins with '/', no empty, "." or ".." segment however
 * encoded, no %2f, %5c, '\', ';', control bytes, bad or overlong percent-encoding, no encoded
 * unreserved character, no double encoding of these.  Runs of '/' right at the start are refused
 * too.  *ret_why says what is wrong (static). */
bool url_path_is_plain(struct str path, const char **ret_why);

/* Bytes that may stand in a query raw or encoded; brackets may stand raw. */
bool url_query_is_plain(struct str query, const char **ret_why);

/* host[:port]: LDH labels, an IPv4 address in plain decimal, or [IPv6].  *ret_host is without
 * brackets; *ret_port is 0 when none was given. */
bool url_split_authority(struct str authority, struct str *ret_host, unsigned *ret_port);
bool url_host_is_name(struct str host); /* LDH labels, at least one letter */

/* True when `host` (any case) is `pattern`, where "*.x" is one or more labels before ".x". */
bool url_host_matches(struct str pattern, struct str host);

struct url {
    bool tls;
    struct str host;
    unsigned port;     /* the scheme's when none was given */
    struct str prefix; /* path without the final '/'; empty, or begins with '/' */
};
/* "https://host[:port][/prefix]"; no userinfo, query or fragment. */
int url_parse_base(struct str text, struct url *ret, struct err *err);

#endif
