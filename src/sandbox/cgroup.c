/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { TEXT_BYTES = 64 * 1024, REMOVE_TRIES = 100, MS = 1000000 };

static const char name_prefix[] = "keybrake-run-";

/* ---- where we are ---- */

static struct str field(struct str line, size_t nth)
{
    struct str one = STR_NONE;

    for (size_t i = 0; i <= nth; i++) {
        one = str_take_until(&line, ' ');
    }
    return one;
}

static bool has_option(struct str options, struct str wanted)
{
    while (options.len > 0) {
        if (str_equal(str_take_until(&options, ','), wanted)) {
            return true;
        }
    }
    return false;
}

/* Mount point and root of the hierarchy: "ID PARENT MAJ:MIN ROOT POINT ... - TYPE SOURCE OPTIONS".
 */
static bool find_mount(struct str mountinfo, struct str controller, struct str *ret_point,
                       struct str *ret_root)
{
    while (mountinfo.len > 0) {
        struct str line = str_take_until(&mountinfo, '\n'), tail = line;
        while (tail.len > 0 && !str_starts(tail, STR(" - "))) {
            tail = str_slice(tail, 1, tail.len);
        }
        tail = str_slice(tail, 3, tail.len);
        bool found = controller.len == 0 ? str_equal(field(tail, 0), STR("cgroup2"))
                                         : str_equal(field(tail, 0), STR("cgroup")) &&
                                               has_option(field(tail, 2), controller);
        if (found) {
            *ret_root = field(line, 3);
            *ret_point = field(line, 4);
            return true;
        }
    }
    return false;
}

/* "NUMBER:CONTROLLERS:PATH", of version 2 with number 0 and no controllers. */
static bool find_path(struct str self, struct str controller, struct str *ret_path)
{
    while (self.len > 0) {
        struct str line = str_take_until(&self, '\n');
        struct str number = str_take_until(&line, ':');
        struct str controllers = str_take_until(&line, ':');
        bool found = controller.len == 0 ? controllers.len == 0 && str_equal(number, STR("0"))
                                         : has_option(controllers, controller);
        if (found && str_starts(line, STR("/"))) {
            *ret_path = line;
            return true;
        }
    }
    return false;
}

bool cgroup_place(struct str mountinfo, struct str self, struct str controller, char *out,
                  size_t size)
{
    struct str point, root, path;

    if (!find_mount(mountinfo, controller, &point, &root) || !find_path(self, controller, &path) ||
        str_index(point, '\\', 0) < point.len ||
        str_has(path, STR("/.."))) { /* above what is mounted here: not ours to divide */
        return false;
    }
    if (root.len > 1) { /* of a container: the path is as the machine sees it */
        if (!str_starts(path, root)) {
            return false;
        }
        path = str_slice(path, root.len, path.len);
    }
    if (str_equal(path, STR("/"))) {
        path = STR_NONE;
    }
    return snprintf(out, size, "%.*s%.*s", STR_FMT(point), STR_FMT(path)) < (int)size;
}

/* ---- files ---- */

static struct str read_text(const char *path, char *out, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    size_t len = 0;
    ssize_t got = 0;

    while (fd >= 0 && len < size && (got = read(fd, out + len, size - len)) > 0) {
        len += (size_t)got;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return str_of(out, len);
}

static int write_value(const char *group, const char *file, uint64_t value)
{
    char path[CGROUP_PATH_BYTES + 64], text[24];
    int len = snprintf(text, sizeof(text), "%llu", (unsigned long long)value);

    (void)snprintf(path, sizeof(path), "%s/%s", group, file);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    int rc = fd >= 0 && write(fd, text, (size_t)len) == len ? 0 : -1;
    int problem = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = problem;
    return rc;
}

static bool has_file(const char *group, const char *file)
{
    char path[CGROUP_PATH_BYTES + 64];

    (void)snprintf(path, sizeof(path), "%s/%s", group, file);
    return access(path, F_OK) == 0;
}

/* ---- groups ---- */

/* Those of launchers that were killed: empty by now, or they cannot be removed. */
static void sweep(const char *parent)
{
    DIR *directory = opendir(parent);
    struct dirent *entry;
    uint64_t pid;

    while (directory != NULL && (entry = readdir(directory)) != NULL) {
        struct str name = str_from(entry->d_name);
        if (str_starts(name, STR("keybrake-run-")) &&
            str_to_u64(str_slice(name, sizeof(name_prefix) - 1, name.len), &pid) && pid > 0 &&
            pid <= INT_MAX && kill((pid_t)pid, 0) < 0 && errno == ESRCH) {
            (void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
        }
    }
    if (directory != NULL) {
        (void)closedir(directory);
    }
}

static int make_group(struct cgroup *cgroup, const char *parent)
{
    char *group = cgroup->groups[cgroup->count];

    if (snprintf(group, CGROUP_PATH_BYTES, "%s/%s%d", parent, name_prefix, (int)getpid()) >=
        CGROUP_PATH_BYTES) {
        errno = ENAMETOOLONG;
        return -1;
    }
    sweep(parent);
    if (mkdir(group, 0755) < 0) {
        return -1;
    }
    cgroup->count++;
    return 0;
}

static int open_v2(struct cgroup *cgroup, const struct cgroup_limits *limits, const char *own)
{
    char beside[CGROUP_PATH_BYTES];
    const char *const parents[] = {beside, own};
    const char *group = cgroup->groups[0];

    (void)snprintf(beside, sizeof(beside), "%s", own);
    *strrchr(beside, '/') = '\0';
    for (size_t i = 0; i < 2; i++) {
        if (!has_file(parents[i], "cgroup.subtree_control") || make_group(cgroup, parents[i]) < 0) {
            continue;
        }
        bool has_pids = limits->pid_max > 0 && write_value(group, "pids.max", limits->pid_max) == 0;
        if (limits->memory_bytes > 0) {
            (void)write_value(group, "memory.swap.max", 0);
        }
        if (limits->memory_bytes > 0 ? write_value(group, "memory.max", limits->memory_bytes) == 0
                                     : has_pids) {
            return 0;
        }
        cgroup_close(cgroup);
    }
    return -1;
}

static int open_v1(struct cgroup *cgroup, struct str mountinfo, struct str self,
                   const char *controller, const char *file, uint64_t value, struct err *err)
{
    char own[CGROUP_PATH_BYTES];

    if (!cgroup_place(mountinfo, self, str_from(controller), own, sizeof(own))) {
        return err_set(err, "there is no group of this system that could be given %s limits",
                       controller);
    }
    if (make_group(cgroup, own) < 0) {
        return err_errno(err, "no group can be made in '%s' to limit %s", own, controller);
    }
    return write_value(cgroup->groups[cgroup->count - 1], file, value) < 0
               ? err_errno(err, "cannot limit %s in '%s'", controller, own)
               : 0;
}

static int open_groups(struct cgroup *cgroup, const struct cgroup_limits *limits, struct err *err)
{
    static char mountinfo_text[TEXT_BYTES], self_text[TEXT_BYTES];
    struct str mountinfo = read_text("/proc/self/mountinfo", mountinfo_text, TEXT_BYTES);
    struct str self = read_text("/proc/self/cgroup", self_text, TEXT_BYTES);
    char own[CGROUP_PATH_BYTES];

    if (cgroup_place(mountinfo, self, STR_NONE, own, sizeof(own)) &&
        open_v2(cgroup, limits, own) == 0) {
        return 0;
    }
    cgroup_close(cgroup);
    if (limits->memory_bytes > 0) {
        if (open_v1(cgroup, mountinfo, self, "memory", "memory.limit_in_bytes",
                    limits->memory_bytes, err) < 0) {
            return -1;
        }
        (void)write_value(cgroup->groups[0], "memory.memsw.limit_in_bytes", limits->memory_bytes);
    }
    struct err no_group;
    if (limits->pid_max > 0) {
        (void)open_v1(cgroup, mountinfo, self, "pids", "pids.max", limits->pid_max, &no_group);
    }
    return 0;
}

int cgroup_open(struct cgroup *cgroup, const struct cgroup_limits *limits, struct err *err)
{
    *cgroup = (struct cgroup){.count = 0};
    if (limits->memory_bytes == 0 && limits->pid_max == 0) {
        return 0;
    }
    int rc = open_groups(cgroup, limits, err);
    if (rc < 0) {
        cgroup_close(cgroup);
    }
    return rc;
}

int cgroup_join(const struct cgroup *cgroup, pid_t pid, struct err *err)
{
    for (size_t i = 0; i < cgroup->count; i++) {
        if (write_value(cgroup->groups[i], "cgroup.procs", (uint64_t)pid) < 0) {
            return err_errno(err, "cannot put the sandbox into '%s'", cgroup->groups[i]);
        }
    }
    return 0;
}

void cgroup_close(struct cgroup *cgroup)
{
    const struct timespec pause = {.tv_nsec = MS};

    for (size_t i = 0; i < cgroup->count; i++) {
        (void)write_value(cgroup->groups[i], "cgroup.kill", 1); /* version 2 */
        /* A process that was reaped just now may be in it for a moment still. */
        for (int tries = 0; tries < REMOVE_TRIES && rmdir(cgroup->groups[i]) < 0 && errno == EBUSY;
             tries++) {
            (void)nanosleep(&pause, NULL);
        }
    }
    cgroup->count = 0;
}
