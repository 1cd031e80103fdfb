/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the processes say to the parent, and that they are gone.  What one accuses another of is
 * believed only of one that is more exposed than itself.
 */
#include <signal.h>
#include <unistd.h>

#include "base/log.h"
#include "parent/house_parts.h"
#include "parent/topology.h"

enum { QUEUE_MAX = 4 * 1024 * 1024 };

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
        house_kill(process, "READY at a wrong time");
        return;
    }
    house_move(process, READY);
    house_advance(process->house);
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
        house_kill(process, "DRAINED without DRAIN");
        return;
    }
    house_move(process, DRAINED);
    process->house->changed(process->house->ctx);
}

static void on_fault(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *accuser = ctx;
    const struct message_fault *m = message;
    struct process *accused = house_find(accuser->house, m->peer, m->peer_index);

    (void)from;
    (void)fd;
    if (accused == NULL ||
        !topology_connects(accuser->role, accuser->index, accused->role, accused->index)) {
        house_kill(accuser, "FAULT of a process that it does not know");
        return;
    }
    log_error("fault", "by=%s of=%s why=%s", house_name(accuser).text, house_name(accused).text,
              log_text(m->why).text);
    /* A broken gate must not be able to bring the judge down by accusing it. */
    bool believed = role_exposure(accused->role) >= role_exposure(accuser->role);
    house_kill(believed ? accused : accuser, "broke the protocol");
}

static void on_kill(void *ctx, struct channel *from, const void *message, int fd)
{
    struct process *judge = ctx;
    const struct message_gone *m = message;
    struct process *silent = house_find(judge->house, m->peer, m->peer_index);

    (void)from;
    (void)fd;
    if (judge->role != ROLE_JUDGE || silent == NULL ||
        !topology_connects(judge->role, judge->index, silent->role, silent->index)) {
        house_kill(judge, "KILL that is not its to say");
        return;
    }
    if (silent->incarnation == m->incarnation) { /* else it is dead already */
        house_kill(silent, "silent towards the judge");
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
        house_kill(one_shot, "an answer to no question");
        return;
    }
    one_shot->has_answered = true;
    one_shot->answered(one_shot->house->ctx, message, fd);
}

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
        house_kill(control, "LISTENER that is not its to say");
        return;
    }
    const struct handed_socket *socket = handed_add(&house->handed, m, fd);
    struct process *gate = socket == NULL ? NULL : house_find(house, ROLE_GATE, socket->gate);
    if (gate != NULL && house_lives(gate)) {
        struct message_listener listener = handed_message(socket);
        house_hand(gate, MESSAGE_LISTENER, &listener, socket->fd);
    } /* else it gets it at its birth */
}

void house_end_session(struct house *house, struct str session)
{
    const struct handed_socket *socket = handed_find(&house->handed, session);
    struct process *gate = socket == NULL ? NULL : house_find(house, ROLE_GATE, socket->gate);
    struct message_session_end end = {.session = session};

    if (gate != NULL && house_lives(gate)) {
        house_tell(gate, MESSAGE_SESSION_END, &end);
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
        house_kill(control, "SESSION_END that is not its to say");
        return;
    }
    house_end_session(control->house, m->session);
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

void house_dismiss(struct process *process)
{
    if (process->channel == NULL) {
        return;
    }
    channel_free(process->channel);
    process->channel = NULL;
    if (process->pid == 0) {
        house_bury(process);
    }
}

static void on_broken(void *ctx, struct channel *channel, const char *why)
{
    (void)channel;
    house_kill(ctx, why);
    house_dismiss(ctx);
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct process *process = ctx;

    (void)channel;
    if (process->pid != 0) {
        (void)kill(process->pid, SIGKILL); /* it is going, or cannot be spoken to any more */
    }
    house_dismiss(process);
}

static const struct channel_events events = {
    .accepts = accepts,
    .accept_count = sizeof(accepts) / sizeof(accepts[0]),
    .fault = on_broken,
    .closed = on_closed,
};

/* Certificates' private keys pass here. */
static const struct channel_limits limits = {.queue_max = QUEUE_MAX, .wipe = true};

void house_listen(struct process *process, int fd)
{
    process->channel = channel_new(process->house->loop, fd, &events, &limits, process);
}
