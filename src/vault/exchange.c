/* SPDX-License-Identifier: Apache-2.0 */
/*
 *     COLLECT      a judged body is gathered and compared
 *     CREDENTIAL   the scribe is asked for the sealed credential
 *     DIAL         a connection is made (or taken from the pool)
 *     TALK         the request goes out; the answer's head is awaited
 *     ANSWER       the answer's body comes
 *     DRAIN        OUTCOME is said; the gate has not got all yet, or may not yet
 *     OVER         whoever still holds it in this turn finds it so; see release()
 *
 * An answer's bytes go: upstream's input -> framing -> decoding -> `content`, where they are
 * scrubbed and, once final, copied to the reader and handed to the gate as far as its window goes.
 */
#include "vault/exchange.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "http/body.h"
#include "vault/head.h"
#include "vault/response.h"

enum {
    DETAIL_SIZE = 512,
    VENDOR_ID_SIZE = 256,
    WITHHELD_MAX = LIMIT_JUDGED_BODY_BYTES,
    CONTENT_MAX = WITHHELD_MAX + 4 * LIMIT_STREAM_WINDOW_BYTES_MAX + 256 * 1024,
    CREDIT_MAX = 2 * LIMIT_STREAM_WINDOW_BYTES_MAX,
};

enum exchange_state { COLLECT, CREDENTIAL, DIAL, TALK, ANSWER, DRAIN, OVER, STATES };

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

struct exchange {
    uint64_t grant; /* the key of vault->exchanges */
    struct vault *vault;
    struct gate_peer *gate; /* NULL: it died */
    struct list of_gate;    /* gate->exchanges */
    struct list waiting;    /* vault->unsent, vault->want_blob or vault->over */
    struct meeting *meeting;
    const struct message_grant *granted; /* of the meeting */
    struct generation *generation;
    const struct pack *pack;
    struct credential *credential;
    struct url target;
    struct upstream *upstream;
    enum exchange_state state;
    struct loop_timer timer;
    uint64_t started_us, dialled_us, sent_us, quiet_since_ms, linger_until_ms, linger_bytes;

    /* the request's body */
    struct buf body;      /* judged: all of it, for a retry too; else what came before TALK */
    uint64_t body_bytes;  /* from the gate */
    uint64_t credit_owed; /* bytes that have gone on, not yet given back as window */
    uint64_t window, window_left;
    bool body_ended, queued; /* all of the request is with the upstream */
    bool sent_said, talked;
    uint64_t wire_bytes; /* of connections that were given up */

    /* the answer */
    struct http_body framing;
    unsigned interims;
    bool keep_alive, head_request, rejected;
    struct decoder *decoder;
    struct buf coded;   /* content not yet decoded */
    struct buf content; /* [ final | may still become a hit ] */
    size_t final;
    struct scrub scrub;
    struct message_head *head; /* withheld with all that it points to; NULL when it has gone */
    bool withheld, discard;    /* discard: nobody is to get it */
    uint64_t credit;           /* the gate takes so many bytes more */
    bool copying;
    struct digest_run *digest;
    uint64_t copied;
    bool over; /* the upstream has failed or ended; why: */
    enum upstream_error over_error;
    char over_detail[DETAIL_SIZE];
    enum upstream_error end; /* UPSTREAM_OK: END, else RESET, when the content has gone */

    struct message_outcome outcome;
    char detail[DETAIL_SIZE], vendor_id[VENDOR_ID_SIZE];
};

static void move(struct exchange *ex, enum exchange_state next)
{
    assert((states[ex->state].next & TO(next)) != 0);
    ex->state = next;
}

static void pump(struct exchange *ex);
static void drain(struct exchange *ex);
static void dial(struct exchange *ex, bool may_reuse);
static void want_credential(struct exchange *ex);
static const struct upstream_user user;

/* ---- the end ---- */

static void bury(void *ctx)
{
    struct list *link;
    struct vault *vault = ctx;

    while ((link = list_first(&vault->over)) != NULL) {
        struct exchange *ex = LIST_THING(link, struct exchange, waiting);
        list_remove(&ex->waiting);
        free(ex->head);
        meeting_free(ex->meeting);
        free(ex);
    }
}

/* Lets go of all it has.  The exchange itself stays until the turn ends, since whoever called
 * what ended it may look at it again. */
static void release(struct exchange *ex)
{
    struct vault *vault = ex->vault;

    move(ex, OVER);
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

static uint64_t wire_bytes(const struct exchange *ex)
{
    return ex->wire_bytes + (ex->upstream == NULL ? 0 : upstream_wire_bytes(ex->upstream));
}

static void set_detail(struct exchange *ex, enum upstream_error error, const char *detail)
{
    ex->outcome.error = error;
    (void)snprintf(ex->detail, sizeof(ex->detail), "%s", detail);
    ex->outcome.detail = str_from(ex->detail);
}

static void say_outcome(struct exchange *ex, enum outcome outcome)
{
    ex->outcome.grant = ex->grant;
    ex->outcome.outcome = outcome;
    ex->outcome.bytes_out = ex->body_bytes;
    ex->outcome.total_us = loop_now_us(ex->vault->loop) - ex->started_us;
    ex->outcome.scrubbed = ex->scrub.hits;
    vault_tell_judge(ex->vault, MESSAGE_OUTCOME, &ex->outcome);
}

static void end_copy(struct exchange *ex, bool complete)
{
    struct message_body_end end = {.request = ex->grant, .complete = complete};

    if (!ex->copying) {
        return;
    }
    ex->copying = false;
    struct digest digest = digest_end(ex->digest);
    ex->digest = NULL;
    if (vault_tell_reader(ex->vault, MESSAGE_BODY_END, &end) && complete) {
        ex->outcome.body_digest = digest;
    }
}

static void reset_gate(struct exchange *ex, enum upstream_error error, const char *detail)
{
    struct message_reset reset = {.grant = ex->grant, .error = error, .detail = str_from(detail)};

    if (ex->gate != NULL && !ex->discard) {
        vault_tell_gate(ex->gate, MESSAGE_RESET, &reset);
    }
}

static void drop_upstream(struct exchange *ex)
{
    ex->wire_bytes = wire_bytes(ex);
    upstream_close(ex->upstream);
    ex->upstream = NULL;
    list_remove(&ex->waiting);
}

/* Ends it now, wherever it stands.  In DRAIN the outcome has been said. */
static void stop(struct exchange *ex, enum upstream_error error, const char *detail)
{
    if (ex->state != DRAIN) {
        bool answered = ex->state == ANSWER;
        set_detail(ex, error, detail); /* before the upstream goes: it may be the upstream's */
        detail = ex->detail;
        drop_upstream(ex);
        end_copy(ex, false);
        say_outcome(ex, answered             ? OUTCOME_ANSWERED
                        : ex->wire_bytes > 0 ? OUTCOME_UNKNOWN
                                             : OUTCOME_NOT_SENT);
    }
    reset_gate(ex, error, detail);
    release(ex);
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

static bool is_sent(const struct exchange *ex)
{
    return ex->queued && ex->upstream != NULL && upstream_unsent(ex->upstream) == 0;
}

static uint64_t patience_ms(const struct exchange *ex)
{
    if (ex->state == COLLECT || ex->state == CREDENTIAL) {
        return LIMIT_BEGIN_BY_MS;
    }
    if (ex->state == TALK && is_sent(ex)) {
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
        return is_sent(ex) ? "no answer in time" : "the request was not taken in time";
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

    if (ex->linger_until_ms > 0 && now >= ex->linger_until_ms) {
        stop(ex, UPSTREAM_CLIENT, "the client is gone and the answer takes too long");
        return;
    }
    if (now >= ex->quiet_since_ms + patience_ms(ex) && !waits_for_gate(ex)) {
        stop(ex, UPSTREAM_TIMEOUT, impatience(ex));
        return;
    }
    set_timer(ex);
}

/* Something moved; the timer looks at it when it fires, so that this costs next to nothing. */
static void progress(struct exchange *ex)
{
    ex->quiet_since_ms = loop_now_ms(ex->vault->loop);
}

static void start_timer(struct exchange *ex)
{
    progress(ex);
    set_timer(ex);
}

/* ---- the request's body ---- */

static void give_window(struct exchange *ex)
{
    struct message_window window = {.grant = ex->grant};

    if (ex->gate == NULL || ex->credit_owed < ex->window / 2 || ex->body_ended) {
        return;
    }
    uint64_t growth = ex->window * 2 <= LIMIT_STREAM_WINDOW_BYTES_MAX ? ex->window : 0;
    window.bytes = ex->credit_owed + growth;
    ex->window += growth;
    ex->window_left += window.bytes;
    ex->credit_owed = 0;
    vault_tell_gate(ex->gate, MESSAGE_WINDOW, &window);
}

static bool body_is_whole(const struct exchange *ex)
{
    return ex->body_ended || ex->granted->body == BODY_NONE;
}

/* Compares what was collected with what was judged. */
static bool check_body(struct exchange *ex)
{
    struct digest digest = digest_of(buf_str(&ex->body));

    if (buf_len(&ex->body) != ex->granted->body_length ||
        !digest_equal(&digest, &ex->granted->body_digest)) {
        stop(ex, UPSTREAM_GRANT, "the body is not the one that was judged");
        return false;
    }
    return true;
}

static void collected(struct exchange *ex)
{
    if (check_body(ex)) {
        move(ex, CREDENTIAL);
        want_credential(ex);
    }
}

/* Into the upstream's output, framed as the head says. */
static bool queue_body(struct exchange *ex, struct str bytes)
{
    struct buf *out = upstream_output(ex->upstream);

    if (ex->granted->body == BODY_CHUNKED && !ex->granted->judged_body) {
        return bytes.len == 0 || http_write_chunk(out, bytes);
    }
    return buf_add_str(out, bytes);
}

static void queue_end(struct exchange *ex)
{
    if (ex->granted->body == BODY_CHUNKED && !ex->granted->judged_body) {
        (void)http_write_last_chunk(upstream_output(ex->upstream));
    }
    ex->queued = true;
    upstream_write(ex->upstream);
}

/* False when the exchange is over. */
static bool length_fits(struct exchange *ex)
{
    const struct message_grant *granted = ex->granted;
    uint64_t most = granted->judged_body            ? granted->body_length
                    : granted->body == BODY_CHUNKED ? UINT64_MAX
                    : granted->body == BODY_LENGTH  ? granted->content_length
                                                    : 0;

    if (ex->body_bytes > most) {
        stop(ex, UPSTREAM_GRANT, "the body is longer than granted");
        return false;
    }
    return true;
}

/* Before anything is sent.  False when the exchange is over. */
static bool keep_data(struct exchange *ex, struct str bytes)
{
    if (!buf_add_str(&ex->body, bytes)) {
        stop(ex, UPSTREAM_GRANT, "the body is longer than granted");
        return false;
    }
    if (ex->state == COLLECT) {
        ex->credit_owed += bytes.len;
        give_window(ex);
    }
    return true;
}

/* False when the exchange has gone on, and may be over. */
static bool take_data(struct exchange *ex, struct str bytes)
{
    if (bytes.len > ex->window_left) {
        vault_blame_gate(ex->gate, "DATA beyond its window");
        return true;
    }
    if (ex->body_ended) {
        vault_blame_gate(ex->gate, "DATA behind END");
        return true;
    }
    ex->window_left -= bytes.len;
    if (ex->state >= ANSWER || ex->discard) {
        return true; /* the vendor has answered already and reads no more */
    }
    ex->body_bytes += bytes.len;
    if (!length_fits(ex)) {
        return false;
    }
    progress(ex);
    if (ex->state != TALK) {
        return keep_data(ex, bytes);
    }
    if (!queue_body(ex, bytes)) {
        stop(ex, UPSTREAM_GRANT, "more of the body came than there was room for");
        return false;
    }
    ex->credit_owed += bytes.len;
    upstream_write(ex->upstream);
    return false;
}

void exchange_take_data(struct exchange *ex, struct str bytes)
{
    (void)take_data(ex, bytes);
}

/* False when the exchange has gone on, and may be over. */
static bool take_end(struct exchange *ex)
{
    if (ex->body_ended) {
        return true;
    }
    ex->body_ended = true;
    if (ex->granted->body == BODY_LENGTH && !ex->granted->judged_body && ex->state < ANSWER &&
        ex->body_bytes != ex->granted->content_length) {
        stop(ex, UPSTREAM_GRANT, "the body is shorter than granted");
        return false;
    }
    if (ex->state == COLLECT) {
        collected(ex);
        return false;
    }
    if (ex->state == TALK && !ex->queued) {
        queue_end(ex);
        return false;
    }
    return true;
}

void exchange_take_end(struct exchange *ex)
{
    (void)take_end(ex);
}

/* ---- sending ---- */

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

static bool write_head(struct exchange *ex)
{
    const struct head_parts parts = {
        .config = ex->generation->config,
        .pack = ex->pack,
        .grant = ex->granted,
        .free = ex->meeting->headers,
        .free_count = ex->meeting->header_count,
        .credential = &ex->credential->clear,
        .target = &ex->target,
    };
    struct err err;

    if (head_write(upstream_output(ex->upstream), &parts, &err) < 0) {
        stop(ex, UPSTREAM_GRANT, err.text);
        return false;
    }
    return true;
}

static void talk(struct exchange *ex)
{
    move(ex, TALK);
    if (!write_head(ex)) {
        return;
    }
    if (!ex->talked) {
        ex->talked = true;
        ex->sent_us = loop_now_us(ex->vault->loop);
    }
    if (!queue_body(ex, buf_str(&ex->body))) {
        stop(ex, UPSTREAM_GRANT, "the body is too large");
        return;
    }
    if (!ex->granted->judged_body) {
        ex->credit_owed += buf_len(&ex->body);
        buf_clear(&ex->body);
    }
    if (ex->granted->has_hold && !ex->sent_said) {
        upstream_hold(ex->upstream, true);
        list_add(&ex->vault->unsent, &ex->waiting);
    }
    if (body_is_whole(ex)) {
        queue_end(ex);
    } else {
        upstream_write(ex->upstream);
    }
    start_timer(ex);
}

static void on_sent(void *ctx)
{
    struct exchange *ex = ctx;

    progress(ex);
    if (ex->state == TALK && upstream_unsent(ex->upstream) < ex->window / 2) {
        give_window(ex);
    }
    if (ex->state == TALK && is_sent(ex)) {
        start_timer(ex); /* from here on the vendor thinks */
    }
}

static void on_opened(void *ctx)
{
    struct exchange *ex = ctx;

    ex->outcome.connect_us = loop_now_us(ex->vault->loop) - ex->dialled_us;
    talk(ex);
}

static void dial(struct exchange *ex, bool may_reuse)
{
    struct upstreams *all = ex->vault->upstreams;

    move(ex, DIAL);
    loop_timer_stop(ex->vault->loop, &ex->timer); /* the connection has its own */
    ex->dialled_us = loop_now_us(ex->vault->loop);
    if (may_reuse) {
        ex->upstream =
            upstream_take(all, ex->credential, &ex->target, ex->granted->has_hold, &user, ex);
    }
    ex->outcome.reused = ex->upstream != NULL;
    if (ex->upstream != NULL) {
        talk(ex);
        return;
    }
    ex->upstream = upstream_dial(all, ex->credential, &ex->target, &user, ex);
}

/* ---- the credential ---- */

static void begin_dial(struct exchange *ex)
{
    struct err err;

    if (!str_equal(ex->credential->clear.vendor, ex->pack->vendor)) {
        stop(ex, UPSTREAM_CREDENTIAL, "the credential is of another vendor");
        return;
    }
    if (head_find_target(ex->pack, ex->granted->upstream, &ex->credential->clear, &ex->target,
                         &err) < 0) {
        stop(ex, UPSTREAM_CREDENTIAL, err.text);
        return;
    }
    scrub_begin(&ex->scrub, ex->credential->scrubber);
    dial(ex, true);
}

static bool blob_is_asked(const struct vault *vault, uint64_t credential)
{
    for (struct list *link = vault->want_blob.next; link != &vault->want_blob; link = link->next) {
        if (LIST_THING(link, struct exchange, waiting)->granted->credential == credential) {
            return true;
        }
    }
    return false;
}

static void want_credential(struct exchange *ex)
{
    struct vault *vault = ex->vault;

    ex->credential = credentials_find(vault->credentials, ex->granted->credential,
                                      ex->granted->credential_version);
    if (ex->credential != NULL) {
        begin_dial(ex);
        return;
    }
    bool asked = blob_is_asked(vault, ex->granted->credential);
    list_add(&vault->want_blob, &ex->waiting);
    start_timer(ex);
    if (!asked) {
        vault_ask_blob(vault, ex->granted->credential);
    }
}

void exchanges_credential(struct vault *vault, uint64_t id, struct credential *credential,
                          const char *why)
{
    struct list *link = vault->want_blob.next;

    while (link != &vault->want_blob) {
        struct exchange *ex = LIST_THING(link, struct exchange, waiting);
        link = link->next;
        if (ex->granted->credential != id) {
            continue;
        }
        list_remove(&ex->waiting);
        if (credential == NULL) {
            stop(ex, UPSTREAM_CREDENTIAL, why);
        } else if (credential->version != ex->granted->credential_version) {
            /* Nothing is wrong with it: the client may ask again. */
            stop(ex, UPSTREAM_GRANT, "the credential was changed meanwhile");
        } else {
            ex->credential = credential_hold(credential);
            begin_dial(ex);
        }
    }
}

/* ---- the answer's content ---- */

static void send_head(struct exchange *ex)
{
    if (ex->head == NULL) {
        return;
    }
    if (ex->gate != NULL && !ex->discard) {
        vault_tell_gate(ex->gate, MESSAGE_HEAD, ex->head);
    }
    free(ex->head);
    ex->head = NULL;
}

/* Hands to the gate what its window takes; returns how much. */
static size_t route(struct exchange *ex, struct str bytes)
{
    if (ex->discard || ex->gate == NULL) {
        return bytes.len;
    }
    if (ex->withheld) {
        return 0;
    }
    if (bytes.len > ex->credit) {
        bytes.len = (size_t)ex->credit;
    }
    if (bytes.len > 0) {
        struct message_data data = {.grant = ex->grant, .bytes = bytes};
        ex->credit -= bytes.len;
        vault_tell_gate(ex->gate, MESSAGE_DATA, &data);
    }
    return bytes.len;
}

static void deliver(struct exchange *ex)
{
    if (ex->withheld && buf_len(&ex->content) > WITHHELD_MAX) {
        ex->withheld = false; /* too long to be read for its amount, so nothing depends on it */
        end_copy(ex, false);
        send_head(ex);
    }
    if (ex->final == 0) {
        return;
    }
    size_t gone = route(ex, str_slice(buf_str(&ex->content), 0, ex->final));
    buf_consume(&ex->content, gone);
    ex->final -= gone;
}

static void copy(struct exchange *ex, struct str bytes)
{
    struct message_body_data data = {.request = ex->grant, .bytes = bytes};

    if (!ex->copying || bytes.len == 0) {
        return;
    }
    ex->copied += bytes.len;
    if (ex->copied > LIMIT_JUDGED_BODY_BYTES) {
        end_copy(ex, false);
        return;
    }
    digest_add(ex->digest, bytes);
    if (!vault_tell_reader(ex->vault, MESSAGE_BODY_DATA, &data)) {
        end_copy(ex, false);
    }
}

/* Content in the clear, in memory that may be written to. */
static bool add_content(struct exchange *ex, unsigned char *bytes, size_t len)
{
    size_t done = 0;

    if (buf_len(&ex->content) == 0) {
        /* Where it lies, without a copy: the common case. */
        size_t final = scrub_bytes(&ex->scrub, bytes, len, false);
        copy(ex, str_of(bytes, final));
        done = route(ex, str_of(bytes, final));
        ex->final = final - done;
        return buf_add(&ex->content, bytes + done, len - done);
    }
    if (!buf_add(&ex->content, bytes, len)) {
        return false;
    }
    unsigned char *open = ex->content.data + ex->content.start + ex->final;
    size_t final = scrub_bytes(&ex->scrub, open, buf_len(&ex->content) - ex->final, false);
    copy(ex, str_of(open, final));
    ex->final += final;
    return true;
}

/* Nothing follows: what was held back is final. */
static void end_content(struct exchange *ex)
{
    size_t held = buf_len(&ex->content) - ex->final;

    if (held == 0) {
        return;
    }
    unsigned char *open = ex->content.data + ex->content.start + ex->final;
    (void)scrub_bytes(&ex->scrub, open, held, true);
    copy(ex, str_of(open, held));
    ex->final += held;
}

/* ---- the answer's end ---- */

static void finish(struct exchange *ex, enum upstream_error end)
{
    ex->end = end;
    loop_timer_stop(ex->vault->loop, &ex->timer);
    move(ex, DRAIN);
    say_outcome(ex, OUTCOME_ANSWERED);
    drain(ex);
}

/* The answer is damaged or cut; the gate gets what is good of it, then a reset. */
static void cut(struct exchange *ex, enum upstream_error error, const char *detail)
{
    set_detail(ex, error, detail);
    drop_upstream(ex);
    end_copy(ex, false);
    buf_cut(&ex->content, ex->final); /* the rest might be half a secret */
    finish(ex, error);
}

static void complete(struct exchange *ex)
{
    if (ex->decoder != NULL && !decoder_is_complete(ex->decoder)) {
        cut(ex, UPSTREAM_PROTOCOL, "the coded answer ended early");
        return;
    }
    end_content(ex);
    end_copy(ex, true);
    ex->outcome.complete = true;
    if (ex->keep_alive && is_sent(ex) && !ex->over && ex->framing.kind != BODY_UNTIL_CLOSE) {
        ex->wire_bytes = wire_bytes(ex);
        upstream_give(ex->upstream);
        ex->upstream = NULL;
    } else {
        drop_upstream(ex);
    }
    if (ex->rejected) {
        set_detail(ex, UPSTREAM_CREDENTIAL, "the vendor refused the credential");
    }
    finish(ex, ex->rejected ? UPSTREAM_CREDENTIAL : UPSTREAM_OK);
}

/* Everything is said to the judge; the rest goes to the gate as it can take it. */
static void drain(struct exchange *ex)
{
    if (ex->withheld && !ex->discard && ex->gate != NULL) {
        return; /* until RELEASE */
    }
    deliver(ex);
    if (ex->final > 0) {
        return; /* until WINDOW */
    }
    if (ex->end == UPSTREAM_OK) {
        if (ex->gate != NULL && !ex->discard) {
            vault_tell_gate(ex->gate, MESSAGE_END, &(struct message_end){.grant = ex->grant});
        }
    } else {
        reset_gate(ex, ex->end, ex->detail);
    }
    release(ex);
}

/* ---- reading the answer ---- */

enum piece { PIECE_BAD, PIECE_MORE, PIECE_SOME, PIECE_END };

static enum piece read_decoded(struct exchange *ex)
{
    struct str in = buf_str(&ex->coded);
    size_t before = in.len;
    struct buf out;
    enum piece piece = PIECE_MORE;

    buf_init_wiped(&out, 64 * 1024);
    switch (decoder_run(ex->decoder, &in, &out)) {
    case DECODED_BAD:
        piece = PIECE_BAD;
        break;
    case DECODED_MORE:
        break;
    case DECODED_OUT:
        piece = add_content(ex, out.data + out.start, buf_len(&out)) ? PIECE_SOME : PIECE_BAD;
        break;
    }
    buf_consume(&ex->coded, before - in.len);
    buf_clear(&out);
    return piece;
}

static enum piece read_framed(struct exchange *ex)
{
    struct buf *input = upstream_input(ex->upstream);
    struct str in = buf_str(input);
    size_t before = in.len;
    struct str data = STR_NONE;
    enum http_body_result result = http_body_read(&ex->framing, &in, &data);
    enum piece piece = PIECE_MORE;

    if (result == HTTP_BODY_BAD) {
        return PIECE_BAD;
    }
    if (result == HTTP_BODY_DATA) {
        bool fits = true;
        piece = PIECE_SOME;
        ex->outcome.bytes_in += data.len;
        ex->linger_bytes += data.len;
        if (ex->decoder != NULL) {
            fits = buf_add_str(&ex->coded, data);
        } else if (!ex->rejected) {
            size_t at = (size_t)(data.data - buf_str(input).data);
            fits = add_content(ex, input->data + input->start + at, data.len);
        }
        if (!fits) {
            return PIECE_BAD;
        }
    } else if (result == HTTP_BODY_END) {
        piece = PIECE_END;
    }
    buf_consume(input, before - in.len);
    return piece;
}

static enum piece read_piece(struct exchange *ex)
{
    if (ex->decoder != NULL) {
        enum piece piece = read_decoded(ex);
        if (piece != PIECE_MORE) {
            return piece;
        }
    }
    return read_framed(ex);
}

/* All that came has been used; the upstream may have ended. */
static void want_more(struct exchange *ex)
{
    if (!ex->over) {
        upstream_pause(ex->upstream, false);
    } else if (ex->over_error == UPSTREAM_OK && http_body_ended_by_close(&ex->framing)) {
        complete(ex);
    } else {
        cut(ex, ex->over_error == UPSTREAM_OK ? UPSTREAM_RESET : ex->over_error, ex->over_detail);
    }
}

static void pump(struct exchange *ex)
{
    while (ex->state == ANSWER) {
        deliver(ex);
        if (ex->final > 0 && !ex->withheld) {
            upstream_pause(ex->upstream, true);
            return;
        }
        if (ex->linger_until_ms > 0 && ex->linger_bytes > LIMIT_LINGER_BYTES) {
            stop(ex, UPSTREAM_CLIENT, "the client is gone and the answer is too long");
            return;
        }
        switch (read_piece(ex)) {
        case PIECE_BAD:
            cut(ex, UPSTREAM_PROTOCOL, "the body of the answer is damaged");
            return;
        case PIECE_MORE:
            want_more(ex);
            return;
        case PIECE_SOME:
            break;
        case PIECE_END:
            complete(ex);
            return;
        }
    }
}

/* ---- the answer's head ---- */

/* Secrets in the values, where they lie in the input. */
static void scrub_head(struct exchange *ex, struct buf *input, struct http_head *head)
{
    const char *base = (const char *)input->data;
    struct scrub scrub;

    scrub_begin(&scrub, ex->credential->scrubber);
    for (size_t i = 0; i <= head->field_count; i++) {
        struct str value = i < head->field_count ? head->fields[i].value : head->reason;
        if (value.len > 0) {
            (void)scrub_bytes(&scrub, input->data + (value.data - base), value.len, true);
        }
    }
    ex->scrub.hits += scrub.hits;
}

static void note_vendor_fields(struct exchange *ex, const struct http_head *head)
{
    const struct str *id =
        ex->pack->request_id_header.len == 0 ? NULL : http_field(head, ex->pack->request_id_header);
    const struct str *replay = ex->pack->idempotency.replay_header.len == 0
                                   ? NULL
                                   : http_field(head, ex->pack->idempotency.replay_header);

    if (id != NULL) {
        (void)snprintf(ex->vendor_id, sizeof(ex->vendor_id), "%.*s", STR_FMT(*id));
        ex->outcome.vendor_request_id = str_from(ex->vendor_id);
    }
    ex->outcome.replayed = replay != NULL && !str_equal_nocase(*replay, STR("false"));
}

static void begin_copy(struct exchange *ex, const struct http_head *head)
{
    unsigned hundreds = head->status / 100;

    if (ex->granted->answer_rule == 0 || (hundreds != 2 && hundreds != 4) || ex->rejected ||
        head->body == BODY_NONE || !response_is_json(head)) {
        return;
    }
    struct message_body body = {.request = ex->grant,
                                .answer = true,
                                .generation = ex->granted->generation,
                                .rule = ex->granted->answer_rule};
    if (vault_tell_reader(ex->vault, MESSAGE_BODY, &body)) {
        ex->copying = true;
        ex->digest = digest_begin();
    }
}

/* All in one piece of memory, so that a withheld head outlives the input it came from. */
static struct message_head *keep_head(const struct message_head *from)
{
    size_t size =
        sizeof(*from) + from->header_count * sizeof(struct message_header) + from->reason.len;

    for (size_t i = 0; i < from->header_count; i++) {
        size += from->headers[i].name.len + from->headers[i].value.len;
    }
    struct message_head *head = mem_zeroed(size);
    *head = *from;
    head->headers = (struct message_header *)(head + 1);
    char *at = (char *)(head->headers + from->header_count);
    struct {
        const struct str *from;
        struct str *to;
    } pieces[2 * LIMIT_FIELDS + 1];
    size_t count = 0;
    pieces[count].from = &from->reason;
    pieces[count++].to = &head->reason;
    for (size_t i = 0; i < from->header_count; i++) {
        pieces[count].from = &from->headers[i].name;
        pieces[count++].to = &head->headers[i].name;
        pieces[count].from = &from->headers[i].value;
        pieces[count++].to = &head->headers[i].value;
    }
    for (size_t i = 0; i < count; i++) {
        struct str text = *pieces[i].from;
        if (text.len > 0) {
            memcpy(at, text.data, text.len);
        }
        *pieces[i].to = str_of(at, text.len);
        at += text.len;
    }
    return head;
}

static void tell_head(struct exchange *ex, const struct http_head *head, bool interim)
{
    static struct message_header headers[LIMIT_FIELDS]; /* large, and one at a time */
    struct buf scratch;
    const struct response_rules rules = {.target = &ex->target,
                                         .door_base = ex->granted->door_base,
                                         .decoded = ex->decoder != NULL || ex->head_request};
    bool known = head->body == BODY_LENGTH && ex->decoder == NULL;
    struct message_head message = {
        .grant = ex->grant,
        .status = head->status,
        .reason = head->reason,
        .headers = headers,
        .body = interim || head->body == BODY_NONE ? BODY_NONE
                : known                            ? BODY_LENGTH
                                                   : BODY_CHUNKED,
        .content_length = known ? head->content_length : 0,
        .interim = interim,
    };

    buf_init(&scratch, 2 * LIMIT_HEAD_BYTES);
    message.header_count = response_filter(head, &rules, &scratch, headers);
    if (ex->withheld) {
        ex->head = keep_head(&message);
    } else if (ex->gate != NULL && !ex->discard) {
        vault_tell_gate(ex->gate, MESSAGE_HEAD, &message);
    }
    buf_clear(&scratch);
}

static void take_interim(struct exchange *ex, const struct http_head *head)
{
    bool money = ex->granted->has_hold && ex->granted->answer_rule != 0;

    if (head->status == 101) {
        stop(ex, UPSTREAM_PROTOCOL, "the vendor switched protocols");
    } else if (++ex->interims > LIMIT_INTERIM_ANSWERS) {
        stop(ex, UPSTREAM_PROTOCOL, "the vendor sent too many interim answers");
    } else if (head->status != 100 && !money) {
        tell_head(ex, head, true);
    }
}

/* False when it cannot be passed on: the exchange is over. */
static bool begin_decoding(struct exchange *ex, const struct http_head *head)
{
    enum coding coding = head->body == BODY_NONE ? CODING_IDENTITY : response_coding(head);

    if (coding == CODING_OTHER) {
        cut(ex, UPSTREAM_PROTOCOL, "the answer is coded though nothing was accepted");
        return false;
    }
    if (coding != CODING_IDENTITY) {
        ex->decoder = decoder_new(coding);
        buf_init_wiped(&ex->coded, 2 * LIMIT_STREAM_WINDOW_BYTES_MAX);
    }
    return true;
}

static void take_answer(struct exchange *ex, struct http_head *head)
{
    move(ex, ANSWER);
    buf_clear(&ex->body); /* no retry any more */
    ex->outcome.status = head->status;
    ex->outcome.first_byte_us = loop_now_us(ex->vault->loop) - ex->sent_us;
    ex->keep_alive = head->keep_alive;
    ex->head_request = str_equal(ex->granted->method, STR("HEAD"));
    ex->rejected = head->status == 401;
    note_vendor_fields(ex, head);
    if (!ex->rejected && !begin_decoding(ex, head)) {
        return;
    }
    begin_copy(ex, head);
    ex->withheld = ex->granted->has_hold && ex->granted->answer_rule != 0 && !ex->rejected &&
                   !response_is_stream(head);
    if (!ex->rejected) {
        tell_head(ex, head, false);
    }
    http_body_begin(&ex->framing, head->body, head->content_length);
}

/* Looks for the head of the answer in what came.  Leaves TALK when it is there, or bad. */
static void read_heads(struct exchange *ex)
{
    struct http_head *head = &ex->vault->head;

    while (ex->state == TALK) {
        struct buf *input = upstream_input(ex->upstream);
        struct http_problem problem;
        size_t used;
        if (buf_len(input) == 0) {
            return;
        }
        switch (http_parse_response((char *)input->data + input->start, buf_len(input),
                                    ex->granted->method, head, &used, &problem)) {
        case HTTP_MORE:
            return;
        case HTTP_BAD:
            stop(ex, UPSTREAM_PROTOCOL, problem.text);
            return;
        case HTTP_OK:
            scrub_head(ex, input, head);
            if (head->status < 200) {
                take_interim(ex, head);
            } else {
                take_answer(ex, head);
            }
            break;
        }
        if (ex->upstream == NULL) {
            return;
        }
        buf_consume(upstream_input(ex->upstream), used);
    }
    pump(ex);
}

static void on_readable(void *ctx)
{
    struct exchange *ex = ctx;

    progress(ex);
    if (ex->state == TALK) {
        read_heads(ex);
    } else if (ex->state == ANSWER) {
        pump(ex);
    }
}

/* ---- the upstream fails ---- */

static bool may_retry(const struct exchange *ex)
{
    bool is_read = !ex->granted->has_hold && (str_equal(ex->granted->method, STR("GET")) ||
                                              str_equal(ex->granted->method, STR("HEAD")));
    bool at_hand = ex->granted->body == BODY_NONE || ex->granted->judged_body;

    return ex->outcome.reused && !ex->outcome.retried && at_hand && ex->interims == 0 &&
           buf_len(upstream_input(ex->upstream)) == 0 && !ex->discard &&
           (wire_bytes(ex) == 0 || ex->granted->retry_safe || is_read);
}

static void on_failed(void *ctx, enum upstream_error error, const char *detail)
{
    struct exchange *ex = ctx;

    if (ex->state == TALK) {
        read_heads(ex);
    }
    if (ex->state == DRAIN || ex->state == OVER) {
        return;
    }
    if (ex->state == ANSWER) {
        ex->over = true;
        ex->over_error = error;
        (void)snprintf(ex->over_detail, sizeof(ex->over_detail), "%s", detail);
        pump(ex);
        return;
    }
    if (ex->state == TALK && may_retry(ex)) {
        drop_upstream(ex);
        ex->outcome.retried = true;
        ex->queued = false;
        dial(ex, false);
        return;
    }
    stop(ex, error == UPSTREAM_OK ? UPSTREAM_RESET : error, detail);
}

static const struct upstream_user user = {
    .opened = on_opened,
    .readable = on_readable,
    .sent = on_sent,
    .failed = on_failed,
};

/* ---- what others say about it ---- */

void exchange_take_window(struct exchange *ex, uint64_t bytes)
{
    if (bytes > CREDIT_MAX || ex->credit + bytes > CREDIT_MAX) {
        vault_blame_gate(ex->gate, "a WINDOW beyond the largest");
        return;
    }
    ex->credit += bytes;
    if (ex->state == DRAIN) {
        drain(ex);
    } else if (ex->state == ANSWER) {
        pump(ex);
    }
}

/* Nobody is to get the answer.  What moves money is read to its end, so that it can be settled. */
static void abandon(struct exchange *ex, enum upstream_error error, const char *detail)
{
    bool worth_it = ex->granted->has_hold && ex->state != DRAIN && is_sent(ex) &&
                    (ex->gate == NULL || ex->gate->lingering < LIMIT_LINGERS_A_GATE);

    if (ex->state == ANSWER && ex->granted->has_hold && ex->over) {
        worth_it = true; /* it has all come already */
    }
    if (!worth_it) {
        stop(ex, error, detail);
        return;
    }
    reset_gate(ex, error, detail);
    ex->discard = true;
    if (ex->linger_until_ms == 0) {
        ex->linger_until_ms = loop_now_ms(ex->vault->loop) + LIMIT_LINGER_MS;
        ex->linger_bytes = 0;
        if (ex->gate != NULL) {
            ex->gate->lingering++;
        }
    }
    start_timer(ex);
    if (ex->state == ANSWER) {
        pump(ex);
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
    ex->withheld = false;
    send_head(ex);
    drain(ex);
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
        end_copy(ex, false);
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
        release(ex);
        at = 0;
    }
    loop_hook_stop(&vault->burial);
    bury(vault);
}

struct exchange *exchange_find(const struct vault *vault, const struct gate_peer *gate,
                               uint64_t grant)
{
    struct exchange *ex = table_find(&vault->exchanges, &grant);

    return ex != NULL && ex->gate == gate ? ex : NULL;
}

static struct exchange *exchange_new(struct vault *vault, struct meeting *meeting)
{
    struct exchange *ex = mem_zeroed(sizeof(*ex));

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
    list_add(&ex->gate->exchanges, &ex->of_gate);
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
        stop(ex, UPSTREAM_GRANT, "the grant is of an unknown configuration");
        return;
    }
    ex->generation->users++;
    ex->pack = &ex->generation->config->packs[ex->granted->pack];
    if (buf_len(&meeting->early) > 0 && !take_data(ex, buf_str(&meeting->early))) {
        return;
    }
    if (meeting->ended && !take_end(ex)) {
        return;
    }
    if (ex->state == CREDENTIAL) {
        want_credential(ex);
    } else if (ex->granted->body == BODY_NONE) {
        collected(ex);
    } else {
        start_timer(ex); /* COLLECT: until the body is whole */
    }
}
