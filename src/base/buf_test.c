/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include <string.h>

#include "base/test.h"

static void test_adding(void)
{
    struct buf buf;

    buf_init(&buf, 10);
    CHECK(buf_len(&buf) == 0 && buf_str(&buf).data == NULL);
    CHECK(buf_add(&buf, "abc", 3) && buf_add_char(&buf, 'd') && buf_add_u64(&buf, 0));
    CHECK(str_equal(buf_str(&buf), STR("abcd0")));
    CHECK(!buf_add(&buf, "123456", 6) && buf.overflow);
    CHECK(str_equal(buf_str(&buf), STR("abcd0")));
    CHECK(buf_add_str(&buf, STR("12345")) && buf_len(&buf) == 10);
    CHECK(!buf_add_char(&buf, 'x'));
    CHECK(buf_add(&buf, NULL, 0));
    buf_clear(&buf);
    CHECK(buf_len(&buf) == 0 && !buf.overflow && buf.max == 10);
    CHECK(buf_add_str(&buf, STR("again")));
    buf_clear(&buf);
    buf_clear(NULL);
}

static void test_numbers(void)
{
    struct buf buf;

    buf_init(&buf, 100);
    CHECK(buf_add_u64(&buf, UINT64_MAX) && buf_add_char(&buf, ' ') && buf_add_u64(&buf, 10));
    CHECK(str_equal(buf_str(&buf), STR("18446744073709551615 10")));
    CHECK(buf_addf(&buf, "-%s-%d", "x", -3));
    CHECK(str_ends(buf_str(&buf), STR("10-x--3")));
    CHECK(!buf_addf(&buf, "%100d", 1) && buf.overflow);
    buf_clear(&buf);
}

/* Consuming makes room again, whatever the sizes: the content is compared with a plain copy. */
static void test_consuming(void)
{
    struct buf buf;
    unsigned char model[4096];
    size_t model_len = 0;
    unsigned char next = 0;
    unsigned seed = 1;

    buf_init(&buf, sizeof(model));
    for (int turn = 0; turn < 20000; turn++) {
        seed = seed * 1103515245u + 12345u;
        size_t len = seed >> 16 & 1023;
        if ((seed & 0x8000) != 0 && len <= model_len) {
            buf_consume(&buf, len);
            model_len -= len;
            memmove(model, model + len, model_len);
        } else if (len <= sizeof(model) - model_len) {
            unsigned char *room = buf_room(&buf, len);
            for (size_t i = 0; i < len; i++) {
                room[i] = model[model_len + i] = next++;
            }
            buf_added(&buf, len);
            model_len += len;
        } else {
            if (buf_room(&buf, len) != NULL) {
                CHECK(false);
            }
            buf.overflow = false;
        }
        if (!str_equal(buf_str(&buf), str_of(model, model_len))) {
            CHECK(false);
            break;
        }
    }
    CHECK(buf.size <= 4 * sizeof(model));
    buf_cut(&buf, 0);
    CHECK(buf_len(&buf) == 0);
    buf_clear(&buf);
}

/* No byte of what a wiped buffer let go stays in its memory. */
static void test_wiping(void)
{
    struct buf buf;

    buf_init_wiped(&buf, 4096);
    CHECK(buf_add_str(&buf, STR("first-secret")) && buf_add_str(&buf, STR("kept")));
    buf_consume(&buf, 12);
    CHECK(memmem(buf.data, buf.size, "first", 5) == NULL);
    CHECK(str_equal(buf_str(&buf), STR("kept")));
    (void)buf_room(&buf, buf.size - buf.end + 1); /* moves to the front */
    buf_added(&buf, 0);
    size_t copies = 0;
    for (size_t i = 0; i + 4 <= buf.size; i++) {
        copies += memcmp(buf.data + i, "kept", 4) == 0;
    }
    CHECK(copies == 1);
    buf_cut(&buf, 0);
    CHECK(memmem(buf.data, buf.size, "kept", 4) == NULL);
    buf_clear(&buf);
}

int main(void)
{
    test_adding();
    test_numbers();
    test_consuming();
    test_wiping();
    return test_done();
}
