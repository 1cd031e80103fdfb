/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bodies: the pieces in which one comes change nothing, and a chunked one that is printed and read
 * again is the same.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_body_result read_all(enum body_kind kind, uint64_t length, struct str text,
                                      size_t piece, struct buf *out, size_t *ret_taken)
{
    struct http_body body;
    enum http_body_result result = HTTP_BODY_MORE;
    size_t taken = 0;

    http_body_begin(&body, kind, length);
    while (result == HTTP_BODY_MORE) {
        struct str in = str_slice(text, taken, taken + piece), data;
        size_t here = in.len;

        do {
            result = http_body_read(&body, &in, &data);
            if (result == HTTP_BODY_DATA) {
                assert(data.len > 0);
                (void)buf_add_str(out, data);
            }
        } while (result == HTTP_BODY_DATA);
        assert(result != HTTP_BODY_MORE || in.len == 0);
        taken += here - in.len;
        if (taken == text.len && result == HTTP_BODY_MORE) {
            break;
        }
    }
    *ret_taken = taken;
    return result;
}

static void check_round_trip(struct str content, size_t piece)
{
    struct buf wire, out;
    size_t taken;

    buf_init(&wire, 1 << 22);
    buf_init(&out, 1 << 20);
    for (size_t at = 0; at < content.len; at += piece) {
        assert(http_write_chunk(&wire, str_slice(content, at, at + piece)));
    }
    assert(http_write_last_chunk(&wire));
    assert(read_all(BODY_CHUNKED, 0, buf_str(&wire), 7, &out, &taken) == HTTP_BODY_END);
    assert(taken == buf_len(&wire) && str_equal(buf_str(&out), content));
    buf_clear(&wire);
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum body_kind kinds[] = {BODY_CHUNKED, BODY_CHUNKED, BODY_LENGTH,
                                           BODY_UNTIL_CLOSE};
    struct buf whole, parts;
    size_t taken, taken_again;

    if (size < 3 || size > 65536) {
        return 0;
    }
    enum body_kind kind = kinds[data[0] % 4];
    uint64_t length = data[1];
    size_t piece = (size_t)data[2] % 32 + 1;
    struct str text = str_of(data + 3, size - 3);

    buf_init(&whole, 1 << 20);
    buf_init(&parts, 1 << 20);
    enum http_body_result result = read_all(kind, length, text, text.len + 1, &whole, &taken);
    enum http_body_result again = read_all(kind, length, text, piece, &parts, &taken_again);
    assert(result == again && (result == HTTP_BODY_BAD || taken == taken_again));
    assert(str_equal(buf_str(&whole), buf_str(&parts)));
    check_round_trip(text, piece);
    buf_clear(&whole);
    buf_clear(&parts);
    return 0;
}
