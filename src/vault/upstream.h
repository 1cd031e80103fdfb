/* SPDX-License-Identifier: Apache-2.0 */
/*
 * upstream: connections to vendors, and the pool of idle ones.
 *
 * A connection is made for one credential, host and port, and used for no other.  The name is
 * resolved, the addresses are judged, and a judged one is dialled; TLS verifies the name.  What is
 * written leaves at the end of the loop's turn, in one record and one send where it fits.
 *
 * SO_LINGER is {1, 0} from birth: closing one drops what the kernel has not sent yet.
 */
#ifndef VAULT_UPSTREAM_H
#define VAULT_UPSTREAM_H

#include "base/buf.h"
#include "http/url.h"
#include "ipc/message.h"
#include "net/dns.h"
#include "tls/tls.h"
#include "vault/credential.h"

struct upstream;

/* What its user is told.  None is called from inside a call of the user's. */
struct upstream_user {
    void (*opened)(void *ctx); /* write now */
    void (*readable)(void *ctx);
    void (*sent)(void *ctx); /* some of what was written has left */
    /* It is of no more use; what had come before stands in upstream_input().  EOF with
     * `ended_clean` (FIN, and close_notify where there is TLS) comes as UPSTREAM_OK. */
    void (*failed)(void *ctx, enum upstream_error error, const char *detail);
};

struct upstream_stats {
    uint64_t busy, idle, handshakes, resumed;
};

struct upstreams;

/* `before_sending` is called once a turn, before anything that was written leaves; false: what is
 * held (upstream_hold) stays. */
struct upstreams *upstreams_new(struct loop *loop, struct dns *dns, struct tls_context *system,
                                bool (*before_sending)(void *ctx), void *ctx);
void upstreams_free(struct upstreams *all); /* takes NULL too; when none is busy */
const struct upstream_stats *upstreams_stats(const struct upstreams *all);

/* Takes an idle one out of the pool, or NULL.  `fresh`: only one that was not idle for long. */
struct upstream *upstream_take(struct upstreams *all, const struct credential *credential,
                               const struct url *target, bool fresh,
                               const struct upstream_user *user, void *ctx);

/* A new one.  `target` is copied, the credential is held. */
struct upstream *upstream_dial(struct upstreams *all, struct credential *credential,
                               const struct url *target, const struct upstream_user *user,
                               void *ctx);

void upstream_give(struct upstream *upstream);  /* into the pool: between two requests */
void upstream_close(struct upstream *upstream); /* at once; takes NULL too */
void upstreams_forget(struct upstreams *all, uint64_t credential); /* closes the idle ones */

/* Bytes to send, in wiped memory: append here, then say upstream_write(). */
struct buf *upstream_output(struct upstream *upstream);
void upstream_write(struct upstream *upstream);
void upstream_hold(struct upstream *upstream, bool hold);
size_t upstream_unsent(const struct upstream *upstream); /* not yet with the kernel */
uint64_t
upstream_wire_bytes(const struct upstream *upstream); /* of this request, with the kernel */

/* Bytes that came, in wiped memory; consume what was used. */
struct buf *upstream_input(struct upstream *upstream);
void upstream_pause(struct upstream *upstream, bool pause); /* read no more for now */
bool upstream_is_paused(const struct upstream *upstream);

bool upstream_was_reused(const struct upstream *upstream);

#endif
