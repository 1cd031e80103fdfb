/* SPDX-License-Identifier: Apache-2.0 */
#include "net/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct range4 {
    uint32_t network;
    unsigned bits;
    bool private; /* allow_private lets it pass */
    const char *what;
};

#define IPV4(a, b, c, d) ((uint32_t)(a) << 24 | (uint32_t)(b) << 16 | (uint32_t)(c) << 8 | (d))

/* The first that fits decides. */
static const struct range4 ranges4[] = {
    {IPV4(169, 254, 169, 254), 32, false, "a metadata service"},
    {IPV4(169, 254, 170, 2), 32, false, "a metadata service"},
    {IPV4(100, 100, 100, 200), 32, false, "a metadata service"},
    {IPV4(192, 0, 0, 192), 32, false, "a metadata service"},
    {IPV4(168, 63, 129, 16), 32, false, "a metadata service"},
    {IPV4(0, 0, 0, 0), 8, false, "an unspecified address"},
    {IPV4(127, 0, 0, 0), 8, true, "a loopback address"},
    {IPV4(10, 0, 0, 0), 8, true, "a private address"},
    {IPV4(172, 16, 0, 0), 12, true, "a private address"},
    {IPV4(192, 168, 0, 0), 16, true, "a private address"},
    {IPV4(100, 64, 0, 0), 10, true, "a shared (carrier) address"},
    {IPV4(169, 254, 0, 0), 16, false, "a link-local address"},
    {IPV4(192, 0, 0, 0), 24, false, "a reserved address"},
    {IPV4(192, 0, 2, 0), 24, false, "a documentation address"},
    {IPV4(192, 31, 196, 0), 24, false, "a reserved address"},
    {IPV4(192, 52, 193, 0), 24, false, "a reserved address"},
    {IPV4(192, 88, 99, 0), 24, false, "a 6to4 relay address"},
    {IPV4(192, 175, 48, 0), 24, false, "a reserved address"},
    {IPV4(198, 18, 0, 0), 15, false, "a benchmarking address"},
    {IPV4(198, 51, 100, 0), 24, false, "a documentation address"},
    {IPV4(203, 0, 113, 0), 24, false, "a documentation address"},
    {IPV4(224, 0, 0, 0), 4, false, "a multicast address"},
    {IPV4(240, 0, 0, 0), 4, false, "a reserved address"}, /* and broadcast */
};

struct range6 {
    unsigned char network[16];
    unsigned bits;
    bool private;
    const char *what; /* NULL: it passes */
};

static const struct range6 ranges6[] = {
    {{0xfd, 0x00, 0x0e, 0xc2}, 32, false, "a metadata service"},
    {{0xfd, 0x20, 0x00, 0xce}, 32, false, "a metadata service"},
    {{0}, 128, false, "an unspecified address"},
    {{[15] = 1}, 128, true, "a loopback address"},
    {{[10] = 0xff, [11] = 0xff}, 96, false, "an IPv4-mapped address"},
    {{0}, 96, false, "an IPv4-compatible address"},
    {{0xfc}, 7, true, "a unique local address"},
    {{0xfe, 0x80}, 10, false, "a link-local address"},
    {{0xfe, 0xc0}, 10, false, "a site-local address"},
    {{0xff}, 8, false, "a multicast address"},
    {{0x20, 0x01, 0x00, 0x00}, 32, false, "a Teredo address"},
    {{0x20, 0x01, 0x0d, 0xb8}, 32, false, "a documentation address"},
    {{0x20, 0x01}, 23, false, "a reserved address"}, /* IETF protocol assignments */
    {{0x20, 0x02}, 16, false, "a 6to4 address"},
    {{0x3f, 0xff}, 20, false, "a documentation address"},
    {{0x20}, 3, false, NULL}, /* global unicast */
    {{0}, 0, false, "a reserved address"},
};

static const char *refused4(uint32_t address, bool allow_private)
{
    for (size_t i = 0; i < sizeof(ranges4) / sizeof(ranges4[0]); i++) {
        const struct range4 *range = &ranges4[i];
        uint32_t mask = range->bits == 0 ? 0 : UINT32_MAX << (32 - range->bits);
        if ((address & mask) == range->network) {
            return range->private && allow_private ? NULL : range->what;
        }
    }
    return NULL;
}

static bool in_range6(const unsigned char *address, const struct range6 *range)
{
    size_t whole = range->bits / 8;
    unsigned rest = range->bits % 8;

    if (memcmp(address, range->network, whole) != 0) {
        return false;
    }
    return rest == 0 || ((address[whole] ^ range->network[whole]) >> (8 - rest)) == 0;
}

static uint32_t last4(const unsigned char *address)
{
    return IPV4(address[12], address[13], address[14], address[15]);
}

static const char *refused6(const unsigned char *address, bool allow_private)
{
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};

    if (memcmp(address, nat64, sizeof(nat64)) == 0) {
        return refused4(last4(address), false);
    }
    for (size_t i = 0; i < sizeof(ranges6) / sizeof(ranges6[0]); i++) {
        const struct range6 *range = &ranges6[i];
        if (in_range6(address, range)) {
            return range->private && allow_private ? NULL : range->what;
        }
    }
    return NULL;
}

const char *address_refused(const struct sockaddr *address, bool allow_private)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return refused4(ntohl(v4.sin_addr.s_addr), allow_private);
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        return refused6(v6.sin6_addr.s6_addr, allow_private);
    }
    return "an address of another family";
}

bool address_is_local(const struct sockaddr *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    }
    if (address->sa_family == AF_INET6) {
        memcpy(&v6, address, sizeof(v6));
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    }
    return false;
}
