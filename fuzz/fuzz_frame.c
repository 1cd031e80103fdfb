/* SPDX-License-Identifier: Apache-2.0 */
/* A hostile peer's byte stream into a channel that accepts every message.  The first byte says in
 * which pieces the rest arrives; what is delivered may not depend on that, and after a fault
 * nothing is. */
#include <stdint.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ipc/channel.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct receiver {
    unsigned delivered, faults, closed;
};

static void on_any(void *ctx, struct channel *from, const void *message, int fd)
{
    struct receiver *receiver = ctx;

    (void)from;
    if (message == NULL || fd != -1 || receiver->faults > 0 || receiver->closed > 0) {
        abort();
    }
    receiver->delivered++;
}

static void on_fault(void *ctx, struct channel *channel, const char *why)
{
    struct receiver *receiver = ctx;

    (void)channel;
    (void)why;
    receiver->faults++;
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct receiver *receiver = ctx;

    (void)channel;
    receiver->closed++;
}

static void on_stop(void *ctx)
{
    loop_stop(ctx, 0);
}

static void turn(struct loop *loop, unsigned turns)
{
    struct loop_timer stop = {0};

    for (unsigned i = 0; i < turns; i++) {
        loop_timer_set(loop, &stop, 0, on_stop, loop);
        (void)loop_run(loop);
    }
}

static struct receiver receive(const uint8_t *data, size_t size, size_t piece)
{
    static struct channel_accept accepts[MESSAGE_COUNT - 1];
    static const struct channel_limits limits = {.queue_max = 4096};
    struct receiver receiver = {0};
    struct err err;
    int fds[2];

    for (size_t i = 0; i < MESSAGE_COUNT - 1; i++) {
        accepts[i] = (struct channel_accept){(enum message_type)(i + 1), 0, on_any};
    }
    struct channel_events events = {.accepts = accepts,
                                    .accept_count = MESSAGE_COUNT - 1,
                                    .fault = on_fault,
                                    .closed = on_closed};
    struct loop *loop = loop_new(&err);
    if (loop == NULL || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) < 0) {
        abort();
    }
    struct channel *channel = channel_new(loop, fds[0], &events, &limits, &receiver);
    for (size_t at = 0; at < size; at += piece) {
        size_t len = size - at < piece ? size - at : piece;
        (void)!send(fds[1], data + at, len, MSG_NOSIGNAL | MSG_DONTWAIT);
        turn(loop, 1);
    }
    (void)close(fds[1]);
    turn(loop, 3 + (unsigned)(size / 8 / 64));
    channel_free(channel);
    loop_free(loop);
    return receiver;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 || size > 4096) {
        return -1;
    }
    size_t piece = 1 + data[0];
    struct receiver whole = receive(data + 1, size - 1, size);
    struct receiver pieces = receive(data + 1, size - 1, piece);
    if (whole.delivered != pieces.delivered || whole.faults != pieces.faults ||
        whole.closed != pieces.closed || whole.faults > 1 || whole.closed != 1) {
        abort();
    }
    return 0;
}
