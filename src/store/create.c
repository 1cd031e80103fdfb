/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/db.h"
#include "store/row.h"
#include "store/schema.h"

/* The file is made under another name and gets its own when it is complete, so that no half-made
 * database is ever served. */

static const struct schema_row *row_of(enum message_type type)
{
    const struct schema_row *row = schema_rows;

    while (row->type != type) {
        row++;
    }
    return row;
}

static int put_rows(sqlite3 *db, enum message_type type, const void *rows, size_t count,
                    struct err *err)
{
    const struct wire_schema *schema = message_schema(type);
    sqlite3_stmt *statement = db_prepare(db, row_of(type)->put, err);
    int rc = statement == NULL ? -1 : 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        const void *row = (const unsigned char *)rows + i * schema->size;
        row_bind(statement, schema, row);
        (void)sqlite3_bind_int64(statement, (int)schema->count + 1, row_checksum(schema, row));
        rc = db_step(db, statement, err);
        (void)sqlite3_reset(statement);
    }
    (void)sqlite3_finalize(statement);
    return rc;
}

static int fill(const char *path, const struct store_seed *seed, struct err *err)
{
    sqlite3 *db = db_open(path, DB_CREATE, err);
    char pragmas[96];
    int rc = -1;

    if (db == NULL) {
        return -1;
    }
    (void)snprintf(pragmas, sizeof(pragmas), "PRAGMA application_id = %d; PRAGMA user_version = %d",
                   SCHEMA_APPLICATION_ID, SCHEMA_VERSION);
    if (db_run(db, "BEGIN", err) == 0 && db_run(db, pragmas, err) == 0 &&
        db_make_schema(db, err) == 0 && db_run(db, "INSERT INTO mark VALUES (1, 0)", err) == 0 &&
        put_rows(db, MESSAGE_ROW_META, seed->metas, seed->meta_count, err) == 0 &&
        put_rows(db, MESSAGE_ROW_OPERATOR, seed->operators, seed->operator_count, err) == 0 &&
        db_run(db, "COMMIT", err) == 0 && db_run(db, "PRAGMA journal_mode = WAL", err) == 0) {
        rc = 0; /* with its log from birth, so that a reader never sees the file change over */
    }
    db_close(db);
    return rc;
}

static char *joined(const char *a, const char *b)
{
    struct buf out;

    buf_init(&out, 8192);
    (void)buf_addf(&out, "%s%s", a, b);
    char *text = mem_copy_str(buf_str(&out));
    buf_clear(&out);
    return text;
}

int store_create(const char *data_dir, const struct store_seed *seed, struct err *err)
{
    char *dir = joined(data_dir, "/db");
    char *path = NULL, *fresh = NULL;
    int fd = -1, rc = -1;

    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        err_errno(err, "%s", dir);
        goto out;
    }
    path = db_path(data_dir, err);
    if (path == NULL) {
        goto out;
    }
    if (access(path, F_OK) == 0) {
        err_set(err, "%s is there already", path);
        goto out;
    }
    fresh = joined(path, ".new");
    if (unlink(fresh) < 0 && errno != ENOENT) { /* of an init that was cut short */
        err_errno(err, "%s", fresh);
        goto out;
    }
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(err, "%s", fresh);
        goto out;
    }
    if (fill(fresh, seed, err) < 0) {
        goto out;
    }
    if (renameat2(AT_FDCWD, fresh, AT_FDCWD, path, RENAME_NOREPLACE) < 0) {
        err_errno(err, "%s", path);
        goto out;
    }
    rc = file_sync_directory(dir, err) == 0 && file_sync_directory(data_dir, err) == 0 ? 0 : -1;
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    if (rc < 0 && fresh != NULL) {
        (void)unlink(fresh);
    }
    free(fresh);
    free(path);
    free(dir);
    return rc;
}
