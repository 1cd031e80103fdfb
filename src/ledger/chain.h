/* SPDX-License-Identifier: Apache-2.0 */
/*
 * chain: what makes the audit hard to change unnoticed.  docs/audit.md says how to check it.
 *
 *     hash of row n = SHA-256( hash of row n-1, version byte, the hashed fields of row n )
 *
 * The hashed fields are all but `hash` itself, `salt` and the four personal ones, which enter as
 * one digest, `personal`.  So they and the salt can be deleted, and the chain still verifies.
 * Before the first row stands a hash of zeroes.
 *
 * Who checks:  chain_personal(&row) is row.personal, chain_next(&head, &row) is row.hash
 * The judge:   writes the row as it will be sent, and has it sealed where it lies
 */
#ifndef LEDGER_CHAIN_H
#define LEDGER_CHAIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/digest.h"
#include "base/str.h"
#include "ipc/message.h"

/* SHA-256 of the salt and of the personal fields, each with its length.  Give each row that has
 * any personal field a salt of its own from random_bytes(): without it a deleted id could be
 * guessed back. */
struct digest chain_personal(const struct message_row_audit *row);

/* The hash of `row` after a row of hash `previous`; row->personal is taken as it is. */
struct digest chain_next(const struct digest *previous, const struct message_row_audit *row);

/* Both, of and into a row that lies written as a ROW_AUDIT's payload, with anything in their two
 * places.  The fields that are hashed together lie together there, so that nothing is written a
 * second time to be hashed.  `row` is what was written; the hash is returned. */
struct digest chain_seal(const struct digest *previous, const struct message_row_audit *row,
                         unsigned char *written, size_t len);

/* What the row's personal fields say about its `personal`. */
enum chain_personal_state {
    CHAIN_PERSONAL_WRONG,   /* they were changed */
    CHAIN_PERSONAL_DELETED, /* they and the salt are not there any more */
    CHAIN_PERSONAL_RIGHT,
};
enum chain_personal_state chain_check_personal(const struct message_row_audit *row);

/* A head as people note it down: "SEQUENCE:HEX", HEX being 64 lower-case digits. */
enum { CHAIN_HEAD_TEXT_SIZE = 20 + 1 + 2 * DIGEST_SIZE + 1 };
struct chain_head_text {
    char text[CHAIN_HEAD_TEXT_SIZE];
};
struct chain_head_text chain_head_text(uint64_t sequence, const struct digest *head);
bool chain_parse_head(struct str text, uint64_t *ret_sequence, struct digest *ret_head);

/* What a vault signs: "keybrake audit head\n" sequence "\n" hex(head) "\n" at_ms. */
enum { CHAIN_SIGNED_TEXT_SIZE = 160 };
struct chain_signed_text {
    char text[CHAIN_SIGNED_TEXT_SIZE];
};
struct chain_signed_text chain_signed_text(uint64_t sequence, const struct digest *head,
                                           int64_t at_ms);

/* Whether `signature` is the Ed25519 one of `public_key` over that text.  Each of the two may be
 * raw (64 and 32 bytes) or in hex (128 and 64 digits). */
bool chain_signature_is_good(uint64_t sequence, const struct digest *head, int64_t at_ms,
                             struct str signature, struct str public_key);

#endif
