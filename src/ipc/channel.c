/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"

enum {
    FRAME_HEAD = 8,
    READ_BYTES = 64 * 1024,
    KEPT_BYTES = 256 * 1024, /* of an empty buffer */
    FDS_A_MESSAGE = 4,       /* at most; ours have one */
    FDS_WAITING = 16,        /* received, their frames not handled yet */
};

struct channel {
    struct loop *loop;
    struct loop_watch watch;
    struct loop_hook flush;
    struct loop_timer again; /* more frames than one turn may take are in */
    int fd;
    struct channel_events events;
    struct channel_limits limits;
    void *ctx;
    unsigned state;
    struct buf in, out;
    struct str payload; /* of the frame that is being handled */
    struct arena *arena;
    int fds[FDS_WAITING];
    size_t fd_count;
    bool was_full, faulted, ended, handling, freed;
    bool takes_fds; /* some message of the table carries one */
    /* A type's place in the table, so that a frame is found without a search; -1: not accepted. */
    signed char accept_of[MESSAGE_COUNT];
};

static void on_ready(void *ctx, uint32_t events);

static bool carries_fd(enum message_type type)
{
    return type == MESSAGE_CHANNEL || type == MESSAGE_CONFIG || type == MESSAGE_LISTENER ||
           type == MESSAGE_UNSEAL_KEY || type == MESSAGE_DIALLED || type == MESSAGE_COMPILED ||
           type == MESSAGE_UNSEALED;
}

struct channel *channel_new(struct loop *loop, int fd, const struct channel_events *events,
                            const struct channel_limits *limits, void *ctx)
{
    struct channel *channel = mem_zeroed(sizeof(*channel));
    int flags = fcntl(fd, F_GETFL);

    (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
    channel->loop = loop;
    channel->fd = fd;
    channel->events = *events;
    channel->limits = *limits;
    channel->ctx = ctx;
    channel->arena = arena_new();
    if (channel->limits.messages_a_turn == 0) {
        channel->limits.messages_a_turn = LIMIT_MESSAGES_A_TURN;
    }
    if (channel->limits.high == 0) {
        channel->limits.high = limits->queue_max / 2;
    }
    size_t in_max = LIMIT_FRAME_BYTES + FRAME_HEAD + READ_BYTES;
    if (limits->wipe) {
        buf_init_wiped(&channel->in, in_max);
        buf_init_wiped(&channel->out, limits->queue_max);
    } else {
        buf_init(&channel->in, in_max);
        buf_init(&channel->out, limits->queue_max);
    }
    memset(channel->accept_of, -1, sizeof(channel->accept_of));
    assert(events->accept_count < 127);
    for (size_t i = 0; i < events->accept_count; i++) {
        channel->accept_of[events->accepts[i].type] = (signed char)i;
        channel->takes_fds = channel->takes_fds || carries_fd(events->accepts[i].type);
    }
    channel->watch = LOOP_WATCH_NONE;
    loop_watch(loop, &channel->watch, fd, EPOLLIN, on_ready, channel);
    return channel;
}

static void release(struct channel *channel)
{
    for (size_t i = 0; i < channel->fd_count; i++) {
        (void)close(channel->fds[i]);
    }
    buf_clear(&channel->in);
    buf_clear(&channel->out);
    arena_free(channel->arena);
    free(channel);
}

void channel_free(struct channel *channel)
{
    if (channel == NULL || channel->freed) {
        return;
    }
    loop_unwatch(channel->loop, &channel->watch);
    loop_hook_stop(&channel->flush);
    loop_timer_stop(channel->loop, &channel->again);
    (void)close(channel->fd);
    channel->freed = true;
    if (!channel->handling) { /* else by the handler's caller */
        release(channel);
    }
}

void channel_set_state(struct channel *channel, unsigned state)
{
    channel->state = state;
}

size_t channel_queued(const struct channel *channel)
{
    return buf_len(&channel->out);
}

bool channel_is_full(const struct channel *channel)
{
    return buf_len(&channel->out) >= channel->limits.high;
}

/* ---- sending ---- */

static void want_events(struct channel *channel)
{
    if (channel->watch.fd == -1) {
        return;
    }
    /* Of a faulted one no more is read; its end is told by EPOLLHUP, which needs no asking. */
    uint32_t events = channel->ended || channel->faulted ? 0 : EPOLLIN;
    if (buf_len(&channel->out) > 0) {
        events |= EPOLLOUT;
    }
    loop_watch_events(channel->loop, &channel->watch, events);
}

/* One judged body makes a buffer large, and it would stay so for good. */
static void give_back(struct buf *buf)
{
    if (buf_len(buf) == 0 && buf->size > KEPT_BYTES) {
        buf_clear(buf);
    }
}

static bool is_passing(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM;
}

static void flush_hook(void *ctx);

bool channel_flush(struct channel *channel)
{
    while (buf_len(&channel->out) > 0) {
        struct str rest = buf_str(&channel->out);
        ssize_t sent = send(channel->fd, rest.data, rest.len, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0) {
            buf_consume(&channel->out, (size_t)sent);
        } else if (is_passing(errno)) {
            break;
        } else if (errno != EINTR) {
            /* The reader is gone.  What it had sent is still to be read; then `closed` tells. */
            buf_clear(&channel->out);
        }
    }
    give_back(&channel->out);
    want_events(channel);
    if (channel->was_full) { /* nothing may be left that would say so */
        loop_at_turn_end(channel->loop, &channel->flush, flush_hook, channel);
    }
    return buf_len(&channel->out) == 0;
}

/* False when the owner freed the channel meanwhile. */
static bool tell_drained(struct channel *channel)
{
    if (!channel->was_full || buf_len(&channel->out) >= channel->limits.high / 2) {
        return true;
    }
    channel->was_full = false;
    if (channel->events.drained == NULL) {
        return true;
    }
    channel->handling = true;
    channel->events.drained(channel->ctx, channel);
    channel->handling = false;
    if (channel->freed) {
        release(channel);
        return false;
    }
    return true;
}

static void flush_hook(void *ctx)
{
    struct channel *channel = ctx;

    (void)channel_flush(channel);
    loop_hook_stop(&channel->flush); /* not again in this turn */
    (void)tell_drained(channel);
}

bool channel_frame(enum message_type type, const void *message, struct buf *out)
{
    const struct wire_schema *schema = message_schema(type);
    size_t before = buf_len(out);
    unsigned char *head = buf_room(out, FRAME_HEAD);

    assert(schema != NULL);
    if (head == NULL) {
        out->overflow = false;
        return false;
    }
    memset(head, 0, FRAME_HEAD);
    buf_added(out, FRAME_HEAD);
    bool fits = wire_encode(schema, message, out);
    size_t payload = buf_len(out) - before - FRAME_HEAD;
    if (!fits || payload > LIMIT_FRAME_BYTES) {
        assert(out->overflow); /* else a field is above its own maximum: our bug */
        out->overflow = false;
        buf_cut(out, before);
        return false;
    }
    head = out->data + out->start + before; /* it may have moved */
    for (size_t i = 0; i < 4; i++) {
        head[i] = (unsigned char)(payload >> (8 * i));
    }
    head[4] = (unsigned char)type;
    head[5] = (unsigned char)((unsigned)type >> 8);
    return true;
}

static void note_full(struct channel *channel)
{
    if (channel_is_full(channel)) {
        channel->was_full = true;
    }
}

static bool queue_frame(struct channel *channel, enum message_type type, const void *message)
{
    if (!channel_frame(type, message, &channel->out)) {
        return false;
    }
    note_full(channel);
    return true;
}

bool channel_send(struct channel *channel, enum message_type type, const void *message)
{
    if (channel->freed || !queue_frame(channel, type, message)) {
        return false;
    }
    loop_at_turn_end(channel->loop, &channel->flush, flush_hook, channel);
    return true;
}

bool channel_send_frames(struct channel *channel, struct str frames)
{
    if (channel->freed || !buf_add_str(&channel->out, frames)) {
        channel->out.overflow = false;
        return false;
    }
    note_full(channel);
    loop_at_turn_end(channel->loop, &channel->flush, flush_hook, channel);
    return true;
}

bool channel_send_fd(struct channel *channel, enum message_type type, const void *message, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct msghdr header = {.msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&header);
    ssize_t sent;

    if (channel->freed || !channel_flush(channel) || !queue_frame(channel, type, message)) {
        return false;
    }
    *part = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    struct str frame = buf_str(&channel->out);
    struct iovec piece = {.iov_base = channel->out.data + channel->out.start, .iov_len = frame.len};
    header.msg_iov = &piece;
    header.msg_iovlen = 1;
    do {
        sent = sendmsg(channel->fd, &header, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    if (sent <= 0) {
        buf_cut(&channel->out, 0);
        return false;
    }
    buf_consume(&channel->out, (size_t)sent);
    return channel_flush(channel) || !channel->freed;
}

/* ---- receiving ---- */

static void fault(struct channel *channel, const char *why)
{
    if (channel->faulted) {
        return;
    }
    channel->faulted = true;
    if (channel->events.fault == NULL) {
        abort();
    }
    want_events(channel);
    channel->events.fault(channel->ctx, channel, why);
}

struct str channel_payload(const struct channel *channel)
{
    return channel->payload;
}

static int take_fd(struct channel *channel)
{
    if (channel->fd_count == 0) {
        return -1;
    }
    int fd = channel->fds[0];
    channel->fd_count--;
    memmove(channel->fds, channel->fds + 1, channel->fd_count * sizeof(channel->fds[0]));
    return fd;
}

static void handle_frame(struct channel *channel, enum message_type type, struct str payload)
{
    if (type <= MESSAGE_NONE || type >= MESSAGE_COUNT || channel->accept_of[type] < 0) {
        fault(channel, "a message of a type that is not accepted here");
        return;
    }
    const struct channel_accept *accept =
        &channel->events.accepts[(size_t)channel->accept_of[type]];
    if (accept->states != 0 && (accept->states & CHANNEL_STATE(channel->state)) == 0) {
        fault(channel, "a message that is not allowed in this state");
        return;
    }
    const struct wire_schema *schema = message_schema(type);
    arena_reset(channel->arena);
    void *message = arena_room(channel->arena, schema->size);
    if (!wire_decode(schema, payload, channel->arena, message)) {
        fault(channel, "a message that does not decode");
        return;
    }
    channel->payload = payload;
    accept->handle(channel->ctx, channel, message, carries_fd(type) ? take_fd(channel) : -1);
}

/* True when a frame was there and has been handled. */
static bool deliver_one(struct channel *channel)
{
    struct str bytes = buf_str(&channel->in);

    if (bytes.len < FRAME_HEAD) {
        return false;
    }
    const unsigned char *head = (const unsigned char *)bytes.data;
    size_t payload =
        (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    unsigned type = head[4] | (unsigned)head[5] << 8;
    if (payload > LIMIT_FRAME_BYTES || head[6] != 0 || head[7] != 0) {
        fault(channel, "a malformed frame");
        return false;
    }
    if (bytes.len - FRAME_HEAD < payload) {
        return false;
    }
    handle_frame(channel, (enum message_type)type,
                 str_slice(bytes, FRAME_HEAD, FRAME_HEAD + payload));
    if (!channel->freed) {
        buf_consume(&channel->in, FRAME_HEAD + payload);
    }
    return true;
}

static bool whole_frame_waits(const struct channel *channel)
{
    struct str bytes = buf_str(&channel->in);

    if (bytes.len < FRAME_HEAD) {
        return false;
    }
    const unsigned char *head = (const unsigned char *)bytes.data;
    size_t payload =
        (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
    return payload > LIMIT_FRAME_BYTES || bytes.len - FRAME_HEAD >= payload;
}

static void deliver_hook(void *ctx);

static void deliver(struct channel *channel)
{
    unsigned left = channel->limits.messages_a_turn;

    channel->handling = true;
    while (left > 0 && !channel->freed && !channel->faulted && deliver_one(channel)) {
        left--;
    }
    if (!channel->freed && !channel->faulted && whole_frame_waits(channel)) {
        /* The others' turn; on with it in the next one. */
        channel->handling = false;
        loop_timer_set(channel->loop, &channel->again, 0, deliver_hook, channel);
        return;
    }
    if (!channel->freed) {
        give_back(&channel->in);
    }
    if (!channel->freed && channel->ended) {
        channel->events.closed(channel->ctx, channel);
    }
    channel->handling = false;
    if (channel->freed) {
        release(channel);
    }
}

static void deliver_hook(void *ctx)
{
    deliver(ctx);
}

static void keep_fds(struct channel *channel, struct msghdr *header)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(header); part != NULL;
         part = CMSG_NXTHDR(header, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
            if (channel->takes_fds && channel->fd_count < FDS_WAITING) {
                channel->fds[channel->fd_count++] = fd;
            } else {
                (void)close(fd);
            }
        }
    }
}

/* Reads what is there, up to what the buffer holds.  False when there was nothing. */
static bool receive(struct channel *channel)
{
    char control[CMSG_SPACE(FDS_A_MESSAGE * sizeof(int))];
    size_t room = channel->in.max - buf_len(&channel->in);
    size_t want = room < READ_BYTES ? room : READ_BYTES;

    if (want == 0 || channel->fd_count + FDS_A_MESSAGE > FDS_WAITING) {
        return false; /* what is here is handled first */
    }
    struct iovec piece = {.iov_base = buf_room(&channel->in, want), .iov_len = want};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    ssize_t got = recvmsg(channel->fd, &header, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    if (got < 0) {
        if (errno == EAGAIN || errno == EINTR) {
            return false;
        }
        got = 0; /* ECONNRESET: the other end died with bytes of ours unread */
    }
    keep_fds(channel, &header);
    if (got == 0) {
        channel->ended = true;
        want_events(channel);
        return true;
    }
    buf_added(&channel->in, (size_t)got);
    return true;
}

static void on_ready(void *ctx, uint32_t events)
{
    struct channel *channel = ctx;

    if ((events & EPOLLOUT) != 0) {
        (void)channel_flush(channel);
        if (!tell_drained(channel)) {
            return;
        }
    }
    if (channel->ended || (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) {
        if (channel->ended && (events & (EPOLLHUP | EPOLLERR)) != 0) {
            /* Read to its end and still watched: nothing more will come of this descriptor. */
            loop_unwatch(channel->loop, &channel->watch);
        }
        return;
    }
    if (channel->faulted) {
        if ((events & (EPOLLHUP | EPOLLERR)) != 0) { /* what it said behind the fault is lost */
            channel->ended = true;
            buf_clear(&channel->in);
            loop_unwatch(channel->loop, &channel->watch);
            deliver(channel);
        }
        return;
    }
    if (receive(channel) && channel->again.place == 0) {
        deliver(channel);
    }
}
