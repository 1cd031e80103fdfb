/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/house.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "ipc/child.h"
#include "os/spawn.h"
#include "parent/topology.h"

enum {
    QUEUE_MAX = 4 * 1024 * 1024,
    EXTRA_ARGUMENTS_MAX = 64,
    CALM_MS = 10 * 1000, /* who lived so long starts with a clean sheet */
    BACK_OFF_MS = 1000,
    BACK_OFF_MS_MAX = 30 * 1000,
    PING_MS = 20 * 1000, /* twice that without an answer: it hangs */
};

#define TO(state) (1u << (state))

static const struct {
    const char *name;
    unsigned next;
} states[PROCESS_STATE_COUNT] = {
    [ABSENT] = {"absent", TO(BORN)},
    [BORN] = {"born", TO(STARTED) | TO(DRAINING) | TO(ABSENT)},
    [STARTED] = {"started", TO(READY) | TO(DRAINING) | TO(ABSENT)},
    [READY] = {"ready", TO(DRAINING) | TO(ABSENT)},
    [DRAINING] = {"draining", TO(DRAINED) | TO(ABSENT)},
    [DRAINED] = {"drained", TO(ABSENT)},
};

static void process_move(struct process *process, enum process_state next)
{
    assert((states[process->state].next & TO(next)) != 0);
    process->state = next;
}

struct process_name {
    char text[32];
};

static struct process_name name_of(const struct process *process)
{
    struct process_name name;

    if (role_is_many(process->role)) {
        (void)snprintf(name.text, sizeof(name.text), "%s.%u", role_name(process->role),
                       process->index);
    } else {
        (void)snprintf(name.text, sizeof(name.text), "%s", role_name(process->role));
    }
    return name;
}

static struct process *find(struct house *house, enum process_role role, uint32_t index)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].role == role && house->processes[i].index == index) {
            return &house->processes[i];
        }
    }
    return NULL;
}

static bool lives(const struct process *process)
{
    return process->pid != 0 && process->channel != NULL;
}

static void kill_process(struct process *process, const char *why)
{
    if (process->pid == 0) {
        return;
    }
    log_warn("kill", "process=%s pid=%d why=\"%s\"", name_of(process).text, (int)process->pid, why);
    (void)kill(process->pid, SIGKILL);
}

/* ---- what a child says ---- */

static void advance(struct house *house);
static void bury(struct process *process);

static void on_ready(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *process = ctx;

    (void)from;
    (void)message;
    (void)fd;
    if (process->state == DRAINING) {
        return; /* it became ready while we were ending */
    }
    if (process->state != STARTED) {
        kill_process(process, "READY at a wrong time");
        return;
    }
    process_move(process, READY);
    advance(process->house);
}

static void on_pong(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *process = ctx;

    (void)from;
    (void)message;
    (void)fd;
    process->silent = false;
}

static void on_drained(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *process = ctx;

    (void)from;
    (void)message;
    (void)fd;
    if (process->state != DRAINING) {
        kill_process(process, "DRAINED without DRAIN");
        return;
    }
    process_move(process, DRAINED);
    process->house->changed(process->house->ctx);
}

static void on_fault(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *accuser = ctx;
    const struct message_fault *m = message;
    struct process *accused = find(accuser->house, m->peer, m->peer_index);

    (void)from;
    (void)fd;
    if (accused == NULL ||
        !topology_connects(accuser->role, accuser->index, accused->role, accused->index)) {
        kill_process(accuser, "FAULT of a process that it does not know");
        return;
    }
    log_error("fault", "by=%s of=%s why=%s", name_of(accuser).text, name_of(accused).text,
              log_text(m->why).text);
    /* A broken gate must not be able to bring the judge down by accusing it. */
    bool believed = role_exposure(accused->role) >= role_exposure(accuser->role);
    kill_process(believed ? accused : accuser, "broke the protocol");
}

static void on_kill(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *judge = ctx;
    const struct message_gone *m = message;
    struct process *silent = find(judge->house, m->peer, m->peer_index);

    (void)from;
    (void)fd;
    if (judge->role != ROLE_JUDGE || silent == NULL ||
        !topology_connects(judge->role, judge->index, silent->role, silent->index)) {
        kill_process(judge, "KILL that is not its to say");
        return;
    }
    if (silent->incarnation == m->incarnation) { /* else it is dead already */
        kill_process(silent, "silent towards the judge");
    }
}

static void on_answer(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *one_shot = ctx;

    (void)from;
    if (one_shot->answered == NULL || one_shot->has_answered) {
        if (fd >= 0) {
            (void)close(fd);
        }
        kill_process(one_shot, "an answer to no question");
        return;
    }
    one_shot->has_answered = true;
    one_shot->answered(one_shot->house->ctx, message, fd);
}

static void hand(struct process *process, enum message_type type, const void *message, int fd);
static void tell(struct process *process, enum message_type type, const void *message);

/* A sandbox's socket, for the gate that the judge chose. */
static void on_listener(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *control = ctx;
    struct house *house = control->house;
    const struct message_listener *m = message;

    (void)from;
    if (control->role != ROLE_CONTROL) {
        if (fd >= 0) {
            (void)close(fd);
        }
        kill_process(control, "LISTENER that is not its to say");
        return;
    }
    const struct handed_socket *socket = handed_add(&house->handed, m, fd);
    struct process *gate = socket == NULL ? NULL : find(house, ROLE_GATE, socket->gate);
    if (gate != NULL && lives(gate)) {
        struct message_listener listener = handed_message(socket);
        hand(gate, MESSAGE_LISTENER, &listener, socket->fd);
    } /* else it gets it at its birth */
}

static void end_session(struct house *house, struct str session)
{
    const struct handed_socket *socket = handed_find(&house->handed, session);
    struct process *gate = socket == NULL ? NULL : find(house, ROLE_GATE, socket->gate);
    struct message_session_end end = {.session = session};

    if (gate != NULL && lives(gate)) {
        tell(gate, MESSAGE_SESSION_END, &end);
    }
    handed_drop(&house->handed, session);
}

static void on_session_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *control = ctx;
    const struct message_session_end *m = message;

    (void)from;
    (void)fd;
    if (control->role != ROLE_CONTROL) {
        kill_process(control, "SESSION_END that is not its to say");
        return;
    }
    end_session(control->house, m->session);
}

static const struct channel_accept accepts[] = {
    {MESSAGE_READY, 0, on_ready},
    {MESSAGE_PONG, 0, on_pong},
    {MESSAGE_DRAINED, 0, on_drained},
    {MESSAGE_FAULT, 0, on_fault},
    {MESSAGE_KILL, 0, on_kill},
    {MESSAGE_COMPILED, 0, on_answer},
    {MESSAGE_UNSEALED, 0, on_answer},
    {MESSAGE_LISTENER, 0, on_listener},
    {MESSAGE_SESSION_END, 0, on_session_end},
};

/* Whoever is dead and has no channel left is buried; which of the two comes first is chance. */
static void drop_channel(struct process *process)
{
    if (process->channel == NULL) {
        return;
    }
    channel_free(process->channel);
    process->channel = NULL;
    if (process->pid == 0) {
        bury(process);
    }
}

static void on_broken(void *ctx, struct channel *channel, const char *why)
{
    (void)channel;
    kill_process(ctx, why);
    drop_channel(ctx);
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct process *process = ctx;

    (void)channel;
    if (process->pid != 0) {
        (void)kill(process->pid, SIGKILL); /* it is going, or cannot be spoken to any more */
    }
    drop_channel(process);
}

static const struct channel_events events = {
    .accepts = accepts,
    .accept_count = sizeof(accepts) / sizeof(accepts[0]),
    .fault = on_broken,
    .closed = on_closed,
};
/* Certificates' private keys pass here. */
static const struct channel_limits limits = {.queue_max = QUEUE_MAX, .wipe = true};

/* ---- sending ---- */

/* A child that does not take what we say is stuck. */
static void tell(struct process *process, enum message_type type, const void *message)
{
    if (process->channel != NULL && !channel_send(process->channel, type, message)) {
        kill_process(process, "does not read");
    }
}

static void hand(struct process *process, enum message_type type, const void *message, int fd)
{
    if (process->channel != NULL && !channel_send_fd(process->channel, type, message, fd)) {
        kill_process(process, "does not read");
    }
}

static void send_config(struct process *process)
{
    const struct supplies *supplies = &process->house->supplies;
    struct message_config config = {.generation = supplies->generation};

    if (process->role != ROLE_SCRIBE && process->role != ROLE_DIALER) {
        hand(process, MESSAGE_CONFIG, &config, supplies->config_fd);
    }
}

static bool takes_certificate(const struct process *process)
{
    return process->role == ROLE_GATE || process->role == ROLE_CONTROL;
}

static void send_certificate(struct process *process)
{
    const struct supplies *supplies = &process->house->supplies;
    struct message_certificate certificate = {
        .chain_pem = supplies->chain_pem,
        .key_pem = str_of(supplies->key_pem.data, supplies->key_pem.size)};

    if (supplies->has_certificate && takes_certificate(process)) {
        tell(process, MESSAGE_CERTIFICATE, &certificate);
    }
}

static void send_listeners(struct process *process)
{
    const struct listeners *listeners = process->house->supplies.listeners;

    for (size_t i = 0; i < listeners->count; i++) {
        struct listener *one = &listeners->all[i];
        struct err err = {""};
        struct message_listener message = {.listener = one->number,
                                           .tls = one->tls,
                                           .control = one->control,
                                           .unix_socket = one->unix_socket,
                                           .address = str_from(one->text),
                                           .kind = one->kind};
        if (process->role == (one->control ? ROLE_CONTROL : ROLE_GATE)) {
            hand(process, MESSAGE_LISTENER, &message, listener_fd(one, process->index, &err));
        } else if (process->role == ROLE_CONTROL) {
            tell(process, MESSAGE_DOOR,
                 &(struct message_door){.listener = one->number, .address = message.address});
        }
        if (err.text[0] != '\0') {
            log_error("listener", "address=%s why=\"%s\"", one->text, err.text);
        }
    }
}

static void send_ca(struct process *process)
{
    struct message_ca ca = {.file = process->house->supplies.ca};

    if (process->role == ROLE_VAULT || process->role == ROLE_CONTROL) {
        tell(process, MESSAGE_CA, &ca);
    }
}

static bool takes_resolver(const struct process *process)
{
    return process->role == ROLE_VAULT || process->role == ROLE_DIALER;
}

static void send_handed(struct process *gate)
{
    struct handed *handed = &gate->house->handed;

    for (struct list *at = handed->sockets.next; at != &handed->sockets; at = at->next) {
        const struct handed_socket *socket = LIST_THING(at, struct handed_socket, link);
        if (gate->role == ROLE_GATE && socket->gate == gate->index) {
            struct message_listener message = handed_message(socket);
            hand(gate, MESSAGE_LISTENER, &message, socket->fd);
        }
    }
}

static void start(struct process *process)
{
    send_certificate(process);
    send_ca(process);
    if (takes_resolver(process)) {
        tell(process, MESSAGE_RESOLVER, &process->house->supplies.resolver);
    }
    tell(process, MESSAGE_START, &(struct message_empty){0});
    process_move(process, STARTED);
}

void house_send_config(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        send_config(&house->processes[i]);
    }
}

void house_send_certificate(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].state != BORN) { /* else it comes before START */
            send_certificate(&house->processes[i]);
        }
    }
}

void house_send_ca(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].state != BORN) {
            send_ca(&house->processes[i]);
        }
    }
}

void house_send_resolver(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (takes_resolver(&house->processes[i]) && house->processes[i].state != BORN) {
            tell(&house->processes[i], MESSAGE_RESOLVER, &house->supplies.resolver);
        }
    }
}

/* ---- birth ---- */

static int spawn(struct process *process, const char *const *extra, struct err *err)
{
    const struct supplies *supplies = &process->house->supplies;
    char role[32];
    char index[16];
    char incarnation[24];
    char *argv[5 + EXTRA_ARGUMENTS_MAX + 1] = {role, index, incarnation};
    int pair[2];
    bool one_shot = process->answered != NULL;

    (void)snprintf(role, sizeof(role), "keybrake-%s", role_name(process->role));
    (void)snprintf(index, sizeof(index), "%u", process->index);
    process->incarnation = ++process->house->births;
    (void)snprintf(incarnation, sizeof(incarnation), "%llu",
                   (unsigned long long)process->incarnation);
    struct str data_dir = str_from(supplies->data_dir);
    struct str user = one_shot ? STR_NONE : str_from(supplies->user);
    argv[3] = mem_copy_str(data_dir);
    argv[4] = mem_copy_str(user);
    for (size_t i = 0; extra != NULL && extra[i] != NULL && i < EXTRA_ARGUMENTS_MAX; i++) {
        argv[5 + i] = mem_copy_str(str_from(extra[i]));
    }
    pid_t pid = -1;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        (void)err_errno(err, "cannot make a channel");
    } else {
        pid = spawn_program(supplies->program_fd, argv, pair[1], err);
        (void)close(pair[1]);
        if (pid < 0) {
            (void)close(pair[0]);
        }
    }
    for (size_t i = 3; argv[i] != NULL; i++) {
        free(argv[i]);
    }
    if (pid < 0) {
        return -1;
    }
    process->pid = pid;
    process->born_ms = loop_now_ms(process->house->loop);
    process->silent = false;
    process->channel = channel_new(process->house->loop, pair[0], &events, &limits, process);
    return 0;
}

static void connect_two(struct process *a, struct process *b)
{
    struct message_channel to_a = {
        .peer = b->role, .peer_index = b->index, .incarnation = b->incarnation};
    struct message_channel to_b = {
        .peer = a->role, .peer_index = a->index, .incarnation = a->incarnation};
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0) {
        log_error("channel", "between=%s and=%s problem=no-descriptors", name_of(a).text,
                  name_of(b).text);
        kill_process(role_exposure(a->role) > role_exposure(b->role) ? a : b, "has no channel");
        return;
    }
    hand(a, MESSAGE_CHANNEL, &to_a, pair[0]);
    hand(b, MESSAGE_CHANNEL, &to_b, pair[1]);
    (void)close(pair[0]);
    (void)close(pair[1]);
}

static void bear(struct process *process)
{
    struct house *house = process->house;
    struct err err;

    assert(process->state == ABSENT && process->pid == 0 && process->channel == NULL);
    if (spawn(process, NULL, &err) < 0) {
        house->failed(house->ctx, err.text);
        return;
    }
    process_move(process, BORN);
    log_info("born", "process=%s pid=%d incarnation=%llu", name_of(process).text, (int)process->pid,
             (unsigned long long)process->incarnation);
    send_config(process);
    if (process->role == ROLE_VAULT) {
        hand(process, MESSAGE_UNSEAL_KEY, &(struct message_empty){0}, house->supplies.unseal_fd);
    }
    send_listeners(process);
    send_handed(process);
    for (size_t i = 0; i < house->count; i++) {
        struct process *other = &house->processes[i];
        if (other != process && lives(other) &&
            topology_connects(process->role, process->index, other->role, other->index)) {
            connect_two(other, process);
        }
    }
}

static bool role_is_ready(const struct house *house, enum process_role role)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].role == role) {
            return house->processes[i].state == READY;
        }
    }
    return false;
}

static bool may_start(const struct house *house, enum process_role role)
{
    switch (role) {
    case ROLE_SCRIBE:
        return true;
    case ROLE_JUDGE:
        return role_is_ready(house, ROLE_SCRIBE);
    default:
        return role_is_ready(house, ROLE_JUDGE);
    }
}

/* Starts whoever may be started now; tells when all are ready. */
static void advance(struct house *house)
{
    bool all = true;

    if (house->falling || house->stopping) {
        return;
    }
    for (size_t i = 0; i < house->count; i++) {
        struct process *process = &house->processes[i];
        if (process->state == BORN && may_start(house, process->role)) {
            start(process);
        }
        all = all && process->state == READY;
    }
    if (all) {
        house->opened = true;
        house->ready(house->ctx);
    }
}

void house_open(struct house *house)
{
    house->risen_ms = loop_now_ms(house->loop);
    for (size_t i = 0; i < house->count; i++) {
        bear(&house->processes[i]);
    }
    advance(house);
}

static void on_rise(void *ctx)
{
    struct house *house = ctx;

    house->falling = false;
    log_info("rise", "every process is started again");
    house_open(house);
}

static void on_rebirth(void *ctx)
{
    struct process *process = ctx;

    bear(process);
    advance(process->house);
}

/* ---- death ---- */

static uint64_t back_off_ms(unsigned quick_deaths)
{
    if (quick_deaths < 3) {
        return 0;
    }
    unsigned doublings = quick_deaths - 3 < 8 ? quick_deaths - 3 : 8;
    uint64_t wait = (uint64_t)BACK_OFF_MS << doublings;
    return wait < BACK_OFF_MS_MAX ? wait : BACK_OFF_MS_MAX;
}

static unsigned count_death(const struct house *house, unsigned quick, uint64_t since_ms)
{
    return loop_now_ms(house->loop) - since_ms < CALM_MS ? quick + 1 : 1;
}

static void tell_neighbours(struct process *dead)
{
    struct house *house = dead->house;
    struct message_gone gone = {
        .peer = dead->role, .peer_index = dead->index, .incarnation = dead->incarnation};

    for (size_t i = 0; i < house->count; i++) {
        struct process *other = &house->processes[i];
        if (lives(other) && topology_connects(dead->role, dead->index, other->role, other->index)) {
            tell(other, MESSAGE_GONE, &gone);
        }
    }
}

static void rise_when_empty(struct house *house)
{
    if (!house_is_empty(house)) {
        return;
    }
    house->quick_falls = count_death(house, house->quick_falls, house->risen_ms);
    loop_timer_set(house->loop, &house->rise, back_off_ms(house->quick_falls), on_rise, house);
}

static void fall(struct house *house)
{
    house->falling = true;
    for (size_t i = 0; i < house->count; i++) {
        loop_timer_stop(house->loop, &house->processes[i].rebirth);
        if (house->processes[i].pid != 0) {
            (void)kill(house->processes[i].pid, SIGKILL);
        }
    }
    rise_when_empty(house);
}

static void log_death(const struct process *process)
{
    int status = process->exit_status;
    bool by_signal = WIFSIGNALED(status);

    log_warn("died", "process=%s incarnation=%llu %s=%d%s", name_of(process).text,
             (unsigned long long)process->incarnation, by_signal ? "signal" : "status",
             by_signal ? WTERMSIG(status) : WEXITSTATUS(status),
             by_signal && WTERMSIG(status) == SIGSYS ? " why=forbidden-system-call" : "");
}

static bool is_fatal(const struct process *process)
{
    return WIFEXITED(process->exit_status) && WEXITSTATUS(process->exit_status) == CHILD_EXIT_FATAL;
}

static void fail(struct house *house, const struct process *process, const char *what)
{
    char why[160];

    (void)snprintf(why, sizeof(why), "the %s %s; what it said is above", name_of(process).text,
                   what);
    house->failed(house->ctx, why);
}

static void forget_sessions(struct house *house)
{
    struct list *link;

    while ((link = list_first(&house->handed.sockets)) != NULL) {
        char *session =
            mem_copy_str(str_from(LIST_THING(link, struct handed_socket, link)->session));
        end_session(house, str_from(session));
        free(session);
    }
}

/* Its channel is read to the end and its status known. */
static void bury(struct process *process)
{
    struct house *house = process->house;

    if (process->answered != NULL) {
        if (!process->has_answered) {
            process->has_answered = true;
            log_death(process);
            process->answered(house->ctx, NULL, -1);
        }
        return;
    }
    process_move(process, ABSENT);
    if (process->role == ROLE_CONTROL) {
        forget_sessions(house); /* nobody else would hear that they are over */
    }
    if (house->stopping) {
        house->changed(house->ctx);
        return;
    }
    if (house->falling) {
        rise_when_empty(house);
        return;
    }
    log_death(process);
    if (is_fatal(process)) {
        fail(house, process, "cannot go on");
    } else if (!house->opened) {
        fail(house, process, "did not start");
    } else if (process->role == ROLE_JUDGE || process->role == ROLE_SCRIBE) {
        fall(house);
    } else {
        tell_neighbours(process);
        process->quick_deaths = count_death(house, process->quick_deaths, process->born_ms);
        loop_timer_set(house->loop, &process->rebirth, back_off_ms(process->quick_deaths),
                       on_rebirth, process);
    }
}

static void reap_one(struct process *process)
{
    int status = 0;

    if (process->pid == 0 || waitpid(process->pid, &status, WNOHANG) != process->pid) {
        return;
    }
    process->pid = 0;
    process->exit_status = status;
    if (process->channel == NULL) {
        bury(process);
    }
}

void house_reap(struct house *house)
{
    reap_one(&house->check);
    reap_one(&house->unlock);
    for (size_t i = 0; i < house->count; i++) {
        reap_one(&house->processes[i]);
    }
}

/* ---- one-shot processes ---- */

void house_ask(struct house *house, struct process *one_shot, enum process_role role,
               const char *const *extra,
               void (*answered)(void *ctx, const struct message_compiled *message, int fd))
{
    struct err err;

    assert(one_shot->pid == 0 && one_shot->channel == NULL);
    *one_shot = (struct process){.house = house, .role = role, .answered = answered};
    if (spawn(one_shot, extra, &err) < 0) {
        house->failed(house->ctx, err.text);
        return;
    }
    tell(one_shot, MESSAGE_START, &(struct message_empty){0});
}

void house_dismiss(struct process *process)
{
    drop_channel(process);
}

/* ---- the whole ---- */

static void on_ping(void *ctx)
{
    struct house *house = ctx;

    for (size_t i = 0; i < house->count; i++) {
        struct process *process = &house->processes[i];
        if (process->state != READY || process->role == ROLE_SCRIBE) {
            continue; /* a scribe may be long at its disk */
        }
        if (process->silent) {
            kill_process(process, "hangs");
            continue;
        }
        process->silent = true;
        tell(process, MESSAGE_PING, &(struct message_ping){.number = process->incarnation});
    }
    loop_timer_set(house->loop, &house->ping, PING_MS, on_ping, house);
}

static void add(struct house *house, enum process_role role, uint32_t index)
{
    house->processes[house->count++] =
        (struct process){.house = house, .role = role, .index = index};
}

void house_init(struct house *house, struct loop *loop, uint32_t gates)
{
    house->loop = loop;
    handed_init(&house->handed);
    house->processes = mem_array(4 + 3 * (size_t)gates, sizeof(struct process));
    add(house, ROLE_SCRIBE, 0);
    add(house, ROLE_JUDGE, 0);
    add(house, ROLE_CONTROL, 0);
    add(house, ROLE_DIALER, 0);
    for (uint32_t i = 0; i < gates; i++) {
        add(house, ROLE_VAULT, i);
        add(house, ROLE_READER, i);
        add(house, ROLE_GATE, i);
    }
    loop_timer_set(loop, &house->ping, PING_MS, on_ping, house);
}

void house_clear(struct house *house)
{
    house_dismiss_all(house);
    house_dismiss(&house->check);
    house_dismiss(&house->unlock);
    for (size_t i = 0; i < house->count; i++) {
        loop_timer_stop(house->loop, &house->processes[i].rebirth);
    }
    loop_timer_stop(house->loop, &house->rise);
    loop_timer_stop(house->loop, &house->ping);
    if (house->processes != NULL) {
        handed_drop(&house->handed, STR_NONE);
    }
    free(house->processes);
    house->processes = NULL;
    house->count = 0;
}

bool house_is_ready(const struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].state != READY) {
            return false;
        }
    }
    return house->count > 0;
}

void house_stop(struct house *house)
{
    house->stopping = true;
    loop_timer_stop(house->loop, &house->rise);
    for (size_t i = 0; i < house->count; i++) {
        loop_timer_stop(house->loop, &house->processes[i].rebirth);
    }
}

bool house_drain(struct house *house, enum process_role role)
{
    bool any = false;

    for (size_t i = 0; i < house->count; i++) {
        struct process *process = &house->processes[i];
        if (process->role != role || !lives(process)) {
            continue;
        }
        if (process->state != DRAINING && process->state != DRAINED) {
            process_move(process, DRAINING);
            tell(process, MESSAGE_DRAIN, &(struct message_empty){0});
        }
        any = any || process->state == DRAINING;
    }
    return any;
}

void house_dismiss_all(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        house_dismiss(&house->processes[i]);
    }
}

void house_kill_all(struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].pid != 0) {
            (void)kill(house->processes[i].pid, SIGKILL);
        }
    }
}

void house_kill_role(struct house *house, enum process_role role)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].role == role) {
            kill_process(&house->processes[i], "did not end in time");
        }
    }
}

bool house_is_empty(const struct house *house)
{
    for (size_t i = 0; i < house->count; i++) {
        if (house->processes[i].pid != 0 || house->processes[i].state != ABSENT) {
            return false;
        }
    }
    return true;
}
