/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scribe remembers: it is the only writer of the database.
 *
 * It holds the open database.  It meets the judge, which sends rows and is told when they are on
 * the disk; the vaults, which ask for sealed credentials; and the parent.  It decides nothing, sees
 * no unsealed credential, runs no SQL that was not fixed at build time, and after start opens
 * no file.
 *
 * Judge: LOAD -> every row that must be in memory, as fast as the judge takes them, then LOADED.
 * Then ROW_* and COMMIT (group.h).  Vault: BLOB_GET -> BLOB, at any time.
 *
 * No room on the disk refuses batches and ends nothing.  A failed write or fsync ends the whole
 * server: what the disk holds is not known any more, and asking again would only hide it.
 */
#include "scribe/scribe.h"

#include <assert.h>
#include <inttypes.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "ipc/child.h"
#include "scribe/group.h"
#include "store/store.h"

enum {
    VAULTS_MAX = 256,
    JUDGE_QUEUE_HIGH = 1024 * 1024,
    JUDGE_QUEUE_MAX = JUDGE_QUEUE_HIGH + 2 * LIMIT_FRAME_BYTES,
    VAULT_QUEUE_MAX = 16 * 1024 * 1024,
    MESSAGES_A_TURN = 1024, /* the more in a turn, the fewer fsyncs */
    IDLE_MS = 20,           /* without a write: a larger log is folded */
    IDLE_LONG_MS = 1000,    /* without a write: any log is folded, then memory given back */
    LOG_BYTES_SMALL = 4 * 1024 * 1024,
    NO_ROOM_MS = 100, /* without room: the log may be what fills the disk */
};

enum state { STATE_NEW, STATE_LOADING, STATE_RUNNING }; /* of the judge's channel */

struct vault {
    struct scribe *scribe;
    struct channel *channel; /* NULL: a free place */
    uint32_t index;
};

struct scribe {
    struct child child;
    struct store *store;
    struct group *group;
    struct channel *judge;
    enum state state;
    bool refusing; /* no room, as was logged */
    struct vault vaults[VAULTS_MAX];
    struct loop_timer fold;
};

static const int syscalls[] = {
    SYS_pread64, SYS_pwrite64, SYS_fsync, SYS_fdatasync, SYS_ftruncate, SYS_fallocate,
};

static void stop_broken(struct scribe *scribe, const char *why)
{
    log_error("store-broken", "why=%s", log_text(str_from(why)).text);
    loop_stop(scribe->child.loop, CHILD_EXIT_FATAL);
}

static void move(struct scribe *scribe, enum state state)
{
    scribe->state = state;
    channel_set_state(scribe->judge, state);
}

/* ---- folding the log ---- */

static void on_quiet(void *ctx)
{
    struct scribe *scribe = ctx;
    struct err err;

    if (scribe->state == STATE_LOADING) {
        return;
    }
    bool idle = group_is_idle(scribe->group); /* else the next commit sets the timer again */
    if (idle && !scribe->refusing && store_log_bytes(scribe->store) == 0) {
        store_rest(scribe->store);
        (void)malloc_trim(0);
        return;
    }
    if (idle) {
        enum store_result result = scribe->refusing ? store_give_back(scribe->store, &err)
                                                    : store_checkpoint(scribe->store, &err);
        if (result == STORE_BROKEN) {
            stop_broken(scribe, err.text);
            return;
        }
    }
    if (idle || scribe->refusing) {
        loop_timer_set(scribe->child.loop, &scribe->fold,
                       scribe->refusing ? NO_ROOM_MS : IDLE_LONG_MS, on_quiet, scribe);
    }
}

static void fold_later(struct scribe *scribe)
{
    bool large = store_log_bytes(scribe->store) >= LOG_BYTES_SMALL;

    loop_timer_set(scribe->child.loop, &scribe->fold, large ? IDLE_MS : IDLE_LONG_MS, on_quiet,
                   scribe);
}

/* ---- the judge ---- */

static void tell_judge(struct scribe *scribe, enum message_type type, const void *message)
{
    if (scribe->judge != NULL && !channel_send(scribe->judge, type, message)) {
        child_fault(&scribe->child, ROLE_JUDGE, 0, "does not read what the scribe says");
    }
}

static void on_committed(void *ctx, const struct message_committed *committed)
{
    struct scribe *scribe = ctx;

    if (scribe->refusing) {
        log_info("store-accepts-again", "batch=%" PRIu64, committed->batch);
        scribe->refusing = false;
    }
    tell_judge(ctx, MESSAGE_COMMITTED, committed);
    fold_later(ctx);
}

static void on_refused(void *ctx, const struct message_store_refused *refused)
{
    struct scribe *scribe = ctx;

    if (!scribe->refusing) { /* once, not for each batch */
        log_warn("store-refuses", "batch=%" PRIu64 " why=%s", refused->batch,
                 log_text(refused->problem).text);
        scribe->refusing = true;
        loop_timer_set(scribe->child.loop, &scribe->fold, 0, on_quiet, scribe);
    }
    tell_judge(ctx, MESSAGE_STORE_REFUSED, refused);
}

static void on_broken(void *ctx, const char *why)
{
    stop_broken(ctx, why);
}

static void load_on(struct scribe *scribe)
{
    struct message_loaded loaded;
    enum message_type type;
    const void *row;
    struct err err;
    int rc = 1;

    while (rc == 1 && !channel_is_full(scribe->judge)) {
        rc = store_load(scribe->store, &type, &row, &err);
        if (rc == 1) {
            tell_judge(scribe, type, row);
        }
    }
    if (rc == 0) {
        rc = store_loaded(scribe->store, &loaded, &err);
        if (rc == 0) {
            move(scribe, STATE_RUNNING);
            tell_judge(scribe, MESSAGE_LOADED, &loaded);
        }
    }
    if (rc < 0) {
        stop_broken(scribe, err.text);
    }
}

static void on_load(void *ctx, struct channel *from, const void *message, int fd)
{
    struct scribe *scribe = ctx;

    (void)from;
    (void)message;
    (void)fd;
    move(scribe, STATE_LOADING);
    load_on(scribe);
}

static void on_judge_drained(void *ctx, struct channel *channel)
{
    struct scribe *scribe = ctx;

    (void)channel;
    if (scribe->state == STATE_LOADING) {
        load_on(scribe);
    }
}

#define ROW_HANDLER(name, type)                                                                    \
    static void name(void *ctx, struct channel *from, const void *message, int fd)                 \
    {                                                                                              \
        struct scribe *scribe = ctx;                                                               \
        (void)fd;                                                                                  \
        group_row(scribe->group, type, message, channel_payload(from));                            \
    }
ROW_HANDLER(on_row_meta, MESSAGE_ROW_META)
ROW_HANDLER(on_row_key, MESSAGE_ROW_KEY)
ROW_HANDLER(on_row_window, MESSAGE_ROW_WINDOW)
ROW_HANDLER(on_row_hold, MESSAGE_ROW_HOLD)
ROW_HANDLER(on_row_hold_gone, MESSAGE_ROW_HOLD_GONE)
ROW_HANDLER(on_row_idempotency, MESSAGE_ROW_IDEMPOTENCY)
ROW_HANDLER(on_row_credential, MESSAGE_ROW_CREDENTIAL)
ROW_HANDLER(on_row_credential_gone, MESSAGE_ROW_CREDENTIAL_GONE)
ROW_HANDLER(on_row_tenant, MESSAGE_ROW_TENANT)
ROW_HANDLER(on_row_stop, MESSAGE_ROW_STOP)
ROW_HANDLER(on_row_operator, MESSAGE_ROW_OPERATOR)
ROW_HANDLER(on_row_price, MESSAGE_ROW_PRICE)
ROW_HANDLER(on_row_audit, MESSAGE_ROW_AUDIT)
ROW_HANDLER(on_row_head, MESSAGE_ROW_HEAD)

static void on_commit(void *ctx, struct channel *from, const void *message, int fd)
{
    struct scribe *scribe = ctx;

    (void)from;
    (void)fd;
    group_commit(scribe->group, message);
}

static void on_judge_fault(void *ctx, struct channel *channel, const char *why)
{
    struct scribe *scribe = ctx;

    (void)channel;
    child_fault(&scribe->child, ROLE_JUDGE, 0, why);
}

static void on_judge_closed(void *ctx, struct channel *channel)
{
    struct scribe *scribe = ctx;

    /* All children start again; until then what is complete is stored. */
    group_end(scribe->group);
    channel_free(channel);
    scribe->judge = NULL;
}

#define RUNNING CHANNEL_STATE(STATE_RUNNING)
static const struct channel_accept judge_accepts[] = {
    {MESSAGE_LOAD, CHANNEL_STATE(STATE_NEW), on_load},
    {MESSAGE_COMMIT, RUNNING, on_commit},
    {MESSAGE_ROW_META, RUNNING, on_row_meta},
    {MESSAGE_ROW_KEY, RUNNING, on_row_key},
    {MESSAGE_ROW_WINDOW, RUNNING, on_row_window},
    {MESSAGE_ROW_HOLD, RUNNING, on_row_hold},
    {MESSAGE_ROW_HOLD_GONE, RUNNING, on_row_hold_gone},
    {MESSAGE_ROW_IDEMPOTENCY, RUNNING, on_row_idempotency},
    {MESSAGE_ROW_CREDENTIAL, RUNNING, on_row_credential},
    {MESSAGE_ROW_CREDENTIAL_GONE, RUNNING, on_row_credential_gone},
    {MESSAGE_ROW_TENANT, RUNNING, on_row_tenant},
    {MESSAGE_ROW_STOP, RUNNING, on_row_stop},
    {MESSAGE_ROW_OPERATOR, RUNNING, on_row_operator},
    {MESSAGE_ROW_PRICE, RUNNING, on_row_price},
    {MESSAGE_ROW_AUDIT, RUNNING, on_row_audit},
    {MESSAGE_ROW_HEAD, RUNNING, on_row_head},
};
static const struct channel_events judge_events = {
    .accepts = judge_accepts,
    .accept_count = sizeof(judge_accepts) / sizeof(judge_accepts[0]),
    .fault = on_judge_fault,
    .closed = on_judge_closed,
    .drained = on_judge_drained,
};
static const struct channel_limits judge_limits = {
    .queue_max = JUDGE_QUEUE_MAX, .high = JUDGE_QUEUE_HIGH, .messages_a_turn = MESSAGES_A_TURN};

/* ---- vaults ---- */

static void on_blob_get(void *ctx, struct channel *from, const void *message, int fd)
{
    struct vault *vault = ctx;
    const struct message_blob_get *get = message;
    struct message_blob blob;
    struct err err;

    (void)fd;
    if (store_blob(vault->scribe->store, get->credential, &blob, &err) < 0) {
        stop_broken(vault->scribe, err.text);
        return;
    }
    if (!channel_send(from, MESSAGE_BLOB, &blob)) {
        child_fault(&vault->scribe->child, ROLE_VAULT, vault->index, "asks and does not read");
    }
}

static void on_vault_fault(void *ctx, struct channel *channel, const char *why)
{
    struct vault *vault = ctx;

    (void)channel;
    child_fault(&vault->scribe->child, ROLE_VAULT, vault->index, why);
}

static void on_vault_closed(void *ctx, struct channel *channel)
{
    struct vault *vault = ctx;

    channel_free(channel);
    vault->channel = NULL;
}

static const struct channel_accept vault_accepts[] = {{MESSAGE_BLOB_GET, 0, on_blob_get}};
static const struct channel_events vault_events = {
    .accepts = vault_accepts,
    .accept_count = sizeof(vault_accepts) / sizeof(vault_accepts[0]),
    .fault = on_vault_fault,
    .closed = on_vault_closed,
};
static const struct channel_limits vault_limits = {.queue_max = VAULT_QUEUE_MAX};

static void add_vault(struct scribe *scribe, uint32_t index, int fd)
{
    struct vault *vault = scribe->vaults;

    /* A reborn one may come before the end of its predecessor's channel. */
    while (vault < scribe->vaults + VAULTS_MAX && vault->channel != NULL) {
        vault++;
    }
    assert(vault < scribe->vaults + VAULTS_MAX);
    *vault = (struct vault){.scribe = scribe, .index = index};
    vault->channel = channel_new(scribe->child.loop, fd, &vault_events, &vault_limits, vault);
}

/* ---- the parent ---- */

static void on_channel(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation,
                       int fd)
{
    struct scribe *scribe = ctx;

    (void)incarnation;
    if (peer == ROLE_VAULT) {
        add_vault(scribe, peer_index, fd);
        return;
    }
    assert(peer == ROLE_JUDGE && scribe->judge == NULL);
    scribe->judge = channel_new(scribe->child.loop, fd, &judge_events, &judge_limits, scribe);
    move(scribe, STATE_NEW);
}

static void on_gone(void *ctx, enum process_role peer, uint32_t peer_index, uint64_t incarnation)
{
    (void)ctx;
    (void)peer;
    (void)peer_index;
    (void)incarnation; /* its channel ends by itself */
}

static void on_start(void *ctx)
{
    struct scribe *scribe = ctx;
    child_ready(&scribe->child);
}

static void on_drain(void *ctx)
{
    struct scribe *scribe = ctx;

    group_end(scribe->group);
    on_quiet(scribe);
    child_drained(&scribe->child);
}

static const struct child_events child_events = {
    .channel = on_channel, .gone = on_gone, .start = on_start, .drain = on_drain};
static const struct group_events group_events = {on_committed, on_refused, on_broken};

int scribe_main(int argc, char **argv)
{
    struct scribe *scribe = mem_zeroed(sizeof(*scribe));
    struct err err;

    child_init(&scribe->child, ROLE_SCRIBE, argc, argv);
    (void)signal(SIGXFSZ, SIG_IGN); /* a bound on file sizes is a full disk, no reason to die */
    scribe->store = store_open(scribe->child.data_dir, 0, &err);
    if (scribe->store == NULL) {
        log_error("store", "%s", err.text);
        return CHILD_EXIT_FATAL;
    }
    scribe->group = group_new(scribe->child.loop, scribe->store, &group_events, scribe);

    /* All files are open: no path is needed any more. */
    struct confine confine = {.syscalls = syscalls,
                              .syscall_count = sizeof(syscalls) / sizeof(syscalls[0]),
                              .map = true,
                              .file_lock = true,
                              .empty_network = true};
    child_confine(&scribe->child, &confine);
    return child_run(&scribe->child, &child_events, scribe);
}
