/* SPDX-License-Identifier: Apache-2.0 */
/*
 * inject PID ERROR N CALL...: the N-th of these system calls of a running process fails.
 *
 *     inject 4711 EIO 3 pwrite64 fdatasync
 *
 * The call is not made: its number is replaced by getpid's, which every filter of ours allows
 * (strace replaces it by none at all, for which a process's own filter kills it), and its result by
 * the error.  Says "attached", then "failed CALL"; ends 3 when the process ended before that.
 * SIGTERM lets go of the process.
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__x86_64__)

static const struct {
    const char *name;
    int number;
} calls[] = {
    {"pwrite64", SYS_pwrite64},   {"fdatasync", SYS_fdatasync}, {"fsync", SYS_fsync},
    {"ftruncate", SYS_ftruncate}, {"openat", SYS_openat},       {"write", SYS_write},
    {"writev", SYS_writev},       {"pread64", SYS_pread64},     {"accept4", SYS_accept4},
    {"socket", SYS_socket},       {"connect", SYS_connect},     {"sendto", SYS_sendto},
    {"sendmsg", SYS_sendmsg},     {"recvfrom", SYS_recvfrom},   {"recvmsg", SYS_recvmsg},
    {"read", SYS_read},           {"epoll_ctl", SYS_epoll_ctl}, {"epoll_wait", SYS_epoll_wait},
};

static const struct {
    const char *name;
    int number;
} errors[] = {
    {"EIO", EIO},
    {"ENOSPC", ENOSPC},
    {"EINTR", EINTR},
    {"EAGAIN", EAGAIN},
    {"EMFILE", EMFILE},
    {"ENFILE", ENFILE},
    {"ENOMEM", ENOMEM},
    {"ECONNABORTED", ECONNABORTED},
    {"ECONNREFUSED", ECONNREFUSED},
    {"ECONNRESET", ECONNRESET},
    {"EPIPE", EPIPE},
};

enum { CALLS_MAX = 8 };

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
    (void)number;
    stopping = 1;
}

static const char *wanted_call(uint64_t number, const int *wanted, int count)
{
    for (int i = 0; i < count; i++) {
        if (number == (uint64_t)calls[wanted[i]].number) {
            return calls[wanted[i]].name;
        }
    }
    return NULL;
}

/* The process stands at a call's begin or end. */
static bool at_call(pid_t pid, const int *wanted, int count, unsigned long *left, int error,
                    const char **failing)
{
    struct user_regs_struct regs;
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void *)sizeof(info), &info) <= 0) {
        return false;
    }
    if (info.op == PTRACE_SYSCALL_INFO_ENTRY && *failing == NULL) {
        const char *name = wanted_call(info.entry.nr, wanted, count);
        if (name == NULL || --*left > 0 || ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) {
            return false;
        }
        *failing = name;
        regs.orig_rax = SYS_getpid;
        (void)ptrace(PTRACE_SETREGS, pid, NULL, &regs);
        return false;
    }
    if (info.op != PTRACE_SYSCALL_INFO_EXIT || *failing == NULL ||
        ptrace(PTRACE_GETREGS, pid, NULL, &regs) != 0) {
        return false;
    }
    regs.rax = (unsigned long long)-error;
    (void)ptrace(PTRACE_SETREGS, pid, NULL, &regs);
    return true;
}

static int run(pid_t pid, const int *wanted, int count, unsigned long left, int error)
{
    const char *failing = NULL;
    int status;

    for (;;) {
        pid_t got = waitpid(pid, &status, __WALL);
        if (got < 0 && errno == EINTR) { /* asked to let go: it must stand still for that */
            (void)ptrace(PTRACE_INTERRUPT, pid, NULL, NULL);
            continue;
        }
        if (got < 0 || !WIFSTOPPED(status)) {
            return 3;
        }
        int signal_to = WSTOPSIG(status);
        bool own = signal_to == (SIGTRAP | 0x80) || status >> 16 != 0;
        if (signal_to == (SIGTRAP | 0x80) && at_call(pid, wanted, count, &left, error, &failing)) {
            (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
            (void)printf("failed %s\n", failing);
            return 0;
        }
        if (stopping && failing == NULL) {
            (void)ptrace(PTRACE_DETACH, pid, NULL, NULL);
            return 0;
        }
        if (ptrace(PTRACE_SYSCALL, pid, NULL, (void *)(uintptr_t)(own ? 0 : signal_to)) != 0) {
            return 3;
        }
    }
}

static int find_error(const char *name)
{
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        if (strcmp(errors[i].name, name) == 0) {
            return errors[i].number;
        }
    }
    return 0;
}

static int find_call(const char *name)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        if (strcmp(calls[i].name, name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

int main(int argc, char **argv)
{
    struct sigaction action = {.sa_handler = on_signal};
    int wanted[CALLS_MAX], count = 0;
    pid_t pid = argc > 4 ? (pid_t)strtol(argv[1], NULL, 10) : 0;
    int error = argc > 4 ? find_error(argv[2]) : 0;
    unsigned long left = argc > 4 ? strtoul(argv[3], NULL, 10) : 0;

    for (int i = 4; i < argc && count < CALLS_MAX; i++) {
        wanted[count] = find_call(argv[i]);
        count += wanted[count] >= 0;
    }
    if (pid <= 0 || error == 0 || left == 0 || count == 0) {
        (void)fprintf(stderr, "inject PID ERROR N CALL...\n");
        return 2;
    }
    (void)sigaction(SIGTERM, &action, NULL);
    if (ptrace(PTRACE_SEIZE, pid, NULL, (void *)(uintptr_t)PTRACE_O_TRACESYSGOOD) != 0 ||
        ptrace(PTRACE_INTERRUPT, pid, NULL, NULL) != 0) {
        (void)fprintf(stderr, "inject: %s\n", strerror(errno));
        return 1;
    }
    (void)setvbuf(stdout, NULL, _IONBF, 0);
    (void)printf("attached\n");
    return run(pid, wanted, count, left, error);
}

#else

int main(void)
{
    (void)fprintf(stderr, "inject: not for this machine\n");
    return 77;
}

#endif
