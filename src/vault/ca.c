/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/ca.h"

#include "tls/ca_file.h"
#include "tls/leaf.h"

enum { SEALED_MAX = 4096 };

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
    } else if (vault_key_open(key, buf_str(&sealed), "the CA's key", &private, err) == 0) {
        ca = ca_open(pem, str_of(private.data, private.size), err);
        rc = ca == NULL ? -1 : ca_sign(ca, sign->host, sign->public_key, now_ms, ret_der, err);
    }
    ca_free(ca);
    secret_clear(&private);
    buf_clear(&sealed);
    return rc;
}
