/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Input: a secret's length less 16, a seed for the pieces, the secret, the text.  However the text
 * is cut the result is the same, and the secret is not in it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "vault/scrub.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void scrub_pieces(const struct scrubber *scrubber, struct str text, unsigned seed,
                         struct buf *out)
{
    struct scrub scrub;
    struct buf held;

    buf_init(&held, text.len + 1);
    scrub_begin(&scrub, scrubber);
    while (text.len > 0 || buf_len(&held) > 0) {
        seed = seed * 1103515245u + 12345u;
        size_t step = (seed >> 16) % 23;
        if (step > text.len) {
            step = text.len;
        }
        (void)buf_add_str(&held, str_slice(text, 0, step));
        text = str_slice(text, step, text.len);
        if (buf_len(&held) == 0) {
            continue;
        }
        size_t final = scrub_bytes(&scrub, held.data + held.start, buf_len(&held), text.len == 0);
        (void)buf_add_str(out, str_slice(buf_str(&held), 0, final));
        buf_consume(&held, final);
    }
    buf_clear(&held);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct err err;
    struct buf out;
    struct scrub scrub;

    if (size < 2 || size > 4096) {
        return 0;
    }
    size_t len = 16 + data[0] % 48u;
    if (size < 2 + len) {
        return 0;
    }
    struct str secret = str_of(data + 2, len);
    struct str text = str_of(data + 2 + len, size - 2 - len);
    struct scrubber *scrubber = scrubber_new(&secret, 1, &err);
    assert(scrubber != NULL);
    unsigned char *whole = mem_copy(text.data, text.len);
    scrub_begin(&scrub, scrubber);
    assert(scrub_bytes(&scrub, whole, text.len, true) == text.len);
    /* A secret of stars only cannot be hidden by stars. */
    if (memchr(secret.data, '*', secret.len) == NULL) {
        assert(memmem(whole, text.len, secret.data, secret.len) == NULL);
    }
    buf_init(&out, text.len + 1);
    scrub_pieces(scrubber, text, data[1], &out);
    assert(buf_len(&out) == text.len);
    assert(text.len == 0 || memcmp(buf_str(&out).data, whole, text.len) == 0);
    buf_clear(&out);
    free(whole);
    scrubber_free(scrubber);
    return 0;
}
