/* SPDX-License-Identifier: Apache-2.0 */
#include "os/file.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int file_sync_directory(const char *path, struct err *err)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0 || fsync(fd) < 0) {
        rc = err_errno(err, "cannot make '%s' durable", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static bool write_all(int fd, struct str bytes)
{
    for (size_t at = 0; at < bytes.len;) {
        ssize_t wrote = write(fd, bytes.data + at, bytes.len - at);
        if (wrote < 0 && errno != EINTR) {
            return false;
        }
        at += wrote < 0 ? 0 : (size_t)wrote;
    }
    return true;
}

int file_write_new(const char *path, mode_t mode, struct str bytes, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);

    if (fd < 0) {
        return err_errno(err, "cannot make '%s'", path);
    }
    if (!write_all(fd, bytes) || fchmod(fd, mode) < 0 || fsync(fd) < 0) {
        int rc = err_errno(err, "cannot write '%s'", path);
        (void)close(fd);
        (void)unlink(path);
        return rc;
    }
    (void)close(fd);
    return 0;
}

static int sync_directory_of(const char *path, struct err *err)
{
    char directory[PATH_MAX];
    const char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return file_sync_directory(".", err);
    }
    (void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - path + 1), path);
    return file_sync_directory(directory, err);
}

int file_replace(const char *path, mode_t mode, struct str bytes, struct err *err)
{
    char fresh[PATH_MAX];
    struct stat older;
    bool is_there = lstat(path, &older) == 0;

    if (snprintf(fresh, sizeof(fresh), "%s.new", path) >= (int)sizeof(fresh)) {
        return err_set(err, "'%s' is too long a path", path);
    }
    (void)unlink(fresh); /* of one that was cut short */
    if (file_write_new(fresh, mode, bytes, err) < 0) {
        return -1;
    }
    if ((is_there && geteuid() == 0 && chown(fresh, older.st_uid, older.st_gid) < 0) ||
        rename(fresh, path) < 0) {
        int rc = err_errno(err, "cannot replace '%s'", path);
        (void)unlink(fresh);
        return rc;
    }
    return sync_directory_of(path, err);
}
