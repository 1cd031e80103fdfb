/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/plain.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/str.h"
#include "base/test.h"

static void test_text(void)
{
    static const struct {
        const char *text, *plain;
    } rows[] = {
        {"", ""},
        {"plain text ~", "plain text ~"},
        {"Gr\xc3\xbc\xc3\x9f"
         "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80",
         "Gr\xc3\xbc\xc3\x9f"
         "e \xe6\x97\xa5\xe6\x9c\xac \xf0\x9f\x98\x80"},
        {"a\x1b[31mb", "a?[31mb"},
        {"a\r\n\tb\x7f", "a???b?"},
        {"\xc2\x9b"
         "31m",
         "?31m"}, /* CSI in one character */
        {"\xc2\x9d"
         "0;title\xc2\x9c",
         "?0;title?"},                                   /* OSC ... ST */
        {"\xc2\x80\xc2\x9f\xc2\xa0", "??\xc2\xa0"},      /* the ends of C1; no-break space */
        {"a\xe2\x80\xaetxt.exe", "a?txt.exe"},           /* right-to-left override */
        {"\xe2\x81\xa6x\xe2\x81\xa9", "?x?"},            /* isolates */
        {"\xe2\x80\xa8\xe2\x80\xa9\xef\xbb\xbf", "???"}, /* separators, byte order mark */
        {"\xe2\x80\xa7\xe2\x80\xaf", "\xe2\x80\xa7\xe2\x80\xaf"}, /* their neighbours */
        {"\x9b\xff\xc2", "???"},                                  /* no UTF-8 */
        {"\xc0\x80\xed\xa0\x80", "?????"},                        /* overlong, surrogate */
        {"cut \xe6\x97", "cut ??"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *text = mem_copy_str(str_from(rows[i].text));
        plain_text(text);
        CHECK_CASE(strcmp(text, rows[i].plain) == 0, rows[i].plain);
        free(text);
    }
}

static void test_json(void)
{
    json_t *value = json_pack("{s:s, s:[s, i]}", "label",
                              "a\xc2\x9b"
                              "31m\xe2\x80\xae\x1b\x7f\xc3\xbc",
                              "list", "\xf0\x9f\x98\x80", 7);
    char *text = plain_json(value, JSON_COMPACT | JSON_SORT_KEYS);

    CHECK_CASE(strcmp(text, "{\"label\":\"a\\u009b31m\\u202e\\u001B\\u007f\xc3\xbc\",\"list\":[\""
                            "\xf0\x9f\x98\x80\",7]}") == 0,
               text);
    json_t *back = json_loads(text, 0, NULL);
    CHECK(json_equal(value, back)); /* the same to whoever reads it */
    json_decref(back);
    free(text);
    text = plain_json(value, JSON_INDENT(2));
    CHECK(strchr(text, '\n') != NULL);
    free(text);
    json_decref(value);
    text = plain_json(NULL, 0);
    CHECK(strcmp(text, "null") == 0);
    free(text);
}

int main(void)
{
    test_text();
    test_json();
    return test_done();
}
