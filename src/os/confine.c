/* SPDX-License-Identifier: Apache-2.0 */
#include "os/confine.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/seccomp.h>
#include <pwd.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/str.h"
#include "os/landlock.h"
#include "os/seccomp.h"

enum { LOCKED_BYTES = 256 * 1024 * 1024 };

struct ids {
    bool change;
    uid_t uid;
    gid_t gid;
};

/* A name of the user table, or a number. */
static bool find_user(const char *user, struct ids *ret_ids)
{
    uint64_t number;

    if (str_to_u64(str_from(user), &number) && number > 0 && number < UINT32_MAX) {
        *ret_ids = (struct ids){true, (uid_t)number, (gid_t)number};
        return true;
    }
    const struct passwd *entry = getpwnam(user);
    if (entry == NULL) {
        return false;
    }
    *ret_ids = (struct ids){true, entry->pw_uid, entry->pw_gid};
    return true;
}

bool confine_user_exists(const char *user)
{
    struct ids ids;
    return find_user(user, &ids);
}

/* Raises what may be raised: as another user than root, to the hard limit at most. */
static int limit(enum __rlimit_resource which, rlim_t want, const char *name, struct err *err)
{
    struct rlimit now;

    if (getrlimit(which, &now) < 0) {
        return err_errno(err, "cannot read the limit of %s", name);
    }
    struct rlimit asked = {want, want};
    if (setrlimit(which, &asked) == 0) {
        return 0;
    }
    asked.rlim_cur = asked.rlim_max = now.rlim_max < want ? now.rlim_max : want;
    if (setrlimit(which, &asked) < 0) {
        return err_errno(err, "cannot set the limit of %s", name);
    }
    return 0;
}

static int set_limits(const struct confine *confine, struct err *err)
{
    if (limit(RLIMIT_CORE, 0, "core files", err) < 0) {
        return -1;
    }
    if (confine->files_max > 0 && limit(RLIMIT_NOFILE, confine->files_max, "open files", err) < 0) {
        return -1;
    }
    if (confine->may_lock_memory) {
        return limit(RLIMIT_MEMLOCK, LOCKED_BYTES, "locked memory", err);
    }
    return 0;
}

static int drop_capabilities(struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capset, &header, none) < 0) {
        return err_errno(err, "cannot drop capabilities");
    }
    return 0;
}

static int change_ids(const struct ids *ids, struct err *err)
{
    int signal_of_parent = 0;

    (void)prctl(PR_GET_PDEATHSIG, &signal_of_parent);
    if (ids->change && (setgroups(0, NULL) < 0 || setresgid(ids->gid, ids->gid, ids->gid) < 0 ||
                        setresuid(ids->uid, ids->uid, ids->uid) < 0)) {
        return err_errno(err, "cannot become user %u", (unsigned)ids->uid);
    }
    /* The kernel forgets it when ids change. */
    (void)prctl(PR_SET_PDEATHSIG, signal_of_parent);
    return drop_capabilities(err);
}

#if defined(KEYBRAKE_SANITIZE) || defined(KEYBRAKE_COVERAGE)
/* Such a build reads maps and symbols and writes counters, wherever they are. */
static int prepare_files(const struct confine *confine, struct err *err)
{
    static const struct confine_path all[] = {{"/", CONFINE_READ | CONFINE_WRITE}};

    (void)confine;
    return landlock_prepare(all, 1, confine->socket, err);
}
#else
static int prepare_files(const struct confine *confine, struct err *err)
{
    return landlock_prepare(confine->paths, confine->path_count, confine->socket, err);
}
#endif

int confine_apply(const struct confine *confine, const char *user, struct err *err)
{
    struct ids ids = {0};
    bool root = geteuid() == 0;

    if (root && user != NULL && !find_user(user, &ids)) {
        return err_set(err, "there is no user '%s'", user);
    }
    if (set_limits(confine, err) < 0) {
        return -1;
    }
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) {
        return err_errno(err, "cannot give up new privileges");
    }
    /* Root of a container may not; the seccomp list stands all the same, and doctor tells. */
    if (root && confine->empty_network && unshare(CLONE_NEWNET) < 0 && errno != EPERM) {
        return err_errno(err, "cannot make an empty network");
    }
    int ruleset = prepare_files(confine, err);
    if (ruleset == -1) {
        return -1;
    }
    if (root && change_ids(&ids, err) < 0) {
        return -1;
    }
    if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0) {
        return err_errno(err, "cannot become undumpable");
    }
    if (ruleset >= 0 && landlock_enter(ruleset, err) < 0) {
        return -1;
    }
    return seccomp_enter(confine, err);
}

/* Whether a new process could do unshare(flags). */
static bool can_unshare(int flags)
{
    pid_t pid = fork();

    if (pid == 0) {
        _exit(unshare(flags) == 0 ? 0 : 1);
    }
    int status = 1;
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

struct confine_support confine_probe(void)
{
    struct confine_support support = {
        .landlock_abi = landlock_abi(),
        .seccomp = prctl(PR_GET_SECCOMP, 0, 0, 0, 0) >= 0,
        .user_namespaces = can_unshare(CLONE_NEWUSER),
        .network_namespaces =
            can_unshare(geteuid() == 0 ? CLONE_NEWNET : CLONE_NEWUSER | CLONE_NEWNET),
        .memfd_secret = secret_has_memfd(),
    };
    support.landlock_network = support.landlock_abi >= 4;
    return support;
}
