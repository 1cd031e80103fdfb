/* SPDX-License-Identifier: Apache-2.0 */
/* attach: doors for a container that runs already */
#include "cli/commands.h"
#include "cli/run_session.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/mem.h"
#include "sandbox/attach.h"

const struct option attach_options[] = {
    {"pid", "PID", "any process of the container, as this machine numbers it", false, false},
    {"container", "ID", "a container of docker or podman", false, false},
    {"unix", "PATH", "or a Unix socket made at PATH (gVisor, microVMs)", false, false},
    {"out", "DIR", "writes env and ca.pem there, for the container to read", false, false},
    SESSION_OPTIONS,
    {"quiet", NULL, "no report at the end", false, false},
};
const size_t attach_options_count = sizeof(attach_options) / sizeof(attach_options[0]);

struct attach {
    const struct invocation *invocation;
    struct sandbox sandbox;
    struct sandbox_plan plan;
    struct run_session session;
    int target; /* pidfd; -1: none to watch */
    int socket; /* of --unix */
};

/* ---- who ---- */

/* What `docker inspect` says; its words are a number or nothing. */
static int ask_runtime(const char *runtime, const char *id, pid_t *ret_pid)
{
    char text[32] = "";
    int pipes[2];
    uint64_t number;

    if (pipe2(pipes, O_CLOEXEC) < 0) {
        return -1;
    }
    pid_t pid = fork();
    if (pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        if (dup2(pipes[1], STDOUT_FILENO) >= 0 && dup2(null, STDERR_FILENO) >= 0) {
            (void)execlp(runtime, runtime, "inspect", "--format", "{{.State.Pid}}", id,
                         (char *)NULL);
        }
        _exit(127);
    }
    (void)close(pipes[1]);
    ssize_t got = pid < 0 ? -1 : read(pipes[0], text, sizeof(text) - 1);
    (void)close(pipes[0]);
    if (pid > 0) {
        (void)waitpid(pid, NULL, 0);
    }
    if (got <= 0) {
        return -1;
    }
    struct str answer = str_trim(str_of(text, strcspn(text, "\n")));
    if (!str_to_u64(answer, &number) || number == 0 || number > INT_MAX) {
        return -1;
    }
    *ret_pid = (pid_t)number;
    return 0;
}

static bool is_container_name(const char *id)
{
    for (const char *c = id; *c != '\0'; c++) {
        if (!ascii_is_alpha(*c) && !ascii_is_digit(*c) && (c == id || strchr("_.-", *c) == NULL)) {
            return false;
        }
    }
    return id[0] != '\0';
}

static int find_target(const struct invocation *invocation, pid_t *ret_pid, struct err *err)
{
    const char *given = option_value(invocation, "pid");
    const char *id = option_value(invocation, "container");
    uint64_t number;

    if (given != NULL) {
        if (!str_to_u64(str_from(given), &number) || number == 0 || number > INT_MAX) {
            return err_set(err, "--pid is the number of a process");
        }
        *ret_pid = (pid_t)number;
        return 0;
    }
    if (!is_container_name(id)) {
        return err_set(err, "'%.64s' is not a container's name or id", id);
    }
    if (ask_runtime("docker", id, ret_pid) < 0 && ask_runtime("podman", id, ret_pid) < 0) {
        return err_set(err, "neither docker nor podman knows a running container '%s'", id);
    }
    return 0;
}

/* ---- doors ---- */

static int open_unix(struct attach *attach, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *path = option_value(attach->invocation, "unix");

    if (snprintf(address.sun_path, sizeof(address.sun_path), "%s", path) >=
        (int)sizeof(address.sun_path)) {
        return err_set(err, "'%s' is too long for a socket", path);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        chmod(path, 0666) < 0 || listen(fd, SOMAXCONN) < 0) {
        int rc = err_errno(err, "cannot listen at '%s'", path);
        if (fd >= 0) {
            (void)close(fd);
        }
        return rc;
    }
    attach->socket = fd;
    attach->sandbox = (struct sandbox){.pid = -1, .pidfd = -1, .talk = -1, .socket_count = 1};
    attach->sandbox.sockets[0] = fd;
    return 0;
}

static int open_doors(struct attach *attach, struct err *err)
{
    pid_t pid = -1;

    if (option_given(attach->invocation, "unix")) {
        return open_unix(attach, err);
    }
    attach->plan = (struct sandbox_plan){.ports = {80, 443}, .port_count = 2};
    if (find_target(attach->invocation, &pid, err) < 0) {
        return -1;
    }
    attach->target = (int)syscall(SYS_pidfd_open, pid, 0);
    if (attach->target < 0) {
        return err_errno(err, "there is no process %d", (int)pid);
    }
    return attach_start(&attach->sandbox, pid, &attach->plan, err) < 0
               ? -1
               : sandbox_sockets(&attach->sandbox, err);
}

/* ---- what the container is to know ---- */

static int write_out(const char *directory, const char *name, struct str text, struct err *err)
{
    char path[PATH_MAX];

    (void)snprintf(path, sizeof(path), "%s/%s", directory, name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
    int rc = fd >= 0 && write(fd, text.data, text.len) == (ssize_t)text.len
                 ? 0
                 : err_errno(err, "cannot write '%s'", path);
    if (fd >= 0) {
        (void)close(fd);
    }
    return rc;
}

/* NAME=value, as docker's --env-file takes it. */
static void add_variables(const struct attach *attach, struct buf *out)
{
    const char *name;
    json_t *key, *value;
    size_t i;

    json_array_foreach(json_object_get(attach->session.opened, "keys"), i, key)
    {
        json_object_foreach(json_object_get(key, "env"), name, value)
        {
            (void)buf_addf(out, "%s=%s\n", name, json_string_value(value));
        }
    }
}

static int tell(const struct attach *attach, struct err *err)
{
    const char *directory = option_value(attach->invocation, "out");
    struct buf text;
    int rc = 0;

    buf_init_wiped(&text, 64 * 1024);
    add_variables(attach, &text);
    struct str variables = buf_str(&text);
    if (directory == NULL) {
        (void)printf("%.*s", STR_FMT(variables));
        (void)fflush(stdout);
    } else if (write_out(directory, "env", variables, err) < 0 ||
               write_out(directory, "ca.pem", run_session_ca(&attach->session), err) < 0) {
        rc = -1;
    }
    buf_clear(&text);
    if (rc == 0) {
        (void)fprintf(stderr, "keybrake: attached: %s%s\n",
                      json_string_value(json_object_get(attach->session.opened, "id")),
                      attach->socket >= 0        ? ""
                      : attach->sandbox.redirect ? ", every TCP connection is caught"
                                                 : ", ports 80 and 443 are caught");
    }
    return rc;
}

/* ---- waiting ---- */

static const char *wait_for_end(const struct attach *attach, int64_t ttl_ms)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)sigaddset(&set, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int signals = signalfd(-1, &set, SFD_CLOEXEC);
    struct pollfd waits[] = {{.fd = attach->target, .events = POLLIN},
                             {.fd = attach->session.fd, .events = POLLIN},
                             {.fd = signals, .events = POLLIN},
                             {.fd = attach->sandbox.talk, .events = POLLIN}};
    int ready;

    do {
        ready = poll(waits, 4, ttl_ms > INT_MAX ? INT_MAX : (int)ttl_ms);
    } while (ready < 0 && errno == EINTR);
    (void)close(signals);
    return ready == 0              ? "its time was over"
           : waits[1].revents != 0 ? NULL
           : waits[0].revents != 0 ? "the container ended"
           : waits[2].revents != 0 ? "its launcher was stopped"
                                   : "its helper ended";
}

static int go(struct attach *attach)
{
    struct err err = {""};
    int64_t ttl_ms = 0;

    if (run_session_ttl_ms(attach->invocation, &ttl_ms, &err) < 0 || open_doors(attach, &err) < 0 ||
        run_session_open(&attach->session, attach->invocation, attach->sandbox.sockets,
                         attach->sandbox.socket_count, &err) < 0 ||
        tell(attach, &err) < 0) {
        run_session_end(&attach->session, "it could not be attached", false);
        return say_refused("%s", err.text);
    }
    sandbox_close_sockets(&attach->sandbox);
    const char *reason = wait_for_end(attach, ttl_ms);
    if (reason == NULL) {
        return say_refused("the server has ended, and with it the session");
    }
    run_session_end(&attach->session, reason, true);
    if (!option_given(attach->invocation, "quiet")) {
        run_session_report(&attach->session, attach->invocation);
    }
    return EXIT_DONE;
}

int run_attach(const struct invocation *invocation)
{
    struct attach attach = {.invocation = invocation, .target = -1, .socket = -1};
    size_t ways = option_count(invocation, "pid") + option_count(invocation, "container") +
                  option_count(invocation, "unix");

    attach.session.fd = -1;
    attach.sandbox = (struct sandbox){.pid = -1, .pidfd = -1, .talk = -1};
    if (ways != 1) {
        return say_usage(invocation, "attach needs one of --pid, --container, --unix");
    }
    int rc = go(&attach);
    sandbox_kill(&attach.sandbox);
    (void)sandbox_wait(&attach.sandbox);
    if (attach.socket >= 0) {
        (void)unlink(option_value(invocation, "unix"));
    }
    if (attach.target >= 0) {
        (void)close(attach.target);
    }
    run_session_clear(&attach.session);
    return rc;
}
