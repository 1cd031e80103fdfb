/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/test.h"

static const char *judge(const char *text, bool allow_private)
{
    struct sockaddr_storage address = {0};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1) {
        memcpy(&address, &v4, sizeof(v4));
    } else {
        CHECK_CASE(inet_pton(AF_INET6, text, &v6.sin6_addr) == 1, text);
        memcpy(&address, &v6, sizeof(v6));
    }
    return address_refused((const struct sockaddr *)&address, allow_private);
}

static void test_public(void)
{
    static const char *const public[] = {
        "1.1.1.1",         "8.8.8.8",          "3.18.12.63",      "126.255.255.255", "128.0.0.1",
        "9.255.255.255",   "11.0.0.0",         "172.15.255.255",  "172.32.0.0",      "192.167.1.1",
        "192.169.0.0",     "100.63.255.255",   "100.128.0.0",     "169.253.1.1",     "169.255.0.1",
        "198.17.255.255",  "198.20.0.0",       "223.255.255.255", "192.0.1.1",       "203.0.112.1",
        "2606:4700::1111", "2a00:1450::1",     "2001:4860::8888", "3ffe::1",         "2001:200::1",
        "2003::1",         "64:ff9b::8.8.8.8",
    };

    for (size_t i = 0; i < sizeof(public) / sizeof(public[0]); i++) {
        CHECK_CASE(judge(public[i], false) == NULL, public[i]);
        CHECK_CASE(judge(public[i], true) == NULL, public[i]);
    }
}

static void test_private(void)
{
    static const char *const private[] = {
        "127.0.0.1",    "127.255.255.255", "10.0.0.1",    "10.255.255.255",
        "172.16.0.1",   "172.31.255.255",  "192.168.0.1", "192.168.255.255",
        "100.64.0.1",   "100.127.255.255", "::1",         "fc00::1",
        "fd12:3456::1",
    };

    for (size_t i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        CHECK_CASE(judge(private[i], false) != NULL, private[i]);
        CHECK_CASE(judge(private[i], true) == NULL, private[i]);
    }
}

static void test_never(void)
{
    static const char *const never[] = {
        "169.254.169.254",
        "169.254.170.2",
        "100.100.100.200",
        "192.0.0.192",
        "168.63.129.16",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
        "0.0.0.0",
        "0.1.2.3",
        "169.254.0.1",
        "192.0.0.1",
        "192.0.2.1",
        "192.88.99.1",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.7",
        "203.0.113.7",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::ffff:127.0.0.1",
        "::ffff:8.8.8.8",
        "::ffff:169.254.169.254",
        "::127.0.0.1",
        "::8.8.8.8",
        "::2",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "2001::1",
        "2001:0:4136:e378::1",
        "2001:10::1",
        "2001:20::1",
        "2001:1ff::1",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:808:808::1",
        "3fff::1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "4000::1",
        "5f00::1",
        "8000::1",
        "e000::1",
        "fe00::1",
    };

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++) {
        CHECK_CASE(judge(never[i], false) != NULL, never[i]);
        CHECK_CASE(judge(never[i], true) != NULL, never[i]);
    }
    struct sockaddr other = {.sa_family = AF_UNIX};
    CHECK(address_refused(&other, true) != NULL);
}

int main(void)
{
    test_public();
    test_private();
    test_never();
    return test_done();
}
