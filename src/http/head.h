/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head: HTTP/1.1 message heads (RFC 9112), strictly.
 *
 * Bytes in, structs out; no I/O and no allocation.  What two parsers might read in two ways is
 * refused, never repaired: bare CR or LF, obs-fold, NUL and other controls, space around the
 * colon or before the first field, doubled Host, Content-Length or Transfer-Encoding, both of the
 * latter, any coding but "chunked", names that are framing once '_' is read as '-', two of a field
 * that a request has once, and a Connection that names what is not of the connection.
 *
 * The parser lower-cases field names in place; everything else points into the caller's bytes,
 * untouched.  CONNECT, TRACE, "*" and Upgrade are read like any other: who meets them decides.
 */
#ifndef HTTP_HEAD_H
#define HTTP_HEAD_H

#include "base/limits.h"
#include "base/str.h"
#include "ipc/message.h"

struct http_head {
    /* request */
    struct str method;
    struct str target;    /* as it came */
    struct str scheme;    /* absolute form only: "http" or "https" */
    struct str authority; /* absolute form and CONNECT only */
    struct str path;      /* begins with '/', or is "*" */
    struct str query;
    bool has_query;
    struct str host; /* the authority, else the Host field, validated; empty only in 1.0.  Not
                        lower-cased */
    bool expect_continue;
    /* response */
    unsigned status;
    struct str reason;
    /* both */
    unsigned minor; /* HTTP/1.minor: 0 or 1 */
    enum body_kind body;
    uint64_t content_length; /* BODY_LENGTH */
    bool has_length;         /* there was a Content-Length: also where `body` is none, as of HEAD */
    bool keep_alive;         /* what the other side wants, by version and Connection */
    bool has_connection, asks_close, nominates; /* private to the module */
    size_t field_count;
    struct message_header fields[LIMIT_FIELDS]; /* in order; names in lower case */
};

enum http_result { HTTP_BAD, HTTP_MORE, HTTP_OK };

struct http_problem {
    unsigned status;  /* to answer: 400, 414, 417, 431, 501, 505; for a response: 502 */
    const char *text; /* one short sentence; static */
};

/* HTTP_OK: *ret is filled and *ret_used is the length of the head.  HTTP_MORE: not all of it is
 * here (never with LIMIT_HEAD_BYTES there).  HTTP_BAD: *problem is filled. */
enum http_result http_parse_request(char *bytes, size_t len, struct http_head *ret,
                                    size_t *ret_used, struct http_problem *problem);

/* `method` is of the request that this answers: HEAD has no body.  1xx, 204 and 304 have none. */
enum http_result http_parse_response(char *bytes, size_t len, struct str method,
                                     struct http_head *ret, size_t *ret_used,
                                     struct http_problem *problem);

/* The only field of that name (lower case); NULL when there is none, or more than one. */
const struct str *http_field(const struct http_head *head, struct str name);
size_t http_field_count(const struct http_head *head, struct str name);

/* Does Connection name that field? */
bool http_is_nominated(const struct http_head *head, struct str name);
/* Framing and hop-by-hop fields of a message, those its Connection names included: they end here.
 */
bool http_is_hop_by_hop(const struct http_head *head, struct str name);

#endif
