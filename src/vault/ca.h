/* SPDX-License-Identifier: Apache-2.0 */
/*
 * ca: leaves for the forward proxy, signed with a key that lies sealed and is open only meanwhile.
 */
#ifndef VAULT_CA_H
#define VAULT_CA_H

#include "base/buf.h"
#include "base/vault_key.h"
#include "ipc/message.h"

/* `file` is DIR/vault/ca.  A leaf in DER for the host and key that the judge sent. */
int vault_sign_leaf(struct str file, const struct vault_key *key,
                    const struct message_leaf_sign *sign, int64_t now_ms, struct buf *ret_der,
                    struct err *err);

#endif
