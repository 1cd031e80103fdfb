/* SPDX-License-Identifier: Apache-2.0 */
/*
 * write: message heads as bytes.  Framing fields come from `body` alone: Content-Length,
 * "Transfer-Encoding: chunked", or neither.  Asserts that no name or value holds CR, LF or NUL:
 * whoever builds a head has checked.
 */
#ifndef HTTP_WRITE_H
#define HTTP_WRITE_H

#include "base/buf.h"
#include "http/head.h"

/* "METHOD path?query HTTP/1.1" and the fields.  `host` becomes the Host field, first. */
bool http_write_request(struct buf *out, struct str method, struct str path, struct str query,
                        bool has_query, struct str host, const struct message_header *headers,
                        size_t header_count, enum body_kind body, uint64_t content_length);

/* "HTTP/1.1 status reason".  `close` adds "Connection: close".  BODY_NONE adds "Content-Length: 0"
 * only when `status` may have a body and `head_request` is false. */
bool http_write_response(struct buf *out, unsigned status, struct str reason,
                         const struct message_header *headers, size_t header_count,
                         enum body_kind body, uint64_t content_length, bool head_request,
                         bool close);

bool http_write_date(struct buf *out, int64_t wall_ms); /* IMF-fixdate, RFC 9110 5.6.7 */

struct str http_reason(unsigned status); /* the standard phrase; "" when there is none */

/* May stand as a field value: HTAB, SP, visible ASCII and obs-text; no CR, LF, NUL. */
bool http_is_field_value(struct str value);
bool http_is_token(struct str name);

#endif
