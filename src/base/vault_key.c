/* SPDX-License-Identifier: Apache-2.0 */
#include "base/vault_key.h"

#include <sodium.h>

int vault_key_open(const struct vault_key *key, struct str sealed, const char *what,
                   struct secret *ret_clear, struct err *err)
{
    const unsigned char *box = (const unsigned char *)sealed.data;

    if (sealed.len <= crypto_box_SEALBYTES) {
        return err_set(err, "%s is too short to be one", what);
    }
    if (secret_new(ret_clear, sealed.len - crypto_box_SEALBYTES, err) < 0) {
        return -1;
    }
    if (crypto_box_seal_open(ret_clear->data, box, sealed.len, key->box_public, key->box_secret) ==
        0) {
        return 0;
    }
    if (key->changing != 0 &&
        crypto_box_seal_open(ret_clear->data, box, sealed.len, key->previous_public,
                             key->previous_secret) == 0) {
        return 0;
    }
    secret_clear(ret_clear);
    return err_set(err, "%s is not sealed to this server's key", what);
}
