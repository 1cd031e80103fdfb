/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The request's side of an exchange: its body, the credential, the connection, sending.
 */

#include "pack/splice.h"
#include "vault/exchange_state.h"
#include "vault/head.h"

static const struct upstream_user user;

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
        exchange_stop(ex, UPSTREAM_GRANT, "the body is not the one that was judged");
        return false;
    }
    return true;
}

/* What goes out is the client's body with the values that the judge has put in. */
static bool change_body(struct exchange *ex)
{
    const struct message_grant *granted = ex->granted;
    struct buf changed;

    if (granted->splice_count == 0) {
        return true;
    }
    buf_init_wiped(&changed, LIMIT_JUDGED_BODY_BYTES + LIMIT_SPLICED_BYTES);
    if (!splices_are_valid(granted->splices, granted->splice_count, granted->body_length) ||
        !splices_apply(granted->splices, granted->splice_count, buf_str(&ex->body), &changed)) {
        buf_clear(&changed);
        exchange_stop(ex, UPSTREAM_GRANT, "the body cannot be changed as granted");
        return false;
    }
    buf_clear(&ex->body);
    ex->body = changed;
    return true;
}

void request_collected(struct exchange *ex)
{
    if (check_body(ex) && change_body(ex)) {
        exchange_move(ex, CREDENTIAL);
        request_want_credential(ex);
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
        exchange_stop(ex, UPSTREAM_GRANT, "the body is longer than granted");
        return false;
    }
    return true;
}

/* Before anything is sent.  False when the exchange is over. */
static bool keep_data(struct exchange *ex, struct str bytes)
{
    if (!buf_add_str(&ex->body, bytes)) {
        exchange_stop(ex, UPSTREAM_GRANT, "the body is longer than granted");
        return false;
    }
    if (ex->state == COLLECT) {
        ex->credit_owed += bytes.len;
        give_window(ex);
    }
    return true;
}

bool request_take_data(struct exchange *ex, struct str bytes)
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
    exchange_progress(ex);
    if (ex->state != TALK) {
        return keep_data(ex, bytes);
    }
    if (!queue_body(ex, bytes)) {
        exchange_stop(ex, UPSTREAM_GRANT, "more of the body came than there was room for");
        return false;
    }
    ex->credit_owed += bytes.len;
    upstream_write(ex->upstream);
    return false;
}

bool request_take_end(struct exchange *ex)
{
    if (ex->body_ended) {
        return true;
    }
    ex->body_ended = true;
    if (ex->granted->body == BODY_LENGTH && !ex->granted->judged_body && ex->state < ANSWER &&
        ex->body_bytes != ex->granted->content_length) {
        exchange_stop(ex, UPSTREAM_GRANT, "the body is shorter than granted");
        return false;
    }
    if (ex->state == COLLECT) {
        request_collected(ex);
        return false;
    }
    if (ex->state == TALK && !ex->queued) {
        queue_end(ex);
        return false;
    }
    return true;
}

/* ---- sending ---- */

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
        .memo = &ex->vault->memo,
    };
    struct err err;

    if (head_write(upstream_output(ex->upstream), &parts, &err) < 0) {
        exchange_stop(ex, UPSTREAM_GRANT, err.text);
        return false;
    }
    return true;
}

static void talk(struct exchange *ex)
{
    exchange_move(ex, TALK);
    if (!write_head(ex)) {
        return;
    }
    if (!ex->talked) {
        ex->talked = true;
        ex->sent_us = loop_now_us(ex->vault->loop);
    }
    if (!queue_body(ex, buf_str(&ex->body))) {
        exchange_stop(ex, UPSTREAM_GRANT, "the body is too large");
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
    exchange_start_timer(ex);
}

static void on_sent(void *ctx)
{
    struct exchange *ex = ctx;

    exchange_progress(ex);
    if (ex->state == TALK && upstream_unsent(ex->upstream) < ex->window / 2) {
        give_window(ex);
    }
    if (ex->state == TALK && exchange_is_sent(ex)) {
        exchange_start_timer(ex); /* from here on the vendor thinks */
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

    exchange_move(ex, DIAL);
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

    /* Rows of the database that changed places do not change what a key uses. */
    if (!str_equal(ex->credential->clear.name, ex->granted->credential_name)) {
        exchange_stop(ex, UPSTREAM_CREDENTIAL, "the stored credential is another one");
        return;
    }
    if (!str_equal(ex->credential->clear.vendor, ex->pack->vendor)) {
        exchange_stop(ex, UPSTREAM_CREDENTIAL, "the credential is of another vendor");
        return;
    }
    if (head_find_target(ex->pack, ex->granted->upstream, &ex->credential->clear, &ex->target,
                         &err) < 0) {
        exchange_stop(ex, UPSTREAM_CREDENTIAL, err.text);
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

void request_want_credential(struct exchange *ex)
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
    exchange_start_timer(ex);
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
            exchange_stop(ex, UPSTREAM_CREDENTIAL, why);
        } else if (credential->version != ex->granted->credential_version) {
            /* Nothing is wrong with it: the client may ask again. */
            exchange_stop(ex, UPSTREAM_GRANT, "the credential was changed meanwhile");
        } else {
            ex->credential = credential_hold(credential);
            begin_dial(ex);
        }
    }
}

/* ---- the upstream fails ---- */

static bool may_retry(const struct exchange *ex)
{
    bool is_read = !ex->granted->has_hold && (str_equal(ex->granted->method, STR("GET")) ||
                                              str_equal(ex->granted->method, STR("HEAD")));
    bool at_hand = ex->granted->body == BODY_NONE || ex->granted->judged_body;

    return ex->outcome.reused && !ex->outcome.retried && at_hand && ex->interims == 0 &&
           buf_len(upstream_input(ex->upstream)) == 0 && (!ex->discard || ex->ours) &&
           (exchange_wire_bytes(ex) == 0 || ex->granted->retry_safe || is_read);
}

static void on_readable(void *ctx)
{
    answer_readable(ctx);
}

static void on_failed(void *ctx, enum upstream_error error, const char *detail)
{
    struct exchange *ex = ctx;

    if (ex->state == TALK) {
        answer_readable(ex); /* the answer may be there all the same */
    }
    if (ex->state == DRAIN || ex->state == OVER) {
        return;
    }
    if (ex->state == ANSWER) {
        answer_over(ex, error, detail);
        return;
    }
    if (ex->state == TALK && may_retry(ex)) {
        exchange_drop_upstream(ex);
        ex->outcome.retried = true;
        ex->queued = false;
        dial(ex, false);
        return;
    }
    exchange_stop(ex, error == UPSTREAM_OK ? UPSTREAM_RESET : error, detail);
}

static const struct upstream_user user = {
    .opened = on_opened,
    .readable = on_readable,
    .sent = on_sent,
    .failed = on_failed,
};
