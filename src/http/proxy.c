/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/limits.h"

static const struct str signature = {"\r\n\r\n\0\r\nQUIT\n", 12};

enum {
    COMMAND_LOCAL = 0x20, /* with the version in the upper half */
    COMMAND_PROXY = 0x21,
    TCP_IPV4 = 0x11,
    TCP_IPV6 = 0x21,
    IPV4_BYTES = 12, /* two addresses, two ports */
    IPV6_BYTES = 36,
    VALUE_HEAD_BYTES = 3,
    TYPE_CRC32C = 0x03,
    CRC_BYTES = 4,
};

static unsigned char byte_at(struct str bytes, size_t at)
{
    return (unsigned char)bytes.data[at];
}

static size_t two_bytes(struct str bytes, size_t at)
{
    return (size_t)byte_at(bytes, at) << 8 | byte_at(bytes, at + 1);
}

static bool may_begin(struct str bytes)
{
    size_t known = bytes.len < signature.len ? bytes.len : signature.len;

    return known == 0 || memcmp(bytes.data, signature.data, known) == 0;
}

size_t proxy_missing(struct str bytes)
{
    if (!may_begin(bytes)) {
        return 0;
    }
    if (bytes.len < PROXY_HEAD_BYTES) {
        return PROXY_HEAD_BYTES - bytes.len;
    }
    size_t whole = PROXY_HEAD_BYTES + two_bytes(bytes, 14);
    return whole > LIMIT_PROXY_BYTES || bytes.len > whole ? 0 : whole - bytes.len;
}

/* CRC32C of the head with the four bytes at `hole` taken as zero. */
static uint32_t checksum(struct str bytes, size_t hole)
{
    uint32_t crc = UINT32_MAX;

    for (size_t i = 0; i < bytes.len; i++) {
        crc ^= i >= hole && i < hole + CRC_BYTES ? 0 : byte_at(bytes, i);
        for (int bit = 0; bit < 8; bit++) {
            crc = crc >> 1 ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
        }
    }
    return ~crc;
}

static bool checksum_fits(struct str bytes, size_t at, size_t len)
{
    uint32_t said = 0;

    if (len != CRC_BYTES) {
        return false;
    }
    for (size_t i = 0; i < CRC_BYTES; i++) {
        said = said << 8 | byte_at(bytes, at + i);
    }
    return said == checksum(bytes, at);
}

/* The typed values fill the head to its last byte. */
static bool values_fit(struct str bytes, size_t at)
{
    while (at < bytes.len) {
        if (bytes.len - at < VALUE_HEAD_BYTES) {
            return false;
        }
        unsigned type = byte_at(bytes, at);
        size_t len = two_bytes(bytes, at + 1);
        at += VALUE_HEAD_BYTES;
        if (len > bytes.len - at || (type == TYPE_CRC32C && !checksum_fits(bytes, at, len))) {
            return false;
        }
        at += len;
    }
    return true;
}

static bool write_address(struct str bytes, unsigned family, char *out)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    const char *from = bytes.data + PROXY_HEAD_BYTES;

    if (family == TCP_IPV6 && memcmp(from, mapped, sizeof(mapped)) != 0) {
        return inet_ntop(AF_INET6, from, out, PROXY_ADDRESS_BYTES) != NULL;
    }
    from += family == TCP_IPV6 ? sizeof(mapped) : 0;
    return inet_ntop(AF_INET, from, out, PROXY_ADDRESS_BYTES) != NULL;
}

int proxy_parse(struct str bytes, struct proxy_head *ret)
{
    struct proxy_head head = {.local = false};

    if (bytes.len < PROXY_HEAD_BYTES || !may_begin(bytes) || bytes.len > LIMIT_PROXY_BYTES ||
        bytes.len != PROXY_HEAD_BYTES + two_bytes(bytes, 14)) {
        return -1;
    }
    unsigned command = byte_at(bytes, 12);
    unsigned family = byte_at(bytes, 13);
    if (command == COMMAND_LOCAL) {
        head.local = true; /* what else it says is to be ignored */
        *ret = head;
        return 0;
    }
    if (command != COMMAND_PROXY || (family != TCP_IPV4 && family != TCP_IPV6)) {
        return -1;
    }
    size_t addresses = PROXY_HEAD_BYTES + (family == TCP_IPV4 ? IPV4_BYTES : IPV6_BYTES);
    if (bytes.len < addresses || !values_fit(bytes, addresses) ||
        !write_address(bytes, family, head.address)) {
        return -1;
    }
    *ret = head;
    return 0;
}
