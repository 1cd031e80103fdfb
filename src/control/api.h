/* SPDX-License-Identifier: Apache-2.0 */
/*
 * api: the operator's API, without the process around it.
 *
 * A request becomes a job: found in the table of routes, its JSON parsed and checked, asked of the
 * judge as a CALL, and answered with what the judge says.  The judge decides who may do what: a
 * bearer token goes to it as its SHA-256, and whoever is at the local socket as root or as our own
 * user is said to be local.
 */
#ifndef CONTROL_API_H
#define CONTROL_API_H

#include "control/server.h"
#include "ipc/message.h"
#include "os/loop.h"
#include "pack/pack.h"

struct api;

struct query;

/* Takes over `query`; without one (NULL), what needs the database is refused. */
struct api *api_new(struct loop *loop, struct query *query);
void api_free(struct api *api); /* takes NULL too; ends what is open */

struct server *api_server(struct api *api);

/* Takes over `config`; the earlier one is freed. */
void api_set_config(struct api *api, struct config *config);
/* Where a door of config->listeners really is: its port may have been the system's to choose. */
void api_set_door(struct api *api, uint32_t listener, struct str address);

void api_set_ca(struct api *api, struct str file); /* DIR/vault/ca; empty: there is none */

/* Takes over `fd`, the channel to the judge.  `fault` is called when the judge breaks the rules. */
void api_set_judge(struct api *api, int fd, void (*fault)(void *ctx, const char *why), void *ctx);
/* How sandboxes' sockets reach the gates. */
struct api_parent {
    void (*hand)(void *ctx, const struct message_listener *listener, int fd);
    void (*session_end)(void *ctx, struct str session);
};
void api_set_parent(struct api *api, const struct api_parent *parent, void *ctx);

bool api_is_ready(const struct api *api); /* has all that it needs */

#endif
