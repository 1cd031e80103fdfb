/* SPDX-License-Identifier: Apache-2.0 */
/*
 * sandboxes: sessions, as control sees them.
 *
 *     POST /v1/sessions  {"keys": [ POLICY, ... ], "ca_pem": "...", "ca_key": BASE64}
 *
 * over the local socket, with the listening sockets that were made inside the sandbox as
 * descriptors beside it.  The answer has the session's id and the keys with their tokens and
 * variables.  From then on the connection *is* the session: when it ends, or the process that made
 * it, the keys are revoked and the sockets closed.  The launcher may say why in one line, and then
 * hears "ended" when that is durable.
 */
#ifndef CONTROL_SANDBOXES_H
#define CONTROL_SANDBOXES_H

#include "control/api.h"

void sandboxes_reply(struct api *api, const struct message_reply *reply); /* of an api_call() */
void sandboxes_close(struct api *api);                                    /* all of them: we end */

#endif
