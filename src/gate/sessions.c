/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions: sandboxes whose listening sockets were handed to us.  A session lives as long as
 * one of its sockets or connections; SESSION_END ends them all.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "gate/tunnel.h"

static struct gate_session *find(struct gate *gate, struct str id)
{
    for (struct list *at = gate->sessions.next; at != &gate->sessions; at = at->next) {
        struct gate_session *session = LIST_THING(at, struct gate_session, link);
        if (!session->ended && str_equal(session->id, id)) {
            return session;
        }
    }
    return NULL;
}

struct gate_session *session_of(struct gate *gate, const struct message_listener *message)
{
    struct gate_session *session = find(gate, message->session);

    if (message->session.len == 0) {
        log_error("session", "why=\"a listener of no session\"");
        return NULL;
    }
    if (session == NULL) {
        session = mem_zeroed(sizeof(*session));
        session->gate = gate;
        session->id_text = mem_copy_str(message->session);
        session->id = str_from(session->id_text);
        list_init(&session->link);
        if (!session_take_ca(session, message->ca_pem, message->ca_key)) {
            free(session->id_text);
            free(session);
            return NULL;
        }
        list_add(&gate->sessions, &session->link);
    }
    session->users++;
    return session;
}

void session_leave(struct gate_session *session)
{
    if (session == NULL || --session->users > 0) {
        return;
    }
    list_remove(&session->link);
    session_drop_ca(session);
    free(session->id_text);
    free(session);
}

static void close_connections(struct list *clients, const struct gate_session *session)
{
    for (struct list *at = clients->next, *next; at != clients; at = next) {
        struct visitor *client = LIST_THING(at, struct visitor, link);
        next = at->next;
        if (client->session == session) {
            visitor_gone(client);
        }
    }
}

void session_end(struct gate *gate, struct str id)
{
    struct gate_session *session = find(gate, id);

    if (session == NULL) {
        return;
    }
    session->users++; /* until we are done with it */
    session->ended = true;
    for (struct list *at = gate->listeners.next, *next; at != &gate->listeners; at = next) {
        struct listener *listener = LIST_THING(at, struct listener, link);
        next = at->next;
        if (listener->session == session) {
            door_close(listener);
        }
    }
    close_connections(&gate->clients, session);
    close_connections(&gate->unfinished, session);
    close_connections(&gate->drains, session);
    close_connections(&gate->idle, session);
    session_leave(session);
}
