/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A chunked body (RFC 9112 7.1):
 *
 *     SIZE  [blanks] extension* CR SIZE_LF    then that many bytes, DATA_CR DATA_LF
 *     0 [blanks] extension* CR SIZE_LF  (trailer: NAME ':' VALUE CR VALUE_LF)*  CR END_LF
 *
 * An extension, with blanks around its parts but not at the end of the line:
 *
 *     ';' EXT [EXT_NAME '=' EXT_IS (EXT_VALUE | '"' EXT_QUOTED '"')]
 */
#include "http/body.h"

#include "http/names.h"
#include "http/write.h"

enum {
    CHUNK_DIGITS_MAX = 16,
};

enum chunk_state {
    SIZE,
    BLANKS, /* after the size: only ';' may follow */
    EXT,    /* behind ';' */
    EXT_NAME,
    EXT_NAME_END, /* blanks behind it */
    EXT_IS,       /* behind '=' */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_PAIR,      /* behind a backslash */
    EXT_CLOSED,    /* behind the quotes */
    EXT_VALUE_END, /* blanks behind the value */
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER, /* at the start of a line */
    NAME,
    VALUE,
    VALUE_LF,
    END_LF,
    ENDED,
    BROKEN,
};

void http_body_begin(struct http_body *body, enum body_kind kind, uint64_t content_length)
{
    *body = (struct http_body){.kind = kind};
    body->left = kind == BODY_LENGTH ? content_length : 0;
}

static enum chunk_state next_of_size(struct http_body *body, char c)
{
    int digit = ascii_hex_value(c);

    if (digit >= 0) {
        if (body->digits == CHUNK_DIGITS_MAX || body->left > (uint64_t)INT64_MAX >> 4) {
            return BROKEN;
        }
        body->digits++;
        body->left = body->left << 4 | (uint64_t)digit;
        return SIZE;
    }
    if (body->digits == 0) {
        return BROKEN;
    }
    switch (c) {
    case '\r':
        return SIZE_LF;
    case ';':
        body->extension_bytes++;
        return EXT;
    case ' ':
    case '\t':
        body->extension_bytes++;
        return BLANKS;
    default:
        return BROKEN;
    }
}

static bool is_value_byte(char c)
{
    return c == '\t' || ((unsigned char)c >= 0x20 && (unsigned char)c != 0x7f);
}

static bool is_token_byte(char c)
{
    return http_is_token((struct str){&c, 1});
}

/* Behind a whole part of an extension: the next one, or the end of the line. */
static enum chunk_state next_of_part(char c, enum chunk_state when_blank)
{
    switch (c) {
    case ';':
        return EXT;
    case '\r':
        return SIZE_LF;
    case ' ':
    case '\t':
        return when_blank;
    default:
        return BROKEN;
    }
}

/* Blanks, and what may follow them. */
static enum chunk_state next_of_blanks(enum chunk_state state, char c)
{
    if (c == ' ' || c == '\t') {
        return state;
    }
    if (c == ';') {
        return EXT;
    }
    return state == EXT_NAME_END && c == '=' ? EXT_IS : BROKEN;
}

static enum chunk_state next_of_value(enum chunk_state state, char c)
{
    if (state == EXT_PAIR) {
        return is_value_byte(c) ? EXT_QUOTED : BROKEN;
    }
    if (state == EXT_QUOTED) {
        return c == '"'           ? EXT_CLOSED
               : c == '\\'        ? EXT_PAIR
               : is_value_byte(c) ? EXT_QUOTED
                                  : BROKEN;
    }
    if (state == EXT_IS && (c == ' ' || c == '\t')) {
        return EXT_IS;
    }
    if (state == EXT_IS && c == '"') {
        return EXT_QUOTED;
    }
    if (state != EXT_CLOSED && is_token_byte(c)) {
        return EXT_VALUE;
    }
    return state == EXT_IS ? BROKEN : next_of_part(c, EXT_VALUE_END);
}

static enum chunk_state next_of_extension(struct http_body *body, enum chunk_state state, char c)
{
    if (c != '\r' && ++body->extension_bytes > LIMIT_CHUNK_EXTENSION_BYTES) {
        return BROKEN;
    }
    switch (state) {
    case EXT:
        return c == ' ' || c == '\t' ? EXT : is_token_byte(c) ? EXT_NAME : BROKEN;
    case EXT_NAME:
        return is_token_byte(c) ? EXT_NAME : c == '=' ? EXT_IS : next_of_part(c, EXT_NAME_END);
    case BLANKS:
    case EXT_NAME_END:
    case EXT_VALUE_END:
        return next_of_blanks(state, c);
    default:
        return next_of_value(state, c);
    }
}

static void keep_name(struct http_body *body, char c)
{
    if (body->name_len < sizeof(body->name)) {
        body->name[body->name_len++] = ascii_lower(c);
    }
}

static enum chunk_state next_of_name(struct http_body *body, char c)
{
    if (is_token_byte(c)) {
        keep_name(body, c);
        return NAME;
    }
    struct str name = {body->name, body->name_len};
    return c == ':' && name_may_trail(name) && !name_is_disguised_framing(name) ? VALUE : BROKEN;
}

static enum chunk_state next_of_trailer(struct http_body *body, enum chunk_state state, char c)
{
    if (++body->trailer_bytes > LIMIT_HEAD_BYTES) {
        return BROKEN;
    }
    switch (state) {
    case TRAILER:
        if (c == '\r') {
            return END_LF;
        }
        body->name_len = 0;
        return ++body->trailers > LIMIT_FIELDS || !is_token_byte(c) ? BROKEN
                                                                    : next_of_name(body, c);
    case NAME:
        return next_of_name(body, c);
    case VALUE:
        return c == '\r' ? VALUE_LF : is_value_byte(c) ? VALUE : BROKEN;
    default:
        return c == '\n' ? TRAILER : BROKEN; /* VALUE_LF */
    }
}

static enum chunk_state next_of_size_line(struct http_body *body, char c)
{
    if (c != '\n') {
        return BROKEN;
    }
    body->digits = 0;
    return body->left == 0 ? TRAILER : DATA;
}

static enum chunk_state next_state(struct http_body *body, enum chunk_state state, char c)
{
    switch (state) {
    case SIZE:
        return next_of_size(body, c);
    case BLANKS:
    case EXT:
    case EXT_NAME:
    case EXT_NAME_END:
    case EXT_IS:
    case EXT_VALUE:
    case EXT_QUOTED:
    case EXT_PAIR:
    case EXT_CLOSED:
    case EXT_VALUE_END:
        return next_of_extension(body, state, c);
    case SIZE_LF:
        return next_of_size_line(body, c);
    case DATA_CR:
        return c == '\r' ? DATA_LF : BROKEN;
    case DATA_LF:
        return c == '\n' ? SIZE : BROKEN;
    case TRAILER:
    case NAME:
    case VALUE:
    case VALUE_LF:
        return next_of_trailer(body, state, c);
    case END_LF:
        return c == '\n' ? ENDED : BROKEN;
    case DATA:
    case ENDED:
    case BROKEN:
        break;
    }
    return BROKEN;
}

static struct str take(struct str *in, uint64_t most)
{
    size_t len = in->len < most ? in->len : (size_t)most;
    struct str taken = str_slice(*in, 0, len);

    *in = str_slice(*in, len, in->len);
    return taken;
}

static enum http_body_result read_chunked(struct http_body *body, struct str *in,
                                          struct str *ret_data)
{
    while (body->state != ENDED && body->state != BROKEN && in->len > 0) {
        if (body->state == DATA) {
            *ret_data = take(in, body->left);
            body->left -= ret_data->len;
            body->state = body->left == 0 ? DATA_CR : DATA;
            return HTTP_BODY_DATA;
        }
        body->state = (int)next_state(body, (enum chunk_state)body->state, in->data[0]);
        *in = str_slice(*in, 1, in->len);
    }
    if (body->state == BROKEN) {
        return HTTP_BODY_BAD;
    }
    return body->state == ENDED ? HTTP_BODY_END : HTTP_BODY_MORE;
}

enum http_body_result http_body_read(struct http_body *body, struct str *in, struct str *ret_data)
{
    switch (body->kind) {
    case BODY_CHUNKED:
        return read_chunked(body, in, ret_data);
    case BODY_LENGTH:
        if (body->left == 0) {
            return HTTP_BODY_END;
        }
        if (in->len == 0) {
            return HTTP_BODY_MORE;
        }
        *ret_data = take(in, body->left);
        body->left -= ret_data->len;
        return HTTP_BODY_DATA;
    case BODY_UNTIL_CLOSE:
        if (in->len == 0) {
            return HTTP_BODY_MORE;
        }
        *ret_data = take(in, in->len);
        return HTTP_BODY_DATA;
    case BODY_NONE:
    case BODY_KIND_COUNT:
        break;
    }
    return HTTP_BODY_END;
}

bool http_body_ended_by_close(const struct http_body *body)
{
    return body->kind == BODY_UNTIL_CLOSE;
}

bool http_write_chunk(struct buf *out, struct str data)
{
    static const char hex[] = "0123456789abcdef";
    char line[CHUNK_DIGITS_MAX + 2];
    size_t at = sizeof(line);
    size_t before = buf_len(out);

    if (data.len == 0) {
        return true; /* an empty chunk would end the body */
    }
    line[--at] = '\n';
    line[--at] = '\r';
    for (uint64_t rest = data.len; rest > 0; rest >>= 4) {
        line[--at] = hex[rest & 15];
    }
    if (buf_add(out, line + at, sizeof(line) - at) && buf_add_str(out, data) &&
        buf_add_str(out, STR("\r\n"))) {
        return true;
    }
    buf_cut(out, before);
    return false;
}

bool http_write_last_chunk(struct buf *out)
{
    return buf_add_str(out, STR("0\r\n\r\n"));
}
