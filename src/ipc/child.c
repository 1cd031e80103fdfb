/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/child.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

enum {
    PARENT_FD = 3,
    QUEUE_MAX = 1024 * 1024,
};

/* The parent is us: what it says wrong cannot be lived with. */
static void refuse(const char *why)
{
    log_error("parent-fault", "why=\"%s\"", why);
    exit(EXIT_FAILURE);
}

static void need(bool known, int fd, const char *what)
{
    if (!known) {
        refuse(what);
    }
    if (fd < 0) {
        refuse("a descriptor is missing");
    }
}

static void on_channel(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;
    const struct message_channel *m = message;

    (void)from;
    need(child->events->channel != NULL, fd, "CHANNEL is not for this process");
    child->events->channel(child->ctx, m->peer, m->peer_index, m->incarnation, fd);
}

static void on_gone(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;
    const struct message_gone *m = message;

    (void)from;
    (void)fd;
    if (child->events->gone == NULL) {
        refuse("GONE is not for this process");
    }
    child->events->gone(child->ctx, m->peer, m->peer_index, m->incarnation);
}

static void on_config(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;
    const struct message_config *m = message;

    (void)from;
    need(child->events->config != NULL, fd, "CONFIG is not for this process");
    child->events->config(child->ctx, m->generation, fd);
}

static void on_listener(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    need(child->events->listener != NULL, fd, "LISTENER is not for this process");
    child->events->listener(child->ctx, message, fd);
}

static void on_door(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)fd;
    if (child->events->door == NULL) {
        refuse("DOOR is not for this process");
    }
    child->events->door(child->ctx, message);
}

static void on_certificate(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)fd;
    if (child->events->certificate == NULL) {
        refuse("CERTIFICATE is not for this process");
    }
    child->events->certificate(child->ctx, message);
}

static void on_unseal_key(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)message;
    need(child->events->unseal_key != NULL, fd, "UNSEAL_KEY is not for this process");
    child->events->unseal_key(child->ctx, fd);
}

static void on_session_end(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)fd;
    if (child->events->session_end == NULL) {
        refuse("SESSION_END is not for this process");
    }
    child->events->session_end(child->ctx, message);
}

static void on_ca(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)fd;
    if (child->events->ca == NULL) {
        refuse("CA is not for this process");
    }
    child->events->ca(child->ctx, message);
}

static void on_resolver(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)fd;
    if (child->events->resolver == NULL) {
        refuse("RESOLVER is not for this process");
    }
    child->events->resolver(child->ctx, message);
}

static void on_start(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct child *child = ctx;

    (void)from;
    (void)message;
    (void)fd;
    if (child->events->start == NULL) {
        refuse("START is not for this process");
    }
    child->events->start(child->ctx);
}

static void on_drain(void *ctx, struct channel *from, const void *message, int fd)
{
    struct child *child = ctx;

    (void)from;
    (void)message;
    (void)fd;
    if (child->events->drain == NULL) {
        child_drained(child);
    } else {
        child->events->drain(child->ctx);
    }
}

static void on_ping(void *ctx, struct channel *from, const void *message, int fd)
{
    (void)ctx;
    (void)fd;
    (void)channel_send(from, MESSAGE_PONG, message);
}

static void on_fault(void *ctx, struct channel *channel, const char *why)
{
    (void)ctx;
    (void)channel;
    refuse(why);
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct child *child = ctx;

    (void)channel;
    loop_stop(child->loop, EXIT_SUCCESS);
}

static const struct channel_accept accepts[] = {
    {MESSAGE_CHANNEL, 0, on_channel},
    {MESSAGE_GONE, 0, on_gone},
    {MESSAGE_CONFIG, 0, on_config},
    {MESSAGE_LISTENER, 0, on_listener},
    {MESSAGE_DOOR, 0, on_door},
    {MESSAGE_SESSION_END, 0, on_session_end},
    {MESSAGE_CERTIFICATE, 0, on_certificate},
    {MESSAGE_UNSEAL_KEY, 0, on_unseal_key},
    {MESSAGE_RESOLVER, 0, on_resolver},
    {MESSAGE_CA, 0, on_ca},
    {MESSAGE_START, 0, on_start},
    {MESSAGE_DRAIN, 0, on_drain},
    {MESSAGE_PING, 0, on_ping},
};
static const struct channel_events parent_events = {
    .accepts = accepts,
    .accept_count = sizeof(accepts) / sizeof(accepts[0]),
    .fault = on_fault,
    .closed = on_closed,
};
/* Certificates pass here with their keys. */
static const struct channel_limits parent_limits = {.queue_max = QUEUE_MAX, .wipe = true};

static uint64_t number_of(const char *text)
{
    uint64_t number;

    if (!str_to_u64(str_from(text), &number)) {
        refuse("an argument is not a number");
    }
    return number;
}

static void open_log(const struct child *child)
{
    char name[32];
    bool many = child->role == ROLE_GATE || child->role == ROLE_READER || child->role == ROLE_VAULT;

    if (many) {
        (void)snprintf(name, sizeof(name), "%s.%u", role_name(child->role), child->index);
        log_open(name);
    } else {
        log_open(role_name(child->role));
    }
}

/* The terminal's keys reach the whole process group, but the parent decides when we end. */
static void set_signals(void)
{
    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGINT, SIG_IGN);
    (void)signal(SIGTERM, SIG_IGN);
    (void)signal(SIGHUP, SIG_IGN);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
}

/* Whoever is woken does not push aside who woke it: the sender ends its turn first, and what it
 * says meanwhile is taken in one go.  A request takes some ten wake-ups otherwise. */
static void take_turns(void)
{
    const struct sched_param none = {0};

    (void)sched_setscheduler(0, SCHED_BATCH, &none);
}

void child_init(struct child *child, enum process_role role, int argc, char **argv)
{
    struct err err;

    *child = (struct child){.role = role};
    if (argc < 5 || fcntl(PARENT_FD, F_GETFD) < 0) {
        refuse("this role is started by keybrake serve, not by hand");
    }
    child->index = (uint32_t)number_of(argv[1]);
    child->incarnation = number_of(argv[2]);
    child->data_dir = argv[3];
    child->user = argv[4][0] == '\0' ? NULL : argv[4];
    open_log(child);
    set_signals();
    take_turns();
    (void)umask(077);
    digest_setup();
    /* The first gmtime() of a process opens the time zone's file: before confinement, then. */
    (void)clock_rfc3339(clock_wall_ms());
    child->loop = loop_new(&err);
    if (child->loop == NULL) {
        log_error("start", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    (void)fcntl(PARENT_FD, F_SETFD, FD_CLOEXEC);
    child->parent = channel_new(child->loop, PARENT_FD, &parent_events, &parent_limits, child);
}

void child_confine(struct child *child, const struct confine *confine)
{
    struct err err;

    if (confine_apply(confine, child->user, &err) < 0) {
        log_error("confine", "%s", err.text);
        exit(CHILD_EXIT_FATAL);
    }
}

int child_run(struct child *child, const struct child_events *events, void *ctx)
{
    child->events = events;
    child->ctx = ctx;
    return loop_run(child->loop);
}

static void tell(struct child *child, enum message_type type, const void *message)
{
    if (!channel_send(child->parent, type, message)) {
        log_error("parent-silent", "message=%s", message_name(type));
        exit(EXIT_FAILURE);
    }
}

void child_ready(struct child *child)
{
    tell(child, MESSAGE_READY, &(struct message_empty){0});
}

void child_drained(struct child *child)
{
    tell(child, MESSAGE_DRAINED, &(struct message_empty){0});
}

void child_hand_listener(struct child *child, const struct message_listener *message, int fd)
{
    if (!channel_send_fd(child->parent, MESSAGE_LISTENER, message, fd)) {
        log_error("parent-silent", "message=LISTENER");
        exit(EXIT_FAILURE);
    }
}

void child_session_end(struct child *child, struct str session)
{
    tell(child, MESSAGE_SESSION_END, &(struct message_session_end){.session = session});
}

void child_fault(struct child *child, enum process_role peer, uint32_t index, const char *why)
{
    struct message_fault fault = {.peer = peer, .peer_index = index, .why = str_from(why)};
    tell(child, MESSAGE_FAULT, &fault);
}

void child_kill(struct child *child, enum process_role peer, uint32_t index, uint64_t incarnation)
{
    struct message_gone who = {.peer = peer, .peer_index = index, .incarnation = incarnation};
    tell(child, MESSAGE_KILL, &who);
}
