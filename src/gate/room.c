/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room: how many connections a gate takes, and how many bytes of them it holds.
 *
 * Both are bounded by what the machine gives: connections by the descriptors and by the gate's
 * share of the memory, bytes (windows, judged bodies, heads that are not complete) by that share
 * and by LIMIT_GATE_BUFFER_BYTES.  Who comes when there is no room is told so: 503.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/log.h"
#include "gate/visitor.h"

enum {
    FILES_MAX = 1 << 17,
    FILES_OF_OURS = 64,          /* channels, listeners, epoll, the log, and some air */
    CONNECTION_BYTES = 8 * 1024, /* what one costs while it does nothing, with the kernel's part */
    CONNECTIONS_MIN = 64,
    BUFFER_BYTES_MIN = 4 * 1024 * 1024,
};

static const char full[] = "HTTP/1.1 503 Service Unavailable (keybrake: limit_reached)\r\n"
                           "content-type: application/json\r\n"
                           "keybrake-denied: limit_reached\r\n"
                           "retry-after: 1\r\n"
                           "Content-Length: 92\r\n"
                           "Connection: close\r\n\r\n"
                           "{\"error\":{\"code\":\"limit_reached\",\"message\":"
                           "\"This gate has as many connections as it may.\"}}\n";

struct room room_of_machine(void)
{
    struct rlimit files = {FILES_MAX, FILES_MAX};
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    struct room room = {.memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0};

    if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max < FILES_MAX ? files.rlim_max : FILES_MAX;
        (void)setrlimit(RLIMIT_NOFILE, &files);
    }
    if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur < 2 * FILES_OF_OURS) {
        room.files = FILES_OF_OURS;
    } else {
        room.files = (size_t)files.rlim_cur - FILES_OF_OURS;
    }
    return room;
}

void room_fit(struct gate *gate, const struct config *config)
{
    uint64_t memory = config->memory_bytes != 0 ? config->memory_bytes : gate->machine.memory / 4;
    uint64_t share =
        memory / 2 / (config->gates == 0 ? 1 : config->gates); /* half is the others' */
    uint64_t connections = share / 2 / CONNECTION_BYTES, bytes = share / 2;

    connections = connections < CONNECTIONS_MIN ? CONNECTIONS_MIN : connections;
    bytes = bytes < BUFFER_BYTES_MIN ? BUFFER_BYTES_MIN : bytes;
    gate->client_max =
        connections < gate->machine.files ? (size_t)connections : gate->machine.files;
    gate->buffer_max = bytes < LIMIT_GATE_BUFFER_BYTES ? bytes : LIMIT_GATE_BUFFER_BYTES;
    log_info("room", "connections=%zu buffers_mib=%llu", gate->client_max,
             (unsigned long long)(gate->buffer_max >> 20));
}

bool room_for(const struct gate *gate, enum room_for what, uint64_t bytes)
{
    uint64_t quarter = gate->buffer_max / 4;
    uint64_t most = what == ROOM_REQUEST ? gate->buffer_max
                    : what == ROOM_BODY  ? 3 * quarter
                                         : 2 * quarter;

    return gate->buffered_bytes + bytes <= most;
}

bool room_hold(struct visitor *client, size_t bytes)
{
    struct gate *gate = client->gate;
    uint64_t others = gate->head_bytes - client->held;
    bool fits = others + bytes <= gate->buffer_max / 4;

    client->held = fits ? (uint32_t)bytes : 0;
    gate->head_bytes = others + client->held;
    return fits;
}

void room_refuse(const struct listener *listener, int fd)
{
    char rest[4096];

    /* A handshake for it would cost more than a connection. */
    if (!listener->tls) {
        (void)send(fd, full, sizeof(full) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)shutdown(fd, SHUT_WR);
        /* What is unread when it is closed would make a reset of it. */
        (void)recv(fd, rest, sizeof(rest), MSG_DONTWAIT);
    }
    (void)close(fd);
}
