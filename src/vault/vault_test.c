/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A vault in a process of its own; the test is its gate, judge, scribe, reader and vendor.
 */
#include "vault/vault.h"

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
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/secret.h"
#include "base/vault_key.h"
#include "ipc/testing.h"
#include "ledger/chain.h"
#include "pack/load.h"
#include "policy/calls.h"
#include "tls/tls.h"

#define REAL "sk_test_REALREALREALREAL0123"

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

static void run_vault(int judge, int gate, int scribe, int reader, int stop, int key, int config)
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

static int pack_config(void)
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

static int pack_key(void)
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

static void listen_as_vendor(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);

    t.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(t.listener, (struct sockaddr *)&address, size) == 0 && listen(t.listener, 16) == 0);
    CHECK(getsockname(t.listener, (struct sockaddr *)&address, &size) == 0);
    t.port = ntohs(address.sin_port);
    t.vendor = -1;
}

static void begin(void)
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

static void hang_up(void)
{
    if (t.vendor >= 0) {
        (void)close(t.vendor);
    }
    t.vendor = -1;
    tls_free(t.tls);
    t.tls = NULL;
    buf_clear(&t.got);
}

static void end(void)
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

static void vendor_flush(void)
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

static bool vendor_read(void)
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

static void vendor_accept(bool use_tls)
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

static void vendor_say(const char *text)
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
static bool vendor_hears(const char *text)
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

static bool vendor_hears_head(void)
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

static bool vendor_hears_head_with(const char *field)
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
static int vendor_hears_end(void)
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

static void answer_blob(const char *secret, const char *upstream, bool allow_private,
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

static void answer_usual_blob(void)
{
    answer_blob(REAL, base_url("http", "127.0.0.1"), true, "");
}

static struct message_grant usual_grant(const char *method, const char *path)
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

static void give(const struct message_grant *grant)
{
    tell(t.judge, MESSAGE_GRANT, grant);
}

static void forward(void)
{
    struct message_header headers[] = {{STR("user-agent"), STR("test/1")}};
    struct message_forward message = {.grant = t.grant, .headers = headers, .header_count = 1};

    tell(t.gate, MESSAGE_FORWARD, &message);
}

static void send_body(const char *text)
{
    struct message_data data = {.grant = t.grant, .bytes = str_from(text)};

    tell(t.gate, MESSAGE_DATA, &data);
    tell(t.gate, MESSAGE_END, &(struct message_end){.grant = t.grant});
}

static struct message_outcome outcome(void)
{
    return *(const struct message_outcome *)expect(t.judge, MESSAGE_OUTCOME);
}

static const char *header_of(const struct message_head *head, const char *name)
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

static bool hears_data(const char *text)
{
    const struct message_data *data = expect(t.gate, MESSAGE_DATA);
    bool same = str_equal(data->bytes, str_from(text)) && data->grant == t.grant;

    if (!same) {
        (void)fprintf(stderr, "wanted: %s\ngot: %.*s\n", text, STR_FMT(data->bytes));
    }
    return same;
}

static void hears_end(void)
{
    const struct message_end *message = expect(t.gate, MESSAGE_END);
    CHECK(message->grant == t.grant);
}

static enum upstream_error hears_reset(void)
{
    const struct message_reset *reset = expect(t.gate, MESSAGE_RESET);
    CHECK(reset->grant == t.grant);
    return reset->error;
}

/* A read, up to where the vendor has its head. */
static void ask(const char *path)
{
    struct message_grant grant = usual_grant("GET", path);
    give(&grant);
    forward();
}

/* One whole request over the connection that there is. */
static void small_talk(void)
{
    ask("/v1/balance");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hi"));
    hears_end();
    CHECK(outcome().outcome == OUTCOME_ANSWERED);
}

static void begin_talked(void)
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

/* ---- cases ---- */

static void test_read(void)
{
    begin();
    struct message_header judged[] = {{STR("stripe-version"), STR("2024-06-20")}};
    struct message_header free[] = {
        {STR("user-agent"), STR("test/1")},
        {STR("authorization"), STR("Bearer vk_x")},
        {STR("x-api-key"), STR("vk_x")},
        {STR("X_Api-Key"), STR("vk_x")},
        {STR("host"), STR("evil")},
        {STR("content-length"), STR("5")},
        {STR("transfer_encoding"), STR("chunked")},
        {STR("stripe-version"), STR("evil")},
        {STR("stripe_account"), STR("acct_evil")},
        {STR("idempotency-key"), STR("evil")},
        {STR("cookie"), STR("a=b")},
        {STR("x-forwarded-for"), STR("1.2.3.4")},
        {STR("x-http-method-override"), STR("DELETE")},
        {STR("accept-encoding"), STR("br")},
        {STR("range"), STR("bytes=0-1")},
        {STR("x-stripe-client-user-agent"), STR("{}")},
        {STR("x-agent-run-id"), STR("r1")},
        {STR("connection"), STR("close")},
        {STR("x-other"), STR("stays")},
    };
    struct message_grant grant = usual_grant("GET", "/v1/charges");
    grant.query = STR("limit=3&expand[]=data");
    grant.has_query = true;
    grant.headers = judged;
    grant.header_count = 1;
    give(&grant);
    struct message_forward message = {
        .grant = t.grant, .headers = free, .header_count = sizeof(free) / sizeof(free[0])};
    tell(t.gate, MESSAGE_FORWARD, &message);
    answer_usual_blob();
    vendor_accept(false);
    char wanted[1024];
    (void)snprintf(wanted, sizeof(wanted),
                   "GET /v1/charges?limit=3&expand[]=data HTTP/1.1\r\n"
                   "Host: 127.0.0.1:%u\r\n"
                   "stripe-version: 2024-06-20\r\n"
                   "user-agent: test/1\r\n"
                   "x-other: stays\r\n"
                   "Via: 1.1 keybrake\r\n"
                   "Accept-Encoding: identity\r\n"
                   "Authorization: Bearer " REAL "\r\n"
                   "\r\n",
                   t.port);
    CHECK(vendor_hears(wanted));
    CHECK(buf_len(&t.got) == 0);
    vendor_say(
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 12\r\n"
        "Set-Cookie: a=b\r\nAlt-Svc: h3\r\nConnection: x-hop\r\nX-Hop: 1\r\n"
        "Keybrake-Denied: no\r\nRequest-Id: req_vendor\r\nX-Kept: yes\r\n\r\n{\"id\":\"ch\"}\n");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 200 && head->grant == t.grant && !head->interim);
    CHECK(head->body == BODY_LENGTH && head->content_length == 12);
    CHECK(header_of(head, "set-cookie") == NULL && header_of(head, "alt-svc") == NULL);
    CHECK(header_of(head, "x-hop") == NULL && header_of(head, "connection") == NULL);
    CHECK(header_of(head, "keybrake-denied") == NULL && header_of(head, "content-length") == NULL);
    CHECK(strcmp(header_of(head, "x-kept"), "yes") == 0);
    CHECK(head->header_count == 3);
    CHECK(hears_data("{\"id\":\"ch\"}\n"));
    hears_end();
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete && o.status == 200 && o.grant == t.grant);
    CHECK(str_equal(o.vendor_request_id, STR("req_vendor")) && o.bytes_in == 12 && !o.reused);
    CHECK(o.error == UPSTREAM_OK && digest_is_zero(&o.body_digest) && o.scrubbed == 0);

    /* The second one goes over the same connection, without asking the scribe. */
    small_talk();
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 204 No Content\r\n\r\n");
    head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 204 && head->body == BODY_NONE);
    hears_end();
    CHECK(outcome().reused);
    CHECK(silent(t.scribe) && silent(t.gate) && silent(t.reader));
    end();
}

static void test_forward_first(void)
{
    begin();
    struct message_grant grant = usual_grant("POST", "/v1/customers");
    grant.body = BODY_LENGTH;
    grant.content_length = 3;
    forward();
    send_body("a=b");
    CHECK(silent(t.gate));
    give(&grant);
    answer_usual_blob();
    vendor_accept(false);
    CHECK(vendor_hears_head());
    CHECK(vendor_hears("a=b"));
    vendor_say("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->body == BODY_CHUNKED);
    CHECK(hears_data("ok"));
    hears_end();
    CHECK(outcome().bytes_out == 3);

    /* The same grant again: it has been used. */
    forward();
    CHECK(silent(t.gate)); /* parked */
    usleep(1000 * LIMIT_PARK_MS);
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(silent(t.judge));
    end();
}

static void test_refused_grants(void)
{
    begin_talked();
    /* Another life of the gate may not take it. */
    struct message_grant grant = usual_grant("GET", "/v1/x");
    grant.gate_incarnation = GATE_LIFE + 1;
    grant.begin_by_ms = 100;
    give(&grant);
    usleep(20 * 1000);
    forward();
    CHECK(hears_reset() == UPSTREAM_GRANT);
    struct message_outcome o = outcome(); /* nobody came for it */
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);

    /* One from before the gate's birth. */
    grant = usual_grant("GET", "/v1/x");
    grant.gate_incarnation = GATE_LIFE - 1;
    give(&grant);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    /* An unknown configuration, upstream, body. */
    grant = usual_grant("GET", "/v1/x");
    grant.generation = 9;
    give(&grant);
    forward();
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().error == UPSTREAM_GRANT);
    grant = usual_grant("GET", "/v1/x y");
    give(&grant);
    forward();
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);
    grant = usual_grant("POST", "/v1/x");
    grant.body = BODY_LENGTH;
    grant.content_length = 3;
    give(&grant);
    forward();
    send_body("abcd");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    o = outcome();
    CHECK(o.error == UPSTREAM_GRANT && o.outcome != OUTCOME_ANSWERED);
    end();
}

static struct message_grant money_grant(const char *body)
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

#define PAY "amount=1000&currency=usd"

static void begin_payment(void)
{
    struct message_grant grant = money_grant(PAY);
    give(&grant);
    forward();
    send_body(PAY);
}

static void test_money(void)
{
    static const char answer[] = "{\"id\":\"pi_1\",\"amount\":1000}";
    begin();
    begin_payment();
    answer_usual_blob();
    vendor_accept(false);
    const struct message_sent *sent = expect(t.judge, MESSAGE_SENT);
    CHECK(sent->grant == t.grant);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 27\r\n"
               "Idempotent-Replayed: true\r\n\r\n{\"id\":\"pi_1\",");
    const struct message_body *body = expect(t.reader, MESSAGE_BODY);
    CHECK(body->request == t.grant && body->answer && body->rule == 1 && body->generation == 1);
    const struct message_body_data *data = expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(str_equal(data->bytes, STR("{\"id\":\"pi_1\",")));
    vendor_say("\"amount\":1000}");
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    const struct message_body_end *over = expect(t.reader, MESSAGE_BODY_END);
    CHECK(over->complete && over->request == t.grant);
    struct message_outcome o = outcome();
    struct digest digest = digest_of(str_from(answer));
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete && o.replayed);
    CHECK(digest_equal(&o.body_digest, &digest));
    CHECK(silent(t.gate)); /* not before it is settled */
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 200 && strcmp(header_of(head, "idempotent-replayed"), "true") == 0);
    CHECK(hears_data(answer));
    hears_end();

    /* A fresh pooled connection will do. */
    begin_payment();
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 402 No\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.reused && o.status == 402 && !digest_is_zero(&o.body_digest));
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("{}"));
    hears_end();
    end();
}

/* A GET of ours: the reader gets the answer, and no gate hears of it. */
static void test_fetch(void)
{
    struct message_header pinned[] = {{STR("stripe-version"), STR("2024-06-20")}};

    begin();
    struct message_grant fetch = usual_grant("GET", "/v1/charges/ch_1");
    fetch.headers = pinned;
    fetch.header_count = 1;
    fetch.answer_rule = 1;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    answer_usual_blob();
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    const struct message_body *body = expect(t.reader, MESSAGE_BODY);
    CHECK(body->request == t.grant && body->answer && body->rule == 1);
    (void)expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(((const struct message_body_end *)expect(t.reader, MESSAGE_BODY_END))->complete);
    struct message_outcome o = outcome();
    CHECK(o.grant == t.grant && o.outcome == OUTCOME_ANSWERED && o.complete && o.status == 200);
    CHECK(!digest_is_zero(&o.body_digest) && silent(t.gate));

    /* What has a body, or a hold, is not ours to send. */
    fetch.grant = ++t.grant;
    fetch.method = STR("DELETE");
    tell(t.judge, MESSAGE_FETCH, &fetch);
    o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);
    fetch.grant = ++t.grant;
    fetch.method = STR("POST");
    fetch.body = BODY_LENGTH;
    fetch.content_length = 4;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    CHECK(outcome().error == UPSTREAM_GRANT);
    fetch.body = BODY_NONE;
    fetch.content_length = 0;
    fetch.grant = ++t.grant;
    fetch.method = STR("GET");
    fetch.has_hold = true;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    CHECK(outcome().error == UPSTREAM_GRANT);

    /* Too late, then too long. */
    fetch.has_hold = false;
    fetch.grant = ++t.grant;
    fetch.begin_by_ms = 100;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    CHECK(vendor_hears_head());
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_TIMEOUT);
    fetch.grant = ++t.grant;
    fetch.begin_by_ms = 5000;
    tell(t.judge, MESSAGE_FETCH, &fetch);
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 70000\r\n\r\n");
    static char much[66000];
    memset(much, 'x', sizeof(much) - 1);
    vendor_say(much);
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && !o.complete && o.error == UPSTREAM_PROTOCOL);
    CHECK(silent(t.gate));
    end();
}

/* What the judge puts into a body goes out with it; the client's body is the one compared. */
static void test_spliced_body(void)
{
    static struct message_splice splices[] = {
        {.offset = 7, .removed = 4, .bytes = {"500", 3}},
        {.offset = sizeof(PAY) - 1, .removed = 0, .bytes = {"&x=1", 4}}};
    static struct message_splice bad[][2] = {
        {{.offset = sizeof(PAY), .removed = 0, .bytes = {"a", 1}}},
        {{.offset = 7, .removed = sizeof(PAY), .bytes = {"a", 1}}},
        {{.offset = 9, .removed = 2, .bytes = {"a", 1}},
         {.offset = 7, .removed = 0, .bytes = {"b", 1}}}};

    begin();
    struct message_grant grant = money_grant(PAY);
    grant.splices = splices;
    grant.splice_count = 2;
    give(&grant);
    forward();
    send_body(PAY);
    answer_usual_blob();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head_with("Content-Length: 27\r\n"));
    CHECK(vendor_hears("amount=500&currency=usd&x=1"));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK(outcome().outcome == OUTCOME_ANSWERED);
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();

    /* Nothing was sent with it: what is put in is all of the body. */
    grant = money_grant("");
    grant.body = BODY_NONE;
    splices[1].offset = 0;
    grant.splices = &splices[1];
    grant.splice_count = 1;
    give(&grant);
    forward();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head_with("Content-Length: 4\r\n"));
    CHECK(vendor_hears("&x=1"));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    CHECK(outcome().outcome == OUTCOME_ANSWERED);
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        grant = money_grant(PAY);
        grant.splices = bad[i];
        grant.splice_count = i == 2 ? 2 : 1;
        give(&grant);
        forward();
        send_body(PAY);
        CHECK(hears_reset() == UPSTREAM_GRANT);
        struct message_outcome o = outcome();
        CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);
    }
    /* A body that is not the judged one is not changed into it. */
    grant = money_grant(PAY);
    grant.splices = splices;
    grant.splice_count = 1;
    give(&grant);
    forward();
    send_body("amount=500&currency=usdx");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);
    end();
}

static void test_wrong_body(void)
{
    begin();
    struct message_grant grant = money_grant(PAY);
    give(&grant);
    forward();
    send_body("amount=9000&currency=usd");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_GRANT);
    grant = money_grant(PAY);
    give(&grant);
    forward();
    send_body("amount=1000");
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);
    CHECK(!readable(t.listener, SHORT_MS) && silent(t.scribe));
    end();
}

static void test_scrub(void)
{
    begin_talked();
    ask("/v1/echo");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 " REAL "\r\nX-Echo: Bearer " REAL "\r\nContent-Length: 58\r\n\r\n"
               "{\"you sent\":\"sk_test_REALREAL");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(strcmp(header_of(head, "x-echo"), "Bearer ****************************") == 0);
    CHECK(str_equal(head->reason, STR("****************************")));
    CHECK(hears_data("{\"you sent\":\""));
    CHECK(silent(t.gate));
    vendor_say("REALREAL0123\", \"x\":\"sk_tes\"}.");
    CHECK(hears_data("****************************\", \"x\":\"sk_tes\"}."));
    hears_end();
    CHECK(outcome().scrubbed == 3);
    end();
}

static void test_answer_forms(void)
{
    static const struct {
        const char *answer;
        enum upstream_error error;
    } refused[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Encoding: br\r\n\r\nxxxxx",
         UPSTREAM_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
         UPSTREAM_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n", UPSTREAM_PROTOCOL},
        {"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", UPSTREAM_PROTOCOL},
        {"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", UPSTREAM_PROTOCOL},
        {"SSH-2.0-x\r\n", UPSTREAM_PROTOCOL},
        {"HTTP/1.1 401 Unauthorized\r\nContent-Length: 3\r\n\r\nbad", UPSTREAM_CREDENTIAL},
    };
    begin();
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        ask("/v1/x");
        if (i == 0) {
            answer_usual_blob();
        }
        vendor_accept(false);
        CHECK(vendor_hears_head());
        vendor_say(refused[i].answer);
        CHECK_CASE(hears_reset() == refused[i].error, refused[i].answer);
        struct message_outcome o = outcome();
        CHECK_CASE(o.error == refused[i].error, refused[i].answer);
        CHECK(o.status != 401 || (o.outcome == OUTCOME_ANSWERED && o.complete));
    }
    end();
}

static void test_interim(void)
{
    begin_talked();
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->interim && head->status == 103);
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    head = expect(t.gate, MESSAGE_HEAD);
    CHECK(!head->interim && head->status == 200);
    hears_end();
    CHECK(outcome().complete);
    ask("/v1/x");
    CHECK(vendor_hears_head());
    for (int i = 0; i < 9; i++) {
        vendor_say("HTTP/1.1 100 Continue\r\n\r\n");
    }
    CHECK(hears_reset() == UPSTREAM_PROTOCOL);
    CHECK(outcome().outcome == OUTCOME_UNKNOWN);
    end();
}

static void test_location(void)
{
    static const struct {
        const char *from, *to; /* "@" is the vendor's origin; NULL: removed */
    } cases[] = {
        {"@/v1/x?a=1", "http://door/stripe/v1/x?a=1"},
        {"/v1/y", "http://door/stripe/v1/y"},
        {"https://evil.test/v1", NULL},
        {"//evil.test/", NULL},
        {"@.evil.test/", NULL},
        {"@@evil.test/", NULL},
        {"/\\evil", NULL},
        {"x y", NULL},
        {"@", "http://door/stripe"},
        {"@//evil", NULL},
    };
    begin_talked();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char text[512];
        char origin[64];
        (void)snprintf(origin, sizeof(origin), "http://127.0.0.1:%u", t.port);
        bool whole = cases[i].from[0] == '@';
        (void)snprintf(text, sizeof(text),
                       "HTTP/1.1 302 Found\r\nLocation: %s%s\r\nContent-Length: 0\r\n\r\n",
                       whole ? origin : "", cases[i].from + (whole ? 1 : 0));
        ask("/v1/x");
        CHECK(vendor_hears_head());
        vendor_say(text);
        const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
        const char *to = header_of(head, "location");
        CHECK_CASE(cases[i].to == NULL ? to == NULL : to != NULL && strcmp(to, cases[i].to) == 0,
                   cases[i].from);
        hears_end();
        CHECK(outcome().status == 302);
    }
    end();
}

static void test_gzip(void)
{
    char plain[70000];
    unsigned char packed[70000];
    char head_text[256];
    z_stream stream = {0};
    size_t got = 0;

    begin_talked();
    memset(plain, 'a', sizeof(plain));
    memcpy(plain + 40000, REAL, strlen(REAL));
    CHECK(deflateInit2(&stream, 9, Z_DEFLATED, 16 + MAX_WBITS, 8, Z_DEFAULT_STRATEGY) == Z_OK);
    stream.next_in = (unsigned char *)plain;
    stream.avail_in = sizeof(plain);
    stream.next_out = packed;
    stream.avail_out = sizeof(packed);
    CHECK(deflate(&stream, Z_FINISH) == Z_STREAM_END);
    size_t len = sizeof(packed) - stream.avail_out;
    (void)deflateEnd(&stream);

    for (int cut = 0; cut < 2; cut++) {
        ask("/v1/x");
        CHECK(vendor_hears_head());
        (void)snprintf(head_text, sizeof(head_text),
                       "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
                       len - (cut == 1 ? 9 : 0));
        vendor_say(head_text);
        CHECK(send(t.vendor, packed, len - (cut == 1 ? 9 : 0), 0) > 0);
        const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
        CHECK(head->body == BODY_CHUNKED && header_of(head, "content-encoding") == NULL);
        memcpy(plain + 40000, REAL, strlen(REAL));
        memset(plain + 40000, '*', strlen(REAL));
        for (got = 0; got < 60000;) {
            const struct message_data *data = expect(t.gate, MESSAGE_DATA);
            CHECK(memcmp(data->bytes.data, plain + got, data->bytes.len) == 0);
            got += data->bytes.len;
            struct message_window window = {.grant = t.grant, .bytes = data->bytes.len};
            tell(t.gate, MESSAGE_WINDOW, &window);
        }
        while (cut == 0 && got < sizeof(plain)) {
            got += ((const struct message_data *)expect(t.gate, MESSAGE_DATA))->bytes.len;
        }
        if (cut == 0) {
            CHECK(got == sizeof(plain));
            hears_end();
            struct message_outcome o = outcome();
            CHECK(o.complete && o.scrubbed == 1);
        } else {
            CHECK(!outcome().complete);
        }
    }
    end();
}

/* Nothing before all of it is there; then the places are hidden, also from the reader. */
static void test_redact(void)
{
    struct str places[] = {STR("/auth_token"), STR("/**/client_secret")};

    begin_talked();
    struct message_grant grant = usual_grant("GET", "/v1/x");
    grant.redact = places;
    grant.redact_count = 2;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{\"auth_token\":\"abcdef\",\"x\":\"");
    CHECK(silent(t.gate));
    vendor_say("" REAL "\",");
    CHECK(silent(t.gate));
    vendor_say("\"y\":1}");
    const struct message_head *head = expect(t.gate, MESSAGE_HEAD);
    CHECK(head->status == 200 && head->content_length == 64);
    CHECK(hears_data("{\"auth_token\":\"******\",\"x\":\"****************************\",\"y\":1}"));
    hears_end();
    CHECK(outcome().complete);

    /* The reader gets what the client gets. */
    grant = money_grant(PAY);
    grant.redact = places;
    grant.redact_count = 2;
    give(&grant);
    forward();
    send_body(PAY);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 34\r\n\r\n");
    (void)expect(t.reader, MESSAGE_BODY);
    vendor_say("{\"a\":{\"client_secret\":\"pi_1_sec\"}}");
    const struct message_body_data *data = expect(t.reader, MESSAGE_BODY_DATA);
    CHECK(str_equal(data->bytes, STR("{\"a\":{\"client_secret\":\"********\"}}")));
    (void)expect(t.reader, MESSAGE_BODY_END);
    struct message_outcome o = outcome();
    CHECK(o.complete && !digest_is_zero(&o.body_digest) && silent(t.gate));
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("{\"a\":{\"client_secret\":\"********\"}}"));
    hears_end();

    /* No body, nothing to wait for. */
    grant = usual_grant("GET", "/v1/x");
    grant.redact = places;
    grant.redact_count = 1;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 204 No\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    CHECK(outcome().complete);
    end();
}

/* What cannot be read one way is not shown at all: no head, a reset, which becomes a 502. */
static void test_redact_refused(void)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\n<AuthToken>a<AuthToken",
        "HTTP/1.1 200 OK\r\nContent-Length: 35\r\n\r\n{\"auth_token\":\"a\",\"auth_token\":\"b\"}",
        "HTTP/1.1 404 No\r\nContent-Length: 17\r\n\r\n{\"auth_token\":\"a\"",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n\"ab\"",
    };
    struct str place = STR("/auth_token");

    begin();
    for (size_t i = 0; i <= sizeof(answers) / sizeof(answers[0]); i++) {
        struct message_grant grant = usual_grant("GET", "/v1/x");
        grant.redact = &place;
        grant.redact_count = 1;
        give(&grant);
        forward();
        if (i == 0) {
            answer_usual_blob();
        }
        vendor_accept(false);
        CHECK(vendor_hears_head());
        if (i < sizeof(answers) / sizeof(answers[0])) {
            vendor_say(answers[i]);
        } else {
            char *long_text = mem_zeroed(LIMIT_REDACTED_BYTES + 64);
            (void)snprintf(long_text, 64, "HTTP/1.1 200 OK\r\n\r\n[\"");
            memset(long_text + strlen(long_text), 'a', LIMIT_REDACTED_BYTES);
            vendor_say(long_text);
            free(long_text);
        }
        CHECK_CASE(hears_reset() == UPSTREAM_PROTOCOL, i < 4 ? answers[i] : "long");
        struct message_outcome o = outcome();
        CHECK(o.outcome == OUTCOME_ANSWERED && o.error == UPSTREAM_PROTOCOL && !o.complete);
    }
    end();
}

static void test_truncated(void)
{
    begin_talked();
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("half"));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && !o.complete && o.status == 200);

    /* Until close, over plain TCP: that is its end. */
    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.0 200 OK\r\n\r\nall of it");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("all of it"));
    CHECK(shutdown(t.vendor, SHUT_WR) == 0);
    hears_end();
    CHECK(outcome().complete);

    /* Surplus bytes: the answer counts, the connection is not used again. */
    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("ok"));
    hears_end();
    CHECK(outcome().complete);
    CHECK(vendor_hears_end() >= 0);
    end();
}

static void test_retry(void)
{
    begin_talked();
    /* A reused connection that ends without a byte: a read goes again, once. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    struct message_outcome o = outcome();
    CHECK(o.retried && o.complete);

    /* A payment does not, unless the vendor knows its key. */
    begin_payment();
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.reused && !o.retried);

    /* A new connection that ends is not retried either. */
    struct message_grant grant = money_grant(PAY);
    grant.retry_safe = true;
    give(&grant);
    forward();
    send_body(PAY);
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    CHECK(outcome().outcome == OUTCOME_UNKNOWN);

    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    CHECK(outcome().complete);
    grant = money_grant(PAY);
    grant.retry_safe = true;
    give(&grant);
    forward();
    send_body(PAY);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_accept(false);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    o = outcome(); /* and no second SENT */
    CHECK(o.retried && o.outcome == OUTCOME_ANSWERED);
    end();
}

static void test_client_gone(void)
{
    begin_talked();
    /* A read: the vendor's connection is reset. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    tell(t.gate, MESSAGE_RESET, &(struct message_reset){.grant = t.grant});
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_CLIENT);
    CHECK(vendor_hears_end() == 1);

    /* A payment that was fully sent: read to its end, and settled. */
    begin_payment();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    tell(t.gate, MESSAGE_RESET, &(struct message_reset){.grant = t.grant});
    CHECK(silent(t.judge));
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete && !digest_is_zero(&o.body_digest));
    tell(t.judge, MESSAGE_RELEASE, &(struct message_release){.grant = t.grant});
    CHECK(silent(t.gate));

    /* The gate dies: the same, and what it had not forwarded is not sent. */
    begin_payment();
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    uint64_t paying = t.grant;
    struct message_grant waiting = usual_grant("GET", "/v1/x");
    give(&waiting);
    usleep(20 * 1000);
    (void)close(t.gate);
    o = outcome();
    CHECK(o.grant == t.grant && o.outcome == OUTCOME_NOT_SENT);
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.grant == paying && o.outcome == OUTCOME_ANSWERED && o.complete);
    t.gate = dup(t.stop);
    end();
}

static void revoke_key(void)
{
    uint64_t keys[] = {99, KEY, 1};
    struct message_cut cut = {.cut = 4, .keys = keys, .key_count = 3};
    tell(t.judge, MESSAGE_REVOKE, &cut);
}

static void revoked(void)
{
    const struct message_cut_done *done = expect(t.judge, MESSAGE_REVOKED);
    CHECK(done->cut == 4);
}

static void test_revoke(void)
{
    begin_talked();
    /* A grant that waits. */
    struct message_grant grant = usual_grant("GET", "/v1/x");
    give(&grant);
    revoke_key();
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_REVOKED);
    revoked();

    /* A read that waits for its answer. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    revoke_key();
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_REVOKED);
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    CHECK(vendor_hears_end() == 1);

    /* A live stream. */
    ask("/v1/x");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n"
               "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hello"));
    revoke_key();
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && !o.complete && o.error == UPSTREAM_REVOKED);
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    CHECK(vendor_hears_end() == 1);

    /* A payment that was fully sent is settled; the client does not get its answer. */
    begin_payment();
    vendor_accept(false);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears(PAY));
    revoke_key();
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    vendor_say("HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    o = outcome();
    CHECK(o.outcome == OUTCOME_ANSWERED && o.complete);
    CHECK(silent(t.gate));

    /* An upload of another kind that is half sent. */
    grant = usual_grant("POST", "/v1/x");
    grant.body = BODY_CHUNKED;
    grant.has_hold = true;
    give(&grant);
    forward();
    struct message_data data = {.grant = t.grant, .bytes = STR("half")};
    tell(t.gate, MESSAGE_DATA, &data);
    (void)expect(t.judge, MESSAGE_SENT);
    CHECK(vendor_hears_head() && vendor_hears("4\r\nhalf\r\n"));
    revoke_key();
    o = outcome();
    CHECK(o.outcome == OUTCOME_UNKNOWN && o.error == UPSTREAM_REVOKED);
    revoked();
    CHECK(hears_reset() == UPSTREAM_REVOKED);
    CHECK(vendor_hears_end() == 1);
    end();
}

static void test_streams(void)
{
    enum { UP = 200 * 1000, DOWN = 300 * 1000 };
    static char piece[LIMIT_STREAM_WINDOW_BYTES];
    static char block[100000];
    uint64_t credit = LIMIT_STREAM_WINDOW_BYTES, sent = 0, got = 0, largest = 0;

    begin_talked();
    memset(piece, 'u', sizeof(piece));
    memset(block, 'd', sizeof(block));
    struct message_grant grant = usual_grant("POST", "/v1/files");
    grant.body = BODY_LENGTH;
    grant.content_length = UP;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    while (sent < UP) {
        size_t step = UP - sent < sizeof(piece) ? (size_t)(UP - sent) : sizeof(piece);
        if (step > credit) {
            step = (size_t)credit;
        }
        struct message_data data = {.grant = t.grant, .bytes = str_of(piece, step)};
        tell(t.gate, MESSAGE_DATA, &data);
        sent += step;
        credit -= step;
        while (credit == 0 && sent < UP) {
            const struct message_window *window = expect(t.gate, MESSAGE_WINDOW);
            credit += window->bytes;
            largest = credit > largest ? credit : largest;
        }
        while (buf_len(&t.got) < sent && vendor_read()) {
        }
    }
    CHECK(largest > LIMIT_STREAM_WINDOW_BYTES);
    tell(t.gate, MESSAGE_END, &(struct message_end){.grant = t.grant});
    CHECK(buf_len(&t.got) == UP);
    buf_cut(&t.got, 0);
    while (readable(t.gate, SHORT_MS)) {
        (void)expect(t.gate, MESSAGE_WINDOW);
    }

    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n");
    for (int i = 0; i < DOWN / (int)sizeof(block); i++) {
        CHECK(send(t.vendor, block, sizeof(block), 0) == (ssize_t)sizeof(block));
    }
    (void)expect(t.gate, MESSAGE_HEAD);
    for (size_t unacknowledged = 0; got < DOWN;) {
        const struct message_data *data = expect(t.gate, MESSAGE_DATA);
        got += data->bytes.len;
        unacknowledged += data->bytes.len;
        CHECK(unacknowledged <= LIMIT_STREAM_WINDOW_BYTES);
        if (unacknowledged == LIMIT_STREAM_WINDOW_BYTES) {
            CHECK(got > LIMIT_STREAM_WINDOW_BYTES || silent(t.gate));
            struct message_window window = {.grant = t.grant, .bytes = unacknowledged};
            tell(t.gate, MESSAGE_WINDOW, &window);
            unacknowledged = 0;
        }
    }
    CHECK(got == DOWN);
    hears_end();
    struct message_outcome o = outcome();
    CHECK(o.bytes_in == DOWN && o.bytes_out == UP && o.complete);
    small_talk();
    end();
}

static void test_gate_breaks_rules(void)
{
    static char too_much[LIMIT_STREAM_WINDOW_BYTES + 1];

    begin_talked();
    struct message_grant grant = usual_grant("POST", "/v1/files");
    grant.body = BODY_CHUNKED;
    give(&grant);
    forward();
    CHECK(vendor_hears_head());
    memset(too_much, 'x', sizeof(too_much));
    struct message_data data = {.grant = t.grant, .bytes = str_of(too_much, sizeof(too_much))};
    tell(t.gate, MESSAGE_DATA, &data);
    CHECK(outcome().error == UPSTREAM_CLIENT);
    char byte;
    CHECK(readable(t.gate, WAIT_MS) && recv(t.gate, &byte, 1, 0) == 0); /* cut off */
    end();
}

static void test_credentials(void)
{
    begin();
    /* To a private address, in the clear, of another version, or none. */
    ask("/v1/x");
    answer_blob(REAL, base_url("https", "127.0.0.1"), false, "");
    CHECK(hears_reset() == UPSTREAM_ADDRESS);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_ADDRESS);
    CHECK(!readable(t.listener, SHORT_MS));

    struct message_forget_credential forget = {.credential = CREDENTIAL};
    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    ask("/v1/x");
    answer_blob(REAL, base_url("http", "127.0.0.1"), false, "");
    CHECK(hears_reset() == UPSTREAM_CREDENTIAL);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    ask("/v1/x");
    (void)expect(t.scribe, MESSAGE_BLOB_GET);
    struct message_blob none = {.credential = CREDENTIAL};
    tell(t.scribe, MESSAGE_BLOB, &none);
    CHECK(hears_reset() == UPSTREAM_CREDENTIAL);
    CHECK(outcome().error == UPSTREAM_CREDENTIAL);

    ask("/v1/x");
    (void)expect(t.scribe, MESSAGE_BLOB_GET);
    struct message_blob forged = {.credential = CREDENTIAL,
                                  .version = version,
                                  .found = true,
                                  .sealed =
                                      STR("not a sealed box, but long enough to look like one")};
    tell(t.scribe, MESSAGE_BLOB, &forged);
    CHECK(hears_reset() == UPSTREAM_CREDENTIAL);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    struct message_grant grant = usual_grant("GET", "/v1/x");
    grant.credential_version = 2;
    give(&grant);
    forward();
    answer_usual_blob();
    /* Rotated this moment: nothing is wrong with it, and the client is told to ask again. */
    CHECK(hears_reset() == UPSTREAM_GRANT);
    CHECK(outcome().outcome == OUTCOME_NOT_SENT);

    /* A name of the hosts file; rotation ends the use of what was there. */
    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    ask("/v1/x");
    answer_blob(REAL, base_url("http", "api.test"), true, "");
    vendor_accept(false);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    (void)expect(t.gate, MESSAGE_HEAD);
    hears_end();
    CHECK(outcome().complete);
    tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
    CHECK(vendor_hears_end() >= 0);
    version = 2;
    ask("/v1/x");
    answer_blob("sk_test_ROTATEDROTATED01", base_url("http", "api.test"), true, "");
    vendor_accept(false);
    CHECK(vendor_hears("GET /v1/x HTTP/1.1\r\nHost: api.test:"));
    CHECK(vendor_hears_head());
    version = 1;
    end();
}

static void test_unreachable(void)
{
    begin();
    (void)close(t.listener);
    ask("/v1/x");
    answer_usual_blob();
    CHECK(hears_reset() == UPSTREAM_CONNECT);
    struct message_outcome o = outcome();
    CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_CONNECT);
    t.listener = dup(t.stop);
    end();
}

static void test_sign(void)
{
    begin();
    struct message_sign_head head = {.sequence = 12, .head = digest_of(STR("x")), .at_ms = 1700};
    tell(t.judge, MESSAGE_SIGN_HEAD, &head);
    const struct message_signed *answer = expect(t.judge, MESSAGE_SIGNED);
    CHECK(answer->sequence == 12 && answer->signature.len == crypto_sign_BYTES);
    CHECK(chain_signature_is_good(12, &head.head, 1700, answer->signature, answer->public_key));
    CHECK(memcmp(answer->public_key.data, t.key.sign_public, 32) == 0);
    end();
}

/* ---- TLS ---- */

static void make_vendor_certificate(void)
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

static void test_tls(void)
{
    struct message_forget_credential forget = {.credential = CREDENTIAL};

    begin();
    ask("/v1/x");
    answer_blob(REAL, base_url("https", "api.test"), true, t.ca_pem);
    vendor_accept(true);
    CHECK(vendor_hears("GET /v1/x HTTP/1.1\r\nHost: api.test:"));
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("hello"));
    hears_end();
    CHECK(!outcome().reused);
    small_talk();

    /* EOF without close_notify on a body that only the close ends. */
    ask("/v1/x");
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.0 200 OK\r\n\r\nhalf");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("half"));
    hang_up();
    CHECK(hears_reset() == UPSTREAM_RESET);
    CHECK(!outcome().complete);

    /* With it, it is whole. */
    ask("/v1/x");
    vendor_accept(true);
    CHECK(vendor_hears_head());
    vendor_say("HTTP/1.0 200 OK\r\n\r\nall");
    (void)expect(t.gate, MESSAGE_HEAD);
    CHECK(hears_data("all"));
    tls_close(t.tls);
    vendor_flush();
    hears_end();
    CHECK(outcome().complete);

    /* A name that the certificate does not bear; a CA that is not trusted. */
    for (int i = 0; i < 2; i++) {
        tell(t.judge, MESSAGE_FORGET_CREDENTIAL, &forget);
        ask("/v1/x");
        answer_blob(REAL, base_url("https", i == 0 ? "a.test" : "api.test"), true,
                    i == 0 ? t.ca_pem : "");
        vendor_accept(true);
        while (vendor_read()) {
        }
        CHECK(hears_reset() == UPSTREAM_TLS);
        struct message_outcome o = outcome();
        CHECK(o.outcome == OUTCOME_NOT_SENT && o.error == UPSTREAM_TLS);
        CHECK(buf_len(&t.got) == 0);
    }
    end();
}

int main(void)
{
    CHECK(sodium_init() >= 0);
    tls_setup();
    make_vendor_certificate();
    test_read();
    test_forward_first();
    test_refused_grants();
    test_money();
    test_fetch();
    test_spliced_body();
    test_wrong_body();
    test_scrub();
    test_answer_forms();
    test_interim();
    test_location();
    test_gzip();
    test_redact();
    test_redact_refused();
    test_truncated();
    test_retry();
    test_client_gone();
    test_revoke();
    test_streams();
    test_gate_breaks_rules();
    test_credentials();
    test_unreachable();
    test_sign();
    test_tls();
    tls_context_free(t.vendor_tls);
    return test_done();
}
