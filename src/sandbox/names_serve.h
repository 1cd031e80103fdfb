/* SPDX-License-Identifier: Apache-2.0 */
/*
 * names_serve: names.h over UDP and TCP, for a poll() loop of whoever lives in the sandbox's
 * network.
 */
#ifndef SANDBOX_NAMES_SERVE_H
#define SANDBOX_NAMES_SERVE_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

#include "sandbox/names.h"

enum {
    NAMES_SERVE_CLIENTS = 16, /* over TCP at one time; the oldest makes room */
    NAMES_SERVE_FDS = 2 + NAMES_SERVE_CLIENTS,
};

struct names_client {
    int fd; /* -1: free */
    uint64_t since_ms;
    size_t len;
    unsigned char bytes[2 + NAMES_QUESTION_MAX];
};

struct names_serve {
    int udp, tcp;
    struct names_client clients[NAMES_SERVE_CLIENTS];
};

void names_serve_init(struct names_serve *names, int udp, int tcp);
size_t names_serve_waits(const struct names_serve *names, struct pollfd *ret_waits);
int names_serve_patience_ms(const struct names_serve *names); /* for poll(); -1: any time */
void names_serve_turn(struct names_serve *names, const struct pollfd *waits, size_t count);

#endif
