/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/tls.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "base/mem.h"
#include "tls/tls_parts.h"

enum {
    RECORD_OVERHEAD = 256, /* more than head, padding and tag */
    OUTPUT_KEPT = 2048,    /* a larger output buffer is freed when it is empty */
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

int tls_openssl_error(struct err *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    (void)err_set(err, "%s: %s", what, reason == NULL ? "unknown error of OpenSSL" : reason);
    ERR_clear_error();
    return -1;
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
            tls->head_bytes < TLS_RECORD_HEAD ? TLS_RECORD_HEAD - tls->head_bytes : tls->body_left;
        if (step > taken.len) {
            step = taken.len;
        }
        tls->partial += step;
        if (tls->head_bytes < TLS_RECORD_HEAD) {
            memcpy(tls->head + tls->head_bytes, taken.data, step);
            tls->head_bytes += step;
            tls->body_left = tls->head_bytes < TLS_RECORD_HEAD
                                 ? 0
                                 : (size_t)tls->head[3] << 8 | (size_t)tls->head[4];
        } else {
            tls->body_left -= step;
        }
        if (tls->head_bytes == TLS_RECORD_HEAD && tls->body_left == 0) {
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

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "memory");

    if (method == NULL || BIO_meth_set_read(method, bio_read) != 1 ||
        BIO_meth_set_write(method, bio_write) != 1 || BIO_meth_set_ctrl(method, bio_control) != 1) {
        abort();
    }
    return method;
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

    if (host.len > TLS_HOST_MAX ||
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
    if (host.len == 0 || host.len > TLS_HOST_MAX || memchr(host.data, '\0', host.len) != NULL) {
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
    tls_resume_session(tls);
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
        (void)tls_openssl_error(err, tls->done ? "TLS broke" : "the TLS handshake failed");
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
