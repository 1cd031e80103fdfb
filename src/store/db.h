/* SPDX-License-Identifier: Apache-2.0 */
/*
 * db: a connection to the database file, opened with care.  Inside the store only.
 */
#ifndef STORE_DB_H
#define STORE_DB_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "store/store.h"

enum db_mode {
    DB_READ,   /* another process may be writing */
    DB_WRITE,  /* the one writer */
    DB_CREATE, /* an empty file, still nobody else's */
};

/* Opens DIR/db/keybrake.db (DB_CREATE: the file `path` itself).  Refuses links, files that are not
 * ours or of another version, and tables that are not exactly ours.  NULL with the reason. */
sqlite3 *db_open(const char *path, enum db_mode mode, struct err *err);
void db_close(sqlite3 *db); /* takes NULL too */

/* DIR/db/keybrake.db with DIR resolved, so that links above it are allowed; free() it. */
char *db_path(const char *data_dir, struct err *err);

int db_run(sqlite3 *db, const char *sql, struct err *err); /* statements without results */
int db_make_schema(sqlite3 *db, struct err *err);
sqlite3_stmt *db_prepare(sqlite3 *db, const char *sql, struct err *err);

/* Steps once.  1: a row is there; 0: no more; -1 with the reason. */
int db_step(sqlite3 *db, sqlite3_stmt *statement, struct err *err);

/* The first time SQLite synchronises a log it opens the directory to do the same there.  Do that
 * while directories may be opened. */
int db_sync_log(sqlite3 *db, struct err *err);

/* Whether the tables that money and permission hang on hold together, page by page and index by
 * index: a row that a rotten page hides is missed by nobody else.  Looks for about `ms` at
 * most, and in files above 1 GiB at the small tables only, so that a large file does not keep the
 * server down. */
int db_check_tables(sqlite3 *db, uint64_t ms, struct err *err);

/* What the connection's last error means for the writer: STORE_REFUSED when there was no room or
 * the row was not acceptable, STORE_BROKEN when the file or the disk cannot be trusted. */
enum store_result db_result(sqlite3 *db, struct err *err);

#endif
