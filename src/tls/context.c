/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contexts: what all connections of a kind have in common: versions, ciphers, certificates shown,
 * certificates trusted.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509_vfy.h>
#include <stdlib.h>
#include <strings.h>

#include "base/mem.h"
#include "tls/tls_parts.h"

static int set_common(SSL_CTX *ctx, struct err *err)
{
    char groups[] = "X25519:P-256:P-384"; /* OpenSSL's macro takes const away */

    SSL_CTX_set_security_level(ctx, 2);
    SSL_CTX_set_options(ctx, SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_CIPHER_SERVER_PREFERENCE |
                                 SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_read_ahead(ctx, 0); /* or OpenSSL would hold bytes that we do not know of */
    if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
        SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
        SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
        SSL_CTX_set_ciphersuites(ctx, "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:"
                                      "TLS_CHACHA20_POLY1305_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(ctx, groups) != 1) {
        return tls_openssl_error(err, "cannot set up TLS");
    }
    return 0;
}

static struct tls_context *context_new(const SSL_METHOD *method, struct err *err)
{
    struct tls_context *context = mem_zeroed(sizeof(*context));

    tls_setup();
    context->method = tls_bio_method();
    context->ctx = SSL_CTX_new(method);
    if (context->ctx == NULL) {
        (void)tls_openssl_error(err, "cannot set up TLS");
        tls_context_free(context);
        return NULL;
    }
    SSL_CTX_set_app_data(context->ctx, context);
    if (set_common(context->ctx, err) < 0) {
        tls_context_free(context);
        return NULL;
    }
    return context;
}

void tls_context_free(struct tls_context *context)
{
    if (context == NULL) {
        return;
    }
    for (size_t i = 0; i < TLS_SESSIONS; i++) {
        SSL_SESSION_free(context->sessions[i].session);
    }
    SSL_CTX_free(context->ctx);
    BIO_meth_free(context->method);
    free(context);
}

size_t tls_context_trusted(const struct tls_context *context)
{
    return context->trusted;
}

/* OpenSSL must not ask a terminal for the password of an encrypted key. */
static int no_password(char *out, int size, int writing, void *ctx)
{
    (void)out;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

static BIO *read_pem(struct str pem)
{
    BIO *bio = pem.len > INT32_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);

    if (bio == NULL) {
        abort();
    }
    return bio;
}

/* The errors of a PEM file that simply ended. */
static bool pem_ended(void)
{
    unsigned long code = ERR_peek_last_error();
    bool ended = code == 0 ||
                 (ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE);

    if (ended) {
        ERR_clear_error();
    }
    return ended;
}

static int use_chain(SSL_CTX *ctx, struct str pem, struct err *err)
{
    BIO *bio = read_pem(str_of(pem.len == 0 ? "" : pem.data, pem.len));
    X509 *leaf = PEM_read_bio_X509_AUX(bio, NULL, no_password, NULL);
    X509 *next = NULL;
    int rc = -1;

    if (leaf == NULL) {
        ERR_clear_error();
        (void)err_set(err, "the certificate file has no certificate in PEM form");
        goto out;
    }
    if (SSL_CTX_use_certificate(ctx, leaf) != 1) {
        (void)tls_openssl_error(err, "the certificate cannot be used");
        goto out;
    }
    while ((next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
            X509_free(next);
            (void)tls_openssl_error(err, "the certificate chain cannot be used");
            goto out;
        }
    }
    if (!pem_ended()) {
        (void)tls_openssl_error(err, "the certificate chain is damaged");
        goto out;
    }
    rc = 0;
out:
    X509_free(leaf);
    BIO_free(bio);
    return rc;
}

static int use_key(SSL_CTX *ctx, struct str pem, struct err *err)
{
    BIO *bio = read_pem(str_of(pem.len == 0 ? "" : pem.data, pem.len));
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL);
    int rc = -1;

    if (key == NULL) {
        ERR_clear_error();
        (void)err_set(err, "the key file has no private key in PEM form without a password");
    } else if (SSL_CTX_use_PrivateKey(ctx, key) != 1 || SSL_CTX_check_private_key(ctx) != 1) {
        ERR_clear_error();
        (void)err_set(err, "the private key does not belong to the certificate");
    } else {
        rc = 0;
    }
    EVP_PKEY_free(key);
    BIO_free(bio);
    return rc;
}

static const unsigned char alpn_http11[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1'};

/* What a server takes: clients that are told to speak 1.0 say so here. */
static const unsigned char alpn_http1[] = {8, 'h', 't', 't', 'p', '/', '1', '.', '1',
                                           8, 'h', 't', 't', 'p', '/', '1', '.', '0'};

static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len,
                       const unsigned char *in, unsigned in_len, void *ctx)
{
    unsigned char *chosen = NULL;

    (void)ssl;
    (void)ctx;
    if (SSL_select_next_proto(&chosen, out_len, alpn_http1, sizeof(alpn_http1), in, in_len) !=
        OPENSSL_NPN_NEGOTIATED) {
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    }
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

static struct tls_context *server_context(struct err *err)
{
    static const unsigned char session_id_context[] = "keybrake";
    struct tls_context *context = context_new(TLS_server_method(), err);

    if (context == NULL) {
        return NULL;
    }
    SSL_CTX_set_alpn_select_cb(context->ctx, choose_alpn, NULL);
    /* Stateless tickets under keys of this process; nothing is cached here. */
    SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
    (void)SSL_CTX_set_num_tickets(context->ctx, 1);
    (void)SSL_CTX_set_session_id_context(context->ctx, session_id_context,
                                         sizeof(session_id_context) - 1);
    return context;
}

struct tls_context *tls_context_new_server(struct str chain_pem, struct str key_pem,
                                           struct err *err)
{
    struct tls_context *context = server_context(err);

    if (context != NULL &&
        (use_chain(context->ctx, chain_pem, err) < 0 || use_key(context->ctx, key_pem, err) < 0)) {
        tls_context_free(context);
        return NULL;
    }
    return context;
}

/* The name was read before, to choose the certificate; here it is what OpenSSL reads. */
static int check_name(SSL *ssl, int *alert, void *ctx)
{
    const struct tls *tls = SSL_get_app_data(ssl);
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)ctx;
    if (name != NULL && strcasecmp(name, tls->host) == 0) {
        return SSL_TLSEXT_ERR_OK;
    }
    if (name == NULL) {
        return SSL_TLSEXT_ERR_NOACK;
    }
    *alert = SSL_AD_UNRECOGNIZED_NAME;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

struct tls_context *tls_context_new_leaves(struct err *err)
{
    struct tls_context *context = server_context(err);

    if (context != NULL) {
        SSL_CTX_set_tlsext_servername_callback(context->ctx, check_name);
    }
    return context;
}

static size_t add_trusted(X509_STORE *store, BIO *bio, struct err *err)
{
    size_t count = 0;
    X509 *ca;

    while ((ca = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        count += X509_STORE_add_cert(store, ca) == 1;
        X509_free(ca);
    }
    if (!pem_ended()) {
        (void)tls_openssl_error(err, "the CA file is damaged");
        return 0;
    }
    return count;
}

static size_t add_system_trusted(X509_STORE *store, struct err *err)
{
    const char *const files[] = {"/etc/ssl/certs/ca-certificates.crt",
                                 "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem",
                                 X509_get_default_cert_file()};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]) && count == 0; i++) {
        BIO *bio = BIO_new_file(files[i], "r");
        if (bio != NULL) {
            count = add_trusted(store, bio, err);
            BIO_free(bio);
        }
        ERR_clear_error();
    }
    return count;
}

struct tls_context *tls_context_new_client(struct str ca_pem, struct err *err)
{
    struct tls_context *context = context_new(TLS_client_method(), err);

    if (context == NULL) {
        return NULL;
    }
    X509_STORE *store = SSL_CTX_get_cert_store(context->ctx);
    if (ca_pem.len > 0) {
        BIO *bio = read_pem(ca_pem);
        (void)err_set(err, "the CA file has no certificate in PEM form");
        context->trusted = add_trusted(store, bio, err);
        BIO_free(bio);
        /* Whoever names one certificate may mean the server's own, or one half-way up. */
        (void)X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    } else {
        context->trusted = add_system_trusted(store, err);
    }
    if (ca_pem.len > 0 && context->trusted == 0) {
        tls_context_free(context);
        return NULL;
    }
    SSL_CTX_set_verify(context->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context->ctx,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(context->ctx, tls_remember_session);
    if (SSL_CTX_set_alpn_protos(context->ctx, alpn_http11, sizeof(alpn_http11)) != 0) {
        abort();
    }
    return context;
}
