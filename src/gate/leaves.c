/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Leaves: the certificates that we show where we end the TLS of another host.
 *
 * All are for one key, made once in the life of this process.  In a sandbox's session the session's
 * own CA signs, which is here; elsewhere the exported CA, whose key only the vaults can open: then
 * the judge is asked, which knows the tunnel's host.  Kept for as long as they are good.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "gate/tunnel.h"

enum {
    LEAVES_MAX = 256,
    SESSION_LEAVES_MAX = 64,
    FRESH_MS = 600 * 1000, /* one that ends sooner is not shown any more */
};

struct kept_leaf {
    char host[TUNNEL_HOST_MAX + 1];
    struct leaf *leaf;
    struct list link; /* the last used first */
};

struct leaves {
    struct leaf_key *key;
    struct tls_context *context;
    struct list kept;
    size_t count;
};

/* ---- kept ones ---- */

static void drop(struct kept_leaf *kept, size_t *count)
{
    list_remove(&kept->link);
    leaf_free(kept->leaf); /* OpenSSL counts who uses the certificate */
    free(kept);
    (*count)--;
}

static void drop_all(struct list *all, size_t *count)
{
    struct list *link;

    while ((link = list_first(all)) != NULL) {
        drop(LIST_THING(link, struct kept_leaf, link), count);
    }
}

static struct leaf *find(struct list *all, size_t *count, const char *host)
{
    for (struct list *at = all->next, *next; at != all; at = next) {
        struct kept_leaf *kept = LIST_THING(at, struct kept_leaf, link);
        next = at->next;
        if (strcmp(kept->host, host) != 0) {
            continue;
        }
        if (leaf_expires_ms(kept->leaf) < clock_wall_ms() + FRESH_MS) {
            drop(kept, count);
            return NULL;
        }
        list_remove(&kept->link);
        list_add(all->next, &kept->link);
        return kept->leaf;
    }
    return NULL;
}

static void keep(struct list *all, size_t *count, size_t max, const char *host, struct leaf *leaf)
{
    struct kept_leaf *kept = mem_zeroed(sizeof(*kept));

    if (*count >= max) {
        drop(LIST_THING(all->prev, struct kept_leaf, link), count);
    }
    (void)snprintf(kept->host, sizeof(kept->host), "%s", host);
    kept->leaf = leaf;
    list_init(&kept->link);
    /* What was dropped is out of the list.  NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    list_add(all->next, &kept->link);
    (*count)++;
}

struct leaves *leaves_new(void)
{
    struct leaves *leaves = mem_zeroed(sizeof(*leaves));
    struct err err;

    list_init(&leaves->kept);
    leaves->key = leaf_key_new();
    leaves->context = tls_context_new_leaves(&err);
    if (leaves->context == NULL) {
        log_error("leaves", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    return leaves;
}

void leaves_free(struct leaves *leaves)
{
    if (leaves != NULL) {
        drop_all(&leaves->kept, &leaves->count);
        tls_context_free(leaves->context);
        leaf_key_free(leaves->key);
        free(leaves);
    }
}

void leaves_forget(struct gate *gate)
{
    drop_all(&gate->leaves->kept, &gate->leaves->count);
}

/* ---- sessions ---- */

bool session_take_ca(struct gate_session *session, struct str pem, struct str key)
{
    struct err err;

    list_init(&session->leaves);
    session->ca = ca_open(pem, key, &err);
    if (session->ca == NULL) {
        log_error("session", "%s", err.text);
    }
    return session->ca != NULL;
}

void session_drop_ca(struct gate_session *session)
{
    drop_all(&session->leaves, &session->leaf_count);
    ca_free(session->ca);
    session->ca = NULL;
}

static struct leaf *sign_for_session(struct gate_session *session, const struct leaves *leaves,
                                     const char *host)
{
    struct leaf *leaf = find(&session->leaves, &session->leaf_count, host);
    struct buf der, public_key;
    struct err err;

    if (leaf != NULL) {
        return leaf;
    }
    buf_init(&der, LEAF_DER_MAX);
    buf_init(&public_key, 1024);
    if (!leaf_key_public(leaves->key, &public_key) ||
        ca_sign(session->ca, str_from(host), buf_str(&public_key), clock_wall_ms(), &der, &err) <
            0 ||
        (leaf = leaf_new(buf_str(&der), leaves->key, &err)) == NULL) {
        log_error("leaf", "%s", err.text);
    } else {
        keep(&session->leaves, &session->leaf_count, SESSION_LEAVES_MAX, host, leaf);
    }
    buf_clear(&der);
    buf_clear(&public_key);
    return leaf;
}

/* ---- beginning TLS ---- */

static void begin_with(struct visitor *client, const struct leaf *leaf)
{
    struct tunnel *tunnel = client->tunnel;

    client->way = (unsigned char)tunnel->door;
    tunnel->step = STEP_OPEN;
    visitor_begin_tls(client,
                      tls_new_leaf(client->gate->leaves->context, leaf, str_from(tunnel->host)));
}

static void ask_for_leaf(struct visitor *client)
{
    struct gate *gate = client->gate;
    struct tunnel *tunnel = client->tunnel;
    struct message_leaf_get get = {.request = tunnel->request};
    struct buf public_key;

    buf_init(&public_key, 1024);
    if (!leaf_key_public(gate->leaves->key, &public_key)) {
        abort(); /* a key of ours */
    }
    get.public_key = buf_str(&public_key);
    tunnel->step = STEP_LEAF;
    bool sent = gate->judge != NULL && channel_send(gate->judge->channel, MESSAGE_LEAF_GET, &get);
    buf_clear(&public_key);
    if (!sent) {
        visitor_gone(client);
    }
}

void leaves_begin(struct visitor *client)
{
    struct leaves *leaves = client->gate->leaves;
    const char *host = client->tunnel->host;
    const struct leaf *leaf = client->session != NULL
                                  ? sign_for_session(client->session, leaves, host)
                                  : find(&leaves->kept, &leaves->count, host);

    if (leaf != NULL) {
        begin_with(client, leaf);
    } else if (client->session != NULL) {
        visitor_gone(client);
    } else {
        ask_for_leaf(client);
    }
}

static struct visitor *who_waits(struct gate *gate, uint64_t request)
{
    for (struct list *at = gate->tunnels.next; at != &gate->tunnels; at = at->next) {
        struct tunnel *tunnel = LIST_THING(at, struct tunnel, link);
        if (tunnel->request == request && tunnel->step == STEP_LEAF) {
            return tunnel->client;
        }
    }
    return NULL;
}

void leaves_answer(struct gate *gate, const struct message_leaf *message)
{
    struct visitor *client = who_waits(gate, message->request);
    struct leaves *leaves = gate->leaves;
    struct err err;

    if (client == NULL) {
        return; /* it has left */
    }
    struct leaf *leaf = NULL;
    if (message->certificate.len == 0) {
        log_warn("leaf", "host=%s %s", client->tunnel->host, log_text(message->problem).text);
    } else if (!str_equal(message->host, str_from(client->tunnel->host)) ||
               (leaf = leaf_new(message->certificate, leaves->key, &err)) == NULL) {
        log_error("leaf", "why=\"it is not the one that was asked for\"");
    }
    if (leaf == NULL) {
        visitor_gone(client);
        return;
    }
    if (find(&leaves->kept, &leaves->count, client->tunnel->host) == NULL) {
        keep(&leaves->kept, &leaves->count, LEAVES_MAX, client->tunnel->host, leaf);
        begin_with(client, leaf);
    } else {
        begin_with(client, leaf);
        leaf_free(leaf);
    }
}
