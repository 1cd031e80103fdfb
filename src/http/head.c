/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <string.h>

#include "http/names.h"
#include "http/url.h"

enum {
    METHOD_BYTES_MAX = 32,
    NAME_BYTES_MAX = 256,
    REASON_BYTES_MAX = 1024,
    LENGTH_DIGITS_MAX = 20,
};
/* Every parser's integers hold it, those of JavaScript too. */
#define LENGTH_MAX (UINT64_C(1) << 53)

enum {
    TOKEN = 1,  /* tchar of RFC 9110 5.6.2 */
    TARGET = 2, /* may stand in a request target; '[' and ']' only in its query */
    METHOD = 4, /* of the methods that exist */
    VALUE = 8,  /* HTAB, SP, visible ASCII, obs-text */
};

#define UPPER (TOKEN | TARGET | METHOD | VALUE)
#define ALNUM (TOKEN | TARGET | VALUE)
#define TV (TARGET | VALUE)
static const unsigned char classes[256] = {
    ['\t'] = VALUE,
    [' '] = VALUE,
    ['!'] = ALNUM,
    ['"'] = VALUE,
    ['#'] = TOKEN | VALUE,
    ['$'] = ALNUM,
    ['%'] = ALNUM,
    ['&'] = ALNUM,
    ['\''] = ALNUM,
    ['('] = TV,
    [')'] = TV,
    ['*'] = ALNUM,
    ['+'] = ALNUM,
    [','] = TV,
    ['-'] = ALNUM | METHOD,
    ['.'] = ALNUM,
    ['/'] = TV,
    ['0'] = ALNUM,
    ['1'] = ALNUM,
    ['2'] = ALNUM,
    ['3'] = ALNUM,
    ['4'] = ALNUM,
    ['5'] = ALNUM,
    ['6'] = ALNUM,
    ['7'] = ALNUM,
    ['8'] = ALNUM,
    ['9'] = ALNUM,
    [':'] = TV,
    [';'] = TV,
    ['<'] = VALUE,
    ['='] = TV,
    ['>'] = VALUE,
    ['?'] = TV,
    ['@'] = TV,
    ['A'] = UPPER,
    ['B'] = UPPER,
    ['C'] = UPPER,
    ['D'] = UPPER,
    ['E'] = UPPER,
    ['F'] = UPPER,
    ['G'] = UPPER,
    ['H'] = UPPER,
    ['I'] = UPPER,
    ['J'] = UPPER,
    ['K'] = UPPER,
    ['L'] = UPPER,
    ['M'] = UPPER,
    ['N'] = UPPER,
    ['O'] = UPPER,
    ['P'] = UPPER,
    ['Q'] = UPPER,
    ['R'] = UPPER,
    ['S'] = UPPER,
    ['T'] = UPPER,
    ['U'] = UPPER,
    ['V'] = UPPER,
    ['W'] = UPPER,
    ['X'] = UPPER,
    ['Y'] = UPPER,
    ['Z'] = UPPER,
    ['['] = TV,
    ['\\'] = VALUE,
    [']'] = TV,
    ['^'] = TOKEN | VALUE,
    ['_'] = ALNUM,
    ['`'] = TOKEN | VALUE,
    ['a'] = ALNUM,
    ['b'] = ALNUM,
    ['c'] = ALNUM,
    ['d'] = ALNUM,
    ['e'] = ALNUM,
    ['f'] = ALNUM,
    ['g'] = ALNUM,
    ['h'] = ALNUM,
    ['i'] = ALNUM,
    ['j'] = ALNUM,
    ['k'] = ALNUM,
    ['l'] = ALNUM,
    ['m'] = ALNUM,
    ['n'] = ALNUM,
    ['o'] = ALNUM,
    ['p'] = ALNUM,
    ['q'] = ALNUM,
    ['r'] = ALNUM,
    ['s'] = ALNUM,
    ['t'] = ALNUM,
    ['u'] = ALNUM,
    ['v'] = ALNUM,
    ['w'] = ALNUM,
    ['x'] = ALNUM,
    ['y'] = ALNUM,
    ['z'] = ALNUM,
    ['{'] = VALUE,
    ['|'] = TOKEN | VALUE,
    ['}'] = VALUE,
    ['~'] = ALNUM,
};

static bool is_class(char c, unsigned set)
{
    return (classes[(unsigned char)c] & set) != 0;
}

/* Obs-text is the upper half, which the table leaves out for brevity. */
static bool is_value_byte(char c)
{
    return (unsigned char)c >= 0x80 || is_class(c, VALUE);
}

/* What is known while a head is being read. */
struct reading {
    char *at;
    const char *end; /* of the bytes that are here, cut at LIMIT_HEAD_BYTES */
    const char *start;
    bool cut; /* the maximum is here: what is missing will not come */
    bool response;
    struct http_head *head;
    struct http_problem *problem;
    const struct str *host, *length, *coding;
    unsigned authorizations;
    uint32_t singles; /* a bit for each that was seen: name_single() */
};

static enum http_result bad(struct reading *in, unsigned status, const char *text)
{
    *in->problem = (struct http_problem){in->response ? 502 : status, text};
    return HTTP_BAD;
}

/* The bytes end here, inside the head. */
static enum http_result more(struct reading *in, unsigned status, const char *text)
{
    return in->cut ? bad(in, status, text) : HTTP_MORE;
}

static enum http_result more_fields(struct reading *in)
{
    return more(in, 431, "The header section is longer than 32 KiB.");
}

/* ---- the request line ---- */

static enum http_result read_method(struct reading *in)
{
    const char *from = in->at;
    bool plain = true;

    while (in->at < in->end && is_class(*in->at, TOKEN)) {
        plain = plain && is_class(*in->at, METHOD);
        in->at++;
        if (in->at - from > METHOD_BYTES_MAX) {
            return bad(in, 501, "The method is longer than any that exists.");
        }
    }
    if (in->at == in->end) {
        return more(in, 414, "The request line is too long.");
    }
    if (in->at == from || *in->at != ' ') {
        return bad(in, 400, "The request line does not start with a method and one space.");
    }
    if (!plain) {
        return bad(in, 501, "Methods are written in capital letters.");
    }
    in->head->method = str_of(from, (size_t)(in->at - from));
    in->at++;
    return HTTP_OK;
}

static enum http_result read_target(struct reading *in)
{
    const char *from = in->at;

    while (in->at < in->end && is_class(*in->at, TARGET)) {
        in->at++;
        if (in->at - from > LIMIT_TARGET_BYTES) {
            return bad(in, 414, "The request target is longer than 8 KiB.");
        }
    }
    if (in->at == in->end) {
        return more(in, 414, "The request target is too long.");
    }
    if (in->at == from || *in->at != ' ') {
        return bad(in, 400, "The request target is empty or has a byte that must be encoded.");
    }
    in->head->target = str_of(from, (size_t)(in->at - from));
    in->at++;
    return HTTP_OK;
}

/* "HTTP/1.x"; what follows it is the caller's. */
static enum http_result read_version(struct reading *in)
{
    static const char name[] = "HTTP/";
    size_t here = (size_t)(in->end - in->at);

    for (size_t i = 0; i < sizeof(name) - 1; i++) {
        if (i == here) {
            return more(in, 414, "The request line is too long.");
        }
        if (in->at[i] != name[i]) {
            return bad(in, 400, "The version is not HTTP/1.0 or HTTP/1.1.");
        }
    }
    for (size_t i = 5; i < 8; i++) {
        if (i == here) {
            return more(in, 414, "The request line is too long.");
        }
        if (i == 6 ? in->at[i] != '.' : !ascii_is_digit(in->at[i])) {
            return bad(in, 400, "The version is not HTTP/1.0 or HTTP/1.1.");
        }
    }
    if (in->at[5] != '1' || in->at[7] > '1') {
        return bad(in, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    }
    in->head->minor = (unsigned)(in->at[7] - '0');
    in->at += 8;
    return HTTP_OK;
}

/* CR LF, both. */
static enum http_result read_line_end(struct reading *in, const char *problem)
{
    if (in->at == in->end) {
        return more_fields(in);
    }
    if (*in->at != '\r') {
        return bad(in, 400, problem);
    }
    if (in->at + 1 == in->end) {
        return more_fields(in);
    }
    if (in->at[1] != '\n') {
        return bad(in, 400, "A line ends in CR without LF.");
    }
    in->at += 2;
    return HTTP_OK;
}

static bool is_method(const struct http_head *head, const char *method)
{
    return str_equal(head->method, str_from(method));
}

static void split_query(struct http_head *head, struct str target)
{
    size_t mark = str_index(target, '?', 0);

    head->path = str_slice(target, 0, mark);
    head->has_query = mark < target.len;
    head->query = head->has_query ? str_slice(target, mark + 1, target.len) : STR_NONE;
}

static bool take_scheme(struct str *target, struct str *ret_scheme)
{
    static const struct str schemes[] = {{"http", 4}, {"https", 5}};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++) {
        size_t len = schemes[i].len;
        if (str_equal_nocase(str_slice(*target, 0, len), schemes[i]) &&
            str_equal(str_slice(*target, len, len + 3), STR("://"))) {
            *ret_scheme = schemes[i];
            *target = str_slice(*target, len + 3, target->len);
            return true;
        }
    }
    return false;
}

static enum http_result split_absolute(struct reading *in)
{
    struct http_head *head = in->head;
    struct str rest = head->target;
    struct str host;
    unsigned port;
    size_t end = 0;

    if (!take_scheme(&rest, &head->scheme)) {
        return bad(in, 400, "The request target is neither a path nor an http or https URL.");
    }
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?') {
        end++;
    }
    head->authority = str_slice(rest, 0, end);
    if (!url_split_authority(head->authority, &host, &port)) {
        return bad(in, 400, "The host in the request target is not valid.");
    }
    split_query(head, str_slice(rest, end, rest.len));
    if (head->path.len == 0) {
        /* RFC 9112 3.2.4 */
        bool asterisk = is_method(head, "OPTIONS") && !head->has_query;
        head->path = asterisk ? STR("*") : STR("/");
    }
    return HTTP_OK;
}

static enum http_result split_target(struct reading *in)
{
    struct http_head *head = in->head;
    struct str host;
    unsigned port;

    if (is_method(head, "CONNECT")) {
        if (!url_split_authority(head->target, &host, &port) || port == 0) {
            return bad(in, 400, "CONNECT needs a host and a port.");
        }
        head->authority = head->target;
        return HTTP_OK;
    }
    if (str_equal(head->target, STR("*"))) {
        head->path = head->target;
        return is_method(head, "OPTIONS") ? HTTP_OK : bad(in, 400, "Only OPTIONS may ask for '*'.");
    }
    if (head->target.data[0] != '/') {
        enum http_result result = split_absolute(in);
        if (result != HTTP_OK) {
            return result;
        }
    } else {
        split_query(head, head->target);
    }
    if (str_index(head->path, '[', 0) < head->path.len ||
        str_index(head->path, ']', 0) < head->path.len) {
        return bad(in, 400, "The path has a bracket that must be encoded.");
    }
    return HTTP_OK;
}

static enum http_result read_request_line(struct reading *in)
{
    enum http_result result = read_method(in);

    if (result == HTTP_OK) {
        result = read_target(in);
    }
    if (result == HTTP_OK) {
        result = read_version(in);
    }
    if (result == HTTP_OK) {
        result = read_line_end(in, "The request line does not end after the version.");
    }
    return result == HTTP_OK ? split_target(in) : result;
}

/* ---- the status line ---- */

static enum http_result read_reason(struct reading *in)
{
    const char *from = in->at;

    while (in->at < in->end && is_value_byte(*in->at)) {
        in->at++;
        if (in->at - from > REASON_BYTES_MAX) {
            return bad(in, 502, "The reason phrase is too long.");
        }
    }
    if (in->at < in->end) {
        in->head->reason = str_of(from, (size_t)(in->at - from));
    }
    return HTTP_OK;
}

static enum http_result read_status(struct reading *in)
{
    unsigned status = 0;

    for (size_t i = 0; i < 4; i++) {
        if (in->at == in->end) {
            return HTTP_MORE;
        }
        if (i == 0 ? *in->at != ' ' : !ascii_is_digit(*in->at)) {
            return bad(in, 502, "The status line has no status of three digits.");
        }
        status = i == 0 ? 0 : status * 10 + (unsigned)(*in->at - '0');
        in->at++;
    }
    if (status < 100 || status > 599) {
        return bad(in, 502, "The status is none of HTTP's.");
    }
    in->head->status = status;
    return HTTP_OK;
}

static enum http_result read_status_line(struct reading *in)
{
    enum http_result result = read_version(in);

    if (result == HTTP_OK) {
        result = read_status(in);
    }
    /* Some servers leave out the space before an empty reason. */
    if (result == HTTP_OK && in->at < in->end && *in->at == ' ') {
        in->at++;
        result = read_reason(in);
    }
    return result == HTTP_OK ? read_line_end(in, "The status line has a control byte.") : result;
}

/* ---- fields ---- */

static enum http_result read_name(struct reading *in, struct str *ret_name)
{
    char *from = in->at;

    while (in->at < in->end && is_class(*in->at, TOKEN)) {
        if (*in->at >= 'A' && *in->at <= 'Z') {
            *in->at = (char)(*in->at | 0x20);
        }
        in->at++;
    }
    size_t len = (size_t)(in->at - from);
    if (len > NAME_BYTES_MAX) {
        return bad(in, 431, "A header name is longer than 256 bytes.");
    }
    if (in->at == in->end) {
        return more_fields(in);
    }
    if (len == 0 || *in->at != ':') {
        return bad(in, 400, "A header line is not a name and a colon.");
    }
    *ret_name = str_of(from, len);
    in->at++;
    if (name_is_disguised_framing(*ret_name)) {
        return bad(in, 400, "A header name can be mistaken for message framing.");
    }
    return HTTP_OK;
}

/* The first byte that may not stand in a value, eight at a time while there are none. */
static char *value_end(char *at, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;

    for (;;) {
        while (end - at >= 8) {
            uint64_t word;
            memcpy(&word, at, sizeof(word));
            uint64_t below = (word - ones * 0x20) & ~word;
            uint64_t del = word ^ (ones * 0x7f);
            if (((below | ((del - ones) & ~del)) & tops) != 0) {
                break;
            }
            at += 8;
        }
        const char *stop = end - at > 8 ? at + 8 : end;
        while (at < stop && is_value_byte(*at)) {
            at++;
        }
        if (at < stop || at == end) {
            return at;
        }
    }
}

static enum http_result read_value(struct reading *in, struct str *ret_value)
{
    const char *from = in->at;

    in->at = value_end(in->at, in->end);
    const char *to = in->at;
    enum http_result result = read_line_end(in, "A header value has a control byte.");
    if (result == HTTP_OK) {
        *ret_value = str_trim(str_of(from, (size_t)(to - from)));
    }
    return result;
}

static enum http_result twice(struct reading *in, const struct str **kept, const struct str *value,
                              const char *problem)
{
    if (*kept != NULL) {
        return bad(in, 400, problem);
    }
    *kept = value;
    return HTTP_OK;
}

/* A server might take the first of two, or the last. */
static enum http_result note_single(struct reading *in, struct str name)
{
    int number = name_single(name);

    if (number < 0) {
        return HTTP_OK;
    }
    if ((in->singles >> number & 1) != 0) {
        return bad(in, 400, "A header that a request has once is there twice.");
    }
    in->singles |= UINT32_C(1) << number;
    return HTTP_OK;
}

/* Keeps what framing and checks need; the length of the name sorts out nearly all others. */
static enum http_result note_field(struct reading *in, const struct message_header *field)
{
    struct str name = field->name;

    switch (name.len) {
    case 4:
        if (str_equal(name, STR("host"))) {
            return twice(in, &in->host, &field->value, "There is more than one Host.");
        }
        break;
    case 10:
        if (str_equal(name, STR("connection"))) {
            in->head->has_connection = true;
        }
        break;
    case 13:
        if (!in->response && str_equal(name, STR("authorization")) && ++in->authorizations > 1) {
            return bad(in, 400, "There is more than one Authorization.");
        }
        break;
    case 14:
        if (str_equal(name, STR("content-length"))) {
            return twice(in, &in->length, &field->value, "There is more than one Content-Length.");
        }
        break;
    case 17:
        if (str_equal(name, STR("transfer-encoding"))) {
            return twice(in, &in->coding, &field->value,
                         "There is more than one Transfer-Encoding.");
        }
        break;
    default:
        break;
    }
    return in->response ? HTTP_OK : note_single(in, name);
}

static enum http_result read_field(struct reading *in)
{
    struct http_head *head = in->head;
    struct message_header field = {0};
    enum http_result result;

    if (head->field_count == LIMIT_FIELDS) {
        return bad(in, 431, "There are more than 100 headers.");
    }
    result = read_name(in, &field.name);
    if (result == HTTP_OK) {
        result = read_value(in, &field.value);
    }
    if (result != HTTP_OK) {
        return result;
    }
    head->fields[head->field_count] = field;
    return note_field(in, &head->fields[head->field_count++]);
}

/* Up to the empty line, that included. */
static enum http_result read_fields(struct reading *in)
{
    for (;;) {
        if (in->at == in->end) {
            return more_fields(in);
        }
        if (*in->at == '\r') {
            return read_line_end(in, "");
        }
        enum http_result result = read_field(in);
        if (result != HTTP_OK) {
            return result;
        }
    }
}

/* ---- what the fields mean ---- */

static bool read_length(struct str text, uint64_t *ret_length)
{
    uint64_t length = 0;

    if (text.len == 0 || text.len > LENGTH_DIGITS_MAX) {
        return false;
    }
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.data[i])) {
            return false;
        }
        length = length * 10 + (uint64_t)(text.data[i] - '0');
        if (length > LENGTH_MAX) {
            return false;
        }
    }
    *ret_length = length;
    return true;
}

static bool is_token(struct str name)
{
    for (size_t i = 0; i < name.len; i++) {
        if (!is_class(name.data[i], TOKEN)) {
            return false;
        }
    }
    return name.len > 0;
}

/* RFC 9112 6.1 and 6.3: what ends in "chunked", above codings that might exist, is well-formed. */
static bool is_unknown_coding(struct str list)
{
    struct str coding = {0};
    bool chunked = false;

    if (str_ends(list, STR(","))) {
        return false;
    }
    while (list.len > 0) {
        coding = str_trim(str_take_until(&list, ','));
        if (chunked || !is_token(coding)) {
            return false;
        }
        chunked = str_equal_nocase(coding, STR("chunked"));
    }
    return chunked;
}

static enum http_result judge_framing(struct reading *in)
{
    struct http_head *head = in->head;

    if (in->coding != NULL) {
        if (in->length != NULL) {
            return bad(in, 400, "There are both Content-Length and Transfer-Encoding.");
        }
        if (head->minor == 0) {
            return bad(in, 400, "HTTP/1.0 has no Transfer-Encoding.");
        }
        if (!str_equal_nocase(*in->coding, STR("chunked"))) {
            return bad(in, is_unknown_coding(*in->coding) ? 501 : 400,
                       "The only transfer coding spoken here is 'chunked'.");
        }
        head->body = BODY_CHUNKED;
        return HTTP_OK;
    }
    if (in->length != NULL) {
        if (!read_length(*in->length, &head->content_length)) {
            return bad(in, 400, "Content-Length is not a number of bytes.");
        }
        head->body = BODY_LENGTH;
        head->has_length = true;
        return HTTP_OK;
    }
    head->body = in->response ? BODY_UNTIL_CLOSE : BODY_NONE;
    return HTTP_OK;
}

static enum http_result read_connection_option(struct reading *in, struct str option)
{
    struct http_head *head = in->head;

    if (option.len == 0) {
        return HTTP_OK;
    }
    if (str_equal_nocase(option, STR("close"))) {
        head->asks_close = true;
    } else if (str_equal_nocase(option, STR("keep-alive"))) {
        head->keep_alive = true;
    } else {
        head->nominates = true;
        if (!in->response && (!is_token(option) || !name_may_be_nominated(option))) {
            return bad(in, 400, "Connection names a header that is not of the connection.");
        }
    }
    return HTTP_OK;
}

static enum http_result judge_connection(struct reading *in)
{
    struct http_head *head = in->head;

    for (size_t i = 0; head->has_connection && i < head->field_count; i++) {
        struct str list = head->fields[i].value;
        if (!str_equal(head->fields[i].name, STR("connection"))) {
            continue;
        }
        while (list.len > 0) {
            enum http_result result =
                read_connection_option(in, str_trim(str_take_until(&list, ',')));
            if (result != HTTP_OK) {
                return result;
            }
        }
    }
    head->keep_alive = !head->asks_close && (head->keep_alive || head->minor == 1);
    return HTTP_OK;
}

static enum http_result judge_host(struct reading *in)
{
    struct http_head *head = in->head;
    struct str host;
    unsigned port;

    if (in->host == NULL && head->minor == 1) {
        return bad(in, 400, "There is no Host.");
    }
    if (in->host != NULL && !url_split_authority(*in->host, &host, &port)) {
        return bad(in, 400, "Host is not a host name or address.");
    }
    if (head->authority.len > 0) {
        head->host = head->authority; /* RFC 9112 3.2.2: Host is ignored then */
    } else if (in->host != NULL) {
        head->host = *in->host;
    }
    return HTTP_OK;
}

static enum http_result judge_expect(struct reading *in)
{
    struct http_head *head = in->head;

    for (size_t i = 0; i < head->field_count; i++) {
        if (!str_equal(head->fields[i].name, STR("expect"))) {
            continue;
        }
        if (!str_equal_nocase(head->fields[i].value, STR("100-continue"))) {
            return bad(in, 417, "The only expectation met here is '100-continue'.");
        }
        head->expect_continue = head->minor == 1;
    }
    return HTTP_OK;
}

static void begin(struct reading *in, char *bytes, size_t len, bool response,
                  struct http_head *head, struct http_problem *problem)
{
    size_t here = len < LIMIT_HEAD_BYTES ? len : LIMIT_HEAD_BYTES;

    *in = (struct reading){.at = bytes,
                           .end = bytes + here,
                           .start = bytes,
                           .cut = len >= LIMIT_HEAD_BYTES,
                           .response = response,
                           .head = head,
                           .problem = problem};
    /* The array needs no clearing: its count says what of it is there. */
    memset(head, 0, offsetof(struct http_head, fields));
    head->field_count = 0;
}

enum http_result http_parse_request(char *bytes, size_t len, struct http_head *ret,
                                    size_t *ret_used, struct http_problem *problem)
{
    enum http_result (*const steps[])(struct reading *) = {
        read_request_line, read_fields, judge_framing, judge_connection, judge_host, judge_expect};
    struct reading in;

    begin(&in, bytes, len, false, ret, problem);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum http_result result = steps[i](&in);
        if (result != HTTP_OK) {
            return result;
        }
    }
    *ret_used = (size_t)(in.at - in.start);
    return HTTP_OK;
}

/* RFC 9112 6.3, rules 1 and 2. */
static bool has_no_body(unsigned status, struct str method)
{
    return status < 200 || status == 204 || status == 304 || str_equal(method, STR("HEAD"));
}

enum http_result http_parse_response(char *bytes, size_t len, struct str method,
                                     struct http_head *ret, size_t *ret_used,
                                     struct http_problem *problem)
{
    enum http_result (*const steps[])(struct reading *) = {read_status_line, read_fields,
                                                           judge_framing, judge_connection};
    struct reading in;

    begin(&in, bytes, len, true, ret, problem);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        enum http_result result = steps[i](&in);
        if (result != HTTP_OK) {
            return result;
        }
    }
    if (has_no_body(ret->status, method)) {
        ret->body = BODY_NONE;
    }
    *ret_used = (size_t)(in.at - in.start);
    return HTTP_OK;
}

const struct str *http_field(const struct http_head *head, struct str name)
{
    const struct str *found = NULL;

    for (size_t i = 0; i < head->field_count; i++) {
        if (str_equal(head->fields[i].name, name)) {
            if (found != NULL) {
                return NULL;
            }
            found = &head->fields[i].value;
        }
    }
    return found;
}

size_t http_field_count(const struct http_head *head, struct str name)
{
    size_t count = 0;

    for (size_t i = 0; i < head->field_count; i++) {
        count += str_equal(head->fields[i].name, name) ? 1 : 0;
    }
    return count;
}

bool http_is_nominated(const struct http_head *head, struct str name)
{
    for (size_t i = 0; head->nominates && i < head->field_count; i++) {
        struct str list = head->fields[i].value;
        if (!str_equal(head->fields[i].name, STR("connection"))) {
            continue;
        }
        while (list.len > 0) {
            if (str_equal_nocase(str_trim(str_take_until(&list, ',')), name)) {
                return true;
            }
        }
    }
    return false;
}

/* By length, since nearly all names are of none of these. */
static bool is_of_the_connection(struct str name)
{
    switch (name.len) {
    case 2:
        return str_equal(name, STR("te"));
    case 7:
        return str_equal(name, STR("upgrade")) || str_equal(name, STR("trailer"));
    case 10:
        return str_equal(name, STR("connection")) || str_equal(name, STR("keep-alive"));
    case 14:
        return str_equal(name, STR("content-length")) || str_equal(name, STR("http2-settings"));
    case 16:
        return str_equal(name, STR("proxy-connection"));
    case 17:
        return str_equal(name, STR("transfer-encoding"));
    default:
        return false;
    }
}

bool http_is_hop_by_hop(const struct http_head *head, struct str name)
{
    return is_of_the_connection(name) || http_is_nominated(head, name);
}
