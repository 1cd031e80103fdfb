/* SPDX-License-Identifier: Apache-2.0 */
#include "http/head.h"

#include <string.h>

#include "http/head_parts.h"
#include "http/url.h"

enum {
    METHOD_BYTES_MAX = 32,
    REASON_BYTES_MAX = 1024,
};

enum http_result head_bad(struct head_reading *in, unsigned status, const char *text)
{
    *in->problem = (struct http_problem){in->response ? 502 : status, text};
    return HTTP_BAD;
}

enum http_result head_more(struct head_reading *in, unsigned status, const char *text)
{
    return in->cut ? head_bad(in, status, text) : HTTP_MORE;
}

enum http_result head_more_fields(struct head_reading *in)
{
    return head_more(in, 431, "The header section is longer than 32 KiB.");
}

/* ---- the request line ---- */

static enum http_result read_method(struct head_reading *in)
{
    const char *from = in->at;
    bool plain = true;

    while (in->at < in->end && head_is_class(*in->at, TOKEN)) {
        plain = plain && head_is_class(*in->at, METHOD);
        in->at++;
        if (in->at - from > METHOD_BYTES_MAX) {
            return head_bad(in, 501, "The method is longer than any that exists.");
        }
    }
    if (in->at == in->end) {
        return head_more(in, 414, "The request line is too long.");
    }
    if (in->at == from || *in->at != ' ') {
        return head_bad(in, 400, "The request line does not start with a method and one space.");
    }
    if (!plain) {
        return head_bad(in, 501, "Methods are written in capital letters.");
    }
    in->head->method = str_of(from, (size_t)(in->at - from));
    in->at++;
    return HTTP_OK;
}

static enum http_result read_target(struct head_reading *in)
{
    const char *from = in->at;

    while (in->at < in->end && head_is_class(*in->at, TARGET)) {
        in->at++;
        if (in->at - from > LIMIT_TARGET_BYTES) {
            return head_bad(in, 414, "The request target is longer than 8 KiB.");
        }
    }
    if (in->at == in->end) {
        return head_more(in, 414, "The request target is too long.");
    }
    if (in->at == from || *in->at != ' ') {
        return head_bad(in, 400, "The request target is empty or has a byte that must be encoded.");
    }
    in->head->target = str_of(from, (size_t)(in->at - from));
    in->at++;
    return HTTP_OK;
}

/* "HTTP/1.x"; what follows it is the caller's. */
static enum http_result read_version(struct head_reading *in)
{
    static const char name[] = "HTTP/";
    size_t here = (size_t)(in->end - in->at);

    for (size_t i = 0; i < sizeof(name) - 1; i++) {
        if (i == here) {
            return head_more(in, 414, "The request line is too long.");
        }
        if (in->at[i] != name[i]) {
            return head_bad(in, 400, "The version is not HTTP/1.0 or HTTP/1.1.");
        }
    }
    for (size_t i = 5; i < 8; i++) {
        if (i == here) {
            return head_more(in, 414, "The request line is too long.");
        }
        if (i == 6 ? in->at[i] != '.' : !ascii_is_digit(in->at[i])) {
            return head_bad(in, 400, "The version is not HTTP/1.0 or HTTP/1.1.");
        }
    }
    if (in->at[5] != '1' || in->at[7] > '1') {
        return head_bad(in, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    }
    in->head->minor = (unsigned)(in->at[7] - '0');
    in->at += 8;
    return HTTP_OK;
}

/* CR LF, both. */
enum http_result head_read_line_end(struct head_reading *in, const char *problem)
{
    if (in->at == in->end) {
        return head_more_fields(in);
    }
    if (*in->at != '\r') {
        return head_bad(in, 400, problem);
    }
    if (in->at + 1 == in->end) {
        return head_more_fields(in);
    }
    if (in->at[1] != '\n') {
        return head_bad(in, 400, "A line ends in CR without LF.");
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

static enum http_result split_absolute(struct head_reading *in)
{
    struct http_head *head = in->head;
    struct str rest = head->target;
    struct str host;
    unsigned port;
    size_t end = 0;

    if (!take_scheme(&rest, &head->scheme)) {
        return head_bad(in, 400, "The request target is neither a path nor an http or https URL.");
    }
    while (end < rest.len && rest.data[end] != '/' && rest.data[end] != '?') {
        end++;
    }
    head->authority = str_slice(rest, 0, end);
    if (!url_split_authority(head->authority, &host, &port)) {
        return head_bad(in, 400, "The host in the request target is not valid.");
    }
    split_query(head, str_slice(rest, end, rest.len));
    if (head->path.len == 0) {
        /* RFC 9112 3.2.4 */
        bool asterisk = is_method(head, "OPTIONS") && !head->has_query;
        head->path = asterisk ? STR("*") : STR("/");
    }
    return HTTP_OK;
}

static enum http_result split_target(struct head_reading *in)
{
    struct http_head *head = in->head;
    struct str host;
    unsigned port;

    if (is_method(head, "CONNECT")) {
        if (!url_split_authority(head->target, &host, &port) || port == 0) {
            return head_bad(in, 400, "CONNECT needs a host and a port.");
        }
        head->authority = head->target;
        return HTTP_OK;
    }
    if (str_equal(head->target, STR("*"))) {
        head->path = head->target;
        return is_method(head, "OPTIONS") ? HTTP_OK
                                          : head_bad(in, 400, "Only OPTIONS may ask for '*'.");
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
        return head_bad(in, 400, "The path has a bracket that must be encoded.");
    }
    return HTTP_OK;
}

static enum http_result read_request_line(struct head_reading *in)
{
    enum http_result result = read_method(in);

    if (result == HTTP_OK) {
        result = read_target(in);
    }
    if (result == HTTP_OK) {
        result = read_version(in);
    }
    if (result == HTTP_OK) {
        result = head_read_line_end(in, "The request line does not end after the version.");
    }
    return result == HTTP_OK ? split_target(in) : result;
}

/* ---- the status line ---- */

static enum http_result read_reason(struct head_reading *in)
{
    const char *from = in->at;

    while (in->at < in->end && head_is_value_byte(*in->at)) {
        in->at++;
        if (in->at - from > REASON_BYTES_MAX) {
            return head_bad(in, 502, "The reason phrase is too long.");
        }
    }
    if (in->at < in->end) {
        in->head->reason = str_of(from, (size_t)(in->at - from));
    }
    return HTTP_OK;
}

static enum http_result read_status(struct head_reading *in)
{
    unsigned status = 0;

    for (size_t i = 0; i < 4; i++) {
        if (in->at == in->end) {
            return HTTP_MORE;
        }
        if (i == 0 ? *in->at != ' ' : !ascii_is_digit(*in->at)) {
            return head_bad(in, 502, "The status line has no status of three digits.");
        }
        status = i == 0 ? 0 : status * 10 + (unsigned)(*in->at - '0');
        in->at++;
    }
    if (status < 100 || status > 599) {
        return head_bad(in, 502, "The status is none of HTTP's.");
    }
    in->head->status = status;
    return HTTP_OK;
}

static enum http_result read_status_line(struct head_reading *in)
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
    return result == HTTP_OK ? head_read_line_end(in, "The status line has a control byte.")
                             : result;
}

static void begin(struct head_reading *in, char *bytes, size_t len, bool response,
                  struct http_head *head, struct http_problem *problem)
{
    size_t here = len < LIMIT_HEAD_BYTES ? len : LIMIT_HEAD_BYTES;

    *in = (struct head_reading){.at = bytes,
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
    enum http_result (*const steps[])(struct head_reading *) = {
        read_request_line,     head_read_fields, head_judge_framing,
        head_judge_connection, head_judge_host,  head_judge_expect};
    struct head_reading in;

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
    enum http_result (*const steps[])(struct head_reading *) = {
        read_status_line, head_read_fields, head_judge_framing, head_judge_connection};
    struct head_reading in;

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
