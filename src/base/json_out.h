/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_out: writes JSON (RFC 8259) into a buf.
 *
 *     struct json_out out = json_begin(&buf);
 *     json_open(&out, '{');
 *     json_name(&out, "id"); json_text(&out, id);
 *     json_close(&out, '}');
 *
 * Commas come by themselves.  Bytes that are not UTF-8 become U+FFFD, so that the result always
 * parses.
 */
#ifndef BASE_JSON_OUT_H
#define BASE_JSON_OUT_H

#include "base/buf.h"

struct json_out {
    struct buf *buf;
    bool comma; /* the next value needs one before it */
};

struct json_out json_begin(struct buf *buf);
void json_open(struct json_out *out, char bracket);  /* '{' or '[' */
void json_close(struct json_out *out, char bracket); /* '}' or ']' */
void json_name(struct json_out *out, const char *name);
void json_name_str(struct json_out *out, struct str name);
void json_text(struct json_out *out, struct str text);
void json_text_or_null(struct json_out *out, struct str text); /* empty is null */
void json_u64(struct json_out *out, uint64_t value);
void json_i64(struct json_out *out, int64_t value);
void json_bool(struct json_out *out, bool value);
/* Not json_null: jansson has one of that name, and ours would take its place inside the library. */
void json_put_null(struct json_out *out);

/* A member: its name and its value. */
void json_member(struct json_out *out, const char *name, struct str text); /* empty is null */
void json_member_u64(struct json_out *out, const char *name, uint64_t value);
void json_member_i64(struct json_out *out, const char *name, int64_t value);
void json_member_bool(struct json_out *out, const char *name, bool value);

void json_raw(struct json_out *out, struct str json); /* a value written elsewhere */

/* The inside of a JSON string, without the quotes. */
void json_escape(struct buf *buf, struct str text);

#endif
