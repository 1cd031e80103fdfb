/* SPDX-License-Identifier: Apache-2.0 */
/* A house of stand-ins: this program again, under its roles' names.  Each writes what it is told
 * into a file that the test reads; signals make them misbehave. */
#include "parent/house.h"

#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/test.h"
#include "ipc/child.h"
#include "parent/topology.h"

enum { DIARY_FD = STDERR_FILENO, GATES = 2, FATAL_SIGNAL = SIGUSR2, MISBEHAVE = SIGUSR1 };

/* ---- the stand-ins ---- */

struct actor {
    struct child child;
    struct loop_watch signals;
    uint64_t vault_incarnation;
};

static void note(const struct actor *actor, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void note(const struct actor *actor, const char *format, ...)
{
    char line[256];
    va_list args;

    int len =
        snprintf(line, sizeof(line), "@%s.%u ", role_name(actor->child.role), actor->child.index);
    va_start(args, format);
    len += vsnprintf(line + len, sizeof(line) - (size_t)len - 1, format, args);
    va_end(args);
    line[len++] = '\n';
    (void)!write(DIARY_FD, line, (size_t)len);
}

static void actor_channel(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation,
                          int fd)
{
    struct actor *actor = ctx;

    note(actor, "channel %s.%u", role_name(peer), index);
    if (peer == ROLE_VAULT && index == 0) {
        actor->vault_incarnation = incarnation;
    }
    (void)close(fd);
}

static void actor_gone(void *ctx, enum process_role peer, uint32_t index, uint64_t incarnation)
{
    (void)incarnation;
    note(ctx, "gone %s.%u", role_name(peer), index);
}

static void actor_config(void *ctx, uint64_t generation, int fd)
{
    note(ctx, "config %llu", (unsigned long long)generation);
    (void)close(fd);
}

static void actor_unseal_key(void *ctx, int fd)
{
    note(ctx, "key");
    (void)close(fd);
}

static void actor_resolver(void *ctx, const struct message_resolver *resolver)
{
    note(ctx, "resolver %zu", resolver->hosts.len);
}

static void actor_certificate(void *ctx, const struct message_certificate *certificate)
{
    note(ctx, "certificate %zu", certificate->chain_pem.len);
}

static void actor_start(void *ctx)
{
    struct actor *actor = ctx;

    note(actor, "start");
    child_ready(&actor->child);
}

static void actor_drain(void *ctx)
{
    struct actor *actor = ctx;

    note(actor, "drain");
    child_drained(&actor->child);
}

static void actor_ca(void *ctx, const struct message_ca *message)
{
    (void)message;
    note(ctx, "ca");
}

static void actor_signal(void *ctx, uint32_t events)
{
    struct actor *actor = ctx;
    struct signalfd_siginfo info;

    (void)events;
    if (read(actor->signals.fd, &info, sizeof(info)) != (ssize_t)sizeof(info)) {
        return;
    }
    if (info.ssi_signo == FATAL_SIGNAL) {
        exit(CHILD_EXIT_FATAL);
    }
    switch (actor->child.role) {
    case ROLE_GATE: /* accuses one that is more to be trusted */
        child_fault(&actor->child, ROLE_JUDGE, 0, "made up");
        break;
    case ROLE_VAULT: /* accuses with reason */
        child_fault(&actor->child, ROLE_GATE, actor->child.index, "bad frame");
        break;
    case ROLE_JUDGE:
        child_kill(&actor->child, ROLE_VAULT, 0, actor->vault_incarnation);
        break;
    case ROLE_READER: /* not its to say */
        child_kill(&actor->child, ROLE_GATE, 0, 1);
        break;
    default: /* breaks the protocol itself */
        (void)!write(3, "\xff\xff\xff\xff\xff\xff\xff\xff", 8);
        break;
    }
}

static int act(enum process_role role, int argc, char **argv)
{
    static const struct child_events events = {
        .channel = actor_channel,
        .gone = actor_gone,
        .config = actor_config,
        .unseal_key = actor_unseal_key,
        .resolver = actor_resolver,
        .certificate = actor_certificate,
        .ca = actor_ca,
        .start = actor_start,
        .drain = actor_drain,
    };
    struct actor actor = {.signals = LOOP_WATCH_NONE};
    sigset_t set;

    (void)sigemptyset(&set);
    (void)sigaddset(&set, MISBEHAVE);
    (void)sigaddset(&set, FATAL_SIGNAL);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
    child_init(&actor.child, role, argc, argv);
    loop_watch(actor.child.loop, &actor.signals, signalfd(-1, &set, SFD_CLOEXEC), EPOLLIN,
               actor_signal, &actor);
    int status = child_run(&actor.child, &events, &actor);
    _exit(status);
}

static enum process_role role_of(const char *argv0)
{
    for (int role = 0; role < ROLE_COUNT; role++) {
        if (str_starts(str_from(argv0), STR("keybrake-")) &&
            strcmp(argv0 + strlen("keybrake-"), role_name((enum process_role)role)) == 0) {
            return (enum process_role)role;
        }
    }
    return ROLE_NONE;
}

/* ---- the test ---- */

struct theatre {
    struct loop *loop;
    struct house house;
    struct listeners listeners;
    struct loop_timer tick;
    uint64_t until_ms;
    bool (*done)(const struct theatre *theatre);
    unsigned ready, changed, failed;
    int diary;
    off_t read_from;
};

static void on_tick(void *ctx)
{
    struct theatre *theatre = ctx;

    house_reap(&theatre->house);
    if (theatre->done(theatre) || loop_now_ms(theatre->loop) >= theatre->until_ms) {
        loop_stop(theatre->loop, theatre->done(theatre) ? 0 : 1);
        return;
    }
    loop_timer_set(theatre->loop, &theatre->tick, 5, on_tick, theatre);
}

/* Runs the loop until `done` or for `ms`. */
static bool play(struct theatre *theatre, uint64_t ms, bool (*done)(const struct theatre *theatre))
{
    theatre->done = done;
    theatre->until_ms = clock_boot_ms() + ms;
    loop_timer_set(theatre->loop, &theatre->tick, 0, on_tick, theatre);
    return loop_run(theatre->loop) == 0;
}

static void on_ready(void *ctx)
{
    struct theatre *theatre = ctx;
    theatre->ready++;
}

static void on_changed(void *ctx)
{
    struct theatre *theatre = ctx;
    theatre->changed++;
}

static void on_failed(void *ctx, const char *why)
{
    struct theatre *theatre = ctx;
    (void)why;
    theatre->failed++;
}

static bool all_ready(const struct theatre *theatre)
{
    return house_is_ready(&theatre->house);
}

static bool never(const struct theatre *theatre)
{
    (void)theatre;
    return false;
}

static bool has_failed(const struct theatre *theatre)
{
    return theatre->failed > 0;
}

static bool is_empty(const struct theatre *theatre)
{
    return house_is_empty(&theatre->house);
}

static struct process *process(struct theatre *theatre, enum process_role role, uint32_t index)
{
    for (size_t i = 0; i < theatre->house.count; i++) {
        struct process *one = &theatre->house.processes[i];
        if (one->role == role && one->index == index) {
            return one;
        }
    }
    abort();
}

/* How often the line stands in the diary since the last turned page. */
static unsigned count_line(const struct theatre *theatre, const char *line)
{
    static char text[256 * 1024];
    ssize_t got = pread(theatre->diary, text, sizeof(text) - 1, theatre->read_from);
    unsigned count = 0;
    char wanted[160];

    text[got < 0 ? 0 : got] = '\0';
    (void)snprintf(wanted, sizeof(wanted), "@%s\n", line);
    for (const char *at = strstr(text, wanted); at != NULL; at = strstr(at + 1, wanted)) {
        count++;
    }
    return count;
}

static void turn_page(struct theatre *theatre)
{
    theatre->read_from = lseek(theatre->diary, 0, SEEK_END);
}

static void open_theatre(struct theatre *theatre)
{
    struct err err;

    theatre->loop = loop_new(&err);
    theatre->house.supplies =
        (struct supplies){.program_fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC),
                          .data_dir = "/nonexistent",
                          .user = "",
                          .config_fd = memfd_create("config", MFD_CLOEXEC),
                          .generation = 7,
                          .unseal_fd = memfd_create("key", MFD_CLOEXEC),
                          .listeners = &theatre->listeners,
                          .has_certificate = true,
                          .chain_pem = STR("chain"),
                          .resolver = {.hosts = STR("hosts")}};
    theatre->house.ready = on_ready;
    theatre->house.changed = on_changed;
    theatre->house.failed = on_failed;
    theatre->house.ctx = theatre;
    house_init(&theatre->house, theatre->loop, GATES);
    house_open(&theatre->house);
    CHECK(play(theatre, 10000, all_ready));
    CHECK(theatre->ready == 1);
}

static void close_theatre(struct theatre *theatre)
{
    theatre->house.stopping = true;
    house_kill_all(&theatre->house);
    CHECK(play(theatre, 5000, is_empty));
    house_clear(&theatre->house);
    (void)close(theatre->house.supplies.program_fd);
    (void)close(theatre->house.supplies.config_fd);
    (void)close(theatre->house.supplies.unseal_fd);
    loop_timer_stop(theatre->loop, &theatre->tick);
    loop_free(theatre->loop);
    int diary = theatre->diary;
    *theatre = (struct theatre){.diary = diary};
}

static void test_births(struct theatre *theatre)
{
    static const struct {
        const char *line;
        unsigned count;
    } cases[] = {
        {"scribe.0 start", 1},
        {"judge.0 start", 1},
        {"gate.1 start", 1},
        {"scribe.0 channel judge.0", 1},
        {"judge.0 channel scribe.0", 1},
        {"gate.0 channel vault.0", 1},
        {"gate.0 channel vault.1", 0},
        {"gate.0 channel scribe.0", 0},
        {"vault.0 channel scribe.0", 1},
        {"scribe.0 channel vault.0", 1},
        {"reader.1 channel vault.1", 1},
        {"reader.1 channel scribe.0", 0},
        {"control.0 channel judge.0", 1},
        {"control.0 channel scribe.0", 0},
        {"gate.0 config 7", 1},
        {"judge.0 config 7", 1},
        {"scribe.0 config 7", 0},
        {"vault.1 key", 1},
        {"gate.1 key", 0},
        {"judge.0 key", 0},
        {"vault.0 resolver 5", 1},
        {"gate.0 resolver 5", 0},
        {"gate.0 certificate 5", 1},
        {"control.0 certificate 5", 1},
        {"vault.0 certificate 5", 0},
    };

    turn_page(theatre);
    open_theatre(theatre);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(count_line(theatre, cases[i].line) == cases[i].count, cases[i].line);
    }
}

/* One that dies alone comes back alone, and its neighbours are told. */
static void test_one_death(struct theatre *theatre)
{
    struct process *gate = process(theatre, ROLE_GATE, 0);
    pid_t other = process(theatre, ROLE_GATE, 1)->pid;
    pid_t judge = process(theatre, ROLE_JUDGE, 0)->pid;
    uint64_t incarnation = gate->incarnation;

    turn_page(theatre);
    (void)kill(gate->pid, SIGKILL);
    (void)play(theatre, 60, never);
    CHECK(play(theatre, 5000, all_ready));
    CHECK(gate->incarnation > incarnation);
    CHECK(process(theatre, ROLE_GATE, 1)->pid == other);
    CHECK(process(theatre, ROLE_JUDGE, 0)->pid == judge);
    CHECK(count_line(theatre, "judge.0 gone gate.0") == 1);
    CHECK(count_line(theatre, "vault.0 gone gate.0") == 1);
    CHECK(count_line(theatre, "reader.0 gone gate.0") == 1);
    CHECK(count_line(theatre, "vault.1 gone gate.0") == 0);
    CHECK(count_line(theatre, "scribe.0 gone gate.0") == 0);
    CHECK(count_line(theatre, "judge.0 channel gate.0") == 1);
    CHECK(count_line(theatre, "gate.0 channel judge.0") == 1);
    CHECK(count_line(theatre, "gate.0 config 7") == 1);
    CHECK(count_line(theatre, "gate.0 certificate 5") == 1);
    CHECK(count_line(theatre, "gate.0 start") == 1);
}

static void test_accusations(struct theatre *theatre)
{
    static const struct {
        const char *name;
        enum process_role signalled, dies;
    } cases[] = {
        {"a gate accuses the judge: the gate goes", ROLE_GATE, ROLE_GATE},
        {"a vault accuses its gate: the gate goes", ROLE_VAULT, ROLE_GATE},
        {"the judge names a silent vault", ROLE_JUDGE, ROLE_VAULT},
        {"a reader may not name anybody", ROLE_READER, ROLE_READER},
        {"control sends what is no frame", ROLE_CONTROL, ROLE_CONTROL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t before = process(theatre, cases[i].dies, 0)->incarnation;
        uint64_t births = theatre->house.births;
        pid_t pid = process(theatre, cases[i].signalled, 0)->pid;
        CHECK_CASE(pid > 0 && kill(pid, MISBEHAVE) == 0, cases[i].name); /* 0 would be us all */
        (void)play(theatre, 60, never);
        CHECK_CASE(play(theatre, 5000, all_ready), cases[i].name);
        CHECK_CASE(process(theatre, cases[i].dies, 0)->incarnation > before, cases[i].name);
        CHECK_CASE(theatre->house.births == births + 1, cases[i].name);
    }
}

static bool control_is_back(const struct theatre *theatre)
{
    for (size_t i = 0; i < theatre->house.count; i++) {
        const struct process *one = &theatre->house.processes[i];
        if (one->role == ROLE_CONTROL) {
            return one->state == READY;
        }
    }
    return false;
}

/* Twice at once; then it waits a second, then two. */
static void test_back_off(struct theatre *theatre)
{
    struct process *control = process(theatre, ROLE_CONTROL, 0);
    static const uint64_t least_ms[] = {0, 0, 900, 1900};

    control->quick_deaths = 0;
    for (size_t i = 0; i < sizeof(least_ms) / sizeof(least_ms[0]); i++) {
        uint64_t began = clock_boot_ms();
        (void)kill(control->pid, SIGKILL);
        (void)play(theatre, 30, never);
        CHECK(play(theatre, 5000, control_is_back));
        uint64_t took = clock_boot_ms() - began;
        CHECK(took >= least_ms[i]);
        CHECK(took < least_ms[i] + 900);
    }
}

static bool nobody_of(const struct theatre *theatre)
{
    return theatre->ready >= 2 && house_is_ready(&theatre->house);
}

static void test_fall(struct theatre *theatre, enum process_role role)
{
    pid_t gate = process(theatre, ROLE_GATE, 1)->pid;
    pid_t scribe = process(theatre, ROLE_SCRIBE, 0)->pid;

    theatre->ready = 1;
    turn_page(theatre);
    (void)kill(process(theatre, role, 0)->pid, SIGKILL);
    CHECK(play(theatre, 8000, nobody_of));
    CHECK(process(theatre, ROLE_GATE, 1)->pid != gate);
    CHECK(process(theatre, ROLE_SCRIBE, 0)->pid != scribe);
    CHECK(count_line(theatre, "judge.0 channel gate.1") == 1);
    CHECK(count_line(theatre, "gate.1 start") == 1);
}

static void test_drain(struct theatre *theatre)
{
    turn_page(theatre);
    house_stop(&theatre->house);
    CHECK(house_drain(&theatre->house, ROLE_GATE));
    CHECK(house_drain(&theatre->house, ROLE_GATE)); /* again: still waiting, not told twice */
    (void)play(theatre, 100, never);
    CHECK(theatre->changed == GATES);
    CHECK(!house_drain(&theatre->house, ROLE_GATE));
    CHECK(count_line(theatre, "gate.0 drain") == 1);
    CHECK(count_line(theatre, "judge.0 drain") == 0);
    house_dismiss_all(&theatre->house);
    CHECK(play(theatre, 5000, is_empty));
}

static void test_fatal(struct theatre *theatre)
{
    open_theatre(theatre);
    (void)kill(process(theatre, ROLE_SCRIBE, 0)->pid, FATAL_SIGNAL);
    CHECK(play(theatre, 5000, has_failed));
    close_theatre(theatre);
}

/* The judge, which ends when the scribe has gone, is buried first: that is no reason to begin
 * again on a disk that has just failed. */
static void test_fatal_behind_another(struct theatre *theatre)
{
    static const int signals[] = {SIGKILL, FATAL_SIGNAL};
    pid_t pids[2];

    open_theatre(theatre);
    pids[0] = process(theatre, ROLE_JUDGE, 0)->pid;
    pids[1] = process(theatre, ROLE_SCRIBE, 0)->pid;
    for (size_t i = 0; i < 2; i++) {
        siginfo_t info;
        (void)kill(pids[i], signals[i]);
        CHECK(waitid(P_PID, (id_t)pids[i], &info, WEXITED | WNOWAIT) == 0);
    }
    house_reap(&theatre->house);
    house_dismiss(process(theatre, ROLE_JUDGE, 0)); /* its channel ends before the scribe's */
    CHECK(play(theatre, 5000, has_failed));
    close_theatre(theatre);
}

static void test_topology(void)
{
    static const struct {
        enum process_role a;
        uint32_t a_index;
        enum process_role b;
        uint32_t b_index;
        bool connected;
    } cases[] = {
        {ROLE_GATE, 0, ROLE_JUDGE, 0, true},     {ROLE_GATE, 3, ROLE_JUDGE, 0, true},
        {ROLE_GATE, 1, ROLE_VAULT, 1, true},     {ROLE_GATE, 1, ROLE_VAULT, 0, false},
        {ROLE_GATE, 0, ROLE_SCRIBE, 0, false},   {ROLE_GATE, 0, ROLE_CONTROL, 0, false},
        {ROLE_GATE, 0, ROLE_GATE, 1, false},     {ROLE_VAULT, 2, ROLE_SCRIBE, 0, true},
        {ROLE_SCRIBE, 0, ROLE_VAULT, 2, true},   {ROLE_READER, 2, ROLE_SCRIBE, 0, false},
        {ROLE_READER, 2, ROLE_READER, 2, false}, {ROLE_CONTROL, 0, ROLE_SCRIBE, 0, false},
        {ROLE_CONTROL, 0, ROLE_VAULT, 0, false}, {ROLE_CONTROL, 0, ROLE_JUDGE, 0, true},
        {ROLE_PARENT, 0, ROLE_JUDGE, 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        CHECK_CASE(topology_connects(cases[i].a, cases[i].a_index, cases[i].b, cases[i].b_index) ==
                       cases[i].connected,
                   role_name(cases[i].a));
    }
}

int main(int argc, char **argv)
{
    struct theatre theatre = {0};
    char path[] = "/tmp/house-test-XXXXXX";
    enum process_role role = argc > 0 ? role_of(argv[0]) : ROLE_NONE;

    if (role != ROLE_NONE) {
        return act(role, argc, argv);
    }
    int real_stderr = dup(STDERR_FILENO);
    theatre.diary = mkstemp(path);
    (void)unlink(path);
    (void)fcntl(theatre.diary, F_SETFL, O_APPEND);
    (void)dup2(theatre.diary, STDERR_FILENO);
    test_topology();
    test_births(&theatre);
    test_one_death(&theatre);
    test_accusations(&theatre);
    test_back_off(&theatre);
    test_fall(&theatre, ROLE_JUDGE);
    test_fall(&theatre, ROLE_SCRIBE);
    test_drain(&theatre);
    close_theatre(&theatre);
    test_fatal(&theatre);
    test_fatal_behind_another(&theatre);
    (void)dup2(real_stderr, STDERR_FILENO);
    return test_done();
}
