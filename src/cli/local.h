/* SPDX-License-Identifier: Apache-2.0 */
/*
 * local: calls of the control API over DIR/run/control.sock, without a library: with descriptors
 * beside a request, and a connection that stays.  `run` and `attach` speak so; all other commands
 * use client.h.
 */
#ifndef CLI_LOCAL_H
#define CLI_LOCAL_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"
#include "cli/command.h"

struct local_call {
    const char *method, *path;
    struct str body; /* JSON; empty: none */
    const int *fds;
    size_t fd_count;
};

/* A connection, or -1 with the reason. */
int local_connect(const struct invocation *invocation, struct err *err);
/* 0 and *ret_json on 2xx (json_decref() it), -1 with the server's own sentence else. */
int local_ask(int fd, const struct local_call *call, json_t **ret_json, struct err *err);

#endif
