/* SPDX-License-Identifier: Apache-2.0 */
#include "ledger/chain.h"

#include <sodium.h>

#include "base/encode.h"
#include "base/test.h"

static struct message_row_audit sample(void)
{
    struct message_row_audit row = {
        .sequence = 7,
        .event = AUDIT_REQUEST,
        .at_ms = 1795425650123,
        .request_id = STR("req_0123456789abcdef"),
        .key = 3,
        .vendor = STR("stripe"),
        .operation = STR("charges.create"),
        .operation_class = STR("pay"),
        .credential = STR("stripe"),
        .credential_version = 2,
        .method = STR("POST"),
        .verdict = STR("allowed"),
        .rule = STR("POST /v1/charges"),
        .status = 200,
        .amount_minor = 5000,
        .currency = STR("usd"),
        .reserved = 50000000000,
        .hold = 11,
        .hold_state = STR("open"),
        .door = STR("prefix"),
        .path = STR("/v1/charges"),
        .client_run_id = STR("run 1"),
        .source = STR("127.0.0.1"),
    };
    memset(row.salt.bytes, 0x5a, DIGEST_SIZE);
    row.personal = chain_personal(&row);
    return row;
}

static bool is_outside(const char *name)
{
    static const char *const outside[] = {"hash",    "salt",          "path",
                                          "objects", "client_run_id", "source"};

    for (size_t i = 0; i < sizeof(outside) / sizeof(outside[0]); i++) {
        if (strcmp(name, outside[i]) == 0) {
            return true;
        }
    }
    return false;
}

/* Changes one field by as little as its kind allows. */
static void nudge(struct message_row_audit *row, const struct wire_field *field)
{
    unsigned char *at = (unsigned char *)row + field->offset;

    if (field->kind == WIRE_KIND_STR) {
        struct str text;
        memcpy(&text, at, sizeof(text));
        text = text.len == 0 ? STR("x") : str_slice(text, 0, text.len - 1);
        memcpy(at, &text, sizeof(text));
        return;
    }
    at[0] ^= 1;
}

/* By the message's own table: a field that is added there and not here fails this test. */
static void test_every_field(void)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_AUDIT);
    struct digest previous = digest_of(STR("before"));
    struct message_row_audit row = sample();
    struct digest hash = chain_next(&previous, &row);

    for (size_t i = 0; i < schema->count; i++) {
        struct message_row_audit other = sample();
        nudge(&other, &schema->fields[i]);
        struct digest changed = chain_next(&previous, &other);
        CHECK_CASE(digest_equal(&hash, &changed) == is_outside(schema->fields[i].name),
                   schema->fields[i].name);
    }
    previous.bytes[31] ^= 0x80;
    struct digest elsewhere = chain_next(&previous, &row);
    CHECK(!digest_equal(&hash, &elsewhere));
}

/* Text that moves from one field into the next is another row. */
static void test_borders(void)
{
    struct digest zero = {{0}};
    struct message_row_audit a = {.vendor = STR("ab"), .operation = STR("c")};
    struct message_row_audit b = {.vendor = STR("a"), .operation = STR("bc")};
    struct digest hash_a = chain_next(&zero, &a), hash_b = chain_next(&zero, &b);
    CHECK(!digest_equal(&hash_a, &hash_b));

    struct message_row_audit c = {.path = STR("ab"), .objects = STR("c")};
    struct message_row_audit d = {.path = STR("a"), .objects = STR("bc")};
    struct digest personal_c = chain_personal(&c), personal_d = chain_personal(&d);
    CHECK(!digest_equal(&personal_c, &personal_d));
}

static void test_personal(void)
{
    struct digest previous = digest_of(STR("before"));
    struct message_row_audit row = sample();
    struct digest hash = chain_next(&previous, &row);
    CHECK(chain_check_personal(&row) == CHAIN_PERSONAL_RIGHT);

    static const struct wire_field fields[] = {
        WIRE_DIGEST(struct message_row_audit, salt),
        WIRE_STR(struct message_row_audit, path, 1),
        WIRE_STR(struct message_row_audit, objects, 1),
        WIRE_STR(struct message_row_audit, client_run_id, 1),
        WIRE_STR(struct message_row_audit, source, 1),
    };
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        struct message_row_audit other = sample();
        nudge(&other, &fields[i]);
        CHECK_CASE(chain_check_personal(&other) == CHAIN_PERSONAL_WRONG, fields[i].name);
    }

    row.path = row.objects = row.client_run_id = row.source = STR_NONE;
    CHECK(chain_check_personal(&row) == CHAIN_PERSONAL_WRONG); /* the salt is still there */
    memset(row.salt.bytes, 0, DIGEST_SIZE);
    CHECK(chain_check_personal(&row) == CHAIN_PERSONAL_DELETED);
    struct digest after = chain_next(&previous, &row);
    CHECK(digest_equal(&hash, &after));

    struct message_row_audit none = {.sequence = 1};
    none.personal = chain_personal(&none);
    CHECK(chain_check_personal(&none) == CHAIN_PERSONAL_RIGHT);
}

static bool is_hex(struct digest digest, const char *hex)
{
    unsigned char expected[DIGEST_SIZE];
    return hex_decode(str_from(hex), expected, sizeof(expected)) &&
           memcmp(digest.bytes, expected, DIGEST_SIZE) == 0;
}

/* Computed from the description in docs/audit.md by another program. */
static void test_vectors(void)
{
    struct digest zero = {{0}};
    struct message_row_audit empty = {0};
    CHECK(is_hex(chain_personal(&empty),
                 "ae2fc6808ad6cbb7542ba578c8dbedc5bb8e93871b45f6880260a27c6391bb40"));
    CHECK(is_hex(chain_next(&zero, &empty),
                 "a011fde698c6d2bcf62e55421bd6a387937776c9765684777ae311edeee4432c"));
    struct message_row_audit row = sample();
    CHECK(is_hex(row.personal, "dee6d3c0517713f852e5d5a13bfe7a3e55834de134af927749080a8e0de9b002"));
    CHECK(is_hex(chain_next(&zero, &row),
                 "c3e0e4d0c6deb39520f90fcd4eeb03a1a3b15445a68d6988307e9ecd380102e2"));
}

static bool seals(const struct digest *previous, struct message_row_audit row)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_AUDIT);
    struct message_row_audit sealed = row;
    struct buf bytes, right;

    memset(row.hash.bytes, 0xee, DIGEST_SIZE); /* what stands there does not count */
    memset(row.personal.bytes, 0xdd, DIGEST_SIZE);
    sealed.personal = chain_personal(&row);
    sealed.hash = chain_next(previous, &sealed);
    buf_init(&bytes, 65536);
    buf_init(&right, 65536);
    CHECK(wire_encode(schema, &row, &bytes) && wire_encode(schema, &sealed, &right));
    struct digest hash = chain_seal(previous, &row, bytes.data + bytes.start, buf_len(&bytes));
    bool same = digest_equal(&hash, &sealed.hash) && str_equal(buf_str(&bytes), buf_str(&right));
    buf_clear(&bytes);
    buf_clear(&right);
    return same;
}

static void test_seal(void)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_AUDIT);
    struct digest previous = digest_of(STR("before"));

    CHECK(seals(&previous, (struct message_row_audit){0}));
    CHECK(seals(&previous, sample()));
    for (size_t i = 0; i < schema->count; i++) {
        struct message_row_audit row = sample();
        if (schema->fields[i].kind != WIRE_KIND_ENUM) {
            nudge(&row, &schema->fields[i]);
        }
        CHECK_CASE(seals(&previous, row), schema->fields[i].name);
    }
}

static void test_head_text(void)
{
    struct digest head = digest_of(STR("x")), parsed;
    uint64_t sequence = 0;
    struct chain_head_text text = chain_head_text(UINT64_MAX, &head);
    CHECK(strlen(text.text) == CHAIN_HEAD_TEXT_SIZE - 1);
    CHECK(chain_parse_head(str_from(text.text), &sequence, &parsed));
    CHECK(sequence == UINT64_MAX && digest_equal(&head, &parsed));

    static const char *const bad[] = {
        "",
        "12",
        "12:",
        ":2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "-1:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "1 2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
        "1:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a488",
        "1:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a48811",
        "1:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a488g",
        "18446744073709551616:2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK_CASE(!chain_parse_head(str_from(bad[i]), &sequence, &parsed), bad[i]);
    }
}

static void test_signature(void)
{
    unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
    unsigned char signature[crypto_sign_BYTES];
    char hex_signature[2 * crypto_sign_BYTES + 1], hex_key[2 * crypto_sign_PUBLICKEYBYTES + 1];
    struct digest head = digest_of(STR("x"));

    (void)crypto_sign_keypair(public_key, secret_key);
    struct chain_signed_text text = chain_signed_text(12, &head, 1795425650123);
    CHECK(strcmp(text.text, "keybrake audit head\n12\n"
                            "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881\n"
                            "1795425650123") == 0);
    (void)crypto_sign_detached(signature, NULL, (const unsigned char *)text.text, strlen(text.text),
                               secret_key);
    struct str raw = str_of(signature, sizeof(signature));
    struct str key = str_of(public_key, sizeof(public_key));
    CHECK(chain_signature_is_good(12, &head, 1795425650123, raw, key));
    CHECK(!chain_signature_is_good(13, &head, 1795425650123, raw, key));
    CHECK(!chain_signature_is_good(12, &head, 1795425650124, raw, key));
    struct digest other = digest_of(STR("y"));
    CHECK(!chain_signature_is_good(12, &other, 1795425650123, raw, key));
    CHECK(!chain_signature_is_good(12, &head, 1795425650123, STR_NONE, key));
    CHECK(!chain_signature_is_good(12, &head, 1795425650123, raw, STR_NONE));

    (void)sodium_bin2hex(hex_signature, sizeof(hex_signature), signature, sizeof(signature));
    (void)sodium_bin2hex(hex_key, sizeof(hex_key), public_key, sizeof(public_key));
    CHECK(chain_signature_is_good(12, &head, 1795425650123, str_from(hex_signature),
                                  str_from(hex_key)));
    signature[5] ^= 1;
    CHECK(!chain_signature_is_good(12, &head, 1795425650123, raw, key));
    hex_signature[0] = 'g';
    CHECK(!chain_signature_is_good(12, &head, 1795425650123, str_from(hex_signature),
                                   str_from(hex_key)));
}

int main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }
    test_every_field();
    test_borders();
    test_personal();
    test_vectors();
    test_seal();
    test_head_text();
    test_signature();
    return test_done();
}
