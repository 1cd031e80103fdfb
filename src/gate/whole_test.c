/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The whole process: confinement and all, over TCP, with TLS and without.
 */
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "gate/testing.h"

static int hand_over_channel(int parent, enum process_role role)
{
    struct message_channel message = {.peer = role, .incarnation = 1};
    int fds[2];

    pair(fds);
    tell_with(parent, MESSAGE_CHANNEL, &message, fds[1]);
    (void)close(fds[1]);
    return fds[0];
}

/* A certificate for 127.0.0.1 that is its own CA. */
static struct message_certificate make_certificate(char chain[4096], char key_text[4096])
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509_NAME *name = X509_get_subject_name(cert);
    BIO *cert_out = BIO_new(BIO_s_mem()), *key_out = BIO_new(BIO_s_mem());

    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"door", -1,
                                     -1, 0);
    (void)X509_set_issuer_name(cert, name);
    (void)X509_set_pubkey(cert, key);
    X509_EXTENSION *san =
        X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, "IP:127.0.0.1,DNS:localhost");
    CHECK(X509_add_ext(cert, san, -1) == 1);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    CHECK(PEM_write_bio_X509(cert_out, cert) == 1);
    CHECK(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) == 1);
    int chain_len = BIO_read(cert_out, chain, 4096), key_len = BIO_read(key_out, key_text, 4096);
    X509_EXTENSION_free(san);
    X509_free(cert);
    EVP_PKEY_free(key);
    BIO_free(cert_out);
    BIO_free(key_out);
    return (struct message_certificate){.chain_pem = {chain, (size_t)chain_len},
                                        .key_pem = {key_text, (size_t)key_len}};
}

static int begin_process(struct sockaddr_in *ret_address,
                         const struct message_certificate *certificate)
{
    char name[] = "keybrake-gate", index[] = "0", incarnation[] = "1", dir[] = "/", user[] = "";
    char *argv[] = {name, index, incarnation, dir, user, NULL};
    struct message_listener door = {.listener = 0, .address = STR("127.0.0.1:0")};
    int parent[2];

    pair(parent);
    t.pid = fork();
    if (t.pid == 0) {
        (void)close(parent[0]);    /* its end is what ends the gate; it may be 3 */
        (void)dup2(parent[1], 3);  /* without close-on-exec, as the parent hands it over */
        _exit(gate_main(5, argv)); /* a confined process cannot be searched for leaks */
    }
    (void)close(parent[1]);
    t.judge = hand_over_channel(parent[0], ROLE_JUDGE);
    t.vault = hand_over_channel(parent[0], ROLE_VAULT);
    t.reader = hand_over_channel(parent[0], ROLE_READER);
    if (certificate != NULL) {
        tell(parent[0], MESSAGE_CERTIFICATE, certificate);
        door.tls = true;
    }
    int listener = tcp_listener(ret_address);
    tell_with(parent[0], MESSAGE_LISTENER, &door, listener);
    (void)close(listener);
    frames_begin();
    buf_init(&t.got, TEXT_MAX);
    tell(parent[0], MESSAGE_START, &(struct message_empty){0});
    (void)expect(parent[0], MESSAGE_READY);
    (void)expect(t.judge, MESSAGE_GATE_STATS);
    return parent[0];
}

static void end_process(int parent)
{
    int status = 1;

    tell(parent, MESSAGE_DRAIN, &(struct message_empty){0});
    (void)expect(parent, MESSAGE_DRAINED);
    (void)close(parent);
    (void)waitpid(t.pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(t.judge);
    (void)close(t.vault);
    (void)close(t.reader);
    (void)close(t.client);
    frames_end();
    buf_clear(&t.got);
}

static void test_process(void)
{
    struct sockaddr_in address;
    int parent = begin_process(&address, NULL);

    t.client = dial(&address);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const struct message_admit *admit = expect_admit();
    CHECK(str_equal(admit->source, STR("127.0.0.1")));
    grant();
    expect_forward();
    answer(200, BODY_LENGTH, 5);
    data("abc");
    reset();
    CHECK(hears_head(ANSWERED "Content-Length: 5\r\n\r\n") && hears("abc"));
    CHECK(hears_end() == 1); /* a cut body of known length is a reset */
    expect_done(200, false);
    const struct message_gate_stats *stats = expect(t.judge, MESSAGE_GATE_STATS);
    CHECK(stats->streams == 0 && stats->refused_heads == 0);

    (void)close(t.client);
    t.client = dial(&address);
    say("GET / HTTP/1.1\r\n\r\n");
    CHECK(hears("HTTP/1.1 400 "));
    (void)close(t.client);
    t.client = dial(&address); /* idle */
    end_process(parent);
}

/* Encrypts and sends `text`, then reads until `wanted` has come, or the end.  What the connection
 * is then. */
static enum tls_state talk_tls(struct tls *tls, const char *text, const char *wanted,
                               struct buf *plain)
{
    static unsigned char bytes[16384];
    enum tls_state state = tls_receive(tls, STR_NONE, plain, &(struct err){""});
    bool said = text[0] == '\0';

    for (;;) {
        if (state == TLS_OPEN && !said) {
            CHECK(tls_send(tls, str_from(text)));
            said = true;
        }
        struct str out = tls_output(tls);
        if (out.len > 0) {
            CHECK(send(t.client, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
            tls_sent(tls, out.len);
        }
        if (said && wanted[0] != '\0' && str_has(buf_str(plain), str_from(wanted))) {
            return state;
        }
        ssize_t got = readable(t.client, WAIT_MS) ? recv(t.client, bytes, sizeof(bytes), 0) : -1;
        if (got <= 0) {
            return state;
        }
        struct err err = {""};
        state = tls_receive(tls, str_of(bytes, (size_t)got), plain, &err);
        CHECK_CASE(state != TLS_FAILED, err.text);
        if (state == TLS_FAILED || state == TLS_CLOSED) {
            return state;
        }
    }
}

static void test_tls_process(void)
{
    static char chain[4096], key[4096], long_text[200 * 1024 + 1];
    struct message_certificate certificate = make_certificate(chain, key);
    struct sockaddr_in address;
    int parent = begin_process(&address, &certificate);
    struct err err = {""};
    struct tls_context *context = tls_context_new_client(certificate.chain_pem, &err);
    struct tls *tls = tls_new_client(context, STR("127.0.0.1"), 443);
    struct buf plain;

    CHECK_CASE(context != NULL, err.text);
    buf_init(&plain, 1 << 20);
    t.client = dial(&address);
    CHECK(talk_tls(tls, "GET /\\ HTTP/1.1\r\nHost: a\r\n\r\n", "", &plain) == TLS_CLOSED);
    CHECK(str_starts(buf_str(&plain), STR("HTTP/1.1 400 "))); /* and a close_notify behind it */
    tls_free(tls);
    (void)close(t.client);

    tls = tls_new_client(context, STR("127.0.0.1"), 443);
    buf_cut(&plain, 0);
    t.client = dial(&address);
    /* Not read before the answer is there, so the judge may be asked in between. */
    (void)talk_tls(tls, "", "", &plain);
    CHECK(tls_send(tls, STR("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc")));
    struct str out = tls_output(tls);
    CHECK(send(t.client, out.data, out.len, MSG_NOSIGNAL) == (ssize_t)out.len);
    tls_sent(tls, out.len);
    CHECK(expect_admit()->tls);
    grant();
    expect_forward();
    const struct message_data *upload = expect(t.vault, MESSAGE_DATA);
    CHECK(str_equal(upload->bytes, STR("abc")));
    (void)expect(t.vault, MESSAGE_END);
    memset(long_text, 'x', sizeof(long_text) - 1);
    long_text[sizeof(long_text) - 2] = 'E';
    answer(200, BODY_LENGTH, sizeof(long_text) - 1);
    uint64_t credit = LIMIT_STREAM_WINDOW_BYTES;
    for (size_t at = 0; at < sizeof(long_text) - 1;) {
        struct message_data piece = {.grant = next_grant,
                                     .bytes = str_slice(str_from(long_text), at, at + credit)};
        tell(t.vault, MESSAGE_DATA, &piece);
        at += piece.bytes.len;
        credit -= piece.bytes.len;
        if (at < sizeof(long_text) - 1) {
            const struct message_window *window = expect(t.vault, MESSAGE_WINDOW);
            credit += window->bytes;
        }
    }
    finish();
    CHECK(talk_tls(tls, "", "E", &plain) == TLS_OPEN);
    CHECK(str_has(buf_str(&plain), STR("Content-Length: 204800\r\n")));
    expect_done(200, false);
    tls_free(tls);
    (void)close(t.client);

    /* No TLS at all is a failed handshake: the gate goes on. */
    t.client = dial(&address);
    say("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    (void)hears_end();
    buf_clear(&plain);
    tls_context_free(context);
    end_process(parent);
}

int main(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    test_process();
    test_tls_process();
    return test_done();
}
