/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls: TLS 1.2 and 1.3 over memory, and the only user of OpenSSL's ssl.h.
 *
 * No I/O: the owner of the socket gives what it received to tls_receive() and sends what
 * tls_output() holds, so that a record costs one read and one send.  Nothing is buffered between
 * two calls but a part of one record, and the output.
 *
 *     struct tls *tls = tls_new_client(context, host, port);
 *     tls_receive(tls, STR_NONE, &plain, &err);     writes the first flight
 *     ... send(tls_output(tls)), tls_sent(tls, n) ... recv ... tls_receive(tls, bytes, ...)
 *
 * Security level 2, no early data, no compression, no renegotiation, ALPN http/1.1 only.  A client
 * always verifies chain and name, and resumes sessions by itself, per context, host and port.
 */
#ifndef TLS_TLS_H
#define TLS_TLS_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "base/str.h"
#include "tls/leaf.h"

enum {
    TLS_OUTPUT_MAX = 2 * 1024 * 1024, /* ciphertext waiting to be sent */
    TLS_RECORD_MAX = 16 * 1024,       /* plaintext of one record */
};

/* Loads all that OpenSSL loads lazily, and seeds it.  Before the process confines itself. */
void tls_setup(void);

struct tls_context;

/* The key is wiped from OpenSSL's memory with the context; the caller wipes the PEM. */
struct tls_context *tls_context_new_server(struct str chain_pem, struct str key_pem,
                                           struct err *err);
/* For connections that each bring a certificate of ours: tls_new_leaf(). */
struct tls_context *tls_context_new_leaves(struct err *err);
/* Trusts the certificates in `ca_pem` and no other; the system's when it is empty.  Reads the
 * system's from a file, so before confinement.  A system without any is no error here: then every
 * handshake fails and says so. */
struct tls_context *tls_context_new_client(struct str ca_pem, struct err *err);
void tls_context_free(struct tls_context *context); /* takes NULL too; after its connections */

size_t tls_context_trusted(const struct tls_context *context); /* how many CAs */

struct tls;

struct tls *tls_new_server(struct tls_context *context);
/* Shows that leaf, which may be freed before the connection is.  Resumes sessions of the same
 * `host` only.  The handshake fails when the client names another host. */
struct tls *tls_new_leaf(struct tls_context *context, const struct leaf *leaf, struct str host);
/* `host` is a name or an IP address; it is sent as SNI (a name) and verified. */
struct tls *tls_new_client(struct tls_context *context, struct str host, unsigned port);
void tls_free(struct tls *tls); /* takes NULL too */

enum tls_state {
    TLS_FAILED,    /* `err` says why; send what tls_output() has (an alert), then close */
    TLS_HANDSHAKE, /* not done yet */
    TLS_OPEN,
    TLS_CLOSED, /* the other side said close_notify; we may still send */
};

/* Takes all of `in`, ciphertext as it came from the socket, and appends what it says to `plain`,
 * which must have room for in.len + TLS_RECORD_MAX bytes (else TLS_FAILED).  `err` is filled for
 * TLS_FAILED only. */
enum tls_state tls_receive(struct tls *tls, struct str in, struct buf *plain, struct err *err);

/* Encrypts `plain` into the output.  False when it does not fit (nothing was encrypted), or when
 * the handshake is not done. */
bool tls_send(struct tls *tls, struct str plain);
void tls_close(struct tls *tls); /* close_notify into the output; once */

struct str tls_output(const struct tls *tls); /* until the next call on this connection */
void tls_sent(struct tls *tls, size_t len);   /* the socket took so much of it */
/* Gives back OpenSSL's record buffers, 34 KiB, until it is used again.  For connections that have
 * been idle a while; doing it after each record would cost more than the record. */
void tls_rest(struct tls *tls);
bool tls_has_partial(const struct tls *tls);     /* a part of a record is in */
bool tls_was_resumed(const struct tls *tls);     /* of a finished handshake */
const char *tls_protocol(const struct tls *tls); /* "TLSv1.3" */

#endif
