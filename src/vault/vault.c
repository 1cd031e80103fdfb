/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Holds: the unsealing key and the credentials in use, in secret memory; connections to vendors.
 * Meets: vendors' bytes, and our own messages from gate, judge, scribe and parent.
 * May: connect by TCP, ask name servers; not listen, not open a file, not start a program.
 */
#include "vault/vault.h"

#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/encode.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "ledger/chain.h"
#include "vault/ca.h"
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
    /* The windows bound what is under way to a gate; this is for one that does not read. */
    GATE_QUEUE_MAX = LIMIT_GATE_BUFFER_BYTES + 4 * 1024 * 1024,
    JUDGE_QUEUE_MAX = 16 * 1024 * 1024,
    READER_QUEUE_MAX = 16 * 1024 * 1024,
    SCRIBE_QUEUE_MAX = 1024 * 1024,
};

/* ---- telling ---- */

void vault_tell_judge(struct vault *vault, enum message_type type, const void *message)
{
    if (vault->judge == NULL || !channel_send(vault->judge, type, message)) {
        /* Without its words nothing can be settled: start afresh, as the judge will have to. */
        log_error("judge-silent", "message=%s", message_name(type));
        exit(EXIT_FAILURE);
    }
}

static void gate_gone(struct gate_peer *gate);

static void on_blame(void *ctx)
{
    gate_gone(ctx);
}

void vault_blame_gate(struct gate_peer *gate, const char *why)
{
    struct vault *vault = gate->vault;

    log_warn("gate-fault", "why=\"%s\"", why);
    if (vault->child != NULL) {
        child_fault(vault->child, ROLE_GATE, vault->index, why);
    }
    /* Not from under the feet of whoever is telling it something. */
    loop_timer_set(vault->loop, &gate->blame, 0, on_blame, gate);
}

void vault_tell_gate(struct gate_peer *gate, enum message_type type, const void *message)
{
    if (!channel_send(gate->channel, type, message) && gate->blame.place == 0) {
        vault_blame_gate(gate, "it does not read");
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

/* ---- grants that wait ---- */

static void on_grants_timer(void *ctx);

static void set_grants_timer(struct vault *vault)
{
    uint64_t due;
    uint64_t now = loop_now_ms(vault->loop);

    if (!grants_next_due(vault->grants, &due)) {
        return;
    }
    if (vault->grants_timer.place == 0 || due < vault->grants_timer.due_ms) {
        loop_timer_set(vault->loop, &vault->grants_timer, due > now ? due - now : 0,
                       on_grants_timer, vault);
    }
}

static void reset_gate(struct gate_peer *gate, uint64_t grant, const char *why)
{
    struct message_reset reset = {.grant = grant, .error = UPSTREAM_GRANT, .detail = str_from(why)};

    vault_tell_gate(gate, MESSAGE_RESET, &reset);
}

static void end_meeting(struct vault *vault, struct meeting *meeting, const char *why)
{
    if (meeting->granted != NULL) {
        exchange_refuse(vault, meeting->granted, UPSTREAM_GRANT, why);
    } else {
        reset_gate(meeting->gate, meeting->grant, why);
    }
    meeting_free(meeting);
}

static void on_grants_timer(void *ctx)
{
    struct vault *vault = ctx;
    struct meeting *meeting;

    while ((meeting = grants_take_due(vault->grants, loop_now_ms(vault->loop))) != NULL) {
        end_meeting(vault, meeting,
                    meeting->granted != NULL ? "no gate came for it in time" : "no such grant");
    }
    set_grants_timer(vault);
}

/* ---- the gate ---- */

static void on_forward(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    struct vault *vault = gate->vault;
    const struct message_forward *forward = message;
    bool refused;
    struct meeting *meeting = grants_add_forward(vault->grants, gate, gate->incarnation, forward,
                                                 loop_now_ms(vault->loop), &refused);

    (void)from;
    (void)fd;
    if (meeting != NULL) {
        exchange_begin(vault, meeting);
    } else if (refused) {
        reset_gate(gate, forward->grant, "no such grant");
    } else {
        set_grants_timer(vault);
    }
}

static void on_data(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_data *data = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, data->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_data(exchange, data->bytes);
    } else if (grants_add_data(gate->vault->grants, gate, data->grant, data->bytes,
                               LIMIT_STREAM_WINDOW_BYTES) == EARLY_TOO_MUCH) {
        vault_blame_gate(gate, "DATA beyond its window");
    }
    /* Else it is over, and the gate has not read that yet. */
}

static void on_end(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_end *end = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, end->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_end(exchange);
    } else if (grants_add_end(gate->vault->grants, gate, end->grant) == EARLY_TOO_MUCH) {
        vault_blame_gate(gate, "END twice");
    }
}

struct whose {
    const struct gate_peer *gate;
    uint64_t grant; /* 0: any */
};

static bool is_forward_of(const struct meeting *meeting, const void *ctx)
{
    const struct whose *whose = ctx;
    return meeting->gate == whose->gate && (whose->grant == 0 || meeting->grant == whose->grant);
}

static bool is_granted_to(const struct meeting *meeting, const void *ctx)
{
    const struct whose *whose = ctx;
    return meeting->granted != NULL &&
           meeting->granted->gate_incarnation == whose->gate->incarnation;
}

static void on_reset(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_reset *reset = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, reset->grant);
    const struct whose whose = {gate, reset->grant};

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_reset(exchange);
    } else if (reset->grant != 0) {
        meeting_free(grants_take_fit(gate->vault->grants, is_forward_of, &whose));
    }
}

static void on_window(void *ctx, struct channel *from, const void *message, int fd)
{
    struct gate_peer *gate = ctx;
    const struct message_window *window = message;
    struct exchange *exchange = exchange_find(gate->vault, gate, window->grant);

    (void)from;
    (void)fd;
    if (exchange != NULL) {
        exchange_take_window(exchange, window->bytes);
    }
}

static void gate_gone(struct gate_peer *gate)
{
    struct vault *vault = gate->vault;
    const struct whose whose = {gate, 0};
    struct meeting *meeting;

    while ((meeting = grants_take_fit(vault->grants, is_forward_of, &whose)) != NULL) {
        meeting_free(meeting);
    }
    while ((meeting = grants_take_fit(vault->grants, is_granted_to, &whose)) != NULL) {
        end_meeting(vault, meeting, "the gate is gone");
    }
    exchanges_gate_gone(gate);
    loop_timer_stop(vault->loop, &gate->blame);
    list_remove(&gate->link);
    channel_free(gate->channel);
    free(gate);
}

static void on_gate_fault(void *ctx, struct channel *channel, const char *why)
{
    (void)channel;
    vault_blame_gate(ctx, why);
}

static void on_gate_closed(void *ctx, struct channel *channel)
{
    (void)channel;
    gate_gone(ctx);
}

static const struct channel_accept gate_accepts[] = {
    {MESSAGE_FORWARD, 0, on_forward}, {MESSAGE_DATA, 0, on_data},     {MESSAGE_END, 0, on_end},
    {MESSAGE_RESET, 0, on_reset},     {MESSAGE_WINDOW, 0, on_window},
};

static void add_gate(struct vault *vault, uint64_t incarnation, int fd)
{
    static const struct channel_events events = {
        .accepts = gate_accepts,
        .accept_count = sizeof(gate_accepts) / sizeof(gate_accepts[0]),
        .fault = on_gate_fault,
        .closed = on_gate_closed,
    };
    static const struct channel_limits limits = {.queue_max = GATE_QUEUE_MAX, .wipe = true};
    struct gate_peer *gate = mem_zeroed(sizeof(*gate));

    gate->vault = vault;
    gate->incarnation = incarnation;
    list_init(&gate->exchanges);
    list_add(&vault->gates, &gate->link);
    gate->channel = channel_new(vault->loop, fd, &events, &limits, gate);
}

/* ---- the judge ---- */

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
        set_grants_timer(vault);
    }
}

/* Ours, and so it reads only: nothing is bought by it, and no sandbox gets its answer. */
static void on_fetch(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_grant *fetch = message;

    (void)from;
    (void)fd;
    if (!str_equal(fetch->method, STR("GET")) || fetch->body != BODY_NONE || fetch->has_hold ||
        fetch->judged_body || exchange_is_known(vault, fetch->grant)) {
        exchange_refuse(vault, fetch, UPSTREAM_GRANT, "a FETCH is a GET without a body");
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

static const struct vault_key *key_of(const struct vault *vault)
{
    return vault->key.size == 0 ? NULL : (const struct vault_key *)(void *)vault->key.data;
}

static void on_sign_head(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_sign_head *head = message;
    const struct vault_key *key = key_of(vault);
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
    if (vault_sign_leaf(vault->ca, key_of(vault), sign, clock_wall_ms(), &der, &err) < 0) {
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

/* ---- scribe and reader ---- */

static void on_blob(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_blob *blob = message;
    const struct vault_key *key = key_of(vault);
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

static struct channel *open_peer(struct vault *vault, int fd, const struct channel_accept *accepts,
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
    vault->reader = open_peer(vault, fd, NULL, 0, READER_QUEUE_MAX);
}

/* ---- the parent ---- */

static void on_channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                       int fd)
{
    struct vault *vault = ctx;

    (void)peer_index;
    switch (peer) {
    case ROLE_GATE:
        add_gate(vault, incarnation, fd);
        break;
    case ROLE_READER:
        add_reader(vault, fd);
        break;
    case ROLE_JUDGE:
        channel_free(vault->judge);
        vault->judge = open_peer(vault, fd, judge_accepts,
                                 sizeof(judge_accepts) / sizeof(judge_accepts[0]), JUDGE_QUEUE_MAX);
        break;
    case ROLE_SCRIBE:
        channel_free(vault->scribe);
        vault->scribe =
            open_peer(vault, fd, scribe_accepts, sizeof(scribe_accepts) / sizeof(scribe_accepts[0]),
                      SCRIBE_QUEUE_MAX);
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
    const struct vault_key *key = key_of(vault);
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
        gate_gone(LIST_THING(link, struct gate_peer, link));
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
