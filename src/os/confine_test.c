/* SPDX-License-Identifier: Apache-2.0 */
/* Each case confines a process of its own and tries one thing there. */
#include "os/confine.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/secret.h"
#include "base/test.h"

static char directory[] = "/tmp/confine-test-XXXXXX";
static int pair[2]; /* a connected stream */

/* What a process says of itself by its exit status. */
enum { WORKED = 0, FAILED = 1, REFUSED = 2, KILLED = 256 };

static int worked(bool ok)
{
    return ok ? WORKED : FAILED;
}

static int try_nothing(void)
{
    return WORKED;
}

static int try_base(void)
{
    char byte = 'x';
    void *big = malloc(8 << 20);
    bool ok = big != NULL && send(pair[0], &byte, 1, MSG_NOSIGNAL) == 1 &&
              recv(pair[1], &byte, 1, 0) == 1 && (fcntl(pair[0], F_GETFL) & O_RDWR) != 0;
    free(big);
    return worked(ok);
}

static int try_exec(void)
{
    char *const args[] = {NULL};
    (void)execve("/bin/true", args, args);
    return FAILED;
}

static int try_fork(void)
{
    return worked(fork() >= 0);
}

static int try_socket(void)
{
    return worked(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0);
}

static int try_many_sockets(void)
{
    return worked(try_socket() == WORKED && try_socket() == WORKED);
}

static int try_raw_socket(void)
{
    return worked(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) >= 0);
}

static int try_netlink(void)
{
    return worked(socket(AF_NETLINK, SOCK_STREAM, 0) >= 0);
}

static int try_fast_open(void)
{
    return worked(send(pair[0], "x", 1, MSG_FASTOPEN) == 1);
}

static int try_send_address(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    return worked(sendto(pair[0], "x", 1, 0, (struct sockaddr *)&to, sizeof(to)) == 1);
}

static int send_message(int flags)
{
    char byte = 'x';
    struct iovec piece = {&byte, 1};
    struct msghdr header = {.msg_iov = &piece, .msg_iovlen = 1};
    return worked(sendmsg(pair[0], &header, flags) == 1);
}

static int try_sendmsg(void)
{
    return send_message(MSG_NOSIGNAL);
}

static int try_sendmsg_fast_open(void)
{
    return send_message(MSG_FASTOPEN);
}

static int try_executable_map(void)
{
    return worked(mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
                  MAP_FAILED);
}

static int try_shared_map(void)
{
    return worked(mmap(NULL, 4096, PROT_READ, MAP_SHARED | MAP_ANONYMOUS, -1, 0) != MAP_FAILED);
}

static int try_secret(void)
{
    struct secret secret;
    struct err err;
    bool ok = secret_new(&secret, 1 << 20, &err) == 0;
    if (ok) {
        secret.data[(1 << 20) - 1] = 1;
        secret_clear(&secret);
    }
    return worked(ok);
}

static int try_open(void)
{
    return worked(open("/etc/passwd", O_RDONLY) >= 0);
}

static int open_in_directory(int flags)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s/file", directory);
    return worked(open(path, flags, 0600) >= 0);
}

static int try_open_own(void)
{
    return open_in_directory(O_RDONLY);
}

static int try_create_own(void)
{
    return open_in_directory(O_RDWR | O_CREAT | O_TRUNC);
}

static int try_dup(void)
{
    return worked(fcntl(pair[0], F_DUPFD, 10) >= 0);
}

static int try_lock(void)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    int fd = open("/dev/null", O_RDONLY);
    (void)fcntl(fd, F_GETLK, &lock);
    return WORKED;
}

static int try_get_lock(void)
{
    struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
    (void)fcntl(pair[0], F_GETLK, &lock);
    return WORKED;
}

static int try_seal(void)
{
    (void)fcntl(pair[0], F_ADD_SEALS, 0);
    return WORKED;
}

static int try_terminal(void)
{
    (void)ioctl(pair[0], TCGETS, NULL);
    return WORKED;
}

static int try_type(void)
{
    (void)ioctl(pair[0], TIOCSTI, "x");
    return WORKED;
}

static int try_ptrace(void)
{
    return worked(syscall(SYS_ptrace, 0, 0, 0, 0) == 0);
}

static int try_kill_parent(void)
{
    return worked(syscall(SYS_tgkill, getpid() + 1, getpid() + 1, 0) == 0);
}

static int try_abort(void)
{
    abort();
}

static int try_core_limit(void)
{
    return worked(prctl(PR_SET_NAME, "x") == 0);
}

static int try_dumpable(void)
{
    return worked(prctl(PR_GET_DUMPABLE) == 0);
}

static const int opening[] = {SYS_openat, SYS_open};
static const struct confine_path own_read[] = {{directory, CONFINE_READ}};
static const struct confine_path own_write[] = {{directory, CONFINE_READ | CONFINE_WRITE}};
static const struct confine_path missing[] = {{"/nonexistent", CONFINE_READ}};

#define OPENS .syscalls = opening, .syscall_count = 2

static const struct {
    const char *name;
    struct confine confine;
    int (*attempt)(void);
    int expected;
} cases[] = {
    {"nothing", {0}, try_nothing, WORKED},
    {"read, write, memory", {0}, try_base, WORKED},
    {"abort reaches SIGABRT", {0}, try_abort, KILLED + SIGABRT},
    {"name itself", {0}, try_core_limit, WORKED},
    {"other prctl", {0}, try_dumpable, KILLED + SIGSYS},
    {"execve", {0}, try_exec, KILLED + SIGSYS},
    {"fork", {0}, try_fork, KILLED + SIGSYS},
    {"ptrace", {0}, try_ptrace, KILLED + SIGSYS},
    {"signal another", {0}, try_kill_parent, KILLED + SIGSYS},
    {"socket", {0}, try_socket, KILLED + SIGSYS},
    {"socket, allowed", {.socket = true}, try_socket, WORKED},
    {"raw socket", {.socket = true}, try_raw_socket, KILLED + SIGSYS},
    {"netlink", {.socket = true}, try_netlink, KILLED + SIGSYS},
    {"MSG_FASTOPEN", {.send = true, .socket = true}, try_fast_open, KILLED + SIGSYS},
    {"sendto an address", {.send = true, .socket = true}, try_send_address, KILLED + SIGSYS},
    {"sendmsg", {0}, try_sendmsg, KILLED + SIGSYS},
    {"sendmsg, allowed", {.send = true}, try_sendmsg, WORKED},
    {"sendmsg MSG_FASTOPEN", {.send = true}, try_sendmsg_fast_open, KILLED + SIGSYS},
    {"executable memory", {.map = true}, try_executable_map, KILLED + SIGSYS},
    {"shared memory", {0}, try_shared_map, KILLED + SIGSYS},
    {"shared memory, allowed", {.map = true}, try_shared_map, WORKED},
    {"secret memory", {.may_lock_memory = true}, try_secret, WORKED},
    {"no secret memory", {0}, try_secret, KILLED + SIGSYS},
    {"open", {0}, try_open, KILLED + SIGSYS},
    {"open outside", {OPENS, .paths = own_read, .path_count = 1}, try_open, FAILED},
    {"open inside", {OPENS, .paths = own_read, .path_count = 1}, try_open_own, WORKED},
    {"create where only reading",
     {OPENS, .paths = own_read, .path_count = 1},
     try_create_own,
     FAILED},
    {"create", {OPENS, .paths = own_write, .path_count = 1}, try_create_own, WORKED},
    {"a path that is not there", {.paths = missing, .path_count = 1}, try_nothing, REFUSED},
    {"fcntl F_DUPFD", {0}, try_dup, KILLED + SIGSYS},
    {"fcntl F_GETLK", {0}, try_get_lock, KILLED + SIGSYS},
    {"fcntl F_GETLK, allowed", {OPENS, .file_lock = true}, try_lock, WORKED},
    {"fcntl F_ADD_SEALS", {0}, try_seal, KILLED + SIGSYS},
    {"fcntl F_ADD_SEALS, allowed", {.seal = true}, try_seal, WORKED},
    {"fcntl F_DUPFD beside it", {.seal = true}, try_dup, KILLED + SIGSYS},
    {"a terminal", {0}, try_terminal, KILLED + SIGSYS},
    {"a terminal, allowed", {.terminal = true}, try_terminal, WORKED},
    {"typing on a terminal", {.terminal = true}, try_type, KILLED + SIGSYS},
    {"few files", {.files_max = 6, .socket = true}, try_many_sockets, FAILED},
};

/* Such builds are allowed more, for their own reports: the list is tested in the others. */
#if defined(KEYBRAKE_SANITIZE) || defined(KEYBRAKE_COVERAGE) || defined(KEYBRAKE_TRACE)
static const bool relaxed = true;
#else
static const bool relaxed = false;
#endif

static int outcome_of(const struct confine *confine, const char *user, int (*attempt)(void))
{
    pid_t pid = fork();

    if (pid == 0) {
        struct err err;
        if (confine_apply(confine, user, &err) < 0) {
            _exit(REFUSED);
        }
        _exit(attempt());
    }
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFSIGNALED(status) ? KILLED + WTERMSIG(status) : WEXITSTATUS(status);
}

static int try_who(void)
{
    return worked(getuid() == 65534 && geteuid() == 65534 && getegid() == 65534);
}

static void test_users(void)
{
    struct confine plain = {0};

    CHECK(confine_user_exists("root"));
    CHECK(confine_user_exists("65534"));
    CHECK(!confine_user_exists("no-such-user"));
    CHECK(!confine_user_exists("0"));
    CHECK(!confine_user_exists("99999999999"));
    CHECK(!confine_user_exists(""));
    if (geteuid() == 0) {
        CHECK(outcome_of(&plain, "65534", try_who) == WORKED);
        CHECK(outcome_of(&plain, NULL, try_who) == FAILED);
        CHECK(outcome_of(&plain, "no-such-user", try_nothing) == REFUSED);
    }
}

static void make_file(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/file", directory);
    (void)close(open(path, O_CREAT | O_WRONLY, 0600));
}

static void remove_file(void)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "%s/file", directory);
    (void)unlink(path);
    (void)rmdir(directory);
}

int main(void)
{
    struct confine_support support = confine_probe();

    CHECK(mkdtemp(directory) != NULL);
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    make_file();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (relaxed || (support.landlock_abi == 0 && cases[i].confine.path_count > 0)) {
            continue;
        }
        int got = outcome_of(&cases[i].confine, NULL, cases[i].attempt);
        CHECK_CASE(got == cases[i].expected, cases[i].name);
    }
    test_users();
    CHECK(support.seccomp);
    remove_file();
    return test_done();
}
