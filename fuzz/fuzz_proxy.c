/* SPDX-License-Identifier: Apache-2.0 */
/* The head of the PROXY protocol: what is taken names an address, and was asked for byte by byte.
 */
#include <assert.h>
#include <string.h>

#include "base/limits.h"
#include "http/proxy.h"
#include "policy/cidr.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str all = str_of(data, size);
    struct proxy_head head;
    size_t have = 0, missing;

    while ((missing = proxy_missing(str_slice(all, 0, have))) > 0 && missing <= all.len - have) {
        assert(proxy_parse(str_slice(all, 0, have), &head) < 0);
        have += missing;
        assert(have <= LIMIT_PROXY_BYTES);
    }
    if (proxy_parse(all, &head) == 0) {
        struct cidr cidr;
        struct err err;
        assert(have == size);
        assert(head.local ||
               (memchr(head.address, 0, sizeof(head.address)) != NULL &&
                cidr_parse(str_from(head.address), &cidr, &err) == 0 && cidr.bits == 128));
    }
    return 0;
}
