/* SPDX-License-Identifier: Apache-2.0 */
/*
 * verify: checks the whole audit: that no row was changed, taken out, put in or moved.
 *
 * It recomputes the chain (ledger/chain.h) from the first row to the last, compares it with the
 * heads that vaults have signed, and with a head that somebody noted down.  Only the last finds
 * that rows were cut off at the end, when the signed heads were cut off with them.
 *
 * Reads in pieces, beside a running server.  docs/audit.md tells what it means.
 */
#ifndef STORE_VERIFY_H
#define STORE_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/str.h"
#include "ipc/message.h"

enum verify_kind {
    VERIFY_CHANGED,    /* the row is not what was chained */
    VERIFY_MISSING,    /* rows from `sequence` to `last` are not there */
    VERIFY_MOVED,      /* the row was chained as number `last` */
    VERIFY_UNREADABLE, /* a column holds what no row has */
    VERIFY_PERSONAL,   /* the personal fields were changed (not deleted) */
    VERIFY_SIGNATURE,  /* a signed head whose signature is not good, or not by our vault */
    VERIFY_HEAD,       /* a signed head, or the given one, is not the hash of its row */
    VERIFY_CUT,        /* a signed head, or the given one, is beyond the last row */
    VERIFY_KIND_COUNT
};
const char *verify_kind_text(enum verify_kind kind); /* "changed", "missing", ... */

struct verify_problem {
    enum verify_kind kind;
    uint64_t sequence;
    uint64_t last;
};

struct verify_options {
    bool has_head; /* compare with this one: SEQUENCE:HEX of `keybrake audit head` */
    uint64_t head_sequence;
    struct digest head;
    /* Ed25519, hex.  Empty: the database's own, which proves less: who can change rows can change
     * that too. */
    struct str public_key;
};

struct verify_report {
    uint64_t rows;
    uint64_t first, last; /* sequences; 0 without rows */
    struct digest head;   /* of the last row */
    uint64_t deleted;     /* rows whose personal fields were deleted, as is allowed */
    uint64_t heads;       /* good signed heads */
    uint64_t last_signed; /* sequence of the last good one; 0: none */
    int64_t last_signed_at_ms;
    uint64_t problems;
    struct verify_problem first_problem; /* the lowest sequence, when there are any */
};

/* `problem` is called for each, in order of sequence within each kind of check; may be NULL.
 * Returns -1 only when the database could not be read. */
int verify_audit(const char *data_dir, const struct verify_options *options,
                 void (*problem)(void *ctx, const struct verify_problem *problem), void *ctx,
                 struct verify_report *ret_report, struct err *err);

#endif
