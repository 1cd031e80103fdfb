/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens, names, networks and money: whatever is taken has the one form that we write. */
#include <assert.h>

#include "policy/cidr.h"
#include "policy/token.h"
#include "policy/usd.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of(data, size);
    struct err err;
    struct cidr cidr;
    int64_t nano;

    if (token_kind(text) != TOKEN_KIND_NONE) {
        assert(text.len >= 41 && text.len <= 49 && token_hint(text).len == 4);
    }
    if (name_check(text, "key_")) {
        assert(text.len == 20);
    }
    if (usd_parse(text, &nano)) {
        int64_t back;
        struct usd_text again = usd_text(nano);
        assert(nano >= 0 && usd_parse(str_from(again.text), &back) && back == nano);
    }
    if (cidr_parse(text, &cidr, &err) == 0) {
        struct str address = str_slice(text, 0, str_index(text, '/', 0));
        assert(cidr.bits <= 128 && cidr_has(&cidr, address));
    }
    return 0;
}
