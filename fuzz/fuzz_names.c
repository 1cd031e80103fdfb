/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver inside a sandbox: any datagram has an answer that fits, says it is one, and repeats
 * the question that it answers. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "sandbox/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char answer[NAMES_ANSWER_MAX];
    size_t len = names_answer(data, size, answer);

    assert(len <= sizeof(answer));
    if (len > 0) {
        assert(len >= 12 && size >= 12 && memcmp(answer, data, 2) == 0);
        assert((answer[2] & 0x80) != 0 && (data[2] & 0x80) == 0);
        if (answer[5] == 1) {
            size_t question = len - 12 - (answer[7] == 1 ? 16 : 0);
            assert(memcmp(answer + 12, data + 12, question) == 0);
        }
        assert(names_answer(answer, len, answer) == 0); /* an answer is no question */
    }
    return 0;
}
