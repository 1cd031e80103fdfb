/* SPDX-License-Identifier: Apache-2.0 */
/*
 * env: the variables that make a vendor's SDKs in a sandbox talk to us, from the pack's list.
 */
#ifndef CONTROL_ENV_H
#define CONTROL_ENV_H

#include <jansson.h>

#include "base/arena.h"
#include "base/json_out.h"
#include "pack/pack.h"

/* An object.  `token` takes the place of ${token}, the door's base that of ${base}, and fields of
 * `public_fields` (a JSON object; may be NULL) those of their names; a variable of which a part is
 * not known is left out. */
void env_write(struct json_out *out, const struct config *config, const struct pack *pack,
               struct str token, const json_t *public_fields, struct arena *arena);
/* The same with another URL than our public one. */
void env_write_at(struct json_out *out, struct str url, const struct pack *pack, struct str token,
                  const json_t *public_fields);

/* Whether any variable needs the credential's public fields. */
bool env_needs_fields(const struct pack *pack);

#endif
