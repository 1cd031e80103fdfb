/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/record.h"

#include <assert.h>
#include <endian.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "judge/audit.h"
#include "judge/metrics.h"
#include "ledger/chain.h"

enum {
    ENTRY_HEAD = 8, /* a frame's: u32 length, u16 type, two unused */
    GATHER_MS = 5,
    GATHER_BYTES = 32 * 1024,
    AGAIN_MS = 500, /* after a refusal */
    /* Above LIMIT_SCRIBE_QUEUE_BYTES only closing rows are written, which admission limits. */
    JOURNAL_BYTES_MAX = 256 * 1024 * 1024,
};

void record_init(struct judge *judge)
{
    buf_init(&judge->record.journal, JOURNAL_BYTES_MAX);
    list_init(&judge->record.waiters);
    judge->record.batch = 1;
}

bool record_has_room(const struct judge *judge, bool waits)
{
    if (buf_len(&judge->record.journal) >= LIMIT_SCRIBE_QUEUE_BYTES) {
        return false;
    }
    if (!waits || list_empty(&judge->record.waiters)) {
        return !waits || !judge->record.refused;
    }
    const struct waiter *oldest = LIST_THING(judge->record.waiters.next, struct waiter, link);
    return !judge->record.refused &&
           loop_now_ms(judge->loop) - oldest->since_ms < LIMIT_SCRIBE_QUEUE_MS;
}

/* ---- the journal ---- */

/* The place where its entry begins. */
static size_t journal_add(struct judge *judge, enum message_type type, const void *message)
{
    struct buf *journal = &judge->record.journal;
    size_t before = buf_len(journal);
    bool fits = channel_frame(type, message, journal);

    assert(fits);
    (void)fits;
    judge->record.unsent += buf_len(journal) - before;
    return before;
}

/* The entry at `at`; what follows it begins at the returned offset. */
static size_t journal_entry(struct str all, size_t at, enum message_type *ret_type,
                            struct str *ret_payload)
{
    uint32_t len;
    uint16_t type;

    assert(at + ENTRY_HEAD <= all.len && all.data != NULL);
    memcpy(&len, all.data + at, sizeof(len));
    memcpy(&type, all.data + at + sizeof(len), sizeof(type));
    *ret_type = (enum message_type)le16toh(type);
    size_t from = at + ENTRY_HEAD, to = from + le32toh(len);
    *ret_payload = str_slice(all, from, to);
    return to;
}

/* All of the journal that has not gone yet. */
static void send(struct judge *judge)
{
    struct str all = buf_str(&judge->record.journal);
    struct str rest = str_slice(all, all.len - judge->record.unsent, all.len);

    if (judge->record.refused) {
        return; /* it goes again as a whole */
    }
    if (judge->scribe == NULL || !channel_send_frames(judge->scribe->channel, rest)) {
        /* Its queue holds more than the journal may: this cannot be, and going on would lose rows.
         * All children start again from what is durable. */
        log_error("scribe-unreachable", "bytes=%zu", rest.len);
        abort();
    }
    judge->record.unsent = 0;
}

/* ---- batches ---- */

static void end_batch(struct judge *judge)
{
    struct message_row_window window;

    struct crossing crossing;

    loop_timer_stop(judge->loop, &judge->record.late);
    while (windows_take_crossed(&judge->windows, &crossing)) {
        audit_threshold(judge, &crossing);
    }
    while (windows_take_changed(&judge->windows, &window)) {
        (void)journal_add(judge, MESSAGE_ROW_WINDOW, &window);
        judge->record.batch_rows++;
    }
    if (judge->record.batch_rows == 0 && !judge->record.batch_waits) {
        return;
    }
    struct message_commit commit = {.batch = judge->record.batch++,
                                    .wait = judge->record.batch_waits};
    (void)journal_add(judge, MESSAGE_COMMIT, &commit);
    send(judge);
    judge->record.batch_rows = 0;
    judge->record.batch_waits = false;
}

static void on_late(void *ctx)
{
    end_batch(ctx);
}

/* What somebody waits for goes now.  The rest gathers for some milliseconds: the scribe is woken
 * once for many rows, and they are stored a little later than they are anyway. */
static void on_turn_end(void *ctx)
{
    struct judge *judge = ctx;

    if (judge->record.batch_waits || judge->record.unsent >= GATHER_BYTES) {
        end_batch(judge);
    } else if (judge->record.late.place == 0) {
        loop_timer_set(judge->loop, &judge->record.late, GATHER_MS, on_late, judge);
    }
}

static void note_row(struct judge *judge)
{
    judge->record.batch_rows++;
    loop_at_turn_end(judge->loop, &judge->record.hook, on_turn_end, judge);
}

void record_row(struct judge *judge, enum message_type type, const void *row)
{
    (void)journal_add(judge, type, row);
    note_row(judge);
}

void record_chained(struct judge *judge, const struct message_row_audit *row, struct digest *head)
{
    struct buf *journal = &judge->record.journal;
    size_t payload = journal_add(judge, MESSAGE_ROW_AUDIT, row) + ENTRY_HEAD;

    *head =
        chain_seal(head, row, journal->data + journal->start + payload, buf_len(journal) - payload);
    note_row(judge);
}

void record_wait(struct judge *judge, struct waiter *waiter, void (*wake)(void *, bool), void *ctx)
{
    waiter->batch = judge->record.batch;
    waiter->since_ms = loop_now_ms(judge->loop);
    waiter->wake = wake;
    waiter->ctx = ctx;
    list_add(&judge->record.waiters, &waiter->link);
    judge->record.batch_waits = true;
    loop_at_turn_end(judge->loop, &judge->record.hook, on_turn_end, judge);
}

void record_forget(struct waiter *waiter)
{
    if (waiter->link.next != NULL) {
        list_remove(&waiter->link);
    }
}

static void wake(struct waiter *waiter, bool durable)
{
    list_remove(&waiter->link);
    waiter->wake(waiter->ctx, durable);
}

static void wake_up_to(struct judge *judge, uint64_t batch, bool durable)
{
    /* The list is in the order of batches; a woken one may wait again, behind. */
    while (!list_empty(&judge->record.waiters)) {
        struct waiter *waiter = LIST_THING(judge->record.waiters.next, struct waiter, link);
        if (waiter->batch > batch) {
            return;
        }
        wake(waiter, durable);
    }
}

void record_committed(struct judge *judge, const struct message_committed *committed)
{
    struct buf *journal = &judge->record.journal;
    enum message_type type;
    struct str payload;

    while (buf_len(journal) > 0) {
        size_t end = journal_entry(buf_str(journal), 0, &type, &payload);
        struct message_commit commit;
        arena_reset(judge->scratch);
        if (type == MESSAGE_COMMIT &&
            wire_decode(message_schema(type), payload, judge->scratch, &commit) &&
            commit.batch > committed->batch) {
            break;
        }
        buf_consume(journal, end);
        if (type == MESSAGE_COMMIT && commit.batch == committed->batch) {
            break;
        }
    }
    metrics_commit(judge->metrics, committed->commit_us);
    wake_up_to(judge, committed->batch, true);
}

/* ---- a full disk ---- */

static void go_again(void *ctx)
{
    struct judge *judge = ctx;
    struct buf old = judge->record.journal;
    enum message_type type;
    struct str payload;

    /* All that is in the journal becomes one new batch, windows that changed meanwhile last. */
    buf_init(&judge->record.journal, JOURNAL_BYTES_MAX);
    judge->record.unsent = 0;
    judge->record.refused = false;
    for (size_t at = 0; at < buf_len(&old);) {
        at = journal_entry(buf_str(&old), at, &type, &payload);
        if (type == MESSAGE_COMMIT) {
            continue;
        }
        const struct wire_schema *schema = message_schema(type);
        arena_reset(judge->scratch);
        void *row = arena_zeroed(judge->scratch, 1, schema->size);
        bool good = wire_decode(schema, payload, judge->scratch, row);
        assert(good);
        (void)good;
        (void)journal_add(judge, type, row);
    }
    buf_clear(&old);
    struct message_commit commit = {.batch = judge->record.batch++, .wait = true, .again = true};
    (void)journal_add(judge, MESSAGE_COMMIT, &commit);
    send(judge);
    judge->record.refused_batch = commit.batch - 1;
    judge->record.batch_rows = 0;
}

void record_refused(struct judge *judge, const struct message_store_refused *refused)
{
    if (refused->batch <= judge->record.refused_batch) {
        return; /* of those sent before the journal went again */
    }
    if (!judge->record.refused) {
        log_warn("store-full", "batch=%llu why=%s", (unsigned long long)refused->batch,
                 log_text(refused->problem).text);
        judge->record.refused = true;
    }
    wake_up_to(judge, refused->batch, false);
    loop_timer_set(judge->loop, &judge->record.again, AGAIN_MS, go_again, judge);
}

void record_tick(struct judge *judge)
{
    uint64_t now_ms = loop_now_ms(judge->loop);

    while (!list_empty(&judge->record.waiters)) {
        struct waiter *waiter = LIST_THING(judge->record.waiters.next, struct waiter, link);
        if (now_ms - waiter->since_ms < LIMIT_COMMIT_MS) {
            return;
        }
        wake(waiter, false);
    }
}
