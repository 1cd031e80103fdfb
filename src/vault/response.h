/* SPDX-License-Identifier: Apache-2.0 */
/*
 * response: what of a vendor's answer the client may see.
 *
 * Dropped are hop-by-hop and framing fields, Set-Cookie, Alt-Svc, Refresh, Proxy-*, and names that
 * are keybrake's own.  A Location on the vendor's host leads back to the door, any other is
 * removed. A coded body is decoded, so that it can be searched.
 */
#ifndef VAULT_RESPONSE_H
#define VAULT_RESPONSE_H

#include "base/buf.h"
#include "http/head.h"
#include "http/url.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_OTHER };

/* By its Content-Encoding; anything but one known coding is CODING_OTHER. */
enum coding response_coding(const struct http_head *head);

bool response_is_json(const struct http_head *head);
bool response_is_stream(const struct http_head *head); /* text/event-stream */

struct response_rules {
    const struct url *target; /* where the request went */
    struct str door_base;     /* "https://HOST/stripe"; empty: no Location at all */
    bool decoded;             /* Content-Encoding is gone */
};

/* Fills `ret`, room for LIMIT_FIELDS, and returns the count.  A rewritten Location is written to
 * `scratch`, which must not move until `ret` has been used: it is made large enough here. */
size_t response_filter(const struct http_head *head, const struct response_rules *rules,
                       struct buf *scratch, struct message_header *ret);

/* `location` as the client should see it, into *ret; false: remove it. */
bool response_rewrite_location(struct str location, const struct response_rules *rules,
                               struct buf *scratch, struct str *ret);

/* ---- decoding ---- */

struct decoder; /* its memory is wiped */

struct decoder *decoder_new(enum coding coding); /* gzip or deflate */
void decoder_free(struct decoder *decoder);      /* takes NULL too */

enum decoded { DECODED_BAD, DECODED_MORE, DECODED_OUT };

/* Takes from the front of *in and appends to `out`, a piece at a time.  DECODED_OUT: something is
 * there, use it and call again.  DECODED_MORE: *in is empty.  DECODED_BAD: damaged, something
 * behind its end, or above LIMIT_DECODED_BYTES or LIMIT_DECODED_RATIO. */
enum decoded decoder_run(struct decoder *decoder, struct str *in, struct buf *out);
bool decoder_is_complete(const struct decoder *decoder); /* the coded body came to its own end */

#endif
