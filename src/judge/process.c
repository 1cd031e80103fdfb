/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/process.h"

#include <assert.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "judge/admission.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/calls.h"
#include "judge/fetch.h"
#include "judge/grant.h"
#include "judge/holds.h"
#include "judge/keys.h"
#include "judge/metrics.h"
#include "judge/now.h"
#include "judge/number.h"
#include "judge/objects.h"
#include "judge/rates.h"
#include "judge/record.h"
#include "judge/request.h"
#include "judge/revoke.h"
#include "judge/sessions.h"
#include "judge/tunnel.h"
#include "judge/turn.h"
#include "judge/watch.h"

enum {
    TICK_MS = 100,
    TICKS_A_SECOND = 10,
    GATE_QUEUE_MAX = 16 * 1024 * 1024,
    VAULT_QUEUE_MAX = 16 * 1024 * 1024,
    CONTROL_QUEUE_MAX = 64 * 1024 * 1024,
    READER_QUEUE_MAX = 64 * 1024,
    SCRIBE_QUEUE_MAX = 512 * 1024 * 1024, /* record.c bounds what is in it */
    SCRIBE_MESSAGES_A_TURN = 4096,        /* loading: nothing else goes on */
    DIALER_QUEUE_MAX = 4 * 1024 * 1024,
    DRAIN_LOOK_MS = 50,
};

/* States of the scribe's channel. */
enum { SCRIBE_NEW, SCRIBE_LOADING, SCRIBE_RUNNING };

/* ---- gate ---- */

static void on_admit(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *gate = ctx;

    (void)from;
    (void)fd;
    now_update(gate->judge);
    admission_request(gate->judge, gate, message);
}

static void on_done(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *gate = ctx;
    const struct message_done *done = message;

    (void)from;
    (void)fd;
    if (done->grant == 0 && tunnel_abandoned(gate, done->request)) {
        return;
    }
    if (done->grant == 0) {
        admission_abandoned(gate->judge, gate, done->request);
    } else {
        grant_done(gate->judge, gate, done);
    }
}

static void on_cut_done(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *peer = ctx;
    const struct message_cut_done *done = message;

    (void)from;
    (void)fd;
    revoke_confirmed(peer->judge, peer, done->cut);
}

static void on_gate_stats(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *gate = ctx;
    const struct message_gate_stats *stats = message;

    (void)from;
    (void)fd;
    gate->gate_stats = *stats;
}

static void on_tunnel(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *gate = ctx;

    (void)from;
    (void)fd;
    now_update(gate->judge);
    tunnel_decide(gate->judge, gate, message);
}

static void on_tunnel_done(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *gate = ctx;

    (void)from;
    (void)fd;
    tunnel_done(gate->judge, gate, message);
}

static void on_leaf_get(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *gate = ctx;

    (void)from;
    (void)fd;
    tunnel_leaf_get(gate->judge, gate, message);
}

static const struct channel_accept gate_accepts[] = {
    {MESSAGE_ADMIT, 0, on_admit},
    {MESSAGE_TUNNEL, 0, on_tunnel},
    {MESSAGE_TUNNEL_DONE, 0, on_tunnel_done},
    {MESSAGE_LEAF_GET, 0, on_leaf_get},
    {MESSAGE_DONE, 0, on_done},
    {MESSAGE_CUT_DONE, 0, on_cut_done},
    {MESSAGE_GATE_STATS, 0, on_gate_stats},
};

/* ---- reader ---- */

static void on_facts(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *reader = ctx;
    struct judge *judge = reader->judge;
    const struct message_facts *facts = message;
    struct peer *gate = judge->gates[reader->index];

    (void)from;
    (void)fd;
    now_update(judge);
    if (facts->answer) {
        grant_answer_facts(judge, reader, facts);
        return;
    }
    struct request *request = gate == NULL ? NULL : request_of_gate(gate, facts->request);
    if (request != NULL && request->state == REQUEST_BODY) {
        admission_facts(judge, request, facts);
    } /* else its client left meanwhile */
}

static const struct channel_accept reader_accepts[] = {{MESSAGE_FACTS, 0, on_facts}};

/* ---- vault ---- */

static void on_sent(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *vault = ctx;
    const struct message_sent *sent = message;

    (void)from;
    (void)fd;
    grant_sent(vault->judge, vault, sent->grant);
}

static void on_outcome(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *vault = ctx;

    (void)from;
    (void)fd;
    now_update(vault->judge);
    grant_outcome(vault->judge, vault, message);
}

static void on_signed(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *vault = ctx;

    (void)from;
    (void)fd;
    audit_signed(vault->judge, message);
}

static void on_vault_stats(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *vault = ctx;
    const struct message_vault_stats *stats = message;

    (void)from;
    (void)fd;
    vault->vault_stats = *stats;
}

static void on_leaf_signed(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *vault = ctx;

    (void)from;
    (void)fd;
    tunnel_leaf_signed(vault->judge, vault, message);
}

static const struct channel_accept vault_accepts[] = {
    {MESSAGE_LEAF_SIGNED, 0, on_leaf_signed}, {MESSAGE_SENT, 0, on_sent},
    {MESSAGE_OUTCOME, 0, on_outcome},         {MESSAGE_REVOKED, 0, on_cut_done},
    {MESSAGE_SIGNED, 0, on_signed},           {MESSAGE_VAULT_STATS, 0, on_vault_stats},
};

/* ---- control ---- */

static void on_call(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *control = ctx;

    (void)from;
    (void)fd;
    now_update(control->judge);
    calls_handle(control->judge, message);
}

static const struct channel_accept control_accepts[] = {{MESSAGE_CALL, 0, on_call}};

/* ---- scribe: loading ---- */

static void load_meta(struct judge *judge, const struct message_row_meta *row)
{
    if (number_load(judge, row)) {
        return;
    }
    if (rates_load(judge, row)) {
        return;
    }
    if (str_equal(row->name, STR("idempotency_secret"))) {
        free(judge->idempotency_secret);
        judge->idempotency_secret = mem_copy_str(row->value);
        judge->idempotency_secret_len = row->value.len;
    }
}

static void load_head(struct judge *judge, const struct message_row_head *row)
{
    judge->audit.signed_sequence = row->sequence;
}

#define LOADS(name, type, call)                                                                    \
    static void name(void *ctx, struct channel *from, const void *message, int fd)                 \
    {                                                                                              \
        struct judge *judge = ((struct peer *)ctx)->judge;                                         \
        const struct type *row = message;                                                          \
                                                                                                   \
        (void)from;                                                                                \
        (void)fd;                                                                                  \
        arena_reset(judge->scratch);                                                               \
        (void)(call);                                                                              \
    }
LOADS(on_row_key, message_row_key, keys_put(judge, row))
LOADS(on_row_credential, message_row_credential, book_put_credential(judge, row))
LOADS(on_row_stop, message_row_stop, book_put_stop(judge, row))
LOADS(on_row_operator, message_row_operator, book_put_operator(judge, row))
#undef LOADS

#define LOADS(name, type, call)                                                                    \
    static void name(void *ctx, struct channel *from, const void *message, int fd)                 \
    {                                                                                              \
        struct judge *judge = ((struct peer *)ctx)->judge;                                         \
        const struct type *row = message;                                                          \
                                                                                                   \
        (void)from;                                                                                \
        (void)fd;                                                                                  \
        call;                                                                                      \
    }
LOADS(on_row_meta, message_row_meta, load_meta(judge, row))
LOADS(on_row_tenant, message_row_tenant, book_put_tenant(judge, row))
LOADS(on_row_price, message_row_price, book_put_price(judge, row))
LOADS(on_row_window, message_row_window, windows_load(&judge->windows, row))
LOADS(on_row_hold, message_row_hold, holds_load(judge, row))
LOADS(on_row_idempotency, message_row_idempotency, records_put(&judge->records, row))
LOADS(on_row_head, message_row_head, load_head(judge, row))
#undef LOADS

static void say_ready(struct judge *judge)
{
    if (judge->loaded && judge->started && judge->generation != NULL && !judge->ready) {
        judge->ready = true;
        audit_server(judge, "started", STR_NONE);
        log_info("ready", "keys=%zu holds=%zu records=%zu audit=%llu", judge->live_keys,
                 judge->open_holds, judge->records.table.count,
                 (unsigned long long)judge->audit.sequence);
        judge->calls->ready(judge->calls->ctx);
    }
}

static void on_loaded(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *scribe = ctx;
    struct judge *judge = scribe->judge;
    const struct message_loaded *loaded = message;

    (void)fd;
    channel_set_state(from, SCRIBE_RUNNING);
    judge->audit.sequence = loaded->audit_sequence;
    judge->audit.head = loaded->audit_head;
    clock_guard_start(&judge->clock, clock_wall_ms(), clock_boot_ms(), loaded->newest_at_ms);
    judge->day = judge->clock.day;
    judge->audit.signed_at_ms = judge->clock.now_ms;
    keys_link_parents(judge);
    judge->loading = false;
    judge->loaded = true;
    holds_loaded(judge);
    sessions_loaded(judge);
    say_ready(judge);
}

/* ---- scribe: running ---- */

static void on_committed(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *scribe = ctx;

    (void)from;
    (void)fd;
    now_update(scribe->judge);
    record_committed(scribe->judge, message);
}

static void on_store_refused(void *ctx, struct channel *from, const void *message, int fd)
{
    struct peer *scribe = ctx;

    (void)from;
    (void)fd;
    record_refused(scribe->judge, message);
}

#define LOADING CHANNEL_STATE(SCRIBE_LOADING)
#define RUNNING CHANNEL_STATE(SCRIBE_RUNNING)
static const struct channel_accept scribe_accepts[] = {
    {MESSAGE_ROW_META, LOADING, on_row_meta},
    {MESSAGE_ROW_KEY, LOADING, on_row_key},
    {MESSAGE_ROW_WINDOW, LOADING, on_row_window},
    {MESSAGE_ROW_HOLD, LOADING, on_row_hold},
    {MESSAGE_ROW_IDEMPOTENCY, LOADING, on_row_idempotency},
    {MESSAGE_ROW_CREDENTIAL, LOADING, on_row_credential},
    {MESSAGE_ROW_TENANT, LOADING, on_row_tenant},
    {MESSAGE_ROW_STOP, LOADING, on_row_stop},
    {MESSAGE_ROW_OPERATOR, LOADING, on_row_operator},
    {MESSAGE_ROW_PRICE, LOADING, on_row_price},
    {MESSAGE_ROW_HEAD, LOADING, on_row_head},
    {MESSAGE_LOADED, LOADING, on_loaded},
    {MESSAGE_COMMITTED, RUNNING, on_committed},
    {MESSAGE_STORE_REFUSED, RUNNING, on_store_refused},
};

static void ask_for_rows(struct judge *judge)
{
    struct message_empty nothing = {false};

    if (judge->scribe == NULL || !judge->started || judge->loading || judge->loaded) {
        return;
    }
    judge->loading = true;
    channel_set_state(judge->scribe->channel, SCRIBE_LOADING);
    (void)channel_send(judge->scribe->channel, MESSAGE_LOAD, &nothing);
}

/* ---- peers ---- */

static struct peer **place_of(struct judge *judge, enum process_role role, uint32_t index)
{
    switch (role) {
    case ROLE_GATE:
        return &judge->gates[index];
    case ROLE_READER:
        return &judge->readers[index];
    case ROLE_VAULT:
        return &judge->vaults[index];
    case ROLE_SCRIBE:
        return &judge->scribe;
    case ROLE_CONTROL:
        return &judge->control;
    case ROLE_DIALER:
        return &judge->dialer;
    case ROLE_NONE:
    case ROLE_PARENT:
    case ROLE_JUDGE:
    case ROLE_CHECK:
    case ROLE_UNLOCK:
    case ROLE_COUNT:
    default:
        return NULL;
    }
}

static void kill_peer(struct judge *judge, struct peer *peer)
{
    if (!peer->dying) {
        peer->dying = true;
        judge->calls->kill(judge->calls->ctx, peer->role, peer->index, peer->incarnation);
    }
}

static void fault_peer(struct judge *judge, struct peer *peer, const char *why)
{
    if (!peer->dying) {
        peer->dying = true;
        log_error("fault", "process=%s.%u why=\"%s\"", role_name(peer->role), peer->index, why);
        audit_server(judge, "fault", str_from(why));
        judge->calls->fault(judge->calls->ctx, peer->role, peer->index, why);
    }
}

static void on_fault(void *ctx, struct channel *channel, const char *why)
{
    struct peer *peer = ctx;

    (void)channel;
    if (peer->role == ROLE_SCRIBE) {
        log_error("fault", "process=scribe why=\"%s\"", why);
        abort(); /* the whole server starts again from what is durable */
    }
    peer->unheard = true;
    fault_peer(peer->judge, peer, why);
}

/* The end of a peer's channel: all that it had sent has been handled. */
static void on_closed(void *ctx, struct channel *channel)
{
    struct peer *peer = ctx;
    struct judge *judge = peer->judge;
    struct peer **place = place_of(judge, peer->role, peer->index);

    if (peer->role == ROLE_SCRIBE) {
        size_t unstored = buf_len(&judge->record.journal);
        bool told_to_go = judge->drained && unstored == 0; /* all of us were, and it went first */
        if (!told_to_go) {
            log_error("scribe-gone", "journal=%zu", unstored);
        }
        loop_stop(judge->loop, told_to_go ? EXIT_SUCCESS : EXIT_FAILURE);
        return;
    }
    peer->dying = true;
    assert(place != NULL); /* whoever has no place never became a peer */
    if (*place == peer) {
        *place = NULL;
    }
    list_remove(&peer->link);
    if (peer->role == ROLE_GATE) {
        grant_gate_gone(judge, peer);
        tunnels_gate_gone(peer);
    } else if (peer->role == ROLE_VAULT) {
        grant_vault_gone(judge, peer);
    } else if (peer->role == ROLE_READER) {
        admission_reader_gone(judge, peer->index);
    } else if (peer->role == ROLE_CONTROL) {
        sessions_control_gone(judge);
    } else if (peer->role == ROLE_DIALER) {
        tunnels_dialer_gone(judge, peer);
    }
    revoke_peer_gone(judge);
    table_clear(&peer->requests);
    channel_free(channel);
    free(peer);
}

struct peer_kind {
    const struct channel_accept *accepts;
    size_t accept_count;
    struct channel_limits limits;
};

#define KIND(table, queue, messages, wiped)                                                        \
    {                                                                                              \
        (table), sizeof(table) / sizeof((table)[0]),                                               \
        {                                                                                          \
            .queue_max = (queue), .messages_a_turn = (messages), .wipe = (wiped)                   \
        }                                                                                          \
    }
static const struct peer_kind kinds[ROLE_COUNT] = {
    [ROLE_GATE] = KIND(gate_accepts, GATE_QUEUE_MAX, 0, true), /* vault keys come in ADMIT */
    [ROLE_READER] = KIND(reader_accepts, READER_QUEUE_MAX, 0, false),
    [ROLE_VAULT] = KIND(vault_accepts, VAULT_QUEUE_MAX, 0, false),
    [ROLE_SCRIBE] = KIND(scribe_accepts, SCRIBE_QUEUE_MAX, SCRIBE_MESSAGES_A_TURN, false),
    [ROLE_CONTROL] = KIND(control_accepts, CONTROL_QUEUE_MAX, 0, true),
    [ROLE_DIALER] = {NULL, 0, {.queue_max = DIALER_QUEUE_MAX}}, /* it answers the gate */
};

void process_channel(struct judge *judge, enum process_role role, uint32_t index,
                     uint64_t incarnation, int fd)
{
    struct peer **place = index < PEERS_MAX ? place_of(judge, role, index) : NULL;
    struct channel_events events = {.accepts = kinds[role].accepts,
                                    .accept_count = kinds[role].accept_count,
                                    .fault = on_fault,
                                    .closed = on_closed};

    if (place == NULL) {
        log_error("channel", "process=%s.%u why=not-for-us", role_name(role), index);
        (void)close(fd);
        return;
    }
    if (*place != NULL) {
        (*place)->dying = true; /* its channel is read to its end */
    }
    struct peer *peer = mem_zeroed(sizeof(*peer));
    peer->judge = judge;
    peer->role = role;
    peer->index = index;
    peer->incarnation = incarnation;
    peer->cut_done = judge->next_cut; /* born after all cuts so far: it has nothing to cut */
    peer->requests = TABLE_OF(struct request, number);
    peer->tunnels = TABLE_OF(struct tunnel, number);
    list_init(&peer->grants);
    list_add(&judge->peers, &peer->link);
    peer->channel = channel_new(judge->loop, fd, &events, &kinds[role].limits, peer);
    *place = peer;
    if (role == ROLE_SCRIBE) {
        ask_for_rows(judge);
    }
}

void process_gone(struct judge *judge, enum process_role role, uint32_t index, uint64_t incarnation)
{
    for (struct list *at = judge->peers.next; at != &judge->peers; at = at->next) {
        struct peer *peer = LIST_THING(at, struct peer, link);
        if (peer->role == role && peer->index == index && peer->incarnation == incarnation) {
            peer->dying = true;
            if (judge->ready) {
                audit_server(judge, "process_died", str_from(role_name(role)));
            }
        }
    }
}

/* ---- configuration ---- */

void process_config(struct judge *judge, struct config *config)
{
    struct generation *old = judge->generation;
    struct generation *generation = mem_zeroed(sizeof(*generation));

    generation->config = config;
    list_add(&judge->generations, &generation->link);
    judge->generation = generation;
    rates_apply(judge);
    for (size_t i = 0; i < config->pack_count; i++) {
        uint64_t window = config->packs[i].idempotency.window_ms;
        judge->records_live_ms = window > judge->records_live_ms ? window : judge->records_live_ms;
    }
    if (old != NULL && old->users == 0) {
        list_remove(&old->link);
        config_free(old->config);
        free(old);
    }
    if (judge->ready) {
        audit_server(judge, "configuration", STR_NONE);
    }
    say_ready(judge);
}

void process_start(struct judge *judge)
{
    judge->started = true;
    ask_for_rows(judge);
    say_ready(judge);
}

/* ---- time ---- */

static void each_second(struct judge *judge)
{
    enum { DAY_MS = 24 * 3600 * 1000 };

    now_look_for_sync(judge);
    holds_tick(judge);
    keys_tick(judge);
    audit_tick(judge);
    if (judge->day != judge->clock.day) {
        judge->day = judge->clock.day;
        windows_forget(&judge->windows, judge->clock.day);
    }
    records_forget(&judge->records,
                   judge->clock.now_ms -
                       (int64_t)(judge->records_live_ms > DAY_MS ? judge->records_live_ms : DAY_MS),
                   holds_record_gone, judge);
}

static void tick(void *ctx)
{
    struct judge *judge = ctx;

    loop_timer_set(judge->loop, &judge->tick, TICK_MS, tick, judge);
    if (!judge->ready) {
        return;
    }
    now_update(judge);
    record_tick(judge);
    if (++judge->ticks % TICKS_A_SECOND == 0) {
        each_second(judge);
    }
}

/* ---- the end ---- */

/* All requests are over and all rows durable; the head is signed, or no vault is left to do it. */
static void look_drained(void *ctx)
{
    struct judge *judge = ctx;
    bool head_signed = judge->audit.signed_sequence == judge->audit.sequence;

    if (judge->open_requests == 0 && !head_signed && judge->drain_looks++ < 20) {
        if (judge->audit.signing.sequence != judge->audit.sequence) {
            audit_sign_head(judge);
        }
    } else if (judge->open_requests == 0 && buf_len(&judge->record.journal) == 0) {
        judge->drained = true;
        judge->calls->drained(judge->calls->ctx);
        return;
    }
    loop_timer_set(judge->loop, &judge->drain_timer, DRAIN_LOOK_MS, look_drained, judge);
}

void process_drain(struct judge *judge)
{
    if (judge->draining) {
        return;
    }
    judge->draining = true;
    if (judge->ready) {
        audit_server(judge, "stopped", STR_NONE);
    }
    look_drained(judge);
}

struct judge *process_new(struct loop *loop, const struct process_calls *calls)
{
    struct judge *judge = mem_zeroed(sizeof(*judge));

    judge->loop = loop;
    judge->calls = calls;
    judge->kill_peer = kill_peer;
    judge->fault_peer = fault_peer;
    judge->scratch = arena_new();
    judge->metrics = metrics_new();
    list_init(&judge->generations);
    list_init(&judge->peers);
    list_init(&judge->pending_calls);
    clock_guard_start(&judge->clock, clock_wall_ms(), clock_boot_ms(), 0);
    windows_init(&judge->windows);
    records_init(&judge->records, LIMIT_IDEMPOTENCY_RECORDS);
    record_init(judge);
    number_init(judge);
    keys_init(judge);
    book_init(judge);
    holds_init(judge);
    requests_init(judge);
    fetches_init(judge);
    turns_init(judge);
    objects_init(judge);
    watches_init(judge);
    revoke_init(judge);
    sessions_init(judge);
    loop_timer_set(loop, &judge->tick, TICK_MS, tick, judge);
    return judge;
}
