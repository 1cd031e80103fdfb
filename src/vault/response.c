/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/response.h"

#include <stdlib.h>
#include <string.h>
#define ZLIB_CONST
#include <zlib.h>

#include "base/limits.h"
#include "base/mem.h"

enum { PIECE = 16 * 1024 };

/* ---- fields ---- */

enum coding response_coding(const struct http_head *head)
{
    static const struct str name = {"content-encoding", 16};
    size_t count = http_field_count(head, name);

    if (count == 0) {
        return CODING_IDENTITY;
    }
    const struct str *value = http_field(head, name);
    if (value == NULL) {
        return CODING_OTHER; /* more than one */
    }
    if (value->len == 0 || str_equal_nocase(*value, STR("identity"))) {
        return CODING_IDENTITY;
    }
    if (str_equal_nocase(*value, STR("gzip")) || str_equal_nocase(*value, STR("x-gzip"))) {
        return CODING_GZIP;
    }
    return str_equal_nocase(*value, STR("deflate")) ? CODING_DEFLATE : CODING_OTHER;
}

static struct str media_type(const struct http_head *head)
{
    const struct str *value = http_field(head, STR("content-type"));

    if (value == NULL) {
        return STR_NONE;
    }
    return str_trim(str_slice(*value, 0, str_index(*value, ';', 0)));
}

bool response_is_json(const struct http_head *head)
{
    struct str type = media_type(head);
    struct str suffix = STR("+json");

    return str_equal_nocase(type, STR("application/json")) ||
           (type.len > suffix.len &&
            str_equal_nocase(str_slice(type, type.len - suffix.len, type.len), suffix));
}

bool response_is_stream(const struct http_head *head)
{
    return str_equal_nocase(media_type(head), STR("text/event-stream"));
}

#define ENTRY(text)                                                                                \
    {                                                                                              \
        text, sizeof(text) - 1                                                                     \
    }

static bool is_dropped(const struct http_head *head, struct str name,
                       const struct response_rules *rules)
{
    static const struct str dropped[] = {
        ENTRY("set-cookie"),
        ENTRY("set-cookie2"),
        ENTRY("alt-svc"),
        ENTRY("refresh"),
        ENTRY("content-length"),
        ENTRY("via"),
        ENTRY("proxy-authenticate"),
        ENTRY("proxy-authentication-info"),
    };

    for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
        if (str_equal(name, dropped[i])) {
            return true;
        }
    }
    if (str_starts(name, STR("keybrake-"))) {
        return true;
    }
    if (rules->decoded && str_equal(name, STR("content-encoding"))) {
        return true;
    }
    return http_is_hop_by_hop(head, name);
}

/* ---- Location ---- */

static bool is_own_host(struct str authority, bool tls, const struct url *target)
{
    struct str host;
    unsigned port;

    if (!url_split_authority(authority, &host, &port)) {
        return false;
    }
    if (port == 0) {
        port = tls ? 443 : 80;
    }
    return tls == target->tls && port == target->port && str_equal_nocase(host, target->host);
}

static bool take_nocase(struct str *s, struct str prefix)
{
    if (s->len < prefix.len || !str_equal_nocase(str_slice(*s, 0, prefix.len), prefix)) {
        return false;
    }
    *s = str_slice(*s, prefix.len, s->len);
    return true;
}

/* Takes "scheme://authority" off, leaving the path.  False when it leads elsewhere. */
static bool take_own_origin(struct str *location, const struct url *target)
{
    bool tls = target->tls;

    if (take_nocase(location, STR("https://"))) {
        tls = true;
    } else if (take_nocase(location, STR("http://"))) {
        tls = false;
    } else if (!take_nocase(location, STR("//"))) {
        return location->len > 0 && location->data[0] == '/';
    }
    size_t end = 0;
    while (end < location->len && memchr("/?#", location->data[end], 3) == NULL) {
        end++;
    }
    bool own = is_own_host(str_slice(*location, 0, end), tls, target);
    *location = str_slice(*location, end, location->len);
    return own;
}

static bool is_plain_reference(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.data[i];
        if (c <= ' ' || c >= 0x7f || c == '\\') {
            return false;
        }
    }
    return true;
}

bool response_rewrite_location(struct str location, const struct response_rules *rules,
                               struct buf *scratch, struct str *ret)
{
    size_t before = buf_len(scratch);

    if (rules->door_base.len == 0 || !is_plain_reference(location) ||
        !take_own_origin(&location, rules->target)) {
        return false;
    }
    struct str prefix = rules->target->prefix;
    if (prefix.len > 0) {
        if (!str_starts(location, prefix)) {
            return false;
        }
        location = str_slice(location, prefix.len, location.len);
    }
    if (location.len > 0 && memchr("/?#", location.data[0], 3) == NULL) {
        return false; /* "/apix" is not below "/api" */
    }
    if (str_starts(location, STR("//"))) {
        return false;
    }
    if (!buf_add_str(scratch, rules->door_base) || !buf_add_str(scratch, location)) {
        buf_cut(scratch, before);
        return false;
    }
    *ret = str_slice(buf_str(scratch), before, buf_len(scratch));
    return true;
}

size_t response_filter(const struct http_head *head, const struct response_rules *rules,
                       struct buf *scratch, struct message_header *ret)
{
    size_t count = 0;
    bool located = false;

    for (size_t i = 0; i < head->field_count; i++) {
        const struct message_header *field = &head->fields[i];
        if (is_dropped(head, field->name, rules)) {
            continue;
        }
        ret[count] = *field;
        if (str_equal(field->name, STR("location"))) {
            /* At most one, so that writing it cannot move another. */
            if (located || buf_room(scratch, field->value.len + rules->door_base.len) == NULL ||
                !response_rewrite_location(field->value, rules, scratch, &ret[count].value)) {
                continue;
            }
            located = true;
        }
        count++;
    }
    return count;
}

/* ---- decoding ---- */

struct decoder {
    z_stream stream;
    bool ended;
    uint64_t coded, bytes; /* taken, made */
};

/* zlib's window holds the last 32 KiB of what a vendor answered, unscrubbed. */
static void *take_memory(void *ctx, unsigned count, unsigned size)
{
    size_t bytes = (size_t)count * size + sizeof(size_t) * 2;
    size_t *block = mem_zeroed(bytes);

    (void)ctx;
    block[0] = bytes;
    return block + 2;
}

static void give_memory(void *ctx, void *memory)
{
    size_t *block = (size_t *)memory - 2;

    (void)ctx;
    mem_wipe(block, block[0]);
    free(block);
}

struct decoder *decoder_new(enum coding coding)
{
    struct decoder *decoder = mem_zeroed(sizeof(*decoder));

    decoder->stream.zalloc = take_memory;
    decoder->stream.zfree = give_memory;
    if (inflateInit2(&decoder->stream, coding == CODING_GZIP ? 16 + MAX_WBITS : MAX_WBITS) !=
        Z_OK) {
        abort();
    }
    return decoder;
}

void decoder_free(struct decoder *decoder)
{
    if (decoder == NULL) {
        return;
    }
    (void)inflateEnd(&decoder->stream);
    free(decoder);
}

bool decoder_is_complete(const struct decoder *decoder)
{
    return decoder->ended;
}

/* Text as vendors send it shrinks to a tenth; what shrinks to a thousandth was made to. */
static bool is_bomb(const struct decoder *decoder)
{
    return decoder->bytes > LIMIT_DECODED_BYTES ||
           decoder->bytes > LIMIT_DECODED_FREE_BYTES + decoder->coded * LIMIT_DECODED_RATIO;
}

enum decoded decoder_run(struct decoder *decoder, struct str *in, struct buf *out)
{
    z_stream *stream = &decoder->stream;
    unsigned char *room = buf_room(out, PIECE);

    if (decoder->ended || room == NULL) {
        return in->len == 0 && decoder->ended ? DECODED_MORE : DECODED_BAD;
    }
    stream->next_in = (const unsigned char *)in->data;
    stream->avail_in = in->len > PIECE ? PIECE : (unsigned)in->len;
    unsigned offered = stream->avail_in;
    stream->next_out = room;
    stream->avail_out = PIECE;
    int rc = inflate(stream, Z_SYNC_FLUSH);
    size_t made = PIECE - stream->avail_out;
    size_t used = offered - stream->avail_in;
    buf_added(out, made);
    decoder->bytes += made;
    *in = str_slice(*in, used, in->len);
    if (rc == Z_STREAM_END) {
        decoder->ended = true;
        return in->len > 0 ? DECODED_BAD : made > 0 ? DECODED_OUT : DECODED_MORE;
    }
    decoder->coded += used;
    if ((rc != Z_OK && rc != Z_BUF_ERROR) || is_bomb(decoder)) {
        return DECODED_BAD;
    }
    if (made > 0) {
        return DECODED_OUT;
    }
    /* No progress at all would be a loop without end. */
    return in->len == 0 ? DECODED_MORE : used > 0 ? DECODED_OUT : DECODED_BAD;
}
