/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/directory.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

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
    if (mkdir(path, 0700) < 0) {
        return errno == EEXIST ? err_set(err, "'%s' is there already; only a new one is made", path)
                               : err_errno(err, "cannot make '%s'", path);
    }
    return 0;
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
