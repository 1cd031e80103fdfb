/* SPDX-License-Identifier: Apache-2.0 */
#include "http/write.h"

#include <assert.h>
#include <string.h>
#include <time.h>

/* A control byte but HTAB. */
static bool has_control(struct str value)
{
    bool any = false;

    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.data[i];
        any |= (c < 0x20 && c != '\t') || c == 0x7f;
    }
    return any;
}

/* False is sure, true is to be looked at closely. */
static bool may_have_control(const char *eight)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t word;

    memcpy(&word, eight, sizeof(word));
    uint64_t below = (word - ones * 0x20) & ~word;
    uint64_t del = word ^ (ones * 0x7f);
    return ((below | ((del - ones) & ~del)) & tops) != 0;
}

/* Eight bytes at a time; the last eight may overlap those before them. */
bool http_is_field_value(struct str value)
{
    enum { STEP = sizeof(uint64_t) };

    if (value.len < STEP) {
        return !has_control(value);
    }
    for (size_t at = 0; at < value.len; at += STEP) {
        const char *eight = value.data + (at + STEP <= value.len ? at : value.len - STEP);
        if (may_have_control(eight) && has_control(str_of(eight, STEP))) {
            return false;
        }
    }
    return true;
}

static const bool token_bytes[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true, ['&'] = true, ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true, ['^'] = true, ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0'] = true, ['1'] = true, ['2'] = true,
    ['3'] = true, ['4'] = true, ['5'] = true, ['6'] = true, ['7'] = true, ['8'] = true,
    ['9'] = true, ['A'] = true, ['B'] = true, ['C'] = true, ['D'] = true, ['E'] = true,
    ['F'] = true, ['G'] = true, ['H'] = true, ['I'] = true, ['J'] = true, ['K'] = true,
    ['L'] = true, ['M'] = true, ['N'] = true, ['O'] = true, ['P'] = true, ['Q'] = true,
    ['R'] = true, ['S'] = true, ['T'] = true, ['U'] = true, ['V'] = true, ['W'] = true,
    ['X'] = true, ['Y'] = true, ['Z'] = true, ['a'] = true, ['b'] = true, ['c'] = true,
    ['d'] = true, ['e'] = true, ['f'] = true, ['g'] = true, ['h'] = true, ['i'] = true,
    ['j'] = true, ['k'] = true, ['l'] = true, ['m'] = true, ['n'] = true, ['o'] = true,
    ['p'] = true, ['q'] = true, ['r'] = true, ['s'] = true, ['t'] = true, ['u'] = true,
    ['v'] = true, ['w'] = true, ['x'] = true, ['y'] = true, ['z'] = true,
};

bool http_is_token(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!token_bytes[(unsigned char)name.data[i]]) {
            return false;
        }
    }
    return name.len > 0;
}

static bool write_fields(struct buf *out, const struct message_header *headers, size_t count)
{
    bool fits = true;

    for (size_t i = 0; i < count && fits; i++) {
        struct str name = headers[i].name, value = headers[i].value;
        unsigned char *room = buf_room(out, name.len + value.len + 4);

        assert(name.len > 0 && http_is_field_value(name) && http_is_field_value(value));
        fits = room != NULL;
        if (fits) {
            memcpy(room, name.data, name.len);
            memcpy(room + name.len, ": ", 2);
            if (value.len > 0) {
                memcpy(room + name.len + 2, value.data, value.len);
            }
            memcpy(room + name.len + 2 + value.len, "\r\n", 2);
            buf_added(out, name.len + value.len + 4);
        }
    }
    return fits;
}

static bool write_framing(struct buf *out, enum body_kind body, uint64_t content_length)
{
    switch (body) {
    case BODY_LENGTH:
        return buf_add_str(out, STR("Content-Length: ")) && buf_add_u64(out, content_length) &&
               buf_add_str(out, STR("\r\n"));
    case BODY_CHUNKED:
        return buf_add_str(out, STR("Transfer-Encoding: chunked\r\n"));
    case BODY_NONE:
    case BODY_UNTIL_CLOSE:
    case BODY_KIND_COUNT:
        break;
    }
    return true;
}

/* All of a head or nothing of it. */
static bool whole(struct buf *out, size_t before, bool fits)
{
    if (!fits) {
        buf_cut(out, before);
    }
    return fits;
}

bool http_write_request(struct buf *out, struct str method, struct str path, struct str query,
                        bool has_query, struct str host, const struct message_header *headers,
                        size_t header_count, enum body_kind body, uint64_t content_length)
{
    size_t before = buf_len(out);

    assert(http_is_token(method) && path.len > 0);
    assert(http_is_field_value(path) && http_is_field_value(query) && http_is_field_value(host));
    bool fits = buf_add_str(out, method) && buf_add_char(out, ' ') && buf_add_str(out, path) &&
                (!has_query || (buf_add_char(out, '?') && buf_add_str(out, query))) &&
                buf_add_str(out, STR(" HTTP/1.1\r\nHost: ")) && buf_add_str(out, host) &&
                buf_add_str(out, STR("\r\n")) && write_fields(out, headers, header_count) &&
                write_framing(out, body, content_length) && buf_add_str(out, STR("\r\n"));
    return whole(out, before, fits);
}

static bool may_have_body(unsigned status)
{
    return status >= 200 && status != 204 && status != 304;
}

bool http_write_response(struct buf *out, unsigned status, struct str reason,
                         const struct message_header *headers, size_t header_count,
                         enum body_kind body, uint64_t content_length, bool head_request,
                         bool close)
{
    size_t before = buf_len(out);
    const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                           (char)('0' + status % 10), ' '};

    assert(status >= 100 && status <= 599 && http_is_field_value(reason));
    if (body == BODY_NONE && may_have_body(status) && !head_request) {
        body = BODY_LENGTH;
        content_length = 0;
    }
    bool fits =
        buf_add_str(out, STR("HTTP/1.1 ")) && buf_add(out, digits, sizeof(digits)) &&
        buf_add_str(out, reason) && buf_add_str(out, STR("\r\n")) &&
        write_fields(out, headers, header_count) && write_framing(out, body, content_length) &&
        (!close || buf_add_str(out, STR("Connection: close\r\n"))) && buf_add_str(out, STR("\r\n"));
    return whole(out, before, fits);
}

bool http_write_date(struct buf *out, int64_t wall_ms)
{
    static const char days[][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t seconds = (time_t)(wall_ms / 1000);
    struct tm tm;

    if (gmtime_r(&seconds, &tm) == NULL) {
        return false;
    }
    return buf_addf(out, "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday], tm.tm_mday,
                    months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

struct str http_reason(unsigned status)
{
    static const struct {
        unsigned status;
        const char *reason;
    } reasons[] = {
        {100, "Continue"},
        {103, "Early Hints"},
        {200, "OK"},
        {201, "Created"},
        {202, "Accepted"},
        {204, "No Content"},
        {206, "Partial Content"},
        {301, "Moved Permanently"},
        {302, "Found"},
        {303, "See Other"},
        {304, "Not Modified"},
        {307, "Temporary Redirect"},
        {308, "Permanent Redirect"},
        {400, "Bad Request"},
        {401, "Unauthorized"},
        {402, "Payment Required"},
        {403, "Forbidden"},
        {404, "Not Found"},
        {405, "Method Not Allowed"},
        {406, "Not Acceptable"},
        {408, "Request Timeout"},
        {409, "Conflict"},
        {410, "Gone"},
        {411, "Length Required"},
        {412, "Precondition Failed"},
        {413, "Content Too Large"},
        {414, "URI Too Long"},
        {415, "Unsupported Media Type"},
        {416, "Range Not Satisfiable"},
        {417, "Expectation Failed"},
        {421, "Misdirected Request"},
        {422, "Unprocessable Content"},
        {424, "Failed Dependency"},
        {425, "Too Early"},
        {428, "Precondition Required"},
        {429, "Too Many Requests"},
        {431, "Request Header Fields Too Large"},
        {500, "Internal Server Error"},
        {501, "Not Implemented"},
        {502, "Bad Gateway"},
        {503, "Service Unavailable"},
        {504, "Gateway Timeout"},
        {505, "HTTP Version Not Supported"},
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        if (reasons[i].status == status) {
            return str_from(reasons[i].reason);
        }
    }
    return STR_NONE;
}
