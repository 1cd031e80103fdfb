/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/ca.h"

#include <sodium.h>

#include "tls/ca_file.h"
#include "tls/leaf.h"

enum { SEALED_MAX = 4096 };

static int unseal(struct str sealed, const struct vault_key *key, struct secret *ret_key,
                  struct err *err)
{
    if (sealed.len <= crypto_box_SEALBYTES) {
        return err_set(err, "the CA's sealed key is too short to be one");
    }
    if (secret_new(ret_key, sealed.len - crypto_box_SEALBYTES, err) < 0) {
        return -1;
    }
    if (crypto_box_seal_open(ret_key->data, (const unsigned char *)sealed.data, sealed.len,
                             key->box_public, key->box_secret) != 0) {
        return err_set(err, "the CA's key is not sealed to this server's key");
    }
    return 0;
}

int vault_sign_leaf(struct str file, const struct vault_key *key,
                    const struct message_leaf_sign *sign, int64_t now_ms, struct buf *ret_der,
                    struct err *err)
{
    struct secret private = {0};
    struct ca *ca = NULL;
    struct buf sealed;
    struct str pem;
    int rc = -1;

    buf_init(&sealed, SEALED_MAX);
    if (file.len == 0 || key == NULL) {
        (void)err_set(err, "there is no CA; make one: keybrake ca rotate");
    } else if (!ca_file_read(file, &pem, &sealed)) {
        (void)err_set(err, "the CA's file is damaged; make another: keybrake ca rotate");
    } else if (!ca_covers(pem, sign->host, now_ms)) {
        (void)err_set(err,
                      "the CA is not for %.*s, or it has ended; make another: keybrake ca "
                      "rotate --host %.*s",
                      STR_FMT(sign->host), STR_FMT(sign->host));
    } else if (unseal(buf_str(&sealed), key, &private, err) == 0) {
        ca = ca_open(pem, str_of(private.data, private.size), err);
        rc = ca == NULL ? -1 : ca_sign(ca, sign->host, sign->public_key, now_ms, ret_der, err);
    }
    ca_free(ca);
    secret_clear(&private);
    buf_clear(&sealed);
    return rc;
}
