/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/talk.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "sandbox/network.h"

void talk_tell(int fd, char kind, const void *data, size_t len, const int *fds, size_t fd_count)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int) * NETWORK_CAPTURES_MAX)];
    } control;
    struct iovec parts[] = {{&kind, 1}, {(void *)(uintptr_t)data, len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = len == 0 ? 1 : 2};

    if (fd_count > 0) {
        message.msg_control = &control;
        message.msg_controllen = CMSG_SPACE(sizeof(int) * fd_count);
        struct cmsghdr *header = &control.header;
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(sizeof(int) * fd_count);
        memcpy(CMSG_DATA(header), fds, sizeof(int) * fd_count);
    }
    (void)sendmsg(fd, &message, MSG_NOSIGNAL);
}

void talk_fail(int fd, const struct err *err)
{
    talk_tell(fd, TALK_PROBLEM, err->text, strlen(err->text), NULL, 0);
    _exit(EXIT_FAILURE);
}
