/* SPDX-License-Identifier: Apache-2.0 */
#include "tls/leaf.h"

#include <arpa/inet.h>
#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/encode.h"
#include "base/mem.h"
#include "http/url.h"

enum {
    NAME_MAX_BYTES = 64, /* of a common name (X.520) */
    HOST_MAX = 253,
    EXTENSION_MAX = 320,
    SERIAL_BYTES = 16,
    HOUR_S = 3600,
    DAY_S = 24 * 3600,
    EARLY_S = HOUR_S, /* clocks in sandboxes are not ours */
};

struct ca {
    X509 *certificate;
    EVP_PKEY *key;
};

struct leaf_key {
    EVP_PKEY *key;
};

struct leaf {
    X509 *certificate;
    EVP_PKEY *key;
};

static int failed(struct err *err, const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code == 0 ? NULL : ERR_reason_error_string(code);

    (void)err_set(err, "%s: %s", what, reason == NULL ? "unknown error of OpenSSL" : reason);
    ERR_clear_error();
    return -1;
}

/* ---- small parts ---- */

static EVP_PKEY *new_key(void)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");

    if (key == NULL) {
        abort(); /* no entropy, or no memory */
    }
    return key;
}

static bool set_serial(X509 *certificate)
{
    unsigned char bytes[SERIAL_BYTES];
    BIGNUM *number;
    bool ok;

    if (RAND_bytes(bytes, sizeof(bytes)) != 1) {
        return false;
    }
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); /* positive, of this length */
    number = BN_bin2bn(bytes, sizeof(bytes), NULL);
    ok = number != NULL && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(certificate)) != NULL;
    BN_free(number);
    return ok;
}

static bool set_times(X509 *certificate, int64_t from_s, int64_t until_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(certificate), (time_t)from_s) != NULL &&
           ASN1_TIME_set(X509_getm_notAfter(certificate), (time_t)until_s) != NULL;
}

static bool set_name(X509_NAME *name, struct str text)
{
    return text.len > 0 && text.len <= NAME_MAX_BYTES &&
           X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)text.data,
                                      (int)text.len, -1, 0) == 1;
}

static bool add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX context;

    X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    bool ok = extension != NULL && X509_add_ext(certificate, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return ok;
}

static EVP_PKEY *read_key(struct str der)
{
    const unsigned char *at = (const unsigned char *)der.data;
    PKCS8_PRIV_KEY_INFO *info =
        der.len > CA_KEY_MAX ? NULL : d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)der.len);
    EVP_PKEY *key = NULL;

    if (info != NULL && at == (const unsigned char *)der.data + der.len) {
        key = EVP_PKCS82PKEY(info);
    }
    PKCS8_PRIV_KEY_INFO_free(info);
    ERR_clear_error();
    return key;
}

static X509 *read_pem(struct str pem)
{
    BIO *bio =
        pem.len == 0 || pem.len > CA_PEM_MAX ? NULL : BIO_new_mem_buf(pem.data, (int)pem.len);
    X509 *certificate = bio == NULL ? NULL : PEM_read_bio_X509(bio, NULL, NULL, NULL);

    BIO_free(bio);
    ERR_clear_error();
    return certificate;
}

static bool is_p256(EVP_PKEY *key)
{
    char group[32];
    size_t len = 0;

    return EVP_PKEY_get_base_id(key) == EVP_PKEY_EC &&
           EVP_PKEY_get_group_name(key, group, sizeof(group), &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

/* ---- making a CA ---- */

static struct str without_star(struct str host)
{
    return str_starts(host, STR("*.")) ? str_slice(host, 2, host.len) : host;
}

static bool add_permitted(NAME_CONSTRAINTS *constraints, struct str host)
{
    struct str name = without_star(host);
    GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    if (tree == NULL || text == NULL || name.len > HOST_MAX || !url_host_is_name(name) ||
        ASN1_STRING_set(text, name.data, (int)name.len) != 1) {
        GENERAL_SUBTREE_free(tree);
        ASN1_IA5STRING_free(text);
        return false;
    }
    GENERAL_NAME_set0_value(tree->base, GEN_DNS, text);
    if (sk_GENERAL_SUBTREE_push(constraints->permittedSubtrees, tree) <= 0) {
        GENERAL_SUBTREE_free(tree);
        return false;
    }
    return true;
}

/* Of a kind of name that no subtree mentions everything is allowed: so addresses are mentioned. */
static bool add_excluded_addresses(NAME_CONSTRAINTS *constraints, size_t bytes)
{
    static const unsigned char zero[32];
    GENERAL_SUBTREE *tree = GENERAL_SUBTREE_new();
    ASN1_OCTET_STRING *range = ASN1_OCTET_STRING_new();

    if (tree == NULL || range == NULL || ASN1_OCTET_STRING_set(range, zero, (int)bytes) != 1) {
        GENERAL_SUBTREE_free(tree);
        ASN1_OCTET_STRING_free(range);
        return false;
    }
    GENERAL_NAME_set0_value(tree->base, GEN_IPADD, range);
    if (sk_GENERAL_SUBTREE_push(constraints->excludedSubtrees, tree) <= 0) {
        GENERAL_SUBTREE_free(tree);
        return false;
    }
    return true;
}

static bool add_constraints(X509 *certificate, const struct ca_wish *wish)
{
    NAME_CONSTRAINTS *constraints = NAME_CONSTRAINTS_new();
    bool ok = constraints != NULL;

    if (ok) {
        constraints->permittedSubtrees = sk_GENERAL_SUBTREE_new_null();
        constraints->excludedSubtrees = sk_GENERAL_SUBTREE_new_null();
        ok = constraints->permittedSubtrees != NULL && constraints->excludedSubtrees != NULL &&
             add_excluded_addresses(constraints, 8) && add_excluded_addresses(constraints, 32);
    }
    for (size_t i = 0; ok && i < wish->host_count; i++) {
        ok = add_permitted(constraints, wish->hosts[i]);
    }
    ok = ok && X509_add1_ext_i2d(certificate, NID_name_constraints, constraints, 1, 0) == 1;
    NAME_CONSTRAINTS_free(constraints);
    return ok;
}

static bool fill_ca(X509 *certificate, EVP_PKEY *key, const struct ca_wish *wish)
{
    int64_t now_s = wish->now_ms / 1000;

    return X509_set_version(certificate, X509_VERSION_3) == 1 && set_serial(certificate) &&
           set_times(certificate, now_s - EARLY_S, now_s + (int64_t)wish->days * DAY_S) &&
           set_name(X509_get_subject_name(certificate), str_from(wish->name)) &&
           X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1 &&
           X509_set_pubkey(certificate, key) == 1 &&
           add_extension(certificate, certificate, NID_basic_constraints,
                         "critical,CA:TRUE,pathlen:0") &&
           add_extension(certificate, certificate, NID_key_usage, "critical,keyCertSign,cRLSign") &&
           add_extension(certificate, certificate, NID_subject_key_identifier, "hash") &&
           (wish->host_count == 0 || add_constraints(certificate, wish)) &&
           X509_sign(certificate, key, EVP_sha256()) > 0;
}

static bool write_pem(X509 *certificate, struct buf *out)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;
    bool ok = bio != NULL && PEM_write_bio_X509(bio, certificate) == 1;

    if (ok) {
        long len = BIO_get_mem_data(bio, &text);
        ok = len > 0 && buf_add(out, text, (size_t)len);
    }
    BIO_free(bio);
    return ok;
}

/* PKCS#8 in DER, to `at` where that is not NULL.  Its length, or -1. */
static int key_bytes(EVP_PKEY *key, unsigned char *at)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key);
    int len = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, at == NULL ? NULL : &at);

    PKCS8_PRIV_KEY_INFO_free(info);
    return len <= CA_KEY_MAX ? len : -1;
}

/* The key of a new CA, whose certificate is in `ret_pem` then; NULL with the reason. */
static EVP_PKEY *make(const struct ca_wish *wish, struct buf *ret_pem, struct err *err)
{
    EVP_PKEY *key = new_key();
    X509 *certificate = X509_new();
    bool good = false;

    if (wish->host_count > CA_HOSTS_MAX) {
        (void)err_set(err, "more than %d hosts for one CA", CA_HOSTS_MAX);
    } else if (certificate == NULL || !fill_ca(certificate, key, wish) ||
               !write_pem(certificate, ret_pem)) {
        (void)failed(err, "cannot make the CA's certificate");
    } else {
        good = true;
    }
    X509_free(certificate);
    if (!good) {
        EVP_PKEY_free(key);
    }
    return good ? key : NULL;
}

int ca_make(const struct ca_wish *wish, struct buf *ret_pem, struct secret *ret_key,
            struct err *err)
{
    EVP_PKEY *key = make(wish, ret_pem, err);
    int len = key == NULL ? -1 : key_bytes(key, NULL);
    int rc = -1;

    if (key != NULL && len <= 0) {
        (void)failed(err, "cannot write the CA's key");
    } else if (key != NULL && secret_new(ret_key, (size_t)len, err) == 0) {
        rc = key_bytes(key, ret_key->data) == len ? 0 : failed(err, "cannot write the CA's key");
    }
    EVP_PKEY_free(key);
    return rc;
}

int ca_make_plain(const struct ca_wish *wish, struct buf *ret_pem, struct buf *ret_key,
                  struct err *err)
{
    EVP_PKEY *key = make(wish, ret_pem, err);
    int len = key == NULL ? -1 : key_bytes(key, NULL);
    unsigned char *room = len <= 0 ? NULL : buf_room(ret_key, (size_t)len);
    int rc = -1;

    if (room != NULL && key_bytes(key, room) == len) {
        buf_added(ret_key, (size_t)len);
        rc = 0;
    } else if (key != NULL) {
        (void)failed(err, "cannot write the CA's key");
    }
    EVP_PKEY_free(key);
    return rc;
}

struct ca *ca_open(struct str pem, struct str key, struct err *err)
{
    struct ca *ca = mem_zeroed(sizeof(*ca));

    ca->certificate = read_pem(pem);
    ca->key = read_key(key);
    if (ca->certificate == NULL || ca->key == NULL || !is_p256(ca->key) ||
        X509_check_private_key(ca->certificate, ca->key) != 1 ||
        X509_check_ca(ca->certificate) != 1) {
        ERR_clear_error();
        (void)err_set(err, "this is no certificate of a CA with its private key (EC P-256)");
        ca_free(ca);
        return NULL;
    }
    return ca;
}

void ca_free(struct ca *ca)
{
    if (ca != NULL) {
        X509_free(ca->certificate);
        EVP_PKEY_free(ca->key);
        free(ca);
    }
}

/* ---- signing ---- */

static int64_t time_s(const ASN1_TIME *time)
{
    struct tm parts;

    return ASN1_TIME_to_tm(time, &parts) == 1 ? (int64_t)timegm(&parts) : 0;
}

static bool is_address(struct str host)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];

    if (host.len == 0 || host.len >= sizeof(text)) {
        return false;
    }
    memcpy(text, host.data, host.len);
    text[host.len] = '\0';
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

static bool add_host(X509 *leaf, X509 *issuer, struct str host)
{
    char value[EXTENSION_MAX];

    (void)snprintf(value, sizeof(value), "%s:%.*s", is_address(host) ? "IP" : "DNS", STR_FMT(host));
    return add_extension(leaf, issuer, NID_subject_alt_name, value);
}

static bool fill_leaf(const struct ca *ca, X509 *leaf, struct str host, EVP_PKEY *key,
                      int64_t now_s)
{
    int64_t until_s = now_s - EARLY_S + (int64_t)LEAF_HOURS * HOUR_S;
    int64_t ca_until_s = time_s(X509_get0_notAfter(ca->certificate));
    bool short_name = host.len <= NAME_MAX_BYTES;

    return X509_set_version(leaf, X509_VERSION_3) == 1 && set_serial(leaf) &&
           set_times(leaf, now_s - EARLY_S, until_s < ca_until_s ? until_s : ca_until_s) &&
           set_name(X509_get_subject_name(leaf), short_name ? host : STR("keybrake")) &&
           X509_set_issuer_name(leaf, X509_get_subject_name(ca->certificate)) == 1 &&
           X509_set_pubkey(leaf, key) == 1 &&
           add_extension(leaf, ca->certificate, NID_basic_constraints, "critical,CA:FALSE") &&
           add_extension(leaf, ca->certificate, NID_key_usage, "critical,digitalSignature") &&
           add_extension(leaf, ca->certificate, NID_ext_key_usage, "serverAuth") &&
           add_extension(leaf, ca->certificate, NID_subject_key_identifier, "hash") &&
           add_extension(leaf, ca->certificate, NID_authority_key_identifier, "keyid:always") &&
           add_host(leaf, ca->certificate, host) && X509_sign(leaf, ca->key, EVP_sha256()) > 0;
}

static bool write_der(X509 *certificate, struct buf *out)
{
    int len = i2d_X509(certificate, NULL);
    unsigned char *at = len <= 0 || len > LEAF_DER_MAX ? NULL : buf_room(out, (size_t)len);

    if (at == NULL || i2d_X509(certificate, &at) != len) {
        return false;
    }
    buf_added(out, (size_t)len);
    return true;
}

int ca_sign(const struct ca *ca, struct str host, struct str public_key, int64_t now_ms,
            struct buf *ret_der, struct err *err)
{
    const unsigned char *at = (const unsigned char *)public_key.data;
    EVP_PKEY *key =
        public_key.len > CA_KEY_MAX ? NULL : d2i_PUBKEY(NULL, &at, (long)public_key.len);
    X509 *leaf = X509_new();
    int rc = -1;

    if (!is_address(host) && (host.len > HOST_MAX || !url_host_is_name(host))) {
        (void)err_set(err, "a certificate is made for a host only, not for '%.*s'", STR_FMT(host));
    } else if (key == NULL || !is_p256(key)) {
        ERR_clear_error();
        (void)err_set(err, "the key to be certified is no public key on P-256");
    } else if (leaf == NULL || !fill_leaf(ca, leaf, host, key, now_ms / 1000) ||
               !write_der(leaf, ret_der)) {
        (void)failed(err, "cannot make a certificate");
    } else {
        rc = 0;
    }
    X509_free(leaf);
    EVP_PKEY_free(key);
    return rc;
}

/* ---- looking at a CA ---- */

static bool add_fingerprint(X509 *certificate, struct buf *out)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned size = 0;

    return X509_digest(certificate, EVP_sha256(), digest, &size) == 1 &&
           hex_encode(out, str_of(digest, size));
}

bool ca_fingerprint(struct str pem, struct buf *out)
{
    X509 *certificate = read_pem(pem);
    bool ok = certificate != NULL && add_fingerprint(certificate, out);

    X509_free(certificate);
    return ok;
}

static void add_time(struct buf *out, const char *what, const ASN1_TIME *time)
{
    time_t seconds = (time_t)time_s(time);
    struct tm parts;
    char text[32];

    (void)gmtime_r(&seconds, &parts);
    (void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &parts);
    (void)buf_addf(out, "%s %s\n", what, text);
}

static void add_hosts(struct buf *out, const NAME_CONSTRAINTS *constraints)
{
    int count = constraints == NULL ? 0 : sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees);

    for (int i = 0; i < count; i++) {
        const GENERAL_SUBTREE *tree = sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i);
        if (tree->base->type == GEN_DNS) {
            (void)buf_addf(out, "host %.*s\n", ASN1_STRING_length(tree->base->d.dNSName),
                           (const char *)ASN1_STRING_get0_data(tree->base->d.dNSName));
        }
    }
}

int ca_describe(struct str pem, struct buf *out, struct err *err)
{
    X509 *certificate = read_pem(pem);

    if (certificate == NULL) {
        return err_set(err, "the CA's certificate cannot be read");
    }
    char name[NAME_MAX_BYTES + 1] = "";
    (void)X509_NAME_get_text_by_NID(X509_get_subject_name(certificate), NID_commonName, name,
                                    sizeof(name));
    (void)buf_addf(out, "name %s\n", name);
    (void)buf_addf(out, "sha256 ");
    (void)add_fingerprint(certificate, out);
    (void)buf_addf(out, "\n");
    add_time(out, "from", X509_get0_notBefore(certificate));
    add_time(out, "until", X509_get0_notAfter(certificate));
    NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(certificate, NID_name_constraints, NULL, NULL);
    add_hosts(out, constraints);
    NAME_CONSTRAINTS_free(constraints);
    X509_free(certificate);
    return out->overflow ? err_set(err, "the CA's certificate is too long to be shown") : 0;
}

static bool permits(const NAME_CONSTRAINTS *constraints, struct str host)
{
    for (int i = 0; i < sk_GENERAL_SUBTREE_num(constraints->permittedSubtrees); i++) {
        const GENERAL_SUBTREE *tree = sk_GENERAL_SUBTREE_value(constraints->permittedSubtrees, i);
        if (tree->base->type != GEN_DNS) {
            continue;
        }
        struct str name = str_of(ASN1_STRING_get0_data(tree->base->d.dNSName),
                                 (size_t)ASN1_STRING_length(tree->base->d.dNSName));
        size_t before = host.len < name.len ? 0 : host.len - name.len;
        if (host.len >= name.len && str_equal_nocase(str_slice(host, before, host.len), name) &&
            (before == 0 || str_ends(str_slice(host, 0, before), STR(".")))) {
            return true;
        }
    }
    return false;
}

bool ca_covers(struct str pem, struct str host, int64_t now_ms)
{
    X509 *certificate = read_pem(pem);

    if (certificate == NULL) {
        return false;
    }
    NAME_CONSTRAINTS *constraints = X509_get_ext_d2i(certificate, NID_name_constraints, NULL, NULL);
    bool ok = constraints == NULL || permits(constraints, without_star(host));
    ok = ok && now_ms / 1000 >= time_s(X509_get0_notBefore(certificate)) &&
         now_ms / 1000 < time_s(X509_get0_notAfter(certificate));
    NAME_CONSTRAINTS_free(constraints);
    X509_free(certificate);
    return ok;
}

/* ---- the side that uses it ---- */

struct leaf_key *leaf_key_new(void)
{
    struct leaf_key *key = mem_zeroed(sizeof(*key));

    key->key = new_key();
    return key;
}

void leaf_key_free(struct leaf_key *key)
{
    if (key != NULL) {
        EVP_PKEY_free(key->key);
        free(key);
    }
}

bool leaf_key_public(const struct leaf_key *key, struct buf *out)
{
    int len = i2d_PUBKEY(key->key, NULL);
    unsigned char *at = len <= 0 ? NULL : buf_room(out, (size_t)len);

    if (at == NULL || i2d_PUBKEY(key->key, &at) != len) {
        return false;
    }
    buf_added(out, (size_t)len);
    return true;
}

struct leaf *leaf_new(struct str der, const struct leaf_key *key, struct err *err)
{
    const unsigned char *at = (const unsigned char *)der.data;
    struct leaf *leaf = mem_zeroed(sizeof(*leaf));

    leaf->key = key->key;
    leaf->certificate = der.len > LEAF_DER_MAX ? NULL : d2i_X509(NULL, &at, (long)der.len);
    if (leaf->certificate == NULL || X509_check_private_key(leaf->certificate, leaf->key) != 1) {
        ERR_clear_error();
        (void)err_set(err, "this is no certificate of our key");
        leaf_free(leaf);
        return NULL;
    }
    return leaf;
}

void leaf_free(struct leaf *leaf)
{
    if (leaf != NULL) {
        X509_free(leaf->certificate);
        free(leaf);
    }
}

int64_t leaf_expires_ms(const struct leaf *leaf)
{
    return time_s(X509_get0_notAfter(leaf->certificate)) * 1000;
}

struct x509_st *leaf_certificate(const struct leaf *leaf)
{
    return leaf->certificate;
}

struct evp_pkey_st *leaf_private(const struct leaf *leaf)
{
    return leaf->key;
}
