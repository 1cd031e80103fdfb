/* SPDX-License-Identifier: Apache-2.0 */
#include "policy/cidr.h"

#include <arpa/inet.h>
#include <string.h>

static const unsigned char mapped[12] = {[10] = 0xff, [11] = 0xff};

static bool parse_address(struct str text, unsigned char out[16], bool *ret_v4)
{
    char copy[INET6_ADDRSTRLEN];

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.data, '\0', text.len) != NULL) {
        return false;
    }
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, out + sizeof(mapped)) == 1) {
        memcpy(out, mapped, sizeof(mapped));
        *ret_v4 = true;
        return true;
    }
    *ret_v4 = false;
    return inet_pton(AF_INET6, copy, out) == 1;
}

static bool same_prefix(const unsigned char a[16], const unsigned char b[16], unsigned bits)
{
    unsigned whole = bits / 8;
    unsigned left = bits % 8;

    return memcmp(a, b, whole) == 0 && (left == 0 || (a[whole] ^ b[whole]) >> (8 - left) == 0);
}

int cidr_parse(struct str text, struct cidr *ret, struct err *err)
{
    struct str rest = text;
    struct str address = str_take_until(&rest, '/');
    struct cidr cidr = {.bits = 128};
    uint64_t bits = 0;
    bool v4 = false;

    if (!parse_address(address, cidr.address, &v4)) {
        return err_set(err, "'%.*s' is not an address or a network such as 10.0.0.0/8",
                       STR_FMT(text));
    }
    if (address.len < text.len) {
        if (!str_to_u64(rest, &bits) || bits > (v4 ? 32 : 128)) {
            return err_set(err, "'%.*s' has no prefix length from 0 to %d", STR_FMT(text),
                           v4 ? 32 : 128);
        }
        cidr.bits = (unsigned)bits + (v4 ? 96 : 0);
    }
    for (unsigned bit = cidr.bits; bit < 128; bit++) {
        if ((cidr.address[bit / 8] >> (7 - bit % 8) & 1) != 0) {
            return err_set(err, "'%.*s' has bits set behind its prefix", STR_FMT(text));
        }
    }
    *ret = cidr;
    return 0;
}

/* 192.0.2.7:443 and [2001:db8::1]:443 without their ports. */
static struct str without_port(struct str source)
{
    if (str_starts(source, STR("["))) {
        return str_slice(source, 1, str_index(source, ']', 0));
    }
    size_t colon = str_index(source, ':', 0);
    bool only_one = str_index(source, ':', colon + 1) == source.len;
    return only_one ? str_slice(source, 0, colon) : source;
}

bool cidr_has(const struct cidr *cidr, struct str source)
{
    unsigned char address[16] = {0};
    bool v4;

    return parse_address(without_port(source), address, &v4) &&
           same_prefix(cidr->address, address, cidr->bits);
}
