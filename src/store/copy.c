/* SPDX-License-Identifier: Apache-2.0 */
#include "store/copy.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "os/file.h"
#include "store/db.h"

enum { PATH_MAX_BYTES = 8192, ALL_PAGES = -1 };

static char *joined(const char *a, const char *b)
{
    struct buf out;

    buf_init(&out, PATH_MAX_BYTES);
    (void)buf_addf(&out, "%s%s", a, b);
    char *text = mem_copy_str(buf_str(&out));
    buf_clear(&out);
    return text;
}

/* All in one step: a writer's commits meanwhile go to its log, and the copy is of one moment. */
static int copy_pages(sqlite3 *from, sqlite3 *to, struct err *err)
{
    sqlite3_backup *copying = sqlite3_backup_init(to, "main", from, "main");

    if (copying == NULL) {
        return err_set(err, "cannot be written: %s", sqlite3_errmsg(to));
    }
    int code = sqlite3_backup_step(copying, ALL_PAGES);
    (void)sqlite3_backup_finish(copying);
    return code == SQLITE_DONE ? 0 : err_set(err, "cannot be written: %s", sqlite3_errstr(code));
}

static int copy_into(const char *from_path, const char *to_path, struct err *err)
{
    sqlite3 *from = db_open(from_path, DB_READ, err);
    sqlite3 *to = from == NULL ? NULL : db_open(to_path, DB_CREATE, err);
    int rc = -1;

    if (to != NULL) {
        rc = copy_pages(from, to, err);
        if (rc < 0) {
            err_prefix(err, "%s", to_path);
        }
    }
    db_close(to);
    db_close(from);
    return rc;
}

int store_copy(const char *data_dir, const char *to_dir, struct err *err)
{
    char *from_path = db_path(data_dir, err);
    char *dir = joined(to_dir, "/db");
    char *to_path = joined(dir, "/keybrake.db");
    char *fresh = joined(to_path, ".new");
    int fd = -1, rc = -1;

    if (from_path == NULL) {
        goto out;
    }
    if (mkdir(dir, 0700) < 0 && errno != EEXIST) {
        err_errno(err, "%s", dir);
        goto out;
    }
    fd = open(fresh, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0) {
        err_errno(err, "%s", fresh);
        goto out;
    }
    if (copy_into(from_path, fresh, err) < 0) {
        (void)unlink(fresh);
        goto out;
    }
    if (fsync(fd) < 0 || renameat2(AT_FDCWD, fresh, AT_FDCWD, to_path, RENAME_NOREPLACE) < 0) {
        err_errno(err, "%s", to_path);
        (void)unlink(fresh);
        goto out;
    }
    rc = file_sync_directory(dir, err);
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    free(fresh);
    free(to_path);
    free(dir);
    free(from_path);
    return rc;
}
