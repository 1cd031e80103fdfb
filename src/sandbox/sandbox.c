/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <linux/securebits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sandbox/init.h"
#include "sandbox/talk.h"

enum {
    NOBODY = 65534,
    ENTER_BYTES_MAX = 192 * 1024,
    VARIABLES_MAX = 1024,
    ARGUMENTS_MAX = 4096,
    NEWS_BYTES = 1024,
    SIGNALLED = 128,
};

static const unsigned long namespaces =
    CLONE_NEWNET | CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

const char *sandbox_tier_name(enum sandbox_tier tier)
{
    static const char *const names[TIER_COUNT] = {
        [TIER_NONE] = "none",
        [TIER_NAMESPACES] = "namespaces",
        [TIER_NO_REDIRECT] = "namespaces without redirect",
    };
    return names[tier];
}

/* ---- the child ---- */

struct child {
    const struct sandbox_plan *plan;
    int talk;
    uid_t uid;
    gid_t gid;
    bool change_ids;
};

/* The launcher's arguments and environment, which /proc shows of us: they are nobody's business in
 * there. */
static void forget_start(void)
{
    char *end = program_invocation_name;

    for (char **at = environ; at != NULL && *at != NULL; at++) {
        char *after = *at + strlen(*at);
        end = after > end ? after : end;
    }
    if (end > program_invocation_name &&
        (size_t)(end - program_invocation_name) < ENTER_BYTES_MAX) {
        mem_wipe(program_invocation_name, (size_t)(end - program_invocation_name));
    }
    environ = NULL;
    (void)prctl(PR_SET_NAME, "keybrake-init", 0, 0, 0);
}

static char **copy_arguments(char *const *argv)
{
    size_t count = 0;

    while (count < ARGUMENTS_MAX && argv[count] != NULL) {
        count++;
    }
    char **copy = mem_array(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        copy[i] = mem_copy_str(str_from(argv[i]));
    }
    return copy;
}

/* The launcher says one word when our ids are mapped; its end means that it is gone. */
static void wait_for_maps(const struct child *child)
{
    char word;

    if (recv(child->talk, &word, 1, 0) != 1) {
        _exit(EXIT_FAILURE);
    }
}

/* Keeps the capabilities in the new namespaces, which are still needed. */
static int become_user(const struct child *child, struct err *err)
{
    if (prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP, 0, 0, 0) < 0 && child->change_ids) {
        return err_errno(err, "cannot keep capabilities in the sandbox");
    }
    if (child->change_ids &&
        (setgroups(0, NULL) < 0 || setresgid(child->gid, child->gid, child->gid) < 0 ||
         setresuid(child->uid, child->uid, child->uid) < 0)) {
        return err_errno(err, "cannot become user %u in the sandbox", (unsigned)child->uid);
    }
    /* The kernel forgets it when ids change. */
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    return 0;
}

struct entry {
    char bytes[ENTER_BYTES_MAX];
    char *environment[VARIABLES_MAX + 1];
    struct str ca_pem;
};

static struct entry *receive_entry(const struct child *child)
{
    struct entry *entry = mem_zeroed(sizeof(*entry));
    uint32_t environment_len;
    size_t count = 0;
    ssize_t got = recv(child->talk, entry->bytes, sizeof(entry->bytes), 0);

    if (got < (ssize_t)sizeof(environment_len)) {
        _exit(EXIT_FAILURE); /* the launcher gave up */
    }
    memcpy(&environment_len, entry->bytes, sizeof(environment_len));
    struct str rest =
        str_of(entry->bytes + sizeof(environment_len), (size_t)got - sizeof(environment_len));
    if (environment_len > rest.len) {
        _exit(EXIT_FAILURE);
    }
    struct str environment = str_slice(rest, 0, environment_len);
    entry->ca_pem = str_slice(rest, environment_len, rest.len);
    while (environment.len > 0 && count < VARIABLES_MAX) {
        entry->environment[count++] = entry->bytes + (environment.data - entry->bytes);
        (void)str_take_until(&environment, '\0');
    }
    return entry;
}

static void child_main(const struct child *child) __attribute__((noreturn));
static void child_main(const struct child *child)
{
    struct network network;
    struct err err;
    bool proc_is_fresh = false;
    char **argv = copy_arguments(child->plan->argv);

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0);
    wait_for_maps(child); /* which nobody but root could write if we were not dumpable */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (!child->plan->on_terminal) {
        (void)setsid(); /* a signal to its own group then stays inside */
    }
    struct files *files = files_open(&child->plan->files, &err);
    if (files == NULL || become_user(child, &err) < 0 ||
        network_make(&network, !child->plan->no_redirect, child->plan->ports,
                     child->plan->port_count, &err) < 0) {
        talk_fail(child->talk, &err);
    }
    char redirect = network.redirect ? 1 : 0;
    talk_tell(child->talk, TALK_SOCKETS, &redirect, 1, network.captures, network.capture_count);
    for (size_t i = 0; i < network.capture_count; i++) {
        (void)close(network.captures[i]);
    }
    if (files_build(files, child->uid, child->gid, &proc_is_fresh, &err) < 0) {
        talk_fail(child->talk, &err);
    }
    char fresh = proc_is_fresh ? 1 : 0;
    talk_tell(child->talk, TALK_BUILT, &fresh, 1, NULL, 0);
    struct filter *filter = filter_make(FILTER_NAMESPACES, child->plan->on_terminal, &err);
    if (filter == NULL) {
        talk_fail(child->talk, &err);
    }
    struct entry *entry = receive_entry(child);
    forget_start();
    if (files_enter(files, entry->ca_pem, &err) < 0 || sethostname("sandbox", 7) < 0) {
        talk_fail(child->talk, &err);
    }
    const struct init_plan init = {.argv = argv,
                                   .environment = entry->environment,
                                   .filter = filter,
                                   .names_udp = network.names_udp,
                                   .names_tcp = network.names_tcp,
                                   .news = child->talk,
                                   .pid_max = child->plan->pid_max,
                                   .file_max = child->plan->file_max,
                                   .writable = child->plan->files.writable,
                                   .writable_count = child->plan->files.writable_count};
    init_run(&init);
}

/* ---- the launcher ---- */

static pid_t clone_with(unsigned long flags, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD};
    pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));

    if (pid < 0 && errno == ENOSYS) { /* as Docker's list of calls has it */
        pid = (pid_t)syscall(SYS_clone, flags | CLONE_PIDFD | SIGCHLD, NULL, &pidfd, NULL, 0UL);
    }
    *ret_pidfd = pidfd;
    return pid;
}

static int write_map(pid_t pid, const char *name, const char *text)
{
    char path[64];

    (void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    ssize_t len = (ssize_t)strlen(text);
    int rc = fd >= 0 && write(fd, text, (size_t)len) == len ? 0 : -1;
    int problem = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = problem;
    return rc;
}

/* The command's user is itself inside; nobody else exists. */
static int map_ids(pid_t pid, const struct child *child, struct err *err)
{
    char users[48], groups[48];

    (void)snprintf(users, sizeof(users), "%u %u 1", (unsigned)child->uid, (unsigned)child->uid);
    (void)snprintf(groups, sizeof(groups), "%u %u 1", (unsigned)child->gid, (unsigned)child->gid);
    if (!child->change_ids && write_map(pid, "setgroups", "deny") < 0) {
        return err_errno(err, "cannot map the sandbox's user (setgroups)");
    }
    if (write_map(pid, "uid_map", users) < 0 || write_map(pid, "gid_map", groups) < 0) {
        return err_errno(err, "cannot map the sandbox's user");
    }
    return 0;
}

static struct child describe(const struct sandbox_plan *plan, int talk)
{
    struct child child = {.plan = plan, .talk = talk, .uid = getuid(), .gid = getgid()};

    if (geteuid() == 0) {
        child.uid = child.gid = NOBODY;
        child.change_ids = true;
    }
    return child;
}

static int clone_child(struct sandbox *sandbox, const struct child *child, int ours,
                       struct err *err)
{
    bool own_users = true;

    sandbox->pid = clone_with(namespaces | CLONE_NEWUSER, &sandbox->pidfd);
    if (sandbox->pid < 0 && child->change_ids) {
        own_users = false; /* root needs no user namespace to make the others */
        sandbox->pid = clone_with(namespaces, &sandbox->pidfd);
    }
    if (sandbox->pid < 0) {
        return err_errno(err, "this system lets us make no namespaces (keybrake doctor says more)");
    }
    if (sandbox->pid == 0) {
        (void)close(ours);
        child_main(child);
    }
    /* Before it does anything: what it starts will be in the group with it. */
    if (cgroup_join(&sandbox->cgroup, sandbox->pid, err) < 0) {
        return -1;
    }
    if (own_users && map_ids(sandbox->pid, child, err) < 0) {
        return -1;
    }
    return send(ours, "M", 1, MSG_NOSIGNAL) == 1 ? 0 : err_errno(err, "the sandbox has ended");
}

int sandbox_start(struct sandbox *sandbox, const struct sandbox_plan *plan, struct err *err)
{
    int pair[2];

    *sandbox = (struct sandbox){.pid = -1, .pidfd = -1, .talk = -1};
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0) {
        return err_errno(err, "cannot make a channel to the sandbox");
    }
    struct child child = describe(plan, pair[1]);
    sandbox->talk = pair[0];
    int rc = cgroup_open(&sandbox->cgroup, &plan->limits, err);
    if (rc == 0) {
        rc = clone_child(sandbox, &child, pair[0], err);
    }
    (void)close(pair[1]);
    if (rc < 0) {
        sandbox_kill(sandbox);
        (void)sandbox_wait(sandbox);
    }
    return rc;
}

/* One message of the child.  Its kind, or 0 at its end. */
static char hear(struct sandbox *sandbox, char *text, size_t size, struct err *err)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * NETWORK_CAPTURES_MAX)];
    } control;
    char kind = 0;
    struct iovec parts[] = {{&kind, 1}, {text, size - 1}};
    struct msghdr message = {.msg_iov = parts,
                             .msg_iovlen = 2,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};
    ssize_t got;

    do {
        got = recvmsg(sandbox->talk, &message, MSG_CMSG_CLOEXEC);
    } while (got < 0 && errno == EINTR);
    if (got < 1) {
        return 0;
    }
    text[got - 1] = '\0';
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    if (header != NULL && header->cmsg_type == SCM_RIGHTS) {
        sandbox->socket_count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        memcpy(sandbox->sockets, CMSG_DATA(header), sandbox->socket_count * sizeof(int));
    }
    if (kind == TALK_PROBLEM) {
        (void)err_set(err, "%s", text);
    }
    return kind;
}

static int expect(struct sandbox *sandbox, char kind, char *text, size_t size, struct err *err)
{
    char heard = hear(sandbox, text, size, err);

    if (heard == kind) {
        return 0;
    }
    return heard == TALK_PROBLEM ? -1 : err_set(err, "the sandbox ended while it was built");
}

int sandbox_sockets(struct sandbox *sandbox, struct err *err)
{
    char text[NEWS_BYTES];

    if (expect(sandbox, TALK_SOCKETS, text, sizeof(text), err) < 0) {
        return -1;
    }
    sandbox->redirect = text[0] == 1;
    return 0;
}

void sandbox_close_sockets(struct sandbox *sandbox)
{
    for (size_t i = 0; i < sandbox->socket_count; i++) {
        (void)close(sandbox->sockets[i]);
    }
    sandbox->socket_count = 0;
}

int sandbox_enter(struct sandbox *sandbox, struct str environment, struct str session_ca_pem,
                  struct err *err)
{
    char text[NEWS_BYTES];
    struct buf entry;
    uint32_t len = (uint32_t)environment.len;

    if (expect(sandbox, TALK_BUILT, text, sizeof(text), err) < 0) {
        return -1;
    }
    sandbox->proc_is_fresh = text[0] == 1;
    buf_init_wiped(&entry, ENTER_BYTES_MAX);
    (void)buf_add(&entry, &len, sizeof(len));
    (void)buf_add_str(&entry, environment);
    (void)buf_add_str(&entry, session_ca_pem);
    struct str bytes = buf_str(&entry);
    int rc = 0;
    if (entry.overflow) {
        rc = err_set(err, "the sandbox's environment is larger than %d bytes", ENTER_BYTES_MAX);
    } else if (send(sandbox->talk, bytes.data, bytes.len, MSG_NOSIGNAL) != (ssize_t)bytes.len) {
        rc = err_errno(err, "cannot tell the sandbox its environment");
    }
    buf_clear(&entry);
    return rc;
}

int sandbox_started(struct sandbox *sandbox, struct err *err)
{
    char text[NEWS_BYTES];

    return hear(sandbox, text, sizeof(text), err) == 0 ? 0 : -1;
}

void sandbox_signal(const struct sandbox *sandbox, int signal)
{
    if (sandbox->pidfd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, sandbox->pidfd, signal, NULL, 0);
    }
}

void sandbox_kill(struct sandbox *sandbox)
{
    sandbox_close_sockets(sandbox);
    if (sandbox->pid > 0) {
        (void)kill(sandbox->pid, SIGKILL);
    }
    if (sandbox->talk >= 0) {
        (void)close(sandbox->talk);
        sandbox->talk = -1;
    }
}

int sandbox_wait(struct sandbox *sandbox)
{
    int status = 0;

    if (sandbox->pid <= 0) {
        cgroup_close(&sandbox->cgroup);
        return EXIT_FAILURE;
    }
    while (waitpid(sandbox->pid, &status, 0) < 0 && errno == EINTR) {
    }
    sandbox->pid = -1;
    cgroup_close(&sandbox->cgroup);
    if (sandbox->pidfd >= 0) {
        (void)close(sandbox->pidfd);
        sandbox->pidfd = -1;
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : SIGNALLED + WTERMSIG(status);
}
