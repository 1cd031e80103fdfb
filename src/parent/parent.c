/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/parent.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/confine.h"
#include "os/service.h"
#include "parent/data_dir.h"
#include "parent/files.h"
#include "parent/house.h"
#include "parent/settings.h"

enum {
    RESOLVER_LOOK_MS = 5000,
    KILL_AFTER_MS = 2000,
    SAME_SIGNAL_MS = 250, /* timeout(1) and shells send one stop to the process and its group */
    EXTRA_MAX = 64,
};

/* Stopping, in the order in which nothing is lost: who takes requests, who finishes them upstream,
 * who settles them, who makes that durable. */
static const struct stage {
    enum process_role roles[2];
    uint64_t wait_ms;
} stages[] = {
    {{ROLE_GATE, ROLE_CONTROL}, 30 * 1000},
    {{ROLE_VAULT, ROLE_NONE}, 10 * 1000},
    {{ROLE_JUDGE, ROLE_NONE}, 10 * 1000},
    {{ROLE_SCRIBE, ROLE_NONE}, 10 * 1000},
};
enum { STAGES = sizeof(stages) / sizeof(stages[0]) };

struct parent {
    const struct parent_options *options;
    struct loop *loop;
    struct house house;
    struct loop_watch signals;
    struct arena *arena; /* of the settings in force */
    struct settings settings;
    const char *user;
    int lock_fd;
    struct listeners listeners;
    struct files files;
    struct loop_timer resolver, stage_end, alive;
    struct service service;
    bool reloading, reload_again, announced;
    size_t stage;         /* STAGES: all told to go */
    uint64_t stopping_ms; /* since when */
    bool failed;
};

static void stop(struct parent *parent);

/* ---- failing ---- */

static void fail(void *ctx, const char *why)
{
    struct parent *parent = ctx;

    if (parent->failed) {
        return;
    }
    parent->failed = true;
    (void)fprintf(stderr, "keybrake: %s\n", why);
    parent->house.stopping = true;
    house_kill_all(&parent->house);
    loop_stop(parent->loop, EXIT_FAILURE);
}

/* ---- certificates, names ---- */

static int take_files(struct parent *parent, struct err *err)
{
    struct files fresh = {0};

    if (parent->settings.tls_cert.len > 0 &&
        files_read_certificate(&fresh, parent->settings.tls_cert.data,
                               parent->settings.tls_key.data, err) < 0) {
        return -1;
    }
    files_read_ca(&fresh, parent->options->data_dir);
    files_read_resolver(&fresh);
    files_clear(&parent->files);
    parent->files = fresh;
    struct supplies *supplies = &parent->house.supplies;
    supplies->has_certificate = parent->settings.tls_cert.len > 0;
    supplies->chain_pem = fresh.chain_pem;
    supplies->key_pem = fresh.key_pem;
    supplies->resolver = fresh.resolver;
    supplies->ca = fresh.ca;
    return 0;
}

static void look_at_resolver(void *ctx)
{
    struct parent *parent = ctx;

    if (files_resolver_changed(&parent->files)) {
        files_read_resolver(&parent->files);
        parent->house.supplies.resolver = parent->files.resolver;
        house_send_resolver(&parent->house);
        log_info("resolver", "the name servers or hosts have changed");
    }
    loop_timer_set(parent->loop, &parent->resolver, RESOLVER_LOOK_MS, look_at_resolver, parent);
}

/* ---- start ---- */

static void announce_doors(const struct parent *parent, struct buf *line)
{
    const char *separator = "";

    for (size_t i = 0; i < parent->listeners.count; i++) {
        const struct listener *one = &parent->listeners.all[i];
        if (!one->control) {
            (void)buf_addf(line, "%s%s%s", separator,
                           one->unix_socket ? ""
                           : one->tls       ? "https://"
                                            : "http://",
                           one->text);
            separator = ", ";
        }
    }
}

static void announce_control(const struct parent *parent, struct buf *line)
{
    for (size_t i = 0; i < parent->listeners.count; i++) {
        const struct listener *one = &parent->listeners.all[i];
        if (one->control && !one->unix_socket) {
            (void)buf_addf(line, " (control %s%s)\n", one->tls ? "https://" : "http://", one->text);
        }
    }
}

static void stay_alive(void *ctx)
{
    struct parent *parent = ctx;

    service_alive(&parent->service);
    loop_timer_set(parent->loop, &parent->alive, parent->service.watchdog_ms / 2, stay_alive,
                   parent);
}

static void on_ready(void *ctx)
{
    struct parent *parent = ctx;
    struct buf line;

    log_info("ready", "processes=%zu", parent->house.count);
    if (parent->announced) {
        return;
    }
    parent->announced = true;
    buf_init(&line, 8192);
    (void)buf_addf(&line, "keybrake ready: ");
    announce_doors(parent, &line);
    announce_control(parent, &line);
    (void)printf("%.*s", STR_FMT(buf_str(&line)));
    (void)fflush(stdout);
    buf_cut(&line, buf_len(&line) - 1); /* the line's end */
    (void)buf_add_char(&line, '\0');
    service_ready(&parent->service, buf_str(&line).data);
    buf_clear(&line);
    if (parent->service.watchdog_ms > 0) {
        stay_alive(parent);
    }
}

static void on_unsealed(void *ctx, const struct message_compiled *message, int fd)
{
    struct parent *parent = ctx;
    char why[600];

    if (message == NULL || !message->ok || fd < 0) {
        (void)snprintf(why, sizeof(why), "%.*s",
                       STR_FMT(message == NULL ? STR("the vault key could not be unlocked")
                                               : message->problem));
        house_dismiss(&parent->house.unlock);
        fail(parent, why);
        return;
    }
    parent->house.supplies.unseal_fd = fd;
    house_dismiss(&parent->house.unlock);
    house_open(&parent->house);
}

static int choose_user(struct parent *parent, struct err *err)
{
    parent->user = "";
    if (geteuid() != 0) {
        return 0;
    }
    const char *user = parent->settings.user.len > 0 ? parent->settings.user.data : "keybrake";
    if (strcmp(user, "root") == 0) {
        return 0;
    }
    if (!confine_user_exists(user)) {
        return err_set(err,
                       "there is no user '%s' to run as; make it with: useradd --system --home-dir "
                       "/var/lib/keybrake --shell /usr/sbin/nologin %s  (or name another: --user)",
                       user, user);
    }
    parent->user = user;
    return 0;
}

/* The settings are known and good: everything that they need. */
static int prepare(struct parent *parent, struct err *err)
{
    const char *dir = parent->options->data_dir;
    struct supplies *supplies = &parent->house.supplies;

    if (choose_user(parent, err) < 0) {
        return -1;
    }
    parent->lock_fd = data_dir_claim(dir, err);
    if (parent->lock_fd < 0 || data_dir_give(dir, parent->user, err) < 0 ||
        listeners_open(&parent->listeners, &parent->settings, dir, data_dir_group(), err) < 0 ||
        take_files(parent, err) < 0) {
        return -1;
    }
    supplies->user = parent->user;
    supplies->listeners = &parent->listeners;
    house_init(&parent->house, parent->loop, parent->settings.gates);
    loop_timer_set(parent->loop, &parent->resolver, RESOLVER_LOOK_MS, look_at_resolver, parent);
    return 0;
}

static void unlock(struct parent *parent)
{
    const char *credentials = getenv("CREDENTIALS_DIRECTORY");
    const char *const extra[] = {credentials == NULL ? "" : credentials, NULL};

    house_ask(&parent->house, &parent->house.unlock, ROLE_UNLOCK, extra, on_unsealed);
}

/* ---- configuration ---- */

static bool decode_settings(struct str bytes, struct arena *arena, struct settings *ret_settings)
{
    struct str kept = arena_copy(arena, bytes);
    struct settings raw;

    if (!wire_decode(&settings_schema, kept, arena, &raw)) {
        return false;
    }
    /* As texts with a NUL behind them: they are names of files and users. */
    raw.tls_cert = arena_copy(arena, raw.tls_cert);
    raw.tls_key = arena_copy(arena, raw.tls_key);
    raw.user = arena_copy(arena, raw.user);
    *ret_settings = raw;
    return true;
}

static void use_config(struct parent *parent, int fd)
{
    struct supplies *supplies = &parent->house.supplies;

    if (supplies->config_fd >= 0) {
        (void)close(supplies->config_fd);
    }
    supplies->config_fd = fd;
    supplies->generation++;
}

static int start_with(struct parent *parent, const struct message_compiled *message, int fd,
                      struct err *err)
{
    if (message == NULL || !message->ok || fd < 0) {
        return message == NULL ? err_set(err, "the settings could not be checked")
                               : err_set(err, "%.*s", STR_FMT(message->problem));
    }
    if (!decode_settings(message->settings, parent->arena, &parent->settings)) {
        return err_set(err, "the checked settings do not decode");
    }
    use_config(parent, fd);
    return 0;
}

static void on_compiled(void *ctx, const struct message_compiled *message, int fd)
{
    struct parent *parent = ctx;
    struct err err;
    int rc = start_with(parent, message, fd, &err);

    house_dismiss(&parent->house.check);
    if (rc == 0 && parent->options->check_only) {
        (void)printf("keybrake: the settings and packs are good\n");
        loop_stop(parent->loop, EXIT_SUCCESS);
        return;
    }
    if (rc < 0 || prepare(parent, &err) < 0) {
        fail(parent, err.text);
        return;
    }
    unlock(parent);
}

static void ask_check(struct parent *parent,
                      void (*answered)(void *ctx, const struct message_compiled *message, int fd))
{
    house_ask(&parent->house, &parent->house.check, ROLE_CHECK, parent->options->settings,
              answered);
}

/* Takes over the new configuration whole, or leaves everything as it was. */
static int reload_with(struct parent *parent, const struct message_compiled *message, int fd,
                       struct err *err)
{
    struct settings fresh;

    if (message == NULL || !message->ok || fd < 0) {
        return message == NULL ? err_set(err, "the settings could not be checked")
                               : err_set(err, "%.*s", STR_FMT(message->problem));
    }
    struct arena *arena = arena_new();
    if (!decode_settings(message->settings, arena, &fresh)) {
        arena_free(arena);
        return err_set(err, "the checked settings do not decode");
    }
    const char *fixed = settings_fixed_difference(&fresh, &parent->settings);
    struct settings before = parent->settings;
    parent->settings = fresh;
    if (fixed != NULL || take_files(parent, err) < 0) {
        parent->settings = before;
        arena_free(arena);
        return fixed == NULL ? -1 : err_set(err, "'%s' changes only with a restart", fixed);
    }
    /* "user" is fixed: it is the same name, but the text in the old arena ends with it. */
    if (parent->settings.user.len > 0 && parent->user[0] != '\0') {
        parent->user = parent->settings.user.data;
    }
    parent->house.supplies.user = parent->user;
    arena_free(parent->arena);
    parent->arena = arena;
    use_config(parent, fd);
    return 0;
}

static void reload(struct parent *parent);

static void on_recompiled(void *ctx, const struct message_compiled *message, int fd)
{
    struct parent *parent = ctx;
    struct err err;
    int rc = reload_with(parent, message, fd, &err);

    house_dismiss(&parent->house.check);
    parent->reloading = false;
    if (rc < 0) {
        char status[ERR_TEXT_SIZE + 64];
        log_error("reload", "nothing has changed: %s", err.text);
        (void)snprintf(status, sizeof(status), "reload refused, nothing has changed: %s", err.text);
        service_ready(&parent->service, status);
        if (fd >= 0) {
            (void)close(fd);
        }
    } else {
        log_info("reload", "generation=%llu",
                 (unsigned long long)parent->house.supplies.generation);
        house_send_ca(&parent->house); /* first: gates forget their leaves with the other */
        house_send_config(&parent->house);
        house_send_certificate(&parent->house);
        house_send_resolver(&parent->house);
        service_ready(&parent->service, "reloaded");
    }
}

static void reload(struct parent *parent)
{
    if (!parent->announced || parent->house.stopping) {
        return;
    }
    if (parent->reloading || parent->house.check.pid != 0) {
        parent->reload_again = true;
        return;
    }
    parent->reload_again = false;
    parent->reloading = true;
    service_reloading(&parent->service);
    ask_check(parent, on_recompiled);
}

/* ---- stopping ---- */

static void on_stage_end(void *ctx);

static bool stage_waits(struct parent *parent)
{
    const struct stage *stage = &stages[parent->stage];
    bool first = house_drain(&parent->house, stage->roles[0]);
    bool second = stage->roles[1] != ROLE_NONE && house_drain(&parent->house, stage->roles[1]);

    return first || second;
}

/* Drains stage by stage; then everybody goes. */
static void step_down(struct parent *parent)
{
    while (parent->stage < STAGES && !stage_waits(parent)) {
        parent->stage++;
        if (parent->stage < STAGES) {
            loop_timer_set(parent->loop, &parent->stage_end, stages[parent->stage].wait_ms,
                           on_stage_end, parent);
        } else {
            loop_timer_set(parent->loop, &parent->stage_end, KILL_AFTER_MS, on_stage_end, parent);
            house_dismiss_all(&parent->house);
        }
    }
    if (parent->stage == STAGES && house_is_empty(&parent->house)) {
        log_info("stopped", "status=0");
        loop_stop(parent->loop, EXIT_SUCCESS);
    }
}

static void on_stage_end(void *ctx)
{
    struct parent *parent = ctx;

    if (parent->stage == STAGES) {
        house_kill_all(&parent->house);
        return;
    }
    log_warn("drain", "waited=%llu roles=%s why=\"not finished in time\"",
             (unsigned long long)stages[parent->stage].wait_ms,
             role_name(stages[parent->stage].roles[0]));
    house_kill_role(&parent->house, stages[parent->stage].roles[0]);
    if (stages[parent->stage].roles[1] != ROLE_NONE) {
        house_kill_role(&parent->house, stages[parent->stage].roles[1]);
    }
}

static void on_changed(void *ctx)
{
    struct parent *parent = ctx;

    if (!parent->failed) {
        step_down(parent);
    }
}

static void stop(struct parent *parent)
{
    if (parent->house.stopping &&
        loop_now_ms(parent->loop) - parent->stopping_ms < SAME_SIGNAL_MS) {
        return;
    }
    if (parent->house.stopping || !parent->announced) {
        log_warn("stopped", "why=\"asked to end at once\"");
        parent->house.stopping = true;
        house_kill_all(&parent->house);
        parent->failed = true;
        loop_stop(parent->loop, parent->announced ? EXIT_FAILURE : EXIT_SUCCESS);
        return;
    }
    log_info("stopping", "requests under way are finished");
    service_stopping(&parent->service);
    parent->stopping_ms = loop_now_ms(parent->loop);
    house_stop(&parent->house);
    loop_timer_set(parent->loop, &parent->stage_end, stages[0].wait_ms, on_stage_end, parent);
    step_down(parent);
}

/* ---- signals ---- */

static void on_signal(void *ctx, uint32_t events)
{
    struct parent *parent = ctx;
    struct signalfd_siginfo info;

    (void)events;
    if (read(parent->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return;
    }
    switch (info.ssi_signo) {
    case SIGCHLD:
        house_reap(&parent->house);
        if (parent->reload_again) {
            reload(parent);
        }
        break;
    case SIGHUP:
        reload(parent);
        break;
    default:
        stop(parent);
        break;
    }
}

static int watch_signals(struct parent *parent, struct err *err)
{
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, SIGCHLD);
    (void)sigaddset(&set, SIGHUP);
    (void)sigaddset(&set, SIGINT);
    (void)sigaddset(&set, SIGTERM);
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGCHLD, SIG_DFL); /* an ignored one would leave nothing to wait for */
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (fd < 0) {
        return err_errno(err, "cannot watch signals");
    }
    loop_watch(parent->loop, &parent->signals, fd, EPOLLIN, on_signal, parent);
    return 0;
}

/* ---- the whole ---- */

static void harden(void)
{
    struct rlimit limit = {0, 0};

    (void)setrlimit(RLIMIT_CORE, &limit);
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &limit);
    }
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static void log_support(void)
{
    struct confine_support support = confine_probe();

    log_info("kernel", "landlock=%d seccomp=%s network_namespaces=%s memfd_secret=%s",
             support.landlock_abi, support.seccomp ? "yes" : "no",
             support.network_namespaces ? "yes" : "no", support.memfd_secret ? "yes" : "no");
}

static int begin(struct parent *parent, struct err *err)
{
    struct supplies *supplies = &parent->house.supplies;

    supplies->program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (supplies->program_fd < 0) {
        return err_errno(err, "cannot open our own program");
    }
    parent->loop = loop_new(err);
    if (parent->loop == NULL || watch_signals(parent, err) < 0) {
        return -1;
    }
    parent->house.loop = parent->loop;
    harden();
    if (!parent->options->check_only) {
        service_find(&parent->service);
        log_support();
    }
    ask_check(parent, on_compiled);
    return 0;
}

static void end(struct parent *parent)
{
    struct supplies *supplies = &parent->house.supplies;

    if (parent->loop != NULL) {
        house_clear(&parent->house);
        loop_timer_stop(parent->loop, &parent->resolver);
        loop_timer_stop(parent->loop, &parent->stage_end);
        loop_timer_stop(parent->loop, &parent->alive);
        int fd = parent->signals.fd;
        loop_unwatch(parent->loop, &parent->signals);
        if (fd >= 0) {
            (void)close(fd);
        }
    }
    listeners_close(&parent->listeners);
    files_clear(&parent->files);
    const int fds[] = {supplies->program_fd, supplies->config_fd, supplies->unseal_fd,
                       parent->lock_fd};
    for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++) {
        if (fds[i] >= 0) {
            (void)close(fds[i]);
        }
    }
    loop_free(parent->loop);
    arena_free(parent->arena);
}

int parent_serve(const struct parent_options *options)
{
    struct parent parent = {.options = options,
                            .signals = LOOP_WATCH_NONE,
                            .lock_fd = -1,
                            .user = "",
                            .arena = arena_new()};
    struct err err;
    int status = EXIT_FAILURE;

    parent.house.supplies = (struct supplies){.program_fd = -1,
                                              .data_dir = options->data_dir,
                                              .user = "",
                                              .config_fd = -1,
                                              .unseal_fd = -1};
    parent.house.ready = on_ready;
    parent.house.changed = on_changed;
    parent.house.failed = fail;
    parent.house.ctx = &parent;
    if (begin(&parent, &err) < 0) {
        (void)fprintf(stderr, "keybrake: %s\n", err.text);
    } else {
        status = loop_run(parent.loop);
    }
    end(&parent);
    return status;
}
