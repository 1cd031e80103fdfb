/* SPDX-License-Identifier: Apache-2.0 */
/* SOCKS5: what is taken lies within the bytes, does not depend on what follows, and a host is one
 * that a URL may have, or none. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "http/socks.h"
#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_request(struct str bytes)
{
    struct socks_request request, again;
    unsigned char address[16];
    size_t used = 0, used_again = 0;

    if (socks_read_request(bytes, &request, &used) != SOCKS_OK) {
        return;
    }
    assert(used <= bytes.len && used <= SOCKS_BYTES_MAX && request.port <= UINT16_MAX);
    assert(!request.is_name || url_host_is_name(str_from(request.host)));
    assert(request.is_name || request.host[0] == '\0' ||
           inet_pton(AF_INET, request.host, address) == 1 ||
           inet_pton(AF_INET6, request.host, address) == 1);
    assert(socks_read_request(str_slice(bytes, 0, used), &again, &used_again) == SOCKS_OK);
    assert(used_again == used && memcmp(&again, &request, sizeof(again)) == 0);
    assert(socks_read_request(str_slice(bytes, 0, used - 1), &again, &used_again) != SOCKS_OK);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_of(data, size), user, password;
    struct socks_greeting greeting;
    size_t used = 0;

    if (socks_read_greeting(bytes, &greeting, &used) == SOCKS_OK) {
        assert(used <= size && used <= SOCKS_BYTES_MAX);
    }
    if (socks_read_password(bytes, &user, &password, &used) == SOCKS_OK) {
        assert(used <= size && used <= SOCKS_BYTES_MAX && user.len + password.len + 3 == used);
    }
    read_request(bytes);
    return 0;
}
