/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/directory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

static bool is_empty(int directory)
{
    int fd = dup(directory);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    const struct dirent *entry;
    bool empty = entries != NULL;

    while (empty && (entry = readdir(entries)) != NULL) {
        empty = strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0;
    }
    if (entries != NULL) {
        (void)closedir(entries);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    return empty;
}

/* An empty directory, such as the home that adduser makes, becomes ours alone. */
static int take_over(const char *path, struct err *err)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int rc = 0;

    if (directory < 0 || !is_empty(directory)) {
        rc = err_set(err, "'%s' is there already; only a new one is made, or an empty one taken",
                     path);
    } else if (fchown(directory, geteuid(), getegid()) < 0 || fchmod(directory, 0700) < 0) {
        rc = err_errno(err, "cannot take over '%s'", path);
    }
    if (directory >= 0) {
        (void)close(directory);
    }
    return rc;
}

int directory_make(const char *path, struct err *err)
{
    char part[PATH_SIZE];

    if (strlen(path) >= sizeof(part)) {
        return err_set(err, "'%s' is too long a path", path);
    }
    for (size_t i = 1; path[i] != '\0'; i++) {
        if (path[i] == '/' && path[i + 1] != '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            if (mkdir(part, 0755) < 0 && errno != EEXIST) {
                return err_errno(err, "cannot make '%s'", part);
            }
        }
    }
    if (mkdir(path, 0700) == 0) {
        return 0;
    }
    return errno == EEXIST ? take_over(path, err) : err_errno(err, "cannot make '%s'", path);
}

int directory_make_below(const char *directory, const char *name, struct err *err)
{
    char path[PATH_SIZE];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    return mkdir(path, 0700) < 0 ? err_errno(err, "cannot make '%s'", path) : 0;
}

void directory_unmake(const char *directory)
{
    static const char *const names[] = {"db/keybrake.db-wal",
                                        "db/keybrake.db-shm",
                                        "db/keybrake.db",
                                        "vault/key",
                                        "vault/ca",
                                        "db",
                                        "vault",
                                        "run"};
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", directory, names[i]);
        (void)remove(path);
    }
    (void)rmdir(directory);
}
