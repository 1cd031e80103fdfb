/* SPDX-License-Identifier: Apache-2.0 */
#include "base/encode.h"

#include <string.h>

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* RFC 4648, section 10, and more. */
static void test_base64(void)
{
    static const struct {
        const char *plain, *base64, *base64url;
    } cases[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        buf_init(&out, 100);
        CHECK(base64_encode(&out, str_from(cases[i].plain)));
        CHECK_CASE(str_equal(buf_str(&out), str_from(cases[i].base64)), cases[i].base64);
        buf_cut(&out, 0);
        CHECK(base64url_encode(&out, str_from(cases[i].plain)));
        CHECK_CASE(str_equal(buf_str(&out), str_from(cases[i].base64url)), cases[i].base64url);
        buf_cut(&out, 0);
        CHECK(base64_decode(&out, str_from(cases[i].base64)));
        CHECK_CASE(str_equal(buf_str(&out), str_from(cases[i].plain)), cases[i].base64);
        buf_clear(&out);
    }
}

static void test_base64_refusals(void)
{
    static const char *const cases[] = {
        "Z",     "Zg",   "Zg=",     "Zg=a",     "Z===",   "====",  "Zh==",         "Zm9=",
        "Zm9v=", "Zm-_", "Zm 9v==", "Zg==Zg==", "Zm9v\n", "Zm9\n", "Zg==\r\n\r\n", "\x80m9v",
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf out;
        buf_init(&out, 100);
        CHECK_CASE(!base64_decode(&out, str_from(cases[i])), cases[i]);
        buf_clear(&out);
    }
    struct buf small;
    buf_init(&small, 2);
    CHECK(!base64_decode(&small, STR("Zm9v")));
    CHECK(!base64_decode(&small, str_of("Zm9\0", 4)));
    CHECK(!base64_encode(&small, STR("foo")));
    buf_clear(&small);
}

static void test_hex(void)
{
    struct buf out;
    unsigned char bytes[3];

    buf_init(&out, 100);
    CHECK(hex_encode(&out, STR("\x00\x7f\xff")));
    CHECK(str_equal(buf_str(&out), STR("007fff")));
    buf_clear(&out);
    CHECK(hex_decode(STR("00fFa9"), bytes, 3) && memcmp(bytes, "\x00\xff\xa9", 3) == 0);
    CHECK(!hex_decode(STR("00fFa"), bytes, 3));
    CHECK(!hex_decode(STR("00fFa900"), bytes, 3));
    CHECK(!hex_decode(STR("00fFag"), bytes, 3));
    CHECK(!hex_decode(STR("0x00ff"), bytes, 3));
    CHECK(hex_decode(STR_NONE, bytes, 0));
}

int main(void)
{
    test_base64();
    test_base64_refusals();
    test_hex();
    return test_done();
}
