/* SPDX-License-Identifier: Apache-2.0 */
#include "store/verify.h"

#include <sodium.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/test.h"
#include "ledger/chain.h"
#include "store/block.h"
#include "store/db.h"
#include "store/row.h"
#include "store/store.h"

enum { ROWS = 200 };

static unsigned char public_key[crypto_sign_PUBLICKEYBYTES], secret_key[crypto_sign_SECRETKEYBYTES];
static struct digest hashes[ROWS + 1];

static void put_audit(struct store *store, uint64_t sequence)
{
    char request_id[24];
    struct err err = {""};

    (void)snprintf(request_id, sizeof(request_id), "req_%016llu", (unsigned long long)sequence);
    struct message_row_audit row = {
        .sequence = sequence,
        .event = sequence % 5 == 0 ? AUDIT_SETTLED : AUDIT_REQUEST,
        .at_ms = 1795425650123 + (int64_t)sequence * 10,
        .request_id = str_from(request_id),
        .key = 1 + sequence % 7,
        .vendor = STR("stripe"),
        .operation = STR("charges.create"),
        .operation_class = STR("pay"),
        .live_mode = sequence % 2 == 0,
        .credential = STR("stripe"),
        .credential_version = 1,
        .account = STR("acct_1"),
        .method = STR("POST"),
        .query_names = STR("expand[]"),
        .verdict = STR("allowed"),
        .reason = STR("-"),
        .rule = STR("POST /v1/charges"),
        .policy_version = 1,
        .status = 200,
        .vendor_request_id = STR("req_AbC"),
        .amount_minor = 100,
        .currency = STR("usd"),
        .rate = STR("r1"),
        .reserved = 1000000000,
        .settled = 1,
        .hold = sequence,
        .hold_state = STR("open"),
        .attempt = 1,
        .idempotency = {{1, 2}},
        .body = {{3, 4}},
        .levels = STR("key 50.00/20.00/30.00"),
        .door = STR("prefix"),
        .actor = STR("-"),
        .bytes_in = 120,
        .bytes_out = 800,
        .total_us = 2100,
        .upstream_us = 1900,
        .detail = STR("-"),
        .salt = {{(unsigned char)sequence, 7}},
        .path = STR("/v1/charges"),
        .objects = STR("cus_1"),
        .client_run_id = STR("run-17"),
        .source = STR("127.0.0.1"),
    };
    row.personal = chain_personal(&row);
    row.hash = hashes[sequence] = chain_next(&hashes[sequence - 1], &row);
    CHECK_CASE(store_put(store, MESSAGE_ROW_AUDIT, &row, &err) == STORE_DONE, err.text);
}

static void put_head(struct store *store, uint64_t sequence)
{
    struct message_row_head head = {
        .sequence = sequence, .head = hashes[sequence], .at_ms = 1000 + (int64_t)sequence};
    struct chain_signed_text text = chain_signed_text(sequence, &head.head, head.at_ms);
    unsigned char signature[crypto_sign_BYTES];
    struct err err = {""};

    (void)crypto_sign_detached(signature, NULL, (const unsigned char *)text.text, strlen(text.text),
                               secret_key);
    head.signature = str_of(signature, sizeof(signature));
    head.public_key = str_of(public_key, sizeof(public_key));
    CHECK_CASE(store_put(store, MESSAGE_ROW_HEAD, &head, &err) == STORE_DONE, err.text);
}

/* A log of ROWS rows with signed heads at 100 and 150. */
static char *make_log(void)
{
    char *dir = test_directory_new();
    char hex[2 * crypto_sign_PUBLICKEYBYTES + 1];
    struct err err = {""};

    (void)sodium_bin2hex(hex, sizeof(hex), public_key, sizeof(public_key));
    struct message_row_meta meta = {STR("signing_public_key"), str_from(hex)};
    struct store_seed seed = {.metas = &meta, .meta_count = 1};
    CHECK_CASE(store_create(dir, &seed, &err) == 0, err.text);
    struct store *store = store_open(dir, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    for (uint64_t i = 1; i <= ROWS; i++) {
        put_audit(store, i);
        if (i == 100 || i == 150) {
            put_head(store, i);
        }
        if (i % 30 == 0) {
            CHECK_CASE(store_commit(store, &err) == STORE_DONE, err.text); /* a block each */
        }
    }
    CHECK_CASE(store_commit(store, &err) == STORE_DONE, err.text);
    store_close(store);
    return dir;
}

static void run(sqlite3 *db, const char *sql)
{
    char *why = NULL;
    bool ok = sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK;

    if (!ok) {
        (void)printf("%s: %s\n", sql, why);
    }
    CHECK_CASE(ok, sql);
    sqlite3_free(why);
}

static sqlite3 *open_raw(const char *dir)
{
    char path[96];
    sqlite3 *db = NULL;

    (void)snprintf(path, sizeof(path), "%s/db/keybrake.db", dir);
    CHECK(sqlite3_open(path, &db) == SQLITE_OK);
    run(db, "PRAGMA synchronous = OFF");
    return db;
}

/*
 * What somebody may do to the log is said in SQL on its rows, one a row: they are taken out of
 * their blocks into a temporary table, which hides the true one, and put back.  A block stays one
 * unless it lost its rows.
 */
static void take_out(sqlite3 *db)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_AUDIT);
    static struct block block;
    struct message_row_audit row;
    struct err err = {""};
    struct buf sql;

    buf_init(&sql, 64 * 1024);
    (void)buf_addf(&sql, "CREATE TEMP TABLE audit(");
    for (size_t i = 0; i < schema->count; i++) {
        (void)buf_addf(&sql, "%s%s", schema->fields[i].name,
                       i == 0 ? " INTEGER PRIMARY KEY," : ",");
    }
    (void)buf_addf(&sql, "block)%c", '\0');
    run(db, (const char *)sql.data);
    buf_cut(&sql, 0);
    (void)buf_addf(&sql, "INSERT INTO temp.audit VALUES (");
    for (size_t i = 0; i < schema->count; i++) {
        (void)buf_addf(&sql, "?,");
    }
    (void)buf_addf(&sql, "?)%c", '\0');
    sqlite3_stmt *put = db_prepare(db, (const char *)sql.data, &err);
    sqlite3_stmt *blocks = db_prepare(db, "SELECT first, rows FROM main.audit", &err);
    while (db_step(db, blocks, &err) == 1) {
        block_open(&block, (uint64_t)sqlite3_column_int64(blocks, 0), row_text(blocks, 1));
        for (size_t i = 0; i < block.count; i++) {
            CHECK(block_read(&block, i, &row));
            row_bind(put, schema, &row);
            (void)sqlite3_bind_int64(put, (int)schema->count + 1, (int64_t)block.first);
            CHECK_CASE(db_step(db, put, &err) == 0, err.text);
            (void)sqlite3_reset(put);
        }
    }
    (void)sqlite3_finalize(put);
    (void)sqlite3_finalize(blocks);
    buf_clear(&sql);
}

static void put_back(sqlite3 *db)
{
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_AUDIT);
    struct message_row_audit row;
    struct err err = {""};
    struct buf rows;
    int64_t first = 0, last = 0, block = 0;

    buf_init(&rows, BLOCK_BYTES_MAX);
    run(db, "DELETE FROM main.audit");
    sqlite3_stmt *put = db_prepare(db, "INSERT INTO main.audit VALUES (?, ?, 0, 0, 1, ?)", &err);
    sqlite3_stmt *from = db_prepare(db, "SELECT * FROM temp.audit ORDER BY sequence", &err);
    for (int rc = 1; rc == 1;) {
        rc = db_step(db, from, &err);
        int64_t next = rc == 1 ? sqlite3_column_int64(from, (int)schema->count) : -1;
        if (buf_len(&rows) > 0 && next != block) {
            (void)sqlite3_bind_int64(put, 1, first);
            (void)sqlite3_bind_int64(put, 2, last);
            (void)sqlite3_bind_blob(put, 3, rows.data, (int)buf_len(&rows), SQLITE_STATIC);
            CHECK_CASE(db_step(db, put, &err) == 0, err.text);
            (void)sqlite3_reset(put);
            buf_cut(&rows, 0);
        }
        if (rc == 1) {
            last = sqlite3_column_int64(from, 0);
            first = buf_len(&rows) == 0 ? last : first;
            block = next;
            CHECK(row_read(from, schema, &row) && block_add(&rows, &row, STR_NONE));
        }
    }
    (void)sqlite3_finalize(put);
    (void)sqlite3_finalize(from);
    buf_clear(&rows);
}

static void change(sqlite3 *db, const char *sql)
{
    take_out(db);
    run(db, sql);
    put_back(db);
    run(db, "DROP TABLE temp.audit");
}

/* What was found, as text: "changed 7; missing 3-5; ". */
struct findings {
    char text[512];
};

static void on_problem(void *ctx, const struct verify_problem *problem)
{
    struct findings *findings = ctx;
    size_t len = strlen(findings->text);

    if (problem->last == problem->sequence) {
        (void)snprintf(findings->text + len, sizeof(findings->text) - len, "%s %llu; ",
                       verify_kind_text(problem->kind), (unsigned long long)problem->sequence);
    } else {
        (void)snprintf(findings->text + len, sizeof(findings->text) - len, "%s %llu-%llu; ",
                       verify_kind_text(problem->kind), (unsigned long long)problem->sequence,
                       (unsigned long long)problem->last);
    }
}

static struct findings verify(const char *dir, const struct verify_options *options,
                              struct verify_report *ret_report)
{
    static const struct verify_options none;
    struct findings findings = {""};
    struct verify_report unused;
    struct err err = {""};

    CHECK_CASE(verify_audit(dir, options == NULL ? &none : options, on_problem, &findings,
                            ret_report == NULL ? &unused : ret_report, &err) == 0,
               err.text);
    return findings;
}

static void test_good(void)
{
    char *dir = make_log();
    struct verify_report report;

    CHECK_CASE(strcmp(verify(dir, NULL, &report).text, "") == 0, verify(dir, NULL, NULL).text);
    CHECK(report.rows == ROWS && report.first == 1 && report.last == ROWS);
    CHECK(digest_equal(&report.head, &hashes[ROWS]));
    CHECK(report.heads == 2 && report.last_signed == 150 && report.last_signed_at_ms == 1150);
    CHECK(report.problems == 0 && report.deleted == 0);
    test_directory_free(dir);
}

static void change_column(sqlite3 *db, const struct wire_field *field, uint64_t row)
{
    char sql[256];
    const char *name = field->name;

    switch (field->kind) {
    case WIRE_KIND_STR:
        (void)snprintf(sql, sizeof(sql), "UPDATE audit SET %s = %s || 'x' WHERE sequence = %llu",
                       name, name, (unsigned long long)row);
        break;
    case WIRE_KIND_DIGEST:
        (void)snprintf(sql, sizeof(sql),
                       "UPDATE audit SET %s = CAST(substr(%s, 2) || x'ee' AS BLOB)"
                       " WHERE sequence = %llu",
                       name, name, (unsigned long long)row);
        break;
    case WIRE_KIND_BOOL:
        (void)snprintf(sql, sizeof(sql), "UPDATE audit SET %s = 1 - %s WHERE sequence = %llu", name,
                       name, (unsigned long long)row);
        break;
    default:
        (void)snprintf(sql, sizeof(sql), "UPDATE audit SET %s = %s + 1 WHERE sequence = %llu", name,
                       name, (unsigned long long)row);
        break;
    }
    change(db, sql);
}

/* Each column of a row, in several rows, changed a little: found, at that row, once. */
static void test_every_column(void)
{
    static const uint64_t rows[] = {1, 2, 100, ROWS - 1, ROWS};
    const struct wire_schema *schema = message_schema(MESSAGE_ROW_AUDIT);
    char *dir = make_log();
    sqlite3 *db = open_raw(dir);
    char sql[256];

    run(db, "CREATE TEMP TABLE kept AS SELECT * FROM audit");
    for (size_t i = 1; i < schema->count; i++) {
        for (size_t n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
            struct verify_report report;
            change_column(db, &schema->fields[i], rows[n]);
            struct findings findings = verify(dir, NULL, &report);
            bool head = rows[n] == 100 && strcmp(schema->fields[i].name, "hash") == 0;
            /* `personal` is held against the personal fields as well as chained. */
            bool twice = head || strcmp(schema->fields[i].name, "personal") == 0;
            CHECK_CASE(report.problems == (twice ? 2 : 1), schema->fields[i].name);
            CHECK_CASE(report.first_problem.sequence == rows[n], findings.text);
            (void)snprintf(sql, sizeof(sql),
                           "DELETE FROM main.audit; INSERT INTO main.audit SELECT * FROM kept");
            run(db, sql);
        }
    }
    (void)sqlite3_close(db);
    CHECK(strcmp(verify(dir, NULL, NULL).text, "") == 0);
    test_directory_free(dir);
}

static void flip_byte(sqlite3 *db, unsigned row, unsigned byte, int by)
{
    char sql[256];

    (void)snprintf(sql, sizeof(sql),
                   "UPDATE audit SET request_id = substr(request_id, 1, %u) ||"
                   " char(unicode(substr(request_id, %u, 1)) + %d) || substr(request_id, %u)"
                   " WHERE sequence = %u",
                   byte, byte + 1, by, byte + 2, row);
    change(db, sql);
}

/* Every byte of a column, every row of the log. */
static void test_every_byte(void)
{
    char *dir = make_log();
    sqlite3 *db = open_raw(dir);
    char expected[64];

    for (unsigned i = 0; i < ROWS; i++) {
        /* All twenty in some rows, another one in each of the others. */
        for (unsigned byte = i % 50 == 0 ? 0 : i % 20; byte < 20; byte += i % 50 == 0 ? 1 : 20) {
            flip_byte(db, i + 1, byte, 1);
            (void)snprintf(expected, sizeof(expected), "changed %u; ", i + 1);
            struct findings findings = verify(dir, NULL, NULL);
            CHECK_CASE(strcmp(findings.text, expected) == 0, findings.text);
            flip_byte(db, i + 1, byte, -1);
        }
    }
    (void)sqlite3_close(db);
    CHECK(strcmp(verify(dir, NULL, NULL).text, "") == 0);
    test_directory_free(dir);
}

/* What is found in a log of ROWS rows after that statement. */
static void check_found(const char *sql, const char *found, void (*apply)(sqlite3 *, const char *))
{
    char *dir = make_log();
    sqlite3 *db = open_raw(dir);

    apply(db, sql);
    (void)sqlite3_close(db);
    struct findings findings = verify(dir, NULL, NULL);
    CHECK_CASE(strcmp(findings.text, found) == 0, sql);
    if (strcmp(findings.text, found) != 0) {
        (void)printf("found: %s\n", findings.text);
    }
    test_directory_free(dir);
}

static void test_changes(void)
{
    static const struct {
        const char *sql, *found;
    } cases[] = {
        {"DELETE FROM audit WHERE sequence = 50", "missing 50; "},
        {"DELETE FROM audit WHERE sequence BETWEEN 50 AND 60", "missing 50-60; "},
        {"DELETE FROM audit WHERE sequence = 1", "missing 1; "},
        {"DELETE FROM audit WHERE sequence <= 100", "missing 1-100; "},
        {"DELETE FROM audit WHERE sequence IN (3, 9)", "missing 3; missing 9; "},
        /* Taken out, and those after it moved up. */
        {"DELETE FROM audit WHERE sequence = 198;"
         "UPDATE audit SET sequence = 198 WHERE sequence = 199;"
         "UPDATE audit SET sequence = 199 WHERE sequence = 200",
         "changed 198; changed 199; "},
        /* Exchanged: neighbours, and two far apart. */
        {"UPDATE audit SET sequence = 999 WHERE sequence = 20;"
         "UPDATE audit SET sequence = 20 WHERE sequence = 21;"
         "UPDATE audit SET sequence = 21 WHERE sequence = 999",
         "moved 20-21; moved 21-20; changed 22; "},
        {"UPDATE audit SET sequence = 999 WHERE sequence = 20;"
         "UPDATE audit SET sequence = 20 WHERE sequence = 120;"
         "UPDATE audit SET sequence = 120 WHERE sequence = 999",
         "moved 20-120; changed 21; moved 120-20; changed 121; "},
        {"UPDATE audit SET hash = NULL WHERE sequence = 7", "changed 7; "},
        {"UPDATE audit SET hash = zeroblob(32) WHERE sequence = 7", "changed 7; "},
        {"UPDATE audit SET path = '/v1/other' WHERE sequence = 7", "personal data changed 7; "},
        {"UPDATE audit SET path = '', objects = '', client_run_id = '', source = ''"
         " WHERE sequence = 7",
         "personal data changed 7; "},
        /* Allowed: deleted with its salt. */
        {"UPDATE audit SET path = '', objects = '', client_run_id = '', source = '', salt = NULL"
         " WHERE sequence = 7",
         ""},
        /* The end, up to a signed head, and below it. */
        {"DELETE FROM audit WHERE sequence > 150", ""},
        {"DELETE FROM audit WHERE sequence > 149", "cut off 150; "},
        {"DELETE FROM audit WHERE sequence > 90", "cut off 91-100; cut off 91-150; "},
        {"DELETE FROM audit", "cut off 1-100; cut off 1-150; "},
        {"DELETE FROM audit WHERE sequence > 90; DELETE FROM heads", ""},
        /* Heads. */
        {"UPDATE heads SET head = zeroblob(32) WHERE sequence = 100", "bad signature 100; "},
        {"UPDATE heads SET at_ms = 5 WHERE sequence = 100", "bad signature 100; "},
        {"UPDATE heads SET signature = x'00' WHERE sequence = 100", "bad signature 100; "},
        {"UPDATE heads SET sequence = 101 WHERE sequence = 100", "bad signature 101; "},
        {"UPDATE meta SET value = '00'", "bad signature 100; bad signature 150; "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_found(cases[i].sql, cases[i].found, change);
    }
}

/* The bytes of the blocks themselves, which no row's fields account for. */
static void test_blocks(void)
{
    static const struct {
        const char *sql, *found;
    } cases[] = {
        /* The block of rows 31 to 60: its end cut off, in a row and between two; its first row's
         * length, number, event. */
        {"UPDATE audit SET rows = substr(rows, 1, length(rows) - 1) WHERE first = 31",
         "unreadable 60; "},
        {"UPDATE audit SET rows = substr(rows, 1, 2) WHERE first = 31",
         "unreadable 31; missing 32-60; "},
        {"UPDATE audit SET rows = CAST(x'ffffffff' || substr(rows, 5) AS BLOB) WHERE first = 31",
         "unreadable 31; missing 32-60; "},
        {"UPDATE audit SET rows = CAST(x'07000000' || substr(rows, 5) AS BLOB) WHERE first = 31",
         "unreadable 31; missing 32-60; "},
        {"UPDATE audit SET rows = CAST(substr(rows, 1, 4) || x'05' || substr(rows, 6) AS BLOB)"
         " WHERE first = 31",
         "missing 31; "},
        {"UPDATE audit SET rows = CAST(substr(rows, 1, 44) || x'4d' || substr(rows, 46) AS BLOB)"
         " WHERE first = 31",
         "unreadable 31; "},
        {"UPDATE audit SET rows = x'' WHERE first = 31", "missing 31-60; "},
        {"UPDATE audit SET rows = CAST(rows || x'00' AS BLOB) WHERE first = 181",
         "unreadable 201; "},
        /* What the database says about the block. */
        {"UPDATE audit SET first = 32 WHERE first = 31", "missing 31; "},
        {"UPDATE audit SET first = 30 WHERE first = 31", ""},
        {"UPDATE audit SET last = 40 WHERE first = 31", ""},
        {"UPDATE audit SET last = 90 WHERE first = 31", ""},
        {"UPDATE audit SET rows = (SELECT rows FROM audit WHERE first = 61) WHERE first = 31",
         "missing 31-60; "},
        {"DELETE FROM audit WHERE first = 31", "missing 31-60; "},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        check_found(cases[i].sql, cases[i].found, run);
    }
}

/* Somebody changed row 120 and chained everything after it anew: only signatures tell. */
static void test_rechained(void)
{
    char *dir = make_log();
    struct err err = {""};
    sqlite3 *db = open_raw(dir);
    struct digest before = hashes[120];

    change(db, "DELETE FROM audit WHERE sequence >= 120");
    (void)sqlite3_close(db);
    struct store *store = store_open(dir, 0, &err);
    CHECK_CASE(store != NULL, err.text);
    hashes[119].bytes[0] ^= 1; /* so that all that follow are others */
    for (uint64_t i = 120; i <= ROWS; i++) {
        put_audit(store, i);
    }
    hashes[119].bytes[0] ^= 1;
    CHECK(!digest_equal(&before, &hashes[120]));
    CHECK(store_commit(store, &err) == STORE_DONE);
    store_close(store);
    CHECK_CASE(strcmp(verify(dir, NULL, NULL).text, "changed 120; head differs 150; ") == 0,
               verify(dir, NULL, NULL).text);
    test_directory_free(dir);
}

static void test_given_head(void)
{
    char *dir = make_log();
    struct verify_options options = {.has_head = true, .head_sequence = ROWS, .head = hashes[ROWS]};
    sqlite3 *db = open_raw(dir);

    CHECK(strcmp(verify(dir, &options, NULL).text, "") == 0);
    options.head_sequence = ROWS - 1;
    CHECK(strcmp(verify(dir, &options, NULL).text, "head differs 199; ") == 0);
    options.head = hashes[ROWS - 1];
    CHECK(strcmp(verify(dir, &options, NULL).text, "") == 0);
    options.head_sequence = ROWS;
    options.head = hashes[ROWS];
    run(db, "DELETE FROM heads");
    for (uint64_t kept = ROWS; kept-- > 0;) { /* every place to cut */
        char sql[96], expected[64];
        (void)snprintf(sql, sizeof(sql), "DELETE FROM audit WHERE sequence > %llu",
                       (unsigned long long)kept);
        change(db, sql);
        CHECK(strcmp(verify(dir, NULL, NULL).text, "") == 0);
        if (kept + 1 == ROWS) {
            (void)snprintf(expected, sizeof(expected), "cut off %d; ", ROWS);
        } else {
            (void)snprintf(expected, sizeof(expected), "cut off %llu-%d; ",
                           (unsigned long long)kept + 1, ROWS);
        }
        CHECK(strcmp(verify(dir, &options, NULL).text, expected) == 0);
    }
    (void)sqlite3_close(db);
    test_directory_free(dir);
}

static void test_given_key(void)
{
    char *dir = make_log();
    char hex[2 * crypto_sign_PUBLICKEYBYTES + 1];
    struct verify_options options = {0};
    sqlite3 *db = open_raw(dir);

    (void)sodium_bin2hex(hex, sizeof(hex), public_key, sizeof(public_key));
    run(db, "UPDATE meta SET value = '00'");
    (void)sqlite3_close(db);
    options.public_key = str_from(hex);
    CHECK(strcmp(verify(dir, &options, NULL).text, "") == 0);
    hex[0] = hex[0] == '0' ? '1' : '0';
    CHECK(strcmp(verify(dir, &options, NULL).text, "bad signature 100; bad signature 150; ") == 0);
    test_directory_free(dir);
}

static void test_empty(void)
{
    char *dir = test_directory_new();
    struct store_seed seed = {0};
    struct verify_report report;
    struct verify_options options = {.has_head = true, .head_sequence = 3};
    struct err err = {""};

    CHECK(verify_audit(dir, &options, NULL, NULL, &report, &err) < 0); /* no database */
    CHECK_CASE(store_create(dir, &seed, &err) == 0, err.text);
    CHECK(strcmp(verify(dir, NULL, &report).text, "") == 0);
    CHECK(report.rows == 0 && report.first == 0 && report.last == 0);
    CHECK(strcmp(verify(dir, &options, NULL).text, "cut off 1-3; ") == 0);
    test_directory_free(dir);
}

int main(void)
{
    if (sodium_init() < 0) {
        return 1;
    }
    (void)crypto_sign_keypair(public_key, secret_key);
    test_good();
    test_every_column();
    test_every_byte();
    test_changes();
    test_blocks();
    test_rechained();
    test_given_head();
    test_given_key();
    test_empty();
    return test_done();
}
