/* SPDX-License-Identifier: Apache-2.0 */
/*
 * keystore: trusted certificates in the form that Java reads.
 *
 * Java takes no PEM: its list is a PKCS #12 file (RFC 7292).  Ours is one without a password, as
 * Java's own is since version 18, and older ones read it just so; without a MAC it opens with any
 * password too, which programs give that name the list themselves.
 *
 *     keystore_add(&entries, pem);              as often as needed
 *     keystore_head(&head, buf_len(&entries));  the file is the one and then the other
 */
#ifndef SANDBOX_KEYSTORE_H
#define SANDBOX_KEYSTORE_H

#include "base/buf.h"

enum {
    KEYSTORE_BYTES_MAX = 8 * 1024 * 1024,
    KEYSTORE_CERTIFICATE_MAX = 64 * 1024,
    KEYSTORE_HEAD_MAX = 128
};

/* An entry for each certificate of a PEM text; what else stands in it is passed over.  False: one
 * of them is no base64 or too large, or the buffer is full. */
bool keystore_add(struct buf *entries, struct str pem);
/* What a file begins with that has these entries behind it. */
bool keystore_head(struct buf *out, size_t entries_len);

#endif
