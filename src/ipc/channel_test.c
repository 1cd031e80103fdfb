/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"
#include "base/test.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* One end is a channel, the other either a channel too or a bare socket in the test's hand. */
struct end {
    struct channel *channel;
    unsigned data, ends, config_fds, faults, closed, drained;
    uint64_t last_grant, bytes, out_of_order;
    uint32_t sum;
    char why[128];
    bool free_in_handler, free_in_closed, free_in_fault, free_in_drained;
};

struct pair {
    struct loop *loop;
    struct loop_timer stop;
    struct end a, b;
    int bare; /* when `b` is not a channel */
};

static void leave(struct end *end)
{
    channel_free(end->channel);
    end->channel = NULL;
}

static void on_data(void *ctx, struct channel *from, const void *message, int fd)
{
    struct end *end = ctx;
    const struct message_data *m = message;

    (void)from;
    CHECK(fd == -1);
    end->data++;
    end->out_of_order += m->grant < end->last_grant;
    end->last_grant = m->grant;
    end->bytes += m->bytes.len;
    for (size_t i = 0; i < m->bytes.len; i++) {
        end->sum = end->sum * 31 + (unsigned char)m->bytes.data[i];
    }
    if (end->free_in_handler) {
        leave(end);
        CHECK(m->bytes.len == 0 || m->bytes.data[0] != '\0'); /* still ours until we return */
    }
}

static void on_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct end *end = ctx;

    (void)message;
    (void)fd;
    end->ends++;
    channel_set_state(from, 1);
}

static void on_config(void *ctx, struct channel *from, const void *message, int fd)
{
    struct end *end = ctx;

    (void)from;
    (void)message;
    if (fd >= 0) {
        CHECK((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        end->config_fds++;
        (void)close(fd);
    }
}

static void on_fault(void *ctx, struct channel *channel, const char *why)
{
    struct end *end = ctx;

    (void)channel;
    end->faults++;
    (void)snprintf(end->why, sizeof(end->why), "%s", why);
    if (end->free_in_fault) {
        leave(end);
    }
}

static void on_closed(void *ctx, struct channel *channel)
{
    struct end *end = ctx;

    (void)channel;
    end->closed++;
    if (end->free_in_closed) {
        leave(end);
    }
}

static void on_drained(void *ctx, struct channel *channel)
{
    struct end *end = ctx;

    CHECK(!channel_is_full(channel));
    end->drained++;
    if (end->free_in_drained) {
        leave(end);
    }
}

static const struct channel_accept accepts[] = {
    {MESSAGE_DATA, CHANNEL_STATE(0), on_data},
    {MESSAGE_END, 0, on_end},
    {MESSAGE_CONFIG, 0, on_config},
};
static const struct channel_events events = {.accepts = accepts,
                                             .accept_count = COUNT(accepts),
                                             .fault = on_fault,
                                             .closed = on_closed,
                                             .drained = on_drained};
enum { QUEUE = 4 * 1024 * 1024 };
static const struct channel_limits limits = {.queue_max = QUEUE, .wipe = true};

static void on_stop(void *ctx)
{
    struct pair *pair = ctx;
    loop_stop(pair->loop, 0);
}

static void run_ms(struct pair *pair, uint64_t ms)
{
    loop_timer_set(pair->loop, &pair->stop, ms, on_stop, pair);
    (void)loop_run(pair->loop);
}

static void open_pair(struct pair *pair, bool both)
{
    struct err err;
    int fds[2];

    *pair = (struct pair){.loop = loop_new(&err), .bare = -1};
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    pair->a.channel = channel_new(pair->loop, fds[0], &events, &limits, &pair->a);
    if (both) {
        pair->b.channel = channel_new(pair->loop, fds[1], &events, &limits, &pair->b);
    } else {
        pair->bare = fds[1];
    }
}

static void close_pair(struct pair *pair)
{
    leave(&pair->a);
    leave(&pair->b);
    if (pair->bare >= 0) {
        (void)close(pair->bare);
    }
    loop_free(pair->loop);
}

/* The bytes of a frame, as the other end might write them. */
static struct buf frame(enum message_type type, const void *message)
{
    struct buf bytes;

    buf_init(&bytes, 2 * LIMIT_FRAME_BYTES);
    (void)buf_add(&bytes, "\0\0\0\0\0\0\0\0", 8);
    CHECK(wire_encode(message_schema(type), message, &bytes));
    size_t payload = buf_len(&bytes) - 8;
    for (size_t i = 0; i < 4; i++) {
        bytes.data[i] = (unsigned char)(payload >> (8 * i));
    }
    bytes.data[4] = (unsigned char)type;
    bytes.data[5] = (unsigned char)((unsigned)type >> 8);
    return bytes;
}

static void write_bare(struct pair *pair, const void *bytes, size_t len)
{
    CHECK(send(pair->bare, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
}

static void test_round_trip(void)
{
    struct pair pair;
    struct message_data hello = {.grant = 1, .bytes = STR("hello")};

    open_pair(&pair, true);
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &hello));
    CHECK(channel_queued(pair.a.channel) > 8); /* leaves at the end of the turn */
    hello.grant = 2;
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &hello));
    CHECK(channel_send(pair.b.channel, MESSAGE_END, &(struct message_end){.grant = 3}));
    run_ms(&pair, 10);
    CHECK(pair.b.data == 2 && pair.b.last_grant == 2 && pair.b.bytes == 10);
    CHECK(pair.a.ends == 1 && channel_queued(pair.a.channel) == 0);
    CHECK(pair.a.faults == 0 && pair.b.faults == 0);
    close_pair(&pair);
}

/* Far more than the socket takes at once, in odd sizes: all of it, once, in order. */
static void test_much(void)
{
    struct pair pair;
    static char bytes[100000];
    uint32_t sum = 0;
    uint64_t total = 0;
    unsigned sent = 0;

    open_pair(&pair, true);
    for (uint64_t n = 1; n <= 300; n++) {
        size_t len = (size_t)(n * 7919 % sizeof(bytes));
        memset(bytes, (int)(n & 127) + 1, len);
        struct message_data data = {.grant = n, .bytes = str_of(bytes, len)};
        while (!channel_send(pair.a.channel, MESSAGE_DATA, &data)) {
            run_ms(&pair, 1);
        }
        sent++;
        total += len;
        for (size_t i = 0; i < len; i++) {
            sum = sum * 31 + (unsigned char)bytes[i];
        }
    }
    for (int i = 0; i < 500 && pair.b.data < sent; i++) {
        run_ms(&pair, 2);
    }
    CHECK(pair.b.data == sent && pair.b.bytes == total && pair.b.sum == sum);
    CHECK(pair.b.out_of_order == 0 && pair.a.drained > 0);
    close_pair(&pair);
}

static void test_largest(void)
{
    struct pair pair;
    size_t len = LIMIT_FRAME_BYTES;
    char *bytes = mem_zeroed(len);
    struct message_data data = {.grant = 1, .bytes = str_of(bytes, LIMIT_STREAM_WINDOW_BYTES_MAX)};

    open_pair(&pair, true);
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data));
    run_ms(&pair, 20);
    CHECK(pair.b.data == 1 && pair.b.bytes == LIMIT_STREAM_WINDOW_BYTES_MAX);
    free(bytes);
    close_pair(&pair);
}

static void test_full_queue(void)
{
    struct pair pair;
    static char bytes[64 * 1024];
    struct message_data data = {.grant = 1, .bytes = str_of(bytes, sizeof(bytes))};
    unsigned sent = 0;

    memset(bytes, 'x', sizeof(bytes));
    open_pair(&pair, false);
    while (channel_send(pair.a.channel, MESSAGE_DATA, &data)) {
        sent++;
        CHECK(channel_is_full(pair.a.channel) == (channel_queued(pair.a.channel) >= QUEUE / 2));
    }
    CHECK(sent > 0 && channel_queued(pair.a.channel) <= QUEUE);
    size_t queued = channel_queued(pair.a.channel);
    CHECK(queued % (sizeof(bytes) + 8 + 12) == 0); /* nothing of the refused one */
    CHECK(!channel_send(pair.a.channel, MESSAGE_DATA, &data));
    CHECK(channel_send(pair.a.channel, MESSAGE_END, &(struct message_end){.grant = 1}));
    queued = channel_queued(pair.a.channel);
    /* Somebody reads: it drains, says so once, and every byte comes. */
    size_t got = 0;
    static char sink[256 * 1024];
    for (int i = 0; i < 1000 && got < queued; i++) {
        run_ms(&pair, 1);
        ssize_t some = recv(pair.bare, sink, sizeof(sink), MSG_DONTWAIT);
        got += some > 0 ? (size_t)some : 0;
    }
    CHECK(got == queued && pair.a.drained == 1);
    close_pair(&pair);
}

/* Who empties a full queue by hand is told like anybody else. */
static void test_flush_by_hand(void)
{
    struct pair pair;
    static char bytes[64 * 1024], sink[256 * 1024];
    struct message_data data = {.grant = 1, .bytes = str_of(bytes, sizeof(bytes))};

    open_pair(&pair, false);
    while (channel_send(pair.a.channel, MESSAGE_DATA, &data)) {
    }
    run_ms(&pair, 1);
    CHECK(pair.a.drained == 0 && channel_is_full(pair.a.channel));
    for (int i = 0; i < 10000 && !channel_flush(pair.a.channel); i++) {
        CHECK(recv(pair.bare, sink, sizeof(sink), MSG_DONTWAIT) > 0);
    }
    CHECK(channel_queued(pair.a.channel) == 0 && pair.a.drained == 0);
    run_ms(&pair, 1);
    CHECK(pair.a.drained == 1);
    close_pair(&pair);
}

static void test_free_in_drained(void)
{
    struct pair pair;
    static char bytes[64 * 1024];
    struct message_data data = {.grant = 1, .bytes = str_of(bytes, sizeof(bytes))};
    static char sink[256 * 1024];

    open_pair(&pair, false);
    pair.a.free_in_drained = true;
    while (channel_send(pair.a.channel, MESSAGE_DATA, &data)) {
    }
    for (int i = 0; i < 1000 && pair.a.drained == 0; i++) {
        run_ms(&pair, 1);
        (void)recv(pair.bare, sink, sizeof(sink), MSG_DONTWAIT);
    }
    CHECK(pair.a.drained == 1 && pair.a.channel == NULL);
    close_pair(&pair);
}

/* Byte by byte, and many in one write: the same. */
static void test_pieces(void)
{
    struct pair pair;
    struct message_data data = {.grant = 5, .bytes = STR("abcdef")};
    struct buf one = frame(MESSAGE_DATA, &data);
    struct buf many;

    open_pair(&pair, false);
    for (size_t i = 0; i < buf_len(&one); i++) {
        write_bare(&pair, one.data + i, 1);
        run_ms(&pair, 0);
        CHECK(pair.a.data == (i + 1 == buf_len(&one)));
    }
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 200; i++) {
        (void)buf_add_str(&many, buf_str(&one));
    }
    write_bare(&pair, many.data, buf_len(&many));
    run_ms(&pair, 0);
    CHECK(pair.a.data <= 1 + 2 * LIMIT_MESSAGES_A_TURN); /* then it is the others' turn */
    run_ms(&pair, 10);
    CHECK(pair.a.data == 201 && pair.a.faults == 0);
    buf_clear(&many);
    buf_clear(&one);
    close_pair(&pair);
}

/* What was sent before the other end went is delivered, then its going. */
static void test_going(void)
{
    struct pair pair;
    struct message_data data = {.grant = 5, .bytes = STR("abcdef")};
    struct buf one = frame(MESSAGE_DATA, &data);
    struct buf many;

    open_pair(&pair, false);
    pair.a.free_in_closed = true;
    buf_init(&many, 1 << 20);
    for (int i = 0; i < 500; i++) {
        (void)buf_add_str(&many, buf_str(&one));
    }
    (void)buf_add(&many, one.data, 10); /* and half a frame, which nobody gets */
    write_bare(&pair, many.data, buf_len(&many));
    (void)close(pair.bare);
    pair.bare = -1;
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data)); /* into the void */
    run_ms(&pair, 20);
    CHECK(pair.a.data == 500 && pair.a.closed == 1 && pair.a.faults == 0);
    CHECK(pair.a.channel == NULL);
    buf_clear(&many);
    buf_clear(&one);
    close_pair(&pair);
}

static void test_free_in_handler(void)
{
    struct pair pair;
    struct message_data data = {.grant = 5, .bytes = STR("abcdef")};

    open_pair(&pair, true);
    pair.b.free_in_handler = true;
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data));
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data));
    run_ms(&pair, 10);
    CHECK(pair.b.data == 1 && pair.b.channel == NULL);
    CHECK(pair.a.closed == 1);
    close_pair(&pair);
}

static const struct {
    const char *name;
    const char *bytes;
    size_t len;
} bad_frames[] = {
#define BYTES(literal) literal, sizeof(literal) - 1
    {"a type that is not in the table", BYTES("\1\0\0\0\2\0\0\0\0")},
    {"type 0", BYTES("\1\0\0\0\0\0\0\0\0")},
    {"a type beyond all", BYTES("\1\0\0\0\377\377\0\0\0")},
    {"bytes that must be zero", BYTES("\1\0\0\0\1\0\1\0\0")},
    {"a payload above the maximum", BYTES("\1\0\30\0\1\0\0\0")},
    {"a payload of 4 GiB", BYTES("\377\377\377\377\1\0\0\0")},
};

static void test_bad_frames(void)
{
    for (size_t i = 0; i < COUNT(bad_frames); i++) {
        struct pair pair;
        struct message_data data = {.grant = 5, .bytes = STR("abcdef")};
        struct buf good = frame(MESSAGE_DATA, &data);
        open_pair(&pair, false);
        pair.a.free_in_fault = i % 2 == 1;
        write_bare(&pair, good.data, buf_len(&good));
        write_bare(&pair, bad_frames[i].bytes, bad_frames[i].len);
        write_bare(&pair, good.data, buf_len(&good));
        run_ms(&pair, 5);
        CHECK_CASE(pair.a.data == 1, bad_frames[i].name); /* nothing after it */
        CHECK_CASE(pair.a.faults == 1, bad_frames[i].name);
        (void)close(pair.bare);
        pair.bare = -1;
        run_ms(&pair, 5);
        CHECK_CASE(pair.a.faults == 1 && pair.a.data == 1, bad_frames[i].name);
        /* Or its owner would wait for it for ever. */
        CHECK_CASE(pair.a.closed == (i % 2 == 1 ? 0 : 1), bad_frames[i].name);
        buf_clear(&good);
        close_pair(&pair);
    }
}

static void test_bad_payloads(void)
{
    struct message_data data = {.grant = 5, .bytes = STR("abcdef")};
    struct buf good = frame(MESSAGE_DATA, &data);

    for (size_t at = 16; at < 20; at++) { /* the length of the text */
        struct pair pair;
        struct buf bad = frame(MESSAGE_DATA, &data);
        bad.data[at] = 99;
        open_pair(&pair, false);
        write_bare(&pair, bad.data, buf_len(&bad));
        run_ms(&pair, 5);
        CHECK(pair.a.data == 0 && pair.a.faults == 1);
        buf_clear(&bad);
        close_pair(&pair);
    }
    buf_clear(&good);
}

static void test_states(void)
{
    struct pair pair;
    struct message_data data = {.grant = 5, .bytes = STR("abcdef")};

    open_pair(&pair, true);
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data));
    CHECK(channel_send(pair.a.channel, MESSAGE_END, &(struct message_end){.grant = 5}));
    run_ms(&pair, 5);
    CHECK(pair.b.data == 1 && pair.b.ends == 1 && pair.b.faults == 0);
    CHECK(channel_send(pair.a.channel, MESSAGE_END, &(struct message_end){.grant = 5}));
    CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data)); /* no longer allowed */
    run_ms(&pair, 5);
    CHECK(pair.b.ends == 2 && pair.b.data == 1 && pair.b.faults == 1);
    CHECK(strstr(pair.b.why, "state") != NULL);
    close_pair(&pair);
}

static int count_fds(void)
{
    int count = 0;

    for (int fd = 0; fd < 256; fd++) {
        count += fcntl(fd, F_GETFD) >= 0;
    }
    return count;
}

/* Each descriptor reaches its message; one that no message asked for is closed. */
static void test_descriptors(void)
{
    struct pair pair;
    struct message_data data = {.grant = 1, .bytes = STR("x")};
    struct message_config config = {.generation = 1};
    int before = count_fds();
    int file = memfd_create("test", MFD_CLOEXEC);

    open_pair(&pair, true);
    for (int i = 0; i < 40; i++) {
        CHECK(channel_send(pair.a.channel, MESSAGE_DATA, &data));
        CHECK(channel_send_fd(pair.a.channel, MESSAGE_CONFIG, &config, file));
        if (i % 10 == 9) {
            run_ms(&pair, 2);
        }
    }
    run_ms(&pair, 5);
    CHECK(pair.b.config_fds == 40 && pair.b.data == 40);
    CHECK(channel_send(pair.a.channel, MESSAGE_CONFIG, &config)); /* without: -1 */
    run_ms(&pair, 5);
    CHECK(channel_send_fd(pair.a.channel, MESSAGE_END, &(struct message_end){0}, file));
    run_ms(&pair, 5);
    CHECK(pair.b.config_fds == 40 && pair.b.ends == 1 && pair.b.faults == 0);
    close_pair(&pair);
    (void)close(file);
    CHECK(count_fds() == before);
}

/* Where no message takes a descriptor, a hostile peer cannot leave any with us. */
static void test_unwanted_descriptors(void)
{
    static const struct channel_accept only_data[] = {{MESSAGE_DATA, 0, on_data}};
    struct channel_events plain = events;
    struct pair pair;
    struct message_data data = {.grant = 1, .bytes = STR("x")};
    int file = memfd_create("test", MFD_CLOEXEC);

    open_pair(&pair, true);
    plain.accepts = only_data;
    plain.accept_count = COUNT(only_data);
    int fds[2];
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
    struct channel *sender = channel_new(pair.loop, fds[0], &events, &limits, &pair.a);
    struct channel *receiver = channel_new(pair.loop, fds[1], &plain, &limits, &pair.b);
    int before = count_fds();
    for (int i = 0; i < 10; i++) {
        CHECK(channel_send_fd(sender, MESSAGE_DATA, &data, file));
        run_ms(&pair, 1);
    }
    CHECK(pair.b.data == 10 && count_fds() == before);
    channel_free(sender);
    channel_free(receiver);
    close_pair(&pair);
    (void)close(file);
}

int main(void)
{
    test_round_trip();
    test_much();
    test_largest();
    test_full_queue();
    test_flush_by_hand();
    test_free_in_drained();
    test_pieces();
    test_going();
    test_free_in_handler();
    test_bad_frames();
    test_bad_payloads();
    test_states();
    test_descriptors();
    test_unwanted_descriptors();
    channel_free(NULL);
    return test_done();
}
