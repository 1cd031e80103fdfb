/* SPDX-License-Identifier: Apache-2.0 */
/*
 * body: where a message body ends (RFC 9112 section 6), piece by piece and without copying.
 */
#ifndef HTTP_BODY_H
#define HTTP_BODY_H

#include "base/buf.h"
#include "http/head.h"

enum { HTTP_TRAILER_NAME_BYTES = 24 }; /* longer than any that may not be one */

struct http_body {
    enum body_kind kind;
    uint64_t left; /* of the length, or of the chunk */
    int state;     /* of the chunk decoder; private */
    uint64_t extension_bytes, trailer_bytes;
    unsigned digits, trailers;
    char name[HTTP_TRAILER_NAME_BYTES]; /* of the trailer that is being read, as far as it fits */
    size_t name_len;
};

void http_body_begin(struct http_body *body, enum body_kind kind, uint64_t content_length);

enum http_body_result {
    HTTP_BODY_BAD,  /* framing error: the connection must end */
    HTTP_BODY_MORE, /* all of *in was taken (or holds no whole token); feed more */
    HTTP_BODY_DATA, /* *ret_data is content; call again with what is left of *in */
    HTTP_BODY_END   /* complete; *in is what follows the message.  Trailers were dropped; one that
                       would change how the message is read is a framing error */
};

/* Takes from the front of *in. */
enum http_body_result http_body_read(struct http_body *body, struct str *in, struct str *ret_data);

/* The connection ended.  True when that completes the body (BODY_UNTIL_CLOSE). */
bool http_body_ended_by_close(const struct http_body *body);

/* One chunk of `data`, and the end of a chunked body. */
bool http_write_chunk(struct buf *out, struct str data);
bool http_write_last_chunk(struct buf *out);

#endif
