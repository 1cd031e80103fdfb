/* SPDX-License-Identifier: Apache-2.0 */
#include "os/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { CHANNEL_FD = 3, OUT_OF_THE_WAY = 16 };

static void reset_signals(void)
{
    sigset_t none;

    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
}

static void become(int program_fd, char *const argv[], int channel)
{
    char *const environment[] = {NULL};
    int program = fcntl(program_fd, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    int end = fcntl(channel, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);

    reset_signals();
    if (program < 0 || end < 0 || null < 0 || dup2(null, STDIN_FILENO) < 0 ||
        dup2(null, STDOUT_FILENO) < 0 || dup2(end, CHANNEL_FD) < 0 ||
        syscall(SYS_close_range, CHANNEL_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) < 0) {
        return;
    }
    (void)fexecve(program, argv, environment);
}

pid_t spawn_program(int program_fd, char *const argv[], int channel, struct err *err)
{
    pid_t pid = fork();

    if (pid < 0) {
        return err_errno(err, "cannot start a process");
    }
    if (pid == 0) {
        become(program_fd, argv, channel);
        _exit(126);
    }
    return pid;
}
