/* SPDX-License-Identifier: Apache-2.0 */
/*
 * house_parts: what the five files of the house have of one another.  The parent needs house.h
 * only.
 */
#ifndef PARENT_HOUSE_PARTS_H
#define PARENT_HOUSE_PARTS_H

#include "parent/house.h"

/* ---- house.c: who there is ---- */

struct process_name {
    char text[32];
};

struct process_name house_name(const struct process *process); /* "gate.0", "judge" */
struct process *house_find(struct house *house, enum process_role role,
                           uint32_t index);      /* or NULL */
bool house_lives(const struct process *process); /* and can be spoken to */
void house_move(struct process *process, enum process_state next);
void house_kill(struct process *process, const char *why);

/* ---- house_hear.c: what they say ---- */

/* `fd` is the parent's end of the channel to that process; taken over. */
void house_listen(struct process *process, int fd);
/* A sandbox is over: its gate is told, its sockets are forgotten. */
void house_end_session(struct house *house, struct str session);

/* ---- house_supply.c: what they are given ---- */

/* One that does not take what is said is stuck, and killed.  `fd` is borrowed. */
void house_tell(struct process *process, enum message_type type, const void *message);
void house_hand(struct process *process, enum message_type type, const void *message, int fd);
void house_send_birth(struct process *process); /* before its channels */
void house_send_start(struct process *process); /* and it is STARTED */

/* ---- house_birth.c ---- */

/* Starts whoever may be started now; tells when all are ready. */
void house_advance(struct house *house);
void house_bear_in(struct process *process, uint64_t ms);
void house_rise_in(struct house *house, uint64_t ms); /* all of them */

/* ---- house_death.c ---- */

/* Its channel is read to the end and its status known; which of the two comes first is chance. */
void house_bury(struct process *process);

#endif
