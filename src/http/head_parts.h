/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head_parts: what the files of head have of one another: head.c (the first line, and all in
 * order), head_fields.c, head_meaning.c, and head_class.c.
 */
#ifndef HTTP_HEAD_PARTS_H
#define HTTP_HEAD_PARTS_H

#include "http/head.h"

/* What a byte may be.  Obs-text is the upper half, which the table leaves out for brevity. */
enum {
    TOKEN = 1,  /* tchar of RFC 9110 5.6.2 */
    TARGET = 2, /* may stand in a request target; '[' and ']' only in its query */
    METHOD = 4, /* of the methods that exist */
    VALUE = 8,  /* HTAB, SP, visible ASCII, obs-text */
};

extern const unsigned char head_classes[256];

static inline bool head_is_class(char c, unsigned set)
{
    return (head_classes[(unsigned char)c] & set) != 0;
}

static inline bool head_is_value_byte(char c)
{
    return (unsigned char)c >= 0x80 || head_is_class(c, VALUE);
}

/* What is known while a head is being read. */
struct head_reading {
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

/* ---- head.c ---- */

enum http_result head_bad(struct head_reading *in, unsigned status, const char *text);
/* The bytes end here, inside the head: HTTP_MORE, or too many of them. */
enum http_result head_more(struct head_reading *in, unsigned status, const char *text);
enum http_result head_more_fields(struct head_reading *in);
/* CRLF; `problem`: what is wrong when something else stands there. */
enum http_result head_read_line_end(struct head_reading *in, const char *problem);

/* ---- head_fields.c ---- */

/* Up to the empty line, that included. */
enum http_result head_read_fields(struct head_reading *in);

/* ---- head_meaning.c ---- */

enum http_result head_judge_framing(struct head_reading *in);
enum http_result head_judge_connection(struct head_reading *in);
enum http_result head_judge_host(struct head_reading *in);
enum http_result head_judge_expect(struct head_reading *in);

#endif
