/* SPDX-License-Identifier: Apache-2.0 */
#include "store/trail_write.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/block.h"
#include "store/db.h"

struct trail_writer {
    sqlite3 *db;
    sqlite3_stmt *put, *put_key;
    struct buf rows;
    size_t count;
    uint64_t first;
    int64_t at_ms, segment;
    uint64_t keys[BLOCK_ROWS_MAX];
    size_t key_count;
};

struct trail_writer *trail_writer_new(sqlite3 *db, struct err *err)
{
    struct trail_writer *writer = mem_zeroed(sizeof(*writer));

    writer->db = db;
    buf_init(&writer->rows, BLOCK_BYTES_MAX);
    writer->put = db_prepare(db, "INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", err);
    writer->put_key = db_prepare(db, "INSERT INTO audit_keys VALUES (?, ?)", err);
    if (writer->put == NULL || writer->put_key == NULL) {
        trail_writer_free(writer);
        return NULL;
    }
    return writer;
}

void trail_writer_free(struct trail_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    (void)sqlite3_finalize(writer->put);
    (void)sqlite3_finalize(writer->put_key);
    buf_clear(&writer->rows);
    free(writer);
}

void trail_writer_forget(struct trail_writer *writer)
{
    buf_cut(&writer->rows, 0);
    writer->count = 0;
    writer->key_count = 0;
}

static enum store_result run(struct trail_writer *writer, sqlite3_stmt *statement, struct err *err)
{
    enum store_result result = STORE_DONE;

    if (sqlite3_step(statement) != SQLITE_DONE) {
        result = db_result(writer->db, err); /* before reset, which clears errno */
    }
    (void)sqlite3_reset(statement);
    return result;
}

enum store_result trail_writer_flush(struct trail_writer *writer, struct err *err)
{
    struct str rows = buf_str(&writer->rows);
    int64_t first = (int64_t)writer->first;

    if (writer->count == 0) {
        return STORE_DONE;
    }
    (void)sqlite3_bind_int64(writer->put, 1, first);
    (void)sqlite3_bind_int64(writer->put, 2, first + (int64_t)writer->count - 1);
    (void)sqlite3_bind_int64(writer->put, 3, writer->at_ms);
    (void)sqlite3_bind_int64(writer->put, 4, writer->segment);
    (void)sqlite3_bind_int(writer->put, 5, BLOCK_FORMAT);
    (void)sqlite3_bind_blob(writer->put, 6, rows.data, (int)rows.len, SQLITE_STATIC);
    enum store_result result = run(writer, writer->put, err);
    for (size_t i = 0; i < writer->key_count && result == STORE_DONE; i++) {
        (void)sqlite3_bind_int64(writer->put_key, 1, (int64_t)writer->keys[i]);
        (void)sqlite3_bind_int64(writer->put_key, 2, first);
        result = run(writer, writer->put_key, err);
    }
    trail_writer_forget(writer);
    return result;
}

/* 202611 for a time in November 2026: the months counted from a March, so that the leap day is the
 * last one, and in cycles of 400 years, which all have the same number of days. */
static int64_t segment_of(int64_t at_ms)
{
    int64_t days = clock_day(at_ms) + 719468; /* since 0000-03-01 */
    int64_t cycle = days / 146097, day = days % 146097;
    int64_t year = (day - day / 1460 + day / 36524 - day / 146096) / 365;
    int64_t month = (5 * (day - (365 * year + year / 4 - year / 100)) + 2) / 153;

    year += cycle * 400 + (month >= 10);
    return year * 100 + (month < 10 ? month + 3 : month - 9);
}

static void note_key(struct trail_writer *writer, uint64_t key)
{
    if (key == 0) {
        return;
    }
    for (size_t i = writer->key_count; i > 0; i--) { /* the same one again is the common case */
        if (writer->keys[i - 1] == key) {
            return;
        }
    }
    writer->keys[writer->key_count++] = key;
}

enum store_result trail_writer_add(struct trail_writer *writer, const struct message_row_audit *row,
                                   struct str written, struct err *err)
{
    int64_t segment = segment_of(row->at_ms);

    if (writer->count == BLOCK_ROWS_MAX || buf_len(&writer->rows) >= BLOCK_BYTES_FULL ||
        segment != writer->segment) {
        enum store_result result = trail_writer_flush(writer, err);
        if (result != STORE_DONE) {
            return result;
        }
    }
    if (!block_add(&writer->rows, row, written)) {
        err_set(err, "the audit row is larger than any can be");
        return STORE_REFUSED;
    }
    if (writer->count++ == 0) {
        writer->first = row->sequence;
        writer->at_ms = row->at_ms;
        writer->segment = segment;
    }
    note_key(writer, row->key);
    return STORE_DONE;
}
