/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/init.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/securebits.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/confine.h"
#include "os/landlock.h"
#include "os/seccomp.h"
#include "sandbox/files.h"
#include "sandbox/names_serve.h"
#include "sandbox/talk.h"

enum { CAPABILITIES = 64, NOT_FOUND = 127, NOT_STARTED = 126, SIGNALLED = 128 };

/* ---- giving up ---- */

static int drop_privileges(struct err *err)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};

    for (int capability = 0; capability < CAPABILITIES; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0 && errno == EINVAL) {
            break;
        }
    }
    (void)prctl(PR_SET_SECUREBITS,
                SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP |
                    SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED |
                    SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED,
                0, 0, 0);
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || syscall(SYS_capset, &header, none) < 0) {
        return err_errno(err, "cannot give up privileges in the sandbox");
    }
    return 0;
}

static void limit(enum __rlimit_resource which, rlim_t want)
{
    struct rlimit now;

    if (want == 0 || getrlimit(which, &now) < 0) {
        return;
    }
    struct rlimit asked = {want, want};
    if (now.rlim_max != RLIM_INFINITY && now.rlim_max < want) {
        asked.rlim_cur = asked.rlim_max = now.rlim_max;
    }
    (void)setrlimit(which, &asked);
}

static void set_limits(const struct init_plan *plan)
{
    const struct rlimit none = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &none);
    limit(RLIMIT_NPROC, plan->pid_max);
    limit(RLIMIT_NOFILE, plan->file_max);
}

/* ---- the command ---- */

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void say(const struct init_plan *plan, const char *text)
{
    talk_tell(plan->news, TALK_PROBLEM, text, strlen(text), NULL, 0);
}

/* The mounts say the same; this stands if one of them should not. */
static int confine_files(const struct init_plan *plan, struct err *err)
{
    static const char *const own[] = {"/tmp", FILES_HOME, "/dev", "/proc"};
    enum { OWN = sizeof(own) / sizeof(own[0]) };
    struct confine_path paths[1 + OWN + FILES_PATHS_MAX] = {{"/", CONFINE_READ}};
    size_t count = 1;

    for (size_t i = 0; i < OWN; i++) {
        paths[count++] = (struct confine_path){own[i], CONFINE_READ | CONFINE_WRITE};
    }
    for (size_t i = 0; i < plan->writable_count && i < FILES_PATHS_MAX; i++) {
        paths[count++] = (struct confine_path){plan->writable[i], CONFINE_READ | CONFINE_WRITE};
    }
    int ruleset = landlock_prepare_house(paths, count, err);
    return ruleset == -2 ? 0 : ruleset < 0 ? -1 : landlock_enter(ruleset, err);
}

static void become_command(const struct init_plan *plan)
{
    struct err err;
    char text[sizeof(err.text) + 64];

    reset_signals();
    if (confine_files(plan, &err) < 0) {
        say(plan, err.text);
        _exit(NOT_STARTED);
    }
    if (filter_enter(plan->filter, NULL, &err) < 0) {
        say(plan, err.text);
        _exit(NOT_STARTED);
    }
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    (void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    environ = (char **)(uintptr_t)plan->environment; /* execvp looks in there for PATH */
    (void)execvp(plan->argv[0], plan->argv);
    int problem = errno;
    (void)snprintf(text, sizeof(text), "cannot run '%.200s' in the sandbox: %s", plan->argv[0],
                   strerror(problem));
    say(plan, text);
    _exit(problem == ENOENT ? NOT_FOUND : NOT_STARTED);
}

/* ---- the first process ---- */

/* Only what the loop below needs; another call ends the sandbox. */
static int confine_us(struct err *err)
{
    static const int calls[] = {SYS_accept4, SYS_wait4, SYS_kill, SYS_sendmsg};
    const struct confine confine = {.syscalls = calls,
                                    .syscall_count = sizeof(calls) / sizeof(calls[0])};

    return seccomp_enter(&confine, err);
}

/* Reaps all; ends with the command's status when that was among them. */
static void reap(pid_t command)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        if (pid == command) {
            _exit(WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status));
        }
    }
}

static void on_signals(int fd, pid_t command)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            reap(command);
        } else if (info.ssi_code == SI_USER || info.ssi_code == SI_QUEUE) {
            (void)kill(command, (int)info.ssi_signo);
        } /* else the terminal sent it to the command as well */
    }
}

static int open_signals(void)
{
    static const int ours[] = {SIGCHLD, SIGTERM, SIGINT,  SIGHUP,
                               SIGQUIT, SIGUSR1, SIGUSR2, SIGWINCH};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        (void)sigaddset(&set, ours[i]);
    }
    (void)sigprocmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void serve(const struct init_plan *plan, int signals, pid_t command)
{
    struct names_serve names;

    names_serve_init(&names, plan->names_udp, plan->names_tcp);
    for (;;) {
        struct pollfd waits[1 + NAMES_SERVE_FDS] = {{.fd = signals, .events = POLLIN}};
        size_t count = 1 + names_serve_waits(&names, waits + 1);
        if (poll(waits, count, names_serve_patience_ms(&names)) < 0 && errno != EINTR) {
            _exit(NOT_STARTED);
        }
        if (waits[0].revents != 0) {
            on_signals(signals, command);
        }
        names_serve_turn(&names, waits + 1, count - 1);
    }
}

void init_run(const struct init_plan *plan)
{
    struct err err;
    int signals = open_signals();

    if (signals < 0 || drop_privileges(&err) < 0) {
        say(plan, signals < 0 ? "cannot wait for signals in the sandbox" : err.text);
        _exit(NOT_STARTED);
    }
    set_limits(plan);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    pid_t command = fork();
    if (command == 0) {
        become_command(plan);
    }
    if (command < 0) {
        say(plan, "cannot start a process in the sandbox");
        _exit(NOT_STARTED);
    }
    (void)close(plan->news);
    if (confine_us(&err) < 0) {
        _exit(NOT_STARTED);
    }
    serve(plan, signals, command);
    _exit(NOT_STARTED);
}
