/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/notify.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/seccomp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/confine.h"
#include "os/landlock.h"
#include "os/seccomp.h"
#include "sandbox/filter.h"
#include "sandbox/names_serve.h"
#include "sandbox/trust.h"

enum {
    NOBODY = 65534,
    VARIABLES_MAX = 1024,
    NAMES_PORT = 53,
    LANDLOCK_ABI = 3, /* before it, truncation could not be forbidden */
    SYSTEM_PATHS = 12,
    DEPTH_MAX = 512,
    DIAL_MS = 1000,
    FAILED = 126,
};

int notify_probe(struct err *err)
{
    uint32_t action = SECCOMP_RET_USER_NOTIF;

    if (landlock_abi() < LANDLOCK_ABI) {
        return err_set(err, "Landlock is too old here (ABI %d, and it takes %d)", landlock_abi(),
                       LANDLOCK_ABI);
    }
    if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) < 0) {
        return err_set(err, "seccomp cannot ask a supervisor here");
    }
    return 0;
}

/* ---- sockets and the command's own directory ---- */

static int listen_here(void)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd >= 0 &&
        (bind(fd, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(fd, SOMAXCONN) < 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

int notify_open(struct notify *notify, struct err *err)
{
    *notify = (struct notify){.command = -1, .names = -1, .listener = -1};
    notify->capture = listen_here();
    notify->names_tcp = listen_here();
    memcpy(notify->directory, "/tmp/keybrake-XXXXXX", sizeof("/tmp/keybrake-XXXXXX"));
    if (notify->capture < 0 || notify->names_tcp < 0 || mkdtemp(notify->directory) == NULL) {
        notify->directory[0] = '\0';
        return err_errno(err, "cannot prepare a sandbox without namespaces");
    }
    (void)snprintf(notify->bundle, sizeof(notify->bundle), "%s/ca-certificates.pem",
                   notify->directory);
    (void)snprintf(notify->java_list, sizeof(notify->java_list), "%s/cacerts", notify->directory);
    (void)snprintf(notify->wget, sizeof(notify->wget), "%s/wgetrc", notify->directory);
    (void)snprintf(notify->php, sizeof(notify->php), "%s/php", notify->directory);
    (void)snprintf(notify->session_ca, sizeof(notify->session_ca), "%s/session-ca.pem",
                   notify->directory);
    return 0;
}

static int write_file(const char *path, struct str text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    bool good = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len;

    if (fd >= 0) {
        (void)close(fd);
    }
    return good ? 0 : -1;
}

static int write_cas(const struct notify *notify, struct str ca_pem, struct err *err)
{
    char wget[sizeof(notify->bundle) + 32], php[2 * sizeof(notify->bundle) + 64];
    char php_path[sizeof(notify->php) + 16];

    (void)snprintf(wget, sizeof(wget), "ca_certificate = %s\n", notify->bundle);
    (void)snprintf(php, sizeof(php), "curl.cainfo=%s\nopenssl.cafile=%s\n", notify->bundle,
                   notify->bundle);
    (void)snprintf(php_path, sizeof(php_path), "%s/cas.ini", notify->php);
    if (trust_write(notify->bundle, notify->java_list, ca_pem, err) < 0) {
        return -1;
    }
    return write_file(notify->session_ca, ca_pem) < 0 ||
                   write_file(notify->wget, str_from(wget)) < 0 || mkdir(notify->php, 0755) < 0 ||
                   write_file(php_path, str_from(php)) < 0
               ? err_errno(err, "cannot write the sandbox's list of CAs")
               : 0;
}

/* ---- the command ---- */

static int confine_files(const struct notify *notify, const struct sandbox_plan *plan,
                         struct err *err)
{
    static const char *const system[] = {
        "/usr",   "/bin", "/sbin", "/lib",  "/lib64",
        "/lib32", "/etc", "/opt",  "/proc", "/sys/devices/system/cpu"};
    struct confine_path paths[SYSTEM_PATHS + 2 * FILES_PATHS_MAX + 4];
    size_t count = 0;

    for (size_t i = 0; i < sizeof(system) / sizeof(system[0]); i++) {
        if (access(system[i], F_OK) == 0) {
            paths[count++] = (struct confine_path){system[i], CONFINE_READ};
        }
    }
    paths[count++] = (struct confine_path){"/dev", CONFINE_READ | CONFINE_WRITE};
    paths[count++] = (struct confine_path){notify->directory, CONFINE_READ | CONFINE_WRITE};
    paths[count++] = (struct confine_path){plan->files.directory, CONFINE_READ};
    for (size_t i = 0; i < plan->files.readable_count; i++) {
        paths[count++] = (struct confine_path){plan->files.readable[i], CONFINE_READ};
    }
    for (size_t i = 0; i < plan->files.writable_count; i++) {
        paths[count++] =
            (struct confine_path){plan->files.writable[i], CONFINE_READ | CONFINE_WRITE};
    }
    int ruleset = landlock_prepare_house(paths, count, err);
    return ruleset < 0 ? -1 : landlock_enter(ruleset, err);
}

static int become_nobody(const struct notify *notify, struct err *err)
{
    if (geteuid() == 0 &&
        (chown(notify->directory, NOBODY, NOBODY) < 0 || setgroups(0, NULL) < 0 ||
         setresgid(NOBODY, NOBODY, NOBODY) < 0 || setresuid(NOBODY, NOBODY, NOBODY) < 0)) {
        return err_errno(err, "cannot become another user than root");
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return 0;
}

static void send_fd(int talk, int fd)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    char word = 'L';
    struct iovec part = {&word, 1};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &fd, sizeof(fd));
    (void)sendmsg(talk, &message, MSG_NOSIGNAL);
}

static void say(int talk, const char *text)
{
    (void)send(talk, text, strlen(text), MSG_NOSIGNAL);
}

static void become_command(const struct notify *notify, const struct sandbox_plan *plan,
                           char **environment, int talk) __attribute__((noreturn));
static void become_command(const struct notify *notify, const struct sandbox_plan *plan,
                           char **environment, int talk)
{
    const struct rlimit no_core = {0, 0};
    struct err err;
    sigset_t none;
    int listener = -1;

    if (!plan->on_terminal) {
        (void)setsid();
    }
    for (int number = 1; number < NSIG; number++) {
        (void)signal(number, SIG_DFL);
    }
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)setrlimit(RLIMIT_CORE, &no_core);
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); /* without it the next two are refused */
    struct filter *filter = filter_make(FILTER_NOTIFY, plan->on_terminal, &err);
    if (filter == NULL || cgroup_join(&notify->cgroup, 0, &err) < 0 ||
        confine_files(notify, plan, &err) < 0 || become_nobody(notify, &err) < 0 ||
        filter_enter(filter, &listener, &err) < 0) {
        say(talk, err.text);
        _exit(FAILED);
    }
    send_fd(talk, listener);
    (void)prctl(PR_SET_DUMPABLE, 1, 0, 0, 0);
    (void)syscall(SYS_close_range, STDERR_FILENO + 1, ~0u, CLOSE_RANGE_CLOEXEC);
    environ = environment;
    (void)execvp(plan->argv[0], plan->argv);
    int problem = errno;
    char text[320];
    (void)snprintf(text, sizeof(text), "cannot run '%.200s' in the sandbox: %s", plan->argv[0],
                   strerror(problem));
    say(talk, text);
    _exit(problem == ENOENT ? 127 : FAILED);
}

/* Its listener, and then silence: the command runs.  Else what went wrong. */
static int hear(struct notify *notify, int talk, struct err *err)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control;
    char text[512];

    for (;;) {
        struct iovec part = {text, sizeof(text) - 1};
        struct msghdr message = {.msg_iov = &part,
                                 .msg_iovlen = 1,
                                 .msg_control = &control,
                                 .msg_controllen = sizeof(control)};
        ssize_t got = recvmsg(talk, &message, MSG_CMSG_CLOEXEC);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got <= 0) {
            return notify->listener >= 0 ? 0 : err_set(err, "the command did not start");
        }
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
            memcpy(&notify->listener, CMSG_DATA(header), sizeof(notify->listener));
            continue;
        }
        text[got] = '\0';
        return err_set(err, "%s", text);
    }
}

static void serve_names(int tcp) __attribute__((noreturn));
static void serve_names(int tcp)
{
    static const int calls[] = {SYS_accept4, SYS_sendmsg};
    const struct confine confine = {.syscalls = calls, .syscall_count = 2};
    struct names_serve names;
    struct err err;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    (void)dup2(tcp, 3);
    (void)syscall(SYS_close_range, 4, ~0u, 0);
    if (confine_apply(&confine, geteuid() == 0 ? "65534" : NULL, &err) < 0) {
        _exit(FAILED);
    }
    names_serve_init(&names, -1, 3);
    for (;;) {
        struct pollfd waits[NAMES_SERVE_FDS];
        size_t count = names_serve_waits(&names, waits);
        if (poll(waits, count, names_serve_patience_ms(&names)) < 0 && errno != EINTR) {
            _exit(FAILED);
        }
        names_serve_turn(&names, waits, count);
    }
}

static void split(char *bytes, size_t len, char **environment)
{
    size_t count = 0;

    for (char *at = bytes; at < bytes + len && count < VARIABLES_MAX; at += strlen(at) + 1) {
        environment[count++] = at;
    }
    environment[count] = NULL;
}

int notify_start(struct notify *notify, const struct sandbox_plan *plan, struct str environment,
                 struct str session_ca_pem, struct err *err)
{
    int pair[2];

    if (write_cas(notify, session_ca_pem, err) < 0 ||
        cgroup_open(&notify->cgroup, &plan->limits, err) < 0) {
        return -1;
    }
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return err_errno(err, "cannot make a channel to the command");
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    notify->names = fork();
    if (notify->names == 0) {
        serve_names(notify->names_tcp);
    }
    char *bytes = mem_copy(environment.data, environment.len);
    char **variables = mem_array(VARIABLES_MAX + 1, sizeof(char *));
    split(bytes, environment.len, variables);
    notify->command = notify->names < 0 ? -1 : fork();
    if (notify->command == 0) {
        become_command(notify, plan, variables, pair[1]);
    }
    (void)close(pair[1]);
    mem_wipe(bytes, environment.len);
    free(bytes);
    free(variables);
    int rc =
        notify->command < 0 ? err_errno(err, "cannot start a process") : hear(notify, pair[0], err);
    (void)close(pair[0]);
    return rc;
}

/* ---- the supervisor ---- */

static bool read_address(pid_t pid, uint64_t at, uint64_t len, struct sockaddr_storage *ret)
{
    char path[48];
    size_t size = len < sizeof(*ret) ? (size_t)len : sizeof(*ret);

    memset(ret, 0, sizeof(*ret));
    (void)snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : pread(fd, ret, size, (off_t)at);
    if (fd >= 0) {
        (void)close(fd);
    }
    return got == (ssize_t)size && size >= sizeof(ret->ss_family);
}

static unsigned flags_of(pid_t pid, uint64_t number)
{
    char path[64], text[256];
    unsigned flags = 0;

    (void)snprintf(path, sizeof(path), "/proc/%d/fdinfo/%d", (int)pid, (int)number);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (got > 0) {
        text[got] = '\0';
        const char *at = strstr(text, "flags:");
        flags = at == NULL ? 0 : (unsigned)strtoul(at + 6, NULL, 8);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return flags;
}

/* Without waiting for long: the command's time and signals are ours to look after meanwhile. */
static bool reach(int fd, const struct sockaddr_in *to)
{
    struct pollfd wait = {.fd = fd, .events = POLLOUT};
    int problem = 0;
    socklen_t size = sizeof(problem);

    if (connect(fd, (const struct sockaddr *)to, sizeof(*to)) == 0) {
        return true;
    }
    return errno == EINPROGRESS && poll(&wait, 1, DIAL_MS) == 1 &&
           getsockopt(fd, SOL_SOCKET, SO_ERROR, &problem, &size) == 0 && problem == 0;
}

static int dial(int listener, bool nonblocking)
{
    struct sockaddr_in to;
    socklen_t size = sizeof(to);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (fd < 0 || getsockname(listener, (struct sockaddr *)&to, &size) < 0 || !reach(fd, &to)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        return -1;
    }
    if (!nonblocking) {
        (void)fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK);
    }
    return fd;
}

/* The socket that the command gets in the place of its own; -1: errno says what it hears. */
static int socket_for(const struct notify *notify, const struct seccomp_notif *ask)
{
    struct sockaddr_storage address;
    const struct sockaddr_in *v4 = (const void *)&address;
    const struct sockaddr_in6 *v6 = (const void *)&address;
    unsigned port;

    if (!read_address((pid_t)ask->pid, ask->data.args[1], ask->data.args[2], &address)) {
        errno = EFAULT;
        return -1;
    }
    if (address.ss_family == AF_INET) {
        port = ntohs(v4->sin_port);
    } else if (address.ss_family == AF_INET6) {
        port = ntohs(v6->sin6_port);
    } else {
        errno = EACCES; /* sockets in the file system are the machine's */
        return -1;
    }
    bool nonblocking = (flags_of((pid_t)ask->pid, ask->data.args[0]) & O_NONBLOCK) != 0;
    int fd = dial(port == NAMES_PORT ? notify->names_tcp : notify->capture, nonblocking);
    if (fd < 0) {
        errno = ECONNREFUSED;
    }
    return fd;
}

void notify_answer(struct notify *notify)
{
    struct seccomp_notif ask = {0};
    struct seccomp_notif_resp answer = {0};

    if (ioctl(notify->listener, SECCOMP_IOCTL_NOTIF_RECV, &ask) < 0) {
        return;
    }
    int fd = socket_for(notify, &ask);
    answer.id = ask.id;
    answer.error = -errno;
    if (fd >= 0) {
        struct seccomp_notif_addfd add = {
            .id = ask.id,
            .flags = SECCOMP_ADDFD_FLAG_SETFD,
            .srcfd = (uint32_t)fd,
            .newfd = (uint32_t)ask.data.args[0],
            .newfd_flags = flags_of((pid_t)ask.pid, ask.data.args[0]) & O_CLOEXEC};
        answer.error = ioctl(notify->listener, SECCOMP_IOCTL_NOTIF_ADDFD, &add) < 0 ? -EBADF : 0;
        (void)close(fd);
    }
    (void)ioctl(notify->listener, SECCOMP_IOCTL_NOTIF_SEND, &answer);
}

/* ---- the end ---- */

/* All that descended from us; who was left by its parent has become our child. */
static bool kill_children(void)
{
    char path[64], text[8192];
    bool any = false;

    (void)snprintf(path, sizeof(path), "/proc/self/task/%d/children", (int)getpid());
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    if (fd >= 0) {
        (void)close(fd);
    }
    text[got < 0 ? 0 : got] = '\0';
    for (char *at = text; *at != '\0';) {
        long pid = strtol(at, &at, 10);
        if (pid <= 0) {
            break;
        }
        (void)kill((pid_t)pid, SIGKILL);
        any = true;
        at += *at == ' ' ? 1 : 0;
    }
    return any;
}

/* Takes over `fd`.  By descriptors and never through a link: the tree was another user's to shape,
 * and it may be root who removes it. */
static void empty_directory(int fd, unsigned depth)
{
    DIR *directory = fdopendir(fd);
    struct dirent *entry;

    if (directory == NULL) {
        (void)close(fd);
        return;
    }
    while (depth < DEPTH_MAX && (entry = readdir(directory)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        if (unlinkat(dirfd(directory), entry->d_name, 0) == 0) {
            continue;
        }
        int below = openat(dirfd(directory), entry->d_name,
                           O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below >= 0) {
            empty_directory(below, depth + 1);
            (void)unlinkat(dirfd(directory), entry->d_name, AT_REMOVEDIR);
        }
    }
    (void)closedir(directory);
}

static void remove_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

    if (fd >= 0) {
        empty_directory(fd, 0);
    }
    (void)rmdir(path);
}

void notify_close(struct notify *notify)
{
    if (notify->names > 0 || notify->command > 0) {
        while (kill_children()) { /* what one of them had started comes to us when it dies */
            while (waitpid(-1, NULL, 0) > 0) {
            }
        }
    }
    cgroup_close(&notify->cgroup);
    const int fds[] = {notify->listener, notify->capture, notify->names_tcp};
    for (size_t i = 0; i < 3; i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    if (notify->directory[0] != '\0') {
        remove_directory(notify->directory);
    }
}
