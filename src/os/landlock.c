/* SPDX-License-Identifier: Apache-2.0 */
#include "os/landlock.h"

#include <fcntl.h>
#include <linux/landlock.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Newer than Debian 12's header. */
enum {
    ACCESS_TRUNCATE = 1 << 14,  /* ABI 3 */
    ACCESS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_BIND_TCP = 1 << 0,      /* ABI 4 */
    NET_CONNECT_TCP = 1 << 1,
    SCOPE_ABSTRACT_UNIX = 1 << 0, /* ABI 6 */
    SCOPE_SIGNAL = 1 << 1,
};

struct ruleset {
    uint64_t files, network, scoped;
};

enum {
    READING = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR,
    CHANGING = LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_FILE |
               LANDLOCK_ACCESS_FS_MAKE_REG | ACCESS_TRUNCATE,
    OF_A_FILE = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | ACCESS_TRUNCATE,
    ALL_SINCE_1 = (1 << 13) - 1,
};

static uint64_t files_known(int abi)
{
    uint64_t known = ALL_SINCE_1;

    if (abi >= 2) {
        known |= LANDLOCK_ACCESS_FS_REFER;
    }
    if (abi >= 3) {
        known |= ACCESS_TRUNCATE;
    }
    if (abi >= 5) {
        known |= ACCESS_IOCTL_DEV;
    }
    return known;
}

static int make_ruleset(int abi, uint64_t network, struct err *err)
{
    struct ruleset rules = {.files = files_known(abi)};
    size_t size = sizeof(rules.files);

    if (abi >= 4) {
        rules.network = network;
        size += sizeof(rules.network);
    }
    if (abi >= 6) {
        rules.scoped = SCOPE_ABSTRACT_UNIX | SCOPE_SIGNAL;
        size += sizeof(rules.scoped);
    }
    int fd = (int)syscall(SYS_landlock_create_ruleset, &rules, size, 0u);
    if (fd < 0) {
        return err_errno(err, "cannot make a Landlock ruleset");
    }
    return fd;
}

static int allow_path(int ruleset, int abi, const struct confine_path *path, uint64_t reading,
                      uint64_t changing, struct err *err)
{
    struct landlock_path_beneath_attr beneath = {.allowed_access = reading};
    struct stat about;
    int fd = open(path->path, O_PATH | O_CLOEXEC);

    if (fd < 0) {
        return err_errno(err, "cannot open '%s'", path->path);
    }
    if ((path->access & CONFINE_WRITE) != 0) {
        beneath.allowed_access |= changing;
    }
    if (fstat(fd, &about) == 0 && !S_ISDIR(about.st_mode)) {
        beneath.allowed_access &= OF_A_FILE | LANDLOCK_ACCESS_FS_EXECUTE;
    }
    beneath.allowed_access &= files_known(abi);
    beneath.parent_fd = fd;
    int rc = (int)syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &beneath, 0u);
    if (rc < 0) {
        rc = err_errno(err, "Landlock refuses '%s'", path->path);
    }
    (void)close(fd);
    return rc;
}

static int prepare(const struct confine_path *paths, size_t count, uint64_t network,
                   uint64_t reading, uint64_t changing, struct err *err)
{
    int abi = landlock_abi();

    if (abi == 0) {
        return -2;
    }
    int ruleset = make_ruleset(abi, network, err);
    for (size_t i = 0; ruleset >= 0 && i < count; i++) {
        if (allow_path(ruleset, abi, &paths[i], reading, changing, err) < 0) {
            (void)close(ruleset);
            return -1;
        }
    }
    return ruleset;
}

int landlock_prepare(const struct confine_path *paths, size_t count, bool may_connect,
                     struct err *err)
{
    uint64_t network = (uint64_t)NET_BIND_TCP | (may_connect ? 0u : (uint64_t)NET_CONNECT_TCP);

    return prepare(paths, count, network, READING, CHANGING, err);
}

int landlock_prepare_house(const struct confine_path *paths, size_t count, struct err *err)
{
    return prepare(paths, count, 0, READING | LANDLOCK_ACCESS_FS_EXECUTE,
                   files_known(landlock_abi()), err);
}

int landlock_enter(int ruleset, struct err *err)
{
    int rc = (int)syscall(SYS_landlock_restrict_self, ruleset, 0u);

    if (rc < 0) {
        rc = err_errno(err, "cannot enter the Landlock ruleset");
    }
    (void)close(ruleset);
    return rc;
}
