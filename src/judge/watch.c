/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/watch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/events.h"
#include "judge/fetch.h"
#include "judge/holds.h"
#include "judge/keys.h"
#include "judge/objects.h"
#include "judge/record.h"
#include "judge/search.h"
#include "judge/settle.h"
#include "judge/turn.h"
#include "judge/vendor_key.h"
#include "ledger/look.h"
#include "pack/cost_object.h"

enum {
    SECOND = 1000,
    FETCHES_MAX = 16,         /* of watches, under way at one time */
    CROWDED_MS = 200,         /* then again */
    SETTLED_MS = 30 * SECOND, /* no vendor works on one request for longer */
    PAGES_MAX = 250,          /* of one look through the events */
    CANCELS_MAX = 8,          /* tries to cancel one object, since a start */
    CANCEL_KEY_MAX = 64,
};

struct watch {
    uint64_t hold;
    struct judge *judge;
    struct loop_timer timer;
    unsigned looks; /* since it came to its present state */
    enum hold_state state;
    bool doubt;
    bool cancelling;       /* its key has ended, and the object is to be cancelled */
    bool look_first;       /* before the next try: what came of the last one? */
    uint8_t cancels;       /* tries */
    struct fetch *fetch;   /* under way; NULL: none */
    struct waiter *waiter; /* for the row of a cancellation, before it is sent; NULL: none */
    char *after;           /* the last event seen; NULL: none.  There may be a million of these */
    unsigned pages;
};

void watches_init(struct judge *judge)
{
    judge->watches = TABLE_OF(struct watch, hold);
    searches_init(judge);
}

static bool is_busy(const struct watch *watch)
{
    return watch->fetch != NULL || watch->waiter != NULL;
}

static void forget(struct watch *watch)
{
    struct judge *judge = watch->judge;

    loop_timer_stop(judge->loop, &watch->timer);
    if (is_busy(watch)) {
        judge->watching--;
    }
    fetch_drop(watch->fetch);
    if (watch->waiter != NULL) {
        record_forget(watch->waiter);
        free(watch->waiter);
    }
    search_over(judge, watch->hold);
    (void)table_remove(&judge->watches, &watch->hold);
    free(watch->after);
    free(watch);
}

void watch_over(struct judge *judge, uint64_t hold)
{
    struct watch *watch = table_find(&judge->watches, &hold);

    if (watch != NULL) {
        forget(watch);
    }
}

/* ---- when ---- */

static bool is_urgent(const struct watch *watch)
{
    return watch->state == HOLD_UNKNOWN || watch->doubt || watch->cancelling;
}

static void look(void *ctx);

static void again_in(struct watch *watch, uint64_t ms)
{
    loop_timer_set(watch->judge->loop, &watch->timer, ms, look, watch);
}

/* ---- what can be asked ---- */

struct subject {
    struct generation *generation;
    uint32_t pack_index, upstream;
    const struct pack *pack;
    const struct pack_object *kind; /* NULL: not known */
};

static struct subject subject_of(const struct judge *judge, const struct hold *hold)
{
    struct subject subject = {.generation = judge->generation};
    const struct config *config = judge->generation->config;
    struct match match = {.operation = NULL};

    subject.pack_index = config_find_pack(config, hold->row.vendor);
    if (subject.pack_index == PACK_NONE) {
        return subject;
    }
    subject.pack = &config->packs[subject.pack_index];
    uint32_t operation = pack_find_operation(subject.pack, hold->row.operation);
    if (operation != PACK_NONE) {
        match.operation = &subject.pack->operations[operation];
        subject.kind = cost_object_kind(subject.pack, &match);
    }
    for (uint32_t i = 0; i < subject.pack->match_count; i++) {
        if (subject.pack->matches[i].operation == operation) {
            subject.upstream = subject.pack->matches[i].upstream;
        }
    }
    return subject;
}

static bool can_be_asked(const struct judge *judge, const struct hold *hold)
{
    struct subject subject = subject_of(judge, hold);

    if (hold->row.state != HOLD_HELD && hold->row.state != HOLD_UNKNOWN) {
        return false;
    }
    return subject.kind != NULL &&
           (hold->row.object.len > 0 ||
            (hold->row.vendor_key.len > 0 && subject.pack->events.path.len > 0));
}

/* What a key that has ended leaves open, where its policy wants it ended too. */
static bool is_to_be_cancelled(const struct judge *judge, const struct hold *hold)
{
    struct key *key = keys_by_number(judge, hold->row.key);
    struct subject subject;

    if (key == NULL || (key->status != KEY_REVOKED && key->status != KEY_EXPIRED) ||
        hold->row.state != HOLD_HELD || hold->row.object.len == 0 || !key_cancels_open(key)) {
        return false;
    }
    subject = subject_of(judge, hold);
    return subject.kind != NULL && subject.kind->cancel.len > 0;
}

void watch_hold(struct judge *judge, const struct hold *hold)
{
    struct watch *watch = table_find(&judge->watches, &hold->number);

    if (judge->generation == NULL || !can_be_asked(judge, hold)) {
        if (watch != NULL) {
            forget(watch);
        }
        return;
    }
    bool cancelling = is_to_be_cancelled(judge, hold);
    if (watch != NULL && watch->state == hold->row.state && watch->doubt == hold->doubt &&
        watch->cancelling == cancelling) {
        return;
    }
    bool fresh = watch == NULL;
    if (fresh) {
        watch = mem_zeroed(sizeof(*watch));
        watch->hold = hold->number;
        watch->judge = judge;
        table_add(&judge->watches, watch);
        search_begin(judge, hold);
    }
    watch->state = hold->row.state;
    watch->doubt = hold->doubt;
    watch->cancelling = cancelling;
    watch->looks = 0;
    if (!is_busy(watch)) {
        again_in(watch,
                 fresh ? look_first_ms(is_urgent(watch),
                                       judge->clock.now_ms - hold->row.changed_at_ms, hold->number)
                       : look_wait_ms(is_urgent(watch), 0));
    }
}

void watch_doubt(struct judge *judge, struct hold *hold)
{
    hold->doubt = true;
    watch_hold(judge, hold);
}

void watch_key_ended(struct judge *judge, const struct key *key)
{
    struct watch *watch;
    size_t at = 0;

    while ((watch = table_next(&judge->watches, &at)) != NULL) {
        const struct hold *hold = holds_find(judge, watch->hold);
        if (hold == NULL || hold->row.key != key->number) {
            continue;
        }
        watch->cancelling = is_to_be_cancelled(judge, hold);
        watch->looks = watch->cancelling ? 0 : watch->looks;
        if (!is_busy(watch)) {
            again_in(watch, SECOND);
        }
    }
}

/* ---- what the vendor says ---- */

static void look_later(struct watch *watch)
{
    const struct judge *judge = watch->judge;
    const struct hold *hold = holds_find(judge, watch->hold);
    uint64_t wait = look_wait_ms(is_urgent(watch), ++watch->looks);

    watch->pages = 0;
    free(watch->after);
    watch->after = NULL;
    if (hold != NULL && hold->row.state == HOLD_HELD) {
        const struct pack_object *kind = subject_of(judge, hold).kind;
        if (kind != NULL && kind->estimate_ms > 0) {
            wait = look_before_ms(wait, hold->row.opened_at_ms + (int64_t)kind->estimate_ms -
                                            judge->clock.now_ms);
        }
    }
    again_in(watch, wait);
}

/* An action on an object, of which nobody knows whether it was done, while another hold has the
 * object: it was, when more has moved than before.  Nothing is free before the vendor must have
 * ended it. */
static void resolve_action(struct watch *watch, struct hold *hold, struct hold *owner,
                           const struct settlement *settlement)
{
    struct judge *judge = watch->judge;
    bool over = judge->clock.now_ms - hold->row.opened_at_ms >= SETTLED_MS;

    if (settlement->posted > hold->row.base) {
        settle_give_up(judge, owner, "moved_by_another_key");
        (void)settle_by_object(judge, hold, settlement, "object_looked_up");
    } else if (over || settlement->held == 0) {
        settle_give_up(judge, hold, "not_done_by_the_vendor");
        (void)settle_by_object(judge, owner, settlement, "object_looked_up");
    } else {
        look_later(watch);
    }
}

static void apply(struct watch *watch, struct hold *hold, const struct settlement *settlement)
{
    struct judge *judge = watch->judge;
    struct digest name = objects_name_of(hold);
    struct hold *other = objects_holder_but(judge, &name, hold);
    bool less =
        settlement->posted - hold->row.base + settlement->held < hold->row.posted + hold->row.held;
    uint64_t number = hold->number;

    if (hold->row.state == HOLD_UNKNOWN && other != NULL && other->row.state == HOLD_HELD) {
        resolve_action(watch, hold, other, settlement);
        return;
    }
    if (hold->doubt && less && settlement->held > 0 && watch->looks < 4) {
        look_later(watch); /* what went astray may still be under way */
        return;
    }
    (void)settle_by_object(judge, hold, settlement,
                           hold->row.state == HOLD_HELD ? "polled" : "object_looked_up");
    /* The hold may be gone, and its watch with it. */
    watch = table_find(&judge->watches, &number);
    if (watch != NULL) {
        look_later(watch);
    }
}

static bool estimate_due(const struct judge *judge, const struct hold *hold,
                         const struct pack_object *kind)
{
    return hold->row.state == HOLD_HELD && kind->estimate_ms > 0 &&
           judge->clock.now_ms - hold->row.opened_at_ms >= (int64_t)kind->estimate_ms;
}

static void post_estimate(struct judge *judge, struct hold *hold)
{
    holds_post_held(judge, hold, (struct hold_change){.estimated = true}, AUDIT_RESOLVED,
                    "estimated_after_its_time");
}

/* The hold that was asked about; NULL, and the watch is gone, when it was settled meanwhile: by its
 * client's retry, by another's action, by the operator, at its deadline. */
static struct hold *answered(struct watch *watch)
{
    struct judge *judge = watch->judge;
    struct hold *hold = holds_find(judge, watch->hold);

    watch->fetch = NULL;
    judge->watching--;
    if (hold == NULL || !can_be_asked(judge, hold)) {
        forget(watch);
        return NULL;
    }
    return hold;
}

/* What an answer about the object says has become of it. */
static bool read_object(struct judge *judge, const struct hold *hold, const struct subject *subject,
                        const struct fetch_answer *answer, struct settlement *ret)
{
    struct cost held = {.nano = hold->row.held};
    struct key *owner = keys_by_number(judge, hold->row.key);
    struct cost_question question = {.config = subject->generation->config,
                                     .pack = subject->pack,
                                     .now_ms = judge->clock.now_ms,
                                     .flat_price = MONEY_NONE,
                                     .redacts = owner != NULL && key_hides_client_secret(owner),
                                     .frozen = holds_rate(hold),
                                     .arena = judge->scratch};

    arena_reset(judge->scratch);
    return answer->status == 200 && answer->generation == subject->generation &&
           subject->kind != NULL &&
           cost_settle_object(&question, subject->kind, hold->row.object, &held, answer->facts,
                              ret) &&
           !ret->estimated;
}

static void on_object(void *ctx, const struct fetch_answer *answer)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    struct hold *hold = answered(watch);
    struct settlement settlement;

    if (hold == NULL) {
        return;
    }
    struct subject subject = subject_of(judge, hold);
    watch->look_first = watch->look_first && answer->status != 200;
    if (read_object(judge, hold, &subject, answer, &settlement) &&
        !(settlement.state == HOLD_HELD && estimate_due(judge, hold, subject.kind))) {
        apply(watch, hold, &settlement);
        return;
    }
    if (subject.kind != NULL && estimate_due(judge, hold, subject.kind)) {
        post_estimate(judge, hold);
        return;
    }
    if (answer->status != 200) {
        log_warn("poll", "hold=%llu status=%u why=%s", (unsigned long long)watch->hold,
                 answer->status, log_text(answer->problem).text);
    }
    look_later(watch);
}

/* The page was asked for by one, and may tell of others: after a crash all of them were sent in the
 * same seconds, and each page that is read is read for all. */
static void on_event(void *ctx, const struct event *event)
{
    const struct watch *asked = ctx;
    struct judge *judge = asked->judge;
    struct hold *hold = search_find(judge, holds_find(judge, asked->hold), event->key);
    struct watch *watch = hold == NULL ? NULL : table_find(&judge->watches, &hold->number);
    const struct pack_object *kind = hold == NULL ? NULL : subject_of(judge, hold).kind;

    if (watch == NULL || kind == NULL || !str_equal(kind->name, event->kind)) {
        return;
    }
    search_over(judge, hold->number);
    holds_name_object(judge, hold, event->object);
    watch->pages = 0;
    if (!is_busy(watch)) {
        again_in(watch, 0);
    }
}

static void on_events(void *ctx, const struct fetch_answer *answer)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    struct hold *hold = answered(watch);

    if (hold == NULL) {
        return;
    }
    struct subject subject = subject_of(judge, hold);
    if (answer->status != 200 || answer->facts == NULL || subject.kind == NULL ||
        answer->generation != subject.generation) {
        look_later(watch);
        return;
    }
    struct str last;
    bool more = events_read(&subject.pack->events, answer->facts, on_event, watch, &last);
    if (hold->row.object.len > 0) {
        again_in(watch, 0);
        return;
    }
    if (more && ++watch->pages < PAGES_MAX) {
        free(watch->after);
        watch->after = mem_copy_str(last);
        again_in(watch, 0);
        return;
    }
    look_later(watch);
}

/* ---- asking ---- */

static struct str field_of(const void *ctx, struct str name)
{
    return credential_field(ctx, name);
}

static void ask(struct watch *watch, const struct hold *hold, const struct subject *subject,
                const struct credential *credential)
{
    struct judge *judge = watch->judge;
    bool known = hold->row.object.len > 0;
    struct fetch_ask ask = {.generation = subject->generation,
                            .pack_index = subject->pack_index,
                            .upstream = subject->upstream,
                            .credential = credential,
                            .account = hold->row.account,
                            .rule = known ? subject->kind->read : subject->pack->events.read};

    arena_reset(judge->scratch);
    if (known && !cost_object_path(subject->kind, hold->row.object, field_of, credential,
                                   judge->scratch, &ask.path)) {
        look_later(watch);
        return;
    }
    if (!known) {
        ask.path = subject->pack->events.path;
        ask.query =
            events_query(judge->scratch, &subject->pack->events, hold->row.opened_at_ms,
                         watch->looks, watch->after == NULL ? STR_NONE : str_from(watch->after));
    }
    if (fetch_begin(judge, &ask, known ? on_object : on_events, watch, &watch->fetch)) {
        judge->watching++;
    } else {
        again_in(watch, SECOND);
    }
}

/* ---- cancelling ---- */

/* What came of it.  A 200 shows the object; whatever else it was, the object is looked at before
 * the next try. */
static void on_cancelled(void *ctx, const struct fetch_answer *answer)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    uint64_t number = watch->hold;
    struct hold *hold = answered(watch);
    struct settlement settlement;
    char said[32];

    if (hold == NULL) {
        return;
    }
    struct subject subject = subject_of(judge, hold);
    if (read_object(judge, hold, &subject, answer, &settlement)) {
        (void)settle_by_object(judge, hold, &settlement, "cancelled_at_key_end");
    } else {
        (void)snprintf(said, sizeof(said), "status %u", answer->status);
        audit_control(judge, STR("keybrake"), "cancel_failed", keys_by_number(judge, hold->row.key),
                      hold->row.object,
                      answer->status != 0 ? str_from(said) : str_slice(answer->problem, 0, 200));
    }
    watch = table_find(&judge->watches, &number);
    if (watch != NULL) {
        watch->look_first = true;
        look_later(watch);
    }
}

static struct str cancel_key(const struct watch *watch, const struct pack *pack)
{
    const struct judge *judge = watch->judge;
    char tail[CANCEL_KEY_MAX];

    (void)snprintf(tail, sizeof(tail), "cancel-%" PRIu64 "-%u", watch->hold, watch->cancels);
    return vendor_key_make(judge->scratch,
                           str_of(judge->idempotency_secret, judge->idempotency_secret_len),
                           STR("on_key_end"), str_from(tail),
                           pack->idempotency.max > 0 ? pack->idempotency.max : CANCEL_KEY_MAX);
}

static void cancel(struct watch *watch, const struct hold *hold)
{
    struct judge *judge = watch->judge;
    struct subject subject = subject_of(judge, hold);
    const struct credential *credential = book_credential(judge, hold->row.credential);
    struct fetch_ask ask = {.generation = subject.generation,
                            .pack_index = subject.pack_index,
                            .upstream = subject.upstream,
                            .credential = credential,
                            .account = hold->row.account};

    arena_reset(judge->scratch);
    if (credential == NULL || subject.kind == NULL ||
        !cost_cancel_path(subject.kind, hold->row.object, field_of, credential, judge->scratch,
                          &ask.path)) {
        look_later(watch);
        return;
    }
    ask.rule = subject.kind->read;
    ask.cancel_key = cancel_key(watch, subject.pack);
    if (fetch_begin(judge, &ask, on_cancelled, watch, &watch->fetch)) {
        judge->watching++;
    } else {
        again_in(watch, SECOND);
    }
}

/* The row that says so is durable, or could not be written: then nothing is sent. */
static void on_cancel_durable(void *ctx, bool durable)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    const struct hold *hold = holds_find(judge, watch->hold);

    free(watch->waiter);
    watch->waiter = NULL;
    judge->watching--;
    if (hold == NULL || !is_to_be_cancelled(judge, hold) || judge->draining) {
        again_in(watch, 0);
    } else if (!durable) {
        again_in(watch, SECOND);
    } else {
        cancel(watch, hold);
    }
}

static void begin_cancel(struct watch *watch, const struct hold *hold)
{
    struct judge *judge = watch->judge;

    if (!record_has_room(judge, true)) {
        again_in(watch, SECOND);
        return;
    }
    watch->cancels++;
    audit_control(judge, STR("keybrake"), "cancel_open", keys_by_number(judge, hold->row.key),
                  hold->row.object, STR("its key has ended"));
    watch->waiter = mem_zeroed(sizeof(*watch->waiter));
    judge->watching++;
    record_wait(judge, watch->waiter, on_cancel_durable, watch);
}

/* ---- looking ---- */

static void look(void *ctx)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    struct hold *hold = holds_find(judge, watch->hold);

    if (hold == NULL || !can_be_asked(judge, hold) || judge->draining) {
        forget(watch);
        return;
    }
    struct subject subject = subject_of(judge, hold);
    const struct credential *credential = book_credential(judge, hold->row.credential);
    struct digest name = objects_name_of(hold);
    assert(subject.kind != NULL); /* can_be_asked() */
    if (judge->watching >= FETCHES_MAX || !judge->ready) {
        again_in(watch, CROWDED_MS + hold->number % CROWDED_MS);
    } else if (hold->row.object.len > 0 && turn_is_taken(judge, &name, NULL)) {
        again_in(watch, SECOND); /* somebody is changing it right now */
    } else if (credential == NULL && estimate_due(judge, hold, subject.kind)) {
        post_estimate(judge, hold);
    } else if (credential == NULL) {
        look_later(watch);
    } else if (is_to_be_cancelled(judge, hold) && !watch->look_first &&
               watch->cancels < CANCELS_MAX) {
        begin_cancel(watch, hold);
    } else {
        watch->cancelling = watch->cancelling && watch->cancels < CANCELS_MAX;
        ask(watch, hold, &subject, credential);
    }
}
