/* SPDX-License-Identifier: Apache-2.0 */
/*
 * leaf: certificates for hosts whose TLS we end, and the CAs that sign them.
 *
 * A CA is an EC key on P-256 and a certificate that may sign leaves only; one that is made for
 * named hosts is constrained to them (RFC 5280 4.2.1.10, critical), and to no address at all.
 * Leaves are good for LEAF_HOURS at most, and never longer than their CA.
 *
 *     gate                          judge             vault
 *     leaf_key_new, _public   ->    names the host -> ca_open, ca_sign
 *     leaf_new                <-
 *
 * No I/O.  For a session's CA the gate does both sides itself.
 */
#ifndef TLS_LEAF_H
#define TLS_LEAF_H

#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

enum {
    LEAF_HOURS = 24,
    LEAF_DER_MAX = 4096,
    CA_PEM_MAX = 64 * 1024,
    CA_KEY_MAX = 512, /* PKCS#8 of a P-256 key takes 138 */
    CA_HOSTS_MAX = 1024,
};

/* ---- the CA ---- */

struct ca_wish {
    const char *name;        /* common name, at most 64 bytes */
    const struct str *hosts; /* "api.stripe.com", or "*.twilio.com"; none: unconstrained */
    size_t host_count;
    int64_t now_ms;
    uint32_t days;
};

/* The certificate in PEM, and the private key, PKCS#8 in DER, into a new secret. */
int ca_make(const struct ca_wish *wish, struct buf *ret_pem, struct secret *ret_key,
            struct err *err);
/* The same into a buffer that is wiped, for a process whose filter has no new secret memory. */
int ca_make_plain(const struct ca_wish *wish, struct buf *ret_pem, struct buf *ret_key,
                  struct err *err);

struct ca;

/* `key` is PKCS#8 in DER, and must be the certificate's.  NULL with the reason. */
struct ca *ca_open(struct str pem, struct str key, struct err *err);
void ca_free(struct ca *ca); /* takes NULL too; OpenSSL wipes the key */

/* A leaf for `host` (a name, or an address as text) and the public key, as DER. */
int ca_sign(const struct ca *ca, struct str host, struct str public_key, int64_t now_ms,
            struct buf *ret_der, struct err *err);

/* For people: subject, times, SHA-256 fingerprint in hex, permitted hosts, a line each. */
int ca_describe(struct str pem, struct buf *out, struct err *err);
/* SHA-256 of the certificate, in hex. */
bool ca_fingerprint(struct str pem, struct buf *out);
/* True when a leaf for that host would be accepted: within the names and the times. */
bool ca_covers(struct str pem, struct str host, int64_t now_ms);

/* ---- the side that uses it ---- */

struct leaf_key;

struct leaf_key *leaf_key_new(void);
void leaf_key_free(struct leaf_key *key);                          /* takes NULL too */
bool leaf_key_public(const struct leaf_key *key, struct buf *out); /* SubjectPublicKeyInfo */

struct leaf;

/* NULL when it is no certificate of that key.  The key must outlive it. */
struct leaf *leaf_new(struct str der, const struct leaf_key *key, struct err *err);
void leaf_free(struct leaf *leaf); /* takes NULL too; after the connections that use it */
int64_t leaf_expires_ms(const struct leaf *leaf);

/* For tls.c alone. */
struct x509_st *leaf_certificate(const struct leaf *leaf);
struct evp_pkey_st *leaf_private(const struct leaf *leaf);

#endif
