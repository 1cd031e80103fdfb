/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault_key: the vault's key pairs, as they lie in secret memory.
 *
 * The unlock process fills one at the start of a memory from secret_fd_new(sizeof(struct
 * vault_key)); the parent passes the descriptor on and never maps it; a vault maps it with
 * secret_map_fd(&secret, fd, sizeof(struct vault_key), &err), and never calls secret_clear(): the
 * pages are the same for all vaults, those to be born too.
 */
#ifndef BASE_VAULT_KEY_H
#define BASE_VAULT_KEY_H

#include <stdint.h>

#include "base/err.h"
#include "base/secret.h"
#include "base/str.h"

enum { VAULT_KEY_VERSION = 2 };

struct vault_key {
    uint32_t version;             /* of this layout */
    uint32_t changing;            /* not 0: boxes of the previous pair are still about */
    unsigned char box_public[32]; /* X25519: crypto_box_seal and crypto_box_seal_open */
    unsigned char box_secret[32];
    unsigned char previous_public[32]; /* zeros, unless `changing` */
    unsigned char previous_secret[32];
    unsigned char sign_public[32]; /* Ed25519: the heads of the audit chain */
    unsigned char sign_secret[64]; /* as libsodium has it: seed and public key */
};

/* Opens a sealed box into a new secret of its size.  -1: it is too short, or not sealed to this
 * key; `err` says "WHAT is ...". */
int vault_key_open(const struct vault_key *key, struct str sealed, const char *what,
                   struct secret *ret_clear, struct err *err);

#endif
