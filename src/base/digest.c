/* SPDX-License-Identifier: Apache-2.0 */
#include "base/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/mem.h"

enum { HMAC_BLOCK = 64 };

struct digest_run {
    EVP_MD_CTX *context;
};

/* Fetched once: an implicit fetch costs four times the hash of a token. */
static EVP_MD *sha256;
static EVP_MD_CTX *shared;

void digest_setup(void)
{
    if (sha256 != NULL) {
        return;
    }
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    shared = EVP_MD_CTX_new();
    if (sha256 == NULL || shared == NULL) {
        abort();
    }
}

static void must(int ok)
{
    if (ok != 1) {
        abort();
    }
}

struct digest digest_of_parts(const struct str *parts, size_t count)
{
    struct digest out;

    digest_setup();
    must(EVP_DigestInit_ex2(shared, sha256, NULL));
    for (size_t i = 0; i < count; i++) {
        if (parts[i].len > 0) {
            must(EVP_DigestUpdate(shared, parts[i].data, parts[i].len));
        }
    }
    must(EVP_DigestFinal_ex(shared, out.bytes, NULL));
    return out;
}

struct digest digest_of(struct str bytes)
{
    return digest_of_parts(&bytes, 1);
}

struct digest digest_hmac(struct str key, struct str bytes)
{
    unsigned char inner_pad[HMAC_BLOCK] = {0};
    unsigned char outer_pad[HMAC_BLOCK];
    struct digest inner;

    if (key.len > HMAC_BLOCK) {
        struct digest short_key = digest_of(key);
        memcpy(inner_pad, short_key.bytes, DIGEST_SIZE);
    } else if (key.len > 0) {
        memcpy(inner_pad, key.data, key.len);
    }
    for (size_t i = 0; i < HMAC_BLOCK; i++) {
        outer_pad[i] = inner_pad[i] ^ 0x5c;
        inner_pad[i] ^= 0x36;
    }
    inner = digest_of_parts((struct str[]){str_of(inner_pad, HMAC_BLOCK), bytes}, 2);
    struct digest out = digest_of_parts(
        (struct str[]){str_of(outer_pad, HMAC_BLOCK), str_of(inner.bytes, DIGEST_SIZE)}, 2);
    mem_wipe(inner_pad, sizeof(inner_pad));
    mem_wipe(outer_pad, sizeof(outer_pad));
    return out;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
    return mem_equal_consttime(a->bytes, b->bytes, DIGEST_SIZE) != 0;
}

bool digest_is_zero(const struct digest *d)
{
    static const struct digest zero;
    return digest_equal(d, &zero);
}

struct digest_run *digest_begin(void)
{
    struct digest_run *run = mem_zeroed(sizeof(*run));

    digest_setup();
    run->context = EVP_MD_CTX_new();
    must(run->context != NULL);
    must(EVP_DigestInit_ex2(run->context, sha256, NULL));
    return run;
}

void digest_add(struct digest_run *run, struct str bytes)
{
    if (bytes.len > 0) {
        must(EVP_DigestUpdate(run->context, bytes.data, bytes.len));
    }
}

struct digest digest_end(struct digest_run *run)
{
    struct digest out;

    must(EVP_DigestFinal_ex(run->context, out.bytes, NULL));
    digest_abandon(run);
    return out;
}

void digest_abandon(struct digest_run *run)
{
    if (run == NULL) {
        return;
    }
    EVP_MD_CTX_free(run->context);
    free(run);
}

void random_bytes(void *out, size_t size)
{
    unsigned char *at = out;

    while (size > 0) {
        ssize_t got = getrandom(at, size, 0);
        if (got < 0) {
            must(errno == EINTR);
            continue;
        }
        at += got;
        size -= (size_t)got;
    }
}
