/* SPDX-License-Identifier: Apache-2.0 */
/*
 * process: the judge without its birth: what it does with channels, configurations and time.
 * judge.c gives it life; tests give it socket pairs.
 */
#ifndef JUDGE_PROCESS_H
#define JUDGE_PROCESS_H

#include "judge/state.h"

/* What the world outside does for us. */
struct process_calls {
    void (*ready)(void *ctx);
    void (*drained)(void *ctx);
    void (*kill)(void *ctx, enum process_role role, uint32_t index, uint64_t incarnation);
    void (*fault)(void *ctx, enum process_role role, uint32_t index, const char *why);
    void *ctx;
};

struct judge *process_new(struct loop *loop, const struct process_calls *calls);

void process_channel(struct judge *judge, enum process_role role, uint32_t index,
                     uint64_t incarnation, int fd);
void process_gone(struct judge *judge, enum process_role role, uint32_t index,
                  uint64_t incarnation);
void process_config(struct judge *judge, struct config *config); /* takes it over */
void process_start(struct judge *judge);
void process_drain(struct judge *judge);

#endif
