/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event streams on their way from a vendor: chunked, and cut anywhere.  Input: a secret's length
 * less 16, a seed for the chunks, one for the pieces, the secret, the stream.
 *
 * However it comes, the client sees the same bytes, without the secret; and an event whose last
 * line end has come is not held back: no form of a secret has a line end in it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/body.h"
#include "vault/scrub.h"

enum { SECRET_MIN = 16, SECRET_SPAN = 48, HEAD = 3, INPUT_MAX = 4096, WIRE_MAX = 64 * 1024 };

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static size_t step_of(unsigned *seed, size_t span)
{
    *seed = *seed * 1103515245u + 12345u;
    return 1 + (*seed >> 16) % span;
}

/* As a vendor writes it: an event may lie in many chunks, and a chunk may hold many. */
static void write_chunked(struct str stream, unsigned seed, struct buf *out)
{
    for (size_t at = 0; at < stream.len;) {
        size_t end = at + step_of(&seed, 40);
        assert(http_write_chunk(out, str_slice(stream, at, end)));
        at = end;
    }
    assert(http_write_last_chunk(out));
}

struct reader {
    struct http_body body;
    struct scrub scrub;
    struct buf held, out;
};

static void take(struct reader *reader, struct str content, bool last)
{
    (void)buf_add_str(&reader->held, content);
    if (buf_len(&reader->held) == 0) {
        return;
    }
    size_t final = scrub_bytes(&reader->scrub, reader->held.data + reader->held.start,
                               buf_len(&reader->held), last);
    (void)buf_add_str(&reader->out, str_slice(buf_str(&reader->held), 0, final));
    buf_consume(&reader->held, final);
}

static void read_pieces(struct reader *reader, struct str wire, unsigned seed)
{
    enum http_body_result result = HTTP_BODY_MORE;

    for (size_t at = 0; result != HTTP_BODY_END;) {
        size_t end = at + step_of(&seed, 23);
        struct str in = str_slice(wire, at, end), content;
        while ((result = http_body_read(&reader->body, &in, &content)) == HTTP_BODY_DATA) {
            take(reader, content, false);
            assert(!str_ends(content, STR("\n")) || buf_len(&reader->held) == 0);
        }
        assert(result != HTTP_BODY_BAD && (result == HTTP_BODY_END || end < wire.len));
        at = end;
    }
    take(reader, STR_NONE, true);
    assert(buf_len(&reader->held) == 0);
}

static void check(const struct scrubber *scrubber, struct str stream, unsigned chunks,
                  unsigned pieces, struct str expected)
{
    struct reader reader;
    struct buf wire;

    buf_init(&wire, WIRE_MAX);
    buf_init(&reader.held, WIRE_MAX);
    buf_init(&reader.out, WIRE_MAX);
    http_body_begin(&reader.body, BODY_CHUNKED, 0);
    scrub_begin(&reader.scrub, scrubber);
    write_chunked(stream, chunks, &wire);
    read_pieces(&reader, buf_str(&wire), pieces);
    assert(str_equal(buf_str(&reader.out), expected));
    buf_clear(&wire);
    buf_clear(&reader.held);
    buf_clear(&reader.out);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct err err;
    struct scrub scrub;

    if (size < HEAD || size > INPUT_MAX) {
        return 0;
    }
    size_t len = SECRET_MIN + data[0] % SECRET_SPAN;
    if (size < HEAD + len || memchr(data + HEAD, '\n', len) != NULL ||
        memchr(data + HEAD, '*', len) != NULL) {
        return 0;
    }
    struct str secret = str_of(data + HEAD, len);
    struct str stream = str_of(data + HEAD + len, size - HEAD - len);
    struct scrubber *scrubber = scrubber_new(&secret, 1, &err);
    assert(scrubber != NULL);
    unsigned char *whole = mem_copy(stream.data, stream.len);
    scrub_begin(&scrub, scrubber);
    assert(scrub_bytes(&scrub, whole, stream.len, true) == stream.len);
    assert(memmem(whole, stream.len, secret.data, secret.len) == NULL);
    check(scrubber, stream, data[1], data[2], str_of(whole, stream.len));
    free(whole);
    scrubber_free(scrubber);
    return 0;
}
