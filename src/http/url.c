/* SPDX-License-Identifier: Apache-2.0 */
#include "http/url.h"

#include <arpa/inet.h>
#include <string.h>

enum {
    HOST_BYTES_MAX = 253,
    LABEL_BYTES_MAX = 63,
    PORT_DIGITS_MAX = 5,
    PORT_MAX = 65535,
};

/* ---- percent-encoding ---- */

/* The byte that "%XX" at `at` stands for; -1 when it is not that. */
static int decoded_at(struct str s, size_t at)
{
    if (s.len - at < 3 || s.data[at] != '%') {
        return -1;
    }
    int high = ascii_hex_value(s.data[at + 1]), low = ascii_hex_value(s.data[at + 2]);
    return high < 0 || low < 0 ? -1 : high * 16 + low;
}

static bool is_unreserved(int c)
{
    return c < 0x80 && (ascii_is_alpha((char)c) || ascii_is_digit((char)c) || c == '-' ||
                        c == '.' || c == '_' || c == '~');
}

/* Why an encoded ASCII byte may not stand in a path; NULL when it may. */
static const char *refusal_of(int c)
{
    if (c < 0x20 || c == 0x7f) {
        return "the path has an encoded control byte";
    }
    if (c == '/' || c == '\\') {
        return "the path has an encoded slash or backslash";
    }
    if (c == ';') {
        return "the path has an encoded ';'";
    }
    return is_unreserved(c) ? "the path encodes a byte that needs no encoding" : NULL;
}

/* "%25" and what follows it: who decodes twice must find nothing that we would have refused. */
static const char *refusal_of_twice(struct str s, size_t at)
{
    for (;;) {
        char text[3] = {'%', 0, 0};
        if (s.len - at < 5) {
            return NULL;
        }
        text[1] = s.data[at + 3];
        text[2] = s.data[at + 4];
        int c = decoded_at(str_of(text, sizeof(text)), 0);
        if (c < 0) {
            return NULL;
        }
        if (c >= 0x80 || refusal_of(c) != NULL) {
            return "the path is encoded twice";
        }
        if (c != '%') {
            return NULL;
        }
        at += 2; /* "%2525..." : what follows is as behind "%25" */
    }
}

/* The length of the encoded UTF-8 sequence at `at`, in bytes of text; 0 when it is not one. */
static size_t utf8_at(struct str s, size_t at)
{
    static const struct {
        int from, to, second_from, second_to;
        size_t len;
    } rows[] = {
        {0xc2, 0xc2, 0xa0, 0xbf, 2}, /* not the controls U+0080 to U+009F */
        {0xc3, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3}, {0xe1, 0xec, 0x80, 0xbf, 3},
        {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
        {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
    };
    int first = decoded_at(s, at);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (first < rows[i].from || first > rows[i].to) {
            continue;
        }
        for (size_t k = 1; k < rows[i].len; k++) {
            int from = k == 1 ? rows[i].second_from : 0x80;
            int to = k == 1 ? rows[i].second_to : 0xbf;
            int c = at + 3 * k < s.len ? decoded_at(s, at + 3 * k) : -1;
            if (c < from || c > to) {
                return 0;
            }
        }
        return 3 * rows[i].len;
    }
    return 0;
}

/* The character that the sequence of `len` bytes of text at `at` stands for. */
static uint32_t character_at(struct str s, size_t at, size_t len)
{
    uint32_t c = (uint32_t)decoded_at(s, at) & (0x7fu >> (len / 3));

    for (size_t k = 3; k < len; k += 3) {
        c = c << 6 | ((uint32_t)decoded_at(s, at + k) & 0x3f);
    }
    return c;
}

/* Characters that whoever normalises (NFC, NFKC, a code page's best fit) turns into one that we
 * refuse when it is encoded. */
static const char *refusal_of_character(uint32_t c)
{
    static const uint32_t slashes[] = {
        0x2044, 0x2215, 0x29f8, 0xff0f, 0x2100, 0x2101, 0x2105, 0x2106, /* '/', and in "a/c" */
        0x2216, 0x29f5, 0x29f9, 0xfe68, 0xff3c,                         /* '\' */
        0x037e,                                                         /* ';' */
    };

    for (size_t i = 0; i < sizeof(slashes) / sizeof(slashes[0]); i++) {
        if (c == slashes[i]) {
            return "the path has a character that some take for a slash, backslash or ';'";
        }
    }
    return NULL;
}

/* So many dots some make of it; 0: none. */
static size_t dots_in(uint32_t c)
{
    return c == 0x2024 || c == 0xfe52 || c == 0xff0e ? 1 : c == 0x2025 ? 2 : 0;
}

/* What is at a '%': its length in *ret_len, or why it is refused. */
static const char *check_encoded(struct str s, size_t at, size_t *ret_len)
{
    int c = decoded_at(s, at);

    *ret_len = 3;
    if (c < 0) {
        return "the path has a '%' that is no encoding";
    }
    if (c >= 0x80) {
        *ret_len = utf8_at(s, at);
        return *ret_len == 0 ? "the path has encoded bytes that are not UTF-8"
                             : refusal_of_character(character_at(s, at, *ret_len));
    }
    const char *why = refusal_of(c);
    return why == NULL && c == '%' ? refusal_of_twice(s, at) : why;
}

/* ---- paths and queries ---- */

static bool is_path_byte(char c)
{
    static const char others[] = "-._~!$&'()*+,=:@/";

    return ascii_is_alpha(c) || ascii_is_digit(c) ||
           (c != '\0' && memchr(others, c, sizeof(others) - 1) != NULL);
}

/* "." and "..", also of what some make dots of.  The encodings in it are good. */
static bool is_dot_segment(struct str segment)
{
    size_t dots = 0;

    for (size_t at = 0; at < segment.len;) {
        bool coded = segment.data[at] == '%';
        size_t len = coded ? utf8_at(segment, at) : 1;
        size_t here = segment.data[at] == '.' ? 1
                      : coded && len > 0      ? dots_in(character_at(segment, at, len))
                                              : 0;
        if (here == 0) {
            return false;
        }
        dots += here;
        at += len;
    }
    return dots == 1 || dots == 2;
}

static const char *check_segment(struct str segment, bool last)
{
    if (segment.len == 0 && !last) {
        return "the path has an empty segment";
    }
    return is_dot_segment(segment) ? "the path has a dot segment" : NULL;
}

static const char *check_path(struct str path)
{
    size_t from = 1;

    if (path.len == 0 || path.data[0] != '/') {
        return "the path does not begin with '/'";
    }
    for (size_t at = 1; at < path.len;) {
        size_t len = 1;
        const char *why = NULL;

        if (path.data[at] == '%') {
            why = check_encoded(path, at, &len);
        } else if (path.data[at] == '/') {
            why = check_segment(str_slice(path, from, at), false);
            from = at + 1;
        } else if (!is_path_byte(path.data[at])) {
            why = "the path has a byte that may not stand there";
        }
        if (why != NULL) {
            return why;
        }
        at += len;
    }
    return check_segment(str_slice(path, from, path.len), true);
}

bool url_path_is_plain(struct str path, const char **ret_why)
{
    const char *why = check_path(path);

    if (why != NULL) {
        *ret_why = why;
    }
    return why == NULL;
}

bool url_query_is_plain(struct str query, const char **ret_why)
{
    for (size_t at = 0; at < query.len; at++) {
        char c = query.data[at];
        if (is_path_byte(c) || c == ';' || c == '?' || c == '[' || c == ']') {
            continue;
        }
        if (c != '%') {
            *ret_why = "the query has a byte that must be encoded";
            return false;
        }
        int decoded = decoded_at(query, at);
        if (decoded <= 0) {
            *ret_why = decoded < 0 ? "the query has a '%' that is no encoding"
                                   : "the query has an encoded NUL";
            return false;
        }
    }
    return true;
}

/* ---- hosts ---- */

static bool is_label(struct str label)
{
    if (label.len == 0 || label.len > LABEL_BYTES_MAX || label.data[0] == '-' ||
        label.data[label.len - 1] == '-') {
        return false;
    }
    for (size_t i = 0; i < label.len; i++) {
        char c = label.data[i];
        if (!ascii_is_alpha(c) && !ascii_is_digit(c) && c != '-') {
            return false;
        }
    }
    return true;
}

/* A last label that some resolver reads as a number: "1", "0x7f".  No name ends so. */
static bool is_numeric(struct str label)
{
    if (str_equal_nocase(str_slice(label, 0, 2), STR("0x"))) {
        return true;
    }
    for (size_t i = 0; i < label.len; i++) {
        if (ascii_is_alpha(label.data[i])) {
            return false;
        }
    }
    return true;
}

static struct str last_label(struct str host)
{
    size_t from = host.len;

    while (from > 0 && host.data[from - 1] != '.') {
        from--;
    }
    return str_slice(host, from, host.len);
}

bool url_host_is_name(struct str host)
{
    struct str rest = host;

    if (host.len == 0 || host.len > HOST_BYTES_MAX || host.data[host.len - 1] == '.') {
        return false;
    }
    while (rest.len > 0) {
        if (!is_label(str_take_until(&rest, '.'))) {
            return false;
        }
    }
    return !is_numeric(last_label(host));
}

static bool is_address(int family, struct str host)
{
    char text[INET6_ADDRSTRLEN];
    unsigned char address[sizeof(struct in6_addr)];

    if (host.len == 0 || host.len >= sizeof(text) || memchr(host.data, '\0', host.len) != NULL) {
        return false;
    }
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(family, text, address) == 1;
}

static bool is_ipv4(struct str host)
{
    struct str rest = host;

    /* Some resolvers read 010 as 8. */
    while (rest.len > 0) {
        struct str part = str_take_until(&rest, '.');
        if (part.len > 1 && part.data[0] == '0') {
            return false;
        }
    }
    return is_address(AF_INET, host);
}

static bool read_port(struct str text, unsigned *ret_port)
{
    uint64_t port;

    if (text.len > PORT_DIGITS_MAX || !str_to_u64(text, &port) || port == 0 || port > PORT_MAX) {
        return false;
    }
    *ret_port = (unsigned)port;
    return true;
}

bool url_split_authority(struct str authority, struct str *ret_host, unsigned *ret_port)
{
    bool bracketed = str_starts(authority, STR("["));
    size_t end = str_index(authority, bracketed ? ']' : ':', 0);
    struct str host = str_slice(authority, bracketed ? 1 : 0, end);
    struct str rest = str_slice(authority, end + (bracketed ? 1 : 0), authority.len);
    unsigned port = 0;

    if (bracketed && end == authority.len) {
        return false;
    }
    if (bracketed ? !is_address(AF_INET6, host) : !url_host_is_name(host) && !is_ipv4(host)) {
        return false;
    }
    if (rest.len > 0 && (rest.data[0] != ':' || !read_port(str_slice(rest, 1, rest.len), &port))) {
        return false;
    }
    *ret_host = host;
    *ret_port = port;
    return true;
}

bool url_host_matches(struct str pattern, struct str host)
{
    if (!str_starts(pattern, STR("*."))) {
        return str_equal_nocase(pattern, host);
    }
    struct str suffix = str_slice(pattern, 1, pattern.len); /* with its dot */
    return host.len > suffix.len &&
           str_equal_nocase(str_slice(host, host.len - suffix.len, host.len), suffix);
}

/* ---- base URLs ---- */

static bool take_scheme(struct str *text, bool *ret_tls)
{
    *ret_tls = str_starts(*text, STR("https://"));
    if (!*ret_tls && !str_starts(*text, STR("http://"))) {
        return false;
    }
    *text = str_slice(*text, *ret_tls ? 8 : 7, text->len);
    return true;
}

int url_parse_base(struct str text, struct url *ret, struct err *err)
{
    struct str rest = text;
    struct url url = {0};
    const char *why = "";

    if (!take_scheme(&rest, &url.tls)) {
        return err_set(err, "'%.*s' does not start with https:// or http://", STR_FMT(text));
    }
    size_t slash = str_index(rest, '/', 0);
    if (!url_split_authority(str_slice(rest, 0, slash), &url.host, &url.port)) {
        return err_set(err, "'%.*s' has no valid host (no user, no query, no fragment)",
                       STR_FMT(text));
    }
    if (url.port == 0) {
        url.port = url.tls ? 443 : 80;
    }
    url.prefix = str_slice(rest, slash, rest.len);
    if (url.prefix.len > 0 && !url_path_is_plain(url.prefix, &why)) {
        return err_set(err, "'%.*s': %s", STR_FMT(text), why);
    }
    if (str_ends(url.prefix, STR("/"))) {
        url.prefix = str_slice(url.prefix, 0, url.prefix.len - 1);
    }
    *ret = url;
    return 0;
}
