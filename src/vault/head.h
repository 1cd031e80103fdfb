/* SPDX-License-Identifier: Apache-2.0 */
/*
 * head: the head of a request as the vendor gets it.
 *
 * Method, path, query and the judged fields are the GRANT's and nobody else's; the gate adds free
 * fields, from which everything is dropped that is judged, a credential, framing, hop-by-hop, a
 * rewrite of host, path or method, or in the pack's drop list.  The credential goes on here.
 */
#ifndef VAULT_HEAD_H
#define VAULT_HEAD_H

#include "base/buf.h"
#include "base/err.h"
#include "http/url.h"
#include "pack/pack.h"
#include "policy/calls.h"
#include "vault/memo.h"

/* Where the request goes: the pack's upstream, or what the credential puts in its place.  Refuses a
 * host that the credential is not for, and to send it in the clear to a public one.  The strings
 * are the pack's or the credential's. */
int head_find_target(const struct pack *pack, uint32_t upstream,
                     const struct sealed_credential *credential, struct url *ret, struct err *err);

struct head_parts {
    const struct config *config;
    const struct pack *pack;
    const struct message_grant *grant;
    const struct message_header *free; /* the gate's */
    size_t free_count;
    const struct sealed_credential *credential;
    const struct url *target;
    struct memo *memo; /* of dropped names */
};

/* Appends the head to `out`, which is wiped memory.  -1 with the reason when something in it could
 * not be written safely; then `out` is as before. */
int head_write(struct buf *out, const struct head_parts *parts, struct err *err);

/* The gate's field of this name goes no further. */
bool head_drops(const struct config *config, const struct pack *pack, struct str name,
                bool range_allowed);

#endif
