/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bodies: the bodies that one peer (a gate, a vault) is sending, until their facts are told.
 *
 * Each is kept whole, in memory that is wiped, up to LIMIT_JUDGED_BODY_BYTES; a longer one, or one
 * that would bring all of them above the total, is digested only, and its facts say too large.
 */
#ifndef READER_BODIES_H
#define READER_BODIES_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/table.h"
#include "pack/pack.h"

enum {
    BODIES_MAX = LIMIT_OPEN_ADMISSIONS_A_GATE,
    BODIES_BYTES_MAX = LIMIT_GATE_BUFFER_BYTES, /* of all peers */
};

struct body {
    uint64_t request;
    struct list link;
    bool answer;
    uint64_t generation;
    uint32_t rule;
    struct buf bytes;
    uint64_t length;
    struct digest_run *run; /* of a body that is too large, else NULL */
    bool ended, complete;
};

struct bodies {
    struct table table;
    struct list all; /* in the order of their beginning */
    size_t *total;   /* bytes kept, of all peers */
};

void bodies_init(struct bodies *bodies, size_t *total);
void bodies_clear(struct bodies *bodies); /* forgets all, wiped; takes a zeroed one too */

/* Each is NULL when done, else what the peer did wrong. */
const char *bodies_begin(struct bodies *bodies, const struct message_body *message);
const char *bodies_add(struct bodies *bodies, const struct message_body_data *message);
const char *bodies_end(struct bodies *bodies, const struct message_body_end *message,
                       struct body **ret_body);

/* What is to be told of a body that has ended.  `read` is NULL when its rule is not there.  Texts
 * are in the body or in the arena. */
void body_facts(struct body *body, const struct pack_read *read, struct arena *arena,
                struct message_facts *ret);

void bodies_forget(struct bodies *bodies, struct body *body);

#endif
