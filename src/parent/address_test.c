/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/address.h"

#include <string.h>

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_good(void)
{
    static const struct {
        const char *text;
        bool loopback, local;
        unsigned port;
    } cases[] = {
        {"127.0.0.1:8787", true, false, 8787},
        {"127.9.9.9:1", true, false, 1},
        {"0.0.0.0:8787", false, false, 8787},
        {"10.0.0.1:65535", false, false, 65535},
        {"128.0.0.1:80", false, false, 80},
        {"[::1]:80", true, false, 80},
        {"[::]:0", false, false, 0},
        {"[2001:db8::1]:443", false, false, 443},
        {"[::ffff:127.0.0.1]:443", false, false, 443},
        {"unix:/run/x", true, true, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address;
        struct err err;
        struct buf back;
        buf_init(&back, 200);
        CHECK_CASE(address_parse(str_from(cases[i].text), &address, &err) == 0, cases[i].text);
        CHECK_CASE(address_is_loopback(&address) == cases[i].loopback, cases[i].text);
        CHECK_CASE(address_is_unix(&address) == cases[i].local, cases[i].text);
        CHECK_CASE(address_port(&address) == cases[i].port, cases[i].text);
        CHECK_CASE(address_write(&address, &back), cases[i].text);
        CHECK_CASE(str_equal(buf_str(&back), str_from(cases[i].text)), cases[i].text);
        buf_clear(&back);
    }
}

/* A socket's path has 107 bytes at most. */
static const char too_long[] =
    "unix:/1234567890123456789012345678901234567890123456789012345678901234567890123456789012345678"
    "90123456789012345678";

static void test_refusals(void)
{
    static const char *const cases[] = {
        "",
        ":80",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "127.1:80",
        "localhost:80",
        "127.0.0.1:080",
        "127.0.0.1:-1",
        "127.0.0.1:80 ",
        "::1:80",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[127.0.0.1]:80",
        "[::1%lo]:80",
        "unix:",
        "unix:relative",
        "1.2.3.4.5:80",
        "300.0.0.1:80",
        "http://127.0.0.1:80",
        "0x7f.0.0.1:80",
        "127.0.0.1:80:80",
        too_long,
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address address;
        struct err err = {""};
        CHECK_CASE(address_parse(str_from(cases[i]), &address, &err) == -1, cases[i]);
        CHECK_CASE(err.text[0] != '\0', cases[i]);
    }
}

static void test_port(void)
{
    struct address address;
    struct err err;

    CHECK(address_parse(STR("[::1]:0"), &address, &err) == 0);
    address_set_port(&address, 1234);
    CHECK(address_port(&address) == 1234);
    CHECK(address_parse(STR("unix:/x"), &address, &err) == 0);
    address_set_port(&address, 1234);
    CHECK(address_port(&address) == 0 && address_is_unix(&address));
}

int main(void)
{
    test_good();
    test_refusals();
    test_port();
    return test_done();
}
