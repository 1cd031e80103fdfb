/* SPDX-License-Identifier: Apache-2.0 */
#include "sandbox/names_serve.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

enum { CLIENT_MS = 5000, DATAGRAMS_A_TURN = 64 };

void names_serve_init(struct names_serve *names, int udp, int tcp)
{
    *names = (struct names_serve){.udp = udp, .tcp = tcp};
    for (size_t i = 0; i < NAMES_SERVE_CLIENTS; i++) {
        names->clients[i].fd = -1;
    }
}

size_t names_serve_waits(const struct names_serve *names, struct pollfd *ret_waits)
{
    size_t count = 0;

    ret_waits[count++] = (struct pollfd){.fd = names->udp, .events = POLLIN};
    ret_waits[count++] = (struct pollfd){.fd = names->tcp, .events = POLLIN};
    for (size_t i = 0; i < NAMES_SERVE_CLIENTS; i++) {
        ret_waits[count++] = (struct pollfd){.fd = names->clients[i].fd, .events = POLLIN};
    }
    return count;
}

int names_serve_patience_ms(const struct names_serve *names)
{
    for (size_t i = 0; i < NAMES_SERVE_CLIENTS; i++) {
        if (names->clients[i].fd >= 0) {
            return CLIENT_MS;
        }
    }
    return -1;
}

static void drop(struct names_client *client)
{
    (void)close(client->fd);
    client->fd = -1;
}

static void answer_datagrams(int fd)
{
    for (int i = 0; i < DATAGRAMS_A_TURN; i++) {
        unsigned char question[NAMES_QUESTION_MAX], answer[NAMES_ANSWER_MAX];
        struct sockaddr_in6 from;
        struct iovec in = {question, sizeof(question)};
        struct msghdr header = {
            .msg_name = &from, .msg_namelen = sizeof(from), .msg_iov = &in, .msg_iovlen = 1};
        ssize_t got = recvmsg(fd, &header, MSG_DONTWAIT);
        if (got < 0) {
            return;
        }
        size_t len = names_answer(question, (size_t)got, answer);
        if (len == 0) {
            continue;
        }
        struct iovec out = {answer, len};
        header.msg_iov = &out;
        (void)sendmsg(fd, &header, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
}

static void accept_client(struct names_serve *names)
{
    struct names_client *place = &names->clients[0];
    int fd = accept4(names->tcp, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

    if (fd < 0) {
        return;
    }
    for (size_t i = 0; i < NAMES_SERVE_CLIENTS; i++) {
        struct names_client *other = &names->clients[i];
        if (other->fd < 0) {
            place = other;
            break;
        }
        if (other->since_ms < place->since_ms) {
            place = other;
        }
    }
    if (place->fd >= 0) {
        drop(place);
    }
    place->fd = fd;
    place->len = 0;
    place->since_ms = clock_boot_ms();
}

/* One question at a time; false when the connection is over. */
static int answer_stream(struct names_client *client)
{
    while (client->len >= 2) {
        size_t want = (size_t)client->bytes[0] << 8 | client->bytes[1];
        unsigned char answer[2 + NAMES_ANSWER_MAX];
        if (want > NAMES_QUESTION_MAX) {
            return -1;
        }
        if (client->len < 2 + want) {
            return 0;
        }
        size_t len = names_answer(client->bytes + 2, want, answer + 2);
        answer[0] = (unsigned char)(len >> 8);
        answer[1] = (unsigned char)len;
        /* It fits a fresh socket's buffer; who does not read has no use for it. */
        if (len == 0 ||
            send(client->fd, answer, 2 + len, MSG_DONTWAIT | MSG_NOSIGNAL) != (ssize_t)(2 + len)) {
            return -1;
        }
        client->len -= 2 + want;
        memmove(client->bytes, client->bytes + 2 + want, client->len);
    }
    return 0;
}

static void read_client(struct names_client *client)
{
    ssize_t got = recv(client->fd, client->bytes + client->len, sizeof(client->bytes) - client->len,
                       MSG_DONTWAIT);

    if (got <= 0) {
        drop(client);
        return;
    }
    client->len += (size_t)got;
    if (answer_stream(client) < 0) {
        drop(client);
    }
}

void names_serve_turn(struct names_serve *names, const struct pollfd *waits, size_t count)
{
    uint64_t now_ms = clock_boot_ms();

    for (size_t i = 0; i < NAMES_SERVE_CLIENTS && i + 2 < count; i++) {
        struct names_client *client = &names->clients[i];
        if (client->fd >= 0 && waits[i + 2].fd == client->fd && waits[i + 2].revents != 0) {
            read_client(client);
        }
        if (client->fd >= 0 && now_ms - client->since_ms > CLIENT_MS) {
            drop(client);
        }
    }
    if (count > 0 && waits[0].revents != 0) {
        answer_datagrams(names->udp);
    }
    if (count > 1 && waits[1].revents != 0) {
        accept_client(names);
    }
}
