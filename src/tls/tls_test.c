/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/tls.h"

#include <malloc.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/test.h"

enum { PEM_MAX = 8192, DAY = 24 * 3600 };

/* ---- certificates made here ---- */

struct made {
    EVP_PKEY *key;
    X509 *cert;
    char chain_pem[PEM_MAX], key_pem[PEM_MAX];
};

struct wish {
    const char *name; /* subjectAltName, "DNS:..." or "IP:..." ; NULL: a CA */
    long not_before, not_after;
    const char *usage; /* extendedKeyUsage; NULL: none */
    int rsa_bits;      /* 0: P-256 */
};

static void add_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(extension != NULL && X509_add_ext(cert, extension, -1) == 1);
    X509_EXTENSION_free(extension);
}

static void to_pem(struct made *made)
{
    BIO *cert = BIO_new(BIO_s_mem());
    BIO *key = BIO_new(BIO_s_mem());

    CHECK(PEM_write_bio_X509(cert, made->cert) == 1);
    CHECK(PEM_write_bio_PrivateKey(key, made->key, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(BIO_read(cert, made->chain_pem, PEM_MAX - 1) > 0);
    CHECK(BIO_read(key, made->key_pem, PEM_MAX - 1) > 0);
    BIO_free(cert);
    BIO_free(key);
}

static struct made *make_certificate(const struct wish *wish, const struct made *issuer)
{
    static long serial;
    struct made *made = mem_zeroed(sizeof(*made));
    X509 *cert = X509_new();

    made->key = wish->rsa_bits > 0 ? EVP_RSA_gen((unsigned)wish->rsa_bits) : EVP_EC_gen("P-256");
    made->cert = cert;
    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), ++serial);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), wish->not_before);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), wish->not_after);
    X509_NAME *name = X509_get_subject_name(cert);
    (void)X509_NAME_add_entry_by_txt(
        name, "CN", MBSTRING_ASC,
        (const unsigned char *)(wish->name == NULL ? "test CA" : "api.example.com"), -1, -1, 0);
    (void)X509_set_issuer_name(cert, issuer == NULL ? name : X509_get_subject_name(issuer->cert));
    (void)X509_set_pubkey(cert, made->key);
    X509 *signer = issuer == NULL ? cert : issuer->cert;
    add_extension(cert, signer, NID_basic_constraints,
                  wish->name == NULL ? "critical,CA:TRUE" : "CA:FALSE");
    if (wish->name != NULL) {
        add_extension(cert, signer, NID_subject_alt_name, wish->name);
    }
    if (wish->usage != NULL) {
        add_extension(cert, signer, NID_ext_key_usage, wish->usage);
    }
    CHECK(X509_sign(cert, issuer == NULL ? made->key : issuer->key, EVP_sha256()) > 0);
    to_pem(made);
    return made;
}

static void unmake(struct made *made)
{
    X509_free(made->cert);
    EVP_PKEY_free(made->key);
    free(made);
}

/* ---- both ends in memory ---- */

struct pair {
    struct tls *client, *server;
    struct buf to_client, to_server; /* plaintext that arrived */
    enum tls_state client_state, server_state;
    struct err client_err, server_err;
};

static void pair_begin(struct pair *pair, struct tls_context *client, struct tls_context *server,
                       const char *host)
{
    memset(pair, 0, sizeof(*pair));
    buf_init(&pair->to_client, 4 * 1024 * 1024);
    buf_init(&pair->to_server, 4 * 1024 * 1024);
    pair->client = tls_new_client(client, str_from(host), 443);
    pair->server = tls_new_server(server);
    pair->client_state = tls_receive(pair->client, STR_NONE, &pair->to_client, &pair->client_err);
    pair->server_state = TLS_HANDSHAKE;
}

/* Carries what is waiting, `step` bytes at a time.  False when there was nothing. */
static bool carry(struct tls *from, struct tls *to, struct buf *plain, size_t step,
                  enum tls_state *state, struct err *err)
{
    struct str output = tls_output(from);

    if (output.len == 0) {
        return false;
    }
    if (step == 0 || step > output.len) {
        step = output.len;
    }
    if (*state != TLS_FAILED) {
        *state = tls_receive(to, str_slice(output, 0, step), plain, err);
    }
    tls_sent(from, step);
    return true;
}

static void pair_run(struct pair *pair, size_t step)
{
    bool moved = true;

    while (moved) {
        moved = carry(pair->client, pair->server, &pair->to_server, step, &pair->server_state,
                      &pair->server_err);
        moved = carry(pair->server, pair->client, &pair->to_client, step, &pair->client_state,
                      &pair->client_err) ||
                moved;
    }
}

static void pair_end(struct pair *pair)
{
    tls_free(pair->client);
    tls_free(pair->server);
    buf_clear(&pair->to_client);
    buf_clear(&pair->to_server);
}

static struct tls_context *server_of(const struct made *made)
{
    struct err err;
    struct tls_context *context =
        tls_context_new_server(str_from(made->chain_pem), str_from(made->key_pem), &err);

    CHECK(context != NULL);
    return context;
}

static struct tls_context *client_of(const struct made *ca)
{
    struct err err;
    struct tls_context *context = tls_context_new_client(str_from(ca->chain_pem), &err);

    CHECK(context != NULL && tls_context_trusted(context) == 1);
    return context;
}

static const struct wish ca_wish = {NULL, -DAY, 30 * DAY, NULL, 0};
static const struct wish good_wish = {"DNS:api.example.com,IP:127.0.0.1", -DAY, DAY, NULL, 0};

static void test_talk(struct tls_context *client, struct tls_context *server)
{
    static const size_t steps[] = {0, 1, 7, 1000};
    char big[40000];

    memset(big, 'x', sizeof(big));
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct pair pair;
        pair_begin(&pair, client, server, "api.example.com");
        CHECK(!tls_send(pair.client, STR("too early")));
        pair_run(&pair, steps[i]);
        CHECK(pair.client_state == TLS_OPEN && pair.server_state == TLS_OPEN);
        CHECK(strcmp(tls_protocol(pair.client), "TLSv1.3") == 0);
        CHECK(!tls_has_partial(pair.client) && !tls_has_partial(pair.server));
        CHECK(tls_was_resumed(pair.client) == (i > 0));

        CHECK(tls_send(pair.client, STR("GET /")) && tls_send(pair.client, STR(" HTTP/1.1")));
        CHECK(tls_send(pair.server, str_of(big, sizeof(big))));
        pair_run(&pair, steps[i]);
        CHECK(str_equal(buf_str(&pair.to_server), STR("GET / HTTP/1.1")));
        CHECK(str_equal(buf_str(&pair.to_client), str_of(big, sizeof(big))));

        tls_close(pair.server);
        tls_close(pair.server);
        pair_run(&pair, steps[i]);
        CHECK(pair.client_state == TLS_CLOSED && pair.server_state == TLS_OPEN);
        CHECK(!tls_send(pair.server, STR("after the end")));
        CHECK(tls_send(pair.client, STR("still open this way")));
        pair_end(&pair);
    }
}

static void test_partial(struct tls_context *client, struct tls_context *server)
{
    struct pair pair;
    size_t len;

    pair_begin(&pair, client, server, "api.example.com");
    pair_run(&pair, 0);
    CHECK(tls_send(pair.client, STR("hello")));
    len = tls_output(pair.client).len;
    for (size_t i = 1; i < len; i++) {
        (void)carry(pair.client, pair.server, &pair.to_server, 1, &pair.server_state,
                    &pair.server_err);
        CHECK(tls_has_partial(pair.server) && buf_len(&pair.to_server) == 0);
    }
    (void)carry(pair.client, pair.server, &pair.to_server, 1, &pair.server_state, &pair.server_err);
    CHECK(!tls_has_partial(pair.server) && buf_len(&pair.to_server) == 5);
    CHECK(tls_output(pair.client).len == 0);
    pair_end(&pair);
}

static void test_damage(struct tls_context *client, struct tls_context *server)
{
    struct pair pair;
    char bytes[256];

    pair_begin(&pair, client, server, "api.example.com");
    pair_run(&pair, 0);
    CHECK(tls_send(pair.client, STR("hello")));
    struct str output = tls_output(pair.client);
    CHECK(output.len > 8 && output.len < sizeof(bytes));
    memcpy(bytes, output.data, output.len);
    bytes[8] = (char)(bytes[8] ^ 1);
    CHECK(tls_receive(pair.server, str_of(bytes, output.len), &pair.to_server, &pair.server_err) ==
          TLS_FAILED);
    CHECK(pair.server_err.text[0] != '\0' && buf_len(&pair.to_server) == 0);
    CHECK(tls_output(pair.server).len > 0); /* the alert */
    CHECK(!tls_send(pair.server, STR("after that")));
    pair_end(&pair);

    /* Not TLS at all. */
    struct tls *tls = tls_new_server(server);
    struct buf plain;
    struct err err;
    buf_init(&plain, 65536);
    CHECK(tls_receive(tls, STR("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), &plain, &err) == TLS_FAILED);
    tls_free(tls);
    buf_clear(&plain);
}

static void test_output_is_bounded(struct tls_context *client, struct tls_context *server)
{
    struct pair pair;
    char *big = mem_zeroed(512 * 1024);
    size_t sent = 0;

    pair_begin(&pair, client, server, "api.example.com");
    pair_run(&pair, 0);
    while (sent < 16 && tls_send(pair.client, str_of(big, 512 * 1024))) {
        sent++;
    }
    CHECK(sent == 3);
    pair_run(&pair, 65536);
    CHECK(buf_len(&pair.to_server) == sent * 512 * 1024);
    CHECK(tls_send(pair.client, STR("more")));
    pair_end(&pair);
    free(big);
}

static void test_bad_certificates(const struct made *ca)
{
    static const struct {
        struct wish wish;
        bool other_ca;
        const char *host, *says;
    } cases[] = {
        {{"DNS:api.example.com", -2 * DAY, -DAY, NULL, 0}, false, "api.example.com", "expired"},
        {{"DNS:api.example.com", DAY, 2 * DAY, NULL, 0}, false, "api.example.com", "not valid yet"},
        {{"DNS:api.example.com", -DAY, DAY, NULL, 0}, true, "api.example.com", "not trusted"},
        {{"DNS:api.example.com", -DAY, DAY, NULL, 0}, false, "evil.example.com", "another name"},
        {{"DNS:api.example.com", -DAY, DAY, NULL, 0}, false, "127.0.0.1", "another name"},
        {{"DNS:a*.example.com", -DAY, DAY, NULL, 0}, false, "api.example.com", "another name"},
        {{"DNS:*.example.com", -DAY, DAY, NULL, 0}, false, "a.b.example.com", "another name"},
        {{"DNS:*.example.com", -DAY, DAY, NULL, 0}, false, "example.com", "another name"},
        /* The common name says api.example.com; it counts for nothing. */
        {{"DNS:other.example.com", -DAY, DAY, NULL, 0}, false, "api.example.com", "another name"},
        {{"DNS:api.example.com", -DAY, DAY, "clientAuth", 0}, false, "api.example.com", "refused"},
        {{"DNS:api.example.com", -DAY, DAY, NULL, 1024}, false, "api.example.com", ""},
    };
    struct made *other = make_certificate(&ca_wish, NULL);
    struct tls_context *client = client_of(ca);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made *made = make_certificate(&cases[i].wish, cases[i].other_ca ? other : ca);
        struct err err = {""};
        struct tls_context *server =
            tls_context_new_server(str_from(made->chain_pem), str_from(made->key_pem), &err);
        if (cases[i].wish.rsa_bits > 0) {
            CHECK(server == NULL && err.text[0] != '\0'); /* level 2 refuses to serve it */
        } else {
            struct pair pair;
            pair_begin(&pair, client, server, cases[i].host);
            pair_run(&pair, 0);
            CHECK_CASE(pair.client_state == TLS_FAILED, cases[i].says);
            CHECK_CASE(strstr(pair.client_err.text, cases[i].says) != NULL, pair.client_err.text);
            CHECK_CASE(!tls_send(pair.client, STR("secret")), cases[i].says);
            pair_end(&pair);
        }
        tls_context_free(server);
        unmake(made);
    }
    tls_context_free(client);
    unmake(other);
}

static void test_good_certificates(const struct made *ca)
{
    static const struct {
        const char *name, *host;
    } cases[] = {
        {"DNS:api.example.com", "api.example.com"},
        {"DNS:api.example.com", "API.example.com"},
        {"DNS:*.example.com", "api.example.com"},
        {"IP:127.0.0.1", "127.0.0.1"},
        {"IP:::1", "::1"},
    };
    struct tls_context *client = client_of(ca);

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct made *made =
            make_certificate(&(struct wish){cases[i].name, -DAY, DAY, "serverAuth", 0}, ca);
        struct tls_context *server = server_of(made);
        struct pair pair;
        pair_begin(&pair, client, server, cases[i].host);
        pair_run(&pair, 0);
        CHECK_CASE(pair.client_state == TLS_OPEN, pair.client_err.text);
        pair_end(&pair);
        tls_context_free(server);
        unmake(made);
    }
    tls_context_free(client);

    /* A server's own certificate given as the only thing to trust. */
    struct made *lone = make_certificate(&good_wish, NULL);
    struct tls_context *server = server_of(lone);
    struct pair pair;
    client = client_of(lone);
    pair_begin(&pair, client, server, "api.example.com");
    pair_run(&pair, 0);
    CHECK_CASE(pair.client_state == TLS_OPEN, pair.client_err.text);
    pair_end(&pair);
    tls_context_free(client);
    tls_context_free(server);
    unmake(lone);
}

static void test_bad_names(struct tls_context *client)
{
    static const struct str names[] = {{"", 0}, {"a\0b", 3}};
    struct buf plain;

    buf_init(&plain, 65536);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct tls *tls = tls_new_client(client, names[i], 443);
        struct err err = {""};
        CHECK(tls_receive(tls, STR_NONE, &plain, &err) == TLS_FAILED && err.text[0] != '\0');
        CHECK(tls_output(tls).len == 0);
        tls_free(tls);
    }
    buf_clear(&plain);
}

static void test_contexts(const struct made *ca, const struct made *good)
{
    struct made *weak = make_certificate(&good_wish, ca);
    char cut[PEM_MAX];
    struct err err = {""};

    memcpy(cut, good->chain_pem, sizeof(cut));
    cut[strlen(cut) / 2] = '\0';
    CHECK(tls_context_new_server(STR(""), str_from(good->key_pem), &err) == NULL);
    CHECK(tls_context_new_server(STR("nonsense"), str_from(good->key_pem), &err) == NULL);
    CHECK(tls_context_new_server(str_from(cut), str_from(good->key_pem), &err) == NULL);
    CHECK(tls_context_new_server(str_from(good->chain_pem), STR(""), &err) == NULL);
    CHECK(tls_context_new_server(str_from(good->chain_pem), str_from(weak->key_pem), &err) == NULL);
    CHECK(strstr(err.text, "does not belong") != NULL);
    CHECK(tls_context_new_client(STR("nonsense"), &err) == NULL && err.text[0] != '\0');
    CHECK(tls_context_new_client(str_from(cut), &err) == NULL);
    struct tls_context *system = tls_context_new_client(STR_NONE, &err);
    CHECK(system != NULL);
    tls_context_free(system);
    unmake(weak);
}

#ifndef KEYBRAKE_SANITIZE
static void test_idle_memory(struct tls_context *client, struct tls_context *server)
{
    enum { PAIRS = 50 };
    static struct pair pairs[PAIRS];
    size_t before = mallinfo2().uordblks;

    for (size_t i = 0; i < PAIRS; i++) {
        pair_begin(&pairs[i], client, server, "api.example.com");
        pair_run(&pairs[i], 0);
        CHECK(tls_send(pairs[i].client, STR("GET / HTTP/1.1")));
        pair_run(&pairs[i], 0);
        buf_clear(&pairs[i].to_server);
        tls_rest(pairs[i].client);
        tls_rest(pairs[i].server);
    }
    size_t each = (mallinfo2().uordblks - before) / (2 * PAIRS);
    char text[64];
    (void)snprintf(text, sizeof(text), "%zu bytes an idle connection", each);
    CHECK_CASE(each < 16 * 1024, text);
    for (size_t i = 0; i < PAIRS; i++) {
        pair_end(&pairs[i]);
    }
}

#endif

/* Against OpenSSL as others set it up. */
static void test_refuses_old(struct tls_context *server)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    SSL *ssl = SSL_new(ctx);
    BIO *in = BIO_new(BIO_s_mem());
    BIO *out = BIO_new(BIO_s_mem());
    struct tls *tls = tls_new_server(server);
    struct buf plain;
    struct err err = {""};
    char bytes[4096];

    buf_init(&plain, 65536);
    SSL_set_security_level(ssl, 0);
    (void)SSL_set_min_proto_version(ssl, TLS1_VERSION);
    (void)SSL_set_max_proto_version(ssl, TLS1_1_VERSION);
    SSL_set_bio(ssl, in, out);
    (void)SSL_connect(ssl);
    int len = BIO_read(out, bytes, sizeof(bytes));
    CHECK(len > 0);
    CHECK(tls_receive(tls, str_of(bytes, (size_t)len), &plain, &err) == TLS_FAILED);
    tls_free(tls);
    SSL_free(ssl);

    /* Only h2 offered: nothing in common. */
    ssl = SSL_new(ctx);
    in = BIO_new(BIO_s_mem());
    out = BIO_new(BIO_s_mem());
    tls = tls_new_server(server);
    (void)SSL_set_alpn_protos(ssl, (const unsigned char *)"\2h2", 3);
    SSL_set_bio(ssl, in, out);
    (void)SSL_connect(ssl);
    len = BIO_read(out, bytes, sizeof(bytes));
    CHECK(len > 0);
    CHECK(tls_receive(tls, str_of(bytes, (size_t)len), &plain, &err) == TLS_FAILED);
    tls_free(tls);
    SSL_free(ssl);
    SSL_CTX_free(ctx);
    buf_clear(&plain);
}

int main(void)
{
    tls_setup();
    struct made *ca = make_certificate(&ca_wish, NULL);
    struct made *good = make_certificate(&good_wish, ca);
    struct tls_context *server = server_of(good);
    struct tls_context *client = client_of(ca);

    test_talk(client, server);
    test_partial(client, server);
    test_damage(client, server);
    test_output_is_bounded(client, server);
    test_bad_names(client);
#ifndef KEYBRAKE_SANITIZE
    test_idle_memory(client, server);
#endif
    test_bad_certificates(ca);
    test_good_certificates(ca);
    test_contexts(ca, good);
    test_refuses_old(server);

    tls_context_free(client);
    tls_context_free(server);
    unmake(good);
    unmake(ca);
    return test_done();
}
