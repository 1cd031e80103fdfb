/* SPDX-License-Identifier: Apache-2.0 */
/*
 * deny: a refusal in the words of the vendor's own SDK.
 */
#ifndef PACK_DENY_H
#define PACK_DENY_H

#include "base/arena.h"
#include "pack/pack.h"

enum deny_retry { DENY_RETRY_NO, DENY_RETRY_YES, DENY_RETRY_AFTER };

struct denial {
    struct str code; /* "endpoint_not_allowed" */
    uint32_t status; /* the default one; a pack may say another for this code */
    enum deny_retry retry;
    uint32_t retry_after_s; /* DENY_RETRY_AFTER */
    struct str message;     /* one sentence, for the person who reads the agent's log */
    struct str request_id;
    bool plain; /* the sentence as text, for clients that show nothing else */
};

/* Renders by the pack's envelope, or by the universal one when `pack` is NULL.  Headers: content
 * type, the pack's own, keybrake-denied, keybrake-request-id, x-should-retry and
 * stripe-should-retry as DESIGN 9 has it, www-authenticate on 401.  Everything is in `arena`. */
void deny_render(const struct pack *pack, const struct denial *denial, struct arena *arena,
                 struct message_answer *ret);

#endif
