/* SPDX-License-Identifier: Apache-2.0 */
#include "control/server.h"

#include <netinet/in.h>
#include <openssl/bio.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <sys/un.h>

#include "base/limits.h"
#include "control/json_alloc.h"
#include "control/testing.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Bytes in, status out; `closed` says whether the server ends the connection. */
static void test_framing(void)
{
    static const struct {
        const char *request;
        size_t answers;
        unsigned status;
        bool closed;
        const char *says;
    } cases[] = {
        {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 1, 200, false, "{\"status\":\"ok\"}"},
        {"\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n", 9, 400, true, "bad_request"},
        {"GET /healthz HTTP/1.0\r\n\r\n", 9, 200, true, "Connection: close"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 9, 200, true,
         "Connection: close"},
        {"HEAD /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", 9, 200, true,
         "Content-Length: 15\r\nConnection: close\r\n\r\n"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\nGET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
         "GET /nothing HTTP/1.1\r\nHost: a\r\n\r\n",
         3, 200, false, "404 Not Found"},
        {"PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
         "a\r\n{\"daily_us\r\n9\r\nd_cap\":1}\r\n0\r\n\r\n",
         1, 200, false, "200 OK"},
        {"PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
         "Expect: 100-continue\r\n\r\n{}",
         1, 400, false, "daily_usd_cap"},
        {"GET /healthz HTTP/1.1\r\n\r\n", 9, 400, true, "bad_request"},
        {"GET /healthz HTTP/2.0\r\nHost: a\r\n\r\n", 9, 505, true, "505"},
        {"nonsense\r\n\r\n", 9, 400, true, "bad_request"},
        {"GET /healthz HTTP/1.1\r\nHost: a\r\nA : b\r\n\r\n", 9, 400, true, "bad_request"},
        {"PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n"
         "Transfer-Encoding: chunked\r\n\r\n",
         9, 400, true, "bad_request"},
        {"PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 9,
         400, true, "framing"},
        {"PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nContent-Length: 1048577\r\n\r\n", 9, 413, true,
         "too_large"},
        {"PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n", 9,
         400, true, "bad_request"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct testing t;
        testing_ask(&t, NULL, LISTEN_UNIX, str_from(cases[i].request), cases[i].answers, NULL, 0);
        CHECK_CASE(str_has(buf_str(&t.got), str_from(cases[i].says)), cases[i].request);
        unsigned status = testing_status(&t);
        CHECK_CASE(status == cases[i].status, cases[i].request);
        CHECK_CASE(t.closed == cases[i].closed, cases[i].request);
        testing_end(&t);
    }
}

static void test_continue(void)
{
    struct testing t;

    testing_ask(&t, NULL, LISTEN_UNIX,
                STR("PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
                    "Expect: 100-continue\r\nConnection: close\r\n\r\n"),
                0, NULL, 0);
    CHECK(testing_says(&t, "HTTP/1.1 100 Continue\r\n\r\n"));
    testing_end(&t);
}

/* A body of the largest size passes, in pieces; one byte more does not. */
static void test_body_limit(void)
{
    for (size_t extra = 0; extra < 2; extra++) {
        struct testing t;
        struct buf request;
        size_t size = LIMIT_API_BODY_BYTES + extra;
        buf_init(&request, TESTING_MAX);
        (void)buf_addf(&request,
                       "PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                       "%zx\r\n",
                       size);
        memset(buf_room(&request, size), ' ', size);
        buf_added(&request, size);
        (void)buf_add_str(&request, STR("\r\n0\r\n\r\n"));
        testing_ask(&t, NULL, LISTEN_UNIX, buf_str(&request), 1, NULL, 0);
        CHECK(testing_status(&t) == (extra == 0 ? 400 : 413));
        testing_end(&t);
        buf_clear(&request);
    }
}

/* Every way to cut a request in two gives the same answer. */
static void test_every_cut(void)
{
    static const char text[] = "PUT /v1/tenants/t HTTP/1.1\r\nHost: a\r\nContent-Length: 19\r\n\r\n"
                               "{\"daily_usd_cap\":1}GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n";

    for (size_t cut = 1; cut < sizeof(text) - 1; cut++) {
        struct testing t;
        testing_ask_in_two(&t, str_of(text, cut), str_of(text + cut, sizeof(text) - 1 - cut), 2);
        CHECK(testing_count_answers(buf_str(&t.got)) == 2 && testing_status(&t) == 200);
        testing_end(&t);
    }
}

static void on_nothing(void *ctx, struct exchange *exchange)
{
    (void)ctx;
    (void)exchange;
}

static void open_many(struct server *server, int *clients, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int pair[2];
        CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
        server_connection(server, pair[0], LISTEN_UNIX);
        clients[i] = pair[1];
    }
}

static void on_stop(void *ctx)
{
    loop_stop(ctx, 0);
}

static void on_drained(void *ctx)
{
    *(bool *)ctx = true;
}

static void test_drain(void)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    struct server *server = server_new(loop, on_nothing, NULL);
    struct loop_timer timer = {0};
    int clients[8];
    bool drained = false;

    open_many(server, clients, COUNT(clients));
    CHECK(server_connections(server) == COUNT(clients));
    CHECK(send(clients[0], "GET / HT", 8, MSG_NOSIGNAL) == 8); /* a request has begun */
    loop_timer_set(loop, &timer, 30, on_stop, loop);
    (void)loop_run(loop);
    server_drain(server, on_drained, &drained);
    CHECK(server_connections(server) == 1 && !drained);
    (void)close(clients[0]);
    server_free(server);
    loop_timer_stop(loop, &timer);
    for (size_t i = 1; i < COUNT(clients); i++) {
        (void)close(clients[i]);
    }
    loop_free(loop);
}

/* A listener with the most connections open: the longest idle one makes room. */
static void test_connection_limit(void)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    struct server *server = server_new(loop, on_nothing, NULL);
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct loop_timer timer = {0};
    int clients[LIMIT_API_CONNECTIONS];
    char *directory = test_directory_new();
    char byte;

    (void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", directory);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(bind(listener, (struct sockaddr *)&address, sizeof(address)) == 0 &&
          listen(listener, 16) == 0);
    server_listen(server, listener, LISTEN_UNIX);
    open_many(server, clients, COUNT(clients));
    int late = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(connect(late, (struct sockaddr *)&address, sizeof(address)) == 0);
    loop_timer_set(loop, &timer, 50, on_stop, loop);
    (void)loop_run(loop);
    CHECK(server_connections(server) == LIMIT_API_CONNECTIONS);
    CHECK(recv(clients[0], &byte, 1, MSG_DONTWAIT) == 0);  /* made room */
    CHECK(recv(clients[1], &byte, 1, MSG_DONTWAIT) == -1); /* did not */
    for (size_t i = 0; i < COUNT(clients); i++) {
        (void)close(clients[i]);
    }
    (void)close(late);
    server_free(server);
    loop_timer_stop(loop, &timer);
    loop_free(loop);
    test_directory_free(directory);
}

static int make_listener(struct sockaddr_in *ret)
{
    socklen_t size = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    CHECK(bind(fd, (struct sockaddr *)ret, size) == 0 && listen(fd, 512) == 0 &&
          getsockname(fd, (struct sockaddr *)ret, &size) == 0);
    return fd;
}

/* The port is full of callers who never finish a head: the operator at the local socket still gets
 * in, and so does one more at the port, for whom the oldest goes. */
static void test_full_port(void)
{
    struct err err;
    struct loop *loop = loop_new(&err);
    struct server *server = server_new(loop, on_nothing, NULL);
    struct sockaddr_in address;
    struct loop_timer timer = {0};
    int clients[LIMIT_API_CONNECTIONS], pair[2];
    char byte;

    server_listen(server, make_listener(&address), LISTEN_PLAIN);
    for (size_t i = 0; i < COUNT(clients); i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(connect(clients[i], (struct sockaddr *)&address, sizeof(address)) == 0 &&
              send(clients[i], "GET", 3, 0) == 3);
        loop_timer_set(loop, &timer, 0, on_stop, loop);
        (void)loop_run(loop);
    }
    loop_timer_set(loop, &timer, 50, on_stop, loop);
    (void)loop_run(loop);
    CHECK(server_connections(server) == LIMIT_API_CONNECTIONS - LIMIT_API_LOCAL);
    CHECK(recv(clients[0], &byte, 1, MSG_DONTWAIT) == 0);
    CHECK(recv(clients[COUNT(clients) - 1], &byte, 1, MSG_DONTWAIT) == -1);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    server_connection(server, pair[0], LISTEN_UNIX);
    CHECK(server_connections(server) == LIMIT_API_CONNECTIONS - LIMIT_API_LOCAL + 1);
    for (size_t i = 0; i < COUNT(clients); i++) {
        (void)close(clients[i]);
    }
    (void)close(pair[1]);
    server_free(server);
    loop_timer_stop(loop, &timer);
    loop_free(loop);
}

/* ---- TLS ---- */

enum { PEM_BYTES = 8192 };

static void write_pem(BIO *bio, char *out)
{
    int len = BIO_read(bio, out, PEM_BYTES - 1);
    CHECK(len > 0);
    out[len < 0 ? 0 : len] = '\0';
    BIO_free(bio);
}

static void make_certificate(char *chain_pem, char *key_pem)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *cert = X509_new();
    X509V3_CTX ctx;

    CHECK(X509_set_version(cert, 2) == 1 && X509_set_pubkey(cert, key) == 1);
    (void)ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
    (void)X509_gmtime_adj(X509_getm_notBefore(cert), -60);
    (void)X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
    (void)X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
                                     (const unsigned char *)"localhost", -1, -1, 0);
    (void)X509_set_issuer_name(cert, X509_get_subject_name(cert));
    X509V3_set_ctx(&ctx, cert, cert, NULL, NULL, 0);
    X509_EXTENSION *name = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, "DNS:localhost");
    CHECK(name != NULL && X509_add_ext(cert, name, -1) == 1);
    X509_EXTENSION_free(name);
    CHECK(X509_sign(cert, key, EVP_sha256()) > 0);
    BIO *chain = BIO_new(BIO_s_mem());
    BIO *secret = BIO_new(BIO_s_mem());
    CHECK(PEM_write_bio_X509(chain, cert) == 1 &&
          PEM_write_bio_PrivateKey(secret, key, NULL, NULL, 0, NULL, NULL) == 1);
    write_pem(chain, chain_pem);
    write_pem(secret, key_pem);
    X509_free(cert);
    EVP_PKEY_free(key);
}

struct tls_client {
    struct loop *loop;
    struct loop_watch watch;
    struct tls *tls;
    struct buf plain;
    bool asked;
};

static void tls_flush(struct tls_client *c)
{
    struct str out = tls_output(c->tls);
    ssize_t sent = out.len == 0 ? 0 : send(c->watch.fd, out.data, out.len, MSG_NOSIGNAL);

    CHECK(sent == (ssize_t)out.len);
    tls_sent(c->tls, out.len);
}

static void on_tls(void *ctx, uint32_t events)
{
    struct tls_client *c = ctx;
    char bytes[16384];
    struct err err = {""};
    ssize_t got = recv(c->watch.fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    (void)events;
    if (got <= 0) {
        loop_stop(c->loop, 0);
        return;
    }
    enum tls_state state = tls_receive(c->tls, str_of(bytes, (size_t)got), &c->plain, &err);
    CHECK_CASE(state != TLS_FAILED, err.text);
    if (state == TLS_OPEN && !c->asked) {
        c->asked = tls_send(c->tls, STR("GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
                                        "Connection: close\r\n\r\n"));
    }
    tls_flush(c);
    if (state == TLS_CLOSED) {
        loop_stop(c->loop, 0);
    }
}

static void test_tls(void)
{
    char chain_pem[PEM_BYTES];
    char key_pem[PEM_BYTES];
    struct err err = {""};
    int pair[2];
    struct tls_client c = {.watch = LOOP_WATCH_NONE};
    struct loop_timer deadline = {0};

    tls_setup();
    make_certificate(chain_pem, key_pem);
    c.loop = loop_new(&err);
    struct api *api = api_new(c.loop, NULL);
    api_set_config(api, testing_open_config());
    CHECK(server_set_certificate(api_server(api), STR("nonsense"), str_from(key_pem), &err) == -1);
    CHECK_CASE(
        server_set_certificate(api_server(api), str_from(chain_pem), str_from(key_pem), &err) == 0,
        err.text);
    struct tls_context *trust = tls_context_new_client(str_from(chain_pem), &err);
    CHECK_CASE(trust != NULL, err.text);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    server_connection(api_server(api), pair[0], LISTEN_TLS);
    /* A reload while it is open: the old certificate stays until it is gone. */
    CHECK(server_set_certificate(api_server(api), str_from(chain_pem), str_from(key_pem), &err) ==
          0);
    buf_init(&c.plain, 100000);
    c.tls = tls_new_client(trust, STR("localhost"), 8788);
    loop_watch(c.loop, &c.watch, pair[1], EPOLLIN, on_tls, &c);
    (void)tls_receive(c.tls, STR_NONE, &c.plain, &err);
    tls_flush(&c);
    loop_timer_set(c.loop, &deadline, TESTING_WAIT_MS, on_stop, c.loop);
    (void)loop_run(c.loop);
    CHECK(str_starts(buf_str(&c.plain), STR("HTTP/1.1 200 OK")) &&
          str_has(buf_str(&c.plain), STR("{\"status\":\"ok\"}")));
    loop_unwatch(c.loop, &c.watch);
    loop_timer_stop(c.loop, &deadline);
    (void)close(pair[1]);
    tls_free(c.tls);
    tls_context_free(trust);
    buf_clear(&c.plain);
    api_free(api);
    loop_free(c.loop);
}

int main(void)
{
    digest_setup();
    json_alloc_setup();
    test_framing();
    test_continue();
    test_body_limit();
    test_every_cut();
    test_drain();
    test_connection_limit();
    test_full_port();
    test_tls();
    return test_done();
}
