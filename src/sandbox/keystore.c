/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     PFX          version 3, and as data, each in an octet string of its own:
 *       AuthenticatedSafe   a sequence of one element, and as data:
 *         SafeContents        a sequence of entries (RFC 7292, section 4)
 */
#include "sandbox/keystore.h"

#include "base/encode.h"

enum {
    OCTETS = 0x04,
    SEQUENCE = 0x30,
    EXPLICIT = 0xa0, /* [0] */
    LAYERS = 10,
};

static const unsigned char is_data[] = {0x06, 0x09, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x07, 0x01};
static const unsigned char is_certificate_bag[] = {0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7,
                                                   0x0d, 0x01, 0x0c, 0x0a, 0x01, 0x03};
static const unsigned char is_x509[] = {0x06, 0x0a, 0x2a, 0x86, 0x48, 0x86,
                                        0xf7, 0x0d, 0x01, 0x09, 0x16, 0x01};
static const unsigned char version_3[] = {0x02, 0x01, 0x03};
/* Java's own attribute (2.16.840.1.113894.746875.1.1), without which a certificate is there but not
 * trusted: for any use (2.5.29.37.0). */
static const unsigned char is_trusted[] = {0x31, 0x18, 0x30, 0x16, 0x06, 0x0c, 0x60, 0x86, 0x48,
                                           0x01, 0x86, 0xf9, 0x66, 0xad, 0xca, 0x7b, 0x01, 0x01,
                                           0x31, 0x06, 0x06, 0x04, 0x55, 0x1d, 0x25, 0x00};

/* What stands around something is written from the inside out, each with what follows its head. */
struct layer {
    unsigned char tag;
    struct str before, after;
};

#define BYTES(array) str_of((array), sizeof(array))

static size_t head_len(size_t len)
{
    return len < 0x80 ? 2 : len < 0x100 ? 3 : len < 0x10000 ? 4 : 5;
}

static void put_head(struct buf *out, unsigned char tag, size_t len)
{
    size_t bytes = head_len(len) - 2;

    (void)buf_add_char(out, (char)tag);
    (void)buf_add_char(out, (char)(bytes == 0 ? len : 0x80 | bytes));
    for (size_t i = bytes; i > 0; i--) {
        (void)buf_add_char(out, (char)(len >> (8 * (i - 1)) & 0xff));
    }
}

/* What stands before a content of that length; `layers` from the outermost inwards. */
static void put_heads(struct buf *out, const struct layer *layers, size_t count, size_t len)
{
    size_t lens[LAYERS];

    for (size_t i = count; i > 0; i--) {
        len += layers[i - 1].before.len + layers[i - 1].after.len;
        lens[i - 1] = len;
        len += head_len(len);
    }
    for (size_t i = 0; i < count; i++) {
        put_head(out, layers[i].tag, lens[i]);
        (void)buf_add_str(out, layers[i].before);
    }
}

static bool add_one(struct buf *entries, struct str certificate)
{
    const struct layer layers[] = {
        {SEQUENCE, BYTES(is_certificate_bag), BYTES(is_trusted)},
        {EXPLICIT, STR_NONE, STR_NONE},
        {SEQUENCE, BYTES(is_x509), STR_NONE},
        {EXPLICIT, STR_NONE, STR_NONE},
        {OCTETS, STR_NONE, STR_NONE},
    };

    put_heads(entries, layers, sizeof(layers) / sizeof(layers[0]), certificate.len);
    (void)buf_add_str(entries, certificate);
    (void)buf_add_str(entries, layers[0].after); /* the only one that has something */
    return !entries->overflow;
}

static bool end_block(struct buf *entries, const struct buf *text, struct buf *certificate)
{
    buf_cut(certificate, 0);
    return !text->overflow && buf_len(text) > 0 && base64_decode(certificate, buf_str(text)) &&
           add_one(entries, buf_str(certificate));
}

static struct str next_line(struct str *text)
{
    struct str line = str_take_until(text, '\n');

    if (line.len > 0 && line.data[line.len - 1] == '\r') {
        line.len--;
    }
    return str_trim(line);
}

bool keystore_add(struct buf *entries, struct str pem)
{
    struct buf text, certificate;
    bool inside = false, good = true;

    buf_init(&text, 2 * KEYSTORE_CERTIFICATE_MAX);
    buf_init(&certificate, KEYSTORE_CERTIFICATE_MAX);
    (void)buf_room(entries, pem.len); /* mostly enough for all of them, in one go */
    while (good && pem.len > 0) {
        struct str line = next_line(&pem);
        if (str_equal(line, STR("-----BEGIN CERTIFICATE-----"))) {
            inside = true;
            buf_cut(&text, 0);
        } else if (inside && str_equal(line, STR("-----END CERTIFICATE-----"))) {
            inside = false;
            good = end_block(entries, &text, &certificate);
        } else if (inside) {
            (void)buf_add_str(&text, line);
        }
    }
    buf_clear(&text);
    buf_clear(&certificate);
    return good;
}

bool keystore_head(struct buf *out, size_t entries_len)
{
    const struct layer layers[] = {
        {SEQUENCE, BYTES(version_3), STR_NONE}, /* PFX */
        {SEQUENCE, BYTES(is_data), STR_NONE},
        {EXPLICIT, STR_NONE, STR_NONE},
        {OCTETS, STR_NONE, STR_NONE},
        {SEQUENCE, STR_NONE, STR_NONE}, /* AuthenticatedSafe */
        {SEQUENCE, BYTES(is_data), STR_NONE},
        {EXPLICIT, STR_NONE, STR_NONE},
        {OCTETS, STR_NONE, STR_NONE},
        {SEQUENCE, STR_NONE, STR_NONE}, /* SafeContents */
    };

    put_heads(out, layers, sizeof(layers) / sizeof(layers[0]), entries_len);
    return !out->overflow;
}
