/* SPDX-License-Identifier: Apache-2.0 */
/*
 * child: what every process but the parent does at birth.
 *
 * The parent starts it by fexecve of our own binary with argv { "keybrake-ROLE", INDEX,
 * INCARNATION, DATA_DIR, USER, ... }, the channel to the parent on descriptor 3, stderr on 2,
 * /dev/null on 0 and 1, all else closed, and an empty environment.  Only the one-shot roles have
 * more arguments.  main() sees argv[0] and calls the role's ROLE_main(argc,
 * argv), which reads:
 *
 *     child_init(&child, argc, argv)     loop, log name, digest_setup, signals ignored
 *     ... what must be opened before confinement ...
 *     child_confine(&child, &confine)    exits when refused
 *     child_run(&child, &events, ctx)    parent's messages, until told to end
 *
 * PING is answered, DRAIN and START are passed on; when the parent's channel ends, the process
 * exits.  It exits too if the parent dies before that (PR_SET_PDEATHSIG).
 */
#ifndef IPC_CHILD_H
#define IPC_CHILD_H

#include <stdint.h>

#include "ipc/channel.h"
#include "ipc/message.h"
#include "os/confine.h"
#include "os/loop.h"

struct child {
    enum process_role role;
    uint32_t index;
    uint64_t incarnation;
    const char *data_dir;
    const char *user; /* NULL: stay */
    struct loop *loop;
    struct channel *parent;
    const struct child_events *events;
    void *ctx;
};

enum {
    /* Exit status of a child that says: starting me again does not help (refused confinement, a
     * broken store).  The parent then ends the whole server. */
    CHILD_EXIT_FATAL = 70,
};

/* Any of them may be NULL: then such a message is a fault of the parent, and we exit; but without
 * `drain` there is nothing to finish, and DRAINED is said at once. */
struct child_events {
    /* A channel to a peer; the process owns `fd` from here and makes a channel of it.  When a peer
     * was reborn, this is its second one: the old channel is drained to its end. */
    void (*channel)(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                    int fd);
    void (*gone)(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation);
    void (*config)(void *ctx, uint64_t generation, int fd);
    void (*listener)(void *ctx, const struct message_listener *listener, int fd);
    void (*door)(void *ctx, const struct message_door *door);
    void (*session_end)(void *ctx, const struct message_session_end *session);
    void (*certificate)(void *ctx, const struct message_certificate *certificate);
    void (*ca)(void *ctx, const struct message_ca *ca);
    void (*unseal_key)(void *ctx, int fd);
    void (*resolver)(void *ctx, const struct message_resolver *resolver);
    void (*start)(void *ctx); /* say child_ready() when requests may come */
    void (*drain)(void *ctx); /* say child_drained() when done */
};

void child_init(struct child *child, enum process_role role, int argc, char **argv);
void child_confine(struct child *child, const struct confine *confine);
int child_run(struct child *child, const struct child_events *events, void *ctx);

void child_ready(struct child *child);
void child_drained(struct child *child);
/* control: a sandbox's socket for the gate whose index is in `listener`; and its session's end. */
void child_hand_listener(struct child *child, const struct message_listener *message, int fd);
void child_session_end(struct child *child, struct str session);
void child_fault(struct child *child, enum process_role peer, uint32_t index, const char *why);
void child_kill(struct child *child, enum process_role peer, uint32_t index, uint64_t incarnation);

#endif
