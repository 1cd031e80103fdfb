/* SPDX-License-Identifier: Apache-2.0 */
/*
 * client: calls of the control API, over DIR/run/control.sock, or to $KEYBRAKE_URL with the token
 * in $KEYBRAKE_TOKEN (and, for a server with a private certificate, $KEYBRAKE_CA, a file).
 */
#ifndef CLI_CLIENT_H
#define CLI_CLIENT_H

#include <jansson.h>
#include <stdio.h>

#include "base/buf.h"
#include "cli/command.h"

struct client;

struct client *client_open(const struct invocation *invocation, struct err *err); /* or NULL */
void client_close(struct client *client); /* takes NULL too */

/* One call; `body` is JSON, empty for none.  0 and *ret_json (json_decref() it; NULL when the
 * answer has no body) on 2xx; -1 with the server's own sentence in `err` else. */
int client_call(struct client *client, const char *method, const char *path, struct str body,
                json_t **ret_json, struct err *err);

/* The same with more request headers, each "Name: value", NULL at the end. */
int client_call_with(struct client *client, const char *method, const char *path,
                     const char *const *headers, struct str body, json_t **ret_json,
                     struct err *err);

/* An answer that is not JSON (an export), written to `out` as it comes. */
int client_fetch(struct client *client, const char *path, FILE *out, struct err *err);

/* Appends "&name=value" ("?" the first time), percent-encoded.  A NULL value adds nothing. */
void client_add_query(struct buf *path, const char *name, const char *value);
/* Appends one path segment, percent-encoded. */
void client_add_segment(struct buf *path, const char *segment);

#endif
