/* SPDX-License-Identifier: Apache-2.0 */
#include "store/spend.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/integer.h"
#include "base/mem.h"
#include "store/db.h"

enum {
    LINES_MAX = 64,
    NAME_BYTES = 64, /* of a vendor or a class; a longer one is cut in the sums only */
};

struct line {
    int64_t day;
    uint64_t key;
    char vendor[NAME_BYTES], operation_class[NAME_BYTES];
    size_t vendor_len, class_len;
    bool live_mode;
    int64_t posted, requests, denied;
};

struct spend {
    sqlite3 *db;
    sqlite3_stmt *put, *hold_day;
    struct line lines[LINES_MAX];
    size_t count;
};

struct spend *spend_new(sqlite3 *db, struct err *err)
{
    struct spend *spend = mem_zeroed(sizeof(*spend));

    spend->db = db;
    spend->put =
        db_prepare(db,
                   "INSERT INTO spend VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
                   " ON CONFLICT (day, key, vendor, operation_class, live_mode) DO UPDATE SET"
                   " posted = posted + excluded.posted, requests = requests + excluded.requests,"
                   " denied = denied + excluded.denied",
                   err);
    spend->hold_day = db_prepare(db, "SELECT day FROM holds WHERE hold = ?", err);
    if (spend->put == NULL || spend->hold_day == NULL) {
        spend_free(spend);
        return NULL;
    }
    return spend;
}

void spend_free(struct spend *spend)
{
    if (spend == NULL) {
        return;
    }
    (void)sqlite3_finalize(spend->put);
    (void)sqlite3_finalize(spend->hold_day);
    free(spend);
}

void spend_forget(struct spend *spend)
{
    spend->count = 0;
}

static enum store_result put_line(struct spend *spend, const struct line *line, struct err *err)
{
    sqlite3_stmt *put = spend->put;

    (void)sqlite3_bind_int64(put, 1, line->day);
    (void)sqlite3_bind_int64(put, 2, (int64_t)line->key);
    (void)sqlite3_bind_text(put, 3, line->vendor, (int)line->vendor_len, SQLITE_STATIC);
    (void)sqlite3_bind_text(put, 4, line->operation_class, (int)line->class_len, SQLITE_STATIC);
    (void)sqlite3_bind_int(put, 5, line->live_mode);
    (void)sqlite3_bind_int64(put, 6, line->posted);
    (void)sqlite3_bind_int64(put, 7, line->requests);
    (void)sqlite3_bind_int64(put, 8, line->denied);
    enum store_result result = STORE_DONE;
    if (sqlite3_step(put) != SQLITE_DONE) {
        result = db_result(spend->db, err);
    }
    (void)sqlite3_reset(put);
    return result;
}

enum store_result spend_flush(struct spend *spend, struct err *err)
{
    enum store_result result = STORE_DONE;

    for (size_t i = 0; i < spend->count && result == STORE_DONE; i++) {
        result = put_line(spend, &spend->lines[i], err);
    }
    spend->count = 0;
    return result;
}

/* Money belongs to the day that admitted it: the hold's, whenever it is posted. */
static enum store_result day_of(struct spend *spend, const struct message_row_audit *row,
                                int64_t *ret_day, struct err *err)
{
    enum store_result result = STORE_DONE;

    *ret_day = clock_day(row->at_ms);
    if (row->settled == 0 || row->hold == 0) {
        return STORE_DONE;
    }
    (void)sqlite3_bind_int64(spend->hold_day, 1, (int64_t)row->hold);
    int rc = sqlite3_step(spend->hold_day);
    if (rc == SQLITE_ROW) {
        *ret_day = sqlite3_column_int64(spend->hold_day, 0);
    } else if (rc != SQLITE_DONE) {
        result = db_result(spend->db, err);
    }
    (void)sqlite3_reset(spend->hold_day);
    return result;
}

static bool is_for(const struct line *line, int64_t day, const struct message_row_audit *row,
                   struct str vendor, struct str operation_class)
{
    return line->key == row->key && line->day == day && line->live_mode == row->live_mode &&
           str_equal(str_of(line->vendor, line->vendor_len), vendor) &&
           str_equal(str_of(line->operation_class, line->class_len), operation_class);
}

static struct line *line_of(struct spend *spend, int64_t day, const struct message_row_audit *row)
{
    struct str vendor = str_slice(row->vendor, 0, NAME_BYTES);
    struct str operation_class = str_slice(row->operation_class, 0, NAME_BYTES);

    for (size_t i = 0; i < spend->count; i++) {
        if (is_for(&spend->lines[i], day, row, vendor, operation_class)) {
            return &spend->lines[i];
        }
    }
    struct line *line = &spend->lines[spend->count++];
    *line = (struct line){.day = day,
                          .key = row->key,
                          .live_mode = row->live_mode,
                          .vendor_len = vendor.len,
                          .class_len = operation_class.len};
    if (vendor.len > 0) {
        memcpy(line->vendor, vendor.data, vendor.len);
    }
    if (operation_class.len > 0) {
        memcpy(line->operation_class, operation_class.data, operation_class.len);
    }
    return line;
}

enum store_result spend_add(struct spend *spend, const struct message_row_audit *row,
                            struct err *err)
{
    int64_t day;

    if (row->event != AUDIT_REQUEST && row->settled == 0) {
        return STORE_DONE;
    }
    enum store_result result = day_of(spend, row, &day, err);
    if (result == STORE_DONE && spend->count == LINES_MAX) {
        result = spend_flush(spend, err);
    }
    if (result != STORE_DONE) {
        return result;
    }
    struct line *line = line_of(spend, day, row);
    if (!int_add(line->posted, row->settled, &line->posted)) {
        err_set(err, "more money than a sum can hold");
        return STORE_REFUSED;
    }
    if (row->event == AUDIT_REQUEST) {
        line->requests++;
        line->denied += str_equal(row->verdict, STR("denied"));
    }
    return STORE_DONE;
}
