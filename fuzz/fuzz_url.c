/* SPDX-License-Identifier: Apache-2.0 */
/*
 * URLs: a path that is plain stays what it is for a server that decodes once, or twice: as many
 * segments, none of them a dot segment, no control byte.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "http/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PATH_BYTES = 8192 };

/* As a lenient server does it: what is no encoding stays. */
static size_t decode(const char *from, size_t len, char *to)
{
    size_t count = 0;

    for (size_t i = 0; i < len; i++) {
        int high = -1, low = -1;
        if (from[i] == '%' && len - i > 2) {
            high = ascii_hex_value(from[i + 1]);
            low = ascii_hex_value(from[i + 2]);
        }
        if (high >= 0 && low >= 0) {
            to[count++] = (char)(high * 16 + low);
            i += 2;
        } else {
            to[count++] = from[i];
        }
    }
    return count;
}

static size_t count_slashes(struct str s)
{
    size_t count = 0;

    for (size_t i = 0; i < s.len; i++) {
        count += s.data[i] == '/' ? 1 : 0;
    }
    return count;
}

static void check_decoded(struct str path, struct str plain)
{
    struct str rest = str_slice(path, 1, path.len);

    assert(path.len > 0 && path.data[0] == '/' && count_slashes(path) == count_slashes(plain));
    for (size_t i = 0; i < path.len; i++) {
        unsigned char c = (unsigned char)path.data[i];
        assert(c >= 0x20 && c != 0x7f && c != '\\' && c != ';');
    }
    while (rest.len > 0) {
        struct str segment = str_take_until(&rest, '/');
        assert(segment.len > 0);
        assert(!str_equal(segment, STR(".")) && !str_equal(segment, STR("..")));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static char once[PATH_BYTES], twice[PATH_BYTES];
    struct str text = str_of(data, size), host = STR_NONE;
    const char *why = NULL;
    unsigned port = 0;
    struct url url;
    struct err err = {""};

    if (size > PATH_BYTES) {
        return 0;
    }
    if (url_path_is_plain(text, &why)) {
        size_t once_len = decode(text.data, text.len, once);
        size_t twice_len = decode(once, once_len, twice);
        check_decoded(text, text);
        check_decoded(str_of(once, once_len), text);
        check_decoded(str_of(twice, twice_len), text);
    } else {
        assert(why != NULL);
    }
    why = NULL;
    assert(url_query_is_plain(text, &why) == (why == NULL));
    if (url_split_authority(text, &host, &port)) {
        assert(host.len > 0 && port <= 65535);
        assert(memchr(host.data, '/', host.len) == NULL &&
               memchr(host.data, '@', host.len) == NULL);
    }
    if (url_parse_base(text, &url, &err) == 0) {
        assert(url.host.len > 0 && url.port > 0);
        assert(url.prefix.len == 0 ||
               (url.prefix.data[0] == '/' && url_path_is_plain(url.prefix, &why)));
    } else {
        assert(err.text[0] != '\0');
    }
    return 0;
}
