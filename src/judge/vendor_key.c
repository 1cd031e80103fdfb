/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/vendor_key.h"

#include "base/digest.h"
#include "base/encode.h"
#include "base/limits.h"

enum { SCOPE_MARK = 10 };

struct str vendor_key_make(struct arena *arena, struct str secret, struct str scope,
                           struct str tail, size_t max)
{
    struct digest mac = digest_hmac(secret, scope);
    struct buf text;

    buf_init(&text, LIMIT_HEAD_BYTES + 64);
    (void)buf_add_str(&text, STR("kb."));
    (void)base64url_encode(&text, str_of(mac.bytes, sizeof(mac.bytes)));
    buf_cut(&text, 3 + SCOPE_MARK);
    (void)buf_add_char(&text, '.');
    (void)buf_add_str(&text, tail);
    if (buf_len(&text) > max) {
        mac = digest_hmac(secret, buf_str(&text));
        buf_cut(&text, 0);
        (void)buf_add_str(&text, STR("kb."));
        (void)hex_encode(&text, str_of(mac.bytes, sizeof(mac.bytes)));
    }
    struct str copy = arena_copy(arena, buf_str(&text));
    buf_clear(&text);
    return copy;
}
