/* SPDX-License-Identifier: Apache-2.0 */
/*
 * digest: SHA-256 (FIPS 180-4), HMAC-SHA-256 (RFC 2104) and random bytes.
 *
 * digest_setup() fetches the algorithm once; it must run before the process confines itself.
 */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/str.h"

enum { DIGEST_SIZE = 32 };
struct digest {
    unsigned char bytes[DIGEST_SIZE];
};

void digest_setup(void);

struct digest digest_of(struct str bytes);
struct digest digest_of_parts(const struct str *parts, size_t count); /* of the concatenation */
struct digest digest_hmac(struct str key, struct str bytes);
bool digest_equal(const struct digest *a, const struct digest *b); /* constant time */
bool digest_is_zero(const struct digest *d);

/* A running digest, for bodies that come in pieces. */
struct digest_run;
struct digest_run *digest_begin(void);
void digest_add(struct digest_run *run, struct str bytes);
struct digest digest_end(struct digest_run *run); /* frees it */
void digest_abandon(struct digest_run *run);      /* takes NULL too */

void random_bytes(void *out, size_t size); /* getrandom(2); never fails */

#endif
