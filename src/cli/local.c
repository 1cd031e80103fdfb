/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/local.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/mem.h"
#include "http/body.h"
#include "http/head.h"

enum { ANSWER_MAX = 4 * 1024 * 1024, PIECE = 16 * 1024, PATIENCE_S = 60 };

int local_connect(const struct invocation *invocation, struct err *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *data = data_directory(invocation);
    struct timeval patience = {.tv_sec = PATIENCE_S};

    if (getenv("KEYBRAKE_URL") != NULL) {
        return err_set(err, "this command needs the server on this machine; KEYBRAKE_URL names "
                            "another");
    }
    if (snprintf(address.sun_path, sizeof(address.sun_path), "%s/run/control.sock", data) >=
        (int)sizeof(address.sun_path)) {
        return err_set(err, "the data directory's name is too long for a socket: '%s'", data);
    }
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0) {
        const char *why = errno == EACCES ? ", as another user" : "";
        if (fd >= 0) {
            (void)close(fd);
        }
        return err_set(err,
                       "no server answers at %s: is `keybrake serve` running with this data "
                       "directory (--data)%s?",
                       address.sun_path, why);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    return fd;
}

static void write_request(struct buf *out, const struct local_call *call)
{
    const char *token = getenv("KEYBRAKE_TOKEN");

    (void)buf_addf(out, "%s %s HTTP/1.1\r\nHost: localhost\r\n", call->method, call->path);
    if (token != NULL && token[0] != '\0') {
        (void)buf_addf(out, "Authorization: Bearer %s\r\n", token);
    }
    if (call->body.len > 0) {
        (void)buf_addf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n",
                       call->body.len);
    }
    (void)buf_add_str(out, STR("\r\n"));
    (void)buf_add_str(out, call->body);
}

/* The descriptors go with the first byte. */
static int send_all(int fd, struct str bytes, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * LIMIT_SESSION_SOCKETS)];
    } control = {.bytes = {0}};

    while (bytes.len > 0) {
        struct iovec part = {(void *)(uintptr_t)bytes.data, bytes.len};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        if (fd_count > 0) {
            message.msg_control = &control;
            message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
            struct cmsghdr *header = &control.header;
            header->cmsg_level = SOL_SOCKET;
            header->cmsg_type = SCM_RIGHTS;
            header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
            memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
        }
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno != EINTR) {
            return -1;
        }
        if (sent > 0) {
            bytes = str_slice(bytes, (size_t)sent, bytes.len);
            fd_count = 0;
        }
    }
    return 0;
}

static int receive_more(int fd, struct buf *in, struct err *err)
{
    unsigned char *room = buf_room(in, PIECE);
    ssize_t got;

    if (room == NULL) {
        return err_set(err, "the server's answer is too large");
    }
    do {
        got = recv(fd, room, PIECE, 0);
    } while (got < 0 && errno == EINTR);
    if (got <= 0) {
        return got == 0 ? err_set(err, "the server has ended") : err_errno(err, "the server");
    }
    buf_added(in, (size_t)got);
    return 0;
}

static int refused(unsigned status, struct str body, struct err *err)
{
    json_t *problem = json_loadb(body.len == 0 ? "" : body.data, body.len, 0, NULL);
    const char *detail = json_string_value(json_object_get(problem, "detail"));
    int rc = detail != NULL ? err_set(err, "%s", detail)
                            : err_set(err, "the server answered %u", status);

    json_decref(problem);
    return rc;
}

static int receive_head(int fd, struct str method, struct buf *in, struct http_head *head,
                        struct err *err)
{
    struct http_problem problem;
    size_t used = 0;

    for (;;) {
        enum http_result result =
            buf_len(in) == 0 ? HTTP_MORE
                             : http_parse_response((char *)in->data + in->start, buf_len(in),
                                                   method, head, &used, &problem);
        if (result == HTTP_OK) {
            buf_consume(in, used); /* of the head, only numbers are needed from here on */
            return 0;
        }
        if (result == HTTP_BAD) {
            return err_set(err, "the server's answer is not to be understood: %s", problem.text);
        }
        if (receive_more(fd, in, err) < 0) {
            return -1;
        }
    }
}

static int receive_body(int fd, const struct http_head *head, struct buf *in, struct buf *body,
                        struct err *err)
{
    struct http_body framing;

    http_body_begin(&framing, head->body, head->content_length);
    for (;;) {
        struct str rest = buf_str(in), data;
        size_t before = rest.len;
        enum http_body_result result = http_body_read(&framing, &rest, &data);
        bool good =
            result != HTTP_BODY_BAD && (result != HTTP_BODY_DATA || buf_add_str(body, data));
        buf_consume(in, before - rest.len);
        if (result == HTTP_BODY_END) {
            return 0;
        }
        if (!good) {
            return err_set(err, "the server's answer is not to be understood");
        }
        if (result == HTTP_BODY_MORE && receive_more(fd, in, err) < 0) {
            return -1;
        }
    }
}

int local_ask(int fd, const struct local_call *call, json_t **ret_json, struct err *err)
{
    struct http_head *head = mem_zeroed(sizeof(*head));
    struct buf out, in, body;
    int rc = -1;

    buf_init_wiped(&out, LIMIT_API_BODY_BYTES + LIMIT_HEAD_BYTES);
    buf_init_wiped(&in, ANSWER_MAX);
    buf_init_wiped(&body, ANSWER_MAX);
    write_request(&out, call);
    if (send_all(fd, buf_str(&out), call->fds, call->fd_count) < 0) {
        (void)err_errno(err, "cannot speak with the server");
    } else if (receive_head(fd, str_from(call->method), &in, head, err) == 0 &&
               receive_body(fd, head, &in, &body, err) == 0) {
        struct str text = buf_len(&body) == 0 ? STR("null") : buf_str(&body);
        if (head->status < 200 || head->status > 299) {
            (void)refused(head->status, text, err);
        } else {
            *ret_json = json_loadb(text.data, text.len, JSON_DECODE_ANY, NULL);
            rc = *ret_json != NULL ? 0 : err_set(err, "the server's answer is not JSON");
        }
    }
    buf_clear(&out);
    buf_clear(&in);
    buf_clear(&body);
    free(head);
    return rc;
}
