/* SPDX-License-Identifier: Apache-2.0 */
/*
 * channel: messages between two of our processes, over a Unix stream socket.
 *
 * A frame is a u32 payload length, a u16 message type, two zero bytes, and the payload, which is
 * the message's struct as its wire schema writes it (ipc/message.h).  All frames of one loop turn
 * leave in one write.  Reading never stops and writing never blocks: what the socket does not
 * take waits in a queue with a bound.
 *
 * The receiver has a table: type, the states in which it is allowed, handler.  A frame that is
 * malformed, of a type not in the table or not allowed now, is a fault: `fault` is called once, no
 * further frame is delivered, and the owner tells the parent, which kills the sender.
 */
#ifndef IPC_CHANNEL_H
#define IPC_CHANNEL_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/str.h"
#include "ipc/message.h"
#include "os/loop.h"

struct channel;

/* `message` points to the decoded struct of its type; it, and the strings and arrays in it, live
 * until the handler returns.  `fd` is a descriptor that came with the frame, or -1; the handler
 * owns it. */
typedef void channel_handler(void *ctx, struct channel *from, const void *message, int fd);

struct channel_accept {
    enum message_type type;
    unsigned states; /* bits of CHANNEL_STATE(n); 0 means every state */
    channel_handler *handle;
};

#define CHANNEL_STATE(n) (1u << (n))

struct channel_events {
    const struct channel_accept *accepts; /* borrowed for the channel's life */
    size_t accept_count;
    /* The other end broke the rules; `why` is for the log.  NULL: the process aborts.  Nothing more
     * of it is delivered; `closed` still tells when it has gone. */
    void (*fault)(void *ctx, struct channel *channel, const char *why);
    /* The other end is gone; everything it had sent has been delivered. */
    void (*closed)(void *ctx, struct channel *channel);
    /* The queue, which had been above `high`, is below half of it again.  May be NULL. */
    void (*drained)(void *ctx, struct channel *channel);
};

struct channel_limits {
    size_t queue_max;         /* bytes waiting to leave; more: channel_send says false */
    size_t high;              /* channel_is_full() from here on; 0: half of queue_max */
    unsigned messages_a_turn; /* delivered in one loop turn; 0: 64 */
    bool wipe;                /* bytes may be secret: overwrite buffers after use */
};

/* Takes over `fd`, which becomes non-blocking.  `events` is copied, its table borrowed. */
struct channel *channel_new(struct loop *loop, int fd, const struct channel_events *events,
                            const struct channel_limits *limits, void *ctx);
void channel_free(struct channel *channel); /* takes NULL too; safe inside a handler of its own */

void channel_set_state(struct channel *channel, unsigned state); /* 0 at first */

/* Queues a message; it leaves at the end of the turn.  `message` is the struct of `type`.  False
 * when the queue is full (nothing was queued): the caller's rule for that applies. */
bool channel_send(struct channel *channel, enum message_type type, const void *message);

/* channel_send() with a descriptor, which stays the caller's.  Used by the parent and at set-up
 * only; flushes the queue first, so it must not be used where messages wait behind a slow reader.
 */
bool channel_send_fd(struct channel *channel, enum message_type type, const void *message, int fd);

/* A message as channel_send() would queue it, for who keeps what it sends.  False when it does not
 * fit; nothing was added then. */
bool channel_frame(enum message_type type, const void *message, struct buf *out);
/* Queues such frames, all or none. */
bool channel_send_frames(struct channel *channel, struct str frames);

/* The message that is being handled, as its sender wrote it: until the handler returns. */
struct str channel_payload(const struct channel *channel);

size_t channel_queued(const struct channel *channel); /* bytes */
bool channel_is_full(const struct channel *channel);  /* at or above `high` */
bool channel_flush(struct channel *channel);          /* now; true when nothing is left */

#endif
