/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

/* sys/mount.h and linux/mount.h of Debian 12 do not go together: these four are all we need. */
enum { OLD_BIND = 4096, OLD_PRIVATE = 1 << 18, OLD_RECURSIVE = 16384, OLD_DETACH = 2 };

static int set_flags(int fd, unsigned flags, unsigned how)
{
    struct mount_attr attr = {.attr_set = flags};

    return (int)syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | how, &attr, sizeof(attr));
}

int mounts_clone(const char *path, unsigned flags, struct err *err)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path,
                          OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);

    if (fd < 0) {
        return err_errno(err, "cannot take '%s' into the sandbox", path);
    }
    if (set_flags(fd, flags | MOUNT_ATTR_NOSUID, AT_RECURSIVE) < 0) {
        (void)err_errno(err, "cannot restrict '%s' for the sandbox", path);
        (void)close(fd);
        return -1;
    }
    return fd;
}

int mounts_attach(int tree, const char *target, struct err *err)
{
    int rc = (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH);

    if (rc < 0) {
        rc = err_errno(err, "cannot mount '%s' in the sandbox", target);
    }
    (void)close(tree);
    return rc;
}

/* A detached mount of a new file system. */
static int make_fresh(const char *type, unsigned flags)
{
    int context = (int)syscall(SYS_fsopen, type, FSOPEN_CLOEXEC);
    int fd = -1;

    if (context < 0) {
        return -1;
    }
    if (type[0] == 'd') { /* devpts: everybody may open a new terminal */
        (void)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "ptmxmode", "0666", 0);
    } else if (type[0] == 't') {
        (void)syscall(SYS_fsconfig, context, FSCONFIG_SET_STRING, "mode", "0755", 0);
    }
    if (syscall(SYS_fsconfig, context, FSCONFIG_CMD_CREATE, NULL, NULL, 0) == 0) {
        fd = (int)syscall(SYS_fsmount, context, FSMOUNT_CLOEXEC, flags);
    }
    int problem = errno;
    (void)close(context);
    errno = problem;
    return fd;
}

int mounts_fresh(const char *type, const char *target, unsigned flags, struct err *err)
{
    int fd = make_fresh(type, flags);

    if (fd < 0) {
        return err_errno(err, "cannot make a new %s for the sandbox", type);
    }
    return mounts_attach(fd, target, err);
}

int mounts_new_root(struct err *err)
{
    static const char *const places[] = {"/tmp", "/usr", "/etc"};

    if (syscall(SYS_mount, NULL, "/", NULL, OLD_RECURSIVE | OLD_PRIVATE, NULL) < 0) {
        return err_errno(err, "cannot make the mounts private");
    }
    int fd = make_fresh("tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
    if (fd < 0) {
        return err_errno(err, "cannot make a new root for the sandbox");
    }
    int rc = -1;
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]) && rc < 0; i++) {
        rc = (int)syscall(SYS_move_mount, fd, "", AT_FDCWD, places[i], MOVE_MOUNT_F_EMPTY_PATH);
    }
    if (rc < 0 || fchdir(fd) < 0) {
        rc = err_errno(err, "cannot go to the sandbox's new root");
    }
    (void)close(fd);
    return rc;
}

int mounts_bind(const char *source, const char *target, struct err *err)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    if (fd < 0 || set_flags(fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0) < 0) {
        (void)err_errno(err, "cannot cover '%s' in the sandbox", target);
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    return mounts_attach(fd, target, err);
}

int mounts_pin(const char *path, struct err *err)
{
    int fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);

    return fd < 0 ? err_errno(err, "cannot hold '%s' in the sandbox", path)
                  : mounts_attach(fd, path, err);
}

int mounts_enter(struct err *err)
{
    if (syscall(SYS_pivot_root, ".", ".") < 0) {
        return err_errno(err, "cannot change to the sandbox's root");
    }
    /* "." is the old root now, which lies over the new one. */
    if (syscall(SYS_umount2, ".", OLD_DETACH) < 0 || chdir("/") < 0) {
        return err_errno(err, "cannot leave the old root");
    }
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
    int rc = root < 0 ? -1 : set_flags(root, MOUNT_ATTR_RDONLY, 0);
    if (root >= 0) {
        (void)close(root);
    }
    return rc < 0 ? err_errno(err, "cannot close the sandbox's root") : 0;
}
