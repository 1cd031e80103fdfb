/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tls_parts: what tls.c (connections), context.c and resume.c have of one another.
 */
#ifndef TLS_TLS_PARTS_H
#define TLS_TLS_PARTS_H

#include <openssl/ssl.h>

#include "tls/tls.h"

enum {
    TLS_SESSIONS = 64, /* remembered for resumption, a client context */
    TLS_RECORD_HEAD = 5,
    TLS_HOST_MAX = 255,                  /* of a DNS name */
    TLS_SESSION_NAME = TLS_HOST_MAX + 8, /* host and port */
};

struct tls_remembered {
    char name[TLS_SESSION_NAME];
    SSL_SESSION *session;
    uint64_t used;
};

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    size_t trusted;
    struct tls_remembered sessions[TLS_SESSIONS];
    uint64_t uses;
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    struct str in; /* of the present call to tls_receive() */
    /* Where in a record OpenSSL's reading stands. */
    size_t head_bytes, body_left, partial;
    unsigned char head[TLS_RECORD_HEAD];
    struct buf out;
    bool client, done, closed, failed, said_close;
    char name[TLS_SESSION_NAME];
    char host[TLS_HOST_MAX + 1];
};

/* ---- tls.c ---- */

/* `what`, and the reason that OpenSSL has for it.  Returns -1. */
int tls_openssl_error(struct err *err, const char *what);
/* A BIO that reads from `in` of its struct tls and writes to its `out`. */
BIO_METHOD *tls_bio_method(void);

/* ---- resume.c ---- */

/* OpenSSL's callback: 1, and the session is kept. */
int tls_remember_session(SSL *ssl, SSL_SESSION *session);
void tls_resume_session(struct tls *tls); /* if one is remembered, and young enough */

#endif
