/* SPDX-License-Identifier: Apache-2.0 */
/* The name in a first flight: of flights that OpenSSL makes, whole and in pieces, and of broken
 * ones. */
#include "tls/hello.h"

#include <string.h>

#include "base/buf.h"
#include "base/digest.h"
#include "base/test.h"
#include "tls/tls.h"

enum { FLIGHT_MAX = 64 * 1024 };

/* What a client of ours sends first; `host` is sent when it is a name. */
static void first_flight(const char *host, struct buf *out)
{
    struct err err;
    struct tls_context *context = tls_context_new_client(STR_NONE, &err);
    struct tls *tls = tls_new_client(context, str_from(host), 443);
    struct buf plain;

    buf_init(&plain, FLIGHT_MAX);
    CHECK(tls_receive(tls, STR_NONE, &plain, &err) == TLS_HANDSHAKE);
    CHECK(buf_add_str(out, tls_output(tls)));
    tls_free(tls);
    tls_context_free(context);
    buf_clear(&plain);
}

static enum hello_result read_of(struct str bytes, struct hello *hello)
{
    const char *why = NULL;
    enum hello_result result = hello_read(bytes, hello, &why);

    CHECK((result == HELLO_BAD) == (why != NULL));
    return result;
}

static void test_real_ones(void)
{
    struct hello hello;
    struct buf flight;

    buf_init(&flight, FLIGHT_MAX);
    first_flight("API.Stripe.com", &flight);
    CHECK(hello_begins(buf_str(&flight)));
    CHECK(read_of(buf_str(&flight), &hello) == HELLO_OK);
    CHECK(strcmp(hello.host, "api.stripe.com") == 0);
    for (size_t len = 0; len < buf_len(&flight); len++) {
        CHECK(read_of(str_slice(buf_str(&flight), 0, len), &hello) == HELLO_MORE);
    }
    /* What follows is not looked at. */
    CHECK(buf_add_str(&flight, STR("anything")));
    CHECK(read_of(buf_str(&flight), &hello) == HELLO_OK);
    buf_clear(&flight);

    first_flight("127.0.0.1", &flight);
    CHECK(read_of(buf_str(&flight), &hello) == HELLO_OK);
    CHECK(hello.host[0] == '\0');
    buf_clear(&flight);
}

/* The same message in records of `size` bytes. */
static void in_pieces(struct str record, size_t size, struct buf *out)
{
    struct str message = str_slice(record, 5, record.len);

    while (message.len > 0) {
        struct str piece = str_slice(message, 0, size);
        const unsigned char head[] = {22, 3, 1, (unsigned char)(piece.len >> 8),
                                      (unsigned char)piece.len};
        CHECK(buf_add(out, head, sizeof(head)) && buf_add_str(out, piece));
        message = str_slice(message, piece.len, message.len);
    }
}

static void test_pieces(void)
{
    static const size_t sizes[] = {3, 4, 5, 40, 100};
    struct buf flight, pieces;
    struct hello hello;

    buf_init(&flight, FLIGHT_MAX);
    buf_init(&pieces, FLIGHT_MAX);
    first_flight("api.stripe.com", &flight);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        in_pieces(buf_str(&flight), sizes[i], &pieces);
        bool many = buf_len(&flight) / sizes[i] > 64;
        CHECK(read_of(buf_str(&pieces), &hello) == (many ? HELLO_BAD : HELLO_OK));
        CHECK(many || strcmp(hello.host, "api.stripe.com") == 0);
        buf_cut(&pieces, 0);
    }
    buf_clear(&flight);
    buf_clear(&pieces);
}

/* ---- flights made by hand ---- */

static size_t put(unsigned char *out, size_t at, size_t number, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        out[at + i] = (unsigned char)(number >> (8 * (bytes - 1 - i)));
    }
    return at + bytes;
}

static size_t put_names(unsigned char *out, size_t at, const char *name, size_t name_len)
{
    at = put(out, at, 0, 2); /* server_name */
    at = put(out, at, name_len + 5, 2);
    at = put(out, at, name_len + 3, 2);
    at = put(out, at, 0, 1);
    at = put(out, at, name_len, 2);
    memcpy(out + at, name, name_len);
    return at + name_len;
}

/* One record with a hello of these names, each in an extension of its own. */
static struct str make_flight(unsigned char *out, const char *const *names, size_t count)
{
    size_t at = 9;

    at = put(out, at, 0x303, 2);
    memset(out + at, 7, 32);
    at += 32;
    at = put(out, at, 0, 1);
    at = put(out, at, 2, 2);
    at = put(out, at, 0x1301, 2);
    at = put(out, at, 1, 1);
    at = put(out, at, 0, 1);
    size_t extensions = at;
    at += 2;
    for (size_t i = 0; i < count; i++) {
        at = put_names(out, at, names[i], strlen(names[i]));
    }
    (void)put(out, extensions, at - extensions - 2, 2);
    (void)put(out, 0, 0x160301, 3);
    (void)put(out, 3, at - 5, 2);
    (void)put(out, 5, 1, 1);
    (void)put(out, 6, at - 9, 3);
    return str_of(out, at);
}

static void test_names(void)
{
    static const struct {
        const char *names[2];
        size_t count;
        enum hello_result result;
        const char *host;
    } cases[] = {
        {{"api.stripe.com"}, 1, HELLO_OK, "api.stripe.com"},
        {{"API.STRIPE.COM"}, 1, HELLO_OK, "api.stripe.com"},
        {{0}, 0, HELLO_OK, ""},
        {{"api.stripe.com", "api.stripe.com"}, 2, HELLO_BAD, ""},
        {{"api.stripe.com", "evil.example"}, 2, HELLO_BAD, ""},
        {{""}, 1, HELLO_BAD, ""},
        {{"api.stripe.com."}, 1, HELLO_BAD, ""},
        {{".api"}, 1, HELLO_BAD, ""},
        {{"a b"}, 1, HELLO_BAD, ""},
        {{"a/b"}, 1, HELLO_BAD, ""},
        {{"a\r\nb"}, 1, HELLO_BAD, ""},
        {{"127.0.0.1"}, 1, HELLO_BAD, ""},
        {{"[::1]"}, 1, HELLO_BAD, ""},
        {{"host:443"}, 1, HELLO_BAD, ""},
    };
    unsigned char bytes[1024];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hello hello;
        struct str flight = make_flight(bytes, cases[i].names, cases[i].count);
        CHECK_CASE(read_of(flight, &hello) == cases[i].result, cases[i].host);
        CHECK_CASE(cases[i].result != HELLO_OK || strcmp(hello.host, cases[i].host) == 0,
                   cases[i].host);
    }
}

static void test_long_name(void)
{
    char name[300];
    const char *const names[] = {name};
    unsigned char bytes[1024];
    struct hello hello;

    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    for (size_t i = 60; i < sizeof(name) - 1; i += 60) {
        name[i] = '.';
    }
    CHECK(read_of(make_flight(bytes, names, 1), &hello) == HELLO_BAD);
    name[250] = '\0';
    CHECK(read_of(make_flight(bytes, names, 1), &hello) == HELLO_OK);
}

/* Each byte that says a length or a kind, made wrong. */
static void test_broken(void)
{
    static const char *const names[] = {"api.stripe.com"};
    static const struct {
        size_t at;
        unsigned char value;
        const char *what;
    } cases[] = {
        {0, 23, "application data"},
        {0, 'G', "HTTP"},
        {1, 2, "SSL 2"},
        {3, 0xff, "a record too long"},
        {5, 2, "a ServerHello"},
        {6, 1, "a message too long"},
        {8, 10, "a message too short"},
        {43, 33, "a session id too long"},
        {43, 255, "a session id beyond the end"},
        {45, 3, "an odd length of cipher suites"},
        {45, 0, "no cipher suites"},
        {48, 0, "no compression"},
        {51, 1, "extensions shorter than they are"},
        {51, 200, "extensions longer than there is"},
        {55, 1, "an extension shorter than its name"},
        {57, 1, "a list shorter than its name"},
        {58, 1, "a name of another type"},
        {60, 200, "a name longer than there is"},
        {60, 2, "a name shorter than its list"},
    };
    unsigned char bytes[1024];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct hello hello;
        struct str flight = make_flight(bytes, names, 1);
        bytes[cases[i].at] = cases[i].value;
        CHECK_CASE(read_of(flight, &hello) == HELLO_BAD, cases[i].what);
    }
    CHECK(!hello_begins(STR("GET / HTTP/1.1")) && !hello_begins(STR_NONE) &&
          !hello_begins(STR("\x05\x01")));
}

int main(void)
{
    digest_setup();
    test_real_ones();
    test_pieces();
    test_names();
    test_long_name();
    test_broken();
    return test_done();
}
