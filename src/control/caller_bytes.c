/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A caller's bytes: to and from its socket, through its TLS, and the descriptors that come with
 * them.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "control/caller_parts.h"

enum {
    READ_BYTES = 16 * 1024,
    TLS_PIECE = 16 * 1024,
    TLS_WAITING_MAX = 64 * 1024,
    LINGER_BYTES = 2 * 1024 * 1024,
    FDS_MAX = 512, /* that came with requests and wait, in all */
};

int caller_send_bytes(struct caller *c, struct str bytes, size_t *ret_sent)
{
    *ret_sent = 0;
    if (bytes.len == 0) {
        return 1;
    }
    ssize_t sent = send(c->fd, bytes.data, bytes.len, MSG_NOSIGNAL);
    if (sent < 0) {
        return errno == EAGAIN || errno == EINTR ? 0 : -1;
    }
    *ret_sent = (size_t)sent;
    return (size_t)sent == bytes.len ? 1 : 0;
}

static int flush_tls(struct caller *c)
{
    size_t sent;
    int rc;

    do {
        while (buf_len(&c->out) > 0 && tls_output(c->tls).len < TLS_WAITING_MAX) {
            struct str piece = str_slice(buf_str(&c->out), 0, TLS_PIECE);
            if (!tls_send(c->tls, piece)) {
                break;
            }
            buf_consume(&c->out, piece.len);
        }
        rc = caller_send_bytes(c, tls_output(c->tls), &sent);
        tls_sent(c->tls, sent);
    } while (rc == 1 && sent > 0 && buf_len(&c->out) > 0);
    return rc;
}

int caller_flush(struct caller *c)
{
    size_t sent;

    if (c->tls != NULL) {
        return flush_tls(c);
    }
    int rc = caller_send_bytes(c, buf_str(&c->out), &sent);
    buf_consume(&c->out, sent);
    return rc;
}

static bool receive_tls(struct caller *c, struct str bytes)
{
    struct err err;
    enum tls_state state = tls_receive(c->tls, bytes, &c->in, &err);

    if (state == TLS_FAILED) {
        (void)caller_flush(c); /* the alert */
        return false;
    }
    if (state == TLS_CLOSED) {
        c->ended = true;
    }
    if (state != TLS_HANDSHAKE && c->state == HANDSHAKE) {
        caller_move(c, IDLE);
    }
    return true;
}

/* Keeps the descriptors of a message, up to what one request may bring; closes the others. */
static void keep_fds(struct caller *c, struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part != NULL;
         part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof(fd));
            if (c->state == HANDLING || c->fd_count == LIMIT_SESSION_SOCKETS ||
                c->server->fd_count >= FDS_MAX) {
                (void)close(fd);
            } else {
                c->fds[c->fd_count++] = fd;
                c->server->fd_count++;
            }
        }
    }
}

static ssize_t receive_bytes(struct caller *c, unsigned char *bytes, size_t size)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * LIMIT_SESSION_SOCKETS)];
    } control;
    struct iovec part = {bytes, size};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &control,
                             .msg_controllen = sizeof(control)};

    if (!c->peer.unix_socket) {
        return recv(c->fd, bytes, size, 0);
    }
    ssize_t got = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC);
    if (got >= 0) {
        keep_fds(c, &message);
    }
    return got;
}

bool caller_receive(struct caller *c)
{
    unsigned char bytes[READ_BYTES];
    ssize_t got = receive_bytes(c, bytes, sizeof(bytes));
    bool good = true;

    if (got < 0) {
        return errno == EAGAIN || errno == EINTR;
    }
    if (got == 0) {
        c->ended = true;
        return c->state != LINGER && c->state != HANDSHAKE;
    }
    struct str text = str_of(bytes, (size_t)got);
    if (c->state == LINGER) {
        c->lingered += text.len;
        good = c->lingered <= LINGER_BYTES;
    } else if (c->tls != NULL) {
        good = receive_tls(c, text);
    } else {
        good = buf_add_str(&c->in, text);
    }
    mem_wipe(bytes, (size_t)got);
    return good;
}
