/* SPDX-License-Identifier: Apache-2.0 */
#include "judge/watch.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "judge/audit.h"
#include "judge/book.h"
#include "judge/fetch.h"
#include "judge/holds.h"
#include "judge/keys.h"
#include "judge/objects.h"
#include "judge/settle.h"
#include "judge/turn.h"
#include "pack/cost_object.h"

enum {
    SECOND = 1000,
    MINUTE = 60 * SECOND,
    HOUR = 60 * MINUTE,
    FETCHES_MAX = 16,         /* of watches, under way at one time */
    CROWDED_MS = 200,         /* then again */
    SPREAD_MS = 10 * MINUTE,  /* over which those are spread that were due before a start */
    SETTLED_MS = 30 * SECOND, /* no vendor works on one request for longer */
    PAGES_MAX = 250,          /* of one look through the events */
    QUERY_MAX = 512,
};

struct watch {
    uint64_t hold;
    struct judge *judge;
    struct loop_timer timer;
    unsigned looks; /* since it came to its present state */
    enum hold_state state;
    bool doubt;
    struct fetch *fetch;
    char *after; /* the last event seen; NULL: none.  There may be a million of these */
    unsigned pages;
};

void watches_init(struct judge *judge)
{
    judge->watches = TABLE_OF(struct watch, hold);
}

static void forget(struct watch *watch)
{
    struct judge *judge = watch->judge;

    loop_timer_stop(judge->loop, &watch->timer);
    if (watch->fetch != NULL) {
        fetch_drop(watch->fetch);
        judge->watching--;
    }
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
    return watch->state == HOLD_UNKNOWN || watch->doubt;
}

static uint64_t wait_ms(const struct watch *watch)
{
    static const uint64_t urgent[] = {SECOND,      2 * SECOND,  5 * SECOND,  10 * SECOND,
                                      20 * SECOND, 30 * SECOND, MINUTE,      2 * MINUTE,
                                      5 * MINUTE,  10 * MINUTE, 30 * MINUTE, HOUR};
    static const uint64_t held[] = {5 * MINUTE, HOUR, 6 * HOUR};
    size_t urgent_last = sizeof(urgent) / sizeof(urgent[0]) - 1;
    size_t held_last = sizeof(held) / sizeof(held[0]) - 1;

    if (is_urgent(watch)) {
        return urgent[watch->looks < urgent_last ? watch->looks : urgent_last];
    }
    return held[watch->looks < held_last ? watch->looks : held_last];
}

static void look(void *ctx);

static void again_in(struct watch *watch, uint64_t ms)
{
    loop_timer_set(watch->judge->loop, &watch->timer, ms, look, watch);
}

/* What was due while the server was away is looked at soon, but not all at once. */
static uint64_t first_wait_ms(const struct watch *watch, const struct hold *hold)
{
    int64_t age = watch->judge->clock.now_ms - hold->row.changed_at_ms;
    uint64_t wait = wait_ms(watch);

    if (is_urgent(watch) || age < 0) {
        return wait;
    }
    return (uint64_t)age < wait ? wait - (uint64_t)age : SECOND + hold->number * 7919 % SPREAD_MS;
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

void watch_hold(struct judge *judge, const struct hold *hold)
{
    struct watch *watch = table_find(&judge->watches, &hold->number);

    if (judge->generation == NULL || !can_be_asked(judge, hold)) {
        if (watch != NULL) {
            forget(watch);
        }
        return;
    }
    if (watch != NULL && watch->state == hold->row.state && watch->doubt == hold->doubt) {
        return;
    }
    bool fresh = watch == NULL;
    if (fresh) {
        watch = mem_zeroed(sizeof(*watch));
        watch->hold = hold->number;
        watch->judge = judge;
        table_add(&judge->watches, watch);
    }
    watch->state = hold->row.state;
    watch->doubt = hold->doubt;
    watch->looks = 0;
    if (watch->fetch == NULL) {
        again_in(watch, fresh ? first_wait_ms(watch, hold) : wait_ms(watch));
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
        if (hold != NULL && hold->row.key == key->number && watch->fetch == NULL) {
            again_in(watch, SECOND);
        }
    }
}

/* ---- what the vendor says ---- */

static void look_later(struct watch *watch)
{
    const struct judge *judge = watch->judge;
    const struct hold *hold = holds_find(judge, watch->hold);
    uint64_t wait = wait_ms(watch);

    watch->looks++;
    watch->pages = 0;
    free(watch->after);
    watch->after = NULL;
    if (hold != NULL && hold->row.state == HOLD_HELD) {
        /* No later than when its estimate becomes what it cost. */
        const struct pack_object *kind = subject_of(judge, hold).kind;
        int64_t left =
            kind == NULL || kind->estimate_ms == 0
                ? INT64_MAX
                : hold->row.opened_at_ms + (int64_t)kind->estimate_ms - judge->clock.now_ms;
        left = left < SECOND ? SECOND : left;
        wait = wait < (uint64_t)left ? wait : (uint64_t)left;
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
    const struct key *key = keys_by_number(judge, hold->row.key);
    struct hold_change change = {.state = HOLD_POSTED,
                                 .posted = hold->row.posted + hold->row.held,
                                 .estimated = true,
                                 .at_ms = judge->clock.now_ms};
    struct hold *copy = hold_new(&hold->row);

    copy->row.state = HOLD_POSTED;
    copy->row.posted = change.posted;
    copy->row.held = 0;
    int64_t posted = holds_change(judge, hold, &change);
    audit_hold(judge, AUDIT_RESOLVED, copy, key, posted, "estimated_after_its_time");
    hold_free(copy);
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

static void on_object(void *ctx, const struct fetch_answer *answer)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    struct hold *hold = answered(watch);

    if (hold == NULL) {
        return;
    }
    struct subject subject = subject_of(judge, hold);
    struct cost held = {.nano = hold->row.held};
    struct key *owner = keys_by_number(judge, hold->row.key);
    struct settlement settlement;
    struct cost_question question = {.config = subject.generation->config,
                                     .pack = subject.pack,
                                     .now_ms = judge->clock.now_ms,
                                     .flat_price = MONEY_NONE,
                                     .redacts = owner != NULL && key_hides_client_secret(owner),
                                     .arena = judge->scratch};

    arena_reset(judge->scratch);
    if (answer->status == 200 && answer->generation == subject.generation && subject.kind != NULL &&
        cost_settle_object(&question, subject.kind, hold->row.object, &held, answer->facts,
                           &settlement) &&
        !settlement.estimated &&
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

static void found_object(struct watch *watch, struct hold *hold, struct str id)
{
    holds_name_object(watch->judge, hold, id);
    watch->pages = 0;
    again_in(watch, 0);
}

static struct str event_part(const struct message_facts *facts, uint32_t event, uint32_t part)
{
    uint32_t at = 1 + event * PACK_EVENT_PARTS + part;

    return at < facts->fact_count && facts->facts[at].kind == FACT_TEXT ? facts->facts[at].text
                                                                        : STR_NONE;
}

static void on_events(void *ctx, const struct fetch_answer *answer)
{
    struct watch *watch = ctx;
    struct judge *judge = watch->judge;
    struct hold *hold = answered(watch);
    struct str last = STR_NONE;

    if (hold == NULL) {
        return;
    }
    struct subject subject = subject_of(judge, hold);
    if (answer->status != 200 || answer->facts == NULL || subject.kind == NULL ||
        answer->generation != subject.generation) {
        look_later(watch);
        return;
    }
    for (uint32_t i = 0; i < subject.pack->events.count; i++) {
        struct str id = event_part(answer->facts, i, PACK_EVENT_ID);
        struct str object = event_part(answer->facts, i, PACK_EVENT_OBJECT);
        last = id.len > 0 ? id : last;
        if (str_equal(event_part(answer->facts, i, PACK_EVENT_KEY), hold->row.vendor_key) &&
            str_equal(event_part(answer->facts, i, PACK_EVENT_KIND), subject.kind->name) &&
            cost_is_object_id(object)) {
            found_object(watch, hold, object);
            return;
        }
    }
    bool more = answer->facts->facts[0].kind == FACT_BOOL && answer->facts->facts[0].number == 1;
    if (more && cost_is_object_id(last) && ++watch->pages < PAGES_MAX) {
        free(watch->after);
        watch->after = mem_copy_str(last);
        again_in(watch, 0);
        return;
    }
    look_later(watch);
}

/* ---- asking ---- */

/* In which seconds around the request its event is looked for: closely at first, since an account
 * may have thousands a minute; then as far as clocks and queues may be apart. */
static const struct {
    int64_t before, after;
} events_spans[] = {{1, 2}, {3, 15}, {60, 600}};

/* Fills {since} and {until}; both are seconds. */
static struct str events_query(const struct watch *watch, const struct pack_events *events,
                               const struct hold *hold, struct arena *arena)
{
    int64_t at = hold->row.opened_at_ms / SECOND;
    size_t last = sizeof(events_spans) / sizeof(events_spans[0]) - 1;
    size_t span = watch->looks < last ? watch->looks : last;
    struct str rest = events->query;
    struct buf out;

    buf_init(&out, QUERY_MAX);
    while (rest.len > 0) {
        size_t open = str_index(rest, '{', 0);
        size_t close = str_index(rest, '}', open);
        (void)buf_add_str(&out, str_slice(rest, 0, open));
        if (open < rest.len) {
            bool since = str_equal(str_slice(rest, open + 1, close), STR("since"));
            (void)buf_addf(&out, "%" PRId64,
                           since ? at - events_spans[span].before : at + events_spans[span].after);
        }
        rest = str_slice(rest, close < rest.len ? close + 1 : close, rest.len);
    }
    if (watch->after != NULL) {
        (void)buf_addf(&out, "&%.*s=%s", STR_FMT(events->after), watch->after);
    }
    struct str copy = arena_copy(arena, buf_str(&out));
    buf_clear(&out);
    return copy;
}

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
        ask.query = events_query(watch, &subject->pack->events, hold, judge->scratch);
    }
    if (fetch_begin(judge, &ask, known ? on_object : on_events, watch, &watch->fetch)) {
        judge->watching++;
    } else {
        again_in(watch, SECOND);
    }
}

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
    } else {
        ask(watch, hold, &subject, credential);
    }
}
