/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: the unsealing key and the credentials in use, in secret memory; connections to vendors.
 * Meets: vendors' bytes, and our own messages from gate, judge, scribe and parent.
 * May: connect by TCP, ask name servers; not listen, not open a file, not start a program.
 */
#include "vault/vault.h"

#include <sodium.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "vault/exchange.h"

static const int syscalls[] = {
    SYS_connect, SYS_setsockopt, SYS_getsockopt, SYS_getsockname, SYS_getpeername, SYS_pread64,
};

static const struct confine confine = {
    .syscalls = syscalls,
    .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
    .send = true,
    .socket = true,
    .map = true,
    .may_lock_memory = true,
};

enum {
    STATS_MS = 1000,
    READER_QUEUE_MAX = 16 * 1024 * 1024,
    SCRIBE_QUEUE_MAX = 1024 * 1024,
};

void vault_tell_judge(struct vault *vault, enum message_type type, const void *message)
{
    if (vault->judge == NULL || !channel_send(vault->judge, type, message)) {
        /* Without its words nothing can be settled: start afresh, as the judge will have to. */
        log_error("judge-silent", "message=%s", message_name(type));
        exit(EXIT_FAILURE);
    }
}

bool vault_tell_reader(struct vault *vault, enum message_type type, const void *message)
{
    return vault->reader != NULL && channel_send(vault->reader, type, message);
}

void vault_ask_blob(struct vault *vault, uint64_t credential)
{
    struct message_blob_get get = {.credential = credential};

    if (vault->scribe == NULL || !channel_send(vault->scribe, MESSAGE_BLOB_GET, &get)) {
        log_error("scribe-silent", "message=BLOB_GET");
        exit(EXIT_FAILURE);
    }
}

void vault_check_drained(struct vault *vault)
{
    if (vault->draining && !vault->drained && vault->exchanges.count == 0) {
        vault->drained = true;
        if (vault->child != NULL) {
            child_drained(vault->child);
        }
    }
}

/* ---- configurations ---- */

struct generation *vault_generation(struct vault *vault, uint64_t number)
{
    for (struct list *link = vault->generations.prev; link != &vault->generations;
         link = link->prev) {
        struct generation *generation = LIST_THING(link, struct generation, link);
        if (generation->config->generation == number) {
            return generation;
        }
    }
    return NULL;
}

static void generation_free(struct generation *generation)
{
    list_remove(&generation->link);
    config_free(generation->config);
    free(generation);
}

/* Old ones that nobody uses; the one before the newest may still be granted under. */
static void drop_old_generations(struct vault *vault)
{
    struct list *newest = vault->generations.prev;
    struct list *link = vault->generations.next;

    while (link != newest && link != newest->prev) {
        struct generation *old = LIST_THING(link, struct generation, link);
        link = link->next;
        if (old->users == 0) {
            generation_free(old);
        }
    }
}

static void on_config(void *ctx, uint64_t number, int fd)
{
    struct vault *vault = ctx;
    struct err err;
    struct config *config = config_open(fd, number, &err);

    if (config == NULL) {
        log_error("config", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    struct generation *generation = mem_zeroed(sizeof(*generation));
    generation->config = config;
    list_add(&vault->generations, &generation->link);
    drop_old_generations(vault);
}

const struct vault_key *vault_key_of(const struct vault *vault)
{
    return vault->key.size == 0 ? NULL : (const struct vault_key *)(void *)vault->key.data;
}

/* ---- scribe and reader ---- */

static void on_blob(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_blob *blob = message;
    const struct vault_key *key = vault_key_of(vault);
    struct err err = {"the credential is not in the database"};
    struct credential *credential = NULL;

    (void)from;
    (void)fd;
    if (blob->found && key == NULL) {
        (void)err_set(&err, "the unsealing key is not here");
    } else if (blob->found) {
        credential = credential_open(blob->credential, blob->version, blob->sealed, key, &err);
    }
    if (credential == NULL) {
        log_warn("credential", "number=%llu %s", (unsigned long long)blob->credential, err.text);
    } else {
        credentials_add(vault->credentials, credential);
    }
    exchanges_credential(vault, blob->credential, credential, err.text);
    credential_release(credential);
}

static const struct channel_accept scribe_accepts[] = {{MESSAGE_BLOB, 0, on_blob}};

static void on_peer_fault(void *ctx, struct channel *channel, const char *why)
{
    struct vault *vault = ctx;
    enum process_role role = channel == vault->judge    ? ROLE_JUDGE
                             : channel == vault->scribe ? ROLE_SCRIBE
                                                        : ROLE_READER;

    log_error("peer-fault", "peer=%s why=\"%s\"", role_name(role), why);
    if (vault->child != NULL) {
        child_fault(vault->child, role, role == ROLE_READER ? vault->index : 0, why);
    }
}

static void on_peer_closed(void *ctx, struct channel *channel)
{
    struct vault *vault = ctx;

    if (channel == vault->reader) {
        exchanges_reader_gone(vault);
        vault->reader = NULL;
    } else if (channel == vault->judge || channel == vault->scribe) {
        /* What is open can no longer be settled or kept: the parent starts all anew. */
        exit(EXIT_SUCCESS);
    }
    channel_free(channel);
}

struct channel *vault_open_peer(struct vault *vault, int fd, const struct channel_accept *accepts,
                                size_t count, size_t queue_max)
{
    const struct channel_events events = {
        .accepts = accepts,
        .accept_count = count,
        .fault = on_peer_fault,
        .closed = on_peer_closed,
    };
    const struct channel_limits limits = {.queue_max = queue_max, .wipe = true};

    return channel_new(vault->loop, fd, &events, &limits, vault);
}

static void add_reader(struct vault *vault, int fd)
{
    if (vault->reader != NULL) {
        exchanges_reader_gone(vault);
        channel_free(vault->reader);
    }
    vault->reader = vault_open_peer(vault, fd, NULL, 0, READER_QUEUE_MAX);
}

/* ---- the parent ---- */

static void on_channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                       int fd)
{
    struct vault *vault = ctx;

    (void)peer_index;
    switch (peer) {
    case ROLE_GATE:
        vault_add_gate(vault, incarnation, fd);
        break;
    case ROLE_READER:
        add_reader(vault, fd);
        break;
    case ROLE_JUDGE:
        vault_add_judge(vault, fd);
        break;
    case ROLE_SCRIBE:
        channel_free(vault->scribe);
        vault->scribe =
            vault_open_peer(vault, fd, scribe_accepts,
                            sizeof(scribe_accepts) / sizeof(scribe_accepts[0]), SCRIBE_QUEUE_MAX);
        break;
    default:
        (void)close(fd);
        break;
    }
}

/* Its channel's end says the same, once it has been read to there. */
static void on_gone(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation)
{
    (void)ctx;
    (void)peer;
    (void)peer_index;
    (void)incarnation;
}

static void on_unseal_key(void *ctx, int fd)
{
    struct vault *vault = ctx;
    struct err err;

    secret_clear(&vault->key);
    if (secret_map_fd(&vault->key, fd, sizeof(struct vault_key), &err) < 0) {
        log_error("unseal-key", "%s", err.text);
        exit(EXIT_FAILURE);
    }
    (void)close(fd);
    const struct vault_key *key = vault_key_of(vault);
    if (key == NULL || key->version != VAULT_KEY_VERSION) {
        log_error("unseal-key", "it is of another layout");
        exit(EXIT_FAILURE);
    }
}

static void on_ca(void *ctx, const struct message_ca *ca)
{
    struct vault *vault = ctx;

    free((void *)(uintptr_t)vault->ca.data);
    vault->ca =
        ca->file.len == 0 ? STR_NONE : str_of(mem_copy(ca->file.data, ca->file.len), ca->file.len);
}

static void on_resolver(void *ctx, const struct message_resolver *resolver)
{
    struct vault *vault = ctx;
    dns_configure(vault->dns, resolver->resolv_conf, resolver->hosts);
}

static void on_stats(void *ctx)
{
    struct vault *vault = ctx;
    const struct upstream_stats *upstreams = upstreams_stats(vault->upstreams);
    struct message_vault_stats stats = {
        .connections_busy = upstreams->busy,
        .connections_idle = upstreams->idle,
        .streams = vault->exchanges.count,
        .handshakes = upstreams->handshakes,
        .resumed = upstreams->resumed,
    };

    for (struct list *link = vault->gates.next; link != &vault->gates; link = link->next) {
        stats.queue_bytes += channel_queued(LIST_THING(link, struct gate_peer, link)->channel);
    }
    vault_tell_judge(vault, MESSAGE_VAULT_STATS, &stats);
    loop_timer_set(vault->loop, &vault->stats_timer, STATS_MS, on_stats, vault);
}

static void on_start(void *ctx)
{
    struct vault *vault = ctx;

    loop_timer_set(vault->loop, &vault->stats_timer, STATS_MS, on_stats, vault);
    if (vault->child != NULL) {
        child_ready(vault->child);
    }
}

static void on_drain(void *ctx)
{
    struct vault *vault = ctx;

    vault->draining = true;
    vault_check_drained(vault);
}

const struct child_events *vault_events(void)
{
    static const struct child_events events = {
        .channel = on_channel,
        .gone = on_gone,
        .config = on_config,
        .unseal_key = on_unseal_key,
        .ca = on_ca,
        .resolver = on_resolver,
        .start = on_start,
        .drain = on_drain,
    };

    return &events;
}

static bool before_sending(void *ctx)
{
    return exchanges_say_sent(ctx);
}

struct vault *vault_new(struct loop *loop, uint32_t index, struct err *err)
{
    struct vault *vault = mem_zeroed(sizeof(*vault));

    vault->loop = loop;
    vault->index = index;
    list_init(&vault->gates);
    list_init(&vault->generations);
    list_init(&vault->unsent);
    list_init(&vault->want_blob);
    list_init(&vault->over);
    list_init(&vault->spare);
    vault->exchanges = exchanges_table();
    if (sodium_init() < 0) {
        (void)err_set(err, "cannot set up libsodium");
        goto fail;
    }
    tls_setup();
    digest_setup();
    (void)secret_has_memfd();
    vault->system_tls = tls_context_new_client(STR_NONE, err);
    vault->dns = dns_new(loop, err);
    if (vault->system_tls == NULL || vault->dns == NULL) {
        goto fail;
    }
    vault->credentials = credentials_new();
    vault->grants = grants_new();
    vault->upstreams = upstreams_new(loop, vault->dns, vault->system_tls, before_sending, vault);
    return vault;
fail:
    vault_free(vault);
    return NULL;
}

void vault_free(struct vault *vault)
{
    struct list *link;

    if (vault == NULL) {
        return;
    }
    loop_timer_stop(vault->loop, &vault->stats_timer);
    while ((link = list_first(&vault->gates)) != NULL) {
        vault_lose_gate(LIST_THING(link, struct gate_peer, link));
    }
    exchanges_free(vault);
    loop_timer_stop(vault->loop, &vault->grants_timer);
    upstreams_free(vault->upstreams);
    grants_free(vault->grants);
    credentials_free(vault->credentials);
    dns_free(vault->dns);
    tls_context_free(vault->system_tls);
    channel_free(vault->judge);
    channel_free(vault->scribe);
    channel_free(vault->reader);
    while ((link = list_first(&vault->generations)) != NULL) {
        generation_free(LIST_THING(link, struct generation, link));
    }
    secret_clear(&vault->key);
    free((void *)(uintptr_t)vault->ca.data);
    table_clear(&vault->exchanges);
    free(vault);
}

int vault_main(int argc, char **argv)
{
    struct child child;
    struct err err;

    child_init(&child, ROLE_VAULT, argc, argv);
    struct vault *vault = vault_new(child.loop, child.index, &err);
    if (vault == NULL) {
        log_error("start", "%s", err.text);
        return EXIT_FAILURE;
    }
    vault->child = &child;
    if (tls_context_trusted(vault->system_tls) == 0) {
        log_warn("no-ca", "no CA certificate is installed here; install ca-certificates");
    }
    child_confine(&child, &confine);
    return child_run(&child, vault_events(), vault);
}
