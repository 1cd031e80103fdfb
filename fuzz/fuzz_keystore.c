/* SPDX-License-Identifier: Apache-2.0 */
/* PEM as Java reads it: whatever the text is, the entries are whole, one behind the other, and the
 * head is for just as many bytes. */
#include <assert.h>
#include <stdint.h>

#include "sandbox/keystore.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A sequence at the front of `bytes`: how long it is with its head; 0: there is none. */
static size_t sequence_len(struct str bytes)
{
    size_t len = bytes.len < 2 ? 0 : (unsigned char)bytes.data[1], head = 2;

    if (bytes.len < 2 || (unsigned char)bytes.data[0] != 0x30) {
        return 0;
    }
    if (len >= 0x80) {
        size_t digits = len & 0x7f;
        for (len = 0; head < 2 + digits && head < bytes.len; head++) {
            len = len << 8 | (unsigned char)bytes.data[head];
        }
    }
    return head + len;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf entries, file;

    buf_init(&entries, KEYSTORE_BYTES_MAX);
    buf_init(&file, KEYSTORE_BYTES_MAX);
    (void)keystore_add(&entries, str_of(data, size));
    for (struct str rest = buf_str(&entries); rest.len > 0;) {
        size_t one = sequence_len(rest);
        assert(one > 0 && one <= rest.len);
        rest = str_slice(rest, one, rest.len);
    }
    assert(keystore_head(&file, buf_len(&entries)));
    assert(buf_len(&file) <= KEYSTORE_HEAD_MAX);
    (void)buf_add_str(&file, buf_str(&entries));
    assert(sequence_len(buf_str(&file)) == buf_len(&file));
    buf_clear(&entries);
    buf_clear(&file);
    return 0;
}
