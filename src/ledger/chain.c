/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/chain.h"

#include <assert.h>
#include <inttypes.h>
#include <sodium.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/encode.h"
#include "base/wire.h"

/*
 * The order and the set of fields are the format: they stand here once more, apart from the table
 * of the message, so that a new field there changes no hash that was made before.  Whoever adds a
 * hashed field adds a version, and keeps this one for the rows that have it.
 */
enum {
    VERSION = 1,
    FIELD_MAX = 4 * 1024 * 1024, /* above what a message or a database row can hold */
    ENCODED_MAX = 128 * 1024 * 1024,
};

#define TEXT(field) WIRE_STR(struct message_row_audit, field, FIELD_MAX)
#define U64(field) WIRE_U64(struct message_row_audit, field)
#define I64(field) WIRE_I64(struct message_row_audit, field)

static const struct wire_field hashed_fields[] = {
    U64(sequence),
    WIRE_ENUM(struct message_row_audit, event, AUDIT_EVENT_COUNT),
    I64(at_ms),
    TEXT(request_id),
    U64(key),
    TEXT(vendor),
    TEXT(operation),
    TEXT(operation_class),
    WIRE_BOOL(struct message_row_audit, live_mode),
    TEXT(credential),
    U64(credential_version),
    TEXT(account),
    TEXT(method),
    TEXT(query_names),
    TEXT(verdict),
    TEXT(reason),
    TEXT(rule),
    U64(policy_version),
    WIRE_U32(struct message_row_audit, status),
    TEXT(vendor_request_id),
    I64(amount_minor),
    TEXT(currency),
    TEXT(rate),
    I64(reserved),
    I64(settled),
    U64(hold),
    TEXT(hold_state),
    U64(attempt),
    WIRE_DIGEST(struct message_row_audit, idempotency),
    WIRE_DIGEST(struct message_row_audit, body),
    TEXT(levels),
    TEXT(door),
    TEXT(actor),
    U64(bytes_in),
    U64(bytes_out),
    U64(total_us),
    U64(upstream_us),
    TEXT(detail),
    WIRE_DIGEST(struct message_row_audit, personal),
};
static const struct wire_schema hashed_schema =
    WIRE_SCHEMA(struct message_row_audit, hashed_fields);

static const struct wire_field personal_fields[] = {
    WIRE_DIGEST(struct message_row_audit, salt),
    TEXT(path),
    TEXT(objects),
    TEXT(client_run_id),
    TEXT(source),
};
static const struct wire_schema personal_schema =
    WIRE_SCHEMA(struct message_row_audit, personal_fields);

static const char version = VERSION;

static struct digest digest_fields(const struct digest *previous, const struct wire_schema *schema,
                                   const struct message_row_audit *row)
{
    struct buf encoded;

    buf_init(&encoded, ENCODED_MAX);
    bool fits = wire_encode(schema, row, &encoded);
    assert(fits);
    struct str parts[3] = {STR_NONE, str_of(&version, 1), buf_str(&encoded)};
    if (previous != NULL) {
        parts[0] = str_of(previous->bytes, DIGEST_SIZE);
    }
    struct digest out = digest_of_parts(parts, 3);
    buf_clear(&encoded);
    return out;
}

struct digest chain_personal(const struct message_row_audit *row)
{
    return digest_fields(NULL, &personal_schema, row);
}

struct digest chain_next(const struct digest *previous, const struct message_row_audit *row)
{
    return digest_fields(previous, &hashed_schema, row);
}

static void put_digest(unsigned char *at, struct digest digest)
{
    memcpy(at, digest.bytes, DIGEST_SIZE);
}

/*
 * Written, a row is
 *     sequence | hash | event ... detail | salt | personal | path objects client_run_id source
 * of which the first, third and fifth are the hashed fields, and the fourth and sixth the personal.
 */
struct digest chain_seal(const struct digest *previous, const struct message_row_audit *row,
                         unsigned char *written, size_t len)
{
    enum { SEQUENCE = sizeof(uint64_t), LENGTH = sizeof(uint32_t), TEXTS = 4 };
    size_t texts = TEXTS * LENGTH + row->path.len + row->objects.len + row->client_run_id.len +
                   row->source.len;
    const size_t middle = SEQUENCE + DIGEST_SIZE;

    assert(len >= middle + 2 * DIGEST_SIZE + texts);
    unsigned char *end = written + len - texts;
    unsigned char *salt = end - 2 * DIGEST_SIZE, *personal = end - DIGEST_SIZE;
    const struct str personal_parts[] = {str_of(&version, 1), str_of(salt, DIGEST_SIZE),
                                         str_of(end, texts)};
    put_digest(personal,
               digest_of_parts(personal_parts, sizeof(personal_parts) / sizeof(personal_parts[0])));
    const struct str parts[] = {
        str_of(previous->bytes, DIGEST_SIZE), str_of(&version, 1), str_of(written, SEQUENCE),
        str_of(written + middle, (size_t)(salt - written) - middle), str_of(personal, DIGEST_SIZE)};
    struct digest digest = digest_of_parts(parts, sizeof(parts) / sizeof(parts[0]));
    put_digest(written + SEQUENCE, digest);
    return digest;
}

enum chain_personal_state chain_check_personal(const struct message_row_audit *row)
{
    struct digest now = chain_personal(row);

    if (digest_equal(&now, &row->personal)) {
        return CHAIN_PERSONAL_RIGHT;
    }
    bool deleted = digest_is_zero(&row->salt) && row->path.len == 0 && row->objects.len == 0 &&
                   row->client_run_id.len == 0 && row->source.len == 0;
    return deleted ? CHAIN_PERSONAL_DELETED : CHAIN_PERSONAL_WRONG;
}

struct hex_digest {
    char text[2 * DIGEST_SIZE + 1];
};

static struct hex_digest hex_of(const struct digest *digest)
{
    static const char digits[] = "0123456789abcdef";
    struct hex_digest hex;

    for (size_t i = 0; i < DIGEST_SIZE; i++) {
        hex.text[2 * i] = digits[digest->bytes[i] >> 4];
        hex.text[2 * i + 1] = digits[digest->bytes[i] & 15];
    }
    hex.text[2 * DIGEST_SIZE] = '\0';
    return hex;
}

struct chain_head_text chain_head_text(uint64_t sequence, const struct digest *head)
{
    struct chain_head_text out;

    (void)snprintf(out.text, sizeof(out.text), "%" PRIu64 ":%s", sequence, hex_of(head).text);
    return out;
}

bool chain_parse_head(struct str text, uint64_t *ret_sequence, struct digest *ret_head)
{
    struct str rest = text;
    struct str number = str_take_until(&rest, ':');
    struct digest head;
    uint64_t sequence;

    if (!str_to_u64(number, &sequence) || rest.len != 2 * DIGEST_SIZE ||
        !hex_decode(rest, head.bytes, sizeof(head.bytes))) {
        return false;
    }
    *ret_sequence = sequence;
    *ret_head = head;
    return true;
}

struct chain_signed_text chain_signed_text(uint64_t sequence, const struct digest *head,
                                           int64_t at_ms)
{
    struct chain_signed_text out;

    (void)snprintf(out.text, sizeof(out.text), "keybrake audit head\n%" PRIu64 "\n%s\n%" PRId64,
                   sequence, hex_of(head).text, at_ms);
    return out;
}

/* `text` is `size` raw bytes, or as many in hex. */
static bool raw_or_hex(struct str text, unsigned char *out, size_t size)
{
    if (text.len == size) {
        memcpy(out, text.data, size);
        return true;
    }
    return text.len == 2 * size && hex_decode(text, out, size);
}

bool chain_signature_is_good(uint64_t sequence, const struct digest *head, int64_t at_ms,
                             struct str signature, struct str public_key)
{
    struct chain_signed_text text = chain_signed_text(sequence, head, at_ms);
    unsigned char raw_signature[crypto_sign_BYTES];
    unsigned char raw_key[crypto_sign_PUBLICKEYBYTES];

    return raw_or_hex(signature, raw_signature, sizeof(raw_signature)) &&
           raw_or_hex(public_key, raw_key, sizeof(raw_key)) &&
           crypto_sign_verify_detached(raw_signature, (const unsigned char *)text.text,
                                       strlen(text.text), raw_key) == 0;
}
