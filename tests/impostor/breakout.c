/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tries to break out of a process's confinement, call by call.
 *
 *     breakout ROLE DATA_DIR USER WALLS
 *
 * This is keybrake's own ROLE up to where it confines itself.  There each attempt is made by a fork
 * of its own, which enters the role's real confinement first.  A line an attempt tells what came of
 * it: "NAME killed" (by the filter), "NAME refused ERRNO", or "NAME worked".
 *
 * WALLS: "all"; "abi3", a kernel whose Landlock knows no network (Debian 12's); "no-landlock";
 * "no-seccomp", so that it shows what the other walls hold by themselves.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/roles.h"
#include "ipc/child.h"
#include "os/landlock.h"
#include "os/seccomp.h"

enum { PARENT_FD = 3, PATIENCE_S = 1, WORKED = 0, HELD_FD = 200 };

static const char *walls;
static int out = -1;      /* where the lines go */
static int tcp_fd = -1;   /* a socket of TCP, not connected */
static int fresh_fd = -1; /* another, not bound */
static int heard_fd = -1; /* one that listens */
static int file_fd = -1, directory_fd = -1;
static int abstract_fd = -1; /* a socket of ours that listens by an abstract name */
static struct sockaddr_in there;
static struct sockaddr_un abstract_name;
static char vault_key[4096], database[4096], memory_of_parent[64], made[4096];
static pid_t victim;
static char stolen[64];

/* ---- the walls ---- */

void __real_child_confine(struct child *child, const struct confine *confine);
void __wrap_child_confine(struct child *child, const struct confine *confine);
int __real_landlock_abi(void);
int __wrap_landlock_abi(void);
int __real_seccomp_enter(const struct confine *confine, struct err *err);
int __wrap_seccomp_enter(const struct confine *confine, struct err *err);

int __wrap_landlock_abi(void)
{
    int real = __real_landlock_abi();

    if (strcmp(walls, "no-landlock") == 0) {
        return 0;
    }
    return strcmp(walls, "abi3") == 0 && real > 3 ? 3 : real;
}

int __wrap_seccomp_enter(const struct confine *confine, struct err *err)
{
    return strcmp(walls, "no-seccomp") == 0 ? 0 : __real_seccomp_enter(confine, err);
}

/* ---- what is tried ---- */

static int result(long rc)
{
    return rc >= 0 ? WORKED : errno;
}

static int try_open(const char *path, int flags)
{
    return result(syscall(SYS_openat, AT_FDCWD, path, flags, 0600));
}

static int read_passwd(void)
{
    return try_open("/etc/passwd", O_RDONLY);
}

static int read_vault_key(void)
{
    return try_open(vault_key, O_RDONLY);
}

static int read_database(void)
{
    return try_open(database, O_RDONLY);
}

static int write_database(void)
{
    return try_open(database, O_RDWR);
}

static int read_memory_of_parent(void)
{
    return try_open(memory_of_parent, O_RDONLY);
}

static int create_file(void)
{
    return try_open(made, O_CREAT | O_WRONLY);
}

static int run_program(void)
{
    char *const args[] = {stolen, NULL};
    return result(execve("/bin/true", args, args + 1));
}

static int map_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? errno : WORKED;
}

static int make_executable(void)
{
    void *at = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return at == MAP_FAILED ? errno : result(mprotect(at, 4096, PROT_READ | PROT_EXEC));
}

static int vm_read(void)
{
    struct iovec mine = {stolen, sizeof(stolen)}, theirs = {stolen, sizeof(stolen)};
    return result(syscall(SYS_process_vm_readv, victim, &mine, 1, &theirs, 1, 0));
}

static int connect_tcp(void)
{
    return result(connect(tcp_fd, (struct sockaddr *)&there, sizeof(there)));
}

static int bind_tcp(void)
{
    struct sockaddr_in any = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return result(bind(fresh_fd, (struct sockaddr *)&any, sizeof(any)));
}

static int connect_abstract(void)
{
    return result(connect(abstract_fd, (struct sockaddr *)&abstract_name, sizeof(abstract_name)));
}

static int send_to_address(void)
{
    return result(sendto(tcp_fd, "x", 1, 0, (struct sockaddr *)&there, sizeof(there)));
}

static int send_fast_open(void)
{
    return result(sendto(heard_fd, "x", 1, MSG_FASTOPEN, NULL, 0));
}

static int message_fast_open(void)
{
    char byte = 'x';
    struct iovec piece = {&byte, 1};
    struct msghdr header = {
        .msg_name = &there, .msg_namelen = sizeof(there), .msg_iov = &piece, .msg_iovlen = 1};
    return result(sendmsg(tcp_fd, &header, MSG_FASTOPEN));
}

static int send_messages(void)
{
    struct mmsghdr none = {0};
    return result(sendmmsg(tcp_fd, &none, 1, 0));
}

#ifdef __x86_64__
/* The calls of a 32-bit program have other numbers. */
static int call_of_32_bits(void)
{
    long rc;

    __asm__ volatile("int $0x80" : "=a"(rc) : "a"(20L) : "memory", "r8", "r9", "r10", "r11");
    return rc > 0 ? WORKED : ENOSYS;
}
#else
static int call_of_32_bits(void)
{
    return ENOSYS;
}
#endif

#define X32 0x40000000

/* Arguments with which the call would work, or fail for another reason than that it is refused. */
static const struct raw {
    const char *name;
    long number;
    long args[5];
} raws[] = {
    {"execveat", SYS_execveat, {AT_FDCWD, (long)"/bin/true", 0, 0, 0}},
    {"fork", SYS_fork, {0}},
    {"clone", SYS_clone, {SIGCHLD, 0, 0, 0, 0}},
    {"clone3", SYS_clone3, {0, 88, 0, 0, 0}},
    {"ptrace-traceme", SYS_ptrace, {PTRACE_TRACEME, 0, 0, 0, 0}},
    {"process_vm_writev", SYS_process_vm_writev, {1, 0, 0, 0, 0}},
    {"process_madvise", SYS_process_madvise, {-1, 0, 0, 0, 0}},
    {"kill-init", SYS_kill, {1, 0, 0, 0, 0}},
    {"kill-all", SYS_kill, {-1, 0, 0, 0, 0}},
    {"tkill-init", SYS_tkill, {1, 0, 0, 0, 0}},
    {"tgkill-init", SYS_tgkill, {1, 1, 0, 0, 0}},
    {"rt_sigqueueinfo", SYS_rt_sigqueueinfo, {1, SIGUSR1, 0, 0, 0}},
    {"pidfd_open", SYS_pidfd_open, {1, 0, 0, 0, 0}},
    {"pidfd_getfd", SYS_pidfd_getfd, {-1, 0, 0, 0, 0}},
    {"pidfd_send_signal", SYS_pidfd_send_signal, {-1, 0, 0, 0, 0}},
    {"kcmp", SYS_kcmp, {1, 1, 0, 0, 0}},
    {"memfd_create", SYS_memfd_create, {(long)"x", 0, 0, 0, 0}},
    {"memfd_secret", SYS_memfd_secret, {0}},
    {"userfaultfd", SYS_userfaultfd, {O_CLOEXEC | 1, 0, 0, 0, 0}},
    {"bpf", SYS_bpf, {0}},
    {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1, 0}},
    {"io_uring_setup", SYS_io_uring_setup, {1, 0, 0, 0, 0}},
    {"io_uring_enter", SYS_io_uring_enter, {-1, 0, 0, 0, 0}},
    {"unshare-user", SYS_unshare, {0x10000000, 0, 0, 0, 0}},
    {"unshare-mount", SYS_unshare, {0x00020000, 0, 0, 0, 0}},
    {"setns", SYS_setns, {0, 0, 0, 0, 0}},
    {"mount", SYS_mount, {(long)"none", (long)"/mnt", (long)"tmpfs", 0, 0}},
    {"umount2", SYS_umount2, {(long)"/mnt", 0, 0, 0, 0}},
    {"fsopen", SYS_fsopen, {(long)"tmpfs", 0, 0, 0, 0}},
    {"open_tree", SYS_open_tree, {AT_FDCWD, (long)"/", 0, 0, 0}},
    {"move_mount", SYS_move_mount, {-1, 0, -1, 0, 0}},
    {"pivot_root", SYS_pivot_root, {(long)"/", (long)"/", 0, 0, 0}},
    {"chroot", SYS_chroot, {(long)"/", 0, 0, 0, 0}},
    {"chdir", SYS_chdir, {(long)"/", 0, 0, 0, 0}},
    {"keyctl", SYS_keyctl, {0}},
    {"add_key", SYS_add_key, {0}},
    {"request_key", SYS_request_key, {0}},
    {"init_module", SYS_init_module, {0}},
    {"finit_module", SYS_finit_module, {-1, 0, 0, 0, 0}},
    {"kexec_load", SYS_kexec_load, {0}},
    {"reboot", SYS_reboot, {0}},
    {"swapon", SYS_swapon, {0}},
    {"syslog", SYS_syslog, {10, 0, 0, 0, 0}},
    {"sethostname", SYS_sethostname, {(long)"x", 1, 0, 0, 0}},
    {"clock_settime", SYS_clock_settime, {0}},
    {"settimeofday", SYS_settimeofday, {0}},
    {"iopl", SYS_iopl, {3, 0, 0, 0, 0}},
    {"modify_ldt", SYS_modify_ldt, {0}},
    {"arch_prctl", SYS_arch_prctl, {0x1003, 0, 0, 0, 0}},
    {"personality", SYS_personality, {0xffffffff, 0, 0, 0, 0}},
    {"prctl-dumpable", SYS_prctl, {PR_SET_DUMPABLE, 1, 0, 0, 0}},
    {"prctl-mm", SYS_prctl, {PR_SET_MM, 0, 0, 0, 0}},
    {"prctl-ptracer", SYS_prctl, {0x59616d61, -1, 0, 0, 0}},
    {"seccomp", SYS_seccomp, {0}},
    {"setuid", SYS_setuid, {0}},
    {"setresuid", SYS_setresuid, {0}},
    {"setgroups", SYS_setgroups, {0}},
    {"capset", SYS_capset, {0}},
    {"setrlimit", SYS_setrlimit, {4, 0, 0, 0, 0}},
    {"prlimit64", SYS_prlimit64, {0, 4, 0, 0, 0}},
    {"setpriority", SYS_setpriority, {0, 0, 1, 0, 0}},
    {"sched_setscheduler", SYS_sched_setscheduler, {0}},
    {"shmget", SYS_shmget, {0, 4096, 01600, 0, 0}},
    {"msgget", SYS_msgget, {0, 01600, 0, 0, 0}},
    {"semget", SYS_semget, {0, 1, 01600, 0, 0}},
    {"mq_open", SYS_mq_open, {(long)"x", O_RDONLY, 0, 0, 0}},
    {"socket-inet", SYS_socket, {AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0, 0, 0}},
    {"socket-inet6", SYS_socket, {AF_INET6, SOCK_STREAM, 0, 0, 0}},
    {"socket-udp", SYS_socket, {AF_INET, SOCK_DGRAM, 0, 0, 0}},
    {"socket-unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0, 0, 0}},
    {"socket-unix-dgram", SYS_socket, {AF_UNIX, SOCK_DGRAM, 0, 0, 0}},
    {"socket-raw", SYS_socket, {AF_INET, SOCK_RAW, IPPROTO_ICMP, 0, 0}},
    {"socket-netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 0, 0, 0}},
    {"socket-packet", SYS_socket, {AF_PACKET, SOCK_RAW, 0, 0, 0}},
    {"socket-vsock", SYS_socket, {AF_VSOCK, SOCK_STREAM, 0, 0, 0}},
    {"socket-alg", SYS_socket, {38, SOCK_SEQPACKET, 0, 0, 0}},
    {"socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, (long)stolen, 0}},
    {"open", SYS_open, {(long)"/etc/passwd", O_RDONLY, 0, 0, 0}},
    {"openat2", SYS_openat2, {AT_FDCWD, (long)"/etc/passwd", (long)stolen, 24, 0}},
    {"creat", SYS_creat, {(long)"/tmp/breakout", 0600, 0, 0, 0}},
    {"mkdir", SYS_mkdir, {(long)"/tmp/breakout.d", 0700, 0, 0, 0}},
    {"unlink", SYS_unlink, {(long)"/tmp/breakout", 0, 0, 0, 0}},
    {"rename", SYS_rename, {(long)"/tmp/breakout", (long)"/tmp/breakout2", 0, 0, 0}},
    {"link", SYS_link, {(long)"/etc/passwd", (long)"/tmp/breakout", 0, 0, 0}},
    {"symlink", SYS_symlink, {(long)"/etc/passwd", (long)"/tmp/breakout.l", 0, 0, 0}},
    {"chmod", SYS_chmod, {(long)"/tmp", 0777, 0, 0, 0}},
    {"chown", SYS_chown, {(long)"/tmp", 0, 0, 0, 0}},
    {"truncate", SYS_truncate, {(long)"/etc/passwd", 0, 0, 0, 0}},
    {"mknod", SYS_mknod, {(long)"/tmp/breakout.n", S_IFIFO | 0600, 0, 0, 0}},
    {"setxattr", SYS_setxattr, {0}},
    {"name_to_handle_at", SYS_name_to_handle_at, {0}},
    {"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0, 0, 0}},
    {"inotify_init1", SYS_inotify_init1, {0}},
    {"fanotify_init", SYS_fanotify_init, {0}},
    {"dup", SYS_dup, {0}},
    {"dup2", SYS_dup2, {0, 100, 0, 0, 0}},
    {"fcntl-dupfd", SYS_fcntl, {0, F_DUPFD, 100, 0, 0}},
    {"fcntl-setown", SYS_fcntl, {HELD_FD, F_SETOWN, 1, 0, 0}},
    {"fcntl-setsig", SYS_fcntl, {HELD_FD, F_SETSIG, 9, 0, 0}},
    {"ioctl-sti", SYS_ioctl, {0, TIOCSTI, (long)stolen, 0, 0}},
    {"ioctl-setown", SYS_ioctl, {HELD_FD, 0x8901, (long)stolen, 0, 0}},
    {"pipe2", SYS_pipe2, {(long)stolen, 0, 0, 0, 0}},
    {"splice", SYS_splice, {-1, 0, -1, 0, 0}},
    {"vmsplice", SYS_vmsplice, {-1, 0, 0, 0, 0}},
    {"sendfile", SYS_sendfile, {-1, -1, 0, 0, 0}},
    {"listen", SYS_listen, {HELD_FD, 1, 0, 0, 0}},
    {"accept", SYS_accept, {HELD_FD, 0, 0, 0, 0}},
    {"getdents64", SYS_getdents64, {HELD_FD + 1, (long)stolen, sizeof(stolen), 0, 0}},
    {"fchdir", SYS_fchdir, {HELD_FD + 1, 0, 0, 0, 0}},
    {"pkey_mprotect", SYS_pkey_mprotect, {0}},
    {"remap_file_pages", SYS_remap_file_pages, {0}},
    {"mlockall", SYS_mlockall, {1, 0, 0, 0, 0}},
    {"timer_create", SYS_timer_create, {0}},
    {"setitimer", SYS_setitimer, {0}},
    {"wait4", SYS_wait4, {-1, 0, 1, 0, 0}},
    {"getppid", SYS_getppid, {0}},
    {"uname", SYS_uname, {(long)stolen, 0, 0, 0, 0}},
    {"landlock", SYS_landlock_create_ruleset, {0, 0, 1, 0, 0}},
    {"x32-getpid", X32 | SYS_getpid, {0}},
    {"no-such-call", 5000, {0}},
};

static const struct {
    const char *name;
    int (*attempt)(void);
} calls[] = {
    {"read-passwd", read_passwd},
    {"read-vault-key", read_vault_key},
    {"read-database", read_database},
    {"write-database", write_database},
    {"read-memory-of-parent", read_memory_of_parent},
    {"create-file", create_file},
    {"execve", run_program},
    {"map-executable", map_executable},
    {"make-executable", make_executable},
    {"process_vm_readv", vm_read},
    {"connect-tcp", connect_tcp},
    {"bind-tcp", bind_tcp},
    {"connect-abstract", connect_abstract},
    {"send-to-address", send_to_address},
    {"send-fast-open", send_fast_open},
    {"message-fast-open", message_fast_open},
    {"sendmmsg", send_messages},
    {"call-of-32-bits", call_of_32_bits},
};

/* ---- one attempt ---- */

static int try_raw(const struct raw *raw)
{
    return result(
        syscall(raw->number, raw->args[0], raw->args[1], raw->args[2], raw->args[3], raw->args[4]));
}

static void report(const char *name, int status)
{
    if (WIFSIGNALED(status)) {
        (void)dprintf(out, "%s %s\n", name,
                      WTERMSIG(status) == SIGSYS    ? "killed"
                      : WTERMSIG(status) == SIGALRM ? "hung"
                                                    : "crashed");
    } else if (WEXITSTATUS(status) == WORKED) {
        (void)dprintf(out, "%s worked\n", name);
    } else {
        (void)dprintf(out, "%s refused %s\n", name, strerrorname_np(WEXITSTATUS(status)));
    }
}

static void attempt(struct child *child, const struct confine *confine, const char *name,
                    int (*call)(void), const struct raw *raw)
{
    int status = 0;
    pid_t pid = fork();

    if (pid == 0) {
        (void)alarm(PATIENCE_S);
        __real_child_confine(child, confine);
        _exit(call != NULL ? call() : try_raw(raw));
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        (void)dprintf(out, "%s lost\n", name);
        return;
    }
    report(name, status);
}

static void hold(int fd, int at)
{
    if (dup2(fd, at) != at) {
        abort();
    }
}

/* What an intruder might find open: nothing is left to be made, only to be used. */
static void prepare(void)
{
    socklen_t size = sizeof(there);
    static const char name[] = "\0keybrake-breakout";
    int listener = socket(AF_UNIX, SOCK_STREAM, 0);

    there = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    heard_fd = socket(AF_INET, SOCK_STREAM, 0);
    tcp_fd = socket(AF_INET, SOCK_STREAM, 0);
    fresh_fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(heard_fd, (struct sockaddr *)&there, sizeof(there)) < 0 || listen(heard_fd, 8) < 0 ||
        getsockname(heard_fd, (struct sockaddr *)&there, &size) < 0) {
        abort();
    }
    abstract_name.sun_family = AF_UNIX;
    memcpy(abstract_name.sun_path, name, sizeof(name));
    abstract_fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&abstract_name, sizeof(abstract_name)) < 0 ||
        listen(listener, 8) < 0) {
        abort();
    }
    file_fd = open("/dev/null", O_RDWR);
    directory_fd = open("/tmp", O_RDONLY | O_DIRECTORY);
    hold(fresh_fd, HELD_FD);
    hold(directory_fd, HELD_FD + 1);
}

/* The role comes here when it would confine itself; it goes no further. */
void __wrap_child_confine(struct child *child, const struct confine *confine)
{
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        attempt(child, confine, calls[i].name, calls[i].attempt, NULL);
    }
    for (size_t i = 0; i < sizeof(raws) / sizeof(raws[0]); i++) {
        attempt(child, confine, raws[i].name, NULL, &raws[i]);
    }
    (void)dprintf(out, "done\n");
    _exit(0);
}

int main(int argc, char **argv)
{
    static char role_name[64];
    char index[] = "0", incarnation[] = "1";
    int ends[2];

    if (argc != 5) {
        (void)fprintf(stderr, "usage: breakout ROLE DATA_DIR USER WALLS\n");
        return 2;
    }
    walls = argv[4];
    (void)snprintf(role_name, sizeof(role_name), "keybrake-%s", argv[1]);
    (void)snprintf(vault_key, sizeof(vault_key), "%s/vault/key", argv[2]);
    (void)snprintf(database, sizeof(database), "%s/db/keybrake.db", argv[2]);
    (void)snprintf(made, sizeof(made), "%s/db/made", argv[2]);
    victim = getppid();
    (void)snprintf(memory_of_parent, sizeof(memory_of_parent), "/proc/%d/mem", (int)victim);
    out = fcntl(STDOUT_FILENO, F_DUPFD, 210);
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0) {
        return 1;
    }
    int parent = fcntl(ends[0], F_DUPFD, 220);
    int ours = fcntl(ends[1], F_DUPFD, 221);
    hold(ours, PARENT_FD);
    (void)parent;
    prepare();
    char *args[] = {role_name, index, incarnation, argv[2], argv[3], NULL};
    role_main *role = role_find(role_name);
    return role == NULL ? 2 : role(5, args);
}
