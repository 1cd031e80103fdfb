/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: a vault in a process of its own; the test is its gate, judge, scribe, reader and vendor.
 */
#ifndef VAULT_TESTING_H
#define VAULT_TESTING_H

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/vault_key.h"
#include "ipc/testing.h"
#include "pack/load.h"
#include "policy/calls.h"
#include "tls/tls.h"
#include "vault/vault.h"

#define REAL "sk_test_REALREALREALREAL0123"
#define PAY "amount=1000&currency=usd"

enum {
    TEXT_MAX = 8 * 1024 * 1024,
    GATE_LIFE = 5,
    CREDENTIAL = 3,
    KEY = 7,
};

static struct {
    pid_t pid;
    int judge, gate, scribe, reader, stop;
    int listener, vendor;
    unsigned port;
    struct buf got; /* what the vendor has received, in the clear */
    struct vault_key key;
    uint64_t grant;
    uint32_t pack;
    struct tls_context *vendor_tls;
    struct tls *tls; /* of the vendor's connection; NULL: plain */
    char ca_pem[8192];
} t;

/* ---- the vault's process ---- */

static inline void run_vault(int judge, int gate, int scribe, int reader, int stop, int key,
                             int config)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    struct vault *vault = vault_new(loop, 0, &err);
    const struct child_events *events = vault_events();
    struct message_resolver resolver = {.resolv_conf = STR("nameserver 127.0.0.1\n"),
                                        .hosts = STR("# x\n127.0.0.1 a.test api.test # y\n")};
    struct pollfd ended = {.fd = stop};

    if (vault == NULL) {
        (void)fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
    events->unseal_key(vault, key);
    events->config(vault, 1, config);
    events->resolver(vault, &resolver);
    events->channel(vault, ROLE_JUDGE, 0, 1, judge);
    events->channel(vault, ROLE_SCRIBE, 0, 1, scribe);
    events->channel(vault, ROLE_READER, 0, 1, reader);
    events->channel(vault, ROLE_GATE, 0, GATE_LIFE, gate);
    (void)ended;
    (void)loop_run(loop); /* until the judge's channel ends */
}

static inline int pack_config(void)
{
    struct config config = {0};
    struct arena *arena = arena_new();
    struct err err = {""};
    struct buf out;
    int fd = memfd_create("config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    CHECK_CASE(load_builtin_packs(&config, arena, &err) == 0, err.text);
    t.pack = config_find_pack(&config, STR("stripe"));
    buf_init(&out, 64 * 1024 * 1024);
    CHECK(wire_encode(&config_schema, &config, &out));
    CHECK(write(fd, buf_str(&out).data, buf_len(&out)) == (ssize_t)buf_len(&out));
    CHECK(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0);
    buf_clear(&out);
    arena_free(arena);
    return fd;
}

static inline int pack_key(void)
{
    struct err err;
    struct secret memory = {0};
    int fd = secret_fd_new(sizeof(struct vault_key), &err);

    CHECK(fd >= 0 && secret_map_fd(&memory, fd, sizeof(struct vault_key), &err) == 0);
    t.key.version = VAULT_KEY_VERSION;
    (void)crypto_box_keypair(t.key.box_public, t.key.box_secret);
    (void)crypto_sign_keypair(t.key.sign_public, t.key.sign_secret);
    memcpy(memory.data, &t.key, sizeof(t.key));
    (void)munmap(memory.mapping, memory.mapping_size); /* secret_clear() would wipe it */
    return fd;
}

static inline void listen_as_vendor(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(t.listener, (struct sockaddr *)&address, size) == 0 && listen(t.listener, 16) == 0);
    CHECK(getsockname(t.listener, (struct sockaddr *)&address, &size) == 0);
    t.port = ntohs(address.sin_port);
    t.vendor = -1;
}

static inline void begin(void)
{
    int judge[2], gate[2], scribe[2], reader[2], stop[2];
    int config = pack_config();
    int key = pack_key();

    pair(judge);
    pair(gate);
    pair(scribe);
    pair(reader);
    pair(stop);
    listen_as_vendor();
    (void)fflush(stdout);
    t.pid = fork();
    if (t.pid == 0) {
        (void)close(judge[0]);
        (void)close(gate[0]);
        (void)close(scribe[0]);
        (void)close(reader[0]);
        (void)close(t.listener);
        run_vault(judge[1], gate[1], scribe[1], reader[1], stop[1], key, config);
        exit(1);
    }
    (void)close(judge[1]);
    (void)close(gate[1]);
    (void)close(scribe[1]);
    (void)close(reader[1]);
    (void)close(stop[1]);
    (void)close(key);
    (void)close(config);
    t.judge = judge[0];
    t.gate = gate[0];
    t.scribe = scribe[0];
    t.reader = reader[0];
    t.stop = stop[0];
    t.grant = 100;
    frames_begin();
    buf_init(&t.got, TEXT_MAX);
}

static inline void hang_up(void)
{
    if (t.vendor >= 0) {
        (void)close(t.vendor);
    }
    t.vendor = -1;
    tls_free(t.tls);
    t.tls = NULL;
    buf_clear(&t.got);
}

static inline void end(void)
{
    int status = 1;

    (void)close(t.judge); /* a vault without a judge ends */
    (void)waitpid(t.pid, &status, 0);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    (void)close(t.gate);
    (void)close(t.scribe);
    (void)close(t.reader);
    (void)close(t.stop);
    hang_up();
    (void)close(t.listener);
    frames_end();
    buf_clear(&t.got);
}

/* ---- the vendor ---- */

static inline void vendor_flush(void)
{
    struct str rest = tls_output(t.tls);

    while (rest.len > 0) {
        ssize_t sent = send(t.vendor, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            return;
        }
        tls_sent(t.tls, (size_t)sent);
        rest = tls_output(t.tls);
    }
}

static inline bool vendor_read(void)
{
    unsigned char bytes[65536];
    struct err err;
    ssize_t got = readable(t.vendor, WAIT_MS) ? recv(t.vendor, bytes, sizeof(bytes), 0) : -1;

    if (got <= 0) {
        return false;
    }
    if (t.tls == NULL) {
        return buf_add(&t.got, bytes, (size_t)got);
    }
    enum tls_state state = tls_receive(t.tls, str_of(bytes, (size_t)got), &t.got, &err);
    vendor_flush();
    return state != TLS_FAILED;
}

static inline void vendor_accept(bool use_tls)
{
    hang_up();
    if (!readable(t.listener, WAIT_MS)) {
        CHECK_CASE(false, "nobody dials");
        abort();
    }
    t.vendor = accept(t.listener, NULL, NULL);
    CHECK(t.vendor >= 0);
    t.tls = use_tls ? tls_new_server(t.vendor_tls) : NULL;
}

static inline void vendor_say(const char *text)
{
    struct str bytes = str_from(text);

    if (t.tls != NULL) {
        CHECK(tls_send(t.tls, bytes));
        vendor_flush();
        return;
    }
    CHECK(send(t.vendor, bytes.data, bytes.len, MSG_NOSIGNAL) == (ssize_t)bytes.len);
}

/* The whole of what is next from the vault. */
static inline bool vendor_hears(const char *text)
{
    struct str wanted = str_from(text);

    while (buf_len(&t.got) < wanted.len && vendor_read()) {
    }
    bool same = str_starts(buf_str(&t.got), wanted);
    if (!same) {
        (void)fprintf(stderr, "wanted: %s\ngot: %.*s\n", text, STR_FMT(buf_str(&t.got)));
    }
    buf_consume(&t.got, same ? wanted.len : buf_len(&t.got));
    return same;
}

static inline bool vendor_hears_head(void)
{
    for (;;) {
        struct str in = buf_str(&t.got);
        const char *at = in.len == 0 ? NULL : memmem(in.data, in.len, "\r\n\r\n", 4);
        if (at != NULL) {
            buf_consume(&t.got, (size_t)(at - in.data) + 4);
            return true;
        }
        if (!vendor_read()) {
            return false;
        }
    }
}

static inline bool vendor_hears_head_with(const char *field)
{
    size_t len = strlen(field);

    while ((buf_len(&t.got) == 0 ||
            memmem(buf_str(&t.got).data, buf_len(&t.got), "\r\n\r\n", 4) == NULL) &&
           vendor_read()) {
    }
    bool there =
        buf_len(&t.got) > 0 && memmem(buf_str(&t.got).data, buf_len(&t.got), field, len) != NULL;
    return vendor_hears_head() && there;
}

/* 0: a FIN, 1: a reset, -1: neither. */
static inline int vendor_hears_end(void)
{
    char byte;

    if (!readable(t.vendor, WAIT_MS)) {
        return -1;
    }
    ssize_t got = recv(t.vendor, &byte, 1, 0);
    return got == 0 ? 0 : got < 0 ? 1 : -1;
}

/* ---- usual steps ---- */

static uint64_t version = 1;

static inline void answer_blob(const char *secret, const char *upstream, bool allow_private,
                               const char *ca_pem)
{
    struct sealed_field fields[] = {{STR("secret_key"), str_from(secret)}};
    struct str secret_fields[] = {STR("secret_key")};
    struct str hosts[] = {STR("api.stripe.com"), STR("files.stripe.com")};
    struct sealed_credential clear = {.name = STR("stripe-test"),
                                      .vendor = STR("stripe"),
                                      .version = version,
                                      .fields = fields,
                                      .field_count = 1,
                                      .secret_fields = secret_fields,
                                      .secret_field_count = 1,
                                      .hosts = hosts,
                                      .host_count = 2,
                                      .upstream = str_from(upstream),
                                      .ca_pem = str_from(ca_pem),
                                      .allow_private = allow_private};
    struct buf plain;
    unsigned char sealed[16384];

    buf_init(&plain, sizeof(sealed));
    CHECK(wire_encode(&sealed_credential_schema, &clear, &plain));
    CHECK(crypto_box_seal(sealed, (const unsigned char *)buf_str(&plain).data, buf_len(&plain),
                          t.key.box_public) == 0);
    const struct message_blob_get *get = expect(t.scribe, MESSAGE_BLOB_GET);
    CHECK(get->credential == CREDENTIAL);
    struct message_blob blob = {.credential = CREDENTIAL,
                                .version = version,
                                .found = true,
                                .sealed = str_of(sealed, buf_len(&plain) + crypto_box_SEALBYTES)};
    tell(t.scribe, MESSAGE_BLOB, &blob);
    buf_clear(&plain);
}

static const char *base_url(const char *scheme, const char *host)
{
    static char text[128];
    (void)snprintf(text, sizeof(text), "%s://%s:%u", scheme, host, t.port);
    return text;
}

static inline void answer_usual_blob(void)
{
    answer_blob(REAL, base_url("http", "127.0.0.1"), true, "");
}

static inline struct message_grant usual_grant(const char *method, const char *path)
{
    return (struct message_grant){
        .grant = ++t.grant,
        .gate_incarnation = GATE_LIFE,
        .key = KEY,
        .credential = CREDENTIAL,
        .credential_version = version,
        .credential_name = STR("stripe-test"),
        .generation = 1,
        .pack = t.pack,
        .method = str_from(method),
        .path = str_from(path),
        .begin_by_ms = 500,
        .door_base = STR("http://door/stripe"),
        .request_id = STR("req_1"),
    };
}

static inline void give(const struct message_grant *grant)
{
    tell(t.judge, MESSAGE_GRANT, grant);
}

static inline void forward(void)
{
    struct message_header headers[] = {{STR("user-agent"), STR("test/1")}};
    struct message_forward message = {.grant = t.grant, .headers = headers, .header_count = 1};

    tell(t.gate, MESSAGE_FORWARD, &message);
}

static inline void send_body(const char *text)
{
    struct message_data data = {.grant = t.grant, .bytes = str_from(text)};

    tell(t.gate, MESSAGE_DATA, &data);
    tell(t.gate, MESSAGE_END, &(struct message_end){.grant = t.grant});
}

static inline struct message_outcome outcome(void)
{
    return *(const struct message_outcome *)expect(t.judge, MESSAGE_OUTCOME);
}

static inline const char *header_of(const struct message_head *head, const char *name)
{
    static char text[1024];

    for (size_t i = 0; i < head->header_count; i++) {
        if (str_equal(head->headers[i].name, str_from(name))) {
            (void)snprintf(text, sizeof(text), "%.*s", STR_FMT(head->headers[i].value));
            return text;
        }
    }
    return NULL;
}

static inline bool hears_data(const char *text)
{
    const struct message_data *data = expect(t.gate, MESSAGE_DATA);
    bool same = str_equal(data->bytes, str_from(text)) && data->grant == t.grant;

    if (!same) {
        (void)fprintf(stderr, "wanted: %s\ngot: %.*s\n", text, STR_FMT(data->bytes));
    }
    return same;
}

static inline void hears_end(void)
{
    const struct message_end *message = expect(t.gate, MESSAGE_END);
    CHECK(message->grant == t.grant);
}

static inline enum upstream_error hears_reset(void)
{
    const struct message_reset *reset = expect(t.gate, MESSAGE_RESET);
    CHECK(reset->grant == t.grant);
    return reset->error;
}

/* A read, up to where the vendor has its head. */
static inline void ask(const char *path)
{
    struct message_grant grant = usual_grant("GET", path);
    give(&grant);
    forward();
}

/* One whole request over the connection that there is. */
static inline void small_talk(void)
{
    ask("/v1/balance");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hi"));
    hears_end();
    CHECK(outcome().outcome == OUTCOME_ANSWERED);
}

static inline void begin_talked(void)
{
    begin();
    ask("/v1/balance");
    answer_usual_blob();
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hi"));
    hears_end();
    CHECK(!outcome().reused);
}

static inline struct message_grant money_grant(const char *body)
{
    struct message_grant grant = usual_grant("POST", "/v1/payment_intents");
    grant.body = BODY_LENGTH;
    grant.content_length = strlen(body);
    grant.judged_body = true;
    grant.body_digest = digest_of(str_from(body));
    grant.body_length = strlen(body);
    grant.has_hold = true;
    grant.answer_rule = 1;
    return grant;
}

static inline void begin_payment(void)
{
    struct message_grant grant = money_grant(PAY);
    give(&grant);
    forward();
    send_body(PAY);
}

static inline void make_vendor_certificate(void)
{
    X509 *cert = X509_new();
    EVP_PKEY *key = EVP_EC_gen("P-256");
    BIO *out = BIO_new(BIO_s_mem());
    BIO *key_out = BIO_new(BIO_s_mem());
    char key_pem[4096] = "";
    X509V3_CTX ctx;
    struct err err;

    (void)X509_set_version(cert, 2);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_set_pubkey(cert, key);
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *names = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:api.test");
    (void)X509_add_ext(cert, names, -1);
    X509_EXTENSION_free(names);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    CHECK(PEM_write_bio_X509(out, cert) == 1);
    CHECK(PEM_write_bio_PrivateKey(key_out, key, NULL, NULL, 0, NULL, NULL) == 1);
    CHECK(BIO_read(out, t.ca_pem, sizeof(t.ca_pem) - 1) > 0);
    CHECK(BIO_read(key_out, key_pem, sizeof(key_pem) - 1) > 0);
    t.vendor_tls = tls_context_new_server(str_from(t.ca_pem), str_from(key_pem), &err);
    CHECK(t.vendor_tls != NULL);
    BIO_free(out);
    BIO_free(key_out);
    X509_free(cert);
    EVP_PKEY_free(key);
}

/* Around all cases of a program. */
static inline void testing_begin(void)
{
    CHECK(sodium_init() >= 0);
    tls_setup();
    make_vendor_certificate();
}

static inline void testing_end(void)
{
    tls_context_free(t.vendor_tls);
}

#endif
