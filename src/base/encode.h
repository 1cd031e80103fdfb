/* SPDX-License-Identifier: Apache-2.0 */
/*
 * encode: bytes as text and back (RFC 4648).
 */
#ifndef BASE_ENCODE_H
#define BASE_ENCODE_H

#include "base/buf.h"
#include "base/str.h"

bool hex_encode(struct buf *out, struct str bytes);                    /* lower case */
bool hex_decode(struct str text, unsigned char *out, size_t out_size); /* exactly out_size bytes */

bool base64_encode(struct buf *out, struct str bytes);    /* with padding */
bool base64url_encode(struct buf *out, struct str bytes); /* -_ and no padding */

/* Strict: standard alphabet, right padding, unused bits zero.  False when it is not, or when `out`
 * is full. */
bool base64_decode(struct buf *out, struct str text);

#endif
