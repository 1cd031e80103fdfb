/* SPDX-License-Identifier: Apache-2.0 */
/* run: a command in a sandbox of its own */
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
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "sandbox/environment.h"
#include "sandbox/notify.h"
#include "sandbox/sandbox.h"

enum {
    GRACE_S = 5, /* between TERM and KILL */
    PIDS_DEFAULT = 4096,
    MEMORY_MIN = 16 * 1024 * 1024,
    FAILED = 125, /* as env(1) and its like say that the command did not run */
    HIDDEN_MAX = 2 + FILES_PATHS_MAX,
};

const struct option run_options[] = {
    SESSION_OPTIONS,
    {"rw", "DIR", "may be written", true, false},
    {"ro", "PATH", "is to be seen too", true, false},
    {"hide", "PATH", "is not to be seen", true, false},
    {"env", "NAME[=VALUE]", "a variable of yours that it may have", true, false},
    {"port", "N", "caught as well, where the kernel cannot catch every port", true, false},
    {"base-urls", "yes|no", "point SDKs at keybrake by their variables (default: yes)", false,
     false},
    {"processes", "N", "at most so many (default: 4096)", false, false},
    {"memory", "SIZE", "of all of it together: 512M, 2G", false, false},
    {"open-files", "N", "at most so many, each process", false, false},
    {"tier", "auto|no-redirect|notify", "how the network is caught (default: auto)", false, false},
    {"quiet", NULL, "no report at the end", false, false},
};
const size_t run_options_count = sizeof(run_options) / sizeof(run_options[0]);

struct run {
    const struct invocation *invocation;
    struct sandbox sandbox;
    struct notify notify;
    bool by_notify; /* no namespaces here */
    struct sandbox_plan plan;
    struct run_session session;
    char directory[PATH_MAX];
    char *writable[FILES_PATHS_MAX], *readable[FILES_PATHS_MAX], *hidden[HIDDEN_MAX];
    char **argv;
    int signals, timer;
    bool tired;   /* its time was over */
    bool entered; /* what happens now, happens inside */
    const char *reason;
};

/* ---- the plan ---- */

static int take_paths(const struct invocation *invocation, const char *option, char **out,
                      size_t *ret_count, struct err *err)
{
    for (size_t i = 0; i < option_count(invocation, option); i++) {
        const char *given = option_nth(invocation, option, i);
        if (*ret_count == FILES_PATHS_MAX) {
            return err_set(err, "at most %d paths", FILES_PATHS_MAX);
        }
        out[*ret_count] = realpath(given, NULL);
        if (out[*ret_count] == NULL) {
            return err_errno(err, "--%s '%s'", option, given);
        }
        (*ret_count)++;
    }
    return 0;
}

static int take_number(const struct invocation *invocation, const char *option, uint64_t most,
                       unsigned *ret, struct err *err)
{
    const char *text = option_value(invocation, option);
    uint64_t number;

    if (text == NULL) {
        return 0;
    }
    if (!str_to_u64(str_from(text), &number) || number == 0 || number > most) {
        return err_set(err, "--%s is a number from 1 to %llu", option, (unsigned long long)most);
    }
    *ret = (unsigned)number;
    return 0;
}

/* What was asked for by name is kept for all of it together; a default by the user's own limit. */
static int take_limits(struct run *run, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    struct sandbox_plan *plan = &run->plan;
    const char *memory = option_value(invocation, "memory");

    plan->pid_max = PIDS_DEFAULT;
    if (memory != NULL && (!str_to_size(str_from(memory), &plan->limits.memory_bytes) ||
                           plan->limits.memory_bytes < MEMORY_MIN)) {
        return err_set(err, "--memory is a size such as 512M or 2G, and no less than 16M");
    }
    if (take_number(invocation, "processes", INT_MAX, &plan->pid_max, err) < 0 ||
        take_number(invocation, "open-files", INT_MAX, &plan->file_max, err) < 0) {
        return -1;
    }
    if (memory != NULL || option_given(invocation, "processes")) {
        plan->limits.pid_max = plan->pid_max;
    }
    return 0;
}

static int take_ports(struct run *run, struct err *err)
{
    struct sandbox_plan *plan = &run->plan;

    plan->ports[plan->port_count++] = 80;
    plan->ports[plan->port_count++] = 443;
    for (size_t i = 0; i < option_count(run->invocation, "port"); i++) {
        uint64_t port;
        if (plan->port_count == NETWORK_PORTS_MAX / 2 ||
            !str_to_u64(str_from(option_nth(run->invocation, "port", i)), &port) || port == 0 ||
            port > UINT16_MAX) {
            return err_set(err, "--port is a number of a port, at most %d times",
                           NETWORK_PORTS_MAX / 2 - 2);
        }
        plan->ports[plan->port_count++] = (uint16_t)port;
    }
    return 0;
}

static int take_tier(struct run *run, struct err *err)
{
    const char *tier = option_value(run->invocation, "tier");

    if (tier == NULL || strcmp(tier, "auto") == 0) {
        return 0;
    }
    if (strcmp(tier, "notify") == 0) {
        run->by_notify = true;
        return 0;
    }
    if (strcmp(tier, "no-redirect") == 0) {
        run->plan.no_redirect = true;
        return 0;
    }
    return err_set(err, "--tier is one of: auto, no-redirect, notify");
}

/* What it gets as its first three descriptors comes from outside: files and terminals are meant, a
 * directory would be the machine's whole tree from there on. */
static int look_at_streams(struct run *run, struct err *err)
{
    struct stat about;
    int terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);

    for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
        if (fstat(fd, &about) == 0 && S_ISDIR(about.st_mode)) {
            return err_set(err, "standard %s is a directory, which is not taken into a sandbox",
                           fd == STDIN_FILENO ? "input" : "output");
        }
    }
    run->plan.on_terminal = terminal >= 0;
    if (terminal >= 0) {
        (void)close(terminal);
    }
    return 0;
}

/* The server's data is no sandbox's business, wherever it lies. */
static int hide_data(struct run *run, struct err *err)
{
    size_t count = 0;
    char *data = realpath(data_directory(run->invocation), NULL);

    if (data != NULL) {
        run->hidden[count++] = data;
    }
    if (take_paths(run->invocation, "hide", run->hidden, &count, err) < 0) {
        return -1;
    }
    run->plan.files.hidden = (const char *const *)run->hidden;
    run->plan.files.hidden_count = count;
    return 0;
}

static int make_plan(struct run *run, struct err *err)
{
    const struct invocation *invocation = run->invocation;
    struct files_plan *files = &run->plan.files;
    size_t count = argument_count(invocation);

    if (getcwd(run->directory, sizeof(run->directory)) == NULL) {
        return err_errno(err, "cannot find the working directory");
    }
    run->argv = mem_array(count + 1, sizeof(char *));
    for (size_t i = 0; i < count; i++) {
        run->argv[i] = mem_copy_str(str_from(argument_nth(invocation, i)));
    }
    run->plan.argv = run->argv;
    files->directory = run->directory;
    files->writable = (const char *const *)run->writable;
    files->readable = (const char *const *)run->readable;
    if (take_paths(invocation, "rw", run->writable, &files->writable_count, err) < 0 ||
        take_paths(invocation, "ro", run->readable, &files->readable_count, err) < 0 ||
        hide_data(run, err) < 0 || take_ports(run, err) < 0 || take_tier(run, err) < 0 ||
        take_limits(run, err) < 0 || look_at_streams(run, err) < 0) {
        return -1;
    }
    return files_check(files, getenv("HOME"), err);
}

/* ---- the environment ---- */

static bool is_base_url(struct str value)
{
    return str_starts(value, STR("http://keybrake.internal"));
}

static int add_vendor_variables(struct run *run, struct environment *environment, struct err *err)
{
    const char *choice = option_value(run->invocation, "base-urls");
    bool base_urls = choice == NULL || strcmp(choice, "yes") == 0;
    const char *name;
    json_t *key, *value;
    size_t i;

    if (!base_urls && strcmp(choice, "no") != 0) {
        return err_set(err, "--base-urls is yes or no");
    }
    json_array_foreach(json_object_get(run->session.opened, "keys"), i, key)
    {
        json_object_foreach(json_object_get(key, "env"), name, value)
        {
            struct str text = str_from(json_string_value(value));
            if ((base_urls || !is_base_url(text)) &&
                environment_set(environment, str_from(name), text, err) < 0) {
                return -1;
            }
        }
    }
    return 0;
}

/* Names are asked over TCP, since there is no UDP; what is its own is one directory; and who looks
 * for CAs in a file of the system's must be told of another. */
static int add_notify_variables(const struct run *run, struct environment *environment,
                                struct err *err)
{
    char java[192], php[sizeof(run->notify.php) + 1];
    const struct {
        const char *name, *value;
    } own[] = {{"RES_OPTIONS", "use-vc"},
               {"GODEBUG", "netdns=cgo"}, /* its own resolver does not know the line above */
               {"HOME", run->notify.directory},
               {"TMPDIR", run->notify.directory},
               {"WGETRC", run->notify.wget},
               {"PHP_INI_SCAN_DIR", php},
               {"JAVA_TOOL_OPTIONS", java}};
    int rc = 0;

    (void)snprintf(java, sizeof(java),
                   "-Djavax.net.ssl.trustStore=%s -Djavax.net.ssl.trustStoreType=PKCS12",
                   run->notify.java_list);
    (void)snprintf(php, sizeof(php), ":%s", run->notify.php); /* behind its own */
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]) && rc == 0; i++) {
        rc = environment_set(environment, str_from(own[i].name), str_from(own[i].value), err);
    }
    return rc;
}

static int make_environment(struct run *run, struct environment *environment, struct err *err)
{
    const char *bundle = run->by_notify ? run->notify.bundle : FILES_BUNDLE;
    const char *session_ca = run->by_notify ? run->notify.session_ca : FILES_CA;

    if (environment_basic(environment, environ, err) < 0 ||
        environment_trust(environment, bundle, session_ca, err) < 0 ||
        (run->by_notify && add_notify_variables(run, environment, err) < 0) ||
        add_vendor_variables(run, environment, err) < 0) {
        return -1;
    }
    for (size_t i = 0; i < option_count(run->invocation, "env"); i++) {
        if (environment_ask(environment, option_nth(run->invocation, "env", i), environ, err) < 0) {
            return -1;
        }
    }
    return 0;
}

/* ---- running ---- */

static int open_signals(void)
{
    static const int ours[] = {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2};
    sigset_t set;

    (void)sigemptyset(&set);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        (void)sigaddset(&set, ours[i]);
    }
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void set_timer(int fd, int64_t ms)
{
    struct itimerspec when = {.it_value = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000}};

    (void)timerfd_settime(fd, 0, &when, NULL);
}

static void on_signal(struct run *run)
{
    struct signalfd_siginfo info;

    while (read(run->signals, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        /* What the terminal sends, it sends to the command too. */
        if (info.ssi_code == SI_USER || info.ssi_code == SI_QUEUE || info.ssi_code == SI_TKILL) {
            sandbox_signal(&run->sandbox, (int)info.ssi_signo);
        }
    }
}

/* ---- without namespaces ---- */

/* The launcher asks before it starts what cannot be as tight as it should be. */
static int start_notify(struct run *run, struct err *err)
{
    struct environment environment;

    run->plan.limits.pid_max = run->plan.pid_max; /* the user's own limit would count others too */
    if (notify_probe(err) < 0 || notify_open(&run->notify, err) < 0 ||
        run_session_open(&run->session, run->invocation, &run->notify.capture, 1, err) < 0) {
        return -1;
    }
    (void)fprintf(stderr,
                  "keybrake: %s: no namespaces here: connections are asked about (seccomp), files "
                  "are Landlock's; no UDP, no servers, and the machine's processes are seen\n",
                  json_string_value(json_object_get(run->session.opened, "id")));
    environment_init(&environment);
    int rc = make_environment(run, &environment, err);
    if (rc == 0) {
        rc = notify_start(&run->notify, &run->plan, buf_str(&environment.text),
                          run_session_ca(&run->session), err);
    }
    environment_clear(&environment);
    if (rc == 0) {
        run->sandbox.pid = run->notify.command;
        run->sandbox.pidfd = (int)syscall(SYS_pidfd_open, run->notify.command, 0);
        rc = run->sandbox.pidfd >= 0 ? 0 : err_errno(err, "cannot watch the command");
    }
    return rc;
}

static void on_time(struct run *run)
{
    uint64_t times;

    (void)!read(run->timer, &times, sizeof(times));
    if (run->tired) {
        sandbox_kill(&run->sandbox);
        return;
    }
    run->tired = true;
    run->reason = "its time was over";
    (void)fprintf(stderr, "keybrake: the time is over (--ttl)\n");
    sandbox_signal(&run->sandbox, SIGTERM);
    set_timer(run->timer, GRACE_S * 1000);
}

/* Until the command ends, or the server does: without it there is nothing to do in there. */
static int watch(struct run *run)
{
    struct pollfd waits[] = {{.fd = run->sandbox.pidfd, .events = POLLIN},
                             {.fd = run->session.fd, .events = POLLIN},
                             {.fd = run->signals, .events = POLLIN},
                             {.fd = run->timer, .events = POLLIN},
                             {.fd = run->by_notify ? run->notify.listener : -1, .events = POLLIN}};

    for (;;) {
        if (poll(waits, 5, -1) < 0 && errno != EINTR) {
            sandbox_kill(&run->sandbox);
            break;
        }
        if (waits[0].revents != 0) {
            break;
        }
        if (waits[1].revents != 0) {
            (void)fprintf(stderr, "keybrake: the server has ended, and with it the sandbox\n");
            sandbox_kill(&run->sandbox);
            (void)sandbox_wait(&run->sandbox);
            return FAILED;
        }
        if (waits[2].revents != 0) {
            on_signal(run);
        }
        if (waits[3].revents != 0) {
            on_time(run);
        }
        if ((waits[4].revents & POLLIN) != 0) {
            notify_answer(&run->notify);
        } else if (waits[4].revents != 0) {
            waits[4].fd = -1; /* nobody is left who could ask */
        }
    }
    return sandbox_wait(&run->sandbox);
}

static void announce(const struct run *run)
{
    bool full = run->sandbox.redirect && run->sandbox.proc_is_fresh;

    if (full && option_given(run->invocation, "quiet")) {
        return;
    }
    (void)fprintf(stderr, "keybrake: %s: %s%s\n",
                  json_string_value(json_object_get(run->session.opened, "id")),
                  run->sandbox.redirect
                      ? "own namespaces, every TCP connection is caught"
                      : "own namespaces, but this kernel redirects nothing: ports 80 and 443 (and "
                        "--port) are caught, others refused",
                  run->sandbox.proc_is_fresh ? "" : "; no /proc of its own");
}

static int start(struct run *run, struct err *err)
{
    struct environment environment;

    if (sandbox_start(&run->sandbox, &run->plan, err) < 0) {
        return -1;
    }
    /* Not before: the ids of a child of ours that is not dumpable are root's to map. */
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    if (sandbox_sockets(&run->sandbox, err) < 0 ||
        run_session_open(&run->session, run->invocation, run->sandbox.sockets,
                         run->sandbox.socket_count, err) < 0) {
        return -1;
    }
    sandbox_close_sockets(&run->sandbox);
    environment_init(&environment);
    int rc = make_environment(run, &environment, err);
    if (rc == 0) {
        rc = sandbox_enter(&run->sandbox, buf_str(&environment.text), run_session_ca(&run->session),
                           err);
    }
    environment_clear(&environment);
    if (rc == 0) {
        announce(run);
        run->entered = true;
        rc = sandbox_started(&run->sandbox, err);
    }
    return rc;
}

static void clear(struct run *run)
{
    if (run->by_notify) {
        notify_close(&run->notify);
    }
    run_session_clear(&run->session);
    for (size_t i = 0; i < FILES_PATHS_MAX; i++) {
        free(run->writable[i]);
        free(run->readable[i]);
    }
    for (size_t i = 0; i < HIDDEN_MAX; i++) {
        free(run->hidden[i]);
    }
    for (size_t i = 0; run->argv != NULL && run->argv[i] != NULL; i++) {
        free(run->argv[i]);
    }
    free(run->argv);
    if (run->signals >= 0) {
        (void)close(run->signals);
    }
    if (run->timer >= 0) {
        (void)close(run->timer);
    }
    free(run);
}

static int go(struct run *run)
{
    struct err err = {""};
    char reason[64];
    int64_t ttl_ms = 0;

    if (run_session_ttl_ms(run->invocation, &ttl_ms, &err) < 0 || make_plan(run, &err) < 0) {
        (void)say_refused("%s", err.text);
        return FAILED;
    }
    run->signals = open_signals();
    run->timer = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC);
    int rc = run->by_notify ? start_notify(run, &err) : start(run, &err);
    if (rc < 0 && !run->by_notify && run->session.fd < 0 && run->sandbox.pid < 0 &&
        option_value(run->invocation, "tier") == NULL) {
        (void)fprintf(stderr, "keybrake: %s\n", err.text);
        run->by_notify = true; /* no namespaces: the next best, said aloud */
        rc = start_notify(run, &err);
    }
    if (rc < 0) {
        (void)say_refused("%s", err.text);
        run_session_end(&run->session, "the command did not start", false);
        if (!run->entered) { /* else it ends by itself, with the status that says why */
            sandbox_kill(&run->sandbox);
        }
        int status = sandbox_wait(&run->sandbox);
        return status == 126 || status == 127 ? status : FAILED;
    }
    set_timer(run->timer, ttl_ms);
    int status = watch(run);
    (void)snprintf(reason, sizeof(reason), "the command ended with status %d", status);
    bool served = run->session.fd >= 0;
    bool report = served && !option_given(run->invocation, "quiet");
    run_session_end(&run->session, run->reason != NULL ? run->reason : reason, report);
    if (report) {
        run_session_report(&run->session, run->invocation);
    }
    return status;
}

int run_run(const struct invocation *invocation)
{
    struct run *run = mem_zeroed(sizeof(*run));

    run->invocation = invocation;
    run->session.fd = run->signals = run->timer = -1;
    run->sandbox = (struct sandbox){.pid = -1, .pidfd = -1, .talk = -1};
    run->notify =
        (struct notify){.command = -1, .names = -1, .listener = -1, .capture = -1, .names_tcp = -1};
    int status = go(run);
    clear(run);
    return status;
}
