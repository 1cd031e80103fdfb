/* SPDX-License-Identifier: Apache-2.0 */
#include "parent/certificate.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <string.h>

#include "base/test.h"

static struct str text_of(BIO *bio)
{
    char *data;
    long len = BIO_get_mem_data(bio, &data);
    return str_of(data, (size_t)len);
}

static EVP_PKEY *make_key(void)
{
    return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
}

static BIO *write_key(EVP_PKEY *key, const char *passphrase)
{
    BIO *out = BIO_new(BIO_s_mem());
    const EVP_CIPHER *cipher = passphrase == NULL ? NULL : EVP_aes_128_cbc();

    CHECK(PEM_write_bio_PrivateKey(out, key, cipher, NULL, 0, NULL,
                                   (void *)(uintptr_t)passphrase) == 1);
    return out;
}

static BIO *write_certificate(EVP_PKEY *key, long seconds)
{
    BIO *out = BIO_new(BIO_s_mem());
    X509 *certificate = X509_new();

    (void)X509_gmtime_adj(X509_getm_notBefore(certificate), -1000);
    (void)X509_gmtime_adj(X509_getm_notAfter(certificate), seconds);
    (void)X509_set_pubkey(certificate, key);
    CHECK(X509_sign(certificate, key, EVP_sha256()) > 0);
    CHECK(PEM_write_bio_X509(out, certificate) == 1);
    X509_free(certificate);
    return out;
}

int main(void)
{
    EVP_PKEY *key = make_key();
    EVP_PKEY *other = make_key();
    BIO *good = write_certificate(key, 1000);
    BIO *expired = write_certificate(key, -10);
    BIO *plain = write_key(key, NULL);
    BIO *sealed = write_key(key, "passphrase");
    BIO *strange = write_key(other, NULL);
    const struct {
        const char *name;
        struct str chain, key;
        const char *problem;
    } cases[] = {
        {"good", text_of(good), text_of(plain), NULL},
        {"expired", text_of(expired), text_of(plain), "expired"},
        {"another key", text_of(good), text_of(strange), "not the certificate's"},
        {"a passphrase", text_of(good), text_of(sealed), "no private key"},
        {"swapped", text_of(plain), text_of(good), "no certificate"},
        {"no certificate", STR("nonsense"), text_of(plain), "no certificate"},
        {"nothing", STR_NONE, STR_NONE, "no certificate"},
        {"no key", text_of(good), STR("nonsense"), "no private key"},
        {"cut", str_slice(text_of(good), 0, 100), text_of(plain), "no certificate"},
    };

    certificate_setup();
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err = {""};
        int rc = certificate_check(cases[i].chain, cases[i].key, &err);
        CHECK_CASE((rc == 0) == (cases[i].problem == NULL), cases[i].name);
        CHECK_CASE(rc == 0 || strstr(err.text, cases[i].problem) != NULL, cases[i].name);
    }
    BIO *const all[] = {good, expired, plain, sealed, strange};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        BIO_free(all[i]);
    }
    EVP_PKEY_free(key);
    EVP_PKEY_free(other);
    return test_done();
}
