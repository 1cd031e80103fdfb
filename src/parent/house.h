/* SPDX-License-Identifier: Apache-2.0 */
/*
 * house: the processes: their births, their deaths, and the channels between them.
 *
 *     ABSENT -> BORN -> STARTED -> READY -> DRAINING -> DRAINED
 *        ^________|________|_________|__________|__________|   (death)
 *
 * The scribe is started first, the judge when the scribe is ready, the others when the judge is.
 * A gate, reader, vault or control that dies comes back alone, with new channels; when the judge or
 * the scribe dies, all come back.  One that dies again soon waits: nothing twice, then 1 s,
 * doubling to 30 s.
 */
#ifndef PARENT_HOUSE_H
#define PARENT_HOUSE_H

#include "base/secret.h"
#include "ipc/channel.h"
#include "os/loop.h"
#include "parent/handed.h"
#include "parent/listeners.h"

enum process_state { ABSENT, BORN, STARTED, READY, DRAINING, DRAINED, PROCESS_STATE_COUNT };

struct house;

struct process {
    struct house *house;
    enum process_role role;
    uint32_t index;
    uint64_t incarnation;
    enum process_state state;
    pid_t pid;               /* 0: not there, or buried */
    struct channel *channel; /* NULL: not there, or read to its end */
    int exit_status;         /* as waitpid gave it */
    uint64_t born_ms;
    unsigned quick_deaths; /* in a row */
    struct loop_timer rebirth;
    bool silent; /* has not answered the last ping */
    /* A one-shot process: told its answer, or its death without one (message NULL). */
    void (*answered)(void *ctx, const struct message_compiled *message, int fd);
    bool has_answered;
};

/* What children get; all of it borrowed from the parent, and replaced by it at a reload. */
struct supplies {
    int program_fd;
    const char *data_dir, *user; /* user: "" to stay */
    int config_fd;
    uint64_t generation;
    int unseal_fd;
    const struct listeners *listeners;
    bool has_certificate;
    struct str chain_pem;
    struct secret key_pem;
    struct message_resolver resolver;
    struct str ca;
};

struct house {
    struct loop *loop;
    struct supplies supplies;
    struct process *processes; /* scribe, judge, control, then vault, reader, gate of each index */
    size_t count;
    struct process check, unlock;
    struct handed handed; /* sockets of sandboxes */
    uint64_t births;      /* gives incarnations */
    bool opened;          /* was once ready as a whole */
    bool falling;  /* the judge or the scribe died: everybody goes, then all are born again */
    bool stopping; /* nobody is born again */
    uint64_t risen_ms;
    unsigned quick_falls;
    struct loop_timer rise, ping;
    void (*ready)(void *ctx);                   /* all are, for the first time or again */
    void (*changed)(void *ctx);                 /* a process died or drained while stopping */
    void (*failed)(void *ctx, const char *why); /* the server cannot go on */
    void *ctx;
};

void house_init(struct house *house, struct loop *loop, uint32_t gates);
void house_clear(struct house *house);

void house_open(struct house *house); /* everybody is born */
bool house_is_ready(const struct house *house);

/* One-shot: `answered` is called once.  `extra` are further arguments, ended by NULL. */
void house_ask(struct house *house, struct process *one_shot, enum process_role role,
               const char *const *extra,
               void (*answered)(void *ctx, const struct message_compiled *message, int fd));
void house_dismiss(struct process *process); /* closes its channel, at which it exits */

void house_reap(struct house *house); /* on SIGCHLD */

void house_send_config(struct house *house);      /* to all that live */
void house_send_certificate(struct house *house); /* gates and control */
void house_send_ca(struct house *house);          /* vaults and control */
void house_send_resolver(struct house *house);    /* vaults */

/* Stopping: tells the processes of `role` to finish.  False when there is none left to wait for. */
void house_stop(struct house *house); /* from now on nobody is born again */
bool house_drain(struct house *house, enum process_role role);
void house_kill_role(struct house *house, enum process_role role);
void house_dismiss_all(struct house *house);
void house_kill_all(struct house *house);
bool house_is_empty(const struct house *house);

#endif
