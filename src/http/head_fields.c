/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The fields of a head: read, and found again.
 */
#include <string.h>

#include "http/head_parts.h"
#include "http/names.h"

enum { NAME_BYTES_MAX = 256 };

static enum http_result read_name(struct head_reading *in, struct str *ret_name)
{
    char *from = in->at;

    while (in->at < in->end && head_is_class(*in->at, TOKEN)) {
        if (*in->at >= 'A' && *in->at <= 'Z') {
            *in->at = (char)(*in->at | 0x20);
        }
        in->at++;
    }
    size_t len = (size_t)(in->at - from);
    if (len > NAME_BYTES_MAX) {
        return head_bad(in, 431, "A header name is longer than 256 bytes.");
    }
    if (in->at == in->end) {
        return head_more_fields(in);
    }
    if (len == 0 || *in->at != ':') {
        return head_bad(in, 400, "A header line is not a name and a colon.");
    }
    *ret_name = str_of(from, len);
    in->at++;
    if (name_is_disguised_framing(*ret_name)) {
        return head_bad(in, 400, "A header name can be mistaken for message framing.");
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
        while (at < stop && head_is_value_byte(*at)) {
            at++;
        }
        if (at < stop || at == end) {
            return at;
        }
    }
}

static enum http_result read_value(struct head_reading *in, struct str *ret_value)
{
    const char *from = in->at;

    in->at = value_end(in->at, in->end);
    const char *to = in->at;
    enum http_result result = head_read_line_end(in, "A header value has a control byte.");
    if (result == HTTP_OK) {
        *ret_value = str_trim(str_of(from, (size_t)(to - from)));
    }
    return result;
}

static enum http_result twice(struct head_reading *in, const struct str **kept,
                              const struct str *value, const char *problem)
{
    if (*kept != NULL) {
        return head_bad(in, 400, problem);
    }
    *kept = value;
    return HTTP_OK;
}

/* A server might take the first of two, or the last. */
static enum http_result note_single(struct head_reading *in, struct str name)
{
    int number = name_single(name);

    if (number < 0) {
        return HTTP_OK;
    }
    if ((in->singles >> number & 1) != 0) {
        return head_bad(in, 400, "A header that a request has once is there twice.");
    }
    in->singles |= UINT32_C(1) << number;
    return HTTP_OK;
}

/* Keeps what framing and checks need; the length of the name sorts out nearly all others. */
static enum http_result note_field(struct head_reading *in, const struct message_header *field)
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
            return head_bad(in, 400, "There is more than one Authorization.");
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

static enum http_result read_field(struct head_reading *in)
{
    struct http_head *head = in->head;
    struct message_header field = {0};
    enum http_result result;

    if (head->field_count == LIMIT_FIELDS) {
        return head_bad(in, 431, "There are more than 100 headers.");
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

enum http_result head_read_fields(struct head_reading *in)
{
    for (;;) {
        if (in->at == in->end) {
            return head_more_fields(in);
        }
        if (*in->at == '\r') {
            return head_read_line_end(in, "");
        }
        enum http_result result = read_field(in);
        if (result != HTTP_OK) {
            return result;
        }
    }
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
