/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"
#include "store/spend.h"
#include "store/store.h"
#include "store/trail.h"
#include "store/trail_write.h"

enum {
    ROWS_MAX = 16, /* of schema_rows */
    PAGE_BYTES = 4096,
    FRAME_BYTES = PAGE_BYTES + 24, /* of the log */
    CHECK_MS = 2000,
    SEALED_BYTES_MAX = 256 * 1024,
    WINDOW_DAYS = 2, /* windows of so many days before the newest are loaded */
    /* The file grows by so much, before the log does: see reserve(). */
    CHUNK_BYTES = 1024 * 1024,
};

struct store {
    int lock; /* the directory, locked: a second server would be a second writer */
    sqlite3 *db;
    sqlite3_stmt *begin, *commit, *rollback, *mark, *blob, *pages;
    sqlite3_stmt *put[ROWS_MAX], *load[ROWS_MAX]; /* by place in schema_rows */
    size_t place_of[MESSAGE_COUNT];               /* + 1; 0: no row */
    struct spend *spend;
    struct trail *trail;
    struct trail_writer *trail_writer;
    bool writing; /* in a transaction */
    bool broken;  /* for good */
    uint64_t audit_sequence, audit_sequence_written;
    int64_t newest_at_ms, newest_at_ms_written;
    int frames;             /* in the log, not in the file */
    int64_t pages_reserved; /* the file has room for so many */
    uint64_t fold_at_bytes;
    size_t loading;
    struct buf sealed; /* the box that store_blob() gave last */
    void *loaded;      /* the row that store_load() gave last */
};

/* ---- opening ---- */

static int on_commit(void *ctx, sqlite3 *db, const char *name, int frames)
{
    struct store *store = ctx;

    (void)db;
    (void)name;
    store->frames = frames;
    return SQLITE_OK;
}

static int lock_dir(const char *path, struct err *err)
{
    struct str dir = str_from(path);

    while (dir.len > 0 && dir.data[dir.len - 1] != '/') {
        dir.len--;
    }
    char *name = mem_copy_str(dir);
    int fd = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        err_errno(err, "%s", name);
    } else if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        err_set(err, "%s is in use: another keybrake serves this data directory", name);
        (void)close(fd);
        fd = -1;
    }
    free(name);
    return fd;
}

static int prepare_rows(struct store *store, struct err *err)
{
    assert(schema_row_count <= ROWS_MAX);
    for (size_t i = 0; i < schema_row_count; i++) {
        const struct schema_row *row = &schema_rows[i];
        store->place_of[row->type] = i + 1;
        store->put[i] = db_prepare(store->db, row->put, err);
        if (store->put[i] == NULL) {
            return -1;
        }
        if (row->load == NULL) {
            continue;
        }
        store->load[i] = db_prepare(store->db, row->load, err);
        if (store->load[i] == NULL) {
            return -1;
        }
    }
    return 0;
}

static int prepare(struct store *store, struct err *err)
{
    sqlite3 *db = store->db;

    store->begin = db_prepare(db, "BEGIN IMMEDIATE", err);
    store->commit = db_prepare(db, "COMMIT", err);
    store->rollback = db_prepare(db, "ROLLBACK", err);
    store->mark = db_prepare(db, "UPDATE mark SET newest_at_ms = ?", err);
    store->blob =
        db_prepare(db, "SELECT version, sealed FROM credentials WHERE credential = ?", err);
    store->pages = db_prepare(db, "PRAGMA page_count", err);
    store->spend = spend_new(db, err);
    store->trail = trail_open(db, err);
    store->trail_writer = trail_writer_new(db, err);
    if (store->begin == NULL || store->commit == NULL || store->rollback == NULL ||
        store->mark == NULL || store->blob == NULL || store->pages == NULL ||
        store->spend == NULL || store->trail == NULL || store->trail_writer == NULL) {
        return -1;
    }
    return prepare_rows(store, err);
}

/* Where the audit and the time stand. */
static int read_ends(struct store *store, struct message_loaded *ret_loaded, struct err *err)
{
    sqlite3_stmt *mark = NULL;
    struct trail_row last;
    int rc = trail_below(store->trail, INT64_MAX, &last, err);

    *ret_loaded = (struct message_loaded){0};
    if (rc < 0) {
        return -1;
    }
    if (rc == 1) {
        if (!last.readable) {
            return err_set(err, "the last row of the audit is damaged: it cannot be read");
        }
        ret_loaded->audit_sequence = last.sequence;
        ret_loaded->audit_head = last.audit.hash;
    }
    mark = db_prepare(store->db, "SELECT newest_at_ms FROM mark", err);
    if (mark == NULL) {
        return -1;
    }
    rc = db_step(store->db, mark, err);
    ret_loaded->newest_at_ms = sqlite3_column_int64(mark, 0);
    (void)sqlite3_finalize(mark);
    if (rc == 0) {
        err_set(err, "the database does not say how new it is");
    }
    return rc == 1 ? 0 : -1;
}

static int limit_pages(struct store *store, uint32_t pages_max, struct err *err)
{
    char pragma[64];

    if (pages_max == 0) {
        return 0;
    }
    (void)snprintf(pragma, sizeof(pragma), "PRAGMA max_page_count = %" PRIu32, pages_max);
    return db_run(store->db, pragma, err);
}

struct store *store_open(const char *data_dir, uint32_t pages_max, struct err *err)
{
    struct store *store = mem_zeroed(sizeof(*store));
    char *path = db_path(data_dir, err);
    struct message_loaded ends;

    store->lock = -1;
    store->fold_at_bytes = STORE_LOG_BYTES_MAX;
    buf_init(&store->sealed, SEALED_BYTES_MAX);
    if (path == NULL || (store->lock = lock_dir(path, err)) < 0 ||
        (store->db = db_open(path, DB_WRITE, err)) == NULL) {
        goto failed;
    }
    int chunk = CHUNK_BYTES;
    (void)sqlite3_file_control(store->db, "main", SQLITE_FCNTL_CHUNK_SIZE, &chunk);
    (void)sqlite3_wal_hook(store->db, on_commit, store);
    if (sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
        SQLITE_OK) {
        if (db_result(store->db, err) == STORE_BROKEN) {
            goto failed;
        }
        /* No room, or a reader: what is in the log counts all the same. */
    }
    if (db_check_tables(store->db, CHECK_MS, err) < 0 || db_sync_log(store->db, err) < 0 ||
        limit_pages(store, pages_max, err) < 0 || prepare(store, err) < 0 ||
        read_ends(store, &ends, err) < 0) {
        goto failed;
    }
    store->audit_sequence = store->audit_sequence_written = ends.audit_sequence;
    store->newest_at_ms = store->newest_at_ms_written = ends.newest_at_ms;
    free(path);
    return store;
failed:
    free(path);
    store_close(store);
    return NULL;
}

void store_close(struct store *store)
{
    if (store == NULL) {
        return;
    }
    if (store->db != NULL) {
        store_rollback(store);
    }
    sqlite3_stmt *const single[] = {store->begin, store->commit, store->rollback,
                                    store->mark,  store->blob,   store->pages};
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++) {
        (void)sqlite3_finalize(single[i]);
    }
    for (size_t i = 0; i < ROWS_MAX; i++) {
        (void)sqlite3_finalize(store->put[i]);
        (void)sqlite3_finalize(store->load[i]);
    }
    spend_free(store->spend);
    trail_close(store->trail);
    trail_writer_free(store->trail_writer);
    db_close(store->db);
    if (store->lock >= 0) {
        (void)close(store->lock);
    }
    buf_clear(&store->sealed);
    free(store->loaded);
    free(store);
}

/* ---- writing ---- */

static enum store_result noted(struct store *store, enum store_result result)
{
    if (result == STORE_BROKEN) {
        store->broken = true;
    }
    return result;
}

static enum store_result failed(struct store *store, struct err *err)
{
    return noted(store, db_result(store->db, err));
}

static enum store_result run(struct store *store, sqlite3_stmt *statement, struct err *err)
{
    int rc = sqlite3_step(statement);

    if (rc != SQLITE_DONE) {
        enum store_result result = failed(store, err); /* before reset, which clears errno */
        (void)sqlite3_reset(statement);
        return result;
    }
    (void)sqlite3_reset(statement);
    return STORE_DONE;
}

static void note_time(struct store *store, int64_t at_ms)
{
    if (at_ms > store->newest_at_ms) {
        store->newest_at_ms = at_ms;
    }
}

static enum store_result put_audit(struct store *store, const struct message_row_audit *row,
                                   struct str written, struct err *err)
{
    if (row->sequence != store->audit_sequence + 1) {
        err_set(err, "audit row %" PRIu64 " cannot follow row %" PRIu64, row->sequence,
                store->audit_sequence);
        return STORE_REFUSED;
    }
    enum store_result result =
        noted(store, trail_writer_add(store->trail_writer, row, written, err));
    if (result == STORE_DONE) {
        result = noted(store, spend_add(store->spend, row, err));
    }
    if (result != STORE_DONE) {
        return result;
    }
    store->audit_sequence = row->sequence;
    note_time(store, row->at_ms);
    return STORE_DONE;
}

static int64_t time_of(enum message_type type, const void *row)
{
    switch (type) {
    case MESSAGE_ROW_KEY:
        return ((const struct message_row_key *)row)->created_at_ms;
    case MESSAGE_ROW_HOLD:
        return ((const struct message_row_hold *)row)->changed_at_ms;
    case MESSAGE_ROW_HEAD:
        return ((const struct message_row_head *)row)->at_ms;
    case MESSAGE_ROW_WINDOW: {
        int64_t day = ((const struct message_row_window *)row)->day;
        return day < 0 ? 0 : clock_day_start_ms(day);
    }
    default:
        return 0;
    }
}

/* A credential's sum leaves its box out: the box is not sent to who keeps the rest, and proves
 * itself when it is opened. */
static int64_t checksum_of(enum message_type type, const struct wire_schema *schema,
                           const void *row)
{
    if (type != MESSAGE_ROW_CREDENTIAL) {
        return row_checksum(schema, row);
    }
    struct message_row_credential bare = *(const struct message_row_credential *)row;
    bare.sealed = STR_NONE;
    return row_checksum(schema, &bare);
}

enum store_result store_put(struct store *store, enum message_type type, const void *row,
                            struct err *err)
{
    return store_put_written(store, type, row, STR_NONE, err);
}

enum store_result store_put_written(struct store *store, enum message_type type, const void *row,
                                    struct str written, struct err *err)
{
    if (store->broken) {
        err_set(err, "the database failed before");
        return STORE_BROKEN;
    }
    if (!store->writing) {
        enum store_result result = run(store, store->begin, err);
        if (result != STORE_DONE) {
            return result;
        }
        store->writing = true;
    }
    if (type == MESSAGE_ROW_AUDIT) {
        return put_audit(store, row, written, err);
    }
    assert(store->place_of[type] != 0);
    size_t place = store->place_of[type] - 1;
    const struct wire_schema *schema = message_schema(type);
    sqlite3_stmt *put = store->put[place];
    row_bind(put, schema, row);
    if (schema_rows[place].checksum) {
        (void)sqlite3_bind_int64(put, (int)schema->count + 1, checksum_of(type, schema, row));
    }
    note_time(store, time_of(type, row));
    return run(store, put, err);
}

void store_rollback(struct store *store)
{
    if (store->writing && sqlite3_get_autocommit(store->db) == 0) {
        (void)sqlite3_step(store->rollback);
        (void)sqlite3_reset(store->rollback);
    }
    store->writing = false;
    store->audit_sequence = store->audit_sequence_written;
    store->newest_at_ms = store->newest_at_ms_written;
    if (store->spend != NULL) {
        spend_forget(store->spend);
    }
    if (store->trail_writer != NULL) {
        trail_writer_forget(store->trail_writer);
    }
}

static enum store_result put_mark(struct store *store, struct err *err)
{
    if (store->newest_at_ms == store->newest_at_ms_written) {
        return STORE_DONE;
    }
    (void)sqlite3_bind_int64(store->mark, 1, store->newest_at_ms);
    return run(store, store->mark, err);
}

/* Room in the file for every page that there is now, before one of them is in the log alone: so the
 * log can always be folded, and a disk that it has filled be used again. */
static enum store_result reserve(struct store *store, struct err *err)
{
    int64_t pages = 0;

    if (sqlite3_step(store->pages) == SQLITE_ROW) {
        pages = sqlite3_column_int64(store->pages, 0);
    }
    (void)sqlite3_reset(store->pages);
    if (pages <= store->pages_reserved) {
        return STORE_DONE;
    }
    sqlite3_int64 bytes = pages * PAGE_BYTES;
    if (sqlite3_file_control(store->db, "main", SQLITE_FCNTL_SIZE_HINT, &bytes) != SQLITE_OK) {
        err_set(err, "no room left for the database to grow");
        return STORE_REFUSED;
    }
    const int64_t chunk_pages = CHUNK_BYTES / PAGE_BYTES;
    store->pages_reserved = (pages + chunk_pages - 1) / chunk_pages * chunk_pages;
    return STORE_DONE;
}

static enum store_result checkpoint(struct store *store, int mode, struct err *err)
{
    int in_log = 0, done = 0;

    if (sqlite3_wal_checkpoint_v2(store->db, NULL, mode, &in_log, &done) == SQLITE_OK) {
        store->frames = in_log > done ? in_log - done : 0;
        return STORE_DONE;
    }
    return failed(store, err);
}

uint64_t store_log_bytes(const struct store *store)
{
    return (uint64_t)store->frames * FRAME_BYTES;
}

/* What was committed stays so, whatever becomes of this; only a broken disk is news. */
static enum store_result fold_if_large(struct store *store, struct err *err)
{
    if (store_log_bytes(store) < store->fold_at_bytes) {
        return STORE_DONE;
    }
    enum store_result result = checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE, err);
    /* A reader or a full disk is in the way: not again at every commit. */
    store->fold_at_bytes = result == STORE_DONE ? STORE_LOG_BYTES_MAX
                                                : store_log_bytes(store) + STORE_LOG_BYTES_MAX / 4;
    return result == STORE_BROKEN ? STORE_BROKEN : STORE_DONE;
}

enum store_result store_commit(struct store *store, struct err *err)
{
    if (store->broken) {
        err_set(err, "the database failed before");
        return STORE_BROKEN;
    }
    if (!store->writing) {
        return STORE_DONE;
    }
    enum store_result result = noted(store, trail_writer_flush(store->trail_writer, err));
    if (result == STORE_DONE) {
        result = noted(store, spend_flush(store->spend, err));
    }
    if (result == STORE_DONE) {
        result = put_mark(store, err);
    }
    if (result == STORE_DONE) {
        result = reserve(store, err);
    }
    if (result == STORE_DONE) {
        result = run(store, store->commit, err);
    }
    if (result != STORE_DONE) {
        return result;
    }
    store->writing = false;
    store->audit_sequence_written = store->audit_sequence;
    store->newest_at_ms_written = store->newest_at_ms;
    return fold_if_large(store, err);
}

enum store_result store_checkpoint(struct store *store, struct err *err)
{
    if (store->broken) {
        err_set(err, "the database failed before");
        return STORE_BROKEN;
    }
    assert(!store->writing);
    if (store->frames == 0) {
        return STORE_DONE;
    }
    return checkpoint(store, SQLITE_CHECKPOINT_PASSIVE, err);
}

enum store_result store_give_back(struct store *store, struct err *err)
{
    if (store->broken) {
        err_set(err, "the database failed before");
        return STORE_BROKEN;
    }
    assert(!store->writing);
    return checkpoint(store, SQLITE_CHECKPOINT_TRUNCATE, err);
}

void store_rest(struct store *store)
{
    if (!store->writing) {
        (void)sqlite3_db_release_memory(store->db);
    }
}

/* ---- loading ---- */

static int read_row(struct store *store, size_t place, struct err *err)
{
    const struct schema_row *row = &schema_rows[place];
    const struct wire_schema *schema = message_schema(row->type);
    sqlite3_stmt *load = store->load[place];

    free(store->loaded);
    store->loaded = mem_zeroed(schema->size);
    if (!row_read(load, schema, store->loaded)) {
        return err_set(err, "a row of table %s is damaged: it cannot be read", row->table);
    }
    if (row->checksum && checksum_of(row->type, schema, store->loaded) !=
                             sqlite3_column_int64(load, (int)schema->count)) {
        return err_set(err, "a row of table %s is damaged: its checksum is wrong", row->table);
    }
    if (row->type == MESSAGE_ROW_CREDENTIAL) {
        ((struct message_row_credential *)store->loaded)->sealed = STR_NONE;
    }
    return 1;
}

int store_load(struct store *store, enum message_type *ret_type, const void **ret_row,
               struct err *err)
{
    for (; store->loading < schema_row_count; store->loading++) {
        sqlite3_stmt *load = store->load[store->loading];
        if (load == NULL) {
            continue;
        }
        if (sqlite3_stmt_busy(load) == 0 && sqlite3_bind_parameter_count(load) == 1) {
            (void)sqlite3_bind_int64(load, 1, clock_day(store->newest_at_ms) - WINDOW_DAYS);
        }
        int rc = db_step(store->db, load, err);
        if (rc == 1) {
            rc = read_row(store, store->loading, err);
        }
        if (rc == 1) {
            *ret_type = schema_rows[store->loading].type;
            *ret_row = store->loaded;
            return 1;
        }
        (void)sqlite3_reset(load);
        if (rc < 0) {
            store->loading = 0;
            return -1;
        }
    }
    store->loading = 0;
    return 0;
}

int store_loaded(struct store *store, struct message_loaded *ret_loaded, struct err *err)
{
    return read_ends(store, ret_loaded, err);
}

int store_blob(struct store *store, uint64_t credential, struct message_blob *ret_blob,
               struct err *err)
{
    (void)sqlite3_bind_int64(store->blob, 1, (int64_t)credential);
    *ret_blob = (struct message_blob){.credential = credential};
    buf_cut(&store->sealed, 0);
    int rc = db_step(store->db, store->blob, err);
    if (rc == 1) {
        ret_blob->version = (uint64_t)sqlite3_column_int64(store->blob, 0);
        ret_blob->found =
            buf_add_str(&store->sealed, row_text(store->blob, 1)) && buf_len(&store->sealed) > 0;
        ret_blob->sealed = buf_str(&store->sealed);
    }
    /* At once, since an open read would keep the log from being folded. */
    (void)sqlite3_reset(store->blob);
    return rc < 0 ? -1 : 0;
}
