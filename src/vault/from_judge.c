/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the judge says: what may be sent, what is dead, and what is to be signed.
 */
#include <sodium.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "base/log.h"
#include "ledger/chain.h"
#include "vault/ca.h"
#include "vault/exchange.h"

enum { JUDGE_QUEUE_MAX = 16 * 1024 * 1024 };

/* The gate it was made for has been replaced. */
static bool came_too_late(const struct vault *vault, uint64_t gate_incarnation)
{
    bool newer = false;

    for (struct list *link = vault->gates.next; link != &vault->gates; link = link->next) {
        const struct gate_peer *gate = LIST_THING(link, const struct gate_peer, link);
        if (gate->incarnation == gate_incarnation) {
            return false;
        }
        newer = newer || gate->incarnation > gate_incarnation;
    }
    return newer;
}

static void on_grant(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_grant *grant = message;
    bool refused;

    (void)from;
    (void)fd;
    if (came_too_late(vault, grant->gate_incarnation)) {
        exchange_refuse(vault, grant, UPSTREAM_GRANT, "the gate is gone");
        return;
    }
    struct meeting *meeting =
        grants_add_grant(vault->grants, grant, loop_now_ms(vault->loop), &refused);
    if (meeting != NULL) {
        exchange_begin(vault, meeting);
    } else if (refused) {
        exchange_refuse(vault, grant, UPSTREAM_GRANT, "another gate asked for it");
    } else {
        vault_set_grants_timer(vault);
    }
}

/* Ours: it reads, or ends an object of a key that has ended.  Nothing is bought by it, and no
 * sandbox gets its answer. */
static void on_fetch(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_grant *fetch = message;

    bool known = str_equal(fetch->method, STR("GET")) || str_equal(fetch->method, STR("POST"));

    (void)from;
    (void)fd;
    if (!known || fetch->body != BODY_NONE || fetch->has_hold || fetch->judged_body ||
        exchange_is_known(vault, fetch->grant)) {
        exchange_refuse(vault, fetch, UPSTREAM_GRANT, "a FETCH has no body");
        return;
    }
    exchange_begin(vault, meeting_of_fetch(fetch));
}

static void on_release(void *ctx, struct channel *from, const void *message, int fd)
{
    const struct message_release *release = message;

    (void)from;
    (void)fd;
    exchanges_release(ctx, release->grant);
}

static void on_revoke(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_cut *cut = message;
    struct message_cut_done done = {.cut = cut->cut};

    (void)from;
    (void)fd;
    exchanges_revoke(vault, cut->keys, cut->key_count);
    vault_tell_judge(vault, MESSAGE_REVOKED, &done);
}

static void on_forget(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_forget_credential *forget = message;

    (void)from;
    (void)fd;
    credentials_forget(vault->credentials, forget->credential);
    upstreams_forget(vault->upstreams, forget->credential);
}

static void on_sign_head(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_sign_head *head = message;
    const struct vault_key *key = vault_key_of(vault);
    unsigned char signature[crypto_sign_BYTES];

    (void)from;
    (void)fd;
    if (key == NULL) {
        log_error("sign-head", "the signing key is not here");
        return;
    }
    struct chain_signed_text text = chain_signed_text(head->sequence, &head->head, head->at_ms);
    (void)crypto_sign_detached(signature, NULL, (const unsigned char *)text.text, strlen(text.text),
                               key->sign_secret);
    struct message_signed answer = {
        .sequence = head->sequence,
        .signature = str_of(signature, sizeof(signature)),
        .public_key = str_of(key->sign_public, sizeof(key->sign_public)),
    };
    vault_tell_judge(vault, MESSAGE_SIGNED, &answer);
}

static void on_leaf_sign(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_leaf_sign *sign = message;
    struct message_leaf leaf = {.request = sign->request, .host = sign->host};
    struct err err = {""};
    struct buf der;

    (void)from;
    (void)fd;
    buf_init(&der, LEAF_DER_MAX);
    if (vault_sign_leaf(vault->ca, vault_key_of(vault), sign, clock_wall_ms(), &der, &err) < 0) {
        leaf.problem = str_from(err.text);
    } else {
        leaf.certificate = buf_str(&der);
    }
    vault_tell_judge(vault, MESSAGE_LEAF_SIGNED, &leaf);
    buf_clear(&der);
}

static const struct channel_accept judge_accepts[] = {
    {MESSAGE_LEAF_SIGN, 0, on_leaf_sign},
    {MESSAGE_GRANT, 0, on_grant},
    {MESSAGE_RELEASE, 0, on_release},
    {MESSAGE_REVOKE, 0, on_revoke},
    {MESSAGE_FORGET_CREDENTIAL, 0, on_forget},
    {MESSAGE_SIGN_HEAD, 0, on_sign_head},
    {MESSAGE_FETCH, 0, on_fetch},
};

void vault_add_judge(struct vault *vault, int fd)
{
    channel_free(vault->judge);
    vault->judge =
        vault_open_peer(vault, fd, judge_accepts, sizeof(judge_accepts) / sizeof(judge_accepts[0]),
                        JUDGE_QUEUE_MAX);
}
