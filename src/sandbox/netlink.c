/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/netlink.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/netlink.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_BYTES = 8192, NESTED = 1 << 15 };

static void put(struct netlink *out, const void *data, size_t len)
{
    size_t padded = (len + 3) & ~(size_t)3;

    assert(out->len + padded <= sizeof(out->bytes)); /* what is said here is fixed */
    memset(out->bytes + out->len, 0, padded);
    if (len > 0) {
        memcpy(out->bytes + out->len, data, len);
    }
    out->len += padded;
}

void netlink_begin(struct netlink *out, uint16_t type, uint16_t flags, const void *head,
                   size_t head_len)
{
    struct nlmsghdr header = {
        .nlmsg_type = type, .nlmsg_flags = flags | NLM_F_REQUEST, .nlmsg_seq = ++out->sequence};

    out->message = out->len;
    put(out, &header, sizeof(header));
    put(out, head, head_len);
}

static void set_u32(struct netlink *out, size_t at, uint32_t value)
{
    memcpy(out->bytes + at, &value, sizeof(value));
}

void netlink_end(struct netlink *out)
{
    set_u32(out, out->message + offsetof(struct nlmsghdr, nlmsg_len),
            (uint32_t)(out->len - out->message));
}

void netlink_add(struct netlink *out, uint16_t type, const void *data, size_t len)
{
    struct nlattr attribute = {.nla_len = (uint16_t)(sizeof(attribute) + len), .nla_type = type};

    put(out, &attribute, sizeof(attribute));
    put(out, data, len);
}

void netlink_add_text(struct netlink *out, uint16_t type, const char *text)
{
    netlink_add(out, type, text, strlen(text) + 1);
}

void netlink_add_u32(struct netlink *out, uint16_t type, uint32_t value)
{
    netlink_add(out, type, &value, sizeof(value));
}

void netlink_add_be32(struct netlink *out, uint16_t type, uint32_t value)
{
    netlink_add_u32(out, type, htonl(value));
}

size_t netlink_open(struct netlink *out, uint16_t type)
{
    size_t at = out->len;
    struct nlattr attribute = {.nla_type = (uint16_t)(type | NESTED)};

    put(out, &attribute, sizeof(attribute));
    return at;
}

void netlink_close(struct netlink *out, size_t at)
{
    uint16_t len = (uint16_t)(out->len - at);

    memcpy(out->bytes + at + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

/* How many acknowledgements were in these bytes; -1 with errno when one was a refusal. */
static int count_acks(const unsigned char *bytes, size_t len)
{
    int acks = 0;

    for (size_t at = 0; at + sizeof(struct nlmsghdr) <= len;) {
        struct nlmsghdr header;
        int code;
        memcpy(&header, bytes + at, sizeof(header));
        if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > len - at) {
            errno = EBADMSG;
            return -1;
        }
        if (header.nlmsg_type == NLMSG_ERROR && header.nlmsg_len >= sizeof(header) + sizeof(code)) {
            memcpy(&code, bytes + at + sizeof(header), sizeof(code));
            if (code != 0) {
                errno = -code;
                return -1;
            }
            acks++;
        }
        at += NLMSG_ALIGN(header.nlmsg_len);
    }
    return acks;
}

static int converse(int fd, const struct netlink *out, unsigned acks)
{
    _Alignas(4) unsigned char answer[ANSWER_BYTES];
    struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

    if (sendto(fd, out->bytes, out->len, 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0) {
        return -1;
    }
    for (unsigned seen = 0; seen < acks;) {
        ssize_t got = recv(fd, answer, sizeof(answer), 0);
        int some = got < 0 ? -1 : count_acks(answer, (size_t)got);
        if (some < 0) {
            return -1;
        }
        seen += (unsigned)some;
    }
    return 0;
}

int netlink_talk(const struct netlink *out, int protocol, unsigned acks, const char *what,
                 struct err *err)
{
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);

    if (fd < 0) {
        return err_errno(err, "cannot configure the sandbox's network (%s)", what);
    }
    int rc = converse(fd, out, acks);
    int problem = errno;
    (void)close(fd);
    errno = problem;
    if (rc < 0) {
        (void)err_errno(err, "cannot configure the sandbox's network (%s)", what);
        errno = problem;
    }
    return rc;
}
