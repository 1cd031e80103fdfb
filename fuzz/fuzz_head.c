/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Request heads: what is accepted holds no control bytes, is accepted however it comes in pieces,
 * and says the same when it is printed and read again.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/head.h"
#include "http/write.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COPY_BYTES = 2 * LIMIT_HEAD_BYTES };

static struct http_head head, again;
static char first[COPY_BYTES], second[COPY_BYTES];

static enum http_result parse(char *into, const void *bytes, size_t len, struct http_head *ret,
                              size_t *ret_used)
{
    struct http_problem problem = {0};

    memcpy(into, bytes, len);
    enum http_result result = http_parse_request(into, len, ret, ret_used, &problem);
    assert(result != HTTP_BAD || (problem.status >= 400 && problem.text != NULL));
    assert(result != HTTP_MORE || len < LIMIT_HEAD_BYTES);
    return result;
}

static bool is_framing(struct str name)
{
    return str_equal(name, STR("host")) || str_equal(name, STR("content-length")) ||
           str_equal(name, STR("transfer-encoding"));
}

static size_t without_framing(struct http_head *of)
{
    size_t count = 0;

    for (size_t i = 0; i < of->field_count; i++) {
        assert(http_is_token(of->fields[i].name) && http_is_field_value(of->fields[i].value));
        if (!is_framing(of->fields[i].name)) {
            of->fields[count++] = of->fields[i];
        }
    }
    return count;
}

static void check_round_trip(void)
{
    struct buf out;
    size_t used, count = without_framing(&head);

    if (head.path.len == 0 || head.host.len == 0) {
        return; /* CONNECT has no path, and 1.0 may have no host */
    }
    buf_init(&out, COPY_BYTES);
    bool ok = http_write_request(&out, head.method, head.path, head.query, head.has_query,
                                 head.host, head.fields, count, head.body, head.content_length);
    assert(ok);
    if (buf_len(&out) < LIMIT_HEAD_BYTES) {
        enum http_result result = parse(second, buf_str(&out).data, buf_len(&out), &again, &used);
        assert(result == HTTP_OK && used == buf_len(&out));
        assert(str_equal(head.method, again.method) && str_equal(head.path, again.path));
        assert(str_equal(head.query, again.query) && head.has_query == again.has_query);
        assert(str_equal(head.host, again.host) && head.body == again.body);
        assert(head.content_length == again.content_length);
        assert(without_framing(&again) == count);
        for (size_t i = 0; i < count; i++) {
            assert(str_equal(head.fields[i].name, again.fields[i].name));
            assert(str_equal(head.fields[i].value, again.fields[i].value));
        }
    }
    buf_clear(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t used = 0, used_again = 0;

    if (size > COPY_BYTES) {
        return 0;
    }
    enum http_result result = parse(first, data, size, &head, &used);
    if (result != HTTP_OK) {
        return 0;
    }
    assert(used <= size && used <= LIMIT_HEAD_BYTES);
    for (size_t len = size < 600 ? 0 : used - 1; len < used; len++) {
        assert(parse(second, data, len, &again, &used_again) == HTTP_MORE);
    }
    assert(parse(second, data, used, &again, &used_again) == HTTP_OK && used_again == used);
    check_round_trip();
    return 0;
}
