/* SPDX-License-Identifier: Apache-2.0 */
#include "http/socks.h"

#include <arpa/inet.h>
#include <string.h>

#include "http/url.h"

enum {
    METHOD_NONE = 0,
    METHOD_PASSWORD = 2,
    PASSWORD_VERSION = 1,
    COMMAND_CONNECT = 1,
    ADDRESS_V4 = 1,
    ADDRESS_NAME = 3,
    ADDRESS_V6 = 4,
    REQUEST_HEAD = 4,
};

static unsigned byte_at(struct str bytes, size_t at)
{
    return (unsigned char)bytes.data[at];
}

enum socks_result socks_read_greeting(struct str bytes, struct socks_greeting *ret,
                                      size_t *ret_used)
{
    *ret = (struct socks_greeting){0};
    if (bytes.len > 0 && byte_at(bytes, 0) != SOCKS_VERSION) {
        return SOCKS_BAD;
    }
    if (bytes.len < 2) {
        return SOCKS_MORE;
    }
    size_t count = byte_at(bytes, 1);
    if (count == 0) {
        return SOCKS_BAD;
    }
    if (bytes.len < 2 + count) {
        return SOCKS_MORE;
    }
    for (size_t i = 0; i < count; i++) {
        ret->none = ret->none || byte_at(bytes, 2 + i) == METHOD_NONE;
        ret->password = ret->password || byte_at(bytes, 2 + i) == METHOD_PASSWORD;
    }
    *ret_used = 2 + count;
    return SOCKS_OK;
}

enum socks_result socks_read_password(struct str bytes, struct str *ret_user,
                                      struct str *ret_password, size_t *ret_used)
{
    if (bytes.len > 0 && byte_at(bytes, 0) != PASSWORD_VERSION) {
        return SOCKS_BAD;
    }
    if (bytes.len < 2) {
        return SOCKS_MORE;
    }
    size_t user = byte_at(bytes, 1);
    if (bytes.len < 2 + user + 1) {
        return SOCKS_MORE;
    }
    size_t password = byte_at(bytes, 2 + user);
    if (bytes.len < 3 + user + password) {
        return SOCKS_MORE;
    }
    *ret_user = str_slice(bytes, 2, 2 + user);
    *ret_password = str_slice(bytes, 3 + user, 3 + user + password);
    *ret_used = 3 + user + password;
    return SOCKS_OK;
}

static void take_name(struct str name, struct socks_request *ret)
{
    if (name.len == 0 || name.len > SOCKS_HOST_MAX || !url_host_is_name(name)) {
        return;
    }
    for (size_t i = 0; i < name.len; i++) {
        ret->host[i] = ascii_lower(name.data[i]);
    }
    ret->is_name = true;
}

static void take_address(int family, struct str address, struct socks_request *ret)
{
    if (inet_ntop(family, address.data, ret->host, sizeof(ret->host)) == NULL) {
        ret->host[0] = '\0';
    }
}

enum socks_result socks_read_request(struct str bytes, struct socks_request *ret, size_t *ret_used)
{
    size_t address_len, from = REQUEST_HEAD;

    *ret = (struct socks_request){0};
    if ((bytes.len > 0 && byte_at(bytes, 0) != SOCKS_VERSION) ||
        (bytes.len > 2 && byte_at(bytes, 2) != 0)) {
        return SOCKS_BAD;
    }
    if (bytes.len < REQUEST_HEAD + 1) {
        return SOCKS_MORE;
    }
    switch (byte_at(bytes, 3)) {
    case ADDRESS_V4:
        address_len = 4;
        break;
    case ADDRESS_V6:
        address_len = 16;
        break;
    case ADDRESS_NAME:
        address_len = byte_at(bytes, REQUEST_HEAD);
        from++;
        break;
    default:
        return SOCKS_BAD;
    }
    if (bytes.len < from + address_len + 2) {
        return SOCKS_MORE;
    }
    struct str address = str_slice(bytes, from, from + address_len);
    if (byte_at(bytes, 3) == ADDRESS_NAME) {
        take_name(address, ret);
    } else {
        take_address(address_len == 4 ? AF_INET : AF_INET6, address, ret);
    }
    ret->is_connect = byte_at(bytes, 1) == COMMAND_CONNECT;
    ret->port = byte_at(bytes, from + address_len) << 8 | byte_at(bytes, from + address_len + 1);
    *ret_used = from + address_len + 2;
    return SOCKS_OK;
}

void socks_write_reply(enum socks_reply reply, unsigned char out[SOCKS_REPLY_BYTES])
{
    memset(out, 0, SOCKS_REPLY_BYTES);
    out[0] = SOCKS_VERSION;
    out[1] = (unsigned char)reply;
    out[3] = ADDRESS_V4;
}
