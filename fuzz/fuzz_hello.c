/* SPDX-License-Identifier: Apache-2.0 */
/* The first flight of a TLS client: what is read of it is a host name, it does not depend on what
 * follows, and a shorter beginning never says more. */
#include <assert.h>
#include <string.h>

#include <stdint.h>

#include "http/url.h"
#include "tls/hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = str_of(data, size);
    struct hello hello, half;
    const char *why = NULL;
    enum hello_result result = hello_read(bytes, &hello, &why);

    if (result == HELLO_BAD) {
        assert(why != NULL);
    }
    if (result == HELLO_OK && hello.host[0] != '\0') {
        assert(url_host_is_name(str_from(hello.host)));
    }
    enum hello_result before = hello_read(str_slice(bytes, 0, size / 2), &half, &why);
    if (before == HELLO_OK) {
        assert(result == HELLO_OK && strcmp(hello.host, half.host) == 0);
    }
    assert(before != HELLO_BAD || result == HELLO_BAD);
    return 0;
}
