/* SPDX-License-Identifier: Apache-2.0 */
#include "base/json_out.h"

#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void test_shapes(void)
{
    struct buf buf;

    buf_init(&buf, 1000);
    struct json_out out = json_begin(&buf);
    json_open(&out, '{');
    json_name(&out, "a");
    json_open(&out, '[');
    json_u64(&out, UINT64_MAX);
    json_i64(&out, INT64_MIN);
    json_bool(&out, true);
    json_bool(&out, false);
    json_put_null(&out);
    json_open(&out, '{');
    json_close(&out, '}');
    json_close(&out, ']');
    json_name_str(&out, STR("b\"c"));
    json_text(&out, STR("x"));
    json_name(&out, "d");
    json_text_or_null(&out, STR_NONE);
    json_name(&out, "e");
    json_raw(&out, STR("[1]"));
    json_close(&out, '}');
    CHECK(str_equal(buf_str(&buf),
                    STR("{\"a\":[18446744073709551615,-9223372036854775808,true,false,null,{}],"
                        "\"b\\\"c\":\"x\",\"d\":null,\"e\":[1]}")));
    buf_clear(&buf);
}

static void test_escapes(void)
{
    static const struct {
        const char *text, *json;
    } cases[] = {
        {"plain", "plain"},
        {"\"\\/", "\\\"\\\\/"},
        {"\b\f\n\r\t", "\\b\\f\\n\\r\\t"},
        {"\x01\x1f\x7f", "\\u0001\\u001f\\u007f"},
        {"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
        {"\xff", "\xef\xbf\xbd"},                 /* never a first byte */
        {"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
        {"\xe0\x80\xaf", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
        {"\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"}, /* cut */
        {"\xc3(", "\xef\xbf\xbd("},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf buf;
        buf_init(&buf, 1000);
        json_escape(&buf, str_from(cases[i].text));
        CHECK_CASE(str_equal(buf_str(&buf), str_from(cases[i].json)), cases[i].json);
        buf_clear(&buf);
    }
}

static void test_full(void)
{
    struct buf buf;

    buf_init(&buf, 8);
    struct json_out out = json_begin(&buf);
    json_text(&out, STR("much too long"));
    CHECK(buf.overflow);
    buf_clear(&buf);
}

int main(void)
{
    test_shapes();
    test_escapes();
    test_full();
    return test_done();
}
