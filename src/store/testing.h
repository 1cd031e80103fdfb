/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: a store, and rows of every type for it.
 */
#ifndef STORE_TESTING_H
#define STORE_TESTING_H

#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/test.h"
#include "ledger/chain.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/store.h"

static inline int create(const char *dir, struct err *err)
{
    const struct message_row_meta metas[] = {
        {STR("signing_public_key"), STR("00ff")},
        {STR("idempotency_secret"), STR("abc")},
    };
    const struct message_row_operator admin = {
        .token = 1, .name = STR("admin"), .role = OPERATOR_ADMIN, .token_digest = {{1, 2, 3}}};
    const struct store_seed seed = {metas, 2, &admin, 1};

    return store_create(dir, &seed, err);
}

static inline struct store *open_new(const char *dir, uint32_t pages_max)
{
    struct err err = {""};

    CHECK_CASE(create(dir, &err) == 0, err.text);
    struct store *store = store_open(dir, pages_max, &err);
    CHECK_CASE(store != NULL, err.text);
    return store;
}

static inline struct store *reopen(struct store *store, const char *dir)
{
    struct err err = {""};

    store_close(store);
    store = store_open(dir, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    return store;
}

static inline void put(struct store *store, enum message_type type, const void *row)
{
    struct err err = {""};
    CHECK_CASE(store_put(store, type, row, &err) == STORE_DONE, err.text);
}

static inline void commit(struct store *store)
{
    struct err err = {""};
    CHECK_CASE(store_commit(store, &err) == STORE_DONE, err.text);
}

/* ---- rows of every type, each field with something in it ---- */

struct any_row {
    union {
        struct message_row_audit audit; /* the largest */
        unsigned char bytes[sizeof(struct message_row_audit)];
    } u;
    char texts[64][40];
};

static inline void fill_field(const struct wire_field *field, unsigned char *at, size_t n,
                              char *text, size_t text_size)
{
    uint64_t number = 1000 + n;
    uint32_t u32 = (uint32_t)number;
    int small = field->max > 1 ? 1 : 0;
    bool flag = true;
    struct str str;

    switch (field->kind) {
    case WIRE_KIND_BOOL:
        memcpy(at, &flag, sizeof(flag));
        return;
    case WIRE_KIND_ENUM:
        memcpy(at, &small, sizeof(small));
        return;
    case WIRE_KIND_U32:
        memcpy(at, &u32, sizeof(u32));
        return;
    case WIRE_KIND_U64:
    case WIRE_KIND_I64:
        memcpy(at, &number, sizeof(number));
        return;
    case WIRE_KIND_DIGEST:
        memset(at, (int)(n + 1), DIGEST_SIZE);
        return;
    default:
        /* With a NUL and bytes that are not UTF-8 in it: they must come back as they are. */
        (void)snprintf(text, text_size, "%zu.\xff\xfe..", n);
        str = str_of(text, strlen(text) + 1);
        memcpy(at, &str, sizeof(str));
        return;
    }
}

static inline void fill_row(struct any_row *row, enum message_type type)
{
    const struct wire_schema *schema = message_schema(type);

    memset(row, 0, sizeof(*row));
    for (size_t i = 0; i < schema->count; i++) {
        fill_field(&schema->fields[i], row->u.bytes + schema->fields[i].offset, i, row->texts[i],
                   sizeof(row->texts[i]));
    }
}

static inline bool same(const struct wire_schema *schema, const void *a, const void *b)
{
    struct buf left, right;

    buf_init(&left, 1 << 20);
    buf_init(&right, 1 << 20);
    bool ok = wire_encode(schema, a, &left) && wire_encode(schema, b, &right) &&
              str_equal(buf_str(&left), buf_str(&right));
    buf_clear(&left);
    buf_clear(&right);
    return ok;
}

/* Loads everything; counts rows of `type`, and those that are the same as `wanted`. */
static inline int load_all(struct store *store, enum message_type type, const void *wanted,
                           int *ret_same)
{
    struct err err = {""};
    enum message_type got;
    const void *row;
    int rc, count = 0;

    *ret_same = 0;
    while ((rc = store_load(store, &got, &row, &err)) == 1) {
        if (got == type) {
            count++;
            *ret_same += wanted != NULL && same(message_schema(type), row, wanted);
        }
    }
    CHECK_CASE(rc == 0, err.text);
    return rc == 0 ? count : -1;
}

static inline struct message_row_audit audit_row(struct digest *head, uint64_t sequence)
{
    struct message_row_audit row = {
        .sequence = sequence,
        .event = AUDIT_REQUEST,
        .at_ms = 1795425650123 + (int64_t)sequence,
        .request_id = STR("req_0123456789abcdef"),
        .key = 1 + sequence % 3,
        .vendor = STR("stripe"),
        .operation = STR("charges.create"),
        .operation_class = STR("pay"),
        .credential = STR("stripe"),
        .credential_version = 1,
        .method = STR("POST"),
        .verdict = STR("allowed"),
        .rule = STR("POST /v1/charges"),
        .policy_version = 1,
        .status = 200,
        .vendor_request_id = STR("req_AbCdEfGhIjKlMn"),
        .amount_minor = 100,
        .currency = STR("usd"),
        .reserved = 1000000000,
        .levels = STR("key 50.00/20.00/30.00"),
        .door = STR("prefix"),
        .bytes_in = 120,
        .bytes_out = 800,
        .total_us = 2100,
        .upstream_us = 1900,
        .path = STR("/v1/charges"),
        .client_run_id = STR("run-17"),
        .source = STR("127.0.0.1"),
    };
    memset(row.salt.bytes, 7, DIGEST_SIZE);
    row.personal = chain_personal(&row);
    row.hash = chain_next(head, &row);
    *head = row.hash;
    return row;
}

static inline void spoil(const char *dir, const char *sql)
{
    struct err err = {""};
    sqlite3 *db = NULL;
    char *path = db_path(dir, &err);

    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    CHECK_CASE(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, sql);
    (void)sqlite3_close(db);
    free(path);
}

/* A number that the database knows. */
static inline int64_t ask(const char *dir, const char *sql)
{
    struct err err = {""};
    char *path = db_path(dir, &err);
    sqlite3 *db = db_open(path, DB_READ, &err);
    CHECK_CASE(db != NULL, err.text);
    sqlite3_stmt *statement = db_prepare(db, sql, &err);
    CHECK_CASE(statement != NULL && db_step(db, statement, &err) == 1, sql);
    int64_t number = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    db_close(db);
    free(path);
    return number;
}

static inline void put_key(struct store *store, uint64_t key, enum key_status status,
                           uint64_t parent, int64_t ended_at_ms)
{
    char id[24];

    (void)snprintf(id, sizeof(id), "key_%016llu", (unsigned long long)key);
    struct message_row_key row = {.key = key,
                                  .id = str_from(id),
                                  .status = status,
                                  .parent = parent,
                                  .created_at_ms = 1000,
                                  .ended_at_ms = ended_at_ms,
                                  .label = STR("l")};
    put(store, MESSAGE_ROW_KEY, &row);
}

#endif
