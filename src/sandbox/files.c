/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/mem.h"
#include "sandbox/mounts.h"
#include "sandbox/trust.h"

enum { TREES_MAX = 2 * FILES_PATHS_MAX, LINK_BYTES = 512 };

struct tree {
    char path[PATH_MAX];   /* where it stands, outside and inside */
    char link[LINK_BYTES]; /* a symbolic link's target; empty: a directory or a file */
    int fd;                /* the detached mount */
    bool is_directory, is_hidden, is_writable;
};

struct files {
    struct tree trees[TREES_MAX];
    size_t count;
    char directory[PATH_MAX];
    struct trust *trust;
};

/* The system's, each where it is there. */
static const char *const system_paths[] = {"/bin",    "/etc", "/lib",  "/lib32", "/lib64",
                                           "/libx32", "/opt", "/sbin", "/usr",   "/nix/store"};
static const char *const devices[] = {"null", "zero", "full", "random", "urandom", "tty"};

/* ---- what may be shown ---- */

static bool is_below(const char *path, const char *directory)
{
    size_t len = strlen(directory);

    return strncmp(path, directory, len) == 0 &&
           (path[len] == '\0' || path[len] == '/' || strcmp(directory, "/") == 0);
}

static bool is_system(const char *path)
{
    static const char *const ours[] = {"/dev", "/proc", "/sys", "/run", "/boot"};

    for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++) {
        if (is_below(path, system_paths[i])) {
            return true;
        }
    }
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (is_below(path, ours[i])) {
            return true;
        }
    }
    return false;
}

static int check_one(const char *path, const char *home, bool is_directory, struct err *err)
{
    static const char *const keys[] = {".ssh",   ".aws",    ".gnupg",      ".config",
                                       ".kube",  ".docker", ".azure",      ".netrc",
                                       ".npmrc", ".pypirc", ".local/state"};
    static const char *const too_much[] = {"/",    "/home", "/root",  "/var", "/var/lib",
                                           "/mnt", "/srv",  "/media", "/tmp"};
    char below[PATH_MAX];

    for (size_t i = 0; i < sizeof(too_much) / sizeof(too_much[0]); i++) {
        if (strcmp(path, too_much[i]) == 0) {
            return err_set(err, "'%s' holds more than a sandbox should see: %s", path,
                           is_directory ? "go to the project's own directory first"
                                        : "name what it needs");
        }
    }
    if (is_system(path)) {
        return is_directory ? 0 : err_set(err, "'%s' is the system's; it is there already", path);
    }
    if (home == NULL || strcmp(home, "/") == 0) {
        return 0;
    }
    if (is_below(home, path)) {
        return err_set(err, "'%s' is your home directory, or holds it: %s", path,
                       is_directory ? "go to the project's own directory first"
                                    : "name the directories that the command needs");
    }
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        (void)snprintf(below, sizeof(below), "%s/%s", home, keys[i]);
        if (is_below(path, below)) {
            return err_set(err, "'%s' is where keys are kept; it is not shown to a sandbox", path);
        }
    }
    return 0;
}

int files_check(const struct files_plan *plan, const char *home, struct err *err)
{
    if (check_one(plan->directory, home, true, err) < 0) {
        return -1;
    }
    if (plan->writable_count + plan->readable_count + plan->hidden_count > FILES_PATHS_MAX) {
        return err_set(err, "at most %d paths can be named", FILES_PATHS_MAX);
    }
    for (size_t i = 0; i < plan->writable_count; i++) {
        if (check_one(plan->writable[i], home, false, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < plan->readable_count; i++) {
        if (check_one(plan->readable[i], home, false, err) < 0) {
            return -1;
        }
    }
    /* What must not be seen may be below what is shown, but not the other way round. */
    for (size_t i = 0; i < plan->hidden_count; i++) {
        for (size_t k = 0; k <= plan->writable_count + plan->readable_count; k++) {
            const char *shown = k == 0 ? plan->directory
                                : k <= plan->writable_count
                                    ? plan->writable[k - 1]
                                    : plan->readable[k - 1 - plan->writable_count];
            if (is_below(shown, plan->hidden[i])) {
                return err_set(err, "'%s' is in '%s', which no sandbox may see", shown,
                               plan->hidden[i]);
            }
        }
    }
    return 0;
}

/* ---- opening ---- */

static int add_tree(struct files *files, const char *path, unsigned mount_flags, struct err *err)
{
    struct tree *tree = &files->trees[files->count];
    struct stat about;

    if (lstat(path, &about) < 0) {
        return err_errno(err, "cannot show '%s' in the sandbox", path);
    }
    *tree = (struct tree){.fd = -1, .is_directory = S_ISDIR(about.st_mode)};
    (void)snprintf(tree->path, sizeof(tree->path), "%s", path);
    if (S_ISLNK(about.st_mode)) {
        ssize_t len = readlink(path, tree->link, sizeof(tree->link) - 1);
        if (len <= 0) {
            return err_errno(err, "cannot read the link '%s'", path);
        }
        tree->link[len] = '\0';
        files->count++;
        return 0;
    }
    tree->fd = mounts_clone(path, mount_flags, err);
    if (tree->fd < 0) {
        return -1;
    }
    files->count++;
    return 0;
}

static int open_system(struct files *files, struct err *err)
{
    for (size_t i = 0; i < sizeof(system_paths) / sizeof(system_paths[0]); i++) {
        if (access(system_paths[i], F_OK) == 0 &&
            add_tree(files, system_paths[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < sizeof(devices) / sizeof(devices[0]); i++) {
        char path[32];
        (void)snprintf(path, sizeof(path), "/dev/%s", devices[i]);
        if (access(path, F_OK) == 0 && add_tree(files, path, MOUNT_ATTR_NOEXEC, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int open_named(struct files *files, const struct files_plan *plan, struct err *err)
{
    if (!is_system(plan->directory) &&
        add_tree(files, plan->directory, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < plan->readable_count; i++) {
        if (add_tree(files, plan->readable[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, err) < 0) {
            return -1;
        }
    }
    for (size_t i = 0; i < plan->writable_count; i++) {
        if (add_tree(files, plan->writable[i], MOUNT_ATTR_NODEV, err) < 0) {
            return -1;
        }
        files->trees[files->count - 1].is_writable = true;
    }
    return 0;
}

/* What is hidden comes last, whatever its name: it covers. */
static int by_path(const void *a, const void *b)
{
    const struct tree *left = a, *right = b;

    if (left->is_hidden != right->is_hidden) {
        return left->is_hidden ? 1 : -1;
    }
    return strcmp(left->path, right->path);
}

static void add_hidden(struct files *files, const struct files_plan *plan)
{
    for (size_t i = 0; i < plan->hidden_count; i++) {
        struct tree *tree = &files->trees[files->count];
        struct stat about;
        if (lstat(plan->hidden[i], &about) == 0 && !S_ISLNK(about.st_mode)) {
            *tree =
                (struct tree){.fd = -1, .is_hidden = true, .is_directory = S_ISDIR(about.st_mode)};
            (void)snprintf(tree->path, sizeof(tree->path), "%s", plan->hidden[i]);
            files->count++;
        }
    }
}

struct files *files_open(const struct files_plan *plan, struct err *err)
{
    struct files *files = mem_zeroed(sizeof(*files));

    (void)snprintf(files->directory, sizeof(files->directory), "%s", plan->directory);
    if (open_system(files, err) < 0 || open_named(files, plan, err) < 0) {
        free(files); /* the process ends, and with it its descriptors */
        return NULL;
    }
    add_hidden(files, plan);
    qsort(files->trees, files->count, sizeof(files->trees[0]), by_path);
    return files;
}

/* ---- building: everything is relative to the new root, where we stand ---- */

static int make_directory(const char *path, mode_t mode, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    for (size_t i = 1; i <= len; i++) {
        if (path[i] == '/' || path[i] == '\0') {
            memcpy(part, path, i);
            part[i] = '\0';
            if (mkdir(part, i == len ? mode : 0755) < 0 && errno != EEXIST && errno != EROFS) {
                return err_errno(err, "cannot make '%s' in the sandbox", path);
            }
        }
    }
    return 0;
}

static int write_file(const char *path, struct str text, struct err *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    ssize_t done = fd < 0 ? -1 : write(fd, text.data == NULL ? "" : text.data, text.len);
    int rc = done == (ssize_t)text.len ? 0 : -1;

    if (rc < 0) {
        (void)err_errno(err, "cannot write '%s' in the sandbox", path);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

static int attach(struct tree *tree, struct err *err)
{
    const char *inside = tree->path + 1;

    if (tree->link[0] != '\0') {
        return symlink(tree->link, inside) == 0 ? 0 : err_errno(err, "cannot link '%s'", inside);
    }
    if (tree->is_directory) {
        if (make_directory(inside, 0755, err) < 0) {
            return -1;
        }
    } else {
        char directory[PATH_MAX];
        (void)snprintf(directory, sizeof(directory), "%s", inside);
        *strrchr(directory, '/') = '\0'; /* each has one: no file stands in "/" itself */
        int fd = make_directory(directory, 0755, err) < 0
                     ? -1
                     : open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    return mounts_attach(tree->fd, inside, err);
}

static int cover(const char *path, bool is_directory, struct err *err)
{
    return mounts_bind(is_directory ? "run/keybrake/nothing" : "run/keybrake/empty", path, err);
}

/* Of /etc what everybody may read: the rest is nobody's business, whoever we run as. */
static int cover_private(struct err *err)
{
    DIR *etc = opendir("etc");
    struct dirent *entry;
    int rc = 0;

    if (etc == NULL) {
        return err_errno(err, "cannot list /etc in the sandbox");
    }
    while (rc == 0 && (entry = readdir(etc)) != NULL) {
        struct stat about;
        char path[sizeof(entry->d_name) + 8];
        if (entry->d_name[0] == '.' ||
            fstatat(dirfd(etc), entry->d_name, &about, AT_SYMLINK_NOFOLLOW) < 0) {
            continue;
        }
        mode_t needed = S_ISDIR(about.st_mode) ? S_IROTH | S_IXOTH : S_IROTH;
        if ((S_ISREG(about.st_mode) || S_ISDIR(about.st_mode)) &&
            (about.st_mode & needed) != needed) {
            (void)snprintf(path, sizeof(path), "etc/%s", entry->d_name);
            rc = cover(path, S_ISDIR(about.st_mode), err);
        }
    }
    (void)closedir(etc);
    if (rc == 0 && access("etc/ssl/private", F_OK) == 0) {
        rc = cover("etc/ssl/private", true, err);
    }
    return rc;
}

/* `text` in the place of a file of /etc; where there is none, programs have their own default. */
static int replace(const char *name, struct str text, struct err *err)
{
    char ours[PATH_MAX], theirs[PATH_MAX];

    (void)snprintf(ours, sizeof(ours), "run/keybrake/%s", name);
    (void)snprintf(theirs, sizeof(theirs), "etc/%s", name);
    if (write_file(ours, text, err) < 0) {
        return -1;
    }
    struct stat about;
    if (lstat(theirs, &about) < 0) {
        return 0;
    }
    if (S_ISLNK(about.st_mode)) {
        /* As /etc/resolv.conf often is, into a /run that is not there: made there then. */
        char target[PATH_MAX];
        ssize_t len = readlink(theirs, target, sizeof(target) - 1);
        if (len <= 0) {
            return 0;
        }
        target[len] = '\0';
        const char *inside = strncmp(target, "../", 3) == 0 ? target + 3
                             : target[0] == '/'             ? target + 1
                                                            : NULL;
        char *slash = inside == NULL ? NULL : strrchr(target, '/');
        if (inside == NULL || strncmp(inside, "run/", 4) != 0 || slash == NULL) {
            return mounts_bind(ours, theirs, err);
        }
        char directory[PATH_MAX];
        (void)snprintf(directory, sizeof(directory), "%.*s", (int)(slash - inside), inside);
        return make_directory(directory, 0755, err) < 0 ? -1 : write_file(inside, text, err);
    }
    return mounts_bind(ours, theirs, err);
}

static int replace_tables(uid_t uid, gid_t gid, struct err *err)
{
    char users[512], groups[256];

    (void)snprintf(users, sizeof(users),
                   "root:x:0:0:root:/nonexistent:/usr/sbin/nologin\n"
                   "agent:x:%u:%u:agent:" FILES_HOME ":/bin/sh\n",
                   (unsigned)uid, (unsigned)gid);
    (void)snprintf(groups, sizeof(groups), "root:x:0:\nagent:x:%u:\n", (unsigned)gid);
    if (replace("passwd", str_from(users), err) < 0 ||
        replace("group", str_from(groups), err) < 0 ||
        replace("hosts", STR("127.0.0.1 localhost\n::1 localhost\n"), err) < 0 ||
        replace("resolv.conf", STR("nameserver 127.0.0.1\noptions timeout:2 attempts:2\n"), err) <
            0 ||
        replace("hostname", STR("sandbox\n"), err) < 0) {
        return -1;
    }
    return replace("nsswitch.conf",
                   STR("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n"
                       "networks: files\nprotocols: files\nservices: files\n"),
                   err);
}

static int make_places(struct err *err)
{
    if (make_directory("tmp", 0755, err) < 0 || make_directory("dev", 0755, err) < 0 ||
        make_directory("proc", 0555, err) < 0 || make_directory("run/keybrake", 0755, err) < 0 ||
        make_directory("run/keybrake/nothing", 0555, err) < 0 ||
        make_directory("var", 0755, err) < 0 || make_directory(&FILES_HOME[1], 0755, err) < 0 ||
        write_file("run/keybrake/empty", STR_NONE, err) < 0) {
        return -1;
    }
    if (symlink("/tmp", "var/tmp") < 0 || symlink("/run", "var/run") < 0) {
        return err_errno(err, "cannot link /var/tmp in the sandbox");
    }
    return 0;
}

static int make_devices(struct err *err)
{
    static const struct {
        const char *target, *name;
    } links[] = {{"/proc/self/fd", "dev/fd"},
                 {"/proc/self/fd/0", "dev/stdin"},
                 {"/proc/self/fd/1", "dev/stdout"},
                 {"/proc/self/fd/2", "dev/stderr"},
                 {"pts/ptmx", "dev/ptmx"}};
    struct err ignored;

    if (make_directory("dev/pts", 0755, err) < 0 || make_directory("dev/shm", 01777, err) < 0) {
        return -1;
    }
    (void)chmod("dev/shm", 01777);
    for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++) {
        if (symlink(links[i].target, links[i].name) < 0) {
            return err_errno(err, "cannot link '%s' in the sandbox", links[i].name);
        }
    }
    /* Without it there are no new terminals inside; all else goes on. */
    (void)mounts_fresh("devpts", "dev/pts", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, &ignored);
    return 0;
}

/* What git runs, or obeys, for whoever works in that directory afterwards, outside.  The directory
 * that it is in becomes a mount of its own first: else it could be moved away with all that lies
 * over it, and another one be made in its place. */
static int guard_repository(const struct tree *tree, struct err *err)
{
    static const char *const guarded[] = {"hooks", "config", "modules"};
    char repository[PATH_MAX + 8], path[PATH_MAX + 16];
    struct stat about;

    (void)snprintf(repository, sizeof(repository), "%s/.git", tree->path + 1);
    if (lstat(repository, &about) < 0 || S_ISLNK(about.st_mode)) {
        return 0;
    }
    if (!S_ISDIR(about.st_mode)) { /* of a worktree: a file that says where */
        return S_ISREG(about.st_mode) ? mounts_bind(repository, repository, err) : 0;
    }
    if (mounts_pin(repository, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < sizeof(guarded) / sizeof(guarded[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", repository, guarded[i]);
        if (lstat(path, &about) == 0 && (S_ISDIR(about.st_mode) || S_ISREG(about.st_mode)) &&
            mounts_bind(path, path, err) < 0) {
            return -1;
        }
    }
    return 0;
}

static int guard_repositories(const struct files *files, struct err *err)
{
    int rc = 0;

    for (size_t i = 0; i < files->count && rc == 0; i++) {
        const struct tree *tree = &files->trees[i];
        if (tree->is_writable && tree->is_directory) {
            rc = guard_repository(tree, err);
        }
    }
    return rc;
}

int files_build(struct files *files, uid_t uid, gid_t gid, bool *ret_proc_is_fresh, struct err *err)
{
    const unsigned plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
    struct err no_proc;

    if (mounts_new_root(err) < 0 || make_places(err) < 0 ||
        mounts_fresh("tmpfs", "dev", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, err) < 0) {
        return -1;
    }
    if (mounts_fresh("tmpfs", "tmp", plain, err) < 0 ||
        mounts_fresh("tmpfs", &FILES_HOME[1], plain, err) < 0 || chmod("tmp", 01777) < 0) {
        return -1;
    }
    for (size_t i = 0; i < files->count; i++) {
        struct tree *tree = &files->trees[i];
        int rc = tree->is_hidden ? (access(tree->path + 1, F_OK) == 0
                                        ? cover(tree->path + 1, tree->is_directory, err)
                                        : 0)
                                 : attach(tree, err);
        if (rc < 0) {
            return -1;
        }
    }
    if (guard_repositories(files, err) < 0) {
        return -1;
    }
    *ret_proc_is_fresh = mounts_fresh("proc", "proc", plain | MOUNT_ATTR_NOEXEC, &no_proc) == 0;
    if (make_devices(err) < 0 || cover_private(err) < 0) {
        return -1;
    }
    files->trust = replace_tables(uid, gid, err) < 0 ? NULL : trust_prepare(files->directory, err);
    return files->trust == NULL ? -1 : 0;
}

/* ---- closing ---- */

int files_enter(struct files *files, struct str session_ca_pem, struct err *err)
{
    if (trust_finish(files->trust, session_ca_pem, err) < 0 || mounts_enter(err) < 0) {
        return -1;
    }
    /* Again: the old one lies under the new mounts. */
    if (chdir(files->directory) < 0) {
        return err_errno(err, "cannot go to '%s' in the sandbox", files->directory);
    }
    return 0;
}
