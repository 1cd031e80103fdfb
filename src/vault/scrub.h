/* SPDX-License-Identifier: Apache-2.0 */
/*
 * scrub: overwrites a credential wherever an answer repeats it.
 *
 * Found are the secrets as they are, with any of their characters percent-encoded or escaped as in
 * JSON, as hex in any case, and as base64 (both alphabets) in each of the three alignments, which
 * again may be percent-encoded or escaped.  A hit is overwritten with '*' at the same length.
 *
 * The bytes may come in pieces of any size.  Only a prefix that can still become a hit is held
 * back, so that a stream is not delayed:
 *
 *     size_t final = scrub_bytes(&scrub, data, len, last);
 *     ... data[0 .. final) may go; the rest must be at the front of the next piece ...
 *
 * A net, not a promise: a server that encrypts the secret gets it through.
 */
#ifndef VAULT_SCRUB_H
#define VAULT_SCRUB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"

enum { SCRUB_SECRETS_MAX = 16 };

struct scrubber; /* the patterns of one credential, in secret memory */

/* Each secret is LIMIT_SECRET_BYTES_MIN to LIMIT_SECRET_BYTES_MAX long.  NULL with the reason. */
struct scrubber *scrubber_new(const struct str *secrets, size_t count, struct err *err);
void scrubber_free(struct scrubber *scrubber); /* takes NULL too */

struct scrub {
    const struct scrubber *scrubber; /* NULL: nothing to find */
    size_t masked;                   /* so many bytes of what was held back are already hit */
    uint64_t hits;
};

void scrub_begin(struct scrub *scrub, const struct scrubber *scrubber);

/* Overwrites in place and returns how many bytes from the front are final.  `last`: nothing
 * follows, all is final. */
size_t scrub_bytes(struct scrub *scrub, unsigned char *data, size_t len, bool last);

#endif
