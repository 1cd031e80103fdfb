/* SPDX-License-Identifier: Apache-2.0 */
#include "os/seccomp.h"

#include <errno.h>
#include <fcntl.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* What every process needs, whatever the arguments. */
static const int base_calls[] = {
    SYS_read,
    SYS_readv,
    SYS_write,
    SYS_writev,
    SYS_recvfrom,
    SYS_recvmsg,
    SYS_epoll_wait,
    SYS_epoll_pwait,
    SYS_epoll_ctl,
    SYS_poll,
    SYS_ppoll,
    SYS_clock_gettime,
    SYS_clock_nanosleep,
    SYS_nanosleep,
    SYS_gettimeofday,
    SYS_time,
    SYS_futex,
    SYS_brk,
    SYS_munmap,
    SYS_mremap,
    SYS_madvise,
    SYS_exit,
    SYS_exit_group,
    SYS_rt_sigreturn,
    SYS_rt_sigprocmask,
    SYS_rt_sigaction,
    SYS_getrandom,
    SYS_restart_syscall,
    SYS_close,
    SYS_fstat,
    SYS_lseek,
    SYS_shutdown,
    SYS_getpid,
    SYS_gettid,
    SYS_getuid,
    SYS_geteuid,
    SYS_sysinfo, /* qsort asks how much memory there is */
    SYS_getgid,
    SYS_getegid,
    SYS_sched_yield,
};

static const int secret_calls[] = {SYS_memfd_secret, SYS_memfd_create, SYS_ftruncate, SYS_mlock,
                                   SYS_munlock};

#if defined(KEYBRAKE_SANITIZE) || defined(KEYBRAKE_COVERAGE)
/* What the run-time library of such a build calls by itself: its reports and its files. */
static const int build_calls[] = {SYS_openat,      SYS_newfstatat,
                                  SYS_readlink,    SYS_readlinkat,
                                  SYS_sigaltstack, SYS_mmap,
                                  SYS_mprotect,    SYS_prlimit64,
                                  SYS_getrlimit,   SYS_mincore,
                                  SYS_access,      SYS_mkdir,
                                  SYS_fcntl,       SYS_ioctl,
                                  SYS_getcwd,      SYS_unlink,
                                  SYS_ftruncate,   SYS_sched_getaffinity,
                                  SYS_getppid,     SYS_uname,
                                  SYS_sysinfo,     SYS_stat,
                                  SYS_pread64,     SYS_pwrite64,
                                  SYS_prctl,       SYS_dup,
                                  SYS_dup2,        SYS_getdents64,
                                  SYS_pipe,        SYS_pipe2,
                                  SYS_open,        SYS_lstat,
                                  SYS_wait4,       SYS_process_vm_readv};
#endif

/* int arguments: the upper half of the register is not part of them. */
#define INT_IS(argument, value) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, 0xffffffffu, (value))
#define INT_WITHOUT(argument, bits) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, (bits), 0)
#define POINTER_IS_NULL(argument) SCMP_CMP64(argument, SCMP_CMP_MASKED_EQ, UINT64_MAX, 0)

#ifdef KEYBRAKE_TRACE
static void name_call(int number, siginfo_t *info, void *context)
{
    char line[128];
    char *name = seccomp_syscall_resolve_num_arch(info->si_arch, info->si_syscall);
    int len = snprintf(line, sizeof(line), "keybrake error seccomp pid=%d call=%s\n", getpid(),
                       name == NULL ? "?" : name);

    (void)number;
    (void)context;
    if (len > 0 && write(STDERR_FILENO, line, (size_t)len) < 0) {
        _exit(124);
    }
    _exit(125);
}

static uint32_t refusal(void)
{
    struct sigaction action = {.sa_sigaction = name_call, .sa_flags = SA_SIGINFO};

    (void)sigaction(SIGSYS, &action, NULL);
    return SCMP_ACT_TRAP;
}
#else
static uint32_t refusal(void)
{
    return SCMP_ACT_KILL_PROCESS;
}
#endif

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
        if (rc < 0 && rc != -EEXIST) {
            return rc;
        }
    }
    return 0;
}

/* One call with one of these values of one int argument. */
static int allow_ints(scmp_filter_ctx filter, int call, unsigned argument, const int *values,
                      size_t count)
{
    int rc = 0;

    for (size_t i = 0; i < count && rc == 0; i++) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, call, 1,
                              INT_IS(argument, (scmp_datum_t)(unsigned)values[i]));
    }
    return rc;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int allow_base_forms(scmp_filter_ctx filter)
{
    static const int fcntls[] = {F_GETFL, F_SETFL, F_GETFD, F_SETFD, F_GET_SEALS};
    static const int ioctls[] = {FIONREAD, FIONBIO};
    int rc = allow_ints(filter, SYS_fcntl, 1, fcntls, COUNT(fcntls));

    if (rc == 0) {
        rc = allow_ints(filter, SYS_ioctl, 1, ioctls, COUNT(ioctls));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_prctl, 1, INT_IS(0, PR_SET_NAME));
    }
    if (rc == 0) { /* abort() */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_tgkill, 1,
                              INT_IS(0, (scmp_datum_t)getpid()));
    }
    if (rc == 0) { /* how glibc writes fstat() */
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_newfstatat, 1, INT_IS(3, AT_EMPTY_PATH));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_sendto, 2, INT_WITHOUT(3, MSG_FASTOPEN),
                              POINTER_IS_NULL(4));
    }
    if (rc == 0) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_mmap, 2, INT_WITHOUT(2, PROT_EXEC),
                              INT_WITHOUT(3, MAP_SHARED));
    }
    return rc;
}

static int allow_socket(scmp_filter_ctx filter)
{
    static const struct {
        int family, type;
    } kinds[] = {{AF_INET, SOCK_STREAM},
                 {AF_INET6, SOCK_STREAM},
                 {AF_INET, SOCK_DGRAM},
                 {AF_INET6, SOCK_DGRAM}};
    const scmp_datum_t type_bits = 0xffffffffu & ~(scmp_datum_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);
    int rc = 0;

    for (size_t i = 0; i < COUNT(kinds) && rc == 0; i++) {
        rc = seccomp_rule_add(
            filter, SCMP_ACT_ALLOW, SYS_socket, 2, INT_IS(0, (scmp_datum_t)kinds[i].family),
            SCMP_CMP64(1, SCMP_CMP_MASKED_EQ, type_bits, (scmp_datum_t)kinds[i].type));
    }
    return rc;
}

static int allow_file_lock(scmp_filter_ctx filter)
{
    static const int locks[] = {F_SETLK, F_SETLKW, F_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_OFD_GETLK};
    return allow_ints(filter, SYS_fcntl, 1, locks, COUNT(locks));
}

static int allow_seal(scmp_filter_ctx filter)
{
    static const int seals[] = {F_ADD_SEALS};
    return allow_ints(filter, SYS_fcntl, 1, seals, COUNT(seals));
}

static int allow_terminal(scmp_filter_ctx filter)
{
    static const int settings[] = {TCGETS, TCSETS, TCSETSW, TCSETSF};
    return allow_ints(filter, SYS_ioctl, 1, settings, COUNT(settings));
}

static int allow_map(scmp_filter_ctx filter)
{
    int rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_mmap, 1, INT_WITHOUT(2, PROT_EXEC));
    if (rc == 0 || rc == -EEXIST) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_mprotect, 1, INT_WITHOUT(2, PROT_EXEC));
    }
    return rc;
}

static int fill(scmp_filter_ctx filter, const struct confine *confine)
{
    int rc = allow_all(filter, base_calls, COUNT(base_calls));

#if defined(KEYBRAKE_SANITIZE) || defined(KEYBRAKE_COVERAGE)
    if (rc == 0) {
        rc = allow_all(filter, build_calls, COUNT(build_calls));
    }
#endif
    if (rc == 0) {
        rc = allow_all(filter, confine->syscalls, confine->syscall_count);
    }
    if (rc == 0 && confine->may_lock_memory) {
        rc = allow_all(filter, secret_calls, COUNT(secret_calls));
    }
    if (rc == 0) {
        rc = allow_base_forms(filter);
    }
    if (rc == 0 && confine->send) {
        rc = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SYS_sendmsg, 1, INT_WITHOUT(2, MSG_FASTOPEN));
    }
    if (rc == 0 && confine->socket) {
        rc = allow_socket(filter);
    }
    if (rc == 0 && confine->seal) {
        rc = allow_seal(filter);
    }
    if (rc == 0 && confine->terminal) {
        rc = allow_terminal(filter);
    }
    if (rc == 0 && confine->file_lock) {
        rc = allow_file_lock(filter);
    }
    if (rc == 0 && (confine->map || confine->may_lock_memory)) {
        rc = allow_map(filter);
    }
    return rc;
}

int seccomp_enter(const struct confine *confine, struct err *err)
{
    scmp_filter_ctx filter = seccomp_init(refusal());

    if (filter == NULL) {
        return err_set(err, "cannot make a seccomp filter");
    }
    int rc = seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (rc == 0) {
        rc = seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    }
    if (rc == 0) {
        rc = fill(filter, confine);
    }
    if (rc == 0) {
        rc = seccomp_load(filter);
    }
    seccomp_release(filter);
    if (rc < 0) {
        return err_set(err, "cannot enter the seccomp filter: %s", strerror(-rc));
    }
    return 0;
}
