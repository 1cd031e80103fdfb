/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "vault/exchange_state.h"

enum {
    CONTENT_MAX = LIMIT_JUDGED_BODY_BYTES + 4 * LIMIT_STREAM_WINDOW_BYTES_MAX + 256 * 1024,
    CREDIT_MAX = 2 * LIMIT_STREAM_WINDOW_BYTES_MAX,
    SPARE_MAX = 256, /* kept for the next ones */
};

#define TO(state) (1u << (state))
static const struct {
    const char *name;
    unsigned next;
} states[STATES] = {
    [COLLECT] = {"collect", TO(CREDENTIAL) | TO(OVER)},
    [CREDENTIAL] = {"credential", TO(DIAL) | TO(OVER)},
    [DIAL] = {"dial", TO(TALK) | TO(OVER)},
    [TALK] = {"talk", TO(ANSWER) | TO(DIAL) | TO(OVER)},
    [ANSWER] = {"answer", TO(DRAIN) | TO(OVER)},
    [DRAIN] = {"drain", TO(OVER)},
    [OVER] = {"over", 0},
};

void exchange_move(struct exchange *ex, enum exchange_state next)
{
    assert((states[ex->state].next & TO(next)) != 0);
    ex->state = next;
}

/* ---- the end ---- */

static struct exchange *take_spare(struct vault *vault)
{
    struct list *link = list_first(&vault->spare);

    if (link == NULL) {
        return mem_grow(NULL, 1, sizeof(struct exchange));
    }
    list_remove(link);
    vault->spare_count--;
    return LIST_THING(link, struct exchange, waiting);
}

static void bury(void *ctx)
{
    struct list *link;
    struct vault *vault = ctx;

    while ((link = list_first(&vault->over)) != NULL) {
        struct exchange *ex = LIST_THING(link, struct exchange, waiting);
        list_remove(&ex->waiting);
        free(ex->head);
        meeting_free(ex->meeting);
        if (vault->spare_count < SPARE_MAX) {
            vault->spare_count++;
            list_add(&vault->spare, &ex->waiting);
        } else {
            free(ex);
        }
    }
}

void exchange_release(struct exchange *ex)
{
    struct vault *vault = ex->vault;

    exchange_move(ex, OVER);
    if (ex->gate != NULL) {
        ex->gate->lingering -= ex->linger_until_ms > 0;
    }
    (void)table_remove(&vault->exchanges, &ex->grant);
    list_remove(&ex->of_gate);
    list_remove(&ex->waiting);
    loop_timer_stop(vault->loop, &ex->timer);
    upstream_close(ex->upstream);
    ex->upstream = NULL;
    credential_release(ex->credential);
    ex->credential = NULL;
    if (ex->generation != NULL) {
        ex->generation->users--;
    }
    decoder_free(ex->decoder);
    ex->decoder = NULL;
    digest_abandon(ex->digest);
    ex->digest = NULL;
    buf_clear(&ex->body);
    buf_clear(&ex->coded);
    buf_clear(&ex->content);
    list_add(&vault->over, &ex->waiting);
    loop_at_turn_end(vault->loop, &vault->burial, bury, vault);
    vault_check_drained(vault);
}

uint64_t exchange_wire_bytes(const struct exchange *ex)
{
    return ex->wire_bytes + (ex->upstream == NULL ? 0 : upstream_wire_bytes(ex->upstream));
}

void exchange_set_detail(struct exchange *ex, enum upstream_error error, const char *detail)
{
    ex->outcome.error = error;
    (void)snprintf(ex->detail, sizeof(ex->detail), "%s", detail);
    ex->outcome.detail = str_from(ex->detail);
}

void exchange_say_outcome(struct exchange *ex, enum outcome outcome)
{
    ex->outcome.grant = ex->grant;
    ex->outcome.outcome = outcome;
    ex->outcome.bytes_out = ex->body_bytes;
    ex->outcome.total_us = loop_now_us(ex->vault->loop) - ex->started_us;
    ex->outcome.scrubbed = ex->scrub.hits;
    vault_tell_judge(ex->vault, MESSAGE_OUTCOME, &ex->outcome);
}

void exchange_reset_gate(struct exchange *ex, enum upstream_error error, const char *detail)
{
    struct message_reset reset = {.grant = ex->grant, .error = error, .detail = str_from(detail)};

    if (ex->gate != NULL && !ex->discard) {
        vault_tell_gate(ex->gate, MESSAGE_RESET, &reset);
    }
}

void exchange_drop_upstream(struct exchange *ex)
{
    ex->wire_bytes = exchange_wire_bytes(ex);
    upstream_close(ex->upstream);
    ex->upstream = NULL;
    list_remove(&ex->waiting);
}

void exchange_stop(struct exchange *ex, enum upstream_error error, const char *detail)
{
    if (ex->state != DRAIN) {
        bool answered = ex->state == ANSWER;
        exchange_set_detail(ex, error,
                            detail); /* before the upstream goes: it may be the upstream's */
        detail = ex->detail;
        exchange_drop_upstream(ex);
        answer_end_copy(ex, false);
        exchange_say_outcome(ex, answered             ? OUTCOME_ANSWERED
                                 : ex->wire_bytes > 0 ? OUTCOME_UNKNOWN
                                                      : OUTCOME_NOT_SENT);
    }
    exchange_reset_gate(ex, error, detail);
    exchange_release(ex);
}

void exchange_refuse(struct vault *vault, const struct message_grant *grant,
                     enum upstream_error error, const char *detail)
{
    struct message_outcome outcome = {.grant = grant->grant,
                                      .outcome = OUTCOME_NOT_SENT,
                                      .error = error,
                                      .detail = str_from(detail)};

    vault_tell_judge(vault, MESSAGE_OUTCOME, &outcome);
}

/* ---- timers ---- */

bool exchange_is_sent(const struct exchange *ex)
{
    return ex->queued && ex->upstream != NULL && upstream_unsent(ex->upstream) == 0;
}

static uint64_t patience_ms(const struct exchange *ex)
{
    if (ex->state == COLLECT || ex->state == CREDENTIAL) {
        return LIMIT_BEGIN_BY_MS;
    }
    if (ex->state == TALK && exchange_is_sent(ex)) {
        return ex->granted->first_byte_ms > 0 ? ex->granted->first_byte_ms : LIMIT_FIRST_BYTE_MS;
    }
    return LIMIT_SILENCE_MS;
}

static const char *impatience(const struct exchange *ex)
{
    switch (ex->state) {
    case COLLECT:
        return "the body did not come in time";
    case CREDENTIAL:
        return "the credential did not come in time";
    case TALK:
        return exchange_is_sent(ex) ? "no answer in time" : "the request was not taken in time";
    default:
        return "the answer stopped";
    }
}

static void on_timer(void *ctx);

/* Reading is stopped because the gate's window is full: then it is the gate's clock that runs. */
static bool waits_for_gate(const struct exchange *ex)
{
    return ex->upstream != NULL && upstream_is_paused(ex->upstream);
}

/* Sets the timer to whatever comes first. */
static void set_timer(struct exchange *ex)
{
    uint64_t now = loop_now_ms(ex->vault->loop);
    uint64_t due = (waits_for_gate(ex) ? now : ex->quiet_since_ms) + patience_ms(ex);

    if (ex->linger_until_ms > 0 && ex->linger_until_ms < due) {
        due = ex->linger_until_ms;
    }
    loop_timer_set(ex->vault->loop, &ex->timer, due > now ? due - now : 0, on_timer, ex);
}

static void on_timer(void *ctx)
{
    struct exchange *ex = ctx;
    uint64_t now = loop_now_ms(ex->vault->loop);

    if (ex->ours && now >= ex->linger_until_ms) {
        exchange_stop(ex, UPSTREAM_TIMEOUT, "no answer in time");
        return;
    }
    if (ex->linger_until_ms > 0 && now >= ex->linger_until_ms) {
        exchange_stop(ex, UPSTREAM_CLIENT, "the client is gone and the answer takes too long");
        return;
    }
    if (now >= ex->quiet_since_ms + patience_ms(ex) && !waits_for_gate(ex)) {
        exchange_stop(ex, UPSTREAM_TIMEOUT, impatience(ex));
        return;
    }
    set_timer(ex);
}

void exchange_progress(struct exchange *ex)
{
    ex->quiet_since_ms = loop_now_ms(ex->vault->loop);
}

void exchange_start_timer(struct exchange *ex)
{
    exchange_progress(ex);
    set_timer(ex);
}

/* ---- what others say about it ---- */

void exchange_take_data(struct exchange *ex, struct str bytes)
{
    (void)request_take_data(ex, bytes);
}

void exchange_take_end(struct exchange *ex)
{
    (void)request_take_end(ex);
}
bool exchanges_say_sent(struct vault *vault)
{
    if (list_empty(&vault->unsent)) {
        return true;
    }
    for (struct list *link = vault->unsent.next; link != &vault->unsent; link = link->next) {
        struct exchange *ex = LIST_THING(link, struct exchange, waiting);
        if (!ex->sent_said) {
            ex->sent_said = true;
            vault_tell_judge(vault, MESSAGE_SENT, &(struct message_sent){.grant = ex->grant});
        }
    }
    if (!channel_flush(vault->judge)) {
        return false;
    }
    while (!list_empty(&vault->unsent)) {
        struct exchange *ex = LIST_THING(vault->unsent.next, struct exchange, waiting);
        list_remove(&ex->waiting);
        upstream_hold(ex->upstream, false);
    }
    return true;
}

void exchange_take_window(struct exchange *ex, uint64_t bytes)
{
    if (bytes > CREDIT_MAX || ex->credit + bytes > CREDIT_MAX) {
        vault_blame_gate(ex->gate, "a WINDOW beyond the largest");
        return;
    }
    ex->credit += bytes;
    if (ex->state == DRAIN) {
        answer_drain(ex);
    } else if (ex->state == ANSWER) {
        answer_pump(ex);
    }
}

/* Nobody is to get the answer.  What moves money is read to its end, so that it can be settled. */
static void abandon(struct exchange *ex, enum upstream_error error, const char *detail)
{
    bool worth_it = ex->granted->has_hold && ex->state != DRAIN && exchange_is_sent(ex) &&
                    (ex->gate == NULL || ex->gate->lingering < LIMIT_LINGERS_A_GATE);

    if (ex->state == ANSWER && ex->granted->has_hold && ex->over) {
        worth_it = true; /* it has all come already */
    }
    if (!worth_it) {
        exchange_stop(ex, error, detail);
        return;
    }
    exchange_reset_gate(ex, error, detail);
    ex->discard = true;
    if (ex->linger_until_ms == 0) {
        ex->linger_until_ms = loop_now_ms(ex->vault->loop) + LIMIT_LINGER_MS;
        ex->linger_bytes = 0;
        if (ex->gate != NULL) {
            ex->gate->lingering++;
        }
    }
    exchange_start_timer(ex);
    if (ex->state == ANSWER) {
        answer_pump(ex);
    }
}

void exchange_take_reset(struct exchange *ex)
{
    bool had = ex->discard;

    ex->discard = true; /* the gate wants to hear no more of it */
    if (!had) {
        abandon(ex, UPSTREAM_CLIENT, "the client is gone");
    }
}

void exchanges_release(struct vault *vault, uint64_t grant)
{
    struct exchange *ex = table_find(&vault->exchanges, &grant);

    if (ex == NULL || ex->state != DRAIN || !ex->withheld) {
        return;
    }
    answer_release(ex);
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t x, y;

    memcpy(&x, a, sizeof(x));
    memcpy(&y, b, sizeof(y));
    return x < y ? -1 : x > y;
}

struct revoked {
    const uint64_t *keys; /* sorted */
    size_t count;
};

static bool is_revoked(const struct revoked *revoked, uint64_t key)
{
    return bsearch(&key, revoked->keys, revoked->count, sizeof(key), compare_keys) != NULL;
}

static bool is_for_revoked(const struct meeting *meeting, const void *ctx)
{
    return meeting->granted != NULL && is_revoked(ctx, meeting->granted->key);
}

void exchanges_revoke(struct vault *vault, const uint64_t *keys, size_t count)
{
    uint64_t *sorted = mem_copy(keys, count * sizeof(*keys));
    struct revoked revoked = {sorted, count};
    struct exchange **found = mem_array(vault->exchanges.count, sizeof(struct exchange *));
    size_t found_count = 0;
    struct meeting *meeting;
    size_t at = 0;

    qsort(sorted, count, sizeof(*sorted), compare_keys);
    while ((meeting = grants_take_fit(vault->grants, is_for_revoked, &revoked)) != NULL) {
        exchange_refuse(vault, meeting->granted, UPSTREAM_REVOKED, "the key was revoked");
        meeting_free(meeting);
    }
    /* The table may not change while it is walked. */
    for (struct exchange *ex = table_next(&vault->exchanges, &at); ex != NULL;
         ex = table_next(&vault->exchanges, &at)) {
        if (is_revoked(&revoked, ex->granted->key)) {
            found[found_count++] = ex;
        }
    }
    for (size_t i = 0; i < found_count; i++) {
        abandon(found[i], UPSTREAM_REVOKED, "the key was revoked");
    }
    free(found);
    free(sorted);
}

void exchanges_gate_gone(struct gate_peer *gate)
{
    struct list *link = gate->exchanges.next;

    while (link != &gate->exchanges) {
        struct exchange *ex = LIST_THING(link, struct exchange, of_gate);
        link = link->next;
        list_remove(&ex->of_gate);
        gate->lingering -= ex->linger_until_ms > 0;
        ex->gate = NULL;
        if (!ex->discard) {
            ex->discard = true;
            abandon(ex, UPSTREAM_CLIENT, "the gate is gone");
        }
    }
}

void exchanges_reader_gone(struct vault *vault)
{
    size_t at = 0;

    for (struct exchange *ex = table_next(&vault->exchanges, &at); ex != NULL;
         ex = table_next(&vault->exchanges, &at)) {
        answer_end_copy(ex, false);
    }
}

/* ---- the beginning ---- */

struct table exchanges_table(void)
{
    return TABLE_OF(struct exchange, grant);
}

void exchanges_free(struct vault *vault)
{
    size_t at = 0;

    for (struct exchange *ex = table_next(&vault->exchanges, &at); ex != NULL;
         ex = table_next(&vault->exchanges, &at)) {
        exchange_release(ex);
        at = 0;
    }
    loop_hook_stop(&vault->burial);
    bury(vault);
    while (vault->spare_count > 0) {
        free(take_spare(vault));
    }
}

struct exchange *exchange_find(const struct vault *vault, const struct gate_peer *gate,
                               uint64_t grant)
{
    struct exchange *ex = table_find(&vault->exchanges, &grant);

    return ex != NULL && ex->gate == gate ? ex : NULL;
}

bool exchange_is_known(const struct vault *vault, uint64_t grant)
{
    return table_find(&vault->exchanges, &grant) != NULL;
}

static struct exchange *exchange_new(struct vault *vault, struct meeting *meeting)
{
    struct exchange *ex = take_spare(vault);

    memset(ex, 0, offsetof(struct exchange, detail));
    ex->detail[0] = ex->over_detail[0] = '\0';

    ex->grant = meeting->grant;
    ex->vault = vault;
    ex->gate = meeting->gate;
    ex->meeting = meeting;
    ex->granted = meeting->granted;
    ex->started_us = loop_now_us(ex->vault->loop);
    ex->window = ex->window_left = LIMIT_STREAM_WINDOW_BYTES;
    ex->credit = LIMIT_STREAM_WINDOW_BYTES;
    ex->state = ex->granted->judged_body ? COLLECT : CREDENTIAL;
    list_init(&ex->waiting);
    list_init(&ex->of_gate);
    if (ex->gate != NULL) {
        list_add(&ex->gate->exchanges, &ex->of_gate);
    } else {
        ex->ours = ex->discard = true;
        ex->linger_until_ms = loop_now_ms(vault->loop) + ex->granted->begin_by_ms;
    }
    buf_init_wiped(&ex->body, LIMIT_JUDGED_BODY_BYTES);
    buf_init_wiped(&ex->coded, 0);
    buf_init_wiped(&ex->content, CONTENT_MAX);
    table_add(&vault->exchanges, ex);
    return ex;
}

void exchange_begin(struct vault *vault, struct meeting *meeting)
{
    struct exchange *ex = exchange_new(vault, meeting);

    ex->generation = vault_generation(vault, ex->granted->generation);
    if (ex->generation == NULL || ex->granted->pack >= ex->generation->config->pack_count) {
        ex->generation = NULL;
        exchange_stop(ex, UPSTREAM_GRANT, "the grant is of an unknown configuration");
        return;
    }
    ex->generation->users++;
    ex->pack = &ex->generation->config->packs[ex->granted->pack];
    if (buf_len(&meeting->early) > 0 && !request_take_data(ex, buf_str(&meeting->early))) {
        return;
    }
    if (meeting->ended && !request_take_end(ex)) {
        return;
    }
    if (ex->state == CREDENTIAL) {
        request_want_credential(ex);
    } else if (ex->granted->body == BODY_NONE) {
        request_collected(ex);
    } else {
        exchange_start_timer(ex); /* COLLECT: until the body is whole */
    }
}
