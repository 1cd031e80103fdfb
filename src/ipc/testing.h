/* SPDX-License-Identifier: Apache-2.0 */
/*
 * testing: the other end of a channel, played by a test, a frame at a time and without a loop.
 */
#ifndef IPC_TESTING_H
#define IPC_TESTING_H

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/test.h"
#include "ipc/message.h"

enum { WAIT_MS = 3000, SHORT_MS = 60 };

/* The last frame. */
static struct {
    struct arena *arena;
    struct buf in;
} frame;

static inline void frames_begin(void)
{
    frame.arena = arena_new();
    buf_init(&frame.in, LIMIT_FRAME_BYTES + 64);
}

static inline void frames_end(void)
{
    arena_free(frame.arena);
    buf_clear(&frame.in);
}

static inline void pair(int fds[2])
{
    CHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
}

/* The frame of a message, in a new buffer. */
static inline struct buf frame_of(enum message_type type, const void *message)
{
    struct buf out;

    buf_init(&out, LIMIT_FRAME_BYTES + 8);
    (void)buf_add(&out, "\0\0\0\0\0\0\0", 8);
    CHECK(wire_encode(message_schema(type), message, &out));
    size_t payload = buf_len(&out) - 8;
    for (size_t i = 0; i < 4; i++) {
        out.data[i] = (unsigned char)(payload >> (8 * i));
    }
    out.data[4] = (unsigned char)type;
    return out;
}

static inline void tell(int fd, enum message_type type, const void *message)
{
    struct buf out = frame_of(type, message);

    for (struct str rest = buf_str(&out); rest.len > 0;) {
        ssize_t sent = send(fd, rest.data, rest.len, MSG_NOSIGNAL);
        if (sent <= 0) {
            break;
        }
        rest = str_slice(rest, (size_t)sent, rest.len);
    }
    buf_clear(&out);
}

/* Bytes, and a descriptor with them. */
static inline void pass(int to, struct str bytes, int fd)
{
    char control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec piece = {(void *)(uintptr_t)bytes.data, bytes.len};
    struct msghdr header = {.msg_iov = &piece,
                            .msg_iovlen = 1,
                            .msg_control = control,
                            .msg_controllen = sizeof(control)};
    struct cmsghdr *part = CMSG_FIRSTHDR(&header);

    *part = (struct cmsghdr){
        .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))};
    memcpy(CMSG_DATA(part), &fd, sizeof(fd));
    CHECK(sendmsg(to, &header, 0) == (ssize_t)bytes.len);
}

/* A message, and a descriptor with it. */
static inline void tell_with(int to, enum message_type type, const void *message, int fd)
{
    struct buf out = frame_of(type, message);

    pass(to, buf_str(&out), fd);
    buf_clear(&out);
}

static inline bool readable(int fd, int wait_ms)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    return poll(&poll_fd, 1, wait_ms) == 1;
}

static inline bool read_exactly(int fd, size_t len)
{
    while (len > 0) {
        unsigned char *room = buf_room(&frame.in, len);
        ssize_t got = readable(fd, WAIT_MS) ? recv(fd, room, len, 0) : -1;
        if (got <= 0) {
            return false;
        }
        buf_added(&frame.in, (size_t)got);
        len -= (size_t)got;
    }
    return true;
}

/* The next frame, which must be of this type. */
static inline const void *expect(int fd, enum message_type type)
{
    buf_cut(&frame.in, 0);
    if (!read_exactly(fd, 8)) {
        CHECK_CASE(false, message_name(type));
        abort();
    }
    unsigned char head[8];
    memcpy(head, buf_str(&frame.in).data, 8);
    size_t payload = (size_t)head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16;
    buf_cut(&frame.in, 0);
    CHECK(read_exactly(fd, payload));
    if (head[4] == MESSAGE_GATE_STATS && type != MESSAGE_GATE_STATS) {
        return expect(fd, type); /* they come each second, between the others */
    }
    if ((enum message_type)head[4] != type) {
        CHECK_CASE(false, message_name(type));
        CHECK_CASE(false, message_name((enum message_type)head[4]));
        abort();
    }
    arena_reset(frame.arena);
    void *message = arena_zeroed(frame.arena, 1, message_schema(type)->size);
    CHECK(wire_decode(message_schema(type), buf_str(&frame.in), frame.arena, message));
    return message;
}

static inline bool silent(int fd)
{
    return !readable(fd, SHORT_MS);
}

#endif
