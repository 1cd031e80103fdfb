/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/handed.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/mem.h"

enum { SOCKETS_MAX = LIMIT_SESSIONS * 4 }; /* a session mostly has two */

void handed_init(struct handed *handed)
{
    list_init(&handed->sockets);
    handed->count = 0;
}

struct handed_socket *handed_add(struct handed *handed, const struct message_listener *message,
                                 int fd)
{
    struct handed_socket *socket = mem_zeroed(sizeof(*socket));
    struct err err;

    if (handed->count >= SOCKETS_MAX || message->kind != LISTENER_SESSION ||
        message->session.len == 0 || fd < 0 ||
        (message->ca_key.len > 0 && secret_new(&socket->ca_key, message->ca_key.len, &err) < 0)) {
        if (fd >= 0) {
            (void)close(fd);
        }
        free(socket);
        return NULL;
    }
    if (message->ca_key.len > 0) {
        memcpy(socket->ca_key.data, message->ca_key.data, message->ca_key.len);
    }
    socket->session = mem_copy_str(message->session);
    socket->ca_pem = mem_copy_str(message->ca_pem);
    socket->gate = message->listener;
    socket->fd = fd;
    list_init(&socket->link);
    list_add(&handed->sockets, &socket->link);
    handed->count++;
    return socket;
}

struct message_listener handed_message(const struct handed_socket *socket)
{
    return (struct message_listener){
        .listener = socket->gate,
        .address = STR("sandbox"),
        .kind = LISTENER_SESSION,
        .session = str_from(socket->session),
        .ca_pem = str_from(socket->ca_pem),
        .ca_key = str_of(socket->ca_key.data, socket->ca_key.size),
    };
}

const struct handed_socket *handed_find(const struct handed *handed, struct str session)
{
    for (struct list *at = handed->sockets.next; at != &handed->sockets; at = at->next) {
        const struct handed_socket *socket = LIST_THING(at, struct handed_socket, link);
        if (str_equal(str_from(socket->session), session)) {
            return socket;
        }
    }
    return NULL;
}

void handed_drop(struct handed *handed, struct str session)
{
    struct list *next;

    for (struct list *at = handed->sockets.next; at != &handed->sockets; at = next) {
        struct handed_socket *socket = LIST_THING(at, struct handed_socket, link);
        next = at->next;
        if (session.len > 0 && !str_equal(str_from(socket->session), session)) {
            continue;
        }
        list_remove(&socket->link);
        handed->count--;
        (void)close(socket->fd);
        secret_clear(&socket->ca_key);
        free(socket->ca_pem);
        free(socket->session);
        free(socket);
    }
}
