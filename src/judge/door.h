/* SPDX-License-Identifier: Apache-2.0 */
/*
 * door: whose host a request names: ours, at a base URL, or a vendor's own.
 */
#ifndef JUDGE_DOOR_H
#define JUDGE_DOOR_H

#include "pack/pack.h"

/* The base URL's rules hold: the vendor is the path's first segment, the host's first label, or
 * the key's.  Also of a request in absolute form, if that names us: RFC 9112 lets anybody send
 * it. */
bool door_is_base(const struct config *config, const struct message_admit *admit);

#endif
