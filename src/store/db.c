/* SPDX-License-Identifier: Apache-2.0 */
#include "store/db.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/mem.h"
#include "store/schema.h"

enum {
    VALUE_BYTES_MAX = 2 * 1024 * 1024, /* above the largest field of any row, and of any SQL */
    BUSY_MS = 250,
    SMALL_TABLES = 6,               /* at the head of what db_check_tables() checks */
    CHECKED_PAGES_MAX = 256 * 1024, /* 1 GiB: in a larger file only those */
    PROGRESS_OPS = 4000,            /* of SQLite's machine, between two looks at the clock */
};

static int fail(sqlite3 *db, const char *what, struct err *err)
{
    return err_set(err, "the database: %s: %s (%d)", what, sqlite3_errmsg(db),
                   sqlite3_extended_errcode(db));
}

int db_run(sqlite3 *db, const char *sql, struct err *err)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : fail(db, "refused", err);
}

int db_make_schema(sqlite3 *db, struct err *err)
{
    int rc = 0;

    for (const char *const *sql = schema_create; *sql != NULL && rc == 0; sql++) {
        rc = db_run(db, *sql, err);
    }
    return rc;
}

sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql, struct err *err)
{
    sqlite3_stmt *statement = NULL;

    if (sqlite3_prepare_v3(db, sql, -1, SQLITE_PREPARE_PERSISTENT, &statement, NULL) != SQLITE_OK) {
        fail(db, sql, err);
        return NULL;
    }
    return statement;
}

int db_step(sqlite3 *db, sqlite3_stmt *statement, struct err *err)
{
    int rc = sqlite3_step(statement);

    if (rc == SQLITE_ROW) {
        return 1;
    }
    return rc == SQLITE_DONE ? 0 : fail(db, "failed", err);
}

/* What the system said when the file, or the log, was last written.  (sqlite3_system_errno() is
 * what errno is after SQLite has cleaned up.) */
static bool no_room(sqlite3 *db)
{
    static const int asked[] = {SQLITE_FCNTL_FILE_POINTER, SQLITE_FCNTL_JOURNAL_POINTER};
    bool none = false, other = false;

    for (size_t i = 0; i < sizeof(asked) / sizeof(asked[0]); i++) {
        sqlite3_file *file = NULL;
        int system = 0;
        if (sqlite3_file_control(db, "main", asked[i], &file) != SQLITE_OK || file == NULL ||
            file->pMethods == NULL ||
            file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &system) != SQLITE_OK) {
            continue;
        }
        none = none || system == ENOSPC || system == EDQUOT || system == EFBIG;
        other = other || system == EIO;
    }
    return none && !other;
}

enum store_result db_result(sqlite3 *db, struct err *err)
{
    int code = sqlite3_extended_errcode(db);

    switch (code & 0xff) {
    case SQLITE_FULL:
        err_set(err, "no room left on the disk of the database");
        return STORE_REFUSED;
    case SQLITE_IOERR:
        /* Only a write that found no room: an fsync is never done again, whatever it said. */
        if (code == SQLITE_IOERR_WRITE && no_room(db)) {
            err_set(err, "no room left for the database");
            return STORE_REFUSED;
        }
        break;
    case SQLITE_CONSTRAINT:
    case SQLITE_TOOBIG:
    case SQLITE_MISMATCH:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        fail(db, "refused a row", err);
        return STORE_REFUSED;
    default:
        break;
    }
    fail(db, "cannot be trusted any more", err);
    return STORE_BROKEN;
}

int db_sync_log(sqlite3 *db, struct err *err)
{
    sqlite3_file *log = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) != SQLITE_OK ||
        log == NULL || log->pMethods == NULL) {
        return err_set(err, "the database has no write-ahead log");
    }
    return log->pMethods->xSync(log, SQLITE_SYNC_NORMAL) == SQLITE_OK
               ? 0
               : err_errno(err, "the database's log cannot be synchronised");
}

static int number_of(sqlite3 *db, const char *sql, int64_t *ret_number, struct err *err)
{
    sqlite3_stmt *statement = db_prepare(db, sql, err);
    int rc = -1;

    if (statement != NULL && db_step(db, statement, err) == 1) {
        *ret_number = sqlite3_column_int64(statement, 0);
        rc = 0;
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

static int give_up_when_late(void *ctx)
{
    const uint64_t *deadline_us = ctx;
    return clock_boot_us() > *deadline_us;
}

static int check_table(sqlite3 *db, const char *pragma, struct err *err)
{
    sqlite3_stmt *statement = db_prepare(db, pragma, err);
    int rc = -1;

    if (statement == NULL) {
        return -1;
    }
    int step = sqlite3_step(statement);
    if (step == SQLITE_INTERRUPT) {
        rc = 0;
    } else if (step != SQLITE_ROW) {
        fail(db, pragma, err);
    } else {
        const char *found = (const char *)sqlite3_column_text(statement, 0);
        bool good = found != NULL && strcmp(found, "ok") == 0;
        rc = good ? 0 : err_set(err, "the database is damaged: %s", found == NULL ? "" : found);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

int db_check_tables(sqlite3 *db, uint64_t ms, struct err *err)
{
    static const char *const pragmas[] = {
        "PRAGMA integrity_check(meta)",        "PRAGMA integrity_check(operators)",
        "PRAGMA integrity_check(tenants)",     "PRAGMA integrity_check(prices)",
        "PRAGMA integrity_check(stops)",       "PRAGMA integrity_check(credentials)",
        "PRAGMA integrity_check(windows)",     "PRAGMA integrity_check(holds)",
        "PRAGMA integrity_check(idempotency)", "PRAGMA integrity_check(keys)",
    };
    const size_t all = sizeof(pragmas) / sizeof(pragmas[0]);
    uint64_t deadline_us = clock_boot_us() + ms * 1000;
    int64_t pages = 0;
    int rc = number_of(db, "PRAGMA page_count", &pages, err);
    /* Within one tree SQLite does not look at the clock. */
    size_t count = pages > CHECKED_PAGES_MAX ? SMALL_TABLES : all;

    sqlite3_progress_handler(db, PROGRESS_OPS, give_up_when_late, &deadline_us);
    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = check_table(db, pragmas[i], err);
    }
    sqlite3_progress_handler(db, 0, NULL, NULL);
    return rc;
}

char *db_path(const char *data_dir, struct err *err)
{
    char *dir = realpath(data_dir, NULL);
    struct buf path;

    if (dir == NULL) {
        err_errno(err, "data directory %s", data_dir);
        return NULL;
    }
    buf_init(&path, PATH_MAX + 64);
    (void)buf_addf(&path, "%s/db/keybrake.db", dir);
    char *out = mem_copy_str(buf_str(&path));
    buf_clear(&path);
    free(dir);
    return out;
}

static int check_version(sqlite3 *db, struct err *err)
{
    int64_t application = 0, version = 0;

    if (number_of(db, "PRAGMA application_id", &application, err) < 0 ||
        number_of(db, "PRAGMA user_version", &version, err) < 0) {
        return -1;
    }
    if (application != SCHEMA_APPLICATION_ID) {
        return err_set(err, "the database file is not one of keybrake's");
    }
    if (version != SCHEMA_VERSION) {
        return err_set(err, "the database is of version %" PRId64 ", this program knows version %d",
                       version, SCHEMA_VERSION);
    }
    return 0;
}

/* All that is defined in the database, as one text. */
static int read_schema(sqlite3 *db, struct buf *out, struct err *err)
{
    sqlite3_stmt *statement = db_prepare(
        db, "SELECT type, name, sql FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%'", err);
    int rc = -1;

    while (statement != NULL && (rc = db_step(db, statement, err)) == 1) {
        for (int i = 0; i < 3; i++) {
            const char *text = (const char *)sqlite3_column_text(statement, i);
            (void)buf_addf(out, "%s\n", text == NULL ? "" : text);
        }
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

/* A trigger or a view that somebody put in would run with our writes: the definitions must be
 * those that a new database gets. */
static int check_schema(sqlite3 *db, struct err *err)
{
    sqlite3 *fresh = NULL;
    struct buf ours, theirs;
    int rc = -1;

    buf_init(&ours, VALUE_BYTES_MAX);
    buf_init(&theirs, VALUE_BYTES_MAX);
    if (sqlite3_open(":memory:", &fresh) != SQLITE_OK) {
        fail(fresh, "memory", err);
        goto out;
    }
    if (db_make_schema(fresh, err) < 0 || read_schema(fresh, &ours, err) < 0 ||
        read_schema(db, &theirs, err) < 0) {
        goto out;
    }
    if (theirs.overflow || !str_equal(buf_str(&ours), buf_str(&theirs))) {
        err_set(err, "the tables of the database are not those that this program made");
        goto out;
    }
    rc = 0;
out:
    buf_clear(&ours);
    buf_clear(&theirs);
    (void)sqlite3_close(fresh);
    return rc;
}

/* What a file from elsewhere could use against us is switched off before it is looked at. */
static int harden(sqlite3 *db, struct err *err)
{
    static const struct {
        int option, value;
    } options[] = {
        {SQLITE_DBCONFIG_DEFENSIVE, 1},      {SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0},
        {SQLITE_DBCONFIG_ENABLE_TRIGGER, 0}, {SQLITE_DBCONFIG_ENABLE_VIEW, 0},
        {SQLITE_DBCONFIG_ENABLE_FKEY, 0},    {SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0},
        {SQLITE_DBCONFIG_DQS_DML, 0},        {SQLITE_DBCONFIG_DQS_DDL, 0},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if (sqlite3_db_config(db, options[i].option, options[i].value, NULL) != SQLITE_OK) {
            return fail(db, "cannot be hardened", err);
        }
    }
    (void)sqlite3_extended_result_codes(db, 1);
    (void)sqlite3_busy_timeout(db, BUSY_MS);
    (void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, VALUE_BYTES_MAX);
    (void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
    (void)sqlite3_limit(db, SQLITE_LIMIT_WORKER_THREADS, 0);
    return 0;
}

static int configure(sqlite3 *db, enum db_mode mode, struct err *err)
{
    /* mmap is off, since a disk error would come as a signal. */
    if (db_run(db,
               "PRAGMA temp_store = MEMORY; PRAGMA mmap_size = 0; PRAGMA cell_size_check = ON;"
               "PRAGMA cache_size = -16384",
               err) < 0) {
        return -1;
    }
    if (mode == DB_READ) {
        return db_run(db, "PRAGMA query_only = ON", err);
    }
    if (mode == DB_CREATE) {
        return db_run(db, "PRAGMA synchronous = FULL", err);
    }
    return db_run(db,
                  "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
                  "PRAGMA wal_autocheckpoint = 0; PRAGMA journal_size_limit = 67108864;"
                  "PRAGMA secure_delete = FAST", /* of sealed boxes that were replaced */
                  err);
}

/* Before the first connection: one thread, and nobody reads the memory statistics. */
static int set_up(struct err *err)
{
    unsigned char seed[8];

    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_STMTJRNL_SPILL, -1); /* no temporary files */
    if (sqlite3_initialize() != SQLITE_OK || sodium_init() < 0) {
        return err_set(err, "SQLite or libsodium cannot start");
    }
    sqlite3_randomness(sizeof(seed), seed); /* opens /dev/urandom now rather than confined */
    return 0;
}

sqlite3 *db_open(const char *path, enum db_mode mode, struct err *err)
{
    int flags = SQLITE_OPEN_NOFOLLOW | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
                (mode == DB_READ ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE);
    sqlite3 *db = NULL;

    if (set_up(err) < 0) {
        return NULL;
    }
    if (sqlite3_open_v2(path, &db, flags, NULL) != SQLITE_OK) {
        err_set(err, "the database %s cannot be opened: %s", path, sqlite3_errmsg(db));
        goto failed;
    }
    if (harden(db, err) < 0) {
        goto failed;
    }
    if (mode != DB_CREATE && (check_version(db, err) < 0 || check_schema(db, err) < 0)) {
        goto failed;
    }
    if (configure(db, mode, err) < 0) {
        goto failed;
    }
    return db;
failed:
    err_prefix(err, "%s", path);
    db_close(db);
    return NULL;
}

void db_close(sqlite3 *db)
{
    (void)sqlite3_close(db);
}
