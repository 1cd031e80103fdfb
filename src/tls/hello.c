/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/hello.h"

#include <string.h>

#include "http/url.h"

enum {
    RECORD_HEAD = 5,
    RECORD_MAX = 16 * 1024,
    RECORD_HANDSHAKE = 22,
    MESSAGE_HEAD = 4,
    CLIENT_HELLO = 1,
    RANDOM_BYTES = 32,
    SESSION_ID_MAX = 32,
    EXTENSION_SERVER_NAME = 0,
    NAME_HOST = 0,
    RECORDS_MAX = 64, /* a hello in more pieces is somebody's game */
};

/* What is left to read; a read beyond the end makes it bad, and gives nothing. */
struct cursor {
    struct str rest;
    bool bad;
};

static size_t take_number(struct cursor *from, size_t bytes)
{
    size_t number = 0;

    if (from->rest.len < bytes) {
        from->bad = true;
        return 0;
    }
    for (size_t i = 0; i < bytes; i++) {
        number = number << 8 | (unsigned char)from->rest.data[i];
    }
    from->rest = str_slice(from->rest, bytes, from->rest.len);
    return number;
}

static struct str take_bytes(struct cursor *from, size_t bytes)
{
    if (from->rest.len < bytes) {
        from->bad = true;
        return STR_NONE;
    }
    struct str taken = str_slice(from->rest, 0, bytes);
    from->rest = str_slice(from->rest, bytes, from->rest.len);
    return taken;
}

static struct cursor take_vector(struct cursor *from, size_t length_bytes)
{
    size_t length = take_number(from, length_bytes);
    struct cursor inside = {.rest = take_bytes(from, length)};

    inside.bad = from->bad;
    return inside;
}

bool hello_begins(struct str bytes)
{
    return bytes.len > 0 && (unsigned char)bytes.data[0] == RECORD_HANDSHAKE;
}

/* ---- the message out of its records ---- */

struct message {
    unsigned char bytes[HELLO_BYTES_MAX];
    size_t len;
};

static size_t wanted(const struct message *message)
{
    if (message->len < MESSAGE_HEAD) {
        return MESSAGE_HEAD;
    }
    return MESSAGE_HEAD + ((size_t)message->bytes[1] << 16 | (size_t)message->bytes[2] << 8 |
                           (size_t)message->bytes[3]);
}

static bool is_whole(const struct message *message)
{
    return message->len >= MESSAGE_HEAD && message->len == wanted(message);
}

/* A part of a record is taken too: the type shows early. */
static enum hello_result gather(struct str bytes, struct message *message, const char **ret_why)
{
    for (size_t records = 0; !is_whole(message); records++) {
        if (bytes.len == 0) {
            return HELLO_MORE;
        }
        if ((unsigned char)bytes.data[0] != RECORD_HANDSHAKE || records == RECORDS_MAX ||
            (bytes.len > 1 && bytes.data[1] != 3)) {
            *ret_why = "this is no TLS handshake";
            return HELLO_BAD;
        }
        if (bytes.len < RECORD_HEAD) {
            return HELLO_MORE;
        }
        size_t size = (size_t)(unsigned char)bytes.data[3] << 8 | (unsigned char)bytes.data[4];
        if (size == 0 || size > RECORD_MAX || message->len + size > sizeof(message->bytes)) {
            *ret_why = "the TLS ClientHello is longer than 16 KiB, or empty";
            return HELLO_BAD;
        }
        struct str piece = str_slice(bytes, RECORD_HEAD, RECORD_HEAD + size);
        if (piece.len > 0) {
            memcpy(message->bytes + message->len, piece.data, piece.len);
            message->len += piece.len;
        }
        if (message->len > 0 && message->bytes[0] != CLIENT_HELLO) {
            *ret_why = "the TLS handshake does not begin with a ClientHello";
            return HELLO_BAD;
        }
        if (message->len >= MESSAGE_HEAD &&
            (wanted(message) > sizeof(message->bytes) || message->len > wanted(message))) {
            *ret_why = "the TLS ClientHello is longer than 16 KiB, or has something behind it";
            return HELLO_BAD;
        }
        if (piece.len < size) {
            return HELLO_MORE;
        }
        bytes = str_slice(bytes, RECORD_HEAD + size, bytes.len);
    }
    return HELLO_OK;
}

/* ---- inside ---- */

static bool take_host(struct str name, struct hello *ret)
{
    if (name.len == 0 || name.len > HELLO_HOST_MAX || !url_host_is_name(name)) {
        return false;
    }
    for (size_t i = 0; i < name.len; i++) {
        ret->host[i] = ascii_lower(name.data[i]);
    }
    ret->host[name.len] = '\0';
    return true;
}

/* One host_name, and nothing else: no other type was ever defined. */
static bool read_server_name(struct cursor extension, struct hello *ret)
{
    struct cursor list = take_vector(&extension, 2);
    size_t type = take_number(&list, 1);
    struct cursor name = take_vector(&list, 2);

    return !list.bad && !extension.bad && extension.rest.len == 0 && list.rest.len == 0 &&
           type == NAME_HOST && take_host(name.rest, ret);
}

static bool read_extensions(struct cursor *all, struct hello *ret)
{
    bool named = false;

    while (all->rest.len > 0) {
        size_t type = take_number(all, 2);
        struct cursor extension = take_vector(all, 2);
        if (all->bad || (type == EXTENSION_SERVER_NAME && named)) {
            return false;
        }
        if (type == EXTENSION_SERVER_NAME) {
            named = true;
            if (!read_server_name(extension, ret)) {
                return false;
            }
        }
    }
    return true;
}

static bool read_message(struct str bytes, struct hello *ret)
{
    struct cursor message = {.rest = str_slice(bytes, MESSAGE_HEAD, bytes.len)};

    (void)take_number(&message, 2); /* version */
    (void)take_bytes(&message, RANDOM_BYTES);
    struct cursor session = take_vector(&message, 1);
    struct cursor ciphers = take_vector(&message, 2);
    struct cursor compressions = take_vector(&message, 1);
    if (message.bad || session.rest.len > SESSION_ID_MAX || ciphers.rest.len < 2 ||
        ciphers.rest.len % 2 != 0 || compressions.rest.len == 0) {
        return false;
    }
    if (message.rest.len == 0) {
        return true; /* none: allowed before 1.3 */
    }
    struct cursor extensions = take_vector(&message, 2);
    return !message.bad && message.rest.len == 0 && read_extensions(&extensions, ret);
}

enum hello_result hello_read(struct str bytes, struct hello *ret, const char **ret_why)
{
    struct message message;

    message.len = 0;
    *ret = (struct hello){.host = ""};
    enum hello_result result = gather(bytes, &message, ret_why);
    if (result != HELLO_OK) {
        return result;
    }
    if (!read_message(str_of(message.bytes, message.len), ret)) {
        *ret_why = "the TLS ClientHello is not well-formed, or names no host that is one";
        return HELLO_BAD;
    }
    return HELLO_OK;
}
