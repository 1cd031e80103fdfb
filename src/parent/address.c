/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static int parse_unix(struct str path, struct address *ret_address, struct err *err)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};

    if (path.len == 0 || path.data[0] != '/') {
        return err_set(err, "'unix:%.*s' needs an absolute path", STR_FMT(path));
    }
    if (path.len >= sizeof(place.sun_path)) {
        return err_set(err, "a socket's path may have %zu bytes at most: '%.*s'",
                       sizeof(place.sun_path) - 1, STR_FMT(path));
    }
    memcpy(place.sun_path, path.data, path.len);
    *ret_address = (struct address){.size = sizeof(place)};
    memcpy(&ret_address->storage, &place, sizeof(place));
    return 0;
}

static bool parse_port(struct str text, in_port_t *ret_port)
{
    uint64_t port;

    if (!str_to_u64(text, &port) || port > UINT16_MAX) {
        return false;
    }
    *ret_port = htons((uint16_t)port);
    return true;
}

static bool copy_host(struct str host, char *out, size_t size)
{
    if (host.len == 0 || host.len >= size) {
        return false;
    }
    memcpy(out, host.data, host.len);
    out[host.len] = '\0';
    return true;
}

static bool parse_v6(struct str host, struct str port, struct address *ret_address)
{
    struct sockaddr_in6 place = {.sin6_family = AF_INET6};
    char text[INET6_ADDRSTRLEN];

    if (!copy_host(host, text, sizeof(text)) || inet_pton(AF_INET6, text, &place.sin6_addr) != 1 ||
        !parse_port(port, &place.sin6_port)) {
        return false;
    }
    *ret_address = (struct address){.size = sizeof(place)};
    memcpy(&ret_address->storage, &place, sizeof(place));
    return true;
}

static bool parse_v4(struct str host, struct str port, struct address *ret_address)
{
    struct sockaddr_in place = {.sin_family = AF_INET};
    char text[INET_ADDRSTRLEN];

    if (!copy_host(host, text, sizeof(text)) || inet_pton(AF_INET, text, &place.sin_addr) != 1 ||
        !parse_port(port, &place.sin_port)) {
        return false;
    }
    *ret_address = (struct address){.size = sizeof(place)};
    memcpy(&ret_address->storage, &place, sizeof(place));
    return true;
}

int address_parse(struct str text, struct address *ret_address, struct err *err)
{
    bool known = false;

    if (str_starts(text, STR("unix:"))) {
        return parse_unix(str_slice(text, 5, text.len), ret_address, err);
    }
    if (str_starts(text, STR("["))) {
        size_t end = str_index(text, ']', 0);
        if (end + 1 < text.len && text.data[end + 1] == ':') {
            known =
                parse_v6(str_slice(text, 1, end), str_slice(text, end + 2, text.len), ret_address);
        }
    } else {
        size_t colon = str_index(text, ':', 0);
        if (colon < text.len) {
            known = parse_v4(str_slice(text, 0, colon), str_slice(text, colon + 1, text.len),
                             ret_address);
        }
    }
    if (!known) {
        return err_set(err,
                       "'%.*s' is not an address to listen on; say 127.0.0.1:8787, [::1]:8787 or "
                       "unix:/run/keybrake.sock",
                       STR_FMT(text));
    }
    return 0;
}

bool address_is_unix(const struct address *address)
{
    return address->storage.ss_family == AF_UNIX;
}

bool address_is_loopback(const struct address *address)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;

    switch (address->storage.ss_family) {
    case AF_INET:
        memcpy(&v4, &address->storage, sizeof(v4));
        return ntohl(v4.sin_addr.s_addr) >> 24 == 127;
    case AF_INET6:
        memcpy(&v6, &address->storage, sizeof(v6));
        return IN6_IS_ADDR_LOOPBACK(&v6.sin6_addr);
    default:
        return address_is_unix(address);
    }
}

uint16_t address_port(const struct address *address)
{
    struct sockaddr_in v4;

    if (address_is_unix(address)) {
        return 0;
    }
    memcpy(&v4, &address->storage, sizeof(v4)); /* both kinds have it at the same place */
    return ntohs(v4.sin_port);
}

void address_set_port(struct address *address, uint16_t port)
{
    struct sockaddr_in v4;

    if (address_is_unix(address)) {
        return;
    }
    memcpy(&v4, &address->storage, sizeof(v4));
    v4.sin_port = htons(port);
    memcpy(&address->storage, &v4, sizeof(v4));
}

bool address_write(const struct address *address, struct buf *out)
{
    char text[INET6_ADDRSTRLEN];
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    struct sockaddr_un local;

    switch (address->storage.ss_family) {
    case AF_INET:
        memcpy(&v4, &address->storage, sizeof(v4));
        return inet_ntop(AF_INET, &v4.sin_addr, text, sizeof(text)) != NULL &&
               buf_addf(out, "%s:%u", text, address_port(address));
    case AF_INET6:
        memcpy(&v6, &address->storage, sizeof(v6));
        return inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof(text)) != NULL &&
               buf_addf(out, "[%s]:%u", text, address_port(address));
    case AF_UNIX:
        memcpy(&local, &address->storage, sizeof(local));
        return buf_addf(out, "unix:%s", local.sun_path);
    default:
        return false;
    }
}
