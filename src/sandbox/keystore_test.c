/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/keystore.h"

#include <stdlib.h>

#include "base/encode.h"
#include "base/mem.h"
#include "base/test.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END "-----END CERTIFICATE-----\n"

/* That Java takes it, tests/test_run_languages.py shows. */
static void test_bytes(void)
{
    static const unsigned char entry[] = {
        0x30, 0x3e, 0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x0a,
        0x01, 0x03, 0xa0, 0x15, 0x30, 0x13, 0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86, 0xf7,
        0x0d, 0x01, 0x09, 0x16, 0x01, 0xa0, 0x05, 0x04, 0x03, 'a',  'b',  'c',  0x31,
        0x18, 0x30, 0x16, 0x06, 0x0c, 0x60, 0x86, 0x48, 0x01, 0x86, 0xf9, 0x66, 0xad,
        0xca, 0x7b, 0x01, 0x01, 0x31, 0x06, 0x06, 0x04, 0x55, 0x1d, 0x25, 0x00};
    static const unsigned char head[] = {
        0x30, 0x69, 0x02, 0x01, 0x03, 0x30, 0x64, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d,
        0x01, 0x07, 0x01, 0xa0, 0x57, 0x04, 0x55, 0x30, 0x53, 0x30, 0x51, 0x06, 0x09, 0x2a, 0x86,
        0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x01, 0xa0, 0x44, 0x04, 0x42, 0x30, 0x40};
    struct buf entries, file;

    buf_init(&entries, KEYSTORE_BYTES_MAX);
    buf_init(&file, KEYSTORE_BYTES_MAX);
    CHECK(keystore_add(&entries, STR("some words\n" BEGIN " YWJj \r\n" END "more\n")));
    CHECK(str_equal(buf_str(&entries), str_of(entry, sizeof(entry))));
    CHECK(keystore_head(&file, buf_len(&entries)));
    CHECK(buf_len(&file) == sizeof(head));
    (void)buf_add_str(&file, buf_str(&entries));
    CHECK(str_starts(buf_str(&file), str_of(head, sizeof(head))));
    CHECK(buf_len(&file) == sizeof(head) + sizeof(entry));
    buf_clear(&entries);
    buf_clear(&file);
}

static void test_pem(void)
{
    static const struct {
        const char *pem;
        bool good;
        size_t entries;
    } cases[] = {
        {"", true, 0},
        {"no certificate at all\n", true, 0},
        {BEGIN "YWJj\n" END, true, 1},
        {BEGIN "YWJj\n" END BEGIN "YW\nJj\n" END, true, 2},
        {BEGIN "YWJj\n", true, 0}, /* not ended: not one */
        {END "YWJj\n" BEGIN, true, 0},
        {BEGIN "x\n" BEGIN "YWJj\n" END, true, 1}, /* begun again */
        {BEGIN END, false, 0},
        {BEGIN "YWJ\n" END, false, 0},
        {BEGIN "Y*Jj\n" END, false, 0},
        {BEGIN "YWJj\n" END BEGIN "?\n" END, false, 1},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf entries;
        buf_init(&entries, KEYSTORE_BYTES_MAX);
        CHECK_CASE(keystore_add(&entries, str_from(cases[i].pem)) == cases[i].good, cases[i].pem);
        CHECK_CASE(buf_len(&entries) == cases[i].entries * 64, cases[i].pem);
        buf_clear(&entries);
    }
}

/* Is what follows the outermost head as long as the head says? */
static bool is_whole(struct str der)
{
    size_t len = (unsigned char)der.data[1], head = 2;

    if (len >= 0x80) {
        size_t bytes = len & 0x7f;
        for (len = 0; head < 2 + bytes; head++) {
            len = len << 8 | (unsigned char)der.data[head];
        }
    }
    return der.len == head + len;
}

static void test_sizes(void)
{
    static const size_t sizes[] = {1, 60, 127, 128, 200, 255, 256, 300, 32767, 65000, 65536};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf pem, entries, file;
        char *bytes = mem_zeroed(sizes[i]);
        buf_init(&pem, KEYSTORE_BYTES_MAX);
        buf_init(&entries, KEYSTORE_BYTES_MAX);
        buf_init(&file, KEYSTORE_BYTES_MAX);
        (void)buf_add_str(&pem, STR(BEGIN));
        (void)base64_encode(&pem, str_of(bytes, sizes[i]));
        (void)buf_add_str(&pem, STR("\n" END));
        CHECK(keystore_add(&entries, buf_str(&pem)) && keystore_head(&file, buf_len(&entries)));
        (void)buf_add_str(&file, buf_str(&entries));
        CHECK(is_whole(buf_str(&entries)) && is_whole(buf_str(&file)));
        free(bytes);
        buf_clear(&pem);
        buf_clear(&entries);
        buf_clear(&file);
    }
}

static void test_too_large(void)
{
    struct buf pem, entries;
    char *bytes = mem_zeroed(KEYSTORE_CERTIFICATE_MAX + 3);

    buf_init(&pem, KEYSTORE_BYTES_MAX);
    buf_init(&entries, KEYSTORE_BYTES_MAX);
    (void)buf_add_str(&pem, STR(BEGIN));
    (void)base64_encode(&pem, str_of(bytes, KEYSTORE_CERTIFICATE_MAX + 3));
    (void)buf_add_str(&pem, STR("\n" END));
    CHECK(!keystore_add(&entries, buf_str(&pem)));
    buf_clear(&entries);
    buf_init(&entries, 32); /* no room */
    CHECK(!keystore_add(&entries, STR(BEGIN "YWJj\n" END)));
    free(bytes);
    buf_clear(&pem);
    buf_clear(&entries);
}

int main(void)
{
    test_bytes();
    test_pem();
    test_sizes();
    test_too_large();
    return test_done();
}
