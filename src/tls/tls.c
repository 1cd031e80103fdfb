/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/digest.h"
#include "base/mem.h"

enum {
    SESSIONS = 64,          /* remembered for resumption, a client context */
    SESSION_SECONDS = 3600, /* a certificate that was good stays good for so long */
    RECORD_HEAD = 5,
    RECORD_OVERHEAD = 256,       /* more than head, padding and tag */
    OUTPUT_KEPT = 2048,          /* a larger output buffer is freed when it is empty */
    HOST_MAX = 255,              /* of a DNS name */
    SESSION_NAME = HOST_MAX + 8, /* host and port */
};

struct remembered {
    char name[SESSION_NAME];
    SSL_SESSION *session;
    uint64_t used;
};

struct tls_context {
    SSL_CTX *ctx;
    BIO_METHOD *method;
    size_t trusted;
    struct remembered sessions[SESSIONS];
    uint64_t uses;
};

struct tls {
    struct tls_context *context;
    SSL *ssl;
    struct str in; /* of the present call to tls_receive() */
    /* Where in a record OpenSSL's reading stands. */
    size_t head_bytes, body_left, partial;
    unsigned char head[RECORD_HEAD];
    struct buf out;
    bool client, done, closed, failed, said_close;
    char name[SESSION_NAME];
    char host[HOST_MAX + 1];
};

void tls_setup(void)
{
    unsigned char seed[32];

    if (OPENSSL_init_ssl(OPENSSL_INIT_LOAD_CONFIG, NULL) != 1 ||
        RAND_bytes(seed, sizeof(seed)) != 1) {
        abort();
    }
    mem_wipe(seed, sizeof(seed));
}

/* ---- our BIO: reads from tls->in, writes to tls->out ---- */

static int bio_write(BIO *bio, const char *data, int len)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (len <= 0 || !buf_add(&tls->out, data, (size_t)len)) {
        return -1;
    }
    return len;
}

/* Follows the records in what OpenSSL takes, so that it is known whether one is half there. */
static void follow_records(struct tls *tls, struct str taken)
{
    while (taken.len > 0) {
        size_t step =
            tls->head_bytes < RECORD_HEAD ? RECORD_HEAD - tls->head_bytes : tls->body_left;
        if (step > taken.len) {
            step = taken.len;
        }
        tls->partial += step;
        if (tls->head_bytes < RECORD_HEAD) {
            memcpy(tls->head + tls->head_bytes, taken.data, step);
            tls->head_bytes += step;
            tls->body_left = tls->head_bytes < RECORD_HEAD
                                 ? 0
                                 : (size_t)tls->head[3] << 8 | (size_t)tls->head[4];
        } else {
            tls->body_left -= step;
        }
        if (tls->head_bytes == RECORD_HEAD && tls->body_left == 0) {
            tls->head_bytes = 0;
            tls->partial = 0;
        }
        taken = str_slice(taken, step, taken.len);
    }
}

static int bio_read(BIO *bio, char *data, int len)
{
    struct tls *tls = BIO_get_data(bio);
    size_t take = len <= 0 ? 0 : (size_t)len;

    BIO_clear_retry_flags(bio);
    if (tls->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    if (take > tls->in.len) {
        take = tls->in.len;
    }
    memcpy(data, tls->in.data, take);
    follow_records(tls, str_slice(tls->in, 0, take));
    tls->in = str_slice(tls->in, take, tls->in.len);
    return (int)take;
}

static long bio_control(BIO *bio, int command, long number, void *pointer)
{
    (void)bio;
    (void)number;
    (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *new_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");

    if (method == NULL || BIO_meth_set_read(method, bio_read) != 1 ||
        BIO_meth_set_write(method, bio_write) != 1 || BIO_meth_set_ctrl(method, bio_control) != 1) {
        abort();
    }
    return method;
}

/* ---- contexts ---- */

static int openssl_error(struct err *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    (void)err_set(err, "%s: %s", what, reason == NULL ? "unknown error of OpenSSL" : reason);
    ERR_clear_error();
    return -1;
}

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
        return openssl_error(err, "cannot set up TLS");
    }
    return 0;
}

static struct tls_context *context_new(const SSL_METHOD *method, struct err *err)
{
    struct tls_context *context = mem_zeroed(sizeof(*context));

    tls_setup();
    context->method = new_method();
    context->ctx = SSL_CTX_new(method);
    if (context->ctx == NULL) {
        (void)openssl_error(err, "cannot set up TLS");
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
    for (size_t i = 0; i < SESSIONS; i++) {
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
        (void)openssl_error(err, "the certificate cannot be used");
        goto out;
    }
    while ((next = PEM_read_bio_X509(bio, NULL, no_password, NULL)) != NULL) {
        if (SSL_CTX_add0_chain_cert(ctx, next) != 1) {
            X509_free(next);
            (void)openssl_error(err, "the certificate chain cannot be used");
            goto out;
        }
    }
    if (!pem_ended()) {
        (void)openssl_error(err, "the certificate chain is damaged");
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
        (void)openssl_error(err, "the CA file is damaged");
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

static int remember_session(SSL *ssl, SSL_SESSION *session);

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
    SSL_CTX_sess_set_new_cb(context->ctx, remember_session);
    if (SSL_CTX_set_alpn_protos(context->ctx, alpn_http11, sizeof(alpn_http11)) != 0) {
        abort();
    }
    return context;
}

/* ---- sessions of a client ---- */

static struct remembered *find_session(struct tls_context *context, const char *name)
{
    for (size_t i = 0; i < SESSIONS; i++) {
        struct remembered *found = &context->sessions[i];
        if (found->session != NULL && strcmp(found->name, name) == 0) {
            return found;
        }
    }
    return NULL;
}

static struct remembered *oldest_session(struct tls_context *context)
{
    struct remembered *oldest = &context->sessions[0];

    for (size_t i = 1; i < SESSIONS; i++) {
        if (context->sessions[i].used < oldest->used) {
            oldest = &context->sessions[i];
        }
    }
    return oldest;
}

static void forget_session(struct remembered *remembered)
{
    SSL_SESSION_free(remembered->session);
    *remembered = (struct remembered){0};
}

/* OpenSSL's callback; 1 means that we keep the reference. */
static int remember_session(SSL *ssl, SSL_SESSION *session)
{
    struct tls *tls = SSL_get_app_data(ssl);
    struct remembered *place = find_session(tls->context, tls->name);

    if (SSL_SESSION_is_resumable(session) != 1) {
        return 0;
    }
    if (place == NULL) {
        place = oldest_session(tls->context);
    }
    forget_session(place);
    memcpy(place->name, tls->name, sizeof(place->name));
    place->session = session;
    place->used = ++tls->context->uses;
    return 1;
}

static void resume_session(struct tls *tls)
{
    struct remembered *found = find_session(tls->context, tls->name);

    if (found == NULL) {
        return;
    }
    if ((int64_t)time(NULL) - SSL_SESSION_get_time(found->session) > SESSION_SECONDS) {
        forget_session(found);
        return;
    }
    found->used = ++tls->context->uses;
    (void)SSL_set_session(tls->ssl, found->session);
}

/* ---- connections ---- */

static struct tls *connection_new(struct tls_context *context)
{
    struct tls *tls = mem_zeroed(sizeof(*tls));
    BIO *bio = BIO_new(context->method);

    tls->context = context;
    tls->ssl = SSL_new(context->ctx);
    if (tls->ssl == NULL || bio == NULL) {
        abort();
    }
    BIO_set_data(bio, tls);
    BIO_set_init(bio, 1);
    SSL_set_bio(tls->ssl, bio, bio); /* owns it now */
    SSL_set_app_data(tls->ssl, tls);
    buf_init(&tls->out, TLS_OUTPUT_MAX + TLS_RECORD_MAX);
    return tls;
}

struct tls *tls_new_server(struct tls_context *context)
{
    struct tls *tls = connection_new(context);

    SSL_set_accept_state(tls->ssl);
    return tls;
}

struct tls *tls_new_leaf(struct tls_context *context, const struct leaf *leaf, struct str host)
{
    struct tls *tls = tls_new_server(context);
    struct digest name = digest_of(host);

    if (host.len > HOST_MAX ||
        SSL_use_cert_and_key(tls->ssl, leaf_certificate(leaf), leaf_private(leaf), NULL, 1) != 1 ||
        SSL_set_session_id_context(tls->ssl, name.bytes, sizeof(name.bytes)) != 1) {
        tls->failed = true;
        ERR_clear_error();
        return tls;
    }
    memcpy(tls->host, host.data, host.len);
    return tls;
}

static bool is_address(const char *host)
{
    unsigned char bytes[16];

    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static bool expect_host(struct tls *tls)
{
    X509_VERIFY_PARAM *param = SSL_get0_param(tls->ssl);

    X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS |
                                               X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
    if (is_address(tls->host)) {
        return X509_VERIFY_PARAM_set1_ip_asc(param, tls->host) == 1;
    }
    return X509_VERIFY_PARAM_set1_host(param, tls->host, strlen(tls->host)) == 1 &&
           SSL_set_tlsext_host_name(tls->ssl, tls->host) == 1;
}

struct tls *tls_new_client(struct tls_context *context, struct str host, unsigned port)
{
    struct tls *tls = connection_new(context);

    SSL_set_connect_state(tls->ssl);
    tls->client = true;
    if (host.len == 0 || host.len > HOST_MAX || memchr(host.data, '\0', host.len) != NULL) {
        tls->failed = true; /* an empty name would be one that is not checked */
        return tls;
    }
    memcpy(tls->host, host.data, host.len);
    (void)snprintf(tls->name, sizeof(tls->name), "%s:%u", tls->host, port & 0xffff);
    if (!expect_host(tls)) {
        tls->failed = true;
        ERR_clear_error();
        return tls;
    }
    resume_session(tls);
    return tls;
}

void tls_free(struct tls *tls)
{
    if (tls == NULL) {
        return;
    }
    if (tls->done && !tls->failed) {
        /* Else SSL_free() takes a session that may be resumed for one that broke. */
        SSL_set_shutdown(tls->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    }
    SSL_free(tls->ssl);
    buf_clear(&tls->out);
    free(tls);
}

static bool explain_certificate(const struct tls *tls, struct err *err)
{
    long result = SSL_get_verify_result(tls->ssl);

    switch (result) {
    case X509_V_OK:
        return false;
    case X509_V_ERR_CERT_HAS_EXPIRED:
        (void)err_set(err, "the certificate of %s has expired", tls->host);
        return true;
    case X509_V_ERR_CERT_NOT_YET_VALID:
        (void)err_set(err, "the certificate of %s is not valid yet", tls->host);
        return true;
    case X509_V_ERR_HOSTNAME_MISMATCH:
    case X509_V_ERR_IP_ADDRESS_MISMATCH:
        (void)err_set(err, "the certificate is for another name than %s", tls->host);
        return true;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE: /* a CA of the same name */
        (void)err_set(err, "the certificate of %s is from a CA that is not trusted here%s",
                      tls->host,
                      tls->context->trusted > 0 ? "" : " (no CA is; install ca-certificates)");
        return true;
    case X509_V_ERR_EE_KEY_TOO_SMALL:
    case X509_V_ERR_CA_KEY_TOO_SMALL:
    case X509_V_ERR_CA_MD_TOO_WEAK:
        (void)err_set(err, "the certificate of %s is too weak", tls->host);
        return true;
    default:
        (void)err_set(err, "the certificate of %s is refused: %s", tls->host,
                      X509_verify_cert_error_string(result));
        return true;
    }
}

static enum tls_state fail(struct tls *tls, struct err *err)
{
    tls->failed = true;
    tls->in = STR_NONE;
    if (!tls->client || !explain_certificate(tls, err)) {
        (void)openssl_error(err, tls->done ? "TLS broke" : "the TLS handshake failed");
    }
    ERR_clear_error();
    return TLS_FAILED;
}

/* After a call of OpenSSL that did not succeed. */
static enum tls_state after(struct tls *tls, int rc, struct err *err)
{
    switch (SSL_get_error(tls->ssl, rc)) {
    case SSL_ERROR_WANT_READ:
        return tls->done ? TLS_OPEN : TLS_HANDSHAKE;
    case SSL_ERROR_ZERO_RETURN:
        tls->closed = true;
        tls->in = STR_NONE;
        return TLS_CLOSED;
    default:
        return fail(tls, err);
    }
}

static enum tls_state read_records(struct tls *tls, struct buf *plain, struct err *err)
{
    while (tls->in.len > 0 || SSL_pending(tls->ssl) > 0) {
        /* A record's plaintext is shorter than its ciphertext, so this is room for one. */
        size_t want = tls->partial + tls->in.len + (size_t)SSL_pending(tls->ssl);
        size_t got = 0;
        if (want > TLS_RECORD_MAX) {
            want = TLS_RECORD_MAX;
        }
        unsigned char *room = buf_room(plain, want);
        if (room == NULL) {
            tls->failed = true;
            (void)err_set(err, "more came than was asked for");
            return TLS_FAILED;
        }
        int rc = SSL_read_ex(tls->ssl, room, want, &got);
        if (rc != 1) {
            return after(tls, rc, err);
        }
        buf_added(plain, got);
    }
    return TLS_OPEN;
}

enum tls_state tls_receive(struct tls *tls, struct str in, struct buf *plain, struct err *err)
{
    if (tls->failed) {
        (void)err_set(err, "the TLS connection failed");
        return TLS_FAILED;
    }
    if (tls->closed) {
        return TLS_CLOSED;
    }
    tls->in = in;
    if (!tls->done) {
        int rc = SSL_do_handshake(tls->ssl);
        if (rc != 1) {
            return after(tls, rc, err);
        }
        tls->done = true;
    }
    return read_records(tls, plain, err);
}

bool tls_send(struct tls *tls, struct str plain)
{
    size_t records = plain.len / TLS_RECORD_MAX + 1;
    size_t most = plain.len + records * RECORD_OVERHEAD;
    size_t written = 0;

    if (!tls->done || tls->failed || tls->said_close ||
        buf_len(&tls->out) + most > TLS_OUTPUT_MAX || buf_room(&tls->out, most) == NULL) {
        return false;
    }
    if (plain.len == 0) {
        return true;
    }
    if (SSL_write_ex(tls->ssl, plain.data, plain.len, &written) != 1 || written != plain.len) {
        tls->failed = true;
        ERR_clear_error();
        return false;
    }
    return true;
}

void tls_close(struct tls *tls)
{
    if (!tls->done || tls->failed || tls->said_close) {
        return;
    }
    tls->said_close = true;
    (void)SSL_shutdown(tls->ssl);
    ERR_clear_error();
}

struct str tls_output(const struct tls *tls)
{
    return buf_str(&tls->out);
}

void tls_sent(struct tls *tls, size_t len)
{
    buf_consume(&tls->out, len);
    if (buf_len(&tls->out) == 0 && tls->out.size > OUTPUT_KEPT) {
        buf_clear(&tls->out);
    }
}

void tls_rest(struct tls *tls)
{
    (void)SSL_free_buffers(tls->ssl); /* refuses while something is in them */
}

bool tls_has_partial(const struct tls *tls)
{
    return tls->partial > 0;
}

bool tls_was_resumed(const struct tls *tls)
{
    return tls->done && SSL_session_reused(tls->ssl) == 1;
}

const char *tls_protocol(const struct tls *tls)
{
    return SSL_get_version(tls->ssl);
}
