/* SPDX-License-Identifier: Apache-2.0 */
#include "http/proxy.h"

#include <string.h>

#include "base/limits.h"
#include "base/test.h"

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"
#define V4 "\x21\x11"
#define V6 "\x21\x21"
#define FROM_V4 "\xc0\x00\x02\x07\xc6\x33\x64\x01\xd4\x31\x01\xbb" /* 192.0.2.7:54321 */
#define ZEROES_8 "\0\0\0\0\0\0\0\0"
#define FROM_V6                                                                                    \
    "\x20\x01\x0d\xb8" ZEROES_8 "\0\0\0\x07"                                                       \
    "\x20\x01\x0d\xb8" ZEROES_8 "\0\0\0\x01"                                                       \
    "\xd4\x31\x01\xbb"
#define MAPPED_V4                                                                                  \
    ZEROES_8 "\0\0\xff\xff\xc0\x00\x02\x09" ZEROES_8 "\0\0\xff\xff\xc6\x33\x64\x01"                \
             "\xd4\x31\x01\xbb"

struct sample {
    const char *what;
    bool good;
    const char *address; /* NULL: LOCAL */
    struct str bytes;
};
#define SAMPLE(what, good, address, text)                                                          \
    {                                                                                              \
        what, good, address,                                                                       \
        {                                                                                          \
            text, sizeof(text) - 1                                                                 \
        }                                                                                          \
    }

static const struct sample samples[] = {
    SAMPLE("IPv4", true, "192.0.2.7", SIGNATURE V4 "\x00\x0c" FROM_V4),
    SAMPLE("IPv6", true, "2001:db8::7", SIGNATURE V6 "\x00\x24" FROM_V6),
    SAMPLE("IPv4 in IPv6", true, "192.0.2.9", SIGNATURE V6 "\x00\x24" MAPPED_V4),
    SAMPLE("local", true, NULL, SIGNATURE "\x20\x00\x00\x00"),
    SAMPLE("local that says more", true, NULL, SIGNATURE "\x20\x11\x00\x0c" FROM_V4),
    SAMPLE("a value", true, "192.0.2.7", SIGNATURE V4 "\x00\x11" FROM_V4 "\xe0\x00\x02hi"),
    SAMPLE("an empty value", true, "192.0.2.7", SIGNATURE V4 "\x00\x0f" FROM_V4 "\x04\x00\x00"),
    SAMPLE("two values", true, "192.0.2.7",
           SIGNATURE V4 "\x00\x13" FROM_V4 "\x04\x00\x00\x02\x00\x01x"),
    SAMPLE("a checksum that fits", true, "192.0.2.7",
           SIGNATURE V4 "\x00\x13" FROM_V4 "\x03\x00\x04\x83\xb9\x4f\xc4"),

    SAMPLE("a checksum that does not", false, NULL,
           SIGNATURE V4 "\x00\x13" FROM_V4 "\x03\x00\x04\x3b\x5c\x5e\x64"),
    SAMPLE("a short checksum", false, NULL,
           SIGNATURE V4 "\x00\x12" FROM_V4 "\x03\x00\x03\x3b\x5c\x5e"),
    SAMPLE("nothing", false, NULL, ""),
    SAMPLE("no addresses", false, NULL, SIGNATURE V4 "\x00\x00"),
    SAMPLE("a byte short of addresses", false, NULL,
           SIGNATURE V4 "\x00\x0b\xc0\x00\x02\x07\xc6\x33\x64\x01\xd4\x31\x01"),
    SAMPLE("IPv6 with the addresses of IPv4", false, NULL, SIGNATURE V6 "\x00\x0c" FROM_V4),
    SAMPLE("a value cut in its head", false, NULL, SIGNATURE V4 "\x00\x0e" FROM_V4 "\x04\x00"),
    SAMPLE("a value longer than the head", false, NULL,
           SIGNATURE V4 "\x00\x10" FROM_V4 "\x04\x00\x02x"),
    SAMPLE("unspecified", false, NULL, SIGNATURE "\x21\x00\x00\x00"),
    SAMPLE("unspecified with bytes", false, NULL, SIGNATURE "\x21\x00\x00\x0c" FROM_V4),
    SAMPLE("UDP", false, NULL, SIGNATURE "\x21\x12\x00\x0c" FROM_V4),
    SAMPLE("UDP over IPv6", false, NULL, SIGNATURE "\x21\x22\x00\x24" FROM_V6),
    SAMPLE("a Unix socket", false, NULL, SIGNATURE "\x21\x31\x00\x00"),
    SAMPLE("version 1 in the byte", false, NULL, SIGNATURE "\x11\x11\x00\x0c" FROM_V4),
    SAMPLE("version 3", false, NULL, SIGNATURE "\x31\x11\x00\x0c" FROM_V4),
    SAMPLE("another command", false, NULL, SIGNATURE "\x22\x11\x00\x0c" FROM_V4),
    SAMPLE("a family of no name", false, NULL, SIGNATURE "\x21\x41\x00\x0c" FROM_V4),
    SAMPLE("the text form", false, NULL, "PROXY TCP4 192.0.2.7 198.51.100.1 54321 443\r\n"),
    SAMPLE("HTTP", false, NULL, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"),
    SAMPLE("a byte too many", false, NULL, SIGNATURE V4 "\x00\x0c" FROM_V4 "G"),
    SAMPLE("a signature with an error", false, NULL,
           "\r\n\r\n\0\r\nQUIT\r\x21\x11\x00\x0c" FROM_V4),
    SAMPLE("local, and too long", false, NULL, SIGNATURE "\x20\x00\xff\xff"),
};

static void test_samples(void)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];
        struct proxy_head head;
        bool good = proxy_parse(s->bytes, &head) == 0;
        CHECK_CASE(good == s->good, s->what);
        if (good && s->good) {
            CHECK_CASE(head.local == (s->address == NULL), s->what);
            CHECK_CASE(head.local || strcmp(head.address, s->address) == 0, s->what);
            CHECK_CASE(proxy_missing(s->bytes) == 0, s->what);
        }
    }
}

/* Piece by piece: never a byte beyond the head is asked for, and the end is reached. */
static void test_pieces(void)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *s = &samples[i];
        if (!s->good) {
            continue;
        }
        for (size_t len = 0; len < s->bytes.len; len++) {
            struct str piece = str_slice(s->bytes, 0, len);
            struct proxy_head head;
            size_t missing = proxy_missing(piece);
            CHECK_CASE(missing > 0 && len + missing <= s->bytes.len, s->what);
            CHECK_CASE(proxy_parse(piece, &head) < 0, s->what);
        }
    }
}

static void test_missing(void)
{
    CHECK(proxy_missing(STR_NONE) == PROXY_HEAD_BYTES);
    CHECK(proxy_missing(STR("\r")) == 15);
    CHECK(proxy_missing(STR("P")) == 0);
    CHECK(proxy_missing(STR("\r\n\r\nX")) == 0);
    static const char longest[] = SIGNATURE "\x21\x11\x07\xf0"; /* 2032 and 16 */
    static const char longer[] = SIGNATURE "\x21\x11\x07\xf1";
    CHECK(LIMIT_PROXY_BYTES == 2048);
    CHECK(proxy_missing(str_of(longest, sizeof(longest) - 1)) == 2032);
    CHECK(proxy_missing(str_of(longer, sizeof(longer) - 1)) == 0);
    static const char beyond[] = SIGNATURE V4 "\x00\x0c" FROM_V4 "GET";
    CHECK(proxy_missing(str_of(beyond, sizeof(beyond) - 1)) == 0);
}

int main(void)
{
    test_samples();
    test_pieces();
    test_missing();
    return test_done();
}
