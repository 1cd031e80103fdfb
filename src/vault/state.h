/* SPDX-License-Identifier: Apache-2.0 */
/*
 * state: what a vault process has, shared by its files.
 */
#ifndef VAULT_STATE_H
#define VAULT_STATE_H

#include "base/list.h"
#include "base/table.h"
#include "http/head.h"
#include "ipc/channel.h"
#include "ipc/child.h"
#include "net/dns.h"
#include "pack/pack.h"
#include "vault/credential.h"
#include "vault/grant.h"
#include "vault/memo.h"
#include "vault/upstream.h"

/* One life of the gate of our index. */
struct gate_peer {
    struct vault *vault;
    struct channel *channel;
    uint64_t incarnation;
    struct list exchanges;
    struct list link;
    struct loop_timer blame; /* it broke the rules; cut it in the next turn */
    unsigned lingering;      /* exchanges that are read to the end though their client is gone */
};

/* A configuration; the newest is last. */
struct generation {
    struct config *config;
    unsigned users;
    struct list link;
};

struct vault {
    struct child *child; /* NULL in tests */
    uint32_t index;
    struct loop *loop;
    struct channel *judge, *scribe, *reader;
    uint64_t reader_incarnation;
    struct list gates;
    struct list generations;
    struct secret key; /* struct vault_key; size 0 until it came */
    struct str ca;     /* DIR/vault/ca, owned */
    struct credentials *credentials;
    struct tls_context *system_tls;
    struct dns *dns;
    struct upstreams *upstreams;
    struct grants *grants;
    struct loop_timer grants_timer, stats_timer;
    struct table exchanges; /* by grant */
    struct list unsent;     /* of exchanges: SENT must be with the judge before they go on */
    struct list want_blob;  /* of exchanges that wait for their credential */
    struct list over;       /* of exchanges; freed when this turn ends */
    struct list spare;      /* of exchanges that are free */
    size_t spare_count;
    struct loop_hook burial;
    struct http_head head; /* of the answer that is being looked at */
    struct memo memo;
    bool draining, drained;
};

struct generation *vault_generation(struct vault *vault, uint64_t number); /* or NULL */

/* The unsealing key, or NULL: it has not come. */
const struct vault_key *vault_key_of(const struct vault *vault);

/* A peer that does not read, or breaks the rules, has lost its process. */
void vault_tell_judge(struct vault *vault, enum message_type type, const void *message);
void vault_tell_gate(struct gate_peer *gate, enum message_type type, const void *message);
bool vault_tell_reader(struct vault *vault, enum message_type type, const void *message);
void vault_ask_blob(struct vault *vault, uint64_t credential);
void vault_blame_gate(struct gate_peer *gate, const char *why);
void vault_check_drained(struct vault *vault);
/* The channel to a process that there is one of; `fd` is taken over. */
struct channel *vault_open_peer(struct vault *vault, int fd, const struct channel_accept *accepts,
                                size_t count, size_t queue_max);

/* ---- from_gate.c; vault_tell_gate() and vault_blame_gate() too ---- */

void vault_add_gate(struct vault *vault, uint64_t incarnation, int fd);
void vault_lose_gate(struct gate_peer *gate); /* frees it */
/* To be called when a grant waits for its FORWARD, or the other way round. */
void vault_set_grants_timer(struct vault *vault);

/* ---- from_judge.c ---- */

void vault_add_judge(struct vault *vault, int fd); /* in place of the last */

#endif
