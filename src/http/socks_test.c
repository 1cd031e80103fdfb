/* SPDX-License-Identifier: Apache-2.0 */
#include "http/socks.h"

#include <string.h>

#include "base/test.h"

#define BYTES(literal) str_of("" literal "", sizeof(literal) - 1)

static void test_greetings(void)
{
    static const struct {
        struct str bytes;
        enum socks_result result;
        bool password, none;
    } cases[] = {
        {{"", 0}, SOCKS_MORE, false, false},
        {{"\x05", 1}, SOCKS_MORE, false, false},
        {{"\x05\x01\x02", 3}, SOCKS_OK, true, false},
        {{"\x05\x02\x00\x02", 4}, SOCKS_OK, true, true},
        {{"\x05\x02\x00", 3}, SOCKS_MORE, false, false},
        {{"\x05\x01\x00", 3}, SOCKS_OK, false, true},
        {{"\x05\x01\x01", 3}, SOCKS_OK, false, false}, /* GSSAPI only */
        {{"\x05\x00", 2}, SOCKS_BAD, false, false},
        {{"\x04\x01", 2}, SOCKS_BAD, false, false}, /* SOCKS4 */
        {{"GET ", 4}, SOCKS_BAD, false, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct socks_greeting greeting;
        size_t used = 0;
        CHECK(socks_read_greeting(cases[i].bytes, &greeting, &used) == cases[i].result);
        CHECK(cases[i].result != SOCKS_OK ||
              (greeting.password == cases[i].password && greeting.none == cases[i].none &&
               used == cases[i].bytes.len));
    }
}

static void test_passwords(void)
{
    struct str user, password;
    size_t used = 0;
    struct str whole = BYTES("\x01\x03"
                             "abc"
                             "\x02"
                             "de");

    for (size_t len = 0; len < whole.len; len++) {
        CHECK(socks_read_password(str_slice(whole, 0, len), &user, &password, &used) == SOCKS_MORE);
    }
    CHECK(socks_read_password(whole, &user, &password, &used) == SOCKS_OK && used == whole.len);
    CHECK(str_equal(user, STR("abc")) && str_equal(password, STR("de")));
    CHECK(socks_read_password(BYTES("\x01\x00\x00"), &user, &password, &used) == SOCKS_OK);
    CHECK(user.len == 0 && password.len == 0 && used == 3);
    CHECK(socks_read_password(BYTES("\x05\x01\x02"), &user, &password, &used) == SOCKS_BAD);
}

static void test_requests(void)
{
    static const struct {
        struct str bytes;
        enum socks_result result;
        const char *host;
        unsigned port;
        bool is_connect;
    } cases[] = {
        {{"\x05\x01\x00\x03\x05"
          "A.org"
          "\x01\xbb",
          12},
         SOCKS_OK,
         "a.org",
         443,
         true},
        {{"\x05\x01\x00\x01\x7f\x00\x00\x01\x00\x50", 10}, SOCKS_OK, "127.0.0.1", 80, true},
        {{"\x05\x01\x00\x04\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x00\x50", 22},
         SOCKS_OK,
         "::1",
         80,
         true},
        {{"\x05\x02\x00\x03\x05"
          "a.org"
          "\x01\xbb",
          12},
         SOCKS_OK,
         "a.org",
         443,
         false},
        {{"\x05\x03\x00\x03\x05"
          "a.org"
          "\x01\xbb",
          12},
         SOCKS_OK,
         "a.org",
         443,
         false},
        {{"\x05\x01\x00\x03\x00\x01\xbb", 7}, SOCKS_OK, "", 443, true},
        {{"\x05\x01\x00\x03\x05"
          "a b.c"
          "\x01\xbb",
          12},
         SOCKS_OK,
         "",
         443,
         true},
        {{"\x05\x01\x00\x03\x05"
          "a\0b.c"
          "\x01\xbb",
          12},
         SOCKS_OK,
         "",
         443,
         true},
        {{"\x05\x01\x00\x03\x07"
          "1.2.3.4"
          "\x01\xbb",
          14},
         SOCKS_OK,
         "",
         443,
         true},
        {{"\x05\x01\x00\x03\x05"
          "a.org"
          "\x01",
          11},
         SOCKS_MORE,
         "",
         0,
         false},
        {{"\x05\x01\x00\x03", 4}, SOCKS_MORE, "", 0, false},
        {{"\x05\x01\x00\x02"
          "aaaaaaaaaa",
          14},
         SOCKS_BAD,
         "",
         0,
         false},
        {{"\x05\x01\x01\x03\x05"
          "a.org"
          "\x01\xbb",
          12},
         SOCKS_BAD,
         "",
         0,
         false},
        {{"\x04\x01\x00\x50\x7f\x00\x00\x01", 8}, SOCKS_BAD, "", 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct socks_request request;
        size_t used = 0;
        CHECK_CASE(socks_read_request(cases[i].bytes, &request, &used) == cases[i].result,
                   cases[i].host);
        if (cases[i].result == SOCKS_OK) {
            CHECK_CASE(strcmp(request.host, cases[i].host) == 0 && request.port == cases[i].port &&
                           request.is_connect == cases[i].is_connect && used == cases[i].bytes.len,
                       cases[i].host);
        }
    }
}

static void test_replies(void)
{
    unsigned char reply[SOCKS_REPLY_BYTES];

    socks_write_reply(SOCKS_NOT_ALLOWED, reply);
    CHECK(memcmp(reply, "\x05\x02\x00\x01\0\0\0\0\0\0", sizeof(reply)) == 0);
}

int main(void)
{
    test_greetings();
    test_passwords();
    test_requests();
    test_replies();
    return test_done();
}
