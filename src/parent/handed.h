/* SPDX-License-Identifier: Apache-2.0 */
/*
 * handed: listening sockets that were made inside sandboxes and handed to us by way of control.
 *
 * Kept here so that a gate which dies takes no sandbox with it: the next one of its index gets them
 * again.  They go when control says that the session is over, or when control itself goes, which is
 * the only one to know.
 */
#ifndef PARENT_HANDED_H
#define PARENT_HANDED_H

#include "base/list.h"
#include "base/secret.h"
#include "ipc/message.h"

struct handed {
    struct list sockets;
    size_t count;
};

struct handed_socket {
    struct list link;
    char *session;
    uint32_t gate;
    int fd;
    char *ca_pem;
    struct secret ca_key;
};

void handed_init(struct handed *handed);

/* Takes over `fd`.  NULL: it was closed, since there are too many or nothing is right with it. */
struct handed_socket *handed_add(struct handed *handed, const struct message_listener *message,
                                 int fd);
/* What its gate is told.  Borrowed. */
struct message_listener handed_message(const struct handed_socket *socket);

/* Any socket of the session; NULL: there is none. */
const struct handed_socket *handed_find(const struct handed *handed, struct str session);
void handed_drop(struct handed *handed, struct str session); /* STR_NONE: all */

#endif
