/* SPDX-License-Identifier: Apache-2.0 */
/*
 * credential: credentials in the clear, in secret memory, as long as they are in use.
 *
 * A credential is asked of the scribe when it is first needed, unsealed, and kept until it is
 * forgotten (rotated, removed) or pushed out by others.  What holds a reference keeps it beyond
 * that: a request that began under one version ends under it.
 */
#ifndef VAULT_CREDENTIAL_H
#define VAULT_CREDENTIAL_H

#include "base/arena.h"
#include "base/err.h"
#include "base/list.h"
#include "base/secret.h"
#include "base/vault_key.h"
#include "policy/calls.h"
#include "tls/tls.h"
#include "vault/scrub.h"

enum { CREDENTIALS_CACHED = 256 };

struct credential {
    uint64_t id, version;
    struct sealed_credential clear; /* its strings are in `memory` */
    struct secret memory;
    struct arena *arena; /* arrays of pointers and lengths */
    struct scrubber *scrubber;
    struct tls_context *tls; /* with its own CA; NULL: the system's */
    unsigned references;
    struct list link; /* of the cache; alone when it is not in it */
};

/* Opens a sealed box.  NULL with the reason, which tells nothing of the contents.  One reference,
 * the caller's. */
struct credential *credential_open(uint64_t id, uint64_t version, struct str sealed,
                                   const struct vault_key *key, struct err *err);
struct credential *credential_hold(struct credential *credential);
void credential_release(struct credential *credential); /* takes NULL too */

struct credentials; /* the cache */

struct credentials *credentials_new(void);
void credentials_free(struct credentials *cache); /* takes NULL too */

/* A new reference, or NULL when it is not there in this version. */
struct credential *credentials_find(struct credentials *cache, uint64_t id, uint64_t version);
void credentials_add(struct credentials *cache, struct credential *credential); /* its own ref */
void credentials_forget(struct credentials *cache, uint64_t id);

#endif
