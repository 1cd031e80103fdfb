/* SPDX-License-Identifier: Apache-2.0 */
/*
 * listeners: the sockets of doors and of the control API.  The parent binds them once and keeps
 * them open across the deaths of gates; gates get duplicates.
 */
#ifndef PARENT_LISTENERS_H
#define PARENT_LISTENERS_H

#include <sys/types.h>

#include "base/err.h"
#include "ipc/message.h"
#include "parent/settings.h"

struct listener {
    uint32_t number; /* of config->listeners */
    bool tls, control, unix_socket;
    enum listener_kind kind; /* of a door */
    char text[128];          /* the address, with the port that it really has */
    int *fds;                /* of a door over TCP: one a gate; else one */
    size_t fd_count;
    mode_t mode; /* of a Unix socket */
    gid_t group;
};

struct listeners {
    struct listener *all;
    size_t count;
};

/* `control_group` may use the control socket; (gid_t)-1: only our own user. */
int listeners_open(struct listeners *listeners, const struct settings *settings,
                   const char *data_dir, gid_t control_group, struct err *err);
void listeners_close(struct listeners *listeners); /* and removes Unix sockets */

/* The socket for that gate's birth.  Who holds a listening socket can shut it down for all who hold
 * it: one that does not listen any more is made anew, so that an intruder's gate takes no door with
 * it.  The old one is given when that fails; *err then says why. */
int listener_fd(struct listener *listener, uint32_t gate, struct err *err);

#endif
