/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/data_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/str.h"

static int open_directory(int at, const char *name)
{
    return openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static int check_directory(int fd, const char *path, struct err *err)
{
    struct stat about;

    if (fstat(fd, &about) < 0) {
        return err_errno(err, "cannot look at '%s'", path);
    }
    if (geteuid() != 0 && about.st_uid != geteuid()) {
        return err_set(err, "'%s' belongs to another user; serve must run as that user", path);
    }
    if ((about.st_mode & 022) != 0) {
        return err_set(err, "'%s' can be written by others; run: chmod 700 '%s'", path, path);
    }
    if (faccessat(fd, "vault", F_OK, 0) < 0 || faccessat(fd, "db", F_OK, 0) < 0) {
        return err_set(err, "'%s' is not a data directory; run: keybrake init --data '%s'", path,
                       path);
    }
    return 0;
}

static int take_lock(int directory, const char *path, struct err *err)
{
    int fd = openat(directory, "run/lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);

    if (fd < 0) {
        return err_errno(err, "cannot make '%s/run/lock'", path);
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        int rc = errno == EWOULDBLOCK ? err_set(err, "another keybrake serves '%s' already", path)
                                      : err_errno(err, "cannot lock '%s'", path);
        (void)close(fd);
        return rc;
    }
    return fd;
}

int data_dir_claim(const char *path, struct err *err)
{
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    if (directory < 0) {
        return errno == ENOENT
                   ? err_set(err, "there is no '%s'; run: keybrake init --data '%s'", path, path)
                   : err_errno(err, "cannot open '%s'", path);
    }
    int rc = check_directory(directory, path, err);
    if (rc == 0 && mkdirat(directory, "run", 0700) < 0 && errno != EEXIST) {
        rc = err_errno(err, "cannot make '%s/run'", path);
    }
    if (rc == 0) {
        rc = take_lock(directory, path, err);
    }
    (void)close(directory);
    return rc;
}

static int find_ids(const char *user, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
    uint64_t number;

    *ret_uid = 0;
    *ret_gid = 0;
    if (user[0] == '\0') {
        return 0;
    }
    if (str_to_u64(str_from(user), &number) && number < UINT32_MAX) {
        *ret_uid = (uid_t)number;
        *ret_gid = (gid_t)number;
        return 0;
    }
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        return err_set(err, "there is no user '%s'", user);
    }
    *ret_uid = entry->pw_uid;
    *ret_gid = entry->pw_gid;
    return 0;
}

/* Who writes to DIR/db could have put another's file there by a second name. */
static int give_file(int db, const char *name, uid_t uid, gid_t gid, const char *path,
                     struct err *err)
{
    struct stat about;
    int fd = openat(db, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    int rc = 0;

    if (fd < 0 || fstat(fd, &about) < 0) {
        rc = err_errno(err, "cannot look at '%s/db/%s'", path, name);
    } else if (!S_ISREG(about.st_mode) || about.st_nlink != 1) {
        rc = err_set(err, "'%s/db/%s' is not a file of its own (it has %lu names)", path, name,
                     (unsigned long)about.st_nlink);
    } else if (fchown(fd, uid, gid) < 0) {
        rc = err_errno(err, "cannot give '%s/db/%s' to another user", path, name);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static int give_files(int db, uid_t uid, gid_t gid, const char *path, struct err *err)
{
    DIR *listing = fdopendir(dup(db));
    int rc = 0;

    if (listing == NULL) {
        return err_errno(err, "cannot read '%s/db'", path);
    }
    for (struct dirent *entry = readdir(listing); entry != NULL && rc == 0;
         entry = readdir(listing)) {
        if (entry->d_type == DT_REG) {
            rc = give_file(db, entry->d_name, uid, gid, path, err);
        }
    }
    (void)closedir(listing);
    return rc;
}

/* Members of the group walk through DIR to the control socket, and see nothing else of it; so does
 * the user of the other processes, to DIR/db.  DIR itself stays root's: who could rename DIR/run or
 * DIR/vault would choose what root opens there. */
static int open_to_group(int directory, const char *path, uid_t uid, gid_t gid, struct err *err)
{
    gid_t group = data_dir_group();
    bool shared = group != (gid_t)-1;
    mode_t walk = uid == 0 && !shared ? 0700 : shared && uid != 0 && gid != group ? 0711 : 0710;
    int run = open_directory(directory, "run");

    if (run < 0 || fchown(run, 0, shared ? group : 0) < 0 ||
        fchmod(run, shared ? 0750 : 0700) < 0 || fchown(directory, 0, shared ? group : gid) < 0 ||
        fchmod(directory, walk) < 0) {
        int rc = err_errno(err, "cannot set the owner of '%s'", path);
        if (run >= 0) {
            (void)close(run);
        }
        return rc;
    }
    (void)close(run);
    return 0;
}

int data_dir_give(const char *path, const char *user, struct err *err)
{
    uid_t uid;
    gid_t gid;

    if (geteuid() != 0) {
        return 0;
    }
    if (find_ids(user, &uid, &gid, err) < 0) {
        return -1;
    }
    int directory = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int db = directory < 0 ? -1 : open_directory(directory, "db");
    int rc = -1;
    if (db < 0) {
        (void)err_errno(err, "cannot open '%s/db'", path);
    } else if (fchown(db, uid, gid) < 0) {
        (void)err_errno(err, "cannot give '%s/db' to another user", path);
    } else if (give_files(db, uid, gid, path, err) == 0) {
        rc = open_to_group(directory, path, uid, gid, err);
    }
    if (db >= 0) {
        (void)close(db);
    }
    if (directory >= 0) {
        (void)close(directory);
    }
    return rc;
}

gid_t data_dir_group(void)
{
    const struct group *entry = geteuid() == 0 ? getgrnam("keybrake") : NULL;
    return entry == NULL ? (gid_t)-1 : entry->gr_gid;
}
