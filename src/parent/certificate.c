/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/certificate.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

void certificate_setup(void)
{
    /* Loads the configuration and the digests now, while files can be opened. */
    (void)OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG, NULL);
    EVP_PKEY_CTX *any = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL);
    EVP_PKEY_CTX_free(any);
}

/* A key under a passphrase cannot be opened by a server: never ask. */
static int no_passphrase(char *text, int size, int writing, void *ctx)
{
    (void)text;
    (void)size;
    (void)writing;
    (void)ctx;
    return -1;
}

int certificate_check(struct str chain_pem, struct str key_pem, struct err *err)
{
    BIO *chain = BIO_new_mem_buf(chain_pem.data, (int)chain_pem.len);
    BIO *key = BIO_new_mem_buf(key_pem.data, (int)key_pem.len);
    X509 *first = PEM_read_bio_X509(chain, NULL, no_passphrase, NULL);
    EVP_PKEY *private_key = PEM_read_bio_PrivateKey(key, NULL, no_passphrase, NULL);
    int rc = 0;

    if (first == NULL) {
        rc = err_set(err, "the first file has no certificate in PEM");
    } else if (private_key == NULL) {
        rc = err_set(err, "the second file has no private key in PEM without a passphrase");
    } else if (X509_check_private_key(first, private_key) != 1) {
        rc = err_set(err, "the private key is not the certificate's");
    } else if (X509_cmp_current_time(X509_get0_notAfter(first)) < 0) {
        rc = err_set(err, "the certificate has expired");
    }
    ERR_clear_error();
    EVP_PKEY_free(private_key);
    X509_free(first);
    BIO_free(key);
    BIO_free(chain);
    return rc;
}
