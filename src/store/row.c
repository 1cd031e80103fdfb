/* SPDX-License-Identifier: Apache-2.0 */
#include "store/row.h"

#include <assert.h>
#include <sodium.h>
#include <string.h>

/* The columns whose strings are not text.  By name: a flag in the wire schema would be about the
 * store, which the messages do not know. */
static bool is_blob(const struct wire_field *field)
{
    switch (field->name[0]) {
    case 'p':
        return strcmp(field->name, "policy") == 0 || strcmp(field->name, "public_key") == 0;
    case 's':
        return strcmp(field->name, "sealed") == 0 || strcmp(field->name, "signature") == 0;
    default:
        return false;
    }
}

static void bind_str(sqlite3_stmt *statement, int at, const struct wire_field *field,
                     struct str text)
{
    const char *data = text.len == 0 ? "" : text.data;
    int len = (int)text.len;

    assert(text.len <= field->max);
    if (is_blob(field)) {
        (void)sqlite3_bind_blob(statement, at, data, len, SQLITE_STATIC);
    } else {
        (void)sqlite3_bind_text(statement, at, data, len, SQLITE_STATIC);
    }
}

static void bind_digest(sqlite3_stmt *statement, int at, const struct digest *digest)
{
    if (digest_is_zero(digest)) {
        (void)sqlite3_bind_null(statement, at);
    } else {
        (void)sqlite3_bind_blob(statement, at, digest->bytes, DIGEST_SIZE, SQLITE_STATIC);
    }
}

static void bind_field(sqlite3_stmt *statement, int at, const struct wire_field *field,
                       const unsigned char *from)
{
    bool flag;
    int small;
    uint32_t u32;
    int64_t i64;
    struct str text;

    switch (field->kind) {
    case WIRE_KIND_BOOL:
        memcpy(&flag, from, sizeof(flag));
        (void)sqlite3_bind_int(statement, at, flag);
        return;
    case WIRE_KIND_ENUM:
        memcpy(&small, from, sizeof(small));
        (void)sqlite3_bind_int(statement, at, small);
        return;
    case WIRE_KIND_U32:
        memcpy(&u32, from, sizeof(u32));
        (void)sqlite3_bind_int64(statement, at, u32);
        return;
    case WIRE_KIND_U64: /* the same 64 bits, as SQLite knows them */
    case WIRE_KIND_I64:
        memcpy(&i64, from, sizeof(i64));
        (void)sqlite3_bind_int64(statement, at, i64);
        return;
    case WIRE_KIND_STR:
        memcpy(&text, from, sizeof(text));
        bind_str(statement, at, field, text);
        return;
    case WIRE_KIND_DIGEST:
        bind_digest(statement, at, (const struct digest *)(const void *)from);
        return;
    case WIRE_KIND_STRUCT:
    case WIRE_KIND_ARRAY:
        break; /* no row has one */
    }
    assert(false); /* no row has a field of another kind */
}

void row_bind(sqlite3_stmt *statement, const struct wire_schema *schema, const void *message)
{
    for (size_t i = 0; i < schema->count; i++) {
        const struct wire_field *field = &schema->fields[i];
        bind_field(statement, (int)i + 1, field, (const unsigned char *)message + field->offset);
    }
}

struct str row_text(sqlite3_stmt *statement, int column)
{
    /* In this order: the first call may move the bytes that the second one counts. */
    const void *data = sqlite3_column_blob(statement, column);
    int len = sqlite3_column_bytes(statement, column);

    return len == 0 ? STR_NONE : str_of(data, (size_t)len);
}

static bool read_number(sqlite3_stmt *statement, int column, const struct wire_field *field,
                        unsigned char *to)
{
    int64_t number = sqlite3_column_int64(statement, column);

    if (sqlite3_column_type(statement, column) != SQLITE_INTEGER) {
        return false;
    }
    if (field->kind == WIRE_KIND_BOOL) {
        bool flag = number == 1;
        memcpy(to, &flag, sizeof(flag));
        return number == 0 || number == 1;
    }
    if (field->kind == WIRE_KIND_ENUM) {
        int small = (int)number;
        memcpy(to, &small, sizeof(small));
        return number >= 0 && (uint64_t)number < field->max;
    }
    if (field->kind == WIRE_KIND_U32) {
        uint32_t u32 = (uint32_t)number;
        memcpy(to, &u32, sizeof(u32));
        return number >= 0 && number <= UINT32_MAX;
    }
    memcpy(to, &number, sizeof(number));
    return true;
}

static bool read_field(sqlite3_stmt *statement, int column, const struct wire_field *field,
                       unsigned char *to)
{
    int type = sqlite3_column_type(statement, column);

    if (field->kind == WIRE_KIND_STR) {
        struct str text = row_text(statement, column);
        memcpy(to, &text, sizeof(text));
        return type == (is_blob(field) ? SQLITE_BLOB : SQLITE_TEXT) && text.len <= field->max;
    }
    if (field->kind == WIRE_KIND_DIGEST) {
        struct str bytes = row_text(statement, column);
        memset(to, 0, DIGEST_SIZE);
        if (type == SQLITE_BLOB && bytes.len == DIGEST_SIZE) {
            memcpy(to, bytes.data, DIGEST_SIZE);
            return true;
        }
        return type == SQLITE_NULL;
    }
    return read_number(statement, column, field, to);
}

bool row_read(sqlite3_stmt *statement, const struct wire_schema *schema, void *ret_message)
{
    memset(ret_message, 0, schema->size);
    for (size_t i = 0; i < schema->count; i++) {
        const struct wire_field *field = &schema->fields[i];
        if (!read_field(statement, (int)i, field, (unsigned char *)ret_message + field->offset)) {
            return false;
        }
    }
    return true;
}

int64_t row_checksum(const struct wire_schema *schema, const void *message)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "keybrake row 01";
    unsigned char sum[crypto_shorthash_BYTES];
    struct buf encoded;
    int64_t number;

    buf_init(&encoded, 4 * 1024 * 1024);
    bool fits = wire_encode(schema, message, &encoded);
    assert(fits);
    struct str bytes = buf_str(&encoded);
    (void)crypto_shorthash(sum, (const unsigned char *)bytes.data, bytes.len, key);
    buf_clear(&encoded);
    memcpy(&number, sum, sizeof(number));
    return number;
}
