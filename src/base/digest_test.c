/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <string.h>

#include "base/encode.h"
#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static bool is_hex(struct digest digest, const char *expected)
{
    struct digest wanted;
    return hex_decode(str_from(expected), wanted.bytes, DIGEST_SIZE) &&
           digest_equal(&digest, &wanted);
}

/* FIPS 180-4 examples. */
static void test_known(void)
{
    struct str parts[] = {STR("a"), STR_NONE, STR("bc")};
    struct digest_run *run = digest_begin();

    CHECK(is_hex(digest_of(STR_NONE),
                 "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"));
    CHECK(is_hex(digest_of(STR("abc")),
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    CHECK(is_hex(digest_of_parts(parts, COUNT(parts)),
                 "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"));
    for (int i = 0; i < 100000; i++) {
        digest_add(run, STR("aaaaaaaaaa"));
    }
    CHECK(is_hex(digest_end(run),
                 "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"));
    digest_abandon(digest_begin());
    digest_abandon(NULL);
}

/* RFC 4231. */
static void test_hmac(void)
{
    unsigned char long_key[131];

    memset(long_key, 0xaa, sizeof(long_key));
    CHECK(is_hex(digest_hmac(STR("Jefe"), STR("what do ya want for nothing?")),
                 "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
    CHECK(is_hex(digest_hmac(str_of(long_key, sizeof(long_key)),
                             STR("Test Using Larger Than Block-Size Key - Hash Key First")),
                 "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"));
}

static void test_rest(void)
{
    struct digest zero = {{0}};
    struct digest one = {{0}};
    unsigned char a[32] = {0};
    unsigned char b[32] = {0};

    one.bytes[31] = 1;
    CHECK(digest_is_zero(&zero) && !digest_is_zero(&one));
    CHECK(digest_equal(&zero, &zero) && !digest_equal(&zero, &one));
    random_bytes(a, sizeof(a));
    random_bytes(b, sizeof(b));
    CHECK(memcmp(a, b, sizeof(a)) != 0);
}

int main(void)
{
    digest_setup();
    test_known();
    test_hmac();
    test_rest();
    return test_done();
}
