/* SPDX-License-Identifier: Apache-2.0 */
#include "http/body.h"

#include <string.h>

#include "base/test.h"

/* Feeds `text` in pieces of `piece` bytes; content goes to `out`.  What ended it, and how many
 * bytes followed the message. */
static enum http_body_result feed(enum body_kind kind, uint64_t length, struct str text,
                                  size_t piece, struct buf *out, size_t *ret_left)
{
    struct http_body body;
    enum http_body_result result = HTTP_BODY_MORE;

    http_body_begin(&body, kind, length);
    for (size_t at = 0; at <= text.len; at += piece) {
        struct str in = str_slice(text, at, at + piece);
        struct str data;
        do {
            result = http_body_read(&body, &in, &data);
            if (result == HTTP_BODY_DATA) {
                (void)buf_add_str(out, data);
            }
        } while (result == HTTP_BODY_DATA);
        if (result != HTTP_BODY_MORE) {
            *ret_left = in.len + (text.len - (at + piece < text.len ? at + piece : text.len));
            return result;
        }
    }
    return result;
}

static const struct {
    enum http_body_result result;
    const char *text, *content;
    size_t left;
} chunked[] = {
    {HTTP_BODY_END, "0\r\n\r\n", "", 0},
    {HTTP_BODY_END, "5\r\nhello\r\n0\r\n\r\nGET", "hello", 3},
    {HTTP_BODY_END, "A\r\n0123456789\r\n1\r\nx\r\n00\r\n\r\n", "0123456789x", 0},
    {HTTP_BODY_END, "5;a=b;c=\"d\"\r\nhello\r\n0;e\r\n\r\n", "hello", 0},
    {HTTP_BODY_END, "5 \t;a\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {HTTP_BODY_END, "0\r\nA: b\r\nContent-MD5: 5\r\n\r\nx", "", 1},
    {HTTP_BODY_END, "5;a = \"b\\\"c;\" ; d = e;f\r\nhello\r\n0\r\n\r\n", "hello", 0},
    {HTTP_BODY_END, "0000000000000001\r\nx\r\n0\r\n\r\n", "x", 0},
    {HTTP_BODY_MORE, "5\r\nhel", "hel", 0},
    {HTTP_BODY_MORE, "5\r\nhello\r\n0\r\n", "hello", 0},
    {HTTP_BODY_MORE, "5\r\nhello\r\n0\r\n\r", "hello", 0},
    {HTTP_BODY_MORE, "", "", 0},
    {HTTP_BODY_BAD, "\r\n", "", 0},
    {HTTP_BODY_BAD, "g\r\n", "", 0},
    {HTTP_BODY_BAD, "0x5\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "-1\r\n", "", 0},
    {HTTP_BODY_BAD, " 5\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5 \r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5\rhello\r\n", "", 0},
    {HTTP_BODY_BAD, ";a\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a\rhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5\r\nhelloX\r\n", "hello", 0},
    {HTTP_BODY_BAD, "5\r\nhello\n0\r\n\r\n", "hello", 0},
    {HTTP_BODY_BAD, "5\r\nhello\r0\r\n\r\n", "hello", 0},
    {HTTP_BODY_BAD, "10000000000000000\r\n", "", 0},
    {HTTP_BODY_BAD, "8000000000000000\r\n", "", 0},
    {HTTP_BODY_BAD, "00000000000000001\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\n A: b\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nA b\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\n: b\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nA: b\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nA: b\x01\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "5;\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;;a\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;=a\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a b\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a \r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=b \r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=b=c\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=b c\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=\"b\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=\"b\\\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "5;a=\"b\"c\r\nhello\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nContent-Length: 5\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nA: b\r\ntransfer_encoding: x\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nTransfer--Encoding: x\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\nHost: x\r\n\r\n", "", 0},
    {HTTP_BODY_BAD, "0\r\n\rx", "", 0},
    {HTTP_BODY_BAD, "0\r\n\n", "", 0},
};

static void test_chunked(void)
{
    struct buf out;

    buf_init(&out, 1024);
    for (size_t i = 0; i < sizeof(chunked) / sizeof(chunked[0]); i++) {
        struct str text = str_from(chunked[i].text);
        for (size_t piece = 1; piece <= text.len + 1; piece++) {
            size_t left = 0;
            enum http_body_result result = feed(BODY_CHUNKED, 0, text, piece, &out, &left);
            CHECK_CASE(result == chunked[i].result, chunked[i].text);
            CHECK_CASE(str_equal(buf_str(&out), str_from(chunked[i].content)), chunked[i].text);
            CHECK_CASE(result != HTTP_BODY_END || left == chunked[i].left, chunked[i].text);
            buf_cut(&out, 0);
        }
    }
    buf_clear(&out);
}

static void test_chunked_limits(void)
{
    static char text[LIMIT_HEAD_BYTES + 64];
    struct buf out;
    size_t left;

    buf_init(&out, 1024);
    text[0] = '1';
    text[1] = ';';
    memset(text + 2, 'e', LIMIT_CHUNK_EXTENSION_BYTES - 1);
    CHECK(feed(BODY_CHUNKED, 0, str_of(text, 1 + LIMIT_CHUNK_EXTENSION_BYTES), 64, &out, &left) ==
          HTTP_BODY_MORE);
    text[LIMIT_CHUNK_EXTENSION_BYTES + 1] = 'e';
    CHECK(feed(BODY_CHUNKED, 0, str_of(text, 2 + LIMIT_CHUNK_EXTENSION_BYTES), 64, &out, &left) ==
          HTTP_BODY_BAD);

    memcpy(text, "0\r\nA:", 5);
    memset(text + 5, 'v', sizeof(text) - 5);
    CHECK(feed(BODY_CHUNKED, 0, str_of(text, 3 + LIMIT_HEAD_BYTES), 64, &out, &left) ==
          HTTP_BODY_MORE);
    CHECK(feed(BODY_CHUNKED, 0, str_of(text, 4 + LIMIT_HEAD_BYTES), 64, &out, &left) ==
          HTTP_BODY_BAD);
    buf_clear(&out);
}

static void test_others(void)
{
    struct buf out;
    size_t left = 0;

    buf_init(&out, 1024);
    CHECK(feed(BODY_NONE, 0, STR("GET"), 1, &out, &left) == HTTP_BODY_END && left == 3);
    CHECK(feed(BODY_LENGTH, 0, STR("GET"), 2, &out, &left) == HTTP_BODY_END && left == 3);
    CHECK(feed(BODY_LENGTH, 5, STR("helloGET"), 3, &out, &left) == HTTP_BODY_END && left == 3);
    CHECK(str_equal(buf_str(&out), STR("hello")));
    buf_cut(&out, 0);
    CHECK(feed(BODY_LENGTH, 5, STR("hell"), 4, &out, &left) == HTTP_BODY_MORE);
    CHECK(feed(BODY_UNTIL_CLOSE, 0, STR("all"), 2, &out, &left) == HTTP_BODY_MORE);
    CHECK(str_equal(buf_str(&out), STR("hellall")));
    buf_clear(&out);
}

static void test_ended_by_close(void)
{
    static const enum body_kind kinds[] = {BODY_NONE, BODY_LENGTH, BODY_CHUNKED, BODY_UNTIL_CLOSE};

    for (size_t i = 0; i < 4; i++) {
        struct http_body body;
        http_body_begin(&body, kinds[i], 5);
        CHECK(http_body_ended_by_close(&body) == (kinds[i] == BODY_UNTIL_CLOSE));
    }
}

static void test_write(void)
{
    struct buf out;

    buf_init(&out, 40);
    CHECK(http_write_chunk(&out, STR("0123456789abcdef!")) && http_write_chunk(&out, STR_NONE));
    CHECK(http_write_last_chunk(&out));
    CHECK(str_equal(buf_str(&out), STR("11\r\n0123456789abcdef!\r\n0\r\n\r\n")));
    CHECK(!http_write_chunk(&out, STR("0123456789abcdef!")));
    CHECK(buf_len(&out) == 28); /* nothing of a chunk that does not fit */
    buf_clear(&out);
}

int main(void)
{
    test_chunked();
    test_chunked_limits();
    test_others();
    test_ended_by_close();
    test_write();
    return test_done();
}
