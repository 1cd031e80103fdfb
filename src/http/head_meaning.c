/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the fields of a head mean: where the body ends, whether the connection goes on, whom it is
 * for.
 */
#include "http/head_parts.h"
#include "http/names.h"
#include "http/url.h"

enum { LENGTH_DIGITS_MAX = 20 };
/* Every parser's integers hold it, those of JavaScript too. */
#define LENGTH_MAX (UINT64_C(1) << 53)

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
        if (!head_is_class(name.data[i], TOKEN)) {
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

enum http_result head_judge_framing(struct head_reading *in)
{
    struct http_head *head = in->head;

    if (in->coding != NULL) {
        if (in->length != NULL) {
            return head_bad(in, 400, "There are both Content-Length and Transfer-Encoding.");
        }
        if (head->minor == 0) {
            return head_bad(in, 400, "HTTP/1.0 has no Transfer-Encoding.");
        }
        if (!str_equal_nocase(*in->coding, STR("chunked"))) {
            return head_bad(in, is_unknown_coding(*in->coding) ? 501 : 400,
                            "The only transfer coding spoken here is 'chunked'.");
        }
        head->body = BODY_CHUNKED;
        return HTTP_OK;
    }
    if (in->length != NULL) {
        if (!read_length(*in->length, &head->content_length)) {
            return head_bad(in, 400, "Content-Length is not a number of bytes.");
        }
        head->body = BODY_LENGTH;
        head->has_length = true;
        return HTTP_OK;
    }
    head->body = in->response ? BODY_UNTIL_CLOSE : BODY_NONE;
    return HTTP_OK;
}

static enum http_result read_connection_option(struct head_reading *in, struct str option)
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
            return head_bad(in, 400, "Connection names a header that is not of the connection.");
        }
    }
    return HTTP_OK;
}

enum http_result head_judge_connection(struct head_reading *in)
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

enum http_result head_judge_host(struct head_reading *in)
{
    struct http_head *head = in->head;
    struct str host;
    unsigned port;

    if (in->host == NULL && head->minor == 1) {
        return head_bad(in, 400, "There is no Host.");
    }
    if (in->host != NULL && !url_split_authority(*in->host, &host, &port)) {
        return head_bad(in, 400, "Host is not a host name or address.");
    }
    if (head->authority.len > 0) {
        head->host = head->authority; /* RFC 9112 3.2.2: Host is ignored then */
    } else if (in->host != NULL) {
        head->host = *in->host;
    }
    return HTTP_OK;
}

enum http_result head_judge_expect(struct head_reading *in)
{
    struct http_head *head = in->head;

    for (size_t i = 0; i < head->field_count; i++) {
        if (!str_equal(head->fields[i].name, STR("expect"))) {
            continue;
        }
        if (!str_equal_nocase(head->fields[i].value, STR("100-continue"))) {
            return head_bad(in, 417, "The only expectation met here is '100-continue'.");
        }
        head->expect_continue = head->minor == 1;
    }
    return HTTP_OK;
}
